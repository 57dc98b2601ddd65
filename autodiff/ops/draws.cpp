#include "autodiff/ops/draws.hpp"

#include <fmt/format.h>
#include <algorithm>

#include <bit>
#include <cmath>
#include <limits>
#include <numbers>

#include "autodiff/kernels/philox.hpp"
#include "autodiff/kernels/simd.hpp"
#include "autodiff/ops/sources.hpp"
#include "autodiff/parallel.hpp"

namespace wengert {
namespace {

constexpr Index batch = 256;  // numbers that go through the SIMD functions together

// A block's number is a counter of 32 bits: so many elements of a row, and gamma's attempts at them, have blocks of
// their own.
constexpr Index counters = Index{1} << 32, most_elements_of_a_row = Index{1} << 25, most_attempts = 64;

// The largest and the smallest normal number of a float type.
double largest_of(Dtype dtype) {
  return dispatch_float(dtype, []<class T>() { return static_cast<double>(std::numeric_limits<T>::max()); });
}
double smallest_of(Dtype dtype) {
  return dispatch_float(dtype, []<class T>() { return static_cast<double>(std::numeric_limits<T>::min()); });
}
double rounded(double x, Dtype dtype) { return dtype == Dtype::f32 ? static_cast<double>(static_cast<float>(x)) : x; }

template <class T>
using Buffer = std::array<T, static_cast<std::size_t>(batch)>;

// sqrt(-2 ln u) times the cosine, and where wanted the sine, of 2 pi v
template <class T>
void box_muller(Index n, const Buffer<T>& u, const Buffer<T>& v, T* cosine, T* sine) {
  using B = simd::Batch<T>;
  const auto radius = [](B x) { return xsimd::sqrt(B(-2) * xsimd::log(x)); };
  const B turn(static_cast<T>(2 * std::numbers::pi));
  simd::map<2>(n, std::array<const T*, 2>{u.data(), v.data()}, cosine,
               [&](B a, B b) { return radius(a) * simd::cos(turn * b); });
  if (sine != nullptr)
    simd::map<2>(n, std::array<const T*, 2>{u.data(), v.data()}, sine,
                 [&](B a, B b) { return radius(a) * simd::sin(turn * b); });
}

template <class Settings>
struct DrawOp : OpWith<DrawArguments<Settings>> {
  using Arguments = DrawArguments<Settings>;
  explicit DrawOp(std::string name)
      : OpWith<Arguments>({.name = std::move(name), .linearity = Linearity::none, .brings_rows = true}) {}
  bool supports(Dtype) const override { return false; }  // examples fix their dtypes

  Type infer(const Signature& s) const override {
    if (s.dtype(0) != Dtype::i32 || s.shape(0) != Shape{4})
      reject(fmt::format("needs a state of i32 [4], got {}", to_string(*s.in[0])));
    const Arguments a = DrawOp::arguments(s);
    const Type type{a.dtype, a.shape};
    if (is_float(type.dtype) != is_float(output(Dtype::f64)))
      reject(fmt::format("does not draw {}", name_of(type.dtype)));
    if (a.stream < 0 || a.stream >= counters || a.first_row < 0 || a.first_row >= counters)
      reject(fmt::format("streams and rows are counted below 2^32, got {} and {}", a.stream, a.first_row));
    const Index rows = type.shape.rank() == 0 ? 1 : type.shape[0], elements = rows == 0 ? 0 : type.shape.size() / rows;
    if (rows > counters - a.first_row || elements > most_elements_of_a_row)
      reject(fmt::format("draws at most 2^32 rows of 2^25 elements, got {} after row {}", to_string(type.shape),
                         a.first_row));
    check(a.settings, type.dtype);
    return type;
  }
  // Refuses settings by name; `dtype` is the output's.
  virtual void check(const Settings&, Dtype /*dtype*/) const {}
  void move_rows(Attributes& attributes, Index first) const override {
    Arguments a = DrawOp::arguments(attributes);
    a.first_row += first;
    attributes = DrawOp::with(a);
  }

  static Stream stream_of(const Arguments& a, const std::int32_t* state) {
    const auto word = [&](int i) { return static_cast<std::uint32_t>(state[i]); };
    return {wide(word(0), word(1)), word(2), static_cast<std::uint32_t>(a.stream)};
  }

  // Of the whole plan or tape (state), and of a range of its rows (arguments).
  static Index first_row(const Arguments& a, const std::int32_t* state) {
    return static_cast<std::uint32_t>(state[3]) + a.first_row;
  }

  // rows(begin, end) over pieces of the first axis; each row has `elements`.
  template <class F>
  static void over_rows(const Shape& shape, F&& rows) {
    const Index count = shape.rank() == 0 ? 1 : shape[0], elements = count == 0 ? 0 : shape.size() / count;
    if (elements == 0) return;
    parallel_pieces(count, std::max<Index>(1, 1024 / elements),
                    [&](Index begin, Index end) { rows(begin, end, elements); });
  }

