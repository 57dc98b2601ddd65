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
      if (inner_ == 1)
        add_neighbours<T>(frame, first, last);
      else
        add_rows<T>(frame, first, last);
    });
  }

 private:
  template <class T>
  void add_neighbours(const Frame& frame, Index first, Index last) const {
    const T* from = from_.in<const T>(frame);
    T* partials = partials_.in<T>(frame);
    const auto begin = [&](Index group) { return begin_of(group, frame) * unit_; };
    const auto compute = [&](Index group, Index count, Index slot) {
      for (Index o = 0; o < outer_; ++o)
        partials[slot * outer_ + o] = sum_groups_of_neighbours(from + o * rows_ * unit_, group, count, begin);
    };
    add_tasks(frame, first, last, compute, adder(partials));
  }
  template <class T>
  void add_rows(const Frame& frame, Index first, Index last) const {
    const T* from = from_.in<const T>(frame);
    T* partials = partials_.in<T>(frame);
    const auto compute = [&](Index begin, Index end, Index slot) {
      for (Index o = 0; o < outer_; ++o)
        sum_rows(from + (o * rows_ + begin) * unit_ * inner_, (end - begin) * unit_, inner_,
                 partials + (slot * outer_ + o) * inner_);
    };
    add_groups(frame, first, last, compute, adder(partials));
  }
  // Adds a slot of the partial sums to another.
  template <class T>
  auto adder(T* partials) const {
    return [partials, size = outer_ * inner_](Index to, Index from) {
      for (Index i = 0; i < size; ++i) partials[to * size + i] += partials[from * size + i];
    };
  }

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
