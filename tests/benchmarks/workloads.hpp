// The training steps that are compared with other frameworks, W1 to W5 and W8: one unit of work is a compiled step that
// draws its batch, computes the loss and its gradient, and updates the parameters.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace wengert::benchmarks {

struct Workload {
  std::string name;           // "W1"
  std::string what;           // "triangles: 32 x 68-256x4-4"
  std::function<void()> run;  // one unit
  std::function<std::string()> explain, profile;
};

// Throws Error naming those that there are.
Workload make_workload(const std::string& name);
std::vector<std::string> workload_names();

}  // namespace wengert::benchmarks
