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

// Vars name their tape by a slot of this table, so that a Var can outlive its tape and still be told so. A generation
// (24 bits) is part of every node's birth; serial numbers within a tape take the other 40.
constexpr std::uint32_t slots = 4096;
constexpr int serial_bits = 40;
std::array<std::atomic<Tape*>, slots> live_tapes;
std::mutex slot_mutex;
constexpr std::uint64_t last_generation = (std::uint64_t{1} << (64 - serial_bits)) - 1;
std::array<std::uint64_t, slots> generations{};
std::uint32_t next_slot = 0;

// Slots are taken in turn, so that 2^36 tapes can be made before a generation would come again.
std::uint32_t free_slot() {
  for (std::uint32_t i = 0; i < slots; ++i) {
    const std::uint32_t slot = (next_slot + i) % slots;
    if (live_tapes[slot].load() != nullptr || generations[slot] == last_generation) continue;
    next_slot = slot + 1;
    return slot;
  }
  throw Error(fmt::format("{} tapes are alive at once: no more can be made", slots));
}

std::string bracketed(std::string_view name) { return name.empty() ? "" : fmt::format("[{}] ", name); }

}  // namespace

Tape::Tape(Dtype dtype, Mode mode) : dtype_(dtype), mode_(mode) {
  if (!is_float(dtype)) throw Error("a tape's default dtype is f32 or f64, got i32");
  const std::lock_guard lock(slot_mutex);
  slot_ = free_slot();
  generation_ = ++generations[slot_];
  live_tapes[slot_].store(this);
  scopes_.push_back({0, {}, ""});
}

Tape::~Tape() { live_tapes[slot_].store(nullptr); }

Tape& Tape::of(Var var, Where where, std::string_view reader) {
  if (var.is_null())
    throw Error(
        fmt::format("{}this Var belongs to no tape: it was never recorded  ({})", bracketed(reader), to_string(where)));
  Tape* tape = live_tapes[var.slot_].load(std::memory_order_relaxed);
  if (tape == nullptr || tape->generation_ != var.birth_ >> serial_bits)
    throw Error(fmt::format("{}the tape of this Var is gone  ({})", bracketed(reader), to_string(where)));
  return *tape;
}

std::uint32_t Tape::index_of(Var var, Where where, std::string_view reader) const {
  if (holds(var)) return var.index_;
  if (&of(var, where, reader) != this)
    throw Error(fmt::format("{}this Var belongs to another tape  ({})", bracketed(reader), location(where, scope_)));
  if (var.index_ >= size_ || node(var.index_).birth != var.birth_)
    throw Error(fmt::format("{}this Var was rewound: its node is no longer on the tape  ({})", bracketed(reader),
                            location(where, scope_)));
  return var.index_;
}

Node& Tape::append(const Op& op, const Type& type, const Attributes& attributes, Where where) {
  static const Attributes none;
  if (size_ == blocks_.size() * block) blocks_.push_back(std::make_unique<Node[]>(block));
  Node& node = blocks_[size_ / block][size_ % block];
  node = Node{};
  node.op = &op;
  node.type = type;
  node.attributes = &none;
  if (!attributes.empty()) node.attributes = new (arena_.allocate(sizeof(Attributes))) Attributes(attributes);
  node.scope = scope_;
  node.origin = origin_;
  node.birth = generation_ << serial_bits | ++births_;
  node.where = where;
  ++size_;
  return node;
}

