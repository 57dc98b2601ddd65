// Tape: the Wengert list. A flat list of nodes in recording order and an arena for their values.
//
//   Tape tape;                                      // eager, f32: an op runs when it is recorded
//   Var x = tape.input(Array::of<float>({2}, {1, 2}));
//   Var y = sum(square(x));
//   Var g = grad(y, x);                             // more nodes on the same tape: differentiate again at will
//   g.data<float>();                                // {2, 4}
//
//   auto mark = tape.mark();                        // a training loop records and rewinds: after the first step the
//   ...                                             // arena and the list are reused and nothing is allocated
//   tape.rewind(mark);
//   x = tape.rewind(mark, x);                       // or all but x, whose value the next round begins with
//
// A symbolic tape (Tape::Mode::symbolic) records shapes, dtypes and lines, and runs nothing. A tape is used by one
// thread at a time; any number of tapes live side by side.
#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "autodiff/arguments.hpp"
#include "autodiff/op.hpp"
#include "autodiff/tape/arena.hpp"

namespace wengert {

struct Node {
  static constexpr std::uint32_t none = static_cast<std::uint32_t>(-1);
  const Op* op = nullptr;
  Type type;
  const void* data = nullptr;  // the value; null on a symbolic tape
  const Attributes* attributes = nullptr;
  std::uint32_t first_operand = 0, operand_count = 0;  // in the tape's list of operand indices
  std::uint32_t scope = 0;
  std::uint32_t origin = none;    // the forward node whose derivative rule recorded this one
  std::uint32_t borrowed = none;  // its entry in the tape's list of borrowed arrays
  std::uint64_t birth = 0;
  Where where;
};

class Tape {
 public:
  enum class Mode { eager, symbolic };

  explicit Tape(Dtype dtype = Dtype::f32, Mode mode = Mode::eager);
  ~Tape();
  Tape(const Tape&) = delete;
  Tape& operator=(const Tape&) = delete;

  Dtype dtype() const { return dtype_; }  // of constants and draws
  bool symbolic() const { return mode_ == Mode::symbolic; }

  // Leaves. An input copies its values: on a symbolic tape they are a constant of what is compiled from it, while an
  // input declared by its type alone (symbolic tapes only) is given at each run.
  Var input(const Array& value, std::string_view name = {}, Where where = Where::current());
  Var input(const Type& type, std::string_view name = {}, Where where = Where::current());
  Var full(const Shape& shape, double value, Where where = Where::current());  // of the tape's dtype
  Var full(const Type& type, double value, Where where = Where::current());
  // Constants by NumPy's names and arguments, of the tape's dtype or of the one that is named.
  using MaybeDtype = std::optional<Dtype>;
  Var zeros(const Shape& shape, MaybeDtype dtype = {}, Where where = Where::current());
  Var ones(const Shape& shape, MaybeDtype dtype = {}, Where where = Where::current());
  // start, start + step, ... below stop (above it where step < 0): ceil((stop - start) / step) of them, which rounding
  // may make one more or less than was meant where step is no whole number. An i32 one has whole start and step.
  Var arange(double stop, MaybeDtype dtype = {}, Where where = Where::current());  // from 0 in steps of 1
  Var arange(double start, double stop, double step = 1, MaybeDtype dtype = {}, Where where = Where::current());
  // `count` numbers from start to stop, which is exactly the last one (of one number, start); f32 or f64.
  Var linspace(double start, double stop, Integer count = 50, MaybeDtype dtype = {}, Where where = Where::current());
  // 1 where column - row = k, else 0.
  Var eye(Integer n, MaybeDtype dtype = {}, Where where = Where::current());
  Var eye(Integer rows, Integer columns, Integer k = 0, MaybeDtype dtype = {}, Where where = Where::current());
  // Rewinding drops every node recorded since the mark; their Vars become invalid, their memory is reused.
  struct Top {
    std::uint32_t nodes, operands, borrowed;
    Arena::Mark arena;
  };
  struct Mark : Top {
    std::uint32_t slot;
    std::uint64_t generation, birth;  // of the tape, and of the last node before the mark
  };
  Mark mark() const;
  void rewind(const Mark& mark);
  // Rewinding that keeps some values: those of `keep`, in new Vars, which are what comes first after the mark, so that
  // a loop that rewinds to the same mark again and again does not grow. They are inputs now, without derivative; what
  // was recorded before the mark stays what it is, and so do parameters. The tape must be eager. Vars of what is not
  // kept, and the old ones of what is, become invalid.
  std::vector<Var> rewind(const Mark& mark, std::span<const Var> keep, Where where = Where::current());
  std::vector<Var> rewind(const Mark& mark, std::initializer_list<Var> keep, Where where = Where::current());
  Var rewind(const Mark& mark, Var keep, Where where = Where::current());

