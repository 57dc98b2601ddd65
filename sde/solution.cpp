#include "sde/solution.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>

#include "autodiff/error.hpp"

namespace wengert::sde {
namespace {

// By the bits of the exponent: whole registers at a time.
template <class T, class Word>
bool all_finite(const Array& array, Word exponent) {
  Word bad = 0;
  for (T value : array.data<T>()) bad |= static_cast<Word>((std::bit_cast<Word>(value) & exponent) == exponent);
  return bad == 0;
}

}  // namespace

const char* name_of(Outcome outcome) {
  switch (outcome) {
    case Outcome::reached:
      return "reached";
    case Outcome::not_finite:
      return "not finite";
    case Outcome::step_too_small:
      return "step too small";
    case Outcome::too_many_steps:
      return "too many steps";
  }
  return "";
}

const Solution& Solution::require() const& {
  if (outcome != Outcome::reached) throw Error(message);
  return *this;
}

Solution Solution::require() && {
  static_cast<const Solution&>(*this).require();
  return std::move(*this);
}

const Array& Solution::x() const& {
  if (state.empty()) throw Error("[solution] holds no state: it was moved from");
  return state[0];
}

Array Solution::x() && {
  static_cast<const Solution&>(*this).x();
  return std::move(state[0]);
}

bool is_finite(const Array& array) {
  return array.dtype() == Dtype::f64 ? all_finite<double>(array, std::uint64_t{0x7ff0000000000000})
                                     : all_finite<float>(array, std::uint32_t{0x7f800000});
}

std::string describe_failure(const Owner& solver, const Solution& solution, std::string_view what) {
  double low = std::numeric_limits<double>::infinity(), high = -low;
  for (const Array& part : solution.state)
    for (Index i = 0; i < part.size(); ++i) {
      low = std::min(low, part.at(i));
      high = std::max(high, part.at(i));
    }
  return fmt::format(
      "[{}] step {} from t = {:.9g}: {}; {}  ({})", solver.name, solution.statistics.accepted + 1, solution.t, what,
      low <= high ? fmt::format("the state lies in [{:.6g}, {:.6g}]", low, high) : "the state has no number in it",
      to_string(solver.where));
}

}  // namespace wengert::sde
