#include "autodiff/plan/code/machine_code.hpp"

#if defined(__x86_64__)

#include "autodiff/plan/code/callee.hpp"
#include "autodiff/plan/code/operands.hpp"

namespace wengert::plan::code {
namespace {

using Xbyak::Address;
using Xbyak::Operand;
using Xbyak::Xmm;
using Xbyak::Zmm;

class Assembler : private Operands {
 public:
  explicit Assembler(const Program& program) : Operands(program), callees_(program.sites.begin(), program.sites.end()) {
    for (std::size_t i = 0; i < before_entry; ++i) db(0xcc);
    push(rbx), push(rbp), push(r12);  // which leaves the stack as a call wants it
    mov(rbx, rdi), mov(rbp, rsi), mov(r12, reinterpret_cast<std::uint64_t>(constants()));
    program.over_arrays ? loop_over_arrays() : emit_all();
    xor_(eax, eax);
    L(end_);
    forget_packs();
    pop(r12), pop(rbp), pop(rbx);
    ret();
    setProtectModeRE();
  }

  using Entry = int (*)(const void* const* arrays, std::byte* memory, std::size_t bytes);
  Entry entry() const { return reinterpret_cast<Entry>(reinterpret_cast<std::uintptr_t>(getCode() + before_entry)); }
  std::size_t bytes() const { return getSize(); }
  using Operands::frame_bytes;

 private:
  // Sanitizers look for the type of a function in front of it.
  static constexpr std::size_t before_entry = 16;
  struct Loop {
    Xbyak::Label begin{}, end{};
  };

  // to = f(register of a, operand b), where b may be in memory.
  template <class F>
  void binary(const Instruction& i, F&& f) {
    const int a = in_register(i.a);
    if (i.b != i.a && stays_in_memory(i.b)) {
      const Address b = memory_of(i.b);
      release(i.a);
      f(as(i.to, put(i.to, take(i.to))), as(i.a, a), b);
      return release(i.b);  // its slot is free once it is read
    }
    const int b = in_register(i.b, {a});
    release(i.a), release(i.b);
    f(as(i.to, put(i.to, take(i.to))), as(i.a, a), as(i.b, b));
  }
  // to = f(register of a)
  template <class F>
  void unary(const Instruction& i, F&& f) {
    const int a = in_register(i.a);
    release(i.a);
    f(as(i.to, put(i.to, take(i.to))), as(i.a, a));
  }
  // One of the instructions on numbers and on packs, of f64 and of f32.
  using Three = void (CodeGenerator::*)(const Xmm&, const Operand&, const Operand&);
  struct Forms {
    Three sd, ss, pd, ps;
  };
  void arithmetic(const Instruction& i, const Forms& forms) {
    const bool wide = is_wide(i.a);
    const Three f = is_pack(i.to) ? (wide ? forms.pd : forms.ps) : (wide ? forms.sd : forms.ss);
    binary(i, [&](const Xmm& to, const Xmm& a, const Operand& b) { (this->*f)(to, a, b); });
  }
  // Bit by bit, with one of the special constants.
  void bits(const Instruction& i, Three f, Special with) {
    unary(i, [&](const Xmm& to, const Xmm& a) { (this->*f)(to, a, special(with, i.a)); });
  }
  // Masks are whole registers, of which slots hold those of packs.
  void masks(const Instruction& i, Three f) {
    if (is_pack(i.a)) return binary(i, [&](const Xmm& to, const Xmm& a, const Operand& b) { (this->*f)(to, a, b); });
    const int a = in_register(i.a), b = in_register(i.b, {a});
    release(i.a), release(i.b);
    (this->*f)(number(put(i.to, take(i.to))), number(a), number(b));
  }
  void compare(const Instruction& i, std::uint8_t predicate) {
    const bool wide = is_wide(i.a);
    binary(i, [&](const Xmm& to, const Xmm& a, const Operand& b) {
      if (!is_pack(i.a)) return wide ? vcmpsd(to, a, b, predicate) : vcmpss(to, a, b, predicate);
      wide ? vcmppd(k2, a, b, predicate) : vcmpps(k2, a, b, predicate);
      wide ? vpmovm2q(to, k2) : vpmovm2d(to, k2);
    });
  }
  // The register of an operand that the result takes over, or a copy of it.
  int taken_over(Number n, bool read_otherwise, std::initializer_list<int> not_of) {
    const int in = in_register(n);
    if (!outlives(n) && !read_otherwise) return in;
    const int to = take(n, not_of);
    vmovaps(as(n, to), as(n, in));
    return to;
  }
  void give(Number n, int which) {
    drop_register(which);
    put(n, which);
  }
  void fma(const Instruction& i) {
    const bool wide = is_wide(i.a);
    const int c = in_register(i.c), a = in_register(i.a, {c}), b = in_register(i.b, {a, c});
    const int to = taken_over(i.c, i.c == i.a || i.c == i.b, {a, b, c});
    if (is_pack(i.to))
      wide ? vfmadd231pd(pack(to), pack(a), pack(b)) : vfmadd231ps(pack(to), pack(a), pack(b));
    else
      wide ? vfmadd231sd(number(to), number(a), number(b)) : vfmadd231ss(number(to), number(a), number(b));
    for (Number n : {i.a, i.b, i.c}) release(n);
    give(i.to, to);
  }
  void choose(const Instruction& i) {
    const bool wide = is_wide(i.b);
    const int mask = in_register(i.a), yes = in_register(i.b, {mask}), no = in_register(i.c, {mask, yes});
    if (is_pack(i.to)) {
      const int to = taken_over(i.a, i.a == i.b || i.a == i.c, {mask, yes, no});
      vpternlogq(pack(to), pack(yes), pack(no), 0xca);  // where a bit is set that of the second, else of the third
      for (Number n : {i.a, i.b, i.c}) release(n);
      return give(i.to, to);
    }
    for (Number n : {i.a, i.b, i.c}) release(n);
    const Xmm to = number(put(i.to, take(i.to)));
    wide ? vblendvpd(to, number(no), number(yes), number(mask)) : vblendvps(to, number(no), number(yes), number(mask));
  }

