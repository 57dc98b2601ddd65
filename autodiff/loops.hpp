// Loops as one node: a step is recorded once and run any number of times. A plan of it has as many nodes for a million
// steps as for one, and on an eager tape a loop keeps nothing of what lies between its steps.
//
//   // A recurrent cell over x [T, B, 4]; w and u are captured. hs [T, B, 8] are all its states.
//   auto [last, hs] = scan([&](Var h, Var x) {
//     const Var next = tanh(matmul(h, w) + matmul(x, u));
//     return std::pair(next, next);
//   }, h0, xs);
//
// A carry, xs and what a step keeps are one Var or several: std::array, std::pair, std::tuple and std::vector of them,
// and structs that visit their fields (attributes.hpp). The bits are those of the loop written out. A derivative of any
// order and mode is a loop again: gradients flow to the carry, to xs and to all that a step captured.
//
// A step is called once, on Vars that have no values: it records, and does not choose by them. What it records must not
// be used outside of it. Draws in it differ from step to step: those of step i are what Draw(draw_state_at(state, i))
// draws; but a state that a step makes of its arguments is taken as it is.
#pragma once
#include <array>
#include <concepts>
#include <functional>
#include <optional>
#include <ranges>
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "autodiff/var.hpp"

namespace wengert {

struct ScanOptions {
  // Reverse mode keeps the carry of each of T steps and computes what else it needs again. With n checkpoints it keeps
  // n + T/n of them, and runs the steps once more.
  Index checkpoints = 0;
  bool reverse = false;  // from the last step to the first; ys still lie as xs do
};

template <class Carry, class Ys>
struct Scanned {
  Carry carry;  // after the last step
  Ys ys;        // what each step kept, along a new first axis
};

namespace detail {

template <class T, class F>
void each_var(T& vars, F&& f) {
  if constexpr (std::same_as<T, Var>)
    f(vars);
  else if constexpr (requires { vars.fields([](const auto&, auto&) {}); })
    vars.fields([&](const auto&, auto& field) { each_var(field, f); });
  else if constexpr (std::ranges::range<T>)
    for (auto& var : vars) each_var(var, f);
  else
    std::apply([&](auto&... parts) { (each_var(parts, f), ...); }, vars);
}

template <class T>
std::vector<Var> listed(T vars) {
  std::vector<Var> list;
  each_var(vars, [&](Var var) { list.push_back(var); });
  return list;
}

// `like` with these Vars in place of its own.
template <class T>
T refilled(T like, std::span<const Var> list) {
  std::size_t next = 0;
  each_var(like, [&](Var& var) { var = list[next++]; });
  return like;
}

using VarList = std::vector<Var>;
using VarLists = Scanned<VarList, VarList>;
using ListStep = std::function<VarLists(std::span<const Var> carry, std::span<const Var> xs)>;
using ListFunction = std::function<VarList(std::span<const Var> carry)>;

VarLists scan(const ListStep& step, std::span<const Var> carry, std::span<const Var> xs, std::optional<Index> length,
              const ScanOptions& options, Where where);
VarList while_loop(const ListFunction& condition, const ListFunction& step, std::span<const Var> carry, Where where);

// `call(carry, xs)` calls the user's step.
template <class Carry, class Call>
auto scan_as(Call&& call, const Carry& carry, std::span<const Var> xs, std::optional<Index> length,
             const ScanOptions& options, Where where) {
  using Result = std::invoke_result_t<Call&, Carry, std::span<const Var>>;
  const VarList start = listed(carry);
  if constexpr (std::same_as<Result, Carry>) {
    const ListStep step = [&](std::span<const Var> now, std::span<const Var> x) {
      return VarLists{listed(call(refilled(carry, now), x)), {}};
    };
    return refilled(carry, scan(step, start, xs, length, options, where).carry);
  } else {
    static_assert(
        requires(Result r) { requires std::same_as<decltype(r.first), Carry>; },
        "a step of scan returns the next carry, of the type that it got, or std::pair of it and what to keep");
    std::optional<decltype(Result::second)> kept;
    const ListStep step = [&](std::span<const Var> now, std::span<const Var> x) {
      auto result = call(refilled(carry, now), x);
      kept = result.second;
      return VarLists{listed(result.first), listed(result.second)};
    };
    const VarLists all = scan(step, start, xs, length, options, where);
    return Scanned<Carry, decltype(Result::second)>{refilled(carry, all.carry), refilled(*kept, all.ys)};
  }
}

}  // namespace detail

// step(carry, x) -> the next carry, or std::pair of it and what is kept of the step (y), for each x of xs: slices along
// their first axis, which has the same extent in all of them. Returns the last carry or, where steps keep something,
// {carry, ys}. Throws Error where xs differ in length, and where a step gives a carry of other shapes or dtypes than it
// got.
template <class Step, class Carry, class Xs>
requires std::invocable<Step&, Carry, Xs>
auto scan(Step&& step, const Carry& carry, const Xs& xs, const ScanOptions& options = {},
          Where where = Where::current()) {
  const std::vector<Var> list = detail::listed(xs);
  const auto call = [&](const Carry& now, std::span<const Var> x) { return step(now, detail::refilled(xs, x)); };
  return detail::scan_as(call, carry, list, {}, options, where);
}

// The same of a step(carry), so many times.
template <class Step, class Carry, WholeNumber Length>
requires std::invocable<Step&, Carry>
auto scan(Step&& step, const Carry& carry, Length length, const ScanOptions& options = {},
          Where where = Where::current()) {
  const auto call = [&](const Carry& now, std::span<const Var>) { return step(now); };
  return detail::scan_as(call, carry, {}, Index{Integer(length)}, options, where);
}

// step(carry) -> the next carry, as long as condition(carry), of one element, is not 0: before each step, so that there
// may be none. Forward mode and vmap pass through (of a batch, each slice ends by its own condition); reverse mode
// throws Error, since it would need to keep a carry for each of unknown many steps: that is what scan is for.
template <class Condition, class Step, class Carry>
requires std::same_as<std::invoke_result_t<Condition&, Carry>, Var> &&
    std::same_as<std::invoke_result_t<Step&, Carry>, Carry>
auto while_loop(Condition&& condition, Step&& step, const Carry& carry, Where where = Where::current()) {
  const auto go_on = [&](std::span<const Var> now) { return detail::VarList{condition(detail::refilled(carry, now))}; };
  const auto next = [&](std::span<const Var> now) { return detail::listed(step(detail::refilled(carry, now))); };
  return detail::refilled(carry, detail::while_loop(go_on, next, detail::listed(carry), where));
}

}  // namespace wengert
