// State: the arrays that a solver advances.
#pragma once
#include <string>
#include <vector>

#include "autodiff/ops.hpp"

namespace wengert::sde {

// Arrays on a tape that add and scale like one vector: points [B,d] and their log densities [B,1], say. They share one
// dtype. Further arrays may come along that no solver changes (probes, labels, conditions).
class State {
 public:
  State(Var x) : parts_{x} {}
  explicit State(std::vector<Var> parts, std::vector<Var> fixed = {})
      : parts_(std::move(parts)), fixed_(std::move(fixed)) {}

  std::size_t size() const { return parts_.size(); }
  Var operator[](std::size_t i) const { return at(parts_, i, "array"); }
  std::size_t fixed_size() const { return fixed_.size(); }
  Var fixed(std::size_t i) const { return at(fixed_, i, "fixed array"); }
  State with(std::vector<Var> parts) const { return State(std::move(parts), fixed_); }  // and what is fixed here

  // The sum takes what is fixed from the left. Throws Error where the numbers of arrays differ.
  friend State operator+(const State& a, const State& b) {
    if (a.size() != b.size()) throw Error("[state] an equation of several arrays must give as many, in their order");
    State sum = a;
    for (std::size_t i = 0; i < a.size(); ++i) sum.parts_[i] = a[i] + b[i];
    return sum;
  }
  friend State operator*(Operand factor, const State& a) {
    State product = a;
    for (Var& part : product.parts_) part = factor * part;
    return product;
  }

 private:
  static Var at(const std::vector<Var>& arrays, std::size_t i, const char* what) {
    if (i < arrays.size()) return arrays[i];
    throw Error(std::string("[state] there is no ") + what + " " + std::to_string(i) + ", only " +
                std::to_string(arrays.size()));
  }
  std::vector<Var> parts_, fixed_;
};

}  // namespace wengert::sde
