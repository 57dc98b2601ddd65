// Builder: writes a Program, instruction by instruction. What is the same as before is not computed again, and what a
// loop does not change is computed before it.
#pragma once
#include <map>
#include <unordered_map>

#include "autodiff/plan/code/program.hpp"

namespace wengert::plan::code {

class Builder {
 public:
  // An element of an array that read_array() gave a number, at this byte, or a pack of as many lanes from there on; a
  // number; an element of a constant; a pack of numbers.
  Number read(std::uint32_t array, std::size_t byte, Dtype dtype, std::size_t lanes = 1);
  Number constant(double value, Dtype dtype);
  Number constant_of(const Array& array, Index element);
  Number constant_pack(const Line& bits, Dtype dtype);

  // The result of an instruction without effects, on operands of this dtype: packs, where one of them is one.
  Number compute(Code code, Dtype dtype, Number a, Number b = none, Number c = none);
  // The mask of x != 0.
  Number mask_of(Number x);
  Number indicator(Number mask);
  // A lane of a pack; a pack of one number; a pack of lanes of a and b.
  Number lane(Number pack, std::size_t which);
  Number spread(Number number);
  Number permute(Number a, Number b, const Line& lanes);

  const Definition& definition(Number number) const { return program_.definitions[static_cast<std::size_t>(number)]; }
  Dtype dtype(Number number) const { return definition(number).dtype; }
  bool is_pack(Number number) const { return number != none && definition(number).is_pack(); }

  // A call: all of the site is set but for its places in the memory of calls. An argument is numbers and packs in their
  // order; the result is as many of them as `lanes` says how many each has.
  std::vector<Number> call(CallSite site, std::span<const std::vector<Number>> arguments,
                           std::span<const std::size_t> lanes);

  // Between these two, code is in a loop, which changes variables that begin as `start`. It leaves the loop where the
  // mask holds; end_loop() sets the variables for the next round, and returns what they are in the end.
  std::vector<Number> begin_loop(std::span<const Number> start);
  void leave(Number mask);
  std::vector<Number> end_loop(std::span<const Number> next);

  std::uint32_t read_array(const Read& read);
  // Writes all elements of a value, in order: numbers and packs, of which the last need not be full.
  void write(const Write& to, std::span<const Number> elements, std::size_t count);
  void own(std::shared_ptr<const void> what) { program_.owned.push_back(std::move(what)); }

  std::size_t size() const { return size_; }
  // Ends the program: instructions whose result nothing reads are gone.
  Program finish();

 private:
  struct Scope {
    std::vector<Instruction> code{};
    std::vector<Number> variables{}, start{};
  };
  Number define(const Definition& definition, std::size_t depth);
  Number defined_before(const std::array<std::uint64_t, 3>& key, const Definition& definition);
  Number computed(Dtype dtype, bool pack, std::size_t depth);
  Number known(Instruction instruction, Dtype dtype, bool pack);
  void push(std::size_t depth, const Instruction& instruction);
  std::size_t depth_of(Number number) const { return number == none ? 0 : depth_[static_cast<std::size_t>(number)]; }
  std::uint32_t bytes_of(Number number) const;
  Number copied(Number number);

  struct Hash {
    std::size_t operator()(const std::array<std::uint64_t, 3>& key) const;
  };
  Program program_;
  std::vector<Scope> scopes_{1};
  std::vector<std::size_t> depth_;  // of a number: the scope that computes it
  std::unordered_map<std::array<std::uint64_t, 3>, Number, Hash> known_, leaves_;
  std::unordered_map<Number, Number> masks_;  // of indicators
  std::map<std::pair<Line, Dtype>, Number> lines_;
  std::size_t size_ = 0;
};

}  // namespace wengert::plan::code
