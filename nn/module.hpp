// Module: parameters and modules under names. A module says what its children are, in one function; naming, gathering,
// saving and loading follow from it.
//
//   class Residual : public Module {
//    public:
//     Residual(Index width, Rng& rng) : inner_(width, width, rng) { name_parameters(); }
//     Var operator()(Operand x) const { return x.var() + inner_(x); }
//     void children(Visitor& visit) override { visit("inner", inner_); }
//    private:
//     Linear inner_;
//   };
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "nn/parameter.hpp"

namespace wengert::nn {

class Module;

// Receives the children of a module, one call each, in the order of PyTorch's state_dict.
class Visitor {
 public:
  virtual ~Visitor() = default;
  virtual void operator()(const std::string& name, Parameter& parameter) = 0;
  virtual void operator()(const std::string& name, Module& module) = 0;
  // A module that this one uses as it is: its parameters are in files, and no optimizer of this module moves them.
  virtual void frozen(const std::string& name, Module& module) = 0;
};

// Modules are values: a copy is deep, but for what is Frozen (nn/frozen.hpp).
class Module {
 public:
  virtual ~Module() = default;
  virtual void children(Visitor& visit) = 0;

  // Every parameter below this module, with its name from here, "layers.0.weight".
  std::vector<std::pair<std::string, Parameter*>> parameters();
  std::vector<std::pair<std::string, const Parameter*>> parameters() const;
  // Those of them that an optimizer moves.
  std::vector<std::pair<std::string, Parameter*>> trained();

 protected:
  Module() = default;
  Module(const Module&) = default;
  Module(Module&&) = default;
  Module& operator=(const Module&) = default;
  Module& operator=(Module&&) = default;

  // Called at the end of a constructor: parameters learn their names, for errors and printing; what is frozen keeps its
  // own.
  void name_parameters();
};

// Moves the trained parameters of a module into one store (or finds that they already fill one) and returns it. Throws
// Error when the module has none, they differ in dtype, or some of them already share a store with parameters of
// others.
std::shared_ptr<Store> gather(Module& module);

}  // namespace wengert::nn
