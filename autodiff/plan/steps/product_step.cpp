// Products with a matrix, and the elementwise ops after them while their rows are in the L1 cache.
#include <fmt/format.h>

#include <algorithm>

#include "autodiff/kernels/products.hpp"
#include "autodiff/kernels/transpose.hpp"
#include "autodiff/ops.hpp"
#include "autodiff/plan/steps/fused.hpp"

namespace wengert::plan {
namespace {

// Of a product with a transposed matrix: as much as makes the exchange of rows and columns cheap.
constexpr ProductBlock transposed_block{252, 128};

// Asks for values that another thread has just written: tiles would wait for them line by line.
template <class T>
void fetch(const T* values, Index count) {
  constexpr Index line = alignment / static_cast<Index>(sizeof(T));
  for (Index i = 0; i < count; i += line) __builtin_prefetch(values + i);
}

struct Product {
  Operand a, b, output;
  bool transposed = false;  // b is given as [n, k]
  bool shared = true;       // among threads, in blocks
};

// [..., m, k] x [k, n] or x [n, k]', then elementwise ops.
class ProductStep final : public Step {
 public:
  ProductStep(const Product& p, FusedCode then)
      : p_(p),
        operands_(std::move(then.operands)),
        outputs_(std::move(then.outputs)),
        k_(p.a.type.shape[-1]),
        n_(p.output.type.shape[-1]),
        m_(n_ == 0 ? 0 : p.output.type.shape.size() / n_),
        slices_(m_, n_),
        has_kernel_(!then.instructions.empty()),
        kernel_(p.output.type.dtype, p.output.type.shape, shapes_of(operands_), std::move(then.instructions)) {
    operands_[0].address = p.output.address;
    dispatch_float(p.output.type.dtype, [&]<class T>() {
      flips_ = p.transposed && pack_size<T>(m_, n_, k_, Strided<const T>{nullptr, 1, k_}) > 0;
      block_ = flips_ ? transposed_block : product_block<T>(m_, n_, k_);
    });
    if (!p_.shared) block_ = {m_, n_};
    block_ = {std::clamp<Index>(block_.rows, 1, std::max<Index>(m_, 1)),
              std::clamp<Index>(block_.columns, 1, std::max<Index>(n_, 1))};
    flops = 2 * static_cast<double>(m_) * static_cast<double>(n_) * static_cast<double>(k_);
    microseconds = flops / product_flops_per_us + static_cast<double>(p_.b.type.bytes()) / weight_bytes_per_us +
                   static_cast<double>(m_ * n_) * static_cast<double>(kernel_.instructions()) / element_flops_per_us;
  }

  Index tasks() const override { return std::max<Index>(1, slices_.count()); }
  std::size_t scratch_bytes() const override {
    const Index flipped = !flips_ ? 0 : packs_weights() ? block_.columns * k_ : block_.rows * (k_ + block_.columns);
    return kernel_.scratch_bytes() + static_cast<std::size_t>(flipped) * size_of(p_.output.type.dtype) + alignment;
  }
  std::string kernel() const override {
    return fmt::format("product {}x{}x{}{}{}", m_, n_, k_, p_.transposed ? " of the transposed" : "",
                       has_kernel_ ? ", then " + kernel_.text() : "");
  }

  void run(const Frame& frame, Index begin, Index end) const override {
    const Rectangle part = slices_.run(begin, end);
    dispatch_float(p_.output.type.dtype, [&]<class T>() {
      if (part.height() == m_ && part.width() < n_) fetch(p_.a.in<const T>(frame), m_ * k_);
      for_each_block(part, block_, [&](const Rectangle& block) { multiply<T>(frame, block); });
    });
  }

