// The words of random programs. All are smooth where they are used, so that differences can judge them; kinks and ties
// are the business of the ops' own edge_cases.
#include <cmath>

#include "autodiff/ops.hpp"
#include "autodiff/transforms.hpp"
#include "tests/autodiff/programs.hpp"

namespace wengert::testing {
namespace {

using Numbers = std::vector<Index>;
using Shapes = std::vector<Shape>;
using Vars = std::span<const Var>;

template <class F>
Word elementwise(const char* text, F f) {
  return {text, 1, [](Random&, const Shapes&, Numbers&) { return true; },
          [f](Vars v, const Numbers&) { return f(v[0]); }};
}

template <class F>
Word binary(const char* text, F f) {
  return {text, 2, [](Random&, const Shapes& s, Numbers&) { return broadcast(s[0], s[1]).has_value(); },
          [f](Vars v, const Numbers&) { return f(v[0], v[1]); }};
}

// One number: an axis of the first operand, counted from the end.
bool choose_axis(Random& random, const Shapes& s, Numbers& n) {
  if (s[0].rank() == 0) return false;
  n = {-draw_index(random, 1, s[0].rank())};
  return true;
}
template <class F>
Word along_axis(const char* text, F f) {
  return {text, 1, choose_axis, [f](Vars v, const Numbers& n) { return f(v[0], static_cast<int>(n[0])); }};
}

bool choose_slice(Random& random, const Shapes& s, Numbers& n) {
  if (!choose_axis(random, s, n)) return false;
  const Index extent = s[0][static_cast<int>(n[0])], start = draw_index(random, 0, extent - 1);
  n.insert(n.end(), {start, draw_index(random, start + 1, extent), draw_index(random, 1, 2)});
  return true;
}
bool choose_embedding(Random& random, const Shapes& s, Numbers& n) {
  if (!choose_axis(random, s, n)) return false;
  const Index start = draw_index(random, 0, 1), step = draw_index(random, 1, 2);
  const Index least = start + (s[0][static_cast<int>(n[0])] - 1) * step + 1;
  n.insert(n.end(), {least + draw_index(random, 0, 1), start, step});
  return true;
}
// Another shape of as many elements: two neighbouring axes as one, or all.
bool choose_reshape(Random& random, const Shapes& s, Numbers& n) {
  if (s[0].rank() < 2) {
    n = {1, s[0].size()};
    return true;
  }
  const int at = static_cast<int>(draw_index(random, 0, s[0].rank() - 2));
  for (int axis = 0; axis < s[0].rank(); ++axis)
    if (axis == at + 1)
      n.back() *= s[0][axis];
    else
      n.push_back(s[0][axis]);
  return true;
}
bool choose_broadcast(Random& random, const Shapes& s, Numbers& n) {
  if (s[0].rank() > 2) return false;
  n = {draw_index(random, 1, 3)};
  for (Index extent : s[0].extents()) n.push_back(extent == 1 ? draw_index(random, 1, 3) : extent);
  return true;
}
bool choose_rows(Random& random, const Shapes& s, Numbers& n) {
  if (s[0].rank() == 0) return false;
  for (int i = 0; i < 3; ++i) n.push_back(draw_index(random, 0, s[0][0] - 1));
  return true;
}
bool any_rank(Random&, const Shapes& s, Numbers&) { return s[0].rank() > 0; }
bool matrix(Random&, const Shapes& s, Numbers&) { return s[0].rank() >= 2; }
bool square_matrix(Random&, const Shapes& s, Numbers&) { return s[0].rank() >= 2 && s[0][-1] == s[0][-2]; }
bool equal_shapes(Random&, const Shapes& s, Numbers&) { return s[0] == s[1]; }
bool vectors(Random&, const Shapes& s, Numbers&) { return s[0].rank() == 1 && s[0] == s[1]; }
bool products(Random& random, const Shapes& s, Numbers& n) {
  if (s[0].rank() < 2 || s[1].rank() < 2) return false;
  n = {draw_index(random, 0, 1), draw_index(random, 0, 1)};
  Shape a = s[0].leading(s[0].rank() - 2), b = s[1].leading(s[1].rank() - 2);
  return s[0][n[0] != 0 ? -2 : -1] == s[1][n[1] != 0 ? -1 : -2] && broadcast(a, b).has_value();
}
bool beside(Random& random, const Shapes& s, Numbers& n) {
  if (s[0].rank() == 0 || s[0].rank() != s[1].rank()) return false;
  n = {-draw_index(random, 1, s[0].rank())};
  for (int axis = -s[0].rank(); axis < 0; ++axis)
    if (axis != n[0] && s[0][axis] != s[1][axis] && s[0][axis] != 1 && s[1][axis] != 1) return false;
  return true;
}

bool both(Random&, const Shapes& s, Numbers&) { return broadcast(s[0], s[1]).has_value(); }

Shape shape_of(const Numbers& n) { return Shape(std::span<const Index>(n)); }

std::vector<Word> elementwise_words() {
  return {
      elementwise("-$0", [](Var x) { return -x; }),
      elementwise("0.5 * $0", [](Var x) { return 0.5 * x; }),
      elementwise("$0 + 1", [](Var x) { return x + 1; }),
      elementwise("square($0)", [](Var x) { return square(x); }),
      elementwise("pow($0, 3)", [](Var x) { return pow(x, 3); }),
      elementwise("exp($0)", [](Var x) { return exp(x); }),
      elementwise("expm1($0)", [](Var x) { return expm1(x); }),
      elementwise("sqrt(1 + square($0))", [](Var x) { return sqrt(1 + square(x)); }),
      elementwise("log1p(square($0))", [](Var x) { return log1p(square(x)); }),
      elementwise("sin($0)", [](Var x) { return sin(x); }),
      elementwise("cos($0)", [](Var x) { return cos(x); }),
      elementwise("tanh($0)", [](Var x) { return tanh(x); }),
      elementwise("atan($0)", [](Var x) { return atan(x); }),
      elementwise("erf($0)", [](Var x) { return erf(x); }),
      elementwise("sigmoid($0)", [](Var x) { return sigmoid(x); }),
      elementwise("silu($0)", [](Var x) { return silu(x); }),
      elementwise("softplus($0)", [](Var x) { return softplus(x); }),
      elementwise("gelu($0)", [](Var x) { return gelu(x); }),
      elementwise("mish($0)", [](Var x) { return mish(x); }),
      elementwise("gelu_tanh($0)", [](Var x) { return gelu_tanh(x); }),
      elementwise("log_sigmoid($0)", [](Var x) { return log_sigmoid(x); }),
      elementwise("asinh($0)", [](Var x) { return asinh(x); }),
      elementwise("rsqrt(1 + square($0))", [](Var x) { return rsqrt(1 + square(x)); }),
      elementwise("sinc($0)", [](Var x) { return sinc(x); }),
      elementwise("lgamma(1 + square($0))", [](Var x) { return lgamma(1 + square(x)); }),
      elementwise("i0e(1 + square($0))", [](Var x) { return i0e(1 + square(x)); }),
      binary("$0 + $1", [](Var a, Var b) { return a + b; }),
      binary("$0 - $1", [](Var a, Var b) { return a - b; }),
      binary("$0 * $1", [](Var a, Var b) { return a * b; }),
      binary("$0 / (1 + square($1))", [](Var a, Var b) { return a / (1 + square(b)); }),
      binary("pow(1 + square($0), $1)", [](Var a, Var b) { return pow(1 + square(a), b); }),
      binary("atan2($0, 1 + square($1))", [](Var a, Var b) { return atan2(a, 1 + square(b)); }),
      binary("hypot($0, 1 + square($1))", [](Var a, Var b) { return hypot(a, 1 + square(b)); }),
      binary("xlogy($0, 1 + square($1))", [](Var a, Var b) { return xlogy(a, 1 + square(b)); }),
      binary("lerp($0, $1, 0.3)", [](Var a, Var b) { return lerp(a, b, 0.3); }),
      binary("logaddexp($0, $1)", [](Var a, Var b) { return logaddexp(a, b); }),
  };
}

std::vector<Word> reducing_words() {
  return {
      elementwise("mean($0)", [](Var x) { return mean(x); }),
      along_axis("sum($0, #0)", [](Var x, int axis) { return sum(x, axis); }),
      along_axis("mean($0, #0, {.keepdims = true})", [](Var x, int axis) { return mean(x, axis, {.keepdims = true}); }),
      along_axis("prod($0, #0)", [](Var x, int axis) { return prod(x, axis); }),
      along_axis("logsumexp($0, #0)", [](Var x, int axis) { return logsumexp(x, axis); }),
      along_axis("variance($0, #0, {.ddof = 0})", [](Var x, int axis) { return variance(x, axis, {.ddof = 0}); }),
      along_axis("softmax($0, #0)", [](Var x, int axis) { return softmax(x, axis); }),
      along_axis("log_softmax($0, #0)", [](Var x, int axis) { return log_softmax(x, axis); }),
      along_axis("cumprod($0, #0)", [](Var x, int axis) { return cumprod(x, axis); }),
      along_axis("logcumsumexp($0, #0)", [](Var x, int axis) { return logcumsumexp(x, axis); }),
      along_axis("repeat($0, 2, #0)", [](Var x, int axis) { return repeat(x, 2, axis); }),
      along_axis("cumsum($0, #0)", [](Var x, int axis) { return cumsum(x, axis); }),
      along_axis("cumsum($0, #0, {.reverse = true})",
                 [](Var x, int axis) { return cumsum(x, axis, {.reverse = true}); }),
      {"layer_norm($0, 1, 0, {.eps = 0.5})", 1, any_rank,
       [](Vars v, const Numbers&) { return layer_norm(v[0], 1, 0, {.eps = 0.5}); }},
  };
}

std::vector<Word> shape_words() {
  return {
      elementwise("transpose($0)", [](Var x) { return transpose(x); }),
      along_axis("flip($0, #0)", [](Var x, int axis) { return flip(x, axis); }),
      along_axis("roll($0, 1, #0)", [](Var x, int axis) { return roll(x, 1, axis); }),
      along_axis("unsqueeze($0, #0)", [](Var x, int axis) { return unsqueeze(x, axis); }),
      {"slice($0, #0, #1, #2, #3)", 1, choose_slice,
       [](Vars v, const Numbers& n) { return slice(v[0], static_cast<int>(n[0]), n[1], n[2], n[3]); }},
      {"slice_backward($0, #0, #1, #2, #3)", 1, choose_embedding,
       [](Vars v, const Numbers& n) { return slice_backward(v[0], static_cast<int>(n[0]), n[1], n[2], n[3]); }},
      {"reshape($0, {##})", 1, choose_reshape, [](Vars v, const Numbers& n) { return reshape(v[0], shape_of(n)); }},
      {"broadcast_to($0, {##})", 1, choose_broadcast,
       [](Vars v, const Numbers& n) { return broadcast_to(v[0], shape_of(n)); }},
      {"tile($0, {1, 2})", 1, any_rank,
       [](Vars v, const Numbers&) {
         return tile(v[0], {1, 2});
       }},
      {"index_select($0, 0, tape.input(Array::of<std::int32_t>({3}, {##})))", 1, choose_rows,
       [](Vars v, const Numbers& n) {
         Array rows(Dtype::i32, {3});
         for (Index i = 0; i < 3; ++i) rows.set(i, static_cast<double>(n[static_cast<std::size_t>(i)]));
         return index_select(v[0], 0, v[0].tape().input(rows));
       }},
      {"concat({$0, $1}, #0)", 2, beside,
       [](Vars v, const Numbers& n) {
         return concat({v[0], v[1]}, static_cast<int>(n[0]));
       }},
      {"stack({$0, $1}, 0)", 2, equal_shapes,
       [](Vars v, const Numbers&) {
         return stack({v[0], v[1]}, 0);
       }},
  };
}

std::vector<Word> linear_words() {
  return {
      {"matmul($0, $1, {.transpose_a = bool(#0), .transpose_b = bool(#1)})", 2, products,
       [](Vars v, const Numbers& n) {
         return matmul(v[0], v[1], {.transpose_a = n[0] != 0, .transpose_b = n[1] != 0});
       }},
      {"matmul($0, $0, {.transpose_b = true})", 1, matrix,
       [](Vars v, const Numbers&) { return matmul(v[0], v[0], {.transpose_b = true}); }},
      {"outer($0, $1)", 2, vectors, [](Vars v, const Numbers&) { return outer(v[0], v[1]); }},
      {"dot($0, $1)", 2, vectors, [](Vars v, const Numbers&) { return dot(v[0], v[1]); }},
      {"tril($0)", 1, matrix, [](Vars v, const Numbers&) { return tril(v[0]); }},
      {"diagonal($0)", 1, square_matrix, [](Vars v, const Numbers&) { return diagonal(v[0]); }},
      {"trace($0)", 1, square_matrix, [](Vars v, const Numbers&) { return trace(v[0]); }},
  };
}

// What changes how a function is recorded. A derivative of one's own takes its operand alone.
std::vector<Word> transforming_words() {
  return {
      elementwise("checkpoint([](Var x) { return sin(x) * x; }, $0)",
                  [](Var x) { return checkpoint([](Var z) { return sin(z) * z; }, x); }),
      {"checkpoint([&](Var x) { return tanh(x * $1) + $1; }, $0)", 2, both,
       [](Vars v, const Numbers&) { return checkpoint([w = v[1]](Var z) { return tanh(z * w) + w; }, v[0]); }},
      {"checkpoint([&](Var x) { return checkpoint([&](Var z) { return sum(z * $1, -1); }, cos(x)); }, $0)", 2,
       [](Random&, const Shapes& s, Numbers&) { return s[0].rank() > 0 && broadcast(s[0], s[1]).has_value(); },
       [](Vars v, const Numbers&) {
         const Function inner = [w = v[1]](Var z) { return sum(z * w, -1); };
         return checkpoint([&](Var z) { return checkpoint(inner, cos(z)); }, v[0]);
       }},
      elementwise("custom_derivative([](Var x) { return sin(x); }, [](Var x, Var, Var g) { return g * cos(x); }, $0)",
                  [](Var x) {
                    const PullBack rule = [](Var z, Var, Var g) { return g * cos(z); };
                    return custom_derivative([](Var z) { return sin(z); }, rule, x);
                  }),
      {"custom_derivative([](Var x) { return sum(square(x), -1); }, [](Var x, Var, Var g) { return 2 * x * "
       "unsqueeze(g, -1); }, $0)",
       1, any_rank,
       [](Vars v, const Numbers&) {
         const PullBack rule = [](Var z, Var, Var g) { return 2 * z * unsqueeze(g, -1); };
         return custom_derivative([](Var z) { return sum(square(z), -1); }, rule, v[0]);
       }},
  };
}

}  // namespace

const std::vector<Word>& vocabulary() {
  static const std::vector<Word> words = [] {
    std::vector<Word> all;
    for (auto part : {elementwise_words(), reducing_words(), shape_words(), linear_words(), transforming_words()})
      all.insert(all.end(), part.begin(), part.end());
    return all;
  }();
  return words;
}

}  // namespace wengert::testing
