#include "sde/equation.hpp"

#include <fmt/format.h>

#include <vector>

#include "autodiff/error.hpp"

namespace wengert::sde {
namespace {

const char* name_of(Field::Part part) {
  return part == Field::Part::drift ? "the drift" : part == Field::Part::diffusion ? "the diffusion" : "the score";
}

}  // namespace

State Ode::operator()(const State& y, Var t) const {
  check_function(!f_, "ode", "the equation");  // one that was moved from
  const State slope = f_(y, t);
  if (slope.size() != y.size())
    throw Error(fmt::format("[ode] the equation gives {} arrays for a state of {}", slope.size(), y.size()));
  for (std::size_t i = 0; i < y.size(); ++i) check_like("ode", "the equation's value", slope[i], y[i]);
  return slope;
}

Field Field::as(Part part) const {
  check_function(!f_, "sde", name_of(part));
  Field field = *this;
  field.part_ = part;
  return field;
}

Var Field::operator()(const State& y, Var t) const {
  check_function(!f_, "sde", part_ ? name_of(*part_) : "the field");
  const Var value = f_(y, t);
  if (part_ == Part::diffusion)
    check_scale("sde", name_of(*part_), value, y[0]);
  else if (part_)
    check_like("sde", name_of(*part_), value, y[0]);
  return value;
}

Field in_dtype(Dtype dtype, const Field& score) {
  return [dtype, score = score.as(Field::Part::score)](const State& y, Var t) -> Var {
    const auto converted = [dtype](Var x) { return is_float(x.dtype()) ? cast(x, dtype) : x; };
    std::vector<Var> parts, fixed;
    for (std::size_t i = 0; i < y.size(); ++i) parts.push_back(converted(y[i]));
    for (std::size_t i = 0; i < y.fixed_size(); ++i) fixed.push_back(converted(y.fixed(i)));
    return cast(score(State(std::move(parts), std::move(fixed)), cast(t, dtype)), y[0].dtype());
  };
}

}  // namespace wengert::sde
