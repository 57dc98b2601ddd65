// Steps of products: with a chain of elementwise ops while their rows are in the first-level cache, and summed over
// rows.
#include <fmt/format.h>

#include <algorithm>

#include "autodiff/kernels/groups.hpp"
#include "autodiff/kernels/products.hpp"
#include "autodiff/kernels/sums.hpp"
#include "autodiff/kernels/transpose.hpp"
#include "autodiff/plan/steps.hpp"

namespace wengert::plan {
namespace {

constexpr Index block_rows = 64;

Index columns_of(const Type& type) { return type.shape[-1]; }

// Asks for values that another thread has just written: tiles would wait for them line by line.
template <class T>
void fetch(const T* values, Index count) {
  constexpr Index line = alignment / static_cast<Index>(sizeof(T));
  for (Index i = 0; i < count; i += line) __builtin_prefetch(values + i);
}

// [..., m, k] x [k, n], then a chain.
class ProductStep final : public Step {
 public:
  ProductStep(const Product& p, std::vector<Operand> operands, std::vector<Operand> outputs,
              std::vector<Chain::Instruction> instructions)
      : p_(p),
        operands_(std::move(operands)),
        outputs_(std::move(outputs)),
        k_(columns_of(p.a.type)),
        n_(columns_of(p.output.type)),
        m_(n_ == 0 ? 0 : p.output.type.shape.size() / n_),
        has_chain_(!instructions.empty()),
        chain_(p.output.type.dtype, p.output.type.shape, with_product(), std::move(instructions)) {
    // Few rows: blocks of columns, so that each thread reads its part of the weights alone.
    block_columns_ = !p_.shared || m_ >= 2 * block_rows ? n_ : 128;
    height_ = p_.shared && !p_.transposed ? block_rows : std::max<Index>(m_, 1);
    down_ = (m_ + height_ - 1) / height_;
    across_ = (n_ + block_columns_ - 1) / std::max<Index>(block_columns_, 1);
    flops = 2 * static_cast<double>(m_) * static_cast<double>(n_) * static_cast<double>(k_);
    microseconds = flops / product_flops_per_us + static_cast<double>(p_.b.type.bytes()) / weight_bytes_per_us +
                   static_cast<double>(m_ * n_) * static_cast<double>(chain_.instructions()) / element_flops_per_us;
  }

  Index tasks() const override { return down_ * across_; }
  std::size_t scratch_bytes() const override {
    const Index flipped = !p_.transposed ? 0 : packs_weights() ? block_columns_ * k_ : m_ * (k_ + block_columns_);
    return chain_.scratch_bytes() + static_cast<std::size_t>(flipped) * size_of(p_.output.type.dtype) + alignment;
  }
  std::string kernel() const override {
    return fmt::format("product {}x{}x{}{}{}", m_, n_, k_, p_.transposed ? " of the transposed" : "",
                       has_chain_ ? fmt::format(", then {} ops", chain_.instructions()) : "");
  }

  void run(const Frame& frame, Index task) const override {
    const Index top = task / across_ * height_, left = task % across_ * block_columns_;
    const Index right = std::min(n_, left + block_columns_), bottom = std::min(m_, top + height_);
    dispatch_float(p_.output.type.dtype, [&]<class T>() {
      const Strided<const T> a{address<const T>(frame, p_.a), k_, 1};
      const T* b = address<const T>(frame, p_.b);
      const Strided<T> out{address<T>(frame, p_.output), n_, 1};
      if (across_ > 1) fetch(a.data, m_ * k_);
      if (p_.transposed) {
        flipped(a, b, out, left, right, reinterpret_cast<T*>(frame.scratch + chain_.scratch_bytes()));
        follow(frame, top, bottom, left, right);
        return;
      }
      const Index strip = has_chain_ && k_ <= deep ? strip_rows(right - left) : bottom - top;
      for (Index i = top; i < bottom; i += strip) {
        const Index height = std::min(strip, bottom - i);
        multiply_tiles(height, right - left, k_, a.at(i, 0), Strided<const T>{b + left, n_, 1}, out.at(i, left));
        follow(frame, i, i + height, left, right);
      }
    });
  }

