#include "autodiff/plan/scalars/machine_code.hpp"

#if defined(__x86_64__)

#include <xbyak/xbyak.h>

#include <algorithm>
#include <array>
#include <bit>

#include "autodiff/plan/scalars/callee.hpp"
#include "autodiff/plan/scalars/lifetimes.hpp"

namespace wengert::plan::scalars {
namespace {

class Assembler : private Xbyak::CodeGenerator {
 public:
  explicit Assembler(const Program& program)
      : CodeGenerator(512 + most_bytes * program.instructions.size(), Xbyak::DontSetProtectRWE),
        program_(program),
        lifetimes_(program),
        places_(program.scalars.size()),
        callees_(program.sites.begin(), program.sites.end()),
        frame_bytes_((program.call_bytes + 63) / 64 * 64) {
    held_.fill(none);
    pointers_.fill(no_array);
    make_constants();
    for (std::size_t i = 0; i < before_entry; ++i) db(0xcc);
    push(rbx), push(rbp), push(r12);  // which leaves the stack as a call wants it
    mov(rbx, rdi), mov(rbp, rsi), mov(r12, reinterpret_cast<std::uint64_t>(constants_.data()));
    for (at_ = 0; at_ < program.instructions.size(); ++at_) emit(program.instructions[at_]);
    xor_(eax, eax);
    L(end_);
    pop(r12), pop(rbp), pop(rbx);
    ret();
    setProtectModeRE();
  }

  using Entry = int (*)(const void* const* arrays, std::byte* memory);
  Entry entry() const { return reinterpret_cast<Entry>(reinterpret_cast<std::uintptr_t>(getCode() + before_entry)); }
  std::size_t frame_bytes() const { return frame_bytes_; }
  std::size_t bytes() const { return getSize(); }

 private:
  // Sanitizers look for the type of a function in front of it.
  static constexpr std::size_t before_entry = 16;
  static constexpr std::size_t most_bytes = 128;  // of an instruction with what it loads and stores
  static constexpr int registers = 16, pointers = 8;
  static constexpr std::uint32_t no_array = ~std::uint32_t{0};
  static constexpr std::size_t no_slot = ~std::size_t{0};

  // Where a scalar is: in a register, in a slot of the frame, or both. What is read or constant is in memory anyway.
  struct Place {
    int in = -1;
    std::size_t slot = no_slot;
    bool stored = false;
  };
  struct Loop {
    Xbyak::Label begin{}, end{};
  };

  // Of 16 bytes each: what masks, signs and indicators take, in f64 and f32, and those of the program.
  enum Special : std::size_t { all_bits, sign_bit, other_bits, one };
  static constexpr std::size_t specials = 4;
  void make_constants() {
    const auto add = [&](std::uint64_t bits) { constants_.push_back({bits, 0}); };
    for (std::uint64_t bits : {~std::uint64_t{0}, std::uint64_t{1} << 63, ~(std::uint64_t{1} << 63)}) add(bits);
    add(std::bit_cast<std::uint64_t>(1.0));
    for (std::uint32_t bits : {~std::uint32_t{0}, std::uint32_t{1} << 31, ~(std::uint32_t{1} << 31)}) add(bits);
    add(std::bit_cast<std::uint32_t>(1.0f));
    constant_.resize(program_.scalars.size());
    for (std::size_t s = 0; s < program_.scalars.size(); ++s) {
      if (program_.scalars[s].kind != Scalar::Kind::constant) continue;
      constant_[s] = constants_.size();
      add(program_.scalars[s].bits);
    }
  }
  Xbyak::Address constant(std::size_t index) { return ptr[r12 + 16 * index]; }
  Xbyak::Address special(Special which, bool wide) { return constant(which + (wide ? std::size_t{0} : specials)); }

  const Scalar& scalar(Number n) const { return program_.scalars[static_cast<std::size_t>(n)]; }
  Place& place(Number n) { return places_[static_cast<std::size_t>(n)]; }
  bool is_wide(Number n) const { return size_of(scalar(n).dtype) == 8; }
  static Xbyak::Xmm xmm(int which) { return Xbyak::Xmm(which); }

