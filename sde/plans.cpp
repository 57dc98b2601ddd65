#include "sde/plans.hpp"

#include <fmt/format.h>

#include "autodiff/error.hpp"

namespace wengert::sde {

void check_state(std::string_view solver, std::span<const Array> state) {
  if (state.empty()) throw Error(fmt::format("[{}] needs a state of at least one array", solver));
  for (const Array& part : state) {
    const Type& type = part.type();
    if (!is_float(type.dtype) || type.dtype != state[0].dtype() || type.shape.rank() < 2 ||
        type.shape[0] != state[0].shape()[0])
      throw Error(fmt::format("[{}] needs a state of f32 or f64 of shapes [B,...] with the same B, got {} beside {}",
                              solver, to_string(type), to_string(state[0].type())));
  }
}

void check_parts(std::string_view solver, const State& got, std::span<const Var> wanted) {
  if (got.size() > wanted.size())
    throw Error(fmt::format("[{}] the equation gives {} arrays for a state of {}", solver, got.size(), wanted.size()));
  for (std::size_t i = 0; i < wanted.size(); ++i)
    if (i >= got.size() || got[i].type() != wanted[i].type())
      throw Error(fmt::format("[{}] the equation of a state {} gives {}", solver, to_string(wanted[i].type()),
                              i < got.size() ? to_string(got[i].type()) : "nothing for it"));
}

Plan compile_rows(const PlanFunction& f, std::span<const Type> types, std::size_t first_rows, Dtype dtype) {
  CompileOptions options;
  for (std::size_t i = first_rows; i < types.size(); ++i)
    if (types[i].shape.rank() > 0 && types[i].shape[0] == types[first_rows].shape[0]) options.rows.push_back(i);
  return compile(f, types, options, dtype);
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