  std::vector<Example> examples() const override {
    const auto example = [&](Index stream, Index first_row, Dtype dtype, Shape shape, const Settings& settings) {
      return Example{{Sample{.shape = {4}, .values = {12345, -7, 3, 2}, .dtype = Dtype::i32}},
                     DrawOp::with({stream, first_row, output(dtype), shape, settings})};
    };
    const auto tried = settings();
    return {example(0, 0, Dtype::f32, {5, 3}, tried[0]),  example(1, 7, Dtype::f64, {5, 3}, tried[0]),
            example(2, 0, Dtype::f32, {300}, tried[1]),   example(2, 0, Dtype::f64, {2, 2, 5}, tried[1]),
            example(3, 0, Dtype::f32, Shape{}, tried[2]), example(0, 0, Dtype::f64, {0, 2}, tried[2])};
  }
  // Three for the examples, then one that is refused.
  virtual std::vector<Settings> settings() const = 0;
  virtual Dtype output(Dtype dtype) const { return dtype; }
  double tolerance(Dtype dtype) const override { return dtype == Dtype::f32 ? 4e-6 : 1e-14; }

  std::vector<InvalidInput> invalid_inputs() const override {
    Arguments plain{.dtype = output(Dtype::f32), .shape = {2}};
    std::vector<InvalidInput> all{{{{Dtype::i32, {3}}}, DrawOp::with(plain), "needs a state of i32 [4], got i32 [3]"}};
    if (settings().size() > 3) {
      plain.settings = settings()[3];
      all.push_back({{{Dtype::i32, {4}}}, DrawOp::with(plain), "needs "});
    }
    return all;
  }

  // element(stream, row, e, n) of every entry
  Array reference(std::span<const Array> in, const Attributes& attributes, const Type& out) const override {
    const Arguments a = DrawOp::arguments(attributes);
    std::array<std::int32_t, 4> state;
    for (Index i = 0; i < 4; ++i) state[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(in[0].at(i));
    const Index rows = out.shape.rank() == 0 ? 1 : out.shape[0], n = rows == 0 ? 0 : out.shape.size() / rows;
    Array result(Dtype::f64, out.shape);
    for (Index i = 0; i < result.size(); ++i)
      result.set(
          i, element(stream_of(a, state.data()), a.settings, out.dtype, first_row(a, state.data()) + i / n, i % n, n));
    return result;
  }
  virtual double element(const Stream& s, const Settings& a, Dtype dtype, Index row, Index e, Index n) const = 0;
};

// A uniform from element e of a row as random.hpp lays it out, for references.
double plain_uniform(const Stream& s, Dtype dtype, Index row, Index e) {
  if (dtype == Dtype::f32)
    return (std::floor(s.block(row, e / 4)[static_cast<std::size_t>(e % 4)] / 512.0) + 0.5) / 8388608.0;
  const Block w = s.block(row, e / 2);
  const std::size_t at = 2 * static_cast<std::size_t>(e % 2);
  return (std::floor((w[at + 1] * 4294967296.0 + w[at]) / 4096.0) + 0.5) / 4503599627370496.0;
}

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

struct DrawGamma final : DrawOp<GammaSettings> {
  DrawGamma() : DrawOp("draw_gamma") {}
  std::vector<GammaSettings> settings() const override { return {{2.5, 4}, {0.5, 1}, {200, 200}, {0, 1}}; }
  // The largest shape: the logarithm of the acceptance ratio is a difference of terms of this size, and is to be right
  // to .05.
  static double largest_shape(Dtype dtype) { return dtype == Dtype::f32 ? 2e5 : 1e14; }
  void check(const GammaSettings& a, Dtype dtype) const override {
    const auto [shape, rate] = a;
    if (!(shape > 0 && rate > 0) || !std::isfinite(shape) || !std::isfinite(rate))
      reject(fmt::format("needs a positive shape and rate, got {} and {}", shape, rate));
    if (shape > largest_shape(dtype))
      reject(fmt::format("needs a shape up to {:g} in {}, got {}", largest_shape(dtype), name_of(dtype), shape));
    // No value is above 64 max(shape, 1) / rate: normals of Box and Muller end at 8.7.
    if (!(1 / rate >= smallest_of(dtype) && 64 * std::max(shape, 1.0) / rate <= largest_of(dtype)))
      reject(fmt::format("needs a rate at which values are in the range of {}, got shape {} and rate {}",
                         name_of(dtype), shape, rate));
  }
  void run(const Kernel& k) const override {
    const Stream s = stream_of(arguments(k), k.in<std::int32_t>(0));
    const Index first = first_row(arguments(k), k.in<std::int32_t>(0));
    dispatch_float(k.type.dtype, [&]<class T>() {
      over_rows(k.out_shape(), [&](Index begin, Index end, Index n) {
        // Elements still to be drawn, a batch at a time; those rejected try again with the next attempt's block.
        for (Index at = begin * n; at < end * n; at += batch)
          draw<T>(s, arguments(k).settings, first, n, at, std::min(batch, end * n - at), k.out<T>());
      });
    });
  }
  double element(const Stream& s, const GammaSettings& settings, Dtype dtype, Index row, Index e,
                 Index n) const override {
    const double a = settings.shape, d = (a < 1 ? a + 1 : a) - 1.0 / 3, c = 1 / std::sqrt(9 * d);
    for (Index attempt = 0;; ++attempt) {
      if (attempt == most_attempts) return d / settings.rate;
      double u1, u2, u, power;
      const Index number = attempt * n + e;
      if (dtype == Dtype::f32) {
        const Block w = s.block(row, number);
        u1 = (w[0] + 0.5) / 4294967296.0;
        u2 = (w[1] + 0.5) / 4294967296.0;
        u = plain_uniform(s, dtype, row, 4 * number + 2);
        power = plain_uniform(s, dtype, row, 4 * number + 3);
      } else {
        u1 = plain_uniform(s, dtype, row, 4 * number);
        u2 = plain_uniform(s, dtype, row, 4 * number + 1);
        u = plain_uniform(s, dtype, row, 4 * number + 2);
        power = plain_uniform(s, dtype, row, 4 * number + 3);
      }
      const double x = std::sqrt(-2 * std::log(u1)) * std::cos(2 * std::numbers::pi * u2), v = std::pow(1 + c * x, 3);
      if (v > 0 && std::log(u) < 0.5 * x * x + d - d * v + d * std::log(v))
        return d * v * (a < 1 ? std::pow(power, 1 / a) : 1) / settings.rate;
    }
  }

