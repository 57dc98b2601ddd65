#if defined(__x86_64__)

#include "autodiff/plan/code/operands.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace wengert::plan::code {
namespace {

using Kind = Definition::Kind;

constexpr std::size_t number_bytes = 16, specials = 4;  // of a constant; of those in each dtype

// Of an instruction with what it loads and stores.
std::size_t most_bytes(const Program& program) {
  const std::size_t one = program.has_packs() ? 256 : 128;
  return program.over_arrays ? 2 * one : one;  // once for whole packs, once for the rest
}

}  // namespace

Operands::Operands(const Program& program)
    : CodeGenerator(1024 + most_bytes(program) * program.instructions.size(), Xbyak::DontSetProtectRWE),
      program_(program),
      lifetimes_(program),
      places_(program.definitions.size()),
      frame_bytes_((program.call_bytes + 63) / 64 * 64),
      kept_(program.definitions.size(), false) {
  held_.fill(none);
  pointers_.fill(no_array);
  make_constants();
}

void Operands::make_constants() {
  std::vector<std::uint64_t> numbers;
  const auto add = [&](std::uint64_t bits) { numbers.insert(numbers.end(), {bits, 0}); };
  for (std::uint64_t bits : {~std::uint64_t{0}, std::uint64_t{1} << 63, ~(std::uint64_t{1} << 63)}) add(bits);
  add(std::bit_cast<std::uint64_t>(1.0));
  for (std::uint32_t bits : {~std::uint32_t{0}, std::uint32_t{1} << 31, ~(std::uint32_t{1} << 31)}) add(bits);
  add(std::bit_cast<std::uint32_t>(1.0f));
  constant_.resize(program_.definitions.size());
  for (std::size_t n = 0; n < program_.definitions.size(); ++n) {
    const Definition& each = program_.definitions[n];
    if (each.kind == Kind::constant && !each.is_pack()) {
      constant_[n] = 8 * numbers.size();
      add(each.bits);
    }
  }
  const std::size_t lines = (8 * numbers.size() + 63) / 64;
  constants_.resize(lines);
  std::memcpy(constants_.data(), numbers.data(), 8 * numbers.size());
  for (const Line& line : program_.lines) constants_.push_back({line});
  for (std::size_t n = 0; n < program_.definitions.size(); ++n)
    if (const Definition& each = program_.definitions[n]; each.kind == Kind::constant && each.is_pack())
      constant_[n] = 64 * (lines + each.bits);
}

Xbyak::Address Operands::special(Special which, Number of) {
  const std::size_t at = number_bytes * (which + (is_wide(of) ? 0 : specials));
  return is_pack(of) ? ptr_b[r12 + at] : ptr[r12 + at];
}

Xbyak::Reg64 Operands::general(std::size_t which) const {
  return std::array{rcx, rdx, rsi, rdi, r8, r9, r10, r11}[which];
}

Xbyak::Reg64 Operands::load_pointer(std::uint32_t array, std::size_t which) {
  mov(general(which), ptr[rbx + 8 * array]);
  pointers_[which] = array;
  return general(which);
}

Xbyak::Reg64 Operands::pointer_to(std::uint32_t array) {
  const auto known = std::find(pointers_.begin(), pointers_.end(), array);
  if (known != pointers_.end()) return general(static_cast<std::size_t>(known - pointers_.begin()));
  const std::size_t which = kept_pointers_ + next_pointer_++ % (pointers - kept_pointers_);
  return load_pointer(array, which);
}

Xbyak::Address Operands::memory_of(Number n, std::size_t offset) {
  const Definition& from = definition(n);
  if (from.kind == Kind::constant) return ptr[r12 + constant_[static_cast<std::size_t>(n)] + offset];
  if (from.kind == Kind::read && program_.over_arrays && is_pack(n)) return in_array(from.array, from.bits + offset);
  if (from.kind == Kind::read) return ptr[pointer_to(from.array) + from.bits + offset];
  return ptr[rbp + place(n).slot + offset];
}

// The mask of the first lanes.
Xbyak::Opmask Operands::mask_of(std::size_t lanes) {
  if (masked_ != lanes) {
    mov(eax, (1u << lanes) - 1);
    kmovw(k1, eax);
    masked_ = lanes;
  }
  return k1;
}

void Operands::load(Number n, int to, const Xbyak::Address& from) {
  const Definition& what = definition(n);
  if (!is_pack(n)) return is_wide(n) ? vmovsd(number(to), from) : vmovss(number(to), from);
  const bool whole = what.lanes == lanes_of(what.dtype) && !partial_;
  if (what.kind != Kind::read || whole) return vmovups(pack(to), from);
  const Xbyak::Opmask mask = partial_ ? k1 : mask_of(what.lanes);
  is_wide(n) ? vmovupd(pack(to) | mask | T_z, from) : vmovups(pack(to) | mask | T_z, from);
}