  void lane(const Instruction& i) {
    const bool wide = is_wide(i.a);
    if (stays_in_memory(i.a)) {
      const Address from = memory_of(i.a, i.at * size_of(i.dtype));
      load(i.to, put(i.to, take(i.to)), from);
      return release(i.a);
    }
    const int a = in_register(i.a);
    release(i.a);
    const int to = put(i.to, take(i.to));
    if (i.at == 0) return vmovaps(number(to), number(a));
    const auto which = static_cast<std::uint8_t>(i.at);
    wide ? valignq(pack(to), pack(a), pack(a), which) : valignd(pack(to), pack(a), pack(a), which);
  }
  void spread(const Instruction& i) {
    const bool wide = is_wide(i.a);
    const auto from = [&](const Operand& a) {
      const Zmm to = pack(put(i.to, take(i.to)));
      wide ? vbroadcastsd(to, a) : vbroadcastss(to, a);
    };
    if (stays_in_memory(i.a)) {
      from(memory_of(i.a));
      return release(i.a);
    }
    const int a = in_register(i.a);
    release(i.a);
    from(number(a));
  }
  void permute(const Instruction& i) {
    const bool wide = is_wide(i.a);
    const int a = in_register(i.a), b = i.b == none ? a : in_register(i.b, {a});
    const int to = take(i.to, {a, b});
    if (const std::optional<std::uint8_t> by = shift(i)) {
      wide ? valignq(pack(to), pack(b), pack(a), *by) : valignd(pack(to), pack(b), pack(a), *by);
    } else {
      vmovups(pack(to), memory_of(i.c));
      if (i.b == none)
        wide ? vpermpd(pack(to), pack(to), pack(a)) : vpermps(pack(to), pack(to), pack(a));
      else
        wide ? vpermi2pd(pack(to), pack(a), pack(b)) : vpermi2ps(pack(to), pack(a), pack(b));
    }
    release(i.a), release(i.b);
    put(i.to, to);
  }
  // By how many places the lanes of a, then of b (or of a once more), are moved, if that is all.
  std::optional<std::uint8_t> shift(const Instruction& i) const {
    const std::size_t size = size_of(i.dtype), lanes = lanes_of(i.dtype);
    const Line& line = program().lines[definition(i.c).bits];
    const auto index = [&](std::size_t lane) {
      return size == 8 ? line[lane] : line[lane / 2] >> lane % 2 * 32 & 0xffffffff;
    };
    const std::size_t all = i.b == none ? lanes : 2 * lanes;
    for (std::size_t lane = 1; lane < lanes; ++lane)
      if (index(lane) != (index(0) + lane) % all) return {};
    if (index(0) >= lanes) return {};
    return static_cast<std::uint8_t>(index(0));
  }

  void call_op(const Callee& callee) {
    save_all();
    empty_registers();
    forget_packs();
    mov(rdi, reinterpret_cast<std::uint64_t>(&callee));
    mov(rsi, rbp);
    mov(rax, reinterpret_cast<std::uint64_t>(&call_from_code));
    call(rax);
    test(eax, eax);
    jnz(end_, T_NEAR);
  }
  // What a call wants: processors are slow where upper parts of registers are kept beside instructions without them.
  void forget_packs() {
    if (program().has_packs()) vzeroupper();
  }
  void loop() {
    save_all();
    empty_registers();
    loops_.push_back(std::make_unique<Loop>());
    L(loops_.back()->begin);
  }
  void leave(const Instruction& i) {
    vmovd(eax, number(in_register(i.a)));
    release(i.a);
    test(eax, eax);
    jnz(loops_.back()->end, T_NEAR);
  }
  void repeat() {
    jmp(loops_.back()->begin, T_NEAR);
    L(loops_.back()->end);
    empty_registers();
    loops_.pop_back();
  }

