// What is compared with other frameworks. W1 to W5 and W8 train: one unit of work is a compiled step that draws its
// batch, computes the loss and its gradient, and updates the parameters. W6 and W9 are samplers, W7 a likelihood: one
// unit is a whole run. G1 to G10 are in classic.hpp.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "autodiff/dtype.hpp"

namespace wengert::benchmarks {

struct Workload {
  std::string name;            // "W1"
  std::string what;            // "triangles: 32 x 68-256x4-4"
  std::function<Index()> run;  // one unit; where it evaluates an equation adaptively, how often, otherwise 0
  std::function<std::string()> explain, profile;
  std::function<double()> checksum = {};  // of the results of a unit, where peers compute the same
};

// The workload of a request: its name and, of a training step, sizes other than its own, "W1 batch=41 width=230
// depth=4". Throws Error naming those that there are, or what is no size of it.
Workload make_workload(const std::string& request);
std::vector<std::string> workload_names();

}  // namespace wengert::benchmarks
