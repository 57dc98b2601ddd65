// Activation: what a network applies to its hidden layers.
//
//   nn::Mlp net({.in = 3, .hidden = {64, 64}, .out = 2, .activation = silu}, rng);    // an op, by its name
//   .activation = [slope](Var x) { return maximum(x, slope * x); }
//   .activation = nn::PRelu()                                                         // with parameters
#pragma once
#include <concepts>
#include <memory>
#include <type_traits>
#include <utility>

#include "nn/module.hpp"

namespace wengert::nn {

template <class F>
concept ActivationFunction = std::copy_constructible<F> && std::is_invocable_r_v<Var, const F&, Var>;

// A function, an object that is called as one, or a Module; a value: a copy of one with parameters has its own. A
// network has a copy for each place and visits it where it is a module.
class Activation {
 public:
  Activation() = default;  // none
  Activation(Var (*function)(Operand)) { take(function); }
  template <class F>
  requires(!std::same_as<F, Activation> && !std::is_null_pointer_v<F> && ActivationFunction<F>) Activation(F function) {
    take(std::move(function));
  }
  Activation(const Activation& other) : held_(other.held_ ? other.held_->copy() : nullptr) {}
  Activation(Activation&&) noexcept = default;
  // Assigns between two modules of one type, as theirs: in place.
  Activation& operator=(const Activation& other);

  explicit operator bool() const { return held_ != nullptr; }
  Var operator()(Var x) const;                                    // throws Error where there is none
  Module* module() { return held_ ? held_->module() : nullptr; }  // null where it is no module
  const Module* module() const { return held_ ? held_->module() : nullptr; }

 private:
  struct Held {
    virtual ~Held() = default;
    virtual Var operator()(Var x) const = 0;
    virtual Module* module() = 0;
    virtual std::unique_ptr<Held> copy() const = 0;
    virtual bool assign(const Held& other) = 0;  // whether that is of this type and can be assigned
  };
  template <class F>
  struct Holding final : Held {
    static_assert(!std::derived_from<F, Module> || std::is_copy_assignable_v<F>, "a module that is assigned in place");
    explicit Holding(F f) : function(std::move(f)) {}
    Var operator()(Var x) const override { return function(x); }
    Module* module() override {
      if constexpr (std::derived_from<F, Module>)
        return &function;
      else
        return nullptr;
    }
    std::unique_ptr<Held> copy() const override { return std::make_unique<Holding>(function); }
    bool assign([[maybe_unused]] const Held& other) override {
      if constexpr (std::is_copy_assignable_v<F>)
        if (const auto* same = dynamic_cast<const Holding*>(&other)) {
          function = same->function;
          return true;
        }
      return false;
    }
    F function;
  };
  template <class F>
  void take(F function) {
    if constexpr (std::is_pointer_v<F> || requires { function.target_type(); })  // these may be empty
      if (!function) return;
    held_ = std::make_unique<Holding<F>>(std::move(function));
  }

  std::unique_ptr<Held> held_;
};

}  // namespace wengert::nn