  // The pointer to an array, in a general register.
  Xbyak::Reg64 pointer_to(std::uint32_t array) {
    static const std::array<Xbyak::Reg64, pointers> general{rcx, rdx, rsi, rdi, r8, r9, r10, r11};
    const auto known = std::find(pointers_.begin(), pointers_.end(), array);
    if (known != pointers_.end()) return general[static_cast<std::size_t>(known - pointers_.begin())];
    const std::size_t which = next_pointer_++ % pointers;
    mov(general[which], ptr[rbx + 8 * array]);
    pointers_[which] = array;
    return general[which];
  }
  Xbyak::Address memory_of(Number n) {
    const Scalar& s = scalar(n);
    if (s.kind == Scalar::Kind::constant) return constant(constant_[static_cast<std::size_t>(n)]);
    if (s.kind == Scalar::Kind::read) return ptr[pointer_to(s.array) + s.bits];
    return ptr[rbp + place(n).slot];
  }
  void load(int to, Number n) {
    const Xbyak::Address from = memory_of(n);
    is_wide(n) ? vmovsd(xmm(to), from) : vmovss(xmm(to), from);
  }
  void store(Number n, const Xbyak::Address& to) {
    is_wide(n) ? vmovsd(to, xmm(place(n).in)) : vmovss(to, xmm(place(n).in));
  }
  bool in_memory(Number n) { return scalar(n).kind != Scalar::Kind::computed || place(n).stored; }

  void give_slot(Number n) {
    if (place(n).slot != no_slot) return;
    if (free_slots_.empty()) {
      place(n).slot = frame_bytes_;
      frame_bytes_ += 8;
    } else {
      place(n).slot = free_slots_.back();
      free_slots_.pop_back();
    }
  }
  void save(Number n) {
    if (in_memory(n)) return;
    give_slot(n);
    store(n, memory_of(n));
    place(n).stored = true;
  }
  void drop_register(int which) {
    const Number n = held_[static_cast<std::size_t>(which)];
    if (n == none) return;
    place(n).in = -1;
    held_[static_cast<std::size_t>(which)] = none;
  }
  // What an instruction was the last to read gives up its register and slot.
  void release(Number n) {
    if (n == none || lifetimes_.outlives(n, at_)) return;
    if (place(n).in >= 0) drop_register(place(n).in);
    if (place(n).slot == no_slot) return;
    free_slots_.push_back(place(n).slot);
    place(n).slot = no_slot;
  }

  // A register, of the one that is read last if none is free; not one of these.
  int take(std::initializer_list<int> not_of = {}) {
    int best = -1;
    std::size_t latest = 0;
    for (int r = 0; r < registers; ++r) {
      if (std::find(not_of.begin(), not_of.end(), r) != not_of.end()) continue;
      const Number n = held_[static_cast<std::size_t>(r)];
      if (n == none) return r;
      const std::size_t next = lifetimes_.next_use(n, at_);
      if (best >= 0 && next < latest) continue;
      best = r;
      latest = next;
    }
    const Number n = held_[static_cast<std::size_t>(best)];
    if (lifetimes_.outlives(n, at_) || lifetimes_.next_use(n, at_) == at_) save(n);
    drop_register(best);
    return best;
  }
  int put(Number n, int which) {
    held_[static_cast<std::size_t>(which)] = n;
    place(n).in = which;
    return which;
  }
  int in_register(Number n, std::initializer_list<int> not_of = {}) {
    if (place(n).in >= 0) return place(n).in;
    const int to = take(not_of);
    load(to, n);
    return put(n, to);
  }
  // True if it is better read where it lies: it is not read again soon.
  bool stays_in_memory(Number n) {
    return place(n).in < 0 && in_memory(n) &&
           (scalar(n).kind != Scalar::Kind::computed || lifetimes_.next_use(n, at_ + 1) == Lifetimes::never);
  }
  // Registers are empty where code is entered from several places, and in calls.
  void save_all() {
    for (Number n : held_)
      if (n != none && lifetimes_.outlives(n, at_)) save(n);
  }
  void empty_registers() {
    for (int r = 0; r < registers; ++r) drop_register(r);
    pointers_.fill(no_array);
  }

