#include "autodiff/loops/lists.hpp"

#include <fmt/format.h>

#include "autodiff/tape.hpp"

namespace wengert {

std::vector<Var> operands_of(const Call& call) {
  std::vector<Var> vars;
  for (int i = 0; i < call.arity(); ++i) vars.push_back(call.in(i));
  return vars;
}

std::vector<Type> types_of(std::span<const Var> vars) {
  std::vector<Type> types;
  for (Var var : vars) types.push_back(var.type());
  return types;
}

std::vector<Type> slices_of(std::span<const Var> xs) {
  std::vector<Type> types = types_of(xs);
  for (Type& type : types) type.shape = type.shape.trailing(type.shape.rank() - 1);
  return types;
}

std::vector<Var> chosen(std::span<const Var> vars, std::span<const std::size_t> which) {
  std::vector<Var> result;
  for (std::size_t i : which) result.push_back(vars[i]);
  return result;
}

void check_carry(const Tape& tape, const char* loop, std::span<const Var> carry, std::span<const Var> next,
                 Where where) {
  const auto refuse = [&](const std::string& what) {
    throw Error(fmt::format("[{}] a step must give the carry as it got it: {}  ({})", loop, what, tape.here(where)));
  };
  if (next.size() != carry.size()) refuse(fmt::format("{} arrays, it gave {}", carry.size(), next.size()));
  for (std::size_t i = 0; i < carry.size(); ++i) {
    tape.index_of(next[i], where, loop);
    if (next[i].type() != carry[i].type())
      refuse(fmt::format("{}{}, it gave {}", carry.size() > 1 ? fmt::format("array {} of it is ", i) : "",
                         to_string(carry[i].type()), to_string(next[i].type())));
  }
}

}  // namespace wengert