 private:
  template <class T>
  static T* address(const Frame& frame, const Operand& operand) {
    return reinterpret_cast<T*>(frame.address(operand.place));
  }
  std::vector<Shape> with_product() const {
    std::vector<Shape> shapes = shapes_of(operands_);
    shapes.push_back(p_.output.type.shape);
    return shapes;
  }

  void follow(const Frame& frame, Index top, Index bottom, Index left, Index right) const {
    if (!has_chain_) return;
    Addresses addresses(frame, operands_, outputs_);
    addresses.from[operands_.size()] = frame.address(p_.output.place);
    if (left == 0 && right == n_)
      chain_.run(addresses.from.data(), addresses.to.data(), top * n_, bottom * n_, frame.scratch);
    else
      chain_.run_block(addresses.from.data(), addresses.to.data(), top, bottom, left, right, frame.scratch);
  }

  // The chain takes a strip of rows while it is in the first-level cache: some tiles of 6 or of 8 rows. What it would
  // save is little beside a deep product, which gains by more rows for each copy of b.
  static constexpr Index deep = 256;
  static Index strip_rows(Index columns) {
    const Index tile = columns >= 64 ? 6 : 8;
    return std::clamp<Index>(4096 / columns / tile * tile + tile, tile, block_rows);
  }

  // Columns of a b' for few rows: rows of b a', which reads b where it lies, or, where b is the smaller one, a times
  // the transposed of b; the same chains over k.
  template <class T>
  void flipped(Strided<const T> a, const T* b, Strided<T> out, Index left, Index right, T* scratch) const {
    const Index n = right - left;
    if (packs_weights()) {
      transpose_matrix(n, k_, b + left * k_, k_, scratch, n);
      multiply_tiles(m_, n, k_, a, Strided<const T>{scratch, n, 1}, Strided<T>{out.data + left, n_, 1});
      return;
    }
    T *packed = scratch, *block = scratch + m_ * k_;
    transpose_matrix(m_, k_, a.data, k_, packed, m_);
    multiply_tiles(n, m_, k_, Strided<const T>{b + left * k_, k_, 1}, Strided<const T>{packed, m_, 1},
                   Strided<T>{block, m_, 1});
    transpose_matrix(n, m_, block, m_, out.data + left, n_);
  }
  // What is cheaper: to exchange b's rows and columns, or a's and the result's with registers that m fills in part. An
  // exchange takes about as long as seven multiply-adds.
  bool packs_weights() const {
    const Index n = std::min(n_, block_columns_), filled = (m_ + 15) / 16 * 16;
    return 7 * n * k_ < 7 * m_ * (k_ + n) + (filled - m_) * n * k_;
  }

  Product p_;
  std::vector<Operand> operands_, outputs_;
  Index k_, n_, m_;
  bool has_chain_;
  Chain chain_;
  Index block_columns_ = 0, height_ = 0, down_ = 0, across_ = 0;
};

// What sums over rows: the groups of rows that a frame holds.
class GroupedStep : public Step {
 public:
  GroupedStep(Index groups, Index extent, Index rows) : groups_(groups), extent_(extent), rows_(rows) {
    held_ = std::max<Index>(1, (groups * rows + extent / 2) / std::max<Index>(extent, 1));
  }

 protected:
  struct Range {
    Index group, begin, end;  // rows counted from the frame's first one
  };
  Index held() const { return held_; }
  Range range(const Frame& frame, Index number) const {
    const Index group = (frame.begin * groups_ + extent_ - 1) / std::max<Index>(extent_, 1) + number;
    return {group, group_begin(group, groups_, extent_) - frame.begin,
            group_begin(group + 1, groups_, extent_) - frame.begin};
  }
  Index groups_, extent_, rows_;

