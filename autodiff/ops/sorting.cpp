// Order along one axis: argsort, the elements taken in that order, and the places of others among them.
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

#include "autodiff/kernels/strided.hpp"
#include "autodiff/ops/axes.hpp"
#include "autodiff/tape.hpp"

namespace wengert {
namespace {

struct ArgsortArguments {
  Axis axis = -1;
  Index first = -1;  // length of the result along the axis; negative: all
  bool descending = false;
  template <class Visit>
  void fields(Visit&& visit) {
    visit("axis", axis), visit("first", first), visit("descending", descending);
  }
};

// x -> i32, the indices along an axis that sort x, or the first of them: ascending or descending, equal ones in the
// order they came in, NaN as the largest
struct Argsort final : OpWith<ArgsortArguments> {
  Argsort() : OpWith({.name = "argsort", .linearity = Linearity::none}) {}
  bool supports(Dtype) const override { return true; }
  double tolerance(Dtype) const override { return 0; }

  Type infer(const Signature& s) const override {
    const auto [axis, first, descending] = arguments(s);
    normalise_axis(axis, s.shape(0).rank());
    Shape out = s.shape(0);
    if (first > out[axis]) reject(fmt::format("axis {} of {} has no {} elements", int{axis}, to_string(out), first));
    if (first >= 0) out.set(axis, first);
    return {Dtype::i32, out};
  }
  // All of the last axis are sorted where the result lies.
  std::size_t scratch_bytes(const Signature& s, const Type& out) const override {
    if (out.shape == s.shape(0) && stride_of(s.shape(0), arguments(s).axis) == 1) return 0;
    return static_cast<std::size_t>(s.shape(0).size()) * sizeof(std::int32_t);
  }
  void run(const Kernel& k) const override {
    const Index stride = stride_of(k.shape(0), arguments(k).axis), n = k.shape(0)[arguments(k).axis];
    const Index first = k.out_shape()[arguments(k).axis];
    const bool descending = arguments(k).descending;
    if (k.out_shape().size() == 0) return;
    const bool in_place = first == n && stride == 1;
    const auto out = k.out<std::int32_t>();
    dispatch(k.signature.dtype(0), [&]<class T>() {
      const Index grain = std::max<Index>(1, (Index{1} << 12) / n);
      parallel_pieces(k.shape(0).size() / n, grain, [&](Index begin, Index end) {
        for (Index lane = begin; lane < end; ++lane) {
          const T* x = k.in<T>(0) + lane / stride * n * stride + lane % stride;
          std::int32_t* to = out + lane / stride * first * stride + lane % stride;
          std::int32_t* order = in_place ? to : static_cast<std::int32_t*>(k.scratch) + lane * n;
          std::iota(order, order + n, 0);
          const auto before = [&](std::int32_t i, std::int32_t j) {
            const T a = x[i * stride], b = x[j * stride];
            if (a < b || b < a) return (a < b) != descending;
            const bool a_is_number = a == a, b_is_number = b == b;
            return a_is_number == b_is_number ? i < j : a_is_number != descending;
          };
          if (is_part(first, n))
            std::partial_sort(order, order + first, order + n, before);
          else
            std::sort(order, order + n, before);  // std::stable_sort would allocate
          if (!in_place)
            for (Index i = 0; i < first; ++i) to[i * stride] = order[i];
        }
      });
    });
  }
  Rows rows(const Signature& s, const Type&, int, int axis) const override {
    return {axis == arguments(s).axis ? RowRule::mixes : RowRule::keeps, axis};
  }
  Cost cost(const Signature& s, const Type& out) const override {
    Cost cost = Op::cost(s, out);
    const Index n = s.shape(0)[arguments(s).axis], first = out.shape[arguments(s).axis];
    const double elements = static_cast<double>(s.shape(0).size());
    cost.flops = elements;
    for (Index sorted = is_part(first, n) ? first : n; sorted > 2; sorted /= 2) cost.flops += elements;
    return cost;
  }
  std::vector<Example> examples() const override {
    return {{{Sample{{3, 5}}}, with({-1})},
            {{Sample{{5, 3}}}, with({-2})},
            {{Sample{{2, 4, 3}}}, with({-2})},
            {{Sample{{2, 4, 3}}}, with({-3})},
            {{Sample{{100}}}, with({-1})},
            {{Sample{{3, 5}}}, with({-1, 2})},
            {{Sample{{2, 40, 3}}}, with({-2, 3})},
            {{Sample{{4, 3}}}, with({-2, 0})},
            {{Sample{{2, 40, 3}}}, with({-2, 4, true})},
            {{Sample{{3, 5}}}, with({-1, -1, true})}};
  }
  std::vector<EdgeCase> edge_cases() const override {
    using namespace special_values;
    return {{{Sample{.shape = {6}, .values = {nan, infinity, -infinity, 1, nan, 0}}}, with({-1}), {2, 5, 3, 1, 0, 4}},
            {{Sample{.shape = {6}, .values = {1, nan, infinity, 1, nan, 0}}}, with({-1, 4, true}), {1, 4, 2, 0}},
            {{Sample{.shape = {4}, .values = {1, 0, 1, -0.0}}}, with({-1}), {1, 3, 0, 2}},
            {{Sample{{0}}}, with({-1}), {}},
            {{Sample{{0, 2}}}, with({-1}), {}},
            {{Sample{{1}}}, with({-1}), {0}}};
  }
  std::vector<InvalidInput> invalid_inputs() const override {
    return {{{{Dtype::f32, {}}}, with({-1}), "axis -1 is out of range for 0 axes"},
            {{{Dtype::f32, {2, 3}}}, with({-1, 4}), "axis -1 of [2, 3] has no 4 elements"}};
  }
  Array reference(std::span<const Array> in, const Attributes& a, const Type& out) const override {
    Array result(Dtype::f64, out.shape);
    const Index stride = stride_of(out.shape, arguments(a).axis), n = in[0].shape()[arguments(a).axis];
    const Index first = out.shape[arguments(a).axis];
    for (Index i = 0; i < in[0].size(); ++i) {  // the element that lies at i goes to its rank
      const Index mine = i / stride % n, start = i - mine * stride;
      Index rank = 0;
      for (Index other = 0; other < n; ++other) {
        const double x = in[0].at(i), y = in[0].at(start + other * stride);
        rank += (arguments(a).descending ? y > x : y < x) || (y == x && other < mine);
      }
      if (rank < first) result.set((i / (n * stride) * first + rank) * stride + i % stride, static_cast<double>(mine));
    }
    return result;
  }

