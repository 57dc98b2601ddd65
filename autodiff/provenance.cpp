#include "autodiff/provenance.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "autodiff/tape.hpp"

namespace wengert {
namespace {

constexpr Index none = -1;

// The first element that is not finite.
Index first_nonfinite(const Node& node) {
  if (!is_float(node.type.dtype)) return none;
  return dispatch_float(node.type.dtype, [&]<class T>() {
    const T* values = static_cast<const T*>(node.data);
    for (Index i = 0; i < node.type.shape.size(); ++i)
      if (!std::isfinite(values[i])) return i;
    return none;
  });
}

// "[0, 1.7]", or "none" for no elements; NaN is passed over.
std::string range_of(const Node& node) {
  return dispatch(node.type.dtype, [&]<class T>() -> std::string {
    const T* values = static_cast<const T*>(node.data);
    double low = std::numeric_limits<double>::infinity(), high = -low;
    for (Index i = 0; i < node.type.shape.size(); ++i) {
      const double value = static_cast<double>(values[i]);
      if (value < low) low = value;
      if (value > high) high = value;
    }
    return low > high ? "nothing" : fmt::format("[{:g}, {:g}]", low, high);
  });
}

// Element i of an array as its indices, "[3, 0]".
std::string indices_of(Index i, const Shape& shape) {
  Shape at = shape;
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    at.set(axis, i % shape[axis]);
    i /= shape[axis];
  }
  return to_string(at);
}

}  // namespace

std::string describe_nonfinite(const Tape& tape, std::uint32_t index) {
  const Node& node = tape.node(index);
  const Index bad = first_nonfinite(node);
  if (bad == none) return "";
  const double value = tape.var(index).value().at(bad);
  const std::string name = tape.name_of(index);
  std::string text = fmt::format("[{}] {}{} {} at {} of {}", node.op->name(), name, name.empty() ? "made" : " holds",
                                 std::isnan(value) ? "nan"
                                 : value > 0       ? "inf"
                                                   : "-inf",
                                 indices_of(bad, node.type.shape), to_string(node.type));
  const auto operands = tape.operands(node);
  for (std::size_t i = 0; i < operands.size(); ++i)
    text += fmt::format("; operand {}, %{}, lies in {}", i, operands[i], range_of(tape.node(operands[i])));
  text += fmt::format("  ({})", tape.place_of(index));
  for (std::uint32_t origin = node.origin; origin != 0; origin = tape.node(origin - 1).origin)
    text += fmt::format(", in the derivative of [{}] %{}  ({})", tape.node(origin - 1).op->name(), origin - 1,
                        tape.place_of(origin - 1));
  return text;
}

std::string nonfinite_origin(Var x, Where where) {
  const Tape& tape = Tape::of(x, where);
  const std::uint32_t top = tape.index_of(x, where);
  if (tape.symbolic())
    throw Error(fmt::format("nonfinite_origin: the tape is symbolic and has no values  ({})", to_string(where)));
  if (first_nonfinite(tape.node(top)) == none) return "";
  // Downwards through operands that are not finite; a node without such an operand made it.
  std::vector<bool> bad(top + 1);
  bad[top] = true;
  std::uint32_t first = top;
  for (std::uint32_t i = top + 1; i-- > 0;) {
    if (!bad[i]) continue;
    bool made_here = true;
    for (std::uint32_t operand : tape.operands(tape.node(i)))
      if (first_nonfinite(tape.node(operand)) != none) {
        bad[operand] = true;
        made_here = false;
      }
    if (made_here) first = i;
  }
  return describe_nonfinite(tape, first);
}

}  // namespace wengert