 private:
  template <class T>
  static void draw(const Stream& s, const GammaSettings& settings, Index first, Index n, Index at, Index count,
                   T* out) {
    using B = simd::Batch<T>;
    const double a = settings.shape;
    const T d = static_cast<T>((a < 1 ? a + 1 : a) - 1.0 / 3),
            c = static_cast<T>(1 / std::sqrt(9 * ((a < 1 ? a + 1 : a) - 1.0 / 3)));
    const T scale = static_cast<T>(1 / settings.rate), exponent = static_cast<T>(1 / a);
    alignas(alignment) Buffer<T> u1, u2, u, power, x, value, accepted;
    std::array<Index, static_cast<std::size_t>(batch)> open;
    for (Index i = 0; i < count; ++i) open[static_cast<std::size_t>(i)] = at + i;
    // An attempt is accepted with a probability above .95 (Marsaglia and Tsang, section 3), of which rounding takes
    // less than .1: none in 2^200 fails so often. What would be left takes the mode.
    for (Index attempt = 0; count > 0 && attempt < most_attempts; ++attempt) {
      for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i)
        bits(s, first + open[i] / n, attempt * n + open[i] % n, u1[i], u2[i], u[i], power[i]);
      box_muller<T>(count, u1, u2, x.data(), static_cast<T*>(nullptr));
      const auto cubed = [&](B z) {
        const B w = B(1) + B(c) * z;
        return w * w * w;
      };
      simd::map<2>(count, std::array<const T*, 2>{x.data(), u.data()}, accepted.data(), [&](B z, B r) {
        const B v = cubed(z);
        const B bound = B(static_cast<T>(0.5)) * z * z + B(d) - B(d) * v + B(d) * xsimd::log(v);
        return simd::indicator<T>((v > B(0)) && (xsimd::log(r) < bound));
      });
      simd::map<2>(count, std::array<const T*, 2>{x.data(), power.data()}, value.data(), [&](B z, B r) {
        const B gamma = B(d) * cubed(z) * B(scale);
        return a < 1 ? gamma * xsimd::exp(B(exponent) * xsimd::log(r)) : gamma;
      });
      Index left = 0;
      for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
        if (accepted[i] != 0)
          out[open[i]] = value[i];
        else
          open[static_cast<std::size_t>(left++)] = open[i];
      }
      count = left;
    }
    for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) out[open[i]] = d * scale;
  }

  static void bits(const Stream& s, Index row, Index number, float& u1, float& u2, float& u, float& power) {
    const Block w = s.block(row, number);
    u1 = fine_uniform(w[0]);
    u2 = fine_uniform(w[1]);
    u = open_uniform(w[2]);
    power = open_uniform(w[3]);
  }
  static void bits(const Stream& s, Index row, Index number, double& u1, double& u2, double& u, double& power) {
    const Block first = s.block(row, 2 * number), second = s.block(row, 2 * number + 1);
    u1 = open_uniform(wide(first[0], first[1]));
    u2 = open_uniform(wide(first[2], first[3]));
    u = open_uniform(wide(second[0], second[1]));
    power = open_uniform(wide(second[2], second[3]));
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
[[gnu::init_priority(library_ops)]] const DrawGamma gamma_op;
[[gnu::init_priority(library_ops)]] const DrawIndex index_op;

}  // namespace

const Op& draw_uniform_op() { return uniform_op; }
const Op& draw_normal_op() { return normal_op; }
const Op& draw_gamma_op() { return gamma_op; }
const Op& draw_index_op() { return index_op; }

}  // namespace wengert
