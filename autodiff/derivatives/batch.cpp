// Op::batched: how an op takes the axis of slices that vmap puts in front of its operands.
#include <algorithm>

#include "autodiff/ops.hpp"
#include "autodiff/tape.hpp"

namespace wengert {
namespace {

// The shapes of all operands, with an axis of `count` slices in front of those that are batched.
using Layout = std::vector<Shape> (*)(const Batch& b, Index count);

// Aligned as in broadcasting: the axes that an operand lacks come behind the slices. Parts of a concat want equal
// ranks.
std::vector<Shape> aligned(const Batch& b, Index count) {
  std::vector<Shape> shapes;
  for (std::size_t i = 0; i < b.operands.size(); ++i) {
    const Shape own = b.slice_shape(i);
    if (b.batched[i])
      shapes.push_back(own.padded(std::max(own.rank(), b.type.shape.rank())).prepended(count));
    else
      shapes.push_back(b.op.arity() < 0 ? own.prepended(1) : own);
  }
  return shapes;
}

std::vector<Shape> as_they_are(const Batch& b, Index count) {
  std::vector<Shape> shapes;
  for (std::size_t i = 0; i < b.operands.size(); ++i)
    shapes.push_back(b.batched[i] ? b.slice_shape(i).prepended(count) : b.slice_shape(i));
  return shapes;
}

std::vector<Shape> spread(const Batch& b, Index count) {
  std::vector<Shape> shapes;
  for (std::size_t i = 0; i < b.operands.size(); ++i) shapes.push_back(b.slice_shape(i).prepended(count));
  return shapes;
}

// True if the op gives [count, ...] for operands of these shapes.
bool gives_slices(const Batch& b, const std::vector<Shape>& shapes, Index count) {
  std::vector<Type> types;
  std::vector<const Type*> pointers;
  for (std::size_t i = 0; i < shapes.size(); ++i) types.push_back({b.operands[i].dtype(), shapes[i]});
  for (const Type& type : types) pointers.push_back(&type);
  try {
    return b.op.infer({pointers, b.attributes}) == Type{b.type.dtype, b.type.shape.prepended(count)};
  } catch (const Error&) {
    return false;
  }
}

Var one_by_one(const Batch& b) {
  std::vector<Operand> results;
  for (Index k = 0; k < b.count; ++k) {
    std::vector<Operand> slices;
    for (std::size_t i = 0; i < b.operands.size(); ++i)
      slices.emplace_back(b.batched[i]
                              ? reshape({slice({b.operands[i], b.where}, 0, k, k + 1), b.where}, b.slice_shape(i))
                              : b.operands[i],
                          b.where);
    const Var result = b.tape.record(b.op, slices, b.attributes, b.where);
    results.emplace_back(reshape({result, b.where}, b.type.shape.prepended(1)), b.where);
  }
  return concat(std::span<const Operand>(results), 0);
}

}  // namespace

Shape Batch::slice_shape(std::size_t i) const {
  const Shape& shape = operands[i].shape();
  return batched[i] ? shape.trailing(shape.rank() - 1) : shape;
}

Var Op::batched(const Batch& b) const {
  // Another number of slices, which is no extent of anything, shows where the right shape would be a coincidence.
  constexpr Index other = 104729;
  // A single operand has nothing to be aligned with.
  const auto layouts = b.operands.size() == 1 ? std::array<Layout, 3>{as_they_are, aligned, spread}
                                              : std::array<Layout, 3>{aligned, as_they_are, spread};
  for (const Layout layout : layouts) {
    const std::vector<Shape> shapes = layout(b, b.count);
    if (!gives_slices(b, shapes, b.count) || !gives_slices(b, layout(b, other), other)) continue;
    std::vector<Operand> operands;
    for (std::size_t i = 0; i < shapes.size(); ++i) {
      const Operand operand(b.operands[i], b.where);
      const bool same_size = operand.shape().size() == shapes[i].size();
      operands.emplace_back(operand.shape() == shapes[i] ? operand.var()
                            : same_size                  ? reshape(operand, shapes[i])
                                                         : broadcast_to(operand, shapes[i]),
                            b.where);
    }
    return b.tape.record(*this, operands, b.attributes, b.where);
  }
  return one_by_one(b);
}

}  // namespace wengert
