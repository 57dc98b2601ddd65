// What the tests of plans share: a function's graph, its values on an eager tape and by a plan.
#pragma once
#include <algorithm>
#include <cmath>
#include <span>
#include <string>
#include <vector>

#include "autodiff/plan.hpp"
#include "autodiff/plan/graph.hpp"
#include "autodiff/tape.hpp"
#include "tests/autodiff/helpers.hpp"

namespace wengert::testing {

using Vars = std::span<const Var>;
using Arrays = std::vector<Array>;

inline plan::Graph graph_of(const PlanFunction& f, const std::vector<Type>& inputs, Dtype dtype = Dtype::f32) {
  Tape tape(dtype, Tape::Mode::symbolic);
  std::vector<Var> vars;
  for (const Type& type : inputs) vars.push_back(tape.input(type));
  return plan::capture(tape, vars, f(vars));
}

inline bool computes(const plan::Value& value, const std::string& name) {
  return !value.is_leaf() && value.op->name() == name;
}

// How many nodes compute this op.
inline int count(const plan::Graph& graph, const std::string& name) {
  return static_cast<int>(std::count_if(graph.nodes.begin(), graph.nodes.end(),
                                        [&](const plan::Value& value) { return computes(value, name); }));
}

inline Arrays eagerly(const PlanFunction& f, const Arrays& inputs, Dtype dtype) {
  Tape tape(dtype);
  std::vector<Var> vars;
  for (const Array& input : inputs) vars.push_back(tape.input(input));
  Arrays values;
  for (Var var : f(vars)) values.push_back(var.value());
  return values;
}

inline std::vector<Type> types_of(const Arrays& arrays) {
  std::vector<Type> types;
  for (const Array& array : arrays) types.push_back(array.type());
  return types;
}

inline Arrays run(Plan& plan, const Arrays& inputs) {
  std::vector<PlanInput> given(inputs.begin(), inputs.end());
  const auto outputs = plan.run(std::span<const PlanInput>(given));
  return Arrays(outputs.begin(), outputs.end());
}

// The largest difference of two arrays of one type, relative to the largest entry of the second.
inline double distance(const Array& a, const Array& b) {
  double largest = 0, difference = 0;
  for (Index i = 0; i < a.size(); ++i) {
    largest = std::max(largest, std::abs(b.at(i)));
    difference = std::max(difference, std::abs(a.at(i) - b.at(i)));
  }
  return largest > 0 ? difference / largest : difference;
}

}  // namespace wengert::testing
