// Packs: which elements of values go together into a vector register, and the instructions that put them there. An
// operand of a pack is one itself where its elements are lanes in order, neighbours in an array, or constants; else a
// permutation of the lanes of each two sources.
#pragma once
#include <functional>

#include "autodiff/plan/code/builder.hpp"

namespace wengert::plan::code {

// An element of a value: a number of its own, or a lane of a pack.
struct Element {
  Number number = none;
  std::uint32_t lane = 0;

  bool operator==(const Element&) const = default;
};
using Elements = std::vector<Element>;

// The sizes of the parts that values of this many elements are computed in: of several elements a pack, where as many
// as that are neighbours.
std::vector<std::size_t> parts_of(std::size_t count, Dtype dtype);

class Packs {
 public:
  explicit Packs(Builder& to) : to_(to) {}

  // f of each element of operands of `count` elements, which gives an element of the result: on packs, where that takes
  // fewer instructions.
  using Function = std::function<Number(std::span<const Number>)>;
  Elements apply(std::span<const Elements> x, std::size_t count, Dtype dtype, const Function& f);

  // An element as a number of its own.
  Number single(Element element) {
    return to_.is_pack(element.number) ? to_.lane(element.number, element.lane) : element.number;
  }
  // All elements in their order, in parts_of() them: packs where that takes fewer instructions, or everywhere.
  std::vector<Number> in_order(const Elements& elements, Dtype dtype, bool everywhere = false);
  // What such numbers are, the elements of each part.
  static void append(Number number, std::size_t part, Elements& to);

 private:
  using Part = std::span<const Element>;
  // Where the elements of a pack come from: lane i is `lane[i]` of source `of[i]`.
  struct Origin;
  Origin origin_of(Part part) const;
  std::size_t cost(Part part) const;
  Number pack(Part part);

  Builder& to_;
};

}  // namespace wengert::plan::code
