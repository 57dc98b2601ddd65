// The base of draws: batches of numbers, rows of a state, references.
#pragma once
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <numbers>

#include "autodiff/kernels/exponentials.hpp"
#include "autodiff/kernels/logarithms.hpp"
#include "autodiff/kernels/philox.hpp"
#include "autodiff/kernels/sines.hpp"
#include "autodiff/ops/draws.hpp"
#include "autodiff/ops/sources.hpp"
#include "autodiff/parallel.hpp"

namespace wengert::drawing {

inline constexpr Index batch = 256;  // numbers that go through the SIMD functions together

// A block's number is a counter of 32 bits: so many elements of a row, and gamma's attempts at them, have blocks of
// their own.
inline constexpr Index counters = Index{1} << 32, most_elements_of_a_row = Index{1} << 25, most_attempts = 64;

// The largest and the smallest normal number of a float type.
inline double largest_of(Dtype dtype) {
  return dispatch_float(dtype, []<class T>() { return static_cast<double>(std::numeric_limits<T>::max()); });
}
inline double smallest_of(Dtype dtype) {
  return dispatch_float(dtype, []<class T>() { return static_cast<double>(std::numeric_limits<T>::min()); });
}
inline double rounded(double x, Dtype dtype) {
  return dtype == Dtype::f32 ? static_cast<double>(static_cast<float>(x)) : x;
}

template <class T>
using Buffer = std::array<T, static_cast<std::size_t>(batch)>;

// sqrt(-2 ln u) times the cosine, and where wanted the sine, of 2 pi v
template <class T>
void box_muller(Index n, const Buffer<T>& u, const Buffer<T>& v, T* cosine, T* sine) {
  using B = simd::Batch<T>;
  const auto radius = [](B x) { return xsimd::sqrt(B(-2) * simd::log(x)); };
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

  // Draws of the whole plan or tape (state), and of a range of its rows (arguments).
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
inline double plain_uniform(const Stream& s, Dtype dtype, Index row, Index e) {
  if (dtype == Dtype::f32)
    return (std::floor(s.block(row, e / 4)[static_cast<std::size_t>(e % 4)] / 512.0) + 0.5) / 8388608.0;
  const Block w = s.block(row, e / 2);
  const std::size_t at = 2 * static_cast<std::size_t>(e % 2);
  return (std::floor((w[at + 1] * 4294967296.0 + w[at]) / 4096.0) + 0.5) / 4503599627370496.0;
}

}  // namespace wengert::drawing