  std::uint32_t size() const { return size_; }         // nodes
  std::size_t bytes() const { return arena_.used(); }  // of values held

  // When on, recording an op whose value has a NaN or an infinity throws Error naming where it came from; the node
  // stays on the tape. A constant may be infinite, and what only chooses among values may take it over. Of a derivative
  // rule the result counts: what it masks does no harm. See provenance.hpp for asking afterwards.
  void track_nonfinite(bool on) { track_nonfinite_ = on; }

  std::string list() const;  // one line a node: name, operands, type, place
  std::string dot() const;   // the same graph for Graphviz

  // --- For the engine: what records ops, derivatives and plans is written with. ---

  // A leaf on memory of somebody else, kept alive by `owner` as *version is; one leaf for each (data, *version).
  // Whoever changes the memory moves *version on before anybody reads it again. A use of the old leaf is an Error then:
  // its value is no longer the one that was recorded; and a plan computes anew what it has computed of that memory
  // alone.
  Var borrow(const Type& type, const void* data, std::shared_ptr<const void> owner, const std::uint64_t* version,
             std::string_view name, Where where = Where::current());

  struct Borrowing {
    Type type;
    const void* data;
    std::shared_ptr<const void> owner;
    const std::uint64_t* version;
    std::string name;
  };
  Var borrow(const Borrowing& b, Where where = Where::current()) {
    return borrow(b.type, b.data, b.owner, b.version, b.name, where);
  }
  // The leaf that is there for it already, or null.
  Var borrowed(const Type& type, const void* data, const std::uint64_t* version) const;
  Borrowing borrowing(std::uint32_t index) const;  // of a borrowed leaf
  bool has_values(std::uint32_t index) const { return node(index).data != nullptr; }
  Array constant(std::uint32_t index) const;  // a copy of an input's values
  // Throws Error where a borrowed leaf's memory has changed since; `reader` is the op that was to read it.
  void check_fresh(const Node& leaf, Where where, const Op* reader = nullptr) const;

  // A local op lives as long as its nodes.
  Var record(const Op& op, std::span<const Operand> operands, const Attributes& attributes, const Where& where);

  const Node& node(std::uint32_t index) const { return blocks_.data()[index / block].get()[index % block]; }
  std::span<const std::uint32_t> operands(const Node& node) const {
    return {operands_.data() + node.first_operand, node.operand_count};
  }
  // A flag for each node from `begin` to the last of these, at [index - begin]: one of them, or what one depends on.
  std::vector<bool> needed_by(std::span<const std::uint32_t> indices, std::uint32_t begin) const;
  std::vector<bool> needed_by(std::uint32_t index, std::uint32_t begin) const { return needed_by({&index, 1}, begin); }
  Var var(std::uint32_t index) const { return {slot_, index, node(index).birth}; }
  // The node of a Var; Error, in the name of `reader`, when it is not (or no longer) on this tape.
  std::uint32_t index_of(Var var, const Where& where, std::string_view reader = {}) const {
    if (!holds(var)) refuse(var, where, reader);
    return var.index_;
  }
  bool holds(Var var) const { return var.slot_ == slot_ && var.index_ < size_ && node(var.index_).birth == var.birth_; }
  static Tape& of(Var var, const Where& where, std::string_view reader = {}) {
    Tape* tape = live_[var.slot_].load(std::memory_order_relaxed);
    if (tape == nullptr || tape->generation_ != var.birth_ >> serial_bits) refuse_homeless(var, where, reader);
    return *tape;
  }
  // The node of a Var of any tape, or null where it has none any more.
  static const Node* find(Var var) {
    const Tape* tape = live_[var.slot_].load(std::memory_order_relaxed);
    return tape != nullptr && tape->holds(var) ? &tape->node(var.index_) : nullptr;
  }