Var Tape::leaf(const Op& op, const Type& type, const void* data, std::string_view name, Where where) {
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
  for (const Borrowed& known : borrowed_)
    if (known.data == data && known.seen == *version && node(known.node).type == type) return var(known.node);
  const Var result = leaf(parameter_op(), type, symbolic() ? nullptr : data, name, where);
  blocks_[(size_ - 1) / block][(size_ - 1) % block].borrowed = static_cast<std::uint32_t>(borrowed_.size());
  borrowed_.push_back({data, version, *version, size_ - 1, std::move(owner)});
  return result;
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

std::uint32_t Tape::resolve(const Operand& operand, Dtype dtype, const Op& op, Where where) {
  if (!operand.is_number()) {
    const Var var = operand.var();
    return holds(var) ? var.index_ : index_of(var, operand.where(), op.name());
  }
  const double number = operand.number();
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

Var Tape::record(const Op& op, std::span<const Operand> operands, const Attributes& attributes, Where where) {
  if (!op.exists())
    throw Error(
        fmt::format("[record] this op does not exist: the initialiser of its object has not run yet, or its "
                    "destructor has  ({})",
                    location(where, scope_)));
  if (op.arity() >= 0 && static_cast<int>(operands.size()) != op.arity())
    throw Error(fmt::format("[{}] takes {} operands, got {}  ({})", op.name(), op.arity(), operands.size(),
                            location(where, scope_)));
  Dtype dtype = dtype_;
  if (const auto var = std::ranges::find_if(operands, [](const Operand& o) { return !o.is_number(); });
      var != operands.end())
    dtype = node(resolve(*var, dtype, op, where)).type.dtype;
  // Constants are recorded here, before this call's operands are listed.
  const Mark before = mark();
  std::array<std::uint32_t, 8> few;
  std::vector<std::uint32_t> many(operands.size() > few.size() ? operands.size() : 0);
  const std::span<std::uint32_t> indices(many.empty() ? few.data() : many.data(), operands.size());
  for (std::size_t i = 0; i < operands.size(); ++i) indices[i] = resolve(operands[i], dtype, op, where);

  types_.clear();
  for (std::uint32_t index : indices) {
    const Node& operand = node(index);
    if (operand.borrowed != Node::none) check_fresh(operand, where, &op);
    types_.push_back(&operand.type);
  }
  try {
    for (int axis : attributes.axes)
      if (axis >= 0) reject(fmt::format("axes of attributes count from the end, got {}", axis));
    Node& result = append(op, op.infer({types_, attributes}), attributes, where);
    result.first_operand = static_cast<std::uint32_t>(operands_.size());
    result.operand_count = static_cast<std::uint32_t>(indices.size());
    operands_.insert(operands_.end(), indices.begin(), indices.end());
    if (!symbolic()) evaluate(result);
  } catch (const std::exception& refusal) {
    rewind(before);  // neither the call nor its constants stay
    throw Error(fmt::format("[{}] {}  ({})", op.name(), refusal.what(), location(where, scope_)));
  }
  if (op.is_local()) local_ops_.emplace_back(size_ - 1, op.weak_from_this().lock());
  if (origin_ == Node::none) check_tracked(var(size_ - 1));
  return var(size_ - 1);
}

void Tape::check_tracked(Var result) const {
  if (!track_nonfinite_ || symbolic() || !is_nonfinite(*this, result.index_)) return;
  throw Error(nonfinite_origin(result));
}

void Tape::evaluate(Node& node) {
  const FloatingPointMode mode;
  pointers_.clear();
  for (std::uint32_t index : operands(node)) pointers_.push_back(this->node(index).data);
  const Signature signature{types_, *node.attributes};
  void* output = arena_.allocate(node.type.bytes());
  const std::size_t scratch_bytes = node.op->scratch_bytes(signature, node.type);
  const Arena::Mark after_output = arena_.mark();
  void* scratch = scratch_bytes == 0 ? nullptr : arena_.allocate(scratch_bytes);
  node.op->run({signature, pointers_, node.type, output, scratch});
  arena_.rewind(after_output);
  node.data = output;
}

Tape::Mark Tape::mark() const {
  return {size_,
          static_cast<std::uint32_t>(operands_.size()),
          static_cast<std::uint32_t>(borrowed_.size()),
          arena_.mark(),
          slot_,
          generation_,
          size_ == 0 ? 0 : node(size_ - 1).birth};
}

void Tape::check_mark(const Mark& mark) const {
  if (mark.slot != slot_ || mark.generation != generation_) throw Error("Tape::rewind got a mark of another tape");
  if (mark.nodes > size_ || (mark.nodes > 0 && node(mark.nodes - 1).birth != mark.birth))
    throw Error("Tape::rewind got a mark that the tape was rewound past before");
}

void Tape::rewind(const Mark& mark) {
  check_mark(mark);
  size_ = mark.nodes;
  operands_.resize(mark.operands);
  borrowed_.resize(mark.borrowed);
  while (!local_ops_.empty() && local_ops_.back().first >= size_) local_ops_.pop_back();
  while (!names_.empty() && names_.back().first >= size_) names_.pop_back();
  arena_.rewind(mark.arena);
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
  std::vector<Kept*> in_order;
  for (Kept& each : kept) in_order.push_back(&each);
  std::sort(in_order.begin(), in_order.end(), [](const Kept* a, const Kept* b) { return a->index < b->index; });
  rewind(mark);
  // In the order of recording no value is written over before it has moved: each comes to lie where it was, or before.
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
      each.now = leaf(input_op(), each.node.type, std::memmove(arena_.allocate(bytes), each.node.data, bytes),
                      each.name, each.node.where);
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
