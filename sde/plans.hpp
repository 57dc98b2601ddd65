// What the integrators share: their plans by the types of a state, and checks.
#pragma once
#include <algorithm>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "autodiff/plan.hpp"
#include "sde/state.hpp"

namespace wengert::sde {

// Values made once for each list of types. References to them hold. The last type of a list may be a mark that tells
// apart what the others do not.
template <class Value>
class ByTypes {
 public:
  template <class Make>
  Value& find(std::span<const Type> types, Make&& make) {
    for (Entry& entry : entries_)
      if (std::equal(types.begin(), types.end(), entry.types.begin(), entry.types.end())) return found(entry);
    entries_.push_back({{types.begin(), types.end()}, make()});
    return found(entries_.back());
  }

  struct Entry {
    std::vector<Type> types;
    Value value;
  };
  // What was found last. Throws Error in a solver's name before.
  Entry& last(std::string_view solver) const {
    if (last_ == nullptr) throw Error("[" + std::string(solver) + "] has no plan before the first run");
    return *last_;
  }

 private:
  Value& found(Entry& entry) {
    last_ = &entry;
    return entry.value;
  }
  std::deque<Entry> entries_{};
  Entry* last_ = nullptr;
};

// Throws Error in a solver's name unless there is a state, of one floating dtype, whose arrays have rows, all as many.
void check_state(std::string_view solver, std::span<const Array> state);

// Throws Error in a solver's name unless the types are those of the arrays.
void check_parts(std::string_view solver, const State& got, std::span<const Var> wanted);

// Compiles f for inputs of these types, of which those from `first_rows` on are arrays of rows.
Plan compile_rows(const PlanFunction& f, std::span<const Type> types, std::size_t first_rows, Dtype dtype);

// Plan::profile() of a plan that was compiled so: on ones.
std::string profile_rows(Plan& plan, std::span<const Type> types);

}  // namespace wengert::sde
