// Parameter: a named array of a module, held in a Store.
#pragma once
#include <memory>
#include <string>

#include "autodiff/var.hpp"
#include "nn/store.hpp"

namespace wengert::nn {

// The layout of a matrix in memory against that of files: a Linear's weight is [out, in] in files, as PyTorch's, and
// [in, out] in memory, where a product reads its rows.
enum class Layout { as_in_files, transposed };

// True if an optimizer moves it. What is fixed (frequencies drawn once, say) is in files all the same.
enum class Role { trained, fixed };

// A place in a store: what a tape and an optimizer need of a parameter. A copy names the same place.
struct Slot {
  std::shared_ptr<Store> store;
  Index offset = 0;
  Type type;  // with the shape in memory
  std::string name;

  // The leaf of this place on a tape, one for each tape and version, without a copy. It reads the store: after an
  // update ask again. On a symbolic tape, from which plans are made, it seals the store.
  Var on(Tape& tape, Where where = Where::current()) const;
};

Array constant(Index size, double value, Dtype dtype);  // what a parameter [size] begins with

// A value: a copy is deep, in a store of its own until an optimizer gathers it. Moving takes the place along, and what
// holds it (an optimizer, a plan) goes on with the new object; every use of what was moved from is an Error, but to
// assign to it.
class Parameter {
 public:
  // `value` as files hold it.
  explicit Parameter(const Array& value, Layout layout = Layout::as_in_files, Role role = Role::trained);
  Parameter(const Parameter& other);
  Parameter(Parameter&&) noexcept = default;
  // Copies the numbers to where this one lies, so that optimizers and plans which hold it see them. Of another type,
  // layout or role it takes them over in a store of its own, or throws Error where something holds it.
  Parameter& operator=(const Parameter& other);

  Var on(Tape& tape, Where where = Where::current()) const;  // in memory layout
  const Slot& slot() const;

  Shape shape() const;  // as files hold it
  Dtype dtype() const { return slot_.type.dtype; }
  Index size() const { return slot_.type.shape.size(); }
  Array value() const;  // a copy, as files hold it
  // Throws Error unless the shape is shape(); the dtype is converted.
  void set(const Array& value);

  Role role() const { return role_; }
  Layout layout() const { return layout_; }
  bool moved_from() const { return slot_.store == nullptr; }

  const std::string& name() const { return slot_.name; }  // from the root of its module: "layers.0.weight"
  void rename(std::string name) { slot_.name = std::move(name); }
  // Moves the value into another store, at an offset.
  void rehome(std::shared_ptr<Store> store, Index offset);

 private:
  Slot slot_;
  Layout layout_;
  Role role_;
};

}  // namespace wengert::nn
