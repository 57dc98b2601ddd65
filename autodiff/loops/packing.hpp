// Packing: several arrays as one, which is how an op gives several results.
#pragma once
#include <optional>
#include <span>
#include <vector>

#include "autodiff/var.hpp"

namespace wengert {

// Arrays of these types side by side in one flat array: of their dtype or, where they differ, f64, which holds every
// f32 and i32 exactly. One array alone is left as it is.
class Packing {
 public:
  explicit Packing(std::vector<Type> parts);

  const std::vector<Type>& parts() const { return parts_; }
  Type type() const { return parts_.size() == 1 ? parts_[0] : Type{dtype_, Shape{size_}}; }
  Index offset(std::size_t part) const { return offsets_[part]; }

  // The parts of a flat array, and the flat array of parts. A null part is zeros.
  std::vector<Var> unpacked(Operand flat) const;
  Var packed(Tape& tape, std::span<const Var> parts, Where where) const { return packed(tape, parts, {}, where); }
  // The same of stacks: each part and the flat array have an axis of `count` in front.
  Var packed(Tape& tape, std::span<const Var> parts, std::optional<Index> count, Where where) const;

  // Copies the elements of an array of part `part` to their place in a flat one, from element `first` of the part on.
  void store(const Array& from, std::size_t part, Index first, void* flat) const {
    store(from.raw(), from.size(), part, first, flat);
  }
  // The same of all of it.
  void store(const void* from, std::size_t part, void* flat) const {
    store(from, parts_[part].shape.size(), part, 0, flat);
  }

 private:
  void store(const void* from, Index size, std::size_t part, Index first, void* flat) const;

  std::vector<Type> parts_;
  std::vector<Index> offsets_;
  Index size_ = 0;
  Dtype dtype_ = Dtype::f32;
};

}  // namespace wengert