  void emit_all() {
    for (std::size_t i = 0; i < program().instructions.size(); ++i) {
      go_to(i);
      emit(program().instructions[i]);
    }
  }
  // r13 counts the bytes that are done, of which r14 are in whole packs; r15 are left for the last round.
  void loop_over_arrays() {
    push(r13), push(r14), push(r15);
    mov(r14, rdx), mov(r15, rdx), and_(r15, static_cast<std::uint32_t>(pack_bytes - 1)), sub(r14, r15);
    keep_invariants();
    keep_pointers(program().reads.size() + program().writes.size());
    Xbyak::Label round, rest, end;
    xor_(r13, r13);
    test(r14, r14), jz(rest, T_NEAR);
    L(round);
    begin_round(false), emit_all();
    add(r13, static_cast<std::uint32_t>(pack_bytes)), cmp(r13, r14), jb(round, T_NEAR);
    L(rest);
    test(r15, r15), jz(end, T_NEAR);
    shr(r15d, size_of(program().instructions.back().dtype) == 8 ? 3 : 2);
    mov(eax, ~std::uint32_t{0}), bzhi(eax, eax, r15d), kmovw(k1, eax);
    begin_round(true), emit_all();
    L(end);
    pop(r15), pop(r14), pop(r13);
  }
  void keep_invariants() {
    for (Number n : invariants()) {
      if (definition(n).kind == Definition::Kind::constant) in_register(n);
      for (const Instruction& i : program().instructions)
        if (i.code == Code::spread && i.to == n) emit(i);
      keep(n);
    }
  }

  void emit(const Instruction& i);

  const std::vector<Callee> callees_;  // whose addresses are in the code
  std::vector<std::unique_ptr<Loop>> loops_;
  Xbyak::Label end_;
};

void Assembler::emit(const Instruction& i) {
  // Predicates of vcmpsd, all of them quiet.
  enum : std::uint8_t { eq = 0x00, unord = 0x03, neq = 0x04, lt = 0x11, le = 0x12, ge = 0x1d, gt = 0x1e };
  using A = Assembler;
  switch (i.code) {
    case Code::add:
      return arithmetic(i, {&A::vaddsd, &A::vaddss, &A::vaddpd, &A::vaddps});
    case Code::sub:
      return arithmetic(i, {&A::vsubsd, &A::vsubss, &A::vsubpd, &A::vsubps});
    case Code::mul:
      return arithmetic(i, {&A::vmulsd, &A::vmulss, &A::vmulpd, &A::vmulps});
    case Code::div:
      return arithmetic(i, {&A::vdivsd, &A::vdivss, &A::vdivpd, &A::vdivps});
    case Code::sqrt:
      return unary(i, [&](const Xmm& to, const Xmm& a) {
        if (is_pack(i.a)) return is_wide(i.a) ? vsqrtpd(to, a) : vsqrtps(to, a);
        is_wide(i.a) ? vsqrtsd(to, a, a) : vsqrtss(to, a, a);
      });
    case Code::neg:
      return bits(i, is_wide(i.a) ? &A::vxorpd : &A::vxorps, sign_bit);
    case Code::abs:
      return bits(i, is_wide(i.a) ? &A::vandpd : &A::vandps, other_bits);
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
      return masks(i, &A::vandps);
    case Code::mask_or:
      return masks(i, &A::vorps);
    case Code::mask_xor:
      return masks(i, &A::vxorps);
    case Code::mask_not:
      return bits(i, is_wide(i.a) ? &A::vxorpd : &A::vxorps, all_bits);
    case Code::indicator:
      return bits(i, is_wide(i.a) ? &A::vandpd : &A::vandps, one);
    case Code::choose:
      return choose(i);
    case Code::lane:
      return lane(i);
    case Code::spread:
      return is_kept(i.to) ? void() : spread(i);
    case Code::permute:
      return permute(i);
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
      in_register(i.a);
      set_slot(i.a, i.to);
      return release(i.a);
    case Code::loop:
      return loop();
    case Code::leave:
      return leave(i);
    case Code::repeat:
      return repeat();
    case Code::argument:
      in_register(i.a);
      store(i.a, ptr[rbp + i.at]);
      return release(i.a);
    case Code::call:
      return call_op(callees_[i.at]);
    case Code::result:
      return load(i.to, put(i.to, take(i.to)), ptr[rbp + i.at]);
    case Code::write: {
      in_register(i.a);
      const auto array = static_cast<std::uint32_t>(program().reads.size() + static_cast<std::size_t>(i.to));
      store(i.a, program().over_arrays ? in_array(array, i.at) : ptr[pointer_to(array) + i.at], i.lanes);
      return release(i.a);
    }
  }
}

class Assembled final : public MachineCode {
 public:
  explicit Assembled(Program program) : program_(std::move(program)), code_(program_) {}
  void run(const void* const* arrays, std::byte* memory, std::size_t bytes) const override {
    if (code_.entry()(arrays, memory, bytes) != 0) rethrow();
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

}  // namespace wengert::plan::code

#else

namespace wengert::plan::code {

std::unique_ptr<const MachineCode> assemble(Program) { return nullptr; }

}  // namespace wengert::plan::code

#endif
