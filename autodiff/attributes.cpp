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

void PrintField::append(std::string_view text) {
  if (!to_.empty()) to_ += ' ';
  to_ += text;
}
void PrintField::operator()(std::string_view name, Axis axis) { append(fmt::format("{}={}", name, int(axis))); }
void PrintField::operator()(std::string_view name, const AxisList& axes) {
  append(fmt::format("{}=[{}]", name, fmt::join(axes, ",")));
}
void PrintField::operator()(std::string_view name, double real) { append(fmt::format("{}={:g}", name, real)); }
void PrintField::operator()(std::string_view name, Index integer) { append(fmt::format("{}={}", name, integer)); }
void PrintField::operator()(std::string_view name, bool flag) {
  if (flag) append(name);
}

}  // namespace detail
}  // namespace wengert
