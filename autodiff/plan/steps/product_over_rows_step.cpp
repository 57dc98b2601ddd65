#include <fmt/format.h>

#include "autodiff/kernels/products.hpp"
#include "autodiff/ops/known.hpp"
#include "autodiff/plan/lowering.hpp"
#include "autodiff/plan/steps/partial_sums.hpp"

namespace wengert::plan {
namespace {

// a' b, summed over rows: [slots, ..., m, n].
class ProductOverRowsStep final : public PartialSumsStep {
 public:
  ProductOverRowsStep(Operand a, Operand b, Operand partials, const Grouping& grouping, Index extent)
      : PartialSumsStep(grouping, extent, a.type.shape[-2]),
        a_(std::move(a)),
        b_(std::move(b)),
        partials_(std::move(partials)),
        m_(a_.type.shape[-1]),
        n_(b_.type.shape[-1]),
        products_(a_.type.shape.leading(a_.type.shape.rank() - 2).size()),
        slices_(m_, n_) {
    if (m_ * n_ * static_cast<Index>(size_of(a_.type.dtype)) > large_result) block_ = large_block;
    flops = 2 * static_cast<double>(m_) * static_cast<double>(n_) * static_cast<double>(rows_ * products_);
    microseconds = flops / product_flops_per_us + static_cast<double>(held() * m_ * n_) *
                                                      static_cast<double>(size_of(a_.type.dtype)) / weight_bytes_per_us;
  }
  // Slices last: a thread gets the columns that it computes in the layer's product as well.
  Index tasks() const override { return share_tasks() * products_ * slices_.count(); }
  std::string kernel() const override { return fmt::format("product over rows {}x{}x{}", m_, n_, rows_); }
  void run(const Frame& frame, Index first, Index last) const override {
    for (Index task = first, end; task < last; task = end) {
      const Index which = task / slices_.count(), from = which * slices_.count();
      end = std::min(last, from + slices_.count());
      for_each_block(slices_.run(task - from, end - from), block_,
                     [&](const Rectangle& block) { multiply(frame, which / products_, which % products_, block); });
    }
  }

 private:
  void multiply(const Frame& frame, Index share_task, Index which, const Rectangle& block) const {
    dispatch_float(a_.type.dtype, [&]<class T>() {
      const T* a = a_.in<const T>(frame) + which * rows_ * m_ + block.top;
      const T* b = b_.in<const T>(frame) + which * rows_ * n_ + block.left;
      T* partials = partials_.in<T>(frame) + which * m_ * n_ + block.top * n_ + block.left;
      const auto in_slot = [&](Index slot) { return partials + slot * products_ * m_ * n_; };
      add_groups(
          frame, share_task, share_task + 1,
          [&](Index begin, Index end, Index slot) {
            multiply_tiles(block.height(), block.width(), end - begin, Strided<const T>{a + begin * m_, 1, m_},
                           Strided<const T>{b + begin * n_, n_, 1}, Strided<T>{in_slot(slot), n_, 1});
          },
          [&](Index to, Index from) {
            for (Index i = 0; i < block.height(); ++i)
              for (Index j = 0; j < block.width(); ++j) in_slot(to)[i * n_ + j] += in_slot(from)[i * n_ + j];
          });
    });
  }

  static constexpr Index large_result = Index{1}
                                        << 20;  // bytes: its blocks read operands that are in no cache of a core
  ProductBlock block_{72, 128};
  Operand a_, b_, partials_;
  Index m_, n_, products_;
  Slices slices_;
};

}  // namespace

std::unique_ptr<Step> product_over_rows_step(const Lowering& lowering, const FusionGroup& group, Index count) {
  const Id id = group.first();
  const Value& value = lowering.graph.nodes[id];
  if (lowering.rows.part[id] != Part::reduction || !value.is(matmul_op())) return nullptr;
  return std::make_unique<ProductOverRowsStep>(lowering.read(id, 0, count), lowering.read(id, 1, count),
                                               Operand{lowering.placement.of_partial_sums(id), value.type},
                                               partial_sums_of(lowering.graph, id), lowering.rows.extent);
}

}  // namespace wengert::plan
