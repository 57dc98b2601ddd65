#include "sde/plans.hpp"

#include <fmt/format.h>

#include <cstring>

#include "autodiff/error.hpp"
#include "autodiff/provenance.hpp"
#include "autodiff/tape.hpp"

namespace wengert::sde {

void check_state(const Owner& solver, std::span<const Array> state) {
  if (state.empty()) solver.refuse("needs a state of at least one array");
  for (const Array& part : state) {
    const Type& type = part.type();
    if (!is_float(type.dtype) || type.dtype != state[0].dtype() || type.shape.rank() < 2 ||
        type.shape[0] != state[0].shape()[0])
      solver.refuse(fmt::format("needs a state of f32 or f64 of shapes [B,...] with the same B, got {} beside {}",
                                to_string(type), to_string(state[0].type())));
  }
}

void check_parts(std::string_view method, const State& got, std::span<const Var> wanted) {
  if (got.size() != wanted.size())
    throw Error(fmt::format("[{}] a step gives {} arrays for a state of {}", method, got.size(), wanted.size()));
  for (std::size_t i = 0; i < wanted.size(); ++i) check_like(method, "what a step gives", got[i], wanted[i]);
}

Plan compile_rows(const PlanFunction& f, std::span<const Type> types, std::size_t first_rows, Dtype dtype) {
  CompileOptions options;
  for (std::size_t i = first_rows; i < types.size(); ++i)
    if (types[i].shape.rank() > 0 && types[i].shape[0] == types[first_rows].shape[0]) options.rows.push_back(i);
  return compile(f, types, options, dtype);
}

std::string describe_nonfinite(const PlanFunction& f, std::span<const PlanInput> inputs, Dtype dtype) {
  Tape tape(dtype);
  std::vector<Var> values;
  for (const PlanInput& input : inputs) {
    Array array(*input.type);
    std::memcpy(array.raw(), input.data, array.type().bytes());
    values.push_back(tape.input(array));
  }
  for (Var output : f(values))
    if (const std::string origin = nonfinite_origin(output); !origin.empty()) return "NaN or an infinity: " + origin;
  return "NaN or an infinity";
}

std::string profile_rows(Plan& plan, std::span<const Type> types) {
  std::vector<Array> ones;
  for (const Type& type : types) {
    ones.emplace_back(type);
    for (Index i = 0; i < type.shape.size(); ++i) ones.back().set(i, 1);
  }
  const std::vector<PlanInput> inputs(ones.begin(), ones.end());
  return plan.profile(inputs);
}

}  // namespace wengert::sde
