#include "experiments/common/sample.hpp"

#include <utility>

#include "experiments/common/progress.hpp"

namespace wengert::experiments {

Array sample(const std::string& part, sde::Integrator& integrator, const Array& x, const sde::Grid& grid,
             sde::RunOptions options) {
  Progress progress(part, grid.steps());
  options.observe = [&progress, then = std::move(options.observe)](Index step, double t, std::span<const Array> state) {
    if (then) then(step, t, state);
    progress.step();
    Interrupt::heed();
  };
  return integrator.run(x, grid, options).require().x();
}

}  // namespace wengert::experiments
