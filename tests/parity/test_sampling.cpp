// Samplers against PyTorch: every trajectory of the reference arrays.
#define BOOST_TEST_MODULE sampling_parity
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include "tests/parity/reference.hpp"
#include "tests/parity/studies.hpp"

using namespace wengert;
using parity::check_close;
using sde::Grid;
namespace data = boost::unit_test::data;

namespace {

const char* const both[] = {"f64", "f32"};

struct Case {
  Case(const std::string& network, const std::string& dtype)
      : reference("sampling_" + network + "_" + dtype),
        tolerance(dtype == "f64" ? 1e-9 : 2e-5),
        study(parity::study(network, dtype == "f64" ? Dtype::f64 : Dtype::f32, reference.below("w/"))) {}

  // The integrator's states over the grid against those of an array [steps + 1, B, d], which begins with the start.
  void check(sde::Integrator&& integrator, const Grid& grid, const std::string& name, sde::Noise noise = {}) const {
    const Array& wanted = reference[name];
    const Shape points = wanted.shape().trailing(2);
    BOOST_TEST(wanted.shape()[0] == grid.steps() + 1);
    const auto observe = [&](Index step, double, std::span<const Array> x) {
      check_close(x[0], parity::row(wanted, step, points), tolerance, name + " " + std::to_string(step));
    };
    integrator.run(parity::row(wanted, 0, points), grid, {.noise = noise, .observe = observe}).require();
  }
  sde::Noise noise() const { return sde::Noise::given(reference["samp/noise"]); }

  parity::Reference reference;
  double tolerance;
  parity::Study study;
};

// Times from 1 to 1e-5 and one more step of the same size: the sampler's last mean is that of a step from 1e-5.
Grid circle_grid(Index steps) {
  const double h = (1 - 1e-5) / static_cast<double>(steps - 1);
  return Grid::uniform(1, 1e-5 - h, steps);
}

}  // namespace

BOOST_DATA_TEST_CASE(euler_maruyama_of_nano, data::make(both), dtype) {
  const Case c("nano", dtype);
  c.check({sde::EulerMaruyama{}, c.study.reverse()}, Grid::uniform(1, 0, 50), "samp/em/traj", c.noise());
}

BOOST_DATA_TEST_CASE(predictor_corrector_and_flow_of_rings, data::make({"ou2", "ou4"}) * data::make(both), network,
                     dtype) {
  const Case c(network, dtype);
  const Grid grid = Grid::uniform(1, 0, 20);
  c.check({sde::PredictorCorrector{.snr = 0.15}, c.study.reverse()}, grid, "samp/pc/traj", c.noise());
  c.check({sde::Heun{}, c.study.flow()}, grid, "samp/pfheun/traj");
}

BOOST_DATA_TEST_CASE(flow_and_euler_maruyama_of_heat, data::make({"heat_plain", "heat_embed"}) * data::make(both),
                     network, dtype) {
  const Case c(network, dtype);
  const Grid grid = Grid::uniform(1, 0, 25);
  c.check({sde::Euler{}, c.study.flow()}, grid, "samp/ode/traj");
  c.check({sde::EulerMaruyama{}, c.study.reverse()}, grid, "samp/sde/traj", c.noise());
}

BOOST_DATA_TEST_CASE(euler_maruyama_of_circle, data::make(both), dtype) {
  const Case c("circle", dtype);
  const Grid grid = circle_grid(40);
  c.check({sde::EulerMaruyama{}, c.study.reverse()}, grid, "samp/em/traj", c.noise());
  const Array start = parity::row(c.reference["samp/em/traj"], 0, {8, 2});
  sde::Integrator sampler(sde::EulerMaruyama{}, c.study.reverse());
  const sde::Solution end = sampler.run(start, grid, {.noise = c.noise(), .denoise_last = true});
  check_close(end.require().x(), c.reference["samp/em/final_mean"], c.tolerance, "samp/em/final_mean");
}

// 1000 steps of the network that was trained at the study's size; weights and noise are those of the f32 file.
BOOST_DATA_TEST_CASE(euler_maruyama_of_trained_circle, data::make(both), name) {
  const Dtype dtype = std::string(name) == "f64" ? Dtype::f64 : Dtype::f32;
  const parity::Reference weights("trained_circle_f32"), wanted(std::string("trained_circle_") + name);
  const double tolerance = dtype == Dtype::f64 ? 1e-9 : 2e-5;
  const parity::Study study = parity::study("trained_circle", dtype, parity::cast(weights.below("w/"), dtype));
  const Array& trajectory = wanted["em/traj_every100"];
  const auto observe = [&](Index step, double, std::span<const Array> x) {
    if (step % 100 == 0)
      check_close(x[0], parity::row(trajectory, step / 100, {8, 2}), tolerance, "em/traj " + std::to_string(step));
  };
  sde::Integrator sampler(sde::EulerMaruyama{}, study.reverse());
  const Array start = parity::row(trajectory, 0, {8, 2});
  const sde::Noise noise = sde::Noise::given(weights["em/noise"].cast(dtype));
  sampler.run(start, circle_grid(1000), {.noise = noise, .observe = observe}).require();
  const sde::Solution end = sampler.run(start, circle_grid(1000), {.noise = noise, .denoise_last = true});
  check_close(end.require().x(), wanted["em/final_mean"], tolerance, "em/final_mean");
}