 private:
  Index held_;
};

class SumStep final : public GroupedStep {
 public:
  SumStep(const Node& node, Operand from, Operand partials, Index groups, Index extent)
      : GroupedStep(groups, extent, from.type.shape[node.attributes.axes[0]]),
        from_(std::move(from)),
        partials_(std::move(partials)) {
    const auto& axes = node.attributes.axes;
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
      const T* from = reinterpret_cast<const T*>(frame.address(from_.place));
      T* to = reinterpret_cast<T*>(frame.address(partials_.place)) + r.group * outer_ * inner_;
      for (Index o = 0; o < outer_; ++o)
        sum_rows(from + (o * rows_ + r.begin) * unit_ * inner_, (r.end - r.begin) * unit_, inner_, to + o * inner_);
    });
  }

 private:
  Operand from_, partials_;
  Index outer_ = 1, unit_ = 1, inner_ = 1;
};

class OuterStep final : public GroupedStep {
 public:
  OuterStep(Operand a, Operand b, Operand partials, Index groups, Index extent)
      : GroupedStep(groups, extent, a.type.shape[-2]),
        a_(std::move(a)),
        b_(std::move(b)),
        partials_(std::move(partials)),
        m_(columns_of(a_.type)),
        n_(columns_of(b_.type)),
        count_(a_.type.shape.leading(a_.type.shape.rank() - 2).size()) {
    down_ = (m_ + block_rows - 1) / block_rows;
    across_ = (n_ + block_columns - 1) / block_columns;
    flops = 2 * static_cast<double>(m_) * static_cast<double>(n_) * static_cast<double>(rows_ * count_);
    microseconds = flops / product_flops_per_us + static_cast<double>(held() * m_ * n_) *
                                                      static_cast<double>(size_of(a_.type.dtype)) / weight_bytes_per_us;
  }
  Index tasks() const override { return held() * count_ * down_ * across_; }
  std::string kernel() const override { return fmt::format("product over rows {}x{}x{}", m_, n_, rows_); }
  void run(const Frame& frame, Index task) const override {
    // Columns last: a thread gets those that it computes in the layer's product as well.
    const Index top = task % down_ * block_rows, left = task / down_ % across_ * block_columns;
    const Index which = task / (across_ * down_) % count_;
    const Range r = range(frame, task / (across_ * down_ * count_));
    dispatch_float(a_.type.dtype, [&]<class T>() {
      const T* a = reinterpret_cast<const T*>(frame.address(a_.place)) + (which * rows_ + r.begin) * m_ + top;
      const T* b = reinterpret_cast<const T*>(frame.address(b_.place)) + (which * rows_ + r.begin) * n_ + left;
      T* out = reinterpret_cast<T*>(frame.address(partials_.place)) + (r.group * count_ + which) * m_ * n_;
      multiply_tiles(std::min(block_rows, m_ - top), std::min(block_columns, n_ - left), r.end - r.begin,
                     Strided<const T>{a, 1, m_}, Strided<const T>{b, n_, 1}, Strided<T>{out + top * n_ + left, n_, 1});
    });
  }

 private:
  static constexpr Index block_columns = 128;
  Operand a_, b_, partials_;
  Index m_, n_, count_, down_, across_;
};

}  // namespace

std::unique_ptr<Step> product_step(const Product& product, std::vector<Operand> operands, std::vector<Operand> outputs,
                                   std::vector<Chain::Instruction> instructions) {
  return std::make_unique<ProductStep>(product, std::move(operands), std::move(outputs), std::move(instructions));
}
std::unique_ptr<Step> sum_step(const Node& node, Operand from, Operand partials, Index groups, Index extent) {
  return std::make_unique<SumStep>(node, std::move(from), std::move(partials), groups, extent);
}
std::unique_ptr<Step> outer_step(Operand a, Operand b, Operand partials, Index groups, Index extent) {
  return std::make_unique<OuterStep>(std::move(a), std::move(b), std::move(partials), groups, extent);
}

}  // namespace wengert::plan
