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
        products_(a_.type.shape.leading(a_.type.shape.rank() - 2).size()) {
    if (m_ * n_ * static_cast<Index>(size_of(a_.type.dtype)) > large_result) block_ = large_block;
    down_ = (m_ + block_.rows - 1) / block_.rows;
    across_ = (n_ + block_.columns - 1) / block_.columns;
    flops = 2 * static_cast<double>(m_) * static_cast<double>(n_) * static_cast<double>(rows_ * products_);
    microseconds = flops / product_flops_per_us + static_cast<double>(held() * m_ * n_) *
                                                      static_cast<double>(size_of(a_.type.dtype)) / weight_bytes_per_us;
  }
  Index tasks() const override { return share_tasks() * products_ * down_ * across_; }
  std::string kernel() const override { return fmt::format("product over rows {}x{}x{}", m_, n_, rows_); }
  void run(const Frame& frame, Index task) const override {
    // Columns last: a thread gets those that it computes in the layer's product as well.
    const Index top = task % down_ * block_.rows, left = task / down_ % across_ * block_.columns;
    const Index which = task / (across_ * down_) % products_;
    const Index share_task = task / (across_ * down_ * products_);
    const Index height = std::min(block_.rows, m_ - top), width = std::min(block_.columns, n_ - left);
    dispatch_float(a_.type.dtype, [&]<class T>() {
      const T* a = a_.in<const T>(frame) + which * rows_ * m_ + top;
      const T* b = b_.in<const T>(frame) + which * rows_ * n_ + left;
      T* partials = partials_.in<T>(frame) + which * m_ * n_ + top * n_ + left;
      const auto in_slot = [&](Index slot) { return partials + slot * products_ * m_ * n_; };
      add_groups(
          frame, share_task,
          [&](Index begin, Index end, Index slot) {
            multiply_tiles(height, width, end - begin, Strided<const T>{a + begin * m_, 1, m_},
                           Strided<const T>{b + begin * n_, n_, 1}, Strided<T>{in_slot(slot), n_, 1});
          },
          [&](Index to, Index from) {
            for (Index i = 0; i < height; ++i)
              for (Index j = 0; j < width; ++j) in_slot(to)[i * n_ + j] += in_slot(from)[i * n_ + j];
          });
    });
  }

 private:
  static constexpr Index large_result = Index{1}
                                        << 20;  // bytes: its blocks read operands that are in no cache of a core
  ProductBlock block_{64, 128};
  Operand a_, b_, partials_;
  Index m_, n_, products_, down_, across_;
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
