// The reverse sweep, from several nodes at once.
#pragma once
#include <span>
#include <vector>

#include "autodiff/tape.hpp"

namespace wengert {

// The cotangents of xs under those of ys, each of its node's type; null where no y depends on an x.
std::vector<Var> pull_back(Tape& tape, std::span<const Var> ys, std::span<const Var> cotangents,
                           std::span<const Var> xs);

}  // namespace wengert
