// What the integrators share: their plans by the types of a state, and checks.
#pragma once
#include <algorithm>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "autodiff/plan.hpp"
#include "sde/checks.hpp"
#include "sde/state.hpp"

namespace wengert::sde {

// Values made once for each key. References to them hold.
template <class Key, class Value>
class ByKey {
 public:
  template <class Make>
  Value& find(const Key& key, Make&& make) {
    std::size_t found = 0;
    while (found < entries_.size() && !(entries_[found].first == key)) ++found;
    if (found == entries_.size()) entries_.emplace_back(key, make());
    last_ = found;  // where `make` throws, what was found before stays
    return *entries_[last_].second;
  }
  // What was found last. Throws Error in a solver's name before.
  Value& last(std::string_view solver) const {
    if (last_ >= entries_.size()) throw Error("[" + std::string(solver) + "] has no plan before the first run");
    return *entries_[last_].second;
  }

 private:
  std::vector<std::pair<Key, std::unique_ptr<Value>>> entries_{};
  std::size_t last_ = 0;
};

// Throws Error in a solver's name unless there is a state, of one floating dtype, whose arrays are [B,...] of rank 2 or
// more, with the same B.
void check_state(const Owner& solver, std::span<const Array> state);

// Throws Error in a method's name unless the types are those of the arrays.
void check_parts(std::string_view method, const State& got, std::span<const Var> wanted);

// Compiles f for inputs of these types, of which those from `first_rows` on are arrays of rows.
Plan compile_rows(const PlanFunction& f, std::span<const Type> types, std::size_t first_rows, Dtype dtype);

// Of f on these values, some output of which is not finite: "NaN or an infinity: [log] made -inf at ...", with the op
// and its line as nonfinite_origin() finds them in an eager repetition.
std::string describe_nonfinite(const PlanFunction& f, std::span<const PlanInput> inputs, Dtype dtype);

// Plan::profile() of a plan that was compiled so: on ones.
std::string profile_rows(Plan& plan, std::span<const Type> types);

}  // namespace wengert::sde
