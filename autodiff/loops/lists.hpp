// Lists of Vars, as loops have them: operands, a carry, xs.
#pragma once
#include <span>
#include <vector>

#include "autodiff/op.hpp"

namespace wengert {

std::vector<Var> operands_of(const Call& call);
std::vector<Type> types_of(std::span<const Var> vars);
// The types of slices along the first axis.
std::vector<Type> slices_of(std::span<const Var> xs);
// The Vars of these numbers.
std::vector<Var> chosen(std::span<const Var> vars, std::span<const std::size_t> which);

// Throws Error, in the name of `loop`, where a step gives another carry than it got.
void check_carry(const Tape& tape, const char* loop, std::span<const Var> carry, std::span<const Var> next,
                 Where where);

}  // namespace wengert
