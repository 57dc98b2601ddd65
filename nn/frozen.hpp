// Frozen: a module that others use as it is. Copies share it, so that a plan which meets it twice (a student and a
// teacher over one base) computes it once.
#pragma once
#include <memory>
#include <utility>

#include "nn/module.hpp"

namespace wengert::nn {

template <class Net>
class Frozen {
 public:
  explicit Frozen(Net net) : net_(std::make_shared<Net>(std::move(net))) {}

  template <class... Operands>
  Var operator()(const Operands&... operands) const {
    return module()(operands...);
  }
  Net& module() const {
    if (net_ == nullptr) throw Error("this frozen module was moved from");
    return *net_;
  }

 private:
  std::shared_ptr<Net> net_;
};

}  // namespace wengert::nn