  // to = f(register of a, operand b), where b may be in memory.
  template <class F>
  void binary(const Instruction& i, F&& f) {
    const int a = in_register(i.a);
    if (i.b != i.a && stays_in_memory(i.b)) {
      const Xbyak::Address b = memory_of(i.b);
      release(i.a);
      f(xmm(put(i.to, take())), xmm(a), b);
      return release(i.b);  // its slot is free once it is read
    }
    const int b = in_register(i.b, {a});
    release(i.a), release(i.b);
    f(xmm(put(i.to, take())), xmm(a), xmm(b));
  }
  // to = f(register of a)
  template <class F>
  void unary(const Instruction& i, F&& f) {
    const int a = in_register(i.a);
    release(i.a);
    f(xmm(put(i.to, take())), xmm(a));
  }
  using Arithmetic = void (CodeGenerator::*)(const Xbyak::Xmm&, const Xbyak::Operand&, const Xbyak::Operand&);
  void arithmetic(const Instruction& i, Arithmetic f64, Arithmetic f32) {
    const Arithmetic f = is_wide(i.a) ? f64 : f32;
    binary(i, [&](const Xbyak::Xmm& to, const Xbyak::Xmm& a, const Xbyak::Operand& b) { (this->*f)(to, a, b); });
  }
  void compare(const Instruction& i, std::uint8_t predicate) {
    const bool wide = is_wide(i.a);
    binary(i, [&](const Xbyak::Xmm& to, const Xbyak::Xmm& a, const Xbyak::Operand& b) {
      wide ? vcmpsd(to, a, b, predicate) : vcmpss(to, a, b, predicate);
    });
  }
  void fma(const Instruction& i) {
    const bool wide = is_wide(i.a);
    const int c = in_register(i.c), a = in_register(i.a, {c}), b = in_register(i.b, {a, c});
    const bool c_is_free = !lifetimes_.outlives(i.c, at_) && i.c != i.a && i.c != i.b;
    int to = c;
    if (!c_is_free) {
      to = take({a, b, c});
      vmovaps(xmm(to), xmm(c));
    }
    wide ? vfmadd231sd(xmm(to), xmm(a), xmm(b)) : vfmadd231ss(xmm(to), xmm(a), xmm(b));
    for (Number n : {i.a, i.b, i.c}) release(n);
    drop_register(to);
    put(i.to, to);
  }
  void choose(const Instruction& i) {
    const bool wide = is_wide(i.b);
    const int mask = in_register(i.a), yes = in_register(i.b, {mask}), no = in_register(i.c, {mask, yes});
    for (Number n : {i.a, i.b, i.c}) release(n);
    const Xbyak::Xmm to = xmm(put(i.to, take()));
    wide ? vblendvpd(to, xmm(no), xmm(yes), xmm(mask)) : vblendvps(to, xmm(no), xmm(yes), xmm(mask));
  }
  void set(const Instruction& i) {
    in_register(i.a);
    give_slot(i.to);
    const Place variable = place(i.to);
    store(i.a, ptr[rbp + variable.slot]);
    if (variable.in >= 0) drop_register(variable.in);
    place(i.to).stored = true;
    release(i.a);
  }
  void call_op(const Callee& callee) {
    save_all();
    empty_registers();
    mov(rdi, reinterpret_cast<std::uint64_t>(&callee));
    mov(rsi, rbp);
    mov(rax, reinterpret_cast<std::uint64_t>(&call_from_code));
    call(rax);
    test(eax, eax);
    jnz(end_, T_NEAR);
  }

  void emit(const Instruction& i);