 private:
  static bool is_part(Index first, Index n) { return first <= n / 4; }  // that is sorted faster than all
};
[[gnu::init_priority(library_ops)]] const Argsort argsort_op;

// sorted [..., n], values [..., m] -> i32 [..., m]: how many of the sorted lie below each value (with right: not above)
struct Searchsorted final : OpWith<SearchsortedOptions> {
  Searchsorted() : OpWith({.name = "searchsorted", .arity = 2, .linearity = Linearity::none}) {}
  bool supports(Dtype) const override { return true; }
  double tolerance(Dtype) const override { return 0; }

  Type infer(const Signature& s) const override {
    const Shape &sorted = s.shape(0), &values = s.shape(1);
    if (s.dtype(0) != s.dtype(1))
      reject(fmt::format("operands differ in dtype: {} and {} (use cast)", name_of(s.dtype(0)), name_of(s.dtype(1))));
    if (sorted.rank() < 1) reject("operand 0 needs at least one axis, got shape []");
    if (sorted.rank() > 1 && (values.rank() != sorted.rank() || !broadcasts_to(leading(sorted), leading(values))))
      reject(fmt::format("leading axes differ: {} and values {}", to_string(sorted), to_string(values)));
    return {Dtype::i32, values};
  }
  void run(const Kernel& k) const override {
    const Shape &sorted = k.shape(0), &values = k.out_shape();
    const bool right = arguments(k).right;
    const Index n = sorted[-1], m = sorted.rank() == 1 ? std::max<Index>(1, values.size()) : values[-1];
    const Walk lists = sorted.rank() == 1 ? Walk{} : broadcast_walk(leading(sorted), leading(values));
    dispatch(k.signature.dtype(0), [&]<class T>() {
      const auto below = [](T a, T b) { return a < b || (b != b && a == a); };
      parallel_pieces(values.size(), Index{1} << 10, [&](Index begin, Index end) {
        for (Index i = begin; i < end; ++i) {
          const T *from = k.in<T>(0) + position_of(lists, i / m) * n, value = k.in<T>(1)[i];
          const T* to =
              right ? std::upper_bound(from, from + n, value, below) : std::lower_bound(from, from + n, value, below);
          k.out<std::int32_t>()[i] = static_cast<std::int32_t>(to - from);
        }
      });
    });
  }
  Rows rows(const Signature& s, const Type& out, int operand, int axis) const override {
    if (operand == 1 && s.shape(0).rank() == 1) return {RowRule::pointwise, axis};
    if (operand == 0 && (axis == -1 || s.shape(0)[axis] != out.shape[axis])) return {RowRule::mixes, 0};
    return {RowRule::keeps, axis};
  }
  std::vector<Example> examples() const override {
    std::vector<Example> all;
    for (const bool right : {false, true}) {
      const Attributes side = with({.right = right});
      all.push_back({{list({4}, {-1, 0, 0.5, 1}), Sample{{3, 2}}}, side});
      all.push_back({{list({2, 3}, {-1, 0, 1, -0.5, 0.1, 0.2}), Sample{{2, 5}}}, side});
      all.push_back({{list({1, 2}, {-0.3, 0.4}), Sample{{3, 2}}}, side});
    }
    all.push_back({{list({2}, {-1, 1}), Sample{{}}}, with({})});
    all.push_back({{list({0}, {}), Sample{{3}}}, with({})});
    return all;
  }
  std::vector<EdgeCase> edge_cases() const override {
    using namespace special_values;
    const Sample sorted = list({5}, {1, 2, 2, infinity, nan}), values = list({6}, {-infinity, 1, 2, infinity, nan, 3});
    return {{{sorted, values}, with({}), {0, 0, 1, 3, 4, 3}},
            {{sorted, values}, with({.right = true}), {0, 1, 3, 4, 5, 3}},
            {{list({0}, {}), Sample{.shape = {1}, .values = {2}}}, with({}), {0}}};
  }
  std::vector<InvalidInput> invalid_inputs() const override {
    const Attributes left = with({});
    const auto f32 = [](Shape shape) { return Type{Dtype::f32, shape}; };
    return {{{f32({}), f32({2})}, left, "operand 0 needs at least one axis, got shape []"},
            {{f32({2, 3}), f32({3, 3})}, left, "leading axes differ: [2, 3] and values [3, 3]"},
            {{f32({2, 3}), f32({3})}, left, "leading axes differ: [2, 3] and values [3]"},
            {{f32({2}), {Dtype::f64, {3}}}, left, "operands differ in dtype: f32 and f64"}};
  }
  Array reference(std::span<const Array> in, const Attributes& a, const Type& out) const override {
    Array result(Dtype::f64, out.shape);
    const Shape& sorted = in[0].shape();
    const bool right = arguments(a).right;
    for (Index i = 0; i < result.size(); ++i) {
      const Index row = sorted.rank() == 1 ? 0 : i / out.shape[-1];
      const Index from = leading(sorted).size() == 1 ? 0 : row * sorted[-1];
      Index count = 0;
      for (Index j = 0; j < sorted[-1]; ++j)
        count += right ? in[0].at(from + j) <= in[1].at(i) : in[0].at(from + j) < in[1].at(i);
      result.set(i, static_cast<double>(count));
    }
    return result;
  }

