// Op: the immutable definition of an operation. A node of a tape points to its Op; nothing else knows which ops exist.
//
// A new elementwise op is one row (see ops/elementwise.hpp). Any other op is one struct in one .cpp file:
//
//   struct Outer final : OpOf<Outer> {                       // [m], [n] -> [m,n]
//     Outer() : OpOf({.name = "outer", .arity = 2, .linearity = Linearity::bilinear}) {}
//     Type infer(const Signature& s) const override { ... }  // shape and dtype rule; reject(text) refuses
//     template <class T> void compute(const Kernel& k) const { ... k.in<T>(0), k.out<T>() ... }
//     Var vjp(const Call& c, int i, Var g) const override { ... }   // in tape ops, so that every order follows
//     std::vector<Example> examples() const override { ... }
//     Array reference(...) const override { ... }            // values, independent of the kernel
//   };
//   const Outer outer_op;
//   Var outer(Operand a, Operand b) { return record(outer_op, {a, b}); }
//
// Constructing an Op enters it in the registry that the tests walk. The library's own ops exist before any initialiser
// of a program runs, and until its last destructor has run. An op of your own that is recorded by the initialiser of
// another file may not exist yet: that is an Error.
#pragma once
#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "autodiff/testing/example.hpp"
#include "autodiff/var.hpp"

namespace wengert {

class Op;
struct Grouping;  // of rows, for sums over them: kernels/groups.hpp

// The order in which namespace-scope objects are initialised is that of linking but for this attribute's:
// [[gnu::init_priority(library_ops)]] const Sum sum_op;
inline constexpr int library_ops = 101;  // the first that programs may use

// The dependence of an output on the operands, as forward mode needs to know it.
enum class Linearity {
  none,           // constant, or without derivative: a comparison, a source
  elementwise,    // tangent = sum over i of local_jvp(i, t_i); the vjp is the same local_jvp(i, g)
  linear,         // tangent = the op itself on the tangents of all operands together
  bilinear,       // tangent = op(t_0, x_1) + op(x_0, t_1)
  custom_jvp,     // jvp() states it
  transpose_vjp,  // jvp by transposing the vjp
};

// The effect of an op on rows along one axis of one operand.
enum class RowRule {
  pointwise,  // an element of the output depends on the same element of the operand
  keeps,      // row i of the output (along Rows::axis) depends on row i of the operand
  reduces,    // the output has no rows any more
  mixes,      // a row of the output depends on several rows
};
struct Rows {
  RowRule rule = RowRule::mixes;
  int axis = 0;  // where kept rows lie in the output, counted from the end
  bool kept() const { return rule == RowRule::pointwise || rule == RowRule::keeps; }
};

// Work of one call, for explain() and profile().
struct Cost {
  double flops = 0;
  double bytes = 0;  // read and written
};

// The operand types and attributes of a call.
struct Signature {
  std::span<const Type* const> in;
  const Attributes& attributes;

  int arity() const { return static_cast<int>(in.size()); }
  const Shape& shape(int i) const { return in[static_cast<std::size_t>(i)]->shape; }
  Dtype dtype(int i) const { return in[static_cast<std::size_t>(i)]->dtype; }
};

// The arguments of a kernel: memory and shapes, already checked. Operands and output are contiguous and start at an
// element, of a range of rows or a view wherever that lies in its array; the output overlaps none.
struct Kernel {
  Signature signature;
  std::span<const void* const> operands;
  const Type& type;  // of the output
  void* output;
  void* scratch;  // scratch_bytes(), from a cache line on

  template <class T>
  const T* in(int i) const {
    return static_cast<const T*>(operands[static_cast<std::size_t>(i)]);
  }
  template <class T>
  T* out() const {
    return static_cast<T*>(output);
  }
  const Shape& shape(int i) const { return signature.shape(i); }
  const Shape& out_shape() const { return type.shape; }
  const Attributes& attributes() const { return signature.attributes; }
};

// A recorded node as its derivative rules see it: operands and output as Vars.
class Call {
 public:
  Call(Tape& tape, std::uint32_t index) : tape_(tape), index_(index) {}
  Tape& tape() const { return tape_; }
  std::uint32_t index() const { return index_; }
  int arity() const;
  Var in(int i) const;
  Var out() const;
  const Attributes& attributes() const;
  const Shape& shape(int i) const;
  const Shape& out_shape() const;
  const Op& op() const;

