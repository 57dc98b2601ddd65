#include <fmt/format.h>

#include "autodiff/kernels/sums.hpp"
#include "autodiff/ops/known.hpp"
#include "autodiff/plan/lowering.hpp"
#include "autodiff/plan/steps/partial_sums.hpp"

namespace wengert::plan {
namespace {

// The sum over rows and what follows them: [partial sums, outer, inner].
class SumOverRowsStep final : public PartialSumsStep {
 public:
  SumOverRowsStep(const AxisList& axes, Operand from, Operand partials, Index count, Index extent)
      : PartialSumsStep(count, extent, from.type.shape[axes[0]]),
        from_(std::move(from)),
        partials_(std::move(partials)) {
    const Shape& shape = from_.type.shape;
    outer_ = shape.leading(shape.rank() + axes[0]).size();
    inner_ = shape.trailing(-1 - axes[axes.size() - 1]).size();
    for (std::size_t i = 1; i < axes.size(); ++i) unit_ *= shape[axes[i]];
    flops = static_cast<double>(shape.size());
    microseconds = flops / element_flops_per_us;
  }
  Index tasks() const override { return held(); }
  std::string kernel() const override { return fmt::format("sum over rows, {}", to_string(from_.type)); }
  void run(const Frame& frame, Index task) const override {
    const Range r = range(frame, task);
    dispatch_float(from_.type.dtype, [&]<class T>() {
      const T* from = from_.in<const T>(frame);
      T* to = partials_.in<T>(frame) + r.which * outer_ * inner_;
      for (Index o = 0; o < outer_; ++o)
        sum_rows(from + (o * rows_ + r.begin) * unit_ * inner_, (r.end - r.begin) * unit_, inner_, to + o * inner_);
    });
  }

 private:
  Operand from_, partials_;
  Index outer_ = 1, unit_ = 1, inner_ = 1;
};

}  // namespace

std::unique_ptr<Step> sum_over_rows_step(const Lowering& lowering, const FusionGroup& group, Index count) {
  const Id id = group.first();
  const Value& value = lowering.graph.nodes[id];
  if (lowering.rows.part[id] != Part::reduction || !value.is(sum_op())) return nullptr;
  return std::make_unique<SumOverRowsStep>(value.arguments<ReductionArguments>().axes, lowering.read(id, 0, count),
                                           Operand{lowering.placement.of_partial_sums(id), value.type},
                                           partial_sums_of(lowering.graph, id), lowering.rows.extent);
}

}  // namespace wengert::plan
