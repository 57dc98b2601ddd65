#include <fmt/format.h>

#include "autodiff/kernels/sums.hpp"
#include "autodiff/ops/known.hpp"
#include "autodiff/plan/lowering.hpp"
#include "autodiff/plan/steps/partial_sums.hpp"

namespace wengert::plan {
namespace {

// The sum over rows and what follows them: [slots, outer, inner].
class SumOverRowsStep final : public PartialSumsStep {
 public:
  SumOverRowsStep(const AxisList& axes, Operand from, Operand partials, const Grouping& grouping, Index extent)
      : PartialSumsStep(grouping, extent, from.type.shape[axes[0]]),
        from_(std::move(from)),
        partials_(std::move(partials)) {
    const Shape& shape = from_.type.shape;
    outer_ = shape.leading(shape.rank() + axes[0]).size();
    inner_ = shape.trailing(-1 - axes[axes.size() - 1]).size();
    for (std::size_t i = 1; i < axes.size(); ++i) unit_ *= shape[axes[i]];
    flops = static_cast<double>(shape.size());
    microseconds = flops / element_flops_per_us;
  }
  Index tasks() const override { return share_tasks(); }
  std::string kernel() const override { return fmt::format("sum over rows, {}", to_string(from_.type)); }
  void run(const Frame& frame, Index first, Index last) const override {
    dispatch_float(from_.type.dtype, [&]<class T>() {
      const T* from = from_.in<const T>(frame);
      T* partials = partials_.in<T>(frame);
      const Index size = outer_ * inner_;
      add_groups(
          frame, first, last,
          [&](Index begin, Index end, Index slot) {
            for (Index o = 0; o < outer_; ++o)
              sum_rows(from + (o * rows_ + begin) * unit_ * inner_, (end - begin) * unit_, inner_,
                       partials + slot * size + o * inner_);
          },
          [&](Index to, Index from_slot) {
            for (Index i = 0; i < size; ++i) partials[to * size + i] += partials[from_slot * size + i];
          });
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
