#include "autodiff/tape/provenance.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "autodiff/ops/sources.hpp"
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

// The nodes up to `top`, and on the way to it, that are not finite.
class Faults {
 public:
  Faults(const Tape& tape, std::uint32_t top) : tape_(tape), bad_(top + 1), stated_(top + 1) {
    std::vector<bool> reached(top + 1);
    reached[top] = true;
    for (std::uint32_t i = top + 1; i-- > 0;) {
      bad_[i] = reached[i] && first_nonfinite(tape.node(i)) != none;
      if (bad_[i])
        for (std::uint32_t operand : tape.operands(tape.node(i))) reached[operand] = true;
    }
    for (std::uint32_t i = 0; i <= top; ++i) stated_[i] = bad_[i] && is_stated(i);
  }

  bool has(std::uint32_t i) const { return bad_[i] && !stated_[i]; }
  // The first of them; a constant where there is nothing else.
  std::uint32_t first() const {
    for (std::uint32_t i = 0; i < bad_.size(); ++i)
      if (has(i)) return i;
    return static_cast<std::uint32_t>(std::find(bad_.begin(), bad_.end(), true) - bad_.begin());
  }

 private:
  // An infinite constant, or what an op takes over from such alone.
  bool is_stated(std::uint32_t i) const {
    const Node& node = tape_.node(i);
    const auto operands = tape_.operands(node);
    if (operands.empty()) return node.op == &full_op() && !std::isnan(tape_.var(i).value().at(0));
    const auto bad = [&](std::uint32_t operand) { return bad_[operand]; };
    const auto fine = [&](std::uint32_t operand) { return !bad_[operand] || stated_[operand]; };
    return node.op->selects() && std::any_of(operands.begin(), operands.end(), bad) &&
           std::all_of(operands.begin(), operands.end(), fine);
  }

  const Tape& tape_;
  std::vector<bool> bad_, stated_;
};

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
  text += fmt::format("  ({})", tape.location_of(index));
  for (std::uint32_t origin = node.origin; origin != Node::none; origin = tape.node(origin).origin)
    text += fmt::format(", in the derivative of [{}] %{}  ({})", tape.node(origin).op->name(), origin,
                        tape.location_of(origin));
  return text;
}

bool is_nonfinite(const Tape& tape, std::uint32_t index) {
  return first_nonfinite(tape.node(index)) != none && Faults(tape, index).has(index);
}

std::string nonfinite_origin(Var x, Where where) {
  const Tape& tape = Tape::of(x, where);
  const std::uint32_t top = tape.index_of(x, where);
  if (tape.symbolic())
    throw Error(fmt::format("nonfinite_origin: the tape is symbolic and has no values  ({})", to_string(where)));
  if (first_nonfinite(tape.node(top)) == none) return "";
  return describe_nonfinite(tape, Faults(tape, top).first());
}

}  // namespace wengert
