// Checks of arguments, whose errors name the solver or function, what was wanted and what came.
#pragma once
#include <string_view>
#include <type_traits>

#include "autodiff/var.hpp"

namespace wengert::sde {

// The name under which an error is thrown, and the user's line where it is known.
struct Owner {
  Owner(const char* owner) : name(owner) {}
  Owner(std::string_view owner, const Where& at) : name(owner), where(at) {}
  [[noreturn]] void refuse(std::string_view what) const;  // Error "[name] what  (ring.cpp:41)"

  std::string_view name;
  Where where{};
};

// Throws Error with "[owner] option must be wanted, got value" unless it fits.
void check_option(bool fits, const Owner& owner, std::string_view option, std::string_view wanted, double got);
bool is_positive(double value);  // and finite

// Throws Error with "[owner] what is an empty function" for a std::function that holds none, or a null pointer.
void check_function(bool empty, const Owner& owner, std::string_view what);
template <class F>
bool is_empty(const F& f) {
  if constexpr (std::is_pointer_v<F> || requires { f.target_type(); })
    return !f;
  else
    return false;
}

// Throws Error, with the line that recorded `got`, unless it has the type of `like`: what is only broadcast to it would
// give every row or every coordinate the same number.
void check_like(std::string_view owner, std::string_view what, Var got, Var like);
// The check of what may also be one number for each row, as a function of times [1,1] or [B,1] is.
void check_scale(std::string_view owner, std::string_view what, Var got, Var like);
// The check of times, which are one number for each row.
void check_times(std::string_view owner, Var got, Var like);

}  // namespace wengert::sde
