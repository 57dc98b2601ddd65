// Builder: writes a Program, instruction by instruction. What is the same as before is not computed again, and what a
// loop does not change is computed before it.
#pragma once
#include <tuple>
#include <unordered_map>

#include "autodiff/plan/scalars/program.hpp"

namespace wengert::plan::scalars {

class Builder {
 public:
  // An element of an array that read_array() gave a number, at this byte; a number; an element of a constant.
  Number read(std::uint32_t array, std::size_t byte, Dtype dtype);
  Number constant(double value, Dtype dtype);
  Number constant_of(const Array& array, Index element);

  // The result of an instruction without effects, on operands of this dtype.
  Number compute(Code code, Dtype dtype, Number a, Number b = none, Number c = none);
  // The mask of x != 0.
  Number mask_of(Number x);
  Number indicator(Number mask);
  Dtype dtype(Number scalar) const { return program_.scalars[static_cast<std::size_t>(scalar)].dtype; }

  // A call: all of the site is set but for its places in the memory of calls. Returns the elements of its result.
  std::vector<Number> call(CallSite site, std::span<const std::vector<Number>> arguments);

  // Between these two, code is in a loop, which changes variables that begin as `start`. It leaves the loop where the
  // mask holds; end_loop() sets the variables for the next round, and returns what they are in the end.
  std::vector<Number> begin_loop(std::span<const Number> start);
  void leave(Number mask);
  std::vector<Number> end_loop(std::span<const Number> next);

  std::uint32_t read_array(const Read& read);
  // Writes all elements of a value, in order.
  void write(const Write& to, std::span<const Number> elements);
  void own(std::shared_ptr<const void> what) { program_.owned.push_back(std::move(what)); }

  std::size_t size() const { return size_; }
  // Ends the program: instructions whose result nothing reads are gone.
  Program finish();

 private:
  struct Scope {
    std::vector<Instruction> code{};
    std::vector<Number> variables{}, start{};
  };
  Number add_scalar(const Scalar& scalar, std::size_t depth);
  Number computed(Dtype dtype, std::size_t depth) { return add_scalar({Scalar::Kind::computed, dtype}, depth); }
  void push(std::size_t depth, const Instruction& instruction);
  std::size_t depth_of(Number scalar) const { return scalar == none ? 0 : depth_[static_cast<std::size_t>(scalar)]; }
  Number copied(Number scalar);

  struct Hash {
    std::size_t operator()(const std::array<std::uint64_t, 3>& key) const;
  };
  Program program_;
  std::vector<Scope> scopes_{1};
  std::vector<std::size_t> depth_;  // of a scalar: the scope that computes it
  std::unordered_map<std::array<std::uint64_t, 3>, Number, Hash> known_, leaves_;
  std::unordered_map<Number, Number> masks_;  // of indicators
  std::size_t size_ = 0;
};

}  // namespace wengert::plan::scalars
