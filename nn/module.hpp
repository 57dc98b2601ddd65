// Module: parameters and modules under names. A module says what its children are, in one function; naming, gathering,
// saving, loading and assignment follow from it.
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
#include <string_view>
#include <utility>
#include <vector>

#include "autodiff/tape.hpp"
#include "nn/parameter.hpp"

namespace wengert::nn {

class Module;

// Receives the children of a module, one call each, in the order of PyTorch's state_dict. A child may be visited under
// several names (tied weights): files hold it under each of them, an optimizer moves it once.
class Visitor {
 public:
  virtual ~Visitor() = default;
  virtual void operator()(const std::string& name, Parameter& parameter) = 0;
  virtual void operator()(const std::string& name, Module& module) = 0;
  // A module that this one uses as it is: its parameters are in files, and no optimizer of this module moves them.
  virtual void frozen(const std::string& name, Module& module) = 0;
};

// Modules are values: a copy is deep, but for what is Frozen (nn/frozen.hpp). Moving one takes its parameters' places
// along: an optimizer or a plan goes on with the new object. The use of a module that was moved from is an Error.
//
// Assignment, of a temporary too, copies the numbers to where this module's parameters lie, so that optimizers and
// plans that hold them see them. Where one holds them, a module of other names, shapes, dtypes or frozen modules is an
// Error, and nothing has changed. (A module with members that cannot be copied has no assignment.)
class Module {
 public:
  virtual ~Module() = default;
  virtual void children(Visitor& visit) = 0;

  // Every parameter below this module, with its name from here, "layers.0.weight"; one that is visited under two names
  // comes twice.
  std::vector<std::pair<std::string, Parameter*>> parameters();
  std::vector<std::pair<std::string, const Parameter*>> parameters() const;
  // Those of them that an optimizer moves, each once, under its first name.
  std::vector<std::pair<std::string, Parameter*>> trained();

  const std::string& path() const { return path_; }  // from the root, "layers.0"; empty for a root

 protected:
  Module() = default;
  Module(const Module&) = default;
  Module(Module&&) = default;
  // A derived class' assignment begins here and goes on with its members. Without one that moves, a derived class
  // copies from temporaries too.
  Module& operator=(const Module& other);
  Module& operator=(Module&&) = delete;

  // Called at the end of a constructor: parameters and modules learn their names, for errors and printing; what is
  // frozen keeps its own.
  void name_parameters();

 private:
  friend class Namer;
  std::string path_;
};

// While it lives, nodes are recorded as part of a module that was called at the operand's line: a Scope with the
// module's path, without what the module around it said already. Every layer enters one, so that errors in it name the
// layer, whatever calls it.
class InModule {
 public:
  InModule(const Module& module, const Operand& at);
  ~InModule();
  InModule(const InModule&) = delete;
  InModule& operator=(const InModule&) = delete;

 private:
  const InModule* outer_;
  const Tape* tape_;
  std::string_view path_;
  Scope scope_;
};

Dtype trained_dtype(Module& module);  // of the first trained parameter; f32 where there is none

// Moves the trained parameters of a module into one store (or finds that they already fill one) and returns it. Throws
// Error when the module has none, they differ in dtype, a plan reads them elsewhere, or some of them belong to an
// optimizer of other parameters.
std::shared_ptr<Store> gather(Module& module);

}  // namespace wengert::nn
