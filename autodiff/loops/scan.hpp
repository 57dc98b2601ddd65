// Scans over lists of Vars, which derivatives of loops are recorded with.
#pragma once
#include "autodiff/loops.hpp"
#include "autodiff/loops/body.hpp"
#include "autodiff/loops/scan_range.hpp"

namespace wengert {

// `xs` are those that the body reads and, where it counts, the numbers of the steps, i32 [length]. Records one node and
// its unpacking.
detail::VarLists record_scan(Tape& tape, const RecordedBody& body, std::span<const Var> carry, std::span<const Var> xs,
                             ScanRange range, Where where);

// Throws Error, in the name of `loop`, where a step gives another carry than it got.
void check_carry(const Tape& tape, const char* loop, std::span<const Var> carry, std::span<const Var> next,
                 Where where);

// The types of slices along the first axis.
std::vector<Type> slices_of(std::span<const Var> xs);
// The Vars of these numbers.
std::vector<Var> chosen(std::span<const Var> vars, std::span<const std::size_t> which);
std::vector<Type> types_of(std::span<const Var> vars);

}  // namespace wengert
