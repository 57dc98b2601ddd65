// InstructionsOfOps: ops whose kernels are a few instructions on each element, in the order of these kernels.
#pragma once
#include <optional>

#include "autodiff/kernels/products.hpp"
#include "autodiff/ops/reduction.hpp"
#include "autodiff/plan/code/packs.hpp"

namespace wengert::plan::code {

class InstructionsOfOps {
 public:
  InstructionsOfOps(Builder& to, Packs& packs) : to_(to), packs_(packs) {}

  // An elementwise op on numbers or packs; `none` where it is more than a few instructions.
  Number elementwise(const Op& op, Dtype dtype, std::span<const Number> x);
  // Nothing where its order is not that of short chains.
  std::optional<Elements> sum(const AxisList& axes, const Shape& shape, Elements x, Dtype dtype);
  // Nothing where there are many terms, or products of stacks.
  std::optional<Elements> product(const MatmulOptions& options, const Shape& a, const Shape& b,
                                  std::span<const Elements> operands, Dtype dtype);

 private:
  Elements zeros(Index count, Dtype dtype);
  Elements combined(Code code, Dtype dtype, std::initializer_list<Elements> x);
  Elements chain(const Elements& x, Index at, Index count, Index stride, Dtype dtype);
  Elements sum_of_neighbours(const Elements& x, Dtype dtype);

  Builder& to_;
  Packs& packs_;
};

}  // namespace wengert::plan::code
