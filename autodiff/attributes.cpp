#include "autodiff/attributes.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <vector>

namespace wengert {

std::string to_string(const Attributes& a) {
  std::vector<std::string> parts;
  if (!a.axes.empty()) parts.push_back(fmt::format("axes {}", fmt::join(a.axes, ",")));
  if (!a.integers.empty()) parts.push_back(fmt::format("{}", fmt::join(a.integers, ",")));
  if (!a.reals.empty()) parts.push_back(fmt::format("{:g}", fmt::join(a.reals, ",")));
  return fmt::format("{}", fmt::join(parts, "; "));
}

namespace detail {

Dtype dtype_numbered(Index number) {
  if (number < 0 || number > static_cast<Index>(Dtype::i32))
    throw Error(fmt::format("no element type has the number {}", number));
  return static_cast<Dtype>(number);
}

void PrintField::append(std::string_view text) {
  if (!to_.empty()) to_ += ' ';
  to_ += text;
}
void PrintField::append(std::string_view name, std::string_view value) { append(fmt::format("{}={}", name, value)); }
void PrintField::operator()(std::string_view name, Axis axis) { append(fmt::format("{}={}", name, int(axis))); }
void PrintField::operator()(std::string_view name, const AxisList& axes) {
  append(fmt::format("{}=[{}]", name, fmt::join(axes, ",")));
}
void PrintField::operator()(std::string_view name, const Shape& shape) {
  append(fmt::format("{}=[{}]", name, fmt::join(shape.extents(), ",")));
}
void PrintField::operator()(std::string_view name, double real) { append(fmt::format("{}={}", name, real)); }
void PrintField::operator()(std::string_view name, Index integer) { append(fmt::format("{}={}", name, integer)); }
void PrintField::operator()(std::string_view name, bool flag) {
  if (flag) append(name);
}

}  // namespace detail
}  // namespace wengert
