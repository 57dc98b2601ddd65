#include "autodiff/ops/draw_op.hpp"

namespace wengert {
namespace {

using namespace drawing;

struct DrawUniform final : DrawOp<UniformSettings> {
  DrawUniform() : DrawOp("draw_uniform") {}
  std::vector<UniformSettings> settings() const override { return {{-2.5, 4}, {0.5, 1}, {200, 300}, {1, 1}}; }
  void check(const UniformSettings& a, Dtype dtype) const override {
    const auto [low, high] = a;
    if (!(low < high)) reject(fmt::format("needs low < high, got {} and {}", low, high));
    if (!(high - low <= largest_of(dtype) && std::max(std::abs(low), std::abs(high)) <= largest_of(dtype)))
      reject(
          fmt::format("needs low, high and high - low in the range of {}, got {} and {}", name_of(dtype), low, high));
    if (rounded(low, dtype) == rounded(high, dtype))
      reject(fmt::format("needs low < high in {}, got {} and a high {} above it", name_of(dtype), low, high - low));
  }
  void run(const Kernel& k) const override {
    const Stream s = stream_of(arguments(k), k.in<std::int32_t>(0));
    const Index first = first_row(arguments(k), k.in<std::int32_t>(0));
    dispatch_float(k.type.dtype, [&]<class T>() {
      const T low = static_cast<T>(arguments(k).settings.low), high = static_cast<T>(arguments(k).settings.high);
      const T span = high - low;
      constexpr Index each = sizeof(T) == 4 ? 4 : 2;
      over_rows(k.out_shape(), [&](Index begin, Index end, Index n) {
        for (Index row = begin; row < end; ++row)
          for (Index e = 0; e < n; e += each) {
            const Block w = s.block(first + row, e / each);
            T* out = k.out<T>() + row * n + e;
            for (Index i = 0; i < std::min(each, n - e); ++i) out[i] = std::min(low + span * uniform<T>(w, i), high);
          }
      });
    });
  }
  double element(const Stream& s, const UniformSettings& a, Dtype dtype, Index row, Index e, Index) const override {
    return std::min(a.low + (a.high - a.low) * plain_uniform(s, dtype, row, e), a.high);
  }

  template <class T>
  static T uniform(const Block& w, Index i) {
    const std::size_t at = static_cast<std::size_t>(i);
    if constexpr (sizeof(T) == 4)
      return open_uniform(w[at]);
    else
      return open_uniform(wide(w[2 * at], w[2 * at + 1]));
  }
};

struct DrawNormal final : DrawOp<NormalSettings> {
  DrawNormal() : DrawOp("draw_normal") {}
  std::vector<NormalSettings> settings() const override { return {{}, {}, {}}; }
  void run(const Kernel& k) const override {
    const Stream s = stream_of(arguments(k), k.in<std::int32_t>(0));
    const Index first = first_row(arguments(k), k.in<std::int32_t>(0));
    dispatch_float(k.type.dtype, [&]<class T>() {
      over_rows(k.out_shape(), [&](Index begin, Index end, Index n) { fill(s, first, begin, end, n, k.out<T>()); });
    });
  }
  double element(const Stream& s, const NormalSettings&, Dtype dtype, Index row, Index e, Index) const override {
    double u, v;
    if (dtype == Dtype::f32) {
      const Block w = s.block(row, e / 4);
      const std::size_t at = 2 * static_cast<std::size_t>(e / 2 % 2);
      u = (w[at] + 0.5) / 4294967296.0;
      v = (w[at + 1] + 0.5) / 4294967296.0;
    } else {
      u = plain_uniform(s, dtype, row, e / 2 * 2);
      v = plain_uniform(s, dtype, row, e / 2 * 2 + 1);
    }
    const double angle = 2 * std::numbers::pi * v;
    return std::sqrt(-2 * std::log(u)) * (e % 2 == 0 ? std::cos(angle) : std::sin(angle));
  }

 private:
  template <class T>
  static void fill(const Stream& s, Index first, Index begin, Index end, Index n, T* out) {
    alignas(alignment) Buffer<T> u, v, even, odd;
    std::array<T*, static_cast<std::size_t>(batch)> to;
    Index filled = 0;
    std::array<bool, static_cast<std::size_t>(batch)> single;
    const auto flush = [&] {
      box_muller<T>(filled, u, v, even.data(), odd.data());
      for (std::size_t i = 0; i < static_cast<std::size_t>(filled); ++i) {
        to[i][0] = even[i];
        if (!single[i]) to[i][1] = odd[i];
      }
      filled = 0;
    };
    for (Index row = begin; row < end; ++row) {
      Block w{};
      for (Index e = 0; e < n; e += 2) {
        const std::size_t i = static_cast<std::size_t>(filled++), at = static_cast<std::size_t>(e % 4);
        if constexpr (sizeof(T) == 4) {
          if (at == 0) w = s.block(first + row, e / 4);
          u[i] = fine_uniform(w[at]);
          v[i] = fine_uniform(w[at + 1]);
        } else {
          w = s.block(first + row, e / 2);
          u[i] = open_uniform(wide(w[0], w[1]));
          v[i] = open_uniform(wide(w[2], w[3]));
        }
        to[i] = out + row * n + e;
        single[i] = e + 1 == n;
        if (filled == batch) flush();
      }
    }
    flush();
  }
};

struct DrawIndex final : DrawOp<IndexSettings> {
  DrawIndex() : DrawOp("draw_index") {}
  std::vector<IndexSettings> settings() const override { return {{7}, {1}, {1000000007}, {0}}; }
  Dtype output(Dtype) const override { return Dtype::i32; }
  void check(const IndexSettings& a, Dtype) const override {
    if (!(a.count >= 1 && a.count <= 2147483648.0 && a.count == std::floor(a.count)))
      reject(fmt::format("needs a count between 1 and 2^31, got {}", a.count));
  }
  void run(const Kernel& k) const override {
    const Stream s = stream_of(arguments(k), k.in<std::int32_t>(0));
    const Index first = first_row(arguments(k), k.in<std::int32_t>(0));
    const std::uint64_t count = static_cast<std::uint64_t>(arguments(k).settings.count);
    over_rows(k.out_shape(), [&](Index begin, Index end, Index n) {
      for (Index row = begin; row < end; ++row)
        for (Index e = 0; e < n; ++e) {
          const Block w = s.block(first + row, e / 2);
          const std::size_t at = 2 * static_cast<std::size_t>(e % 2);
          // The high half of a 64 x 32-bit product, in two steps.
          const std::uint64_t carried = w[at + 1] * count + (w[at] * count >> 32);
          k.out<std::int32_t>()[row * n + e] = static_cast<std::int32_t>(carried >> 32);
        }
    });
  }
  double element(const Stream& s, const IndexSettings& a, Dtype, Index row, Index e, Index) const override {
    const Block w = s.block(row, e / 2);
    const std::size_t at = 2 * static_cast<std::size_t>(e % 2);
    const long double word = static_cast<long double>(wide(w[at], w[at + 1]));
    return static_cast<double>(
        std::floor(word * static_cast<long double>(static_cast<Index>(a.count)) / 18446744073709551616.0L));
  }
};

[[gnu::init_priority(library_ops)]] const DrawUniform uniform_op;
[[gnu::init_priority(library_ops)]] const DrawNormal normal_op;
[[gnu::init_priority(library_ops)]] const DrawIndex index_op;

}  // namespace

const Op& draw_uniform_op() { return uniform_op; }
const Op& draw_normal_op() { return normal_op; }
const Op& draw_index_op() { return index_op; }

}  // namespace wengert