void Operands::store(Number n, const Xbyak::Address& to, std::size_t lanes) {
  const int from = place(n).in;
  if (!is_pack(n)) return is_wide(n) ? vmovsd(to, number(from)) : vmovss(to, number(from));
  const bool partial = partial_ && lanes > 0;
  if (lanes == 0 || (lanes == lanes_of(definition(n).dtype) && !partial)) return vmovups(to, pack(from));
  const Xbyak::Opmask mask = partial ? k1 : mask_of(lanes);
  is_wide(n) ? vmovupd(to | mask, pack(from)) : vmovups(to | mask, pack(from));
}

void Operands::give_slot(Number n) {
  if (place(n).slot != no_slot) return;
  std::vector<std::size_t>& free = free_slots(n);
  if (free.empty()) {
    const std::size_t line = frame_bytes_, size = is_pack(n) ? 64 : 8;
    frame_bytes_ += 64;
    for (std::size_t at = 64; at > 0; at -= size) free.push_back(line + at - size);
  }
  place(n).slot = free.back();
  free.pop_back();
}

void Operands::save(Number n) {
  if (in_memory(n)) return;
  give_slot(n);
  store(n, memory_of(n));
  place(n).stored = true;
}

void Operands::set_slot(Number n, Number to) {
  give_slot(to);
  store(n, memory_of(to));
  if (place(to).in >= 0) drop_register(place(to).in);
  place(to).stored = true;
}

void Operands::drop_register(int which) {
  const Number n = held_[static_cast<std::size_t>(which)];
  if (n == none) return;
  place(n).in = -1;
  held_[static_cast<std::size_t>(which)] = none;
}

void Operands::release(Number n) {
  if (n == none || outlives(n)) return;
  if (place(n).in >= 0) drop_register(place(n).in);
  if (place(n).slot == no_slot) return;
  free_slots(n).push_back(place(n).slot);
  place(n).slot = no_slot;
}

int Operands::take(Number n, Registers not_of) {
  const int registers = is_pack(n) ? pack_registers : number_registers;
  int best = -1;
  std::size_t latest = 0;
  for (int r = registers - 1; r >= 0; --r) {  // packs leave the lower half to numbers
    if (std::find(not_of.begin(), not_of.end(), r) != not_of.end()) continue;
    const Number held = held_[static_cast<std::size_t>(r)];
    if (held == none) return r;
    if (is_kept(held)) continue;
    const std::size_t next = lifetimes_.next_use(held, at_);
    if (best >= 0 && next < latest) continue;
    best = r;
    latest = next;
  }
  const Number held = held_[static_cast<std::size_t>(best)];
  if (outlives(held) || lifetimes_.next_use(held, at_) == at_) save(held);
  drop_register(best);
  return best;
}

int Operands::put(Number n, int which) {
  held_[static_cast<std::size_t>(which)] = n;
  place(n).in = which;
  return which;
}

int Operands::in_register(Number n, Registers not_of) {
  if (place(n).in >= 0) return place(n).in;
  const int to = take(n, not_of);
  load(n, to, memory_of(n));
  return put(n, to);
}

// It is not read again soon. (What is read in part would be read beyond its end.)
bool Operands::stays_in_memory(Number n) {
  const Definition& from = definition(n);
  if (from.kind == Kind::read && is_pack(n) && (partial_ || from.lanes < lanes_of(from.dtype))) return false;
  return place(n).in < 0 && in_memory(n) &&
         (from.kind != Kind::computed || lifetimes_.next_use(n, at_ + 1) == Lifetimes::never);
}

void Operands::save_all() {
  for (Number n : held_)
    if (n != none && outlives(n)) save(n);
}

std::vector<Number> Operands::invariants() const {
  std::vector<std::size_t> uses(program_.definitions.size(), 0);
  std::vector<Number> all;
  for (const Instruction& i : program_.instructions) {
    if (i.code == Code::spread) all.push_back(i.to);
    for (Number operand : {i.a, i.b, i.c}) {
      if (operand == none) continue;
      if (uses[static_cast<std::size_t>(operand)]++ == 0 && definition(operand).kind == Kind::constant)
        all.push_back(operand);
    }
  }
  std::stable_sort(all.begin(), all.end(), [&](Number a, Number b) {
    return uses[static_cast<std::size_t>(a)] > uses[static_cast<std::size_t>(b)];
  });
  all.resize(std::min(all.size(), most_kept));
  return all;
}

void Operands::keep_pointers(std::size_t arrays) {
  kept_pointers_ = std::min<std::size_t>(arrays, pointers - 1);
  for (std::size_t i = 0; i < kept_pointers_; ++i) load_pointer(static_cast<std::uint32_t>(i), i);
}

void Operands::begin_round(bool partial) {
  partial_ = partial;
  lifetimes_.restart();
  for (std::size_t i = kept_pointers_; i < pointers; ++i) pointers_[i] = no_array;
  for (int r = 0; r < pack_registers; ++r)
    if (const Number n = held_[static_cast<std::size_t>(r)]; n != none && !is_kept(n)) drop_register(r);
}

Xbyak::Address Operands::in_array(std::uint32_t array, std::size_t bytes) {
  return ptr[pointer_to(array) + r13 + bytes];
}

void Operands::empty_registers() {
  for (int r = 0; r < pack_registers; ++r) drop_register(r);
  pointers_.fill(no_array);
  masked_ = 0;
}

}  // namespace wengert::plan::code

#endif
