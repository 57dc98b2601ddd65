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

}  // namespace wengert
