#include "autodiff/tape.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstring>
#include <mutex>

#include "autodiff/ops/sources.hpp"
#include "autodiff/parallel.hpp"
#include "autodiff/tape/provenance.hpp"

namespace wengert {
namespace {

std::string bracketed(std::string_view name) { return name.empty() ? "" : fmt::format("[{}] ", name); }

}  // namespace

std::array<std::atomic<Tape*>, Tape::slots> Tape::live_;

// A slot for a new tape and its generation there, entered. Slots are taken in turn, so that 2^36 tapes can be made
// before a generation would come again.
void Tape::settle() {
  static std::mutex mutex;
  static std::array<std::uint64_t, slots> generations{};
  static std::uint32_t next = 0;
  constexpr std::uint64_t last_generation = (std::uint64_t{1} << (64 - serial_bits)) - 1;
  const std::lock_guard lock(mutex);
  for (std::uint32_t i = 0; i < slots; ++i) {
    const std::uint32_t slot = (next + i) % slots;
    if (live_[slot].load() != nullptr || generations[slot] == last_generation) continue;
    next = slot + 1;
    slot_ = slot;
    generation_ = ++generations[slot];
    live_[slot].store(this);
    return;
  }
  throw Error(fmt::format("{} tapes are alive at once: no more can be made", slots));
}

Tape::Tape(Dtype dtype, Mode mode) : dtype_(dtype), mode_(mode) {
  if (!is_float(dtype)) throw Error("a tape's default dtype is f32 or f64, got i32");
  scopes_.push_back({0, {}, ""});
  settle();
}

Tape::~Tape() { live_[slot_].store(nullptr); }

void Tape::refuse_homeless(Var var, const Where& where, std::string_view reader) {
  throw Error(
      fmt::format("{}{}  ({})", bracketed(reader),
                  var.is_null() ? "this Var belongs to no tape: it was never recorded" : "the tape of this Var is gone",
                  to_string(where)));
}

void Tape::refuse(Var var, const Where& where, std::string_view reader) const {
  const bool elsewhere = &of(var, where, reader) != this;
  throw Error(fmt::format(
      "{}{}  ({})", bracketed(reader),
      elsewhere ? "this Var belongs to another tape" : "this Var was rewound: its node is no longer on the tape",
      location(where, scope_)));
}

Node& Tape::append(const Op& op, const Type& type, const Attributes& attributes, const Where& where) {
  if (size_ == blocks_.size() * block) blocks_.push_back(std::make_unique<Node[]>(block));
  Node& node = *new (&blocks_[size_ / block][size_ % block]) Node{
      .op = &op,
      .type = type,
      .attributes =
          attributes.empty() ? &no_attributes : new (arena_.allocate(sizeof(Attributes))) Attributes(attributes),
      .scope = scope_,
      .origin = origin_,
      .birth = generation_ << serial_bits | ++births_,
      .where = where};
  ++size_;
  return node;
}

Var Tape::leaf(const Op& op, const Type& type, const void* data, std::string_view name, const Where& where) {
  append(op, type, {}, where).data = data;
  if (!name.empty()) names_.emplace_back(size_ - 1, name);
  return var(size_ - 1);
}

Var Tape::input(const Array& value, std::string_view name, Where where) {
  void* data = arena_.allocate(value.type().bytes());
  std::memcpy(data, value.raw(), value.type().bytes());
  return leaf(input_op(), value.type(), data, name, where);
}

Var Tape::input(const Type& type, std::string_view name, Where where) {
  if (!symbolic())
    throw Error(fmt::format("[input] an eager tape needs the values, got only the type {}  ({})", to_string(type),
                            location(where, scope_)));
  return leaf(input_op(), type, nullptr, name, where);
}

Var Tape::borrow(const Type& type, const void* data, std::shared_ptr<const void> owner, const std::uint64_t* version,
                 std::string_view name, Where where) {
  if (const Var known = borrowed(type, data, version); !known.is_null()) return known;
  const Var result = leaf(parameter_op(), type, symbolic() ? nullptr : data, name, where);
  blocks_[(size_ - 1) / block][(size_ - 1) % block].borrowed = static_cast<std::uint32_t>(borrowed_.size());
  borrowed_.push_back({data, version, *version, size_ - 1, std::move(owner)});
  return result;
}

Var Tape::borrowed(const Type& type, const void* data, const std::uint64_t* version) const {
  for (const Borrowed& known : borrowed_)
    if (known.data == data && known.seen == *version && node(known.node).type == type) return var(known.node);
  return {};
}

Array Tape::constant(std::uint32_t index) const {
  Array copy(node(index).type);
  std::memcpy(copy.raw(), node(index).data, copy.type().bytes());
  return copy;
}

std::vector<bool> Tape::needed_by(std::span<const std::uint32_t> indices, std::uint32_t begin) const {
  if (indices.empty()) return {};
  const std::uint32_t last = *std::max_element(indices.begin(), indices.end());
  std::vector<bool> needed(last < begin ? 0 : last - begin + 1);
  for (std::uint32_t index : indices)
    if (index >= begin) needed[index - begin] = true;
  for (std::uint32_t i = last + 1; i-- > begin;)
    if (needed[i - begin])
      for (std::uint32_t operand : operands(node(i)))
        if (operand >= begin) needed[operand - begin] = true;
  return needed;
}

Tape::Borrowing Tape::borrowing(std::uint32_t index) const {
  const Borrowed& b = borrowed_[node(index).borrowed];
  return {node(index).type, b.data, b.owner, b.version, name_of(index)};
}

Var Tape::full(const Shape& shape, double value, Where where) { return full(Type{dtype_, shape}, value, where); }

Var Tape::full(const Type& type, double value, Where where) {
  return record(full_op(), {}, to_attributes(FullArguments{type.dtype, type.shape, value}), where);
}

// The node of a number, which takes the dtype of the first Var beside it.
std::uint32_t Tape::index_of(double number, std::span<const Operand> operands, const Op& op, const Where& where) {
  const auto var = std::ranges::find_if(operands, [](const Operand& o) { return !o.is_number(); });
  const Dtype dtype = var == operands.end() ? dtype_ : node(index_of(var->var(), var->where(), op.name())).type.dtype;
  if (dtype == Dtype::i32 && number != std::trunc(number))
    throw Error(fmt::format("[{}] {} is no integer, and the other operand is i32  ({})", op.name(), number,
                            location(where, scope_)));
  return index_of(full(Type{dtype, {}}, number, where), where);
}

void Tape::check_fresh(const Node& operand, Where where, const Op* reader) const {
  const Borrowed& source = borrowed_[operand.borrowed];
  if (*source.version != source.seen)
    throw Error(fmt::format("[{}] {} was changed after this tape read it: read it again with on(tape)  ({})",
                            (reader ? reader : operand.op)->name(), name_of(source.node), location(where, scope_)));
}

// Throws Error unless the op is there and takes as many operands.
inline void Tape::check_call(const Op& op, std::size_t operands, const Where& where) const {
  if (op.exists() && (op.arity() < 0 || static_cast<std::size_t>(op.arity()) == operands)) return;
  throw Error(
      op.exists()
          ? fmt::format("[{}] takes {} operands, got {}  ({})", op.name(), op.arity(), operands,
                        location(where, scope_))
          : fmt::format("[record] this op does not exist: the initialiser of its object has not run yet, or its "
                        "destructor has  ({})",
                        location(where, scope_)));
}

Var Tape::record(const Op& op, std::span<const Operand> operands, const Attributes& attributes, const Where& where) {
  check_call(op, operands.size(), where);
  // Neither a call that is refused nor its constants stay.
  struct Undo {
    Tape& tape;
    const Top before;
    bool done = false;
    ~Undo() {
      if (!done) tape.drop(before);
    }
  } undo{*this, top()};
  const auto first = static_cast<std::uint32_t>(operands_.size());
  if (types_.size() < operands.size()) {
    types_.resize(operands.size());
    values_.resize(operands.size());
  }
  for (std::size_t i = 0; i < operands.size(); ++i) {
    const Operand& operand = operands[i];
    const std::uint32_t index = operand.is_number() ? index_of(operand.number(), operands, op, where)
                                                    : index_of(operand.var(), operand.where(), op.name());
    const Node& source = node(index);
    if (source.borrowed != Node::none) check_fresh(source, where, &op);
    operands_.push_back(index);  // a number's node has no operands: what this call has listed stays together
    types_[i] = &source.type;
    values_[i] = source.data;
  }
  const Signature signature{{types_.data(), operands.size()}, attributes};
  try {
    for (int axis : attributes.axes)
      if (axis >= 0) reject(fmt::format("axes of attributes count from the end, got {}", axis));
    Node& result = append(op, op.infer(signature), attributes, where);
    result.first_operand = first;
    result.operand_count = static_cast<std::uint32_t>(operands.size());
    if (!symbolic()) evaluate(result, signature);
  } catch (const std::exception& refusal) {
    throw Error(fmt::format("[{}] {}  ({})", op.name(), refusal.what(), location(where, scope_)));
  }
  undo.done = true;
  if (op.is_local()) local_ops_.emplace_back(size_ - 1, op.weak_from_this().lock());
  const Var result = var(size_ - 1);
  if (track_nonfinite_ && origin_ == Node::none) check_tracked(result);
  return result;
}

void Tape::check_tracked(Var result) const {
  if (!track_nonfinite_ || symbolic() || !is_nonfinite(*this, result.index_)) return;
  throw Error(nonfinite_origin(result));
}

void Tape::evaluate(Node& result, const Signature& signature) {
  // What is borrowed may change: a view of it would, too.
  if (result.op->is_view() && node(operands(result)[0]).borrowed == Node::none) {
    result.data = values_[0];
    return;
  }
  const FloatingPointMode mode;
  void* output = arena_.allocate(result.type.bytes());
  const std::span<const void* const> values(values_.data(), signature.in.size());
  if (const std::size_t scratch_bytes = result.op->scratch_bytes(signature, result.type); scratch_bytes == 0) {
    result.op->run({signature, values, result.type, output, nullptr});
  } else {
    const Arena::Mark after_output = arena_.mark();
    result.op->run({signature, values, result.type, output, arena_.allocate(scratch_bytes)});
    arena_.rewind(after_output);
  }
  result.data = output;
}

Tape::Mark Tape::mark() const { return {top(), slot_, generation_, size_ == 0 ? 0 : node(size_ - 1).birth}; }

void Tape::check_mark(const Mark& mark) const {
  if (mark.slot != slot_ || mark.generation != generation_) throw Error("Tape::rewind got a mark of another tape");
  if (mark.nodes > size_ || (mark.nodes > 0 && node(mark.nodes - 1).birth != mark.birth))
    throw Error("Tape::rewind got a mark that the tape was rewound past before");
}

void Tape::rewind(const Mark& mark) {
  check_mark(mark);
  drop(mark);
}

void Tape::drop(const Top& top) {
  size_ = top.nodes;
  operands_.resize(top.operands);
  borrowed_.resize(top.borrowed);
  while (!local_ops_.empty() && local_ops_.back().first >= size_) local_ops_.pop_back();
  while (!names_.empty() && names_.back().first >= size_) names_.pop_back();
  arena_.rewind(top.arena);
}

std::vector<Var> Tape::rewind(const Mark& mark, std::span<const Var> keep, Where where) {
  check_mark(mark);
  if (symbolic())
    throw Error(fmt::format("[rewind] a symbolic tape has no values to keep  ({})", location(where, scope_)));
  struct Kept {
    std::uint32_t index;
    Node node;
    std::string name;
    std::optional<Borrowing> borrowed{};
    std::optional<Array> copy{};  // where a view is kept: it has no memory of its own to move from
    Var now{};
  };
  std::vector<Kept> kept;
  for (Var var : keep) {
    const std::uint32_t index = index_of(var, where, "rewind");
    kept.push_back({index, node(index), name_of(index)});
    if (kept.back().node.borrowed == Node::none) continue;
    check_fresh(kept.back().node, where);
    kept.back().borrowed = borrowing(index);
  }
  // A view moves to memory that it did not have, and what follows it moves behind where it was: all are copied then.
  const auto is_new_view = [&](const Kept& each) { return each.index >= mark.nodes && each.node.op->is_view(); };
  if (std::any_of(kept.begin(), kept.end(), is_new_view))
    for (Kept& each : kept)
      if (each.index >= mark.nodes && !each.borrowed) each.copy = var(each.index).value(where);
  std::vector<Kept*> in_order;
  for (Kept& each : kept) in_order.push_back(&each);
  std::sort(in_order.begin(), in_order.end(), [](const Kept* a, const Kept* b) { return a->index < b->index; });
  rewind(mark);
  // In the order of recording no value is written over before it has moved: without views each comes to lie where it
  // was, or before.
  for (std::size_t i = 0; i < in_order.size(); ++i) {
    Kept& each = *in_order[i];
    const Scope scope(*this, each.node.scope);
    if (each.index < mark.nodes) {
      each.now = var(each.index);
    } else if (i > 0 && in_order[i - 1]->index == each.index) {
      each.now = in_order[i - 1]->now;
    } else if (each.borrowed) {
      each.now = borrow(*each.borrowed, each.node.where);
    } else {
      const std::size_t bytes = each.node.type.bytes();
      const void* from = each.copy ? each.copy->raw() : each.node.data;
      each.now = leaf(input_op(), each.node.type, std::memmove(arena_.allocate(bytes), from, bytes), each.name,
                      each.node.where);
    }
  }
  std::vector<Var> result;
  for (const Kept& each : kept) result.push_back(each.now);
  return result;
}

std::vector<Var> Tape::rewind(const Mark& mark, std::initializer_list<Var> keep, Where where) {
  return rewind(mark, std::span<const Var>(keep.begin(), keep.size()), where);
}

Var Tape::rewind(const Mark& mark, Var keep, Where where) { return rewind(mark, {&keep, 1}, where)[0]; }

std::uint32_t Tape::enter(std::string_view name, const Where& where) {
  // A training loop enters the same scopes again and again: find the entry before adding one.
  for (std::uint32_t i = scope_ + 1; i < scopes_.size(); ++i)
    if (scopes_[i].parent == scope_ && scopes_[i].where == where && scopes_[i].name == name) return i;
  scopes_.push_back({scope_, where, std::string(name)});
  return static_cast<std::uint32_t>(scopes_.size() - 1);
}

std::string Tape::location(const Where& where, std::uint32_t scope) const {
  Where outermost = where;
  std::string path;
  for (std::uint32_t s = scope; s != 0; s = scopes_[s].parent) {
    outermost = scopes_[s].where;
    if (!scopes_[s].name.empty()) path = path.empty() ? scopes_[s].name : scopes_[s].name + "." + path;
  }
  return path.empty() ? to_string(outermost) : fmt::format("{}, in {}", to_string(outermost), path);
}

std::string Tape::name_of(std::uint32_t index) const {
  for (const auto& [node, name] : names_)
    if (node == index) return name;
  return {};
}

std::string location_of(const Operand& operand) {
  if (operand.is_number() || operand.var().is_null()) return to_string(operand.where());
  return operand.tape().here(operand.where());
}

Scope::Scope(const Operand& at, std::string_view name)
    : Scope(at.is_number() ? at.tape(std::string(name).c_str()) : at.tape(), name, at.where()) {}

Scope::Scope(Tape& tape, std::string_view name, const Where& where) : tape_(&tape), outer_(tape.scope_) {
  tape.scope_ = tape.enter(name, where);
}

}  // namespace wengert