 private:
  template <class T>
  void multiply(const Frame& frame, const Rectangle& block) const {
    const Strided<const T> a{p_.a.in<const T>(frame), k_, 1};
    const T* b = p_.b.in<const T>(frame);
    const Strided<const T> weights = p_.transposed ? Strided<const T>{b, 1, k_} : Strided<const T>{b, n_, 1};
    const Strided<T> out{p_.output.in<T>(frame), n_, 1};
    if (flips_) {
      flipped(block.height(), block.width(), a.at(block.top, 0), b + block.left * k_, out.at(block.top, block.left),
              reinterpret_cast<T*>(frame.scratch + kernel_.scratch_bytes()));
      return follow(frame, block);
    }
    const Index strip = has_kernel_ && k_ <= deep ? strip_rows(block.width()) : block.height();
    for (Index i = block.top; i < block.bottom; i += strip) {
      const Rectangle rows{i, std::min(block.bottom, i + strip), block.left, block.right};
      multiply_tiles(rows.height(), rows.width(), k_, a.at(i, 0), weights.at(0, rows.left), out.at(i, rows.left));
      follow(frame, rows);
    }
  }

  void follow(const Frame& frame, const Rectangle& part) const {
    if (!has_kernel_) return;
    const Pointers pointers(frame, operands_, outputs_);
    if (part.width() == n_)
      kernel_.run(pointers.operands.data(), pointers.outputs.data(), part.top * n_, part.bottom * n_, frame.scratch);
    else
      kernel_.run_block(pointers.operands.data(), pointers.outputs.data(), part.top, part.bottom, part.left, part.right,
                        frame.scratch);
  }

  // The ops take a strip of rows while it is in the L1 cache: some tiles of 6 or of 8 rows. What it would
  // save is little beside a deep product, which gains by more rows for each copy of b.
  static constexpr Index deep = 256, most_rows = 64;
  static Index strip_rows(Index columns) {
    const Index tile = columns >= 64 ? 6 : 8;
    return std::clamp<Index>(4096 / columns / tile * tile + tile, tile, most_rows);
  }

  // A block of a b': rows of b a', which reads b where it lies, or, where b is the smaller one, a times the transposed
  // of b; the same chains over k.
  template <class T>
  void flipped(Index m, Index n, Strided<const T> a, const T* b, Strided<T> out, T* scratch) const {
    if (packs_weights()) {
      transpose_matrix(n, k_, b, k_, scratch, n);
      multiply_tiles(m, n, k_, a, Strided<const T>{scratch, n, 1}, out);
      return;
    }
    T *packed = scratch, *block = scratch + m * k_;
    transpose_matrix(m, k_, a.data, k_, packed, m);
    multiply_tiles(n, m, k_, Strided<const T>{b, k_, 1}, Strided<const T>{packed, m, 1}, Strided<T>{block, m, 1});
    transpose_matrix(n, m, block, m, out.data, n_);
  }
  // The cheaper way: to exchange b's rows and columns, or a's and the result's with registers that m fills in part. An
  // exchange takes about as long as seven multiply-adds.
  bool packs_weights() const {
    const Index n = block_.columns, m = block_.rows, filled = (m + 15) / 16 * 16;
    return 7 * n * k_ < 7 * m * (k_ + n) + (filled - m) * n * k_;
  }

  Product p_;
  std::vector<Operand> operands_, outputs_;
  Index k_, n_, m_;
  Slices slices_;
  ProductBlock block_{};
  bool flips_ = false, has_kernel_;  // a block of a transposed b is computed as one of b a'
  FusedKernel kernel_;
};

}  // namespace

std::unique_ptr<Step> product_step(const Lowering& lowering, const FusionGroup& group, Index count) {
  if (!group.product) return nullptr;
  const Id id = group.first(), home = lowering.liveness.home_of_product(group);
  Product product{lowering.read(id, 0, count), lowering.read(id, 1, count), lowering.written(home, count),
                  lowering.graph.nodes[id].arguments<MatmulOptions>().transpose_b,
                  count == 0 || count == lowering.rows.extent};
  product.output.axis = 0;
  return std::make_unique<ProductStep>(product, fused_code(lowering, group, count));
}

}  // namespace wengert::plan
