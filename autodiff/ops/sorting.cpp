// Order along one axis: argsort, and sort as the elements taken in that order.
#include <algorithm>
#include <cstdint>
#include <numeric>

#include "autodiff/kernels/strided.hpp"
#include "autodiff/op.hpp"
#include "autodiff/ops.hpp"
#include "autodiff/ops/composite.hpp"
#include "autodiff/tape.hpp"

namespace wengert {
namespace {

// x -> i32, the indices along axes[0] that sort x: ascending, equal ones in the order they came in, NaN last
struct Argsort final : Op {
  Argsort() : Op({.name = "argsort", .linearity = Linearity::none}) {}
  bool supports(Dtype) const override { return true; }
  double tolerance(Dtype) const override { return 0; }

  Type infer(const Signature& s) const override {
    normalise_axis(s.attributes.axes[0], s.shape(0).rank());
    return {Dtype::i32, s.shape(0)};
  }
  // Along the last axis the result is sorted where it lies.
  std::size_t scratch_bytes(const Signature& s, const Type& out) const override {
    return stride_of(s.shape(0), s.attributes.axes[0]) == 1 ? 0 : out.bytes();
  }
  void run(const Kernel& k) const override {
    const Index stride = stride_of(k.shape(0), k.attributes().axes[0]), n = k.shape(0)[k.attributes().axes[0]];
    if (k.out_shape().size() == 0) return;
    const auto out = k.out<std::int32_t>();
    dispatch(k.signature.dtype(0), [&]<class T>() {
      const Index grain = std::max<Index>(1, (Index{1} << 12) / n);
      parallel_pieces(k.out_shape().size() / n, grain, [&](Index begin, Index end) {
        for (Index lane = begin; lane < end; ++lane) {
          const Index start = lane / stride * n * stride + lane % stride;
          const T* x = k.in<T>(0) + start;
          std::int32_t* order = stride == 1 ? out + start : static_cast<std::int32_t*>(k.scratch) + lane * n;
          std::iota(order, order + n, 0);
          std::sort(order, order + n, [&](std::int32_t i, std::int32_t j) {  // std::stable_sort would allocate
            const T a = x[i * stride], b = x[j * stride];
            if (a < b || b < a) return a < b;
            const bool a_is_number = a == a, b_is_number = b == b;
            return a_is_number == b_is_number ? i < j : a_is_number;
          });
          if (stride != 1)
            for (Index i = 0; i < n; ++i) out[start + i * stride] = order[i];
        }
      });
    });
  }
  Rows rows(const Signature& s, const Type&, int, int axis) const override {
    return {axis == s.attributes.axes[0] ? RowRule::mixes : RowRule::keeps, axis};
  }
  Cost cost(const Signature& s, const Type& out) const override {
    Cost cost = Op::cost(s, out);
    for (Index n = s.shape(0)[s.attributes.axes[0]]; n > 2; n /= 2) cost.flops += static_cast<double>(out.shape.size());
    return cost;
  }
  std::vector<Example> examples() const override {
    return {{{Sample{{3, 5}}}, {.axes = {-1}}},
            {{Sample{{5, 3}}}, {.axes = {-2}}},
            {{Sample{{2, 4, 3}}}, {.axes = {-2}}},
            {{Sample{{2, 4, 3}}}, {.axes = {-3}}},
            {{Sample{{100}}}, {.axes = {-1}}}};
  }
  std::vector<Special> specials() const override {
    using namespace special_values;
    return {
        {{Sample{.shape = {6}, .values = {nan, infinity, -infinity, 1, nan, 0}}}, {.axes = {-1}}, {2, 5, 3, 1, 0, 4}},
        {{Sample{.shape = {4}, .values = {1, 0, 1, -0.0}}}, {.axes = {-1}}, {1, 3, 0, 2}},
        {{Sample{{0}}}, {.axes = {-1}}, {}},
        {{Sample{{0, 2}}}, {.axes = {-1}}, {}},
        {{Sample{{1}}}, {.axes = {-1}}, {0}}};
  }
  std::vector<Reject> rejects() const override {
    return {{{{Dtype::f32, {}}}, {.axes = {-1}}, "axis -1 is out of range for 0 axes"}};
  }
  Array reference(std::span<const Array> in, const Attributes& a, const Type& out) const override {
    Array result(Dtype::f64, out.shape);
    const Index stride = stride_of(out.shape, a.axes[0]), n = out.shape[a.axes[0]];
    for (Index i = 0; i < out.shape.size(); ++i) {  // the element that lies at i goes to its rank
      const Index mine = i / stride % n, start = i - mine * stride;
      Index rank = 0;
      for (Index other = 0; other < n; ++other) {
        const double x = in[0].at(i), y = in[0].at(start + other * stride);
        rank += y < x || (y == x && other < mine);
      }
      result.set(start + rank * stride, static_cast<double>(mine));
    }
    return result;
  }
};
[[gnu::init_priority(library_ops)]] const Argsort argsort_op;

}  // namespace

Var argsort(Operand x, Axis axis) { return record(argsort_op, {x}, {.axes = {axis_of(x, axis, "argsort")}}); }

Var sort(Operand x, Axis axis) {
  axis = axis_of(x, axis, "sort");
  const Scope scope(x, "sort");
  return take_along(x, argsort(x, axis), axis);
}

}  // namespace wengert