 private:
  Tape& tape_;
  std::uint32_t index_;
};

// A call under vmap: `count` slices, which lie along an axis in front of the operands that are `batched`; the other
// operands are the same for all. `type` is what one slice gives.
struct Batch {
  Tape& tape;
  const Op& op;
  std::span<const Var> operands;
  const std::vector<bool>& batched;
  Index count;
  const Attributes& attributes;
  const Type& type;
  Where where;

  // Operand i for one slice.
  Shape slice_shape(std::size_t i) const;
};

// The request of a reverse sweep for an operand of a call.
struct Cotangent {
  bool wanted = false;
  Var value{};  // null: the output does not depend on the operand

  // Where the output reads a part of the operand alone, the value may be that of the part, which begins at `start`
  // along `axis` (counted from the end): it is zero elsewhere. The sweep puts the parts of an operand side by side, so
  // that many slices of one array cost no more than the array.
  struct Part {
    int axis = -1;
    Index start = 0;
  };
  std::optional<Part> part{};
  // The value in the operand's shape.
  Var whole(const Shape& operand) const;
};

// Refuses a call from within infer(), or values from within run(); the tape adds the op's name and the user's line.
[[noreturn]] void reject(const std::string& text);

class Op : public std::enable_shared_from_this<Op> {
 public:
  struct Traits {
    std::string name;
    int arity = 1;  // -1: any number of operands
    Linearity linearity = Linearity::custom_jvp;
    bool leaf = false;         // a value from outside: never run, has no examples
    bool detached = false;     // its gradient is zero by definition: stop_gradient
    bool brings_rows = false;  // the first axis of the output is of rows that move_rows() counts: a draw
    bool selects = false;      // each value of the output is 0 or an operand's: it makes no NaN and no infinity
    bool view = false;         // the output's elements are those of operand 0 in their order: Tape::evaluate()
    bool local = false;        // made for one call, owned by its tape: not in the registry
  };

  // Throws Error where an op of this name is alive already, but for local ones: files, profiles and tests go by names.
  explicit Op(Traits traits);
  Op(const Op&) = delete;
  Op& operator=(const Op&) = delete;
  virtual ~Op();

  // False in an object whose initialiser is still to run, and after its destructor.
  bool exists() const { return exists_.load(std::memory_order_relaxed); }
  const std::string& name() const { return traits_.name; }
  int arity() const { return traits_.arity; }
  Linearity linearity() const { return traits_.linearity; }
  bool is_leaf() const { return traits_.leaf; }
  bool is_detached() const { return traits_.detached; }
  bool brings_rows() const { return traits_.brings_rows; }
  bool selects() const { return traits_.selects; }
  bool is_view() const { return traits_.view; }
  bool is_local() const { return traits_.local; }

  // Recording: the output's type, or reject(text).
  virtual Type infer(const Signature& s) const = 0;

  // Running: a function of the operands and attributes alone, which plans may compute once for several runs. A kernel
  // never allocates, and gives the same bits on any number of threads. It never throws, but for values that cannot be
  // served (an index out of range): then reject(text).
  virtual void run(const Kernel& k) const = 0;
  virtual std::size_t scratch_bytes(const Signature&, const Type&) const { return 0; }
  // The groups of rows whose partial sums the kernel adds up, one by default: bits hang on their number. Where sums
  // follow one another, the most that one of them has.
  virtual Grouping partial_sums(const Signature&, const Type&) const;
  // Turns the attributes into those for a range of rows (along the output's first axis) that begins at row `first`:
  // draws count rows from there.
  virtual void move_rows(Attributes&, Index /*first*/) const {}
  // True if block() computes any run of elements by itself, so that chains of such ops can be fused.
  virtual bool fusable() const { return false; }
  // n elements from n elements of every operand; out may be in[0].
  virtual void block(Index n, const void* const* in, void* out, Dtype dtype, const Attributes& attributes) const;

