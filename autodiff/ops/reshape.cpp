// reshape, and the extents of 1 that it adds and takes away. They take every dtype.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "autodiff/ops/axes.hpp"
#include "autodiff/ops/known.hpp"
#include "autodiff/parallel.hpp"

namespace wengert {
namespace {

// x[..., trailing axes] -> x[..., new axes]
struct Reshape final : OpWith<ReshapeArguments> {
  Reshape() : OpWith({.name = "reshape", .linearity = Linearity::custom_jvp, .selects = true, .view = true}) {}
  bool supports(Dtype) const override { return true; }
  double tolerance(Dtype) const override { return 0; }

  Type infer(const Signature& s) const override {
    const auto [replaced, target] = arguments(s);
    const Shape& x = s.shape(0);
    if (replaced < 0 || replaced > x.rank())
      reject(fmt::format("cannot replace {} axes of {}", replaced, to_string(x)));
    const Shape last = x.trailing(static_cast<int>(replaced));
    if (last.size() != target.size())
      reject(fmt::format("{} has {} elements, {} has {}", to_string(x), x.size(), to_string(target), target.size()));
    return {s.dtype(0), x.leading(x.rank() - last.rank()).followed_by(target)};
  }
  void run(const Kernel& k) const override {
    const auto bytes = static_cast<Index>(k.type.bytes());
    // Shared as an elementwise op's elements are: whoever reads a part next has it in its cache.
    const Index piece = bytes < Index{1} << 17 ? std::max<Index>(1, bytes) : Index{1} << 14;
    parallel_pieces(bytes, piece, [&](Index begin, Index end) {
      std::memcpy(static_cast<std::byte*>(k.output) + begin, static_cast<const std::byte*>(k.operands[0]) + begin,
                  static_cast<std::size_t>(end - begin));
    });
  }
  Var vjp(const Call& c, int, Var g) const override { return reshape(g, c.shape(0)); }
  Var jvp(const Call& c, std::span<const Var> t) const override {  // linear, but its extents want every axis in full
    return record(*this, {broadcast_to(t[0], c.shape(0).prepended(t[0].extent(0)))}, c.attributes());
  }
  Rows rows(const Signature& s, const Type& out, int, int axis) const override {
    // Rows survive where everything outside them keeps its extent: then they are the same runs of memory.
    const int at = axis + s.shape(0).rank();
    if (at < out.shape.rank() && s.shape(0).leading(at + 1) == out.shape.leading(at + 1))
      return {RowRule::keeps, at - out.shape.rank()};
    return {RowRule::mixes, 0};
  }
  std::vector<Example> examples() const override {
    return {{{Sample{{2, 6}}}, with({2, {3, 4}})},
            {{Sample{{2, 6}}}, with({1, {3, 2}})},
            {{Sample{{1, 1}}}, with({2, {}})},
            {{Sample{{}}}, with({0, {1, 1}})},
            {{Sample{{0, 3}}}, with({2, {3, 0}})}};
  }
  std::vector<InvalidInput> invalid_inputs() const override {
    return {{{{Dtype::f32, {2, 3}}}, with({2, {4, 2}}), "[2, 3] has 6 elements, [4, 2] has 8"}};
  }
  Array reference(std::span<const Array> in, const Attributes&, const Type& out) const override {
    return Array::of<double>(out.shape, in[0].data<double>());
  }
};
[[gnu::init_priority(library_ops)]] const Reshape reshape_instance;

// The shape that `extents` state for x's elements.
Shape completed(const Operand& x, const Extents& extents) {
  const auto listed = extents.listed();
  const auto unknown = std::find(listed.begin(), listed.end(), -1);
  Shape known, whole;
  try {
    for (auto extent = listed.begin(); extent != listed.end(); ++extent)
      if (extent != unknown) known.append(*extent);
    if (unknown == listed.end()) return known;
    const Index elements = x.shape("reshape").size();
    if (known.size() == 0 || elements % known.size() != 0)
      throw Error(fmt::format("{} has {} elements: no extent for -1 makes them [{}]", to_string(x.shape()), elements,
                              join(listed)));
    for (auto extent = listed.begin(); extent != listed.end(); ++extent)
      whole.append(extent == unknown ? elements / known.size() : *extent);
  } catch (const Error& error) {
    const bool twice = unknown != listed.end() && std::find(unknown + 1, listed.end(), -1) != listed.end();
    refuse(x, "reshape", twice ? fmt::format("only one extent may be -1, got [{}]", join(listed)) : error.what());
  }
  return whole;
}

}  // namespace

const Op& reshape_op() { return reshape_instance; }

Var reshape(Operand x, const Extents& extents) {
  return record(reshape_op(), {x}, Reshape::with({x.rank(), completed(x, extents)}));
}

Var flatten(Operand x) { return reshape(x, {x.shape().size()}); }

Var unsqueeze(Operand x, Axis axis) { return reshape(x, with_one(x.shape(), new_axis(x, axis, "unsqueeze"))); }

Var squeeze(Operand x, Axis axis) {
  const int at = axis_of(x, axis, "squeeze");
  const Shape& shape = x.shape();
  if (shape[at] != 1)
    refuse(x, "squeeze", fmt::format("needs an extent of 1 on axis {}, got shape {}", at, to_string(shape)));
  return reshape(x, shape.leading(shape.rank() + at).followed_by(shape.trailing(-1 - at)));
}

Var squeeze(Operand x) {
  Shape kept;
  for (Index extent : x.shape().extents())
    if (extent != 1) kept.append(extent);
  return reshape(x, kept);
}

}  // namespace wengert
