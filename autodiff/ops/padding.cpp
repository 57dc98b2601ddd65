// Elements put before and after an array.
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "autodiff/ops.hpp"
#include "autodiff/ops/composite.hpp"
#include "autodiff/tape.hpp"

namespace wengert {
namespace {

// `count` elements on one side of x along an axis, which must have that many to give.
Var border(Var x, int axis, Index count, bool before, const PadOptions& options) {
  const Index n = x.extent(axis);
  Shape shape = x.shape();
  shape.set(axis, count);
  switch (options.mode) {
    case PadMode::constant:
      return x.tape().full(Type{x.dtype(), shape}, options.value);
    case PadMode::reflect:
      return before ? slice(x, axis, count, 0, -1)
                    : slice(x, axis, n - 2, n - 2 - count >= 0 ? n - 2 - count : to_end, -1);
    case PadMode::replicate:
      return broadcast_to(before ? slice(x, axis, 0, 1) : slice(x, axis, n - 1), shape);
    case PadMode::circular:
      return before ? slice(x, axis, n - count) : slice(x, axis, 0, count);
  }
  return {};
}

// The number of elements that an axis of extent n has for one side.
Index most(PadMode mode, Index n) {
  switch (mode) {
    case PadMode::constant:
      return most_elements;
    case PadMode::reflect:
      return std::max<Index>(0, n - 1);
    case PadMode::replicate:
      return n > 0 ? most_elements : 0;
    case PadMode::circular:
      return n;
  }
  return 0;
}

}  // namespace

Var pad(Operand x, std::span<const Padding> paddings, PadOptions options) {
  const Scope scope(x, "pad");
  Var result = x.var();
  for (const Padding& p : paddings) {
    const int axis = axis_of(x, p.axis, "pad");
    const Index n = result.extent(axis);
    if (p.before < 0 || p.after < 0)
      refuse(x, "pad", fmt::format("cannot take away: {} before and {} after axis {}", p.before, p.after, axis));
    if (p.before > most_elements || p.after > most_elements)
      refuse(x, "pad", fmt::format("no machine holds {} before and {} after axis {}", p.before, p.after, axis));
    if (std::max(p.before, p.after) > most(options.mode, n))
      refuse(x, "pad",
             fmt::format("axis {} of {} has no {} elements to give: {} at most in this mode", axis,
                         to_string(result.shape()), std::max(p.before, p.after), most(options.mode, n)));
    if (options.mode == PadMode::constant && options.value == 0) {
      result = slice_backward({result, x.where()}, axis, p.before + n + p.after, p.before);
      continue;
    }
    std::vector<Operand> parts;
    if (p.before > 0) parts.emplace_back(border(result, axis, p.before, true, options), x.where());
    parts.emplace_back(result, x.where());
    if (p.after > 0) parts.emplace_back(border(result, axis, p.after, false, options), x.where());
    result = concat(parts, axis, x.where());
  }
  return result;
}

Var pad(Operand x, std::initializer_list<Padding> paddings, PadOptions options) {
  return pad(x, std::span<const Padding>(paddings.begin(), paddings.size()), options);
}

}  // namespace wengert