  // Derivatives, in tape ops. A rule may read operands, output and attributes of the call; a null Var says that the
  // output does not depend on the operand (almost everywhere).
  virtual Var local_jvp(const Call& c, int i, Var t) const;  // elementwise: t * d out / d in_i, for both modes
  virtual Var vjp(const Call& c, int i, Var g) const;        // cotangent of operand i; the sweep undoes broadcasting
  // The cotangents of all operands that want one: vjp() of each. Overridden where they share work.
  virtual void vjps(const Call& c, Var g, std::span<Cotangent> operands) const;
  // Linearity::custom_jvp. tangents[i] is a stack of K tangents of operand i, [K, its shape], or null: zero. The result
  // is one of the output, [K, its shape], or null. In a stack, given or returned, K and any extent may be 1 instead,
  // for tangents that are equal along that axis, in each stack by itself: a rule of elementwise ops broadcasts and
  // needs no thought; one that adds up, counts or moves along an axis broadcasts its stacks first (broadcast_to). The
  // axis in front makes an operand of lower rank than the output no longer line up with it: reshape to [K, 1, ..., its
  // shape].
  virtual Var jvp(const Call& c, std::span<const Var> tangents) const;

  // The call for all slices of a batch, [count, type.shape]. By default the op itself takes the axis in front: with
  // operands of lower rank than the output aligned as broadcasting aligns them, as they are, or spread to the whole
  // batch, whichever infer() gives the right shape for; slice by slice where it does for none.
  virtual Var batched(const Batch& b) const;

  // The attributes for people: of an OpWith by name.
  virtual std::string describe(const Attributes& attributes) const { return to_string(attributes); }

  // Splitting and costs. `axis` counts from the end of the operand.
  virtual Rows rows(const Signature& s, const Type& out, int operand, int axis) const;
  virtual Cost cost(const Signature& s, const Type& out) const;

  // Tests.
  virtual std::vector<Example> examples() const = 0;
  virtual std::vector<EdgeCase> edge_cases() const { return {}; }
  virtual std::vector<InvalidInput> invalid_inputs() const { return {}; }
  // The output in f64, computed independently of the kernel.
  virtual Array reference(std::span<const Array> in, const Attributes& attributes, const Type& out) const = 0;
  // Largest error of a value, relative to the largest entry of the output.
  virtual double tolerance(Dtype dtype) const { return dtype == Dtype::f32 ? 2e-6 : 1e-14; }
  // True if examples are recorded with this element type besides those that they fix themselves.
  virtual bool supports(Dtype dtype) const { return is_float(dtype); }

 private:
  Traits traits_;
  std::atomic<bool> exists_{false};
};

// An op with arguments (attributes.hpp): with() states them, arguments() reads them, describe() prints them by name.
template <class Args, class Base = Op>
class OpWith : public Base {
 public:
  using Arguments = Args;
  using Base::Base;
  static Attributes with(Arguments arguments) { return to_attributes(arguments); }
  static Arguments arguments(const Attributes& attributes) { return arguments_of<Arguments>(attributes); }
  static Arguments arguments(const Signature& s) { return arguments(s.attributes); }
  static Arguments arguments(const Kernel& k) { return arguments(k.attributes()); }
  static Arguments arguments(const Call& c) { return arguments(c.attributes()); }
  std::string describe(const Attributes& attributes) const override { return wengert::describe<Arguments>(attributes); }
};

// Runs Derived::compute<T> with the element type of the output.
template <class Derived, class Base = Op>
class OpOf : public Base {
 public:
  using Base::Base;
  void run(const Kernel& k) const override {
    dispatch_float(k.type.dtype, [&]<class T>() { static_cast<const Derived*>(this)->template compute<T>(k); });
  }
};

// Every op alive but local ones, sorted by name.
std::vector<const Op*> registry();

// The one of this name among them. Throws Error where there is none.
const Op& op_named(std::string_view name);

// The fate of rows that lie along axes[i] of operand i, counted from the end; 0: it has none. Kept, each row of the
// output (along `axis`; 0 where no operand has rows) depends on the same row of the operands alone.
Rows rows_through(const Op& op, const Signature& s, const Type& out, std::span<const int> axes);

// Records a call on the tape of its operands (numbers take the dtype of the others); runs it on an eager tape.
// Throws Error with the op's name, the operands' shapes and the user's line.
Var record(const Op& op, std::span<const Operand> operands, const Attributes& attributes = no_attributes);
inline Var record(const Op& op, std::initializer_list<Operand> operands, const Attributes& attributes = no_attributes) {
  return record(op, std::span<const Operand>(operands.begin(), operands.size()), attributes);
}

}  // namespace wengert
