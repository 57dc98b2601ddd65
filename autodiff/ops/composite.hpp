// Checks of functions that record several ops, in the words of an op's refusal.
#pragma once
#include <fmt/format.h>

#include <span>
#include <string>
#include <vector>

#include "autodiff/var.hpp"

namespace wengert {

// Throws Error: "[stack] parts differ in shape: [2] and [3]  (triangles.cpp:41)".
[[noreturn]] inline void refuse(const Operand& at, const char* op, const std::string& text) {
  throw Error(fmt::format("[{}] {}  ({})", op, text, location_of(at)));
}

// The axis of x counted from the end; Error when there is no such axis.
inline int axis_of(const Operand& x, int axis, const char* op) {
  const int rank = x.rank(op);
  try {
    return normalise_axis(axis, rank);
  } catch (const Error& error) {
    refuse(x, op, fmt::format("{} of shape {}", error.what(), to_string(x.shape())));
  }
}

// Vars as operands of a call at one line.
inline std::vector<Operand> at_line(std::span<const Var> parts, Where where) {
  std::vector<Operand> operands;
  for (Var part : parts) operands.emplace_back(part, where);
  return operands;
}

}  // namespace wengert
