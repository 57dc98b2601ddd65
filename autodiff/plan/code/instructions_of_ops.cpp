#include "autodiff/plan/code/instructions_of_ops.hpp"

#include <algorithm>
#include <map>

#include "autodiff/kernels/sums.hpp"
#include "autodiff/ops/known.hpp"

namespace wengert::plan::code {
namespace {

constexpr Index most_terms = 256;  // of a product: multiply-adds of numbers or packs

Elements stretch(const Elements& x, Index begin, Index count) { return {x.begin() + begin, x.begin() + begin + count}; }

}  // namespace

Number InstructionsOfOps::elementwise(const Op& op, Dtype dtype, std::span<const Number> x) {
  using enum Code;
  const auto is = [&](const Op& other) { return &op == &other; };
  const auto number = [&](double value) { return to_.constant(value, dtype); };
  const auto larger = [&](Number a, Number b, Code compare) {  // or the one that is NaN
    const Number a_wins =
        to_.compute(mask_or, dtype, to_.compute(compare, dtype, a, b), to_.compute(unordered, dtype, a, a));
    return to_.compute(choose, dtype, a_wins, a, b);
  };
  static const std::map<const Op*, Code> plain{{&add_op(), add}, {&sub_op(), sub},   {&mul_op(), mul}, {&div_op(), div},
                                               {&neg_op(), neg}, {&sqrt_op(), sqrt}, {&abs_op(), abs}};
  static const std::map<const Op*, Code> comparisons{{&equal_op(), equal},     {&not_equal_op(), not_equal},
                                                     {&less_op(), less},       {&less_equal_op(), less_equal},
                                                     {&greater_op(), greater}, {&greater_equal_op(), greater_equal}};
  static const std::map<const Op*, Code> connectives{
      {&logical_and_op(), mask_and}, {&logical_or_op(), mask_or}, {&logical_xor_op(), mask_xor}};
  if (const auto code = plain.find(&op); code != plain.end())
    return to_.compute(code->second, dtype, x[0], x.size() > 1 ? x[1] : none);
  if (const auto code = comparisons.find(&op); code != comparisons.end())
    return to_.indicator(to_.compute(code->second, dtype, x[0], x[1]));
  if (const auto code = connectives.find(&op); code != connectives.end())
    return to_.indicator(to_.compute(code->second, dtype, to_.mask_of(x[0]), to_.mask_of(x[1])));
  if (is(logical_not_op())) return to_.indicator(to_.compute(mask_not, dtype, to_.mask_of(x[0])));
  if (is(where_op())) return to_.compute(choose, dtype, to_.mask_of(x[0]), x[1], x[2]);
  if (is(sign_op())) {
    const auto where = [&](Code compare, Number yes, Number no) {
      return to_.compute(choose, dtype, to_.compute(compare, dtype, x[0], number(0)), yes, no);
    };
    const Number of_a_number = where(greater, number(1), where(less, number(-1), number(0)));
    return to_.compute(choose, dtype, to_.compute(unordered, dtype, x[0], x[0]), x[0], of_a_number);
  }
  if (is(square_op())) return to_.compute(mul, dtype, x[0], x[0]);
  if (is(reciprocal_op())) return to_.compute(div, dtype, number(1), x[0]);
  if (is(rsqrt_op())) return to_.compute(div, dtype, number(1), to_.compute(sqrt, dtype, x[0]));
  if (is(maximum_op())) return larger(x[0], x[1], greater);
  if (is(minimum_op())) return larger(x[0], x[1], less);
  if (is(relu_op())) return larger(x[0], number(0), greater);
  if (is(relu_backward_op()))
    return to_.compute(choose, dtype, to_.compute(greater, dtype, x[1], number(0)), x[0], number(0));
  return none;
}

// The order of kernels/sums.hpp.
std::optional<Elements> InstructionsOfOps::sum(const AxisList& axes, const Shape& shape, Elements x, Dtype dtype) {
  if (axes.empty()) return x;
  const Index lanes = static_cast<Index>(lanes_of(dtype));
  bool chains = true;
  visit_runs(axes, shape, [&](const Run& run, bool) {
    const Index longest = run.inner > 1 ? chain_length : std::max<Index>(few_terms, 4 * lanes * chain_length);
    chains = chains && run.partial_sums(dtype).groups == 1 && run.reduced() <= longest;
  });
  if (!chains) return {};
  visit_runs(axes, shape, [&](const Run& run, bool) {
    Elements sums;
    for (Index o = 0; o < run.outer; ++o) {
      const Elements terms = stretch(x, o * run.reduced() * run.inner, run.reduced() * run.inner);
      const bool neighbours = run.inner == 1 && run.reduced() > few_terms;
      const Elements total =
          neighbours ? sum_of_neighbours(terms, dtype) : chain(terms, 0, run.inner, run.inner, dtype);
      sums.insert(sums.end(), total.begin(), total.end());
    }
    x = std::move(sums);
  });
  return x;
}
// Of `count` elements at `at`, and again every `stride` further on, as long as there are so many; from zero.
Elements InstructionsOfOps::chain(const Elements& x, Index at, Index count, Index stride, Dtype dtype) {
  Elements total = zeros(count, dtype);
  if (count == 0) return total;
  for (; at + count <= static_cast<Index>(x.size()); at += stride)
    total = combined(Code::add, dtype, {total, stretch(x, at, count)});
  return total;
}
// sum_neighbours() of more than few_terms: four packs side by side, the packs after them, and the lanes of it all.
Elements InstructionsOfOps::sum_of_neighbours(const Elements& x, Dtype dtype) {
  const auto add = [&](const Elements& a, const Elements& b) { return combined(Code::add, dtype, {a, b}); };
  const Index n = static_cast<Index>(x.size()), lanes = static_cast<Index>(lanes_of(dtype)), whole = 4 * lanes;
  Elements rest = stretch(x, n / whole * whole, n % whole), total = zeros(lanes, dtype);
  if (n >= whole) {
    const Elements blocks = stretch(x, 0, n / whole * whole);
    const auto sum_of = [&](Index which) { return chain(blocks, which * lanes, lanes, whole, dtype); };
    total = add(add(sum_of(0), sum_of(1)), add(sum_of(2), sum_of(3)));
  }
  const Element zero{to_.constant(0, dtype)};
  rest.resize((rest.size() + lanes_of(dtype) - 1) / lanes_of(dtype) * lanes_of(dtype), zero);
  total = add(total, chain(rest, 0, lanes, lanes, dtype));
  for (Index half = lanes / 2; half > 0; half /= 2) {
    Elements upper = total;
    std::rotate(upper.begin(), upper.begin() + half, upper.end());
    total = add(total, upper);
  }
  return {total[0]};
}

Elements InstructionsOfOps::zeros(Index count, Dtype dtype) {
  return Elements(static_cast<std::size_t>(count), Element{to_.constant(0, dtype)});
}
Elements InstructionsOfOps::combined(Code code, Dtype dtype, std::initializer_list<Elements> x) {
  return packs_.apply({x.begin(), x.size()}, x.begin()->size(), dtype, [&](auto each) {
    return to_.compute(code, dtype, each[0], each[1], each.size() > 2 ? each[2] : none);
  });
}

// The order of kernels/products.hpp: a chain of fused multiply-adds from zero. Row by row, or column by column where
// columns are what lies side by side.
std::optional<Elements> InstructionsOfOps::product(const MatmulOptions& options, const Shape& a, const Shape& b,
                                                   std::span<const Elements> operands, Dtype dtype) {
  if (a.rank() != 2 || b.rank() != 2) return {};
  const bool ta = options.transpose_a, tb = options.transpose_b;  // Clang's lambdas capture no structured bindings
  const Index m = ta ? a[1] : a[0], n = tb ? b[0] : b[1], k = ta ? a[0] : a[1];
  const bool by_columns = ta && tb;
  const Index lines = by_columns ? n : m, length = by_columns ? m : n;
  const Index terms = lines * k * static_cast<Index>(parts_of(static_cast<std::size_t>(length), dtype).size());
  if (terms > most_terms) return {};
  const auto of_a = [&](Index i, Index l) { return operands[0][static_cast<std::size_t>(ta ? l * m + i : i * k + l)]; };
  const auto of_b = [&](Index l, Index j) { return operands[1][static_cast<std::size_t>(tb ? j * k + l : l * n + j)]; };
  Elements result(static_cast<std::size_t>(m * n));
  for (Index line = 0; line < lines; ++line) {
    Elements total = zeros(length, dtype), x = total, y = total;
    for (Index l = 0; l < k; ++l) {
      for (Index e = 0; e < length; ++e) {
        const Index i = by_columns ? e : line, j = by_columns ? line : e;
        x[static_cast<std::size_t>(e)] = of_a(i, l);
        y[static_cast<std::size_t>(e)] = of_b(l, j);
      }
      total = combined(Code::fma, dtype, {x, y, total});
    }
    for (Index e = 0; e < length; ++e)
      result[static_cast<std::size_t>(by_columns ? e * n + line : line * n + e)] = total[static_cast<std::size_t>(e)];
  }
  return result;
}

}  // namespace wengert::plan::code
