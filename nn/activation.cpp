#include "nn/activation.hpp"

namespace wengert::nn {

Activation& Activation::operator=(const Activation& other) {
  if (this == &other || (held_ && other.held_ && held_->assign(*other.held_))) return *this;
  held_ = other.held_ ? other.held_->copy() : nullptr;
  return *this;
}

Var Activation::operator()(Var x) const {
  if (!held_) throw Error("[activation] there is none: it was moved from, or never given");
  return (*held_)(x);
}

}  // namespace wengert::nn
