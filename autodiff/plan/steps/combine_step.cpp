#include <fmt/format.h>

#include <algorithm>

#include "autodiff/kernels/groups.hpp"
#include "autodiff/plan/lowering.hpp"

namespace wengert::plan {
namespace {

// The partial sums of the shares of a reduction, added in the tree of combine().
class CombineStep final : public Step {
 public:
  CombineStep(Operand partials, Operand output, Index count)
      : partials_(std::move(partials)), output_(std::move(output)), count_(count) {
    flops = static_cast<double>(output_.type.shape.size()) * static_cast<double>(count);
    microseconds = flops / element_flops_per_us;
  }
  Index tasks() const override { return std::max<Index>(1, (output_.type.shape.size() + piece - 1) / piece); }
  std::string kernel() const override {
    return fmt::format("tree of {} partial sums, {}", count_, to_string(output_.type));
  }
  void run(const Frame& frame, Index first, Index last) const override {
    const Index size = output_.type.shape.size(), begin = first * piece, end = std::min(size, last * piece);
    dispatch_float(output_.type.dtype, [&]<class T>() {
      T* from = partials_.in<T>(frame);
      combine(from, count_, size, begin, end);
      std::copy(from + begin, from + end, output_.in<T>(frame) + begin);
    });
  }

 private:
  static constexpr Index piece = 4096;
  Operand partials_, output_;
  Index count_;
};

}  // namespace

std::unique_ptr<Step> combine_step(const Lowering& lowering, Id reduction) {
  const Type& type = lowering.graph.nodes[reduction].type;
  auto step = std::make_unique<CombineStep>(Operand{lowering.placement.of_partial_sums(reduction), type},
                                            Operand{lowering.placement.of(reduction), type},
                                            partial_sums_of(lowering.graph, reduction).shares);
  step->nodes = {reduction};
  return step;
}

}  // namespace wengert::plan
