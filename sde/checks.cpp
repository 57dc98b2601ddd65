#include "sde/checks.hpp"

#include <fmt/format.h>

#include <cmath>
#include <string>

#include "autodiff/error.hpp"
#include "autodiff/tape.hpp"

namespace wengert::sde {
namespace {

[[noreturn]] void refuse(std::string_view owner, std::string_view what, const std::string& wanted, Var got) {
  const Tape& tape = got.tape();
  throw Error(fmt::format("[{}] {} must be {}, got {}  ({})", owner, what, wanted, to_string(got.type()),
                          tape.location_of(tape.index_of(got, Where::current()))));
}

// [1], [1,1] and the like, or [B,1,...] of the other's rank.
bool is_scale(const Shape& shape, const Shape& like) {
  if (shape.rank() > like.rank()) return false;
  if (shape.size() == 1) return true;
  return shape.rank() == like.rank() && shape[0] == like[0] && shape.size() == like[0];
}

}  // namespace

void Owner::refuse(std::string_view what) const {
  throw Error(fmt::format("[{}] {}{}", name, what, where.line == 0 ? "" : "  (" + to_string(where) + ")"));
}

void check_option(bool fits, const Owner& owner, std::string_view option, std::string_view wanted, double got) {
  if (!fits) owner.refuse(fmt::format("{} must be {}, got {}", option, wanted, got));
}

bool is_positive(double value) { return value > 0 && std::isfinite(value); }

void check_function(bool empty, const Owner& owner, std::string_view what) {
  if (empty) owner.refuse(fmt::format("{} is an empty function", what));
}

void check_like(std::string_view owner, std::string_view what, Var got, Var like) {
  if (got.type() != like.type()) refuse(owner, what, to_string(like.type()), got);
}

void check_scale(std::string_view owner, std::string_view what, Var got, Var like) {
  if (got.type() == like.type()) return;
  if (got.dtype() != like.dtype() || !is_scale(got.shape(), like.shape()))
    refuse(owner, what, to_string(like.type()) + " or one number a row", got);
}

void check_times(std::string_view owner, Var got, Var like) {
  if (got.dtype() == like.dtype() && is_scale(got.shape(), like.shape())) return;
  refuse(owner, "t", fmt::format("{} [{},1] or [1,1]", name_of(like.dtype()), like.extent(0)), got);
}

}  // namespace wengert::sde
