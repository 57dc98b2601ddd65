// What the integrators share: their plans by the types of a state, and checks.
#pragma once
#include <deque>
#include <string_view>
#include <vector>

#include "autodiff/plan.hpp"
#include "sde/state.hpp"

namespace wengert::sde {

// Values made once for each list of types. References to them hold.
template <class Value>
class ByTypes {
 public:
  template <class Make>
  Value& find(std::span<const Type> types, Make&& make) {
    for (Entry& entry : entries_)
      if (std::equal(types.begin(), types.end(), entry.types.begin(), entry.types.end())) return last(entry);
    entries_.push_back({{types.begin(), types.end()}, make()});
    return last(entries_.back());
  }
  Value* last() const { return last_; }  // that was found; null before

 private:
  struct Entry {
    std::vector<Type> types;
    Value value;
  };
  Value& last(Entry& entry) { return *(last_ = &entry.value); }
  std::deque<Entry> entries_{};
  Value* last_ = nullptr;
};

// Throws Error in a solver's name unless there is a state, of one floating dtype, whose arrays have rows, all as many.
void check_state(std::string_view solver, std::span<const Array> state);

// Throws Error in a solver's name unless the types are those of the arrays.
void check_parts(std::string_view solver, const State& got, std::span<const Var> wanted);

// Compiles f for inputs of these types, of which those from `first_rows` on are arrays of rows.
Plan compile_rows(const PlanFunction& f, std::span<const Type> types, std::size_t first_rows, Dtype dtype);

}  // namespace wengert::sde