  // "triangles.cpp:41, in score.layers.0": the outermost line outside the library and the path of module names.
  std::string location(const Where& where, std::uint32_t scope) const;
  std::string here(const Where& where) const { return location(where, scope_); }  // in the scope entered last
  std::string location_of(std::uint32_t index) const { return location(node(index).where, node(index).scope); }
  std::string name_of(std::uint32_t index) const;  // of an input or a parameter; empty otherwise
  void check_tracked(Var result) const;            // of a derivative rule; see track_nonfinite()

  // A loop whose step is being recorded: the nodes [first, last) that stand for what differs between steps, among them
  // the step's number, i32 [].
  struct Loop {
    std::uint32_t first, last;
    Var number;
  };
  std::span<const Loop> loops() const { return loops_; }  // outermost first

 private:
  friend class Scope;
  friend class Origin;
  friend class LoopRecording;
  struct ScopeEntry {
    std::uint32_t parent;
    Where where;
    std::string name;
  };
  struct Borrowed {
    const void* data;
    const std::uint64_t* version;
    std::uint64_t seen;
    std::uint32_t node;
    std::shared_ptr<const void> owner;
  };
  static constexpr std::uint32_t block = 1024;  // nodes never move once recorded
  // Vars name their tape by a slot of a table, so that a Var can outlive its tape and still be told so. A generation
  // (24 bits) is part of every node's birth; serial numbers within a tape take the other 40.
  static constexpr std::uint32_t slots = 4096;
  static constexpr int serial_bits = 40;
  static std::array<std::atomic<Tape*>, slots> live_;
  void settle();

  [[noreturn]] void refuse(Var var, const Where& where, std::string_view reader) const;
  [[noreturn]] static void refuse_homeless(Var var, const Where& where, std::string_view reader);
  void check_call(const Op& op, std::size_t operands, const Where& where) const;
  void check_mark(const Mark& mark) const;
  Top top() const {
    return {size_, static_cast<std::uint32_t>(operands_.size()), static_cast<std::uint32_t>(borrowed_.size()),
            arena_.mark()};
  }
  void drop(const Top& top);
  Node& append(const Op& op, const Type& type, const Attributes& attributes, const Where& where);
  Var leaf(const Op& op, const Type& type, const void* data, std::string_view name, const Where& where);
  std::uint32_t index_of(double number, std::span<const Operand> operands, const Op& op, const Where& where);
  void evaluate(Node& result, const Signature& signature);
  std::uint32_t enter(std::string_view name, const Where& where);

  Dtype dtype_;
  Mode mode_;
  bool track_nonfinite_ = false;
  std::uint32_t slot_ = 0;
  std::uint64_t generation_ = 0, births_ = 0;
  std::uint32_t size_ = 0, scope_ = 0, origin_ = Node::none;
  std::vector<std::unique_ptr<Node[]>> blocks_;
  std::vector<std::uint32_t> operands_;
  std::vector<Borrowed> borrowed_;
  std::vector<std::pair<std::uint32_t, std::string>> names_;
  std::vector<std::pair<std::uint32_t, std::shared_ptr<const Op>>> local_ops_;
  std::vector<ScopeEntry> scopes_;
  std::vector<const Type*> types_;  // of the operands of the call being recorded, the first of these
  std::vector<const void*> values_;
  std::vector<Loop> loops_;
  Arena arena_;
};

// While it lives, nodes are recorded as part of `name`, called at the operand's line: a module's or a library
// function's own lines do not appear in errors, its caller's does. An empty name adds no step to the path.
class Scope {
 public:
  explicit Scope(const Operand& at, std::string_view name = {});
  Scope(Tape& tape, std::string_view name, const Where& where);
  Scope(Tape& tape, std::uint32_t entered) : tape_(&tape), outer_(tape.scope_) { tape.scope_ = entered; }  // again
  ~Scope() { tape_->scope_ = outer_; }
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

 private:
  Tape* tape_;
  std::uint32_t outer_;
};

// While it lives, nodes are recorded as belonging to the derivative of a forward node.
class Origin {
 public:
  Origin(Tape& tape, std::uint32_t forward) : tape_(tape), outer_(tape.origin_) { tape.origin_ = forward; }
  ~Origin() { tape_.origin_ = outer_; }
  Origin(const Origin&) = delete;
  Origin& operator=(const Origin&) = delete;

 private:
  Tape& tape_;
  std::uint32_t outer_;
};

}  // namespace wengert