 private:
  static Shape leading(const Shape& shape) { return shape.leading(shape.rank() - 1); }
  static Sample list(Shape shape, std::vector<double> values) { return {.shape = shape, .values = std::move(values)}; }
};
[[gnu::init_priority(library_ops)]] const Searchsorted searchsorted_op;

}  // namespace

Var argsort(Operand x, Axis axis) { return record(argsort_op, {x}, Argsort::with({axis_of(x, axis, "argsort")})); }

Var sort(Operand x, Axis axis) {
  axis = axis_of(x, axis, "sort");
  const Scope scope(x, "sort");
  return take_along(x, argsort(x, axis), axis);
}

Chosen topk(Operand x, Integer k, Axis axis, TopkOptions options) {
  const int along = axis_of(x, axis, "topk");
  const Index n = x.extent(along);
  if (k < 0 || k > n)
    refuse(x, "topk", fmt::format("axis {} of {} has no {} elements", along, to_string(x.shape()), Index{k}));
  const Scope scope(x, "topk");
  const Var order = record(argsort_op, {x}, Argsort::with({along, k, options.largest}));
  return {take_along(x, order, along), order};
}

Var searchsorted(Operand sorted, Operand values, SearchsortedOptions options) {
  return record(searchsorted_op, {sorted, values}, to_attributes(options));
}

}  // namespace wengert