  const Program& program_;
  Lifetimes lifetimes_;
  std::vector<Place> places_;
  const std::vector<Callee> callees_;  // whose addresses are in the code
  std::size_t frame_bytes_;
  std::vector<std::size_t> free_slots_;
  std::size_t at_ = 0;                            // the instruction at hand
  std::array<Number, registers> held_;            // by each register
  std::array<std::uint32_t, pointers> pointers_;  // arrays whose pointers are in general registers
  std::size_t next_pointer_ = 0;
  std::vector<std::array<std::uint64_t, 2>> constants_;
  std::vector<std::size_t> constant_;  // of a scalar
  std::vector<std::unique_ptr<Loop>> loops_;
  Xbyak::Label end_;
};

void Assembler::emit(const Instruction& i) {
  using Xbyak::Xmm;
  // A predicate of vcmpsd, all of them quiet.
  enum : std::uint8_t { eq = 0x00, unord = 0x03, neq = 0x04, lt = 0x11, le = 0x12, ge = 0x1d, gt = 0x1e };
  const bool wide = i.a != none && is_wide(i.a);
  switch (i.code) {
    case Code::add:
      return arithmetic(i, &Assembler::vaddsd, &Assembler::vaddss);
    case Code::sub:
      return arithmetic(i, &Assembler::vsubsd, &Assembler::vsubss);
    case Code::mul:
      return arithmetic(i, &Assembler::vmulsd, &Assembler::vmulss);
    case Code::div:
      return arithmetic(i, &Assembler::vdivsd, &Assembler::vdivss);
    case Code::sqrt:
      return unary(i, [&](const Xmm& to, const Xmm& a) { wide ? vsqrtsd(to, a, a) : vsqrtss(to, a, a); });
    case Code::neg:
      return unary(i, [&](const Xmm& to, const Xmm& a) { vxorps(to, a, special(sign_bit, wide)); });
    case Code::abs:
      return unary(i, [&](const Xmm& to, const Xmm& a) { vandps(to, a, special(other_bits, wide)); });
    case Code::fma:
      return fma(i);
    case Code::equal:
      return compare(i, eq);
    case Code::not_equal:
      return compare(i, neq);
    case Code::less:
      return compare(i, lt);
    case Code::less_equal:
      return compare(i, le);
    case Code::greater:
      return compare(i, gt);
    case Code::greater_equal:
      return compare(i, ge);
    case Code::unordered:
      return compare(i, unord);
    case Code::mask_and:
    case Code::mask_or:
    case Code::mask_xor: {
      const int a = in_register(i.a), b = in_register(i.b, {a});  // whole registers, which no slot holds
      release(i.a), release(i.b);
      const Xmm to = xmm(put(i.to, take()));
      if (i.code == Code::mask_and) return vandps(to, xmm(a), xmm(b));
      return i.code == Code::mask_or ? vorps(to, xmm(a), xmm(b)) : vxorps(to, xmm(a), xmm(b));
    }
    case Code::mask_not:
      return unary(i, [&](const Xmm& to, const Xmm& a) { vxorps(to, a, special(all_bits, wide)); });
    case Code::indicator:
      return unary(i, [&](const Xmm& to, const Xmm& a) { vandps(to, a, special(one, wide)); });
    case Code::choose:
      return choose(i);
    case Code::f32_to_f64:
      return unary(i, [&](const Xmm& to, const Xmm& a) { vcvtss2sd(to, a, a); });
    case Code::i32_to_f64:
      return unary(i, [&](const Xmm& to, const Xmm& a) {
        vmovd(eax, a);
        vcvtsi2sd(to, a, eax);
      });
    case Code::copy:
      return unary(i, [&](const Xmm& to, const Xmm& a) { vmovaps(to, a); });
    case Code::set:
      return set(i);
    case Code::loop:
      save_all();
      empty_registers();
      loops_.push_back(std::make_unique<Loop>());
      return L(loops_.back()->begin);
    case Code::leave:
      vmovd(eax, xmm(in_register(i.a)));
      release(i.a);
      test(eax, eax);
      return jnz(loops_.back()->end, T_NEAR);
    case Code::repeat:
      jmp(loops_.back()->begin, T_NEAR);
      L(loops_.back()->end);
      empty_registers();
      return loops_.pop_back();
    case Code::argument:
      in_register(i.a);
      store(i.a, ptr[rbp + i.at]);
      return release(i.a);
    case Code::call:
      return call_op(callees_[i.at]);
    case Code::result: {
      const int to = take();
      size_of(i.dtype) == 8 ? vmovsd(xmm(to), ptr[rbp + i.at]) : vmovss(xmm(to), ptr[rbp + i.at]);
      put(i.to, to);
      return;
    }
    case Code::write:
      in_register(i.a);
      store(
          i.a,
          ptr[pointer_to(static_cast<std::uint32_t>(program_.reads.size()) + static_cast<std::uint32_t>(i.to)) + i.at]);
      return release(i.a);
  }
}

class Assembled final : public MachineCode {
 public:
  explicit Assembled(Program program) : program_(std::move(program)), code_(program_) {}
  void run(const void* const* arrays, std::byte* memory) const override {
    if (code_.entry()(arrays, memory) != 0) rethrow();
  }
  const Program& program() const override { return program_; }
  std::size_t frame_bytes() const override { return code_.frame_bytes(); }
  std::size_t bytes() const override { return code_.bytes(); }

 private:
  Program program_;
  Assembler code_;
};

}  // namespace

std::unique_ptr<const MachineCode> assemble(Program program) {
  try {
    return std::make_unique<const Assembled>(std::move(program));
  } catch (const Xbyak::Error&) {
    return nullptr;
  }
}

}  // namespace wengert::plan::scalars

#else

namespace wengert::plan::scalars {

std::unique_ptr<const MachineCode> assemble(Program) { return nullptr; }

}  // namespace wengert::plan::scalars

#endif
