// Operands: where the numbers and packs of a program are while its code runs, in registers, in slots of its frame, in
// constants or in arrays, and the instructions that move them between these.
#pragma once
#include <xbyak/xbyak.h>

#include <array>

#include "autodiff/plan/code/lifetimes.hpp"

namespace wengert::plan::code {

class Operands : public Xbyak::CodeGenerator {
 public:
  explicit Operands(const Program& program);

  std::size_t frame_bytes() const { return frame_bytes_; }

 protected:
  // What masks, signs and indicators take, in f64 and f32.
  enum Special : std::size_t { all_bits, sign_bit, other_bits, one };
  // Of 16 bytes for numbers; a pack reads it into every lane.
  Xbyak::Address special(Special which, Number of);
  const void* constants() const { return constants_.data(); }

  const Program& program() const { return program_; }
  const Definition& definition(Number n) const { return program_.definitions[static_cast<std::size_t>(n)]; }
  bool is_wide(Number n) const { return size_of(definition(n).dtype) == 8; }
  bool is_pack(Number n) const { return definition(n).is_pack(); }
  // A register as a number, or as a pack like `n`.
  static Xbyak::Xmm number(int which) { return Xbyak::Xmm(which); }
  static Xbyak::Zmm pack(int which) { return Xbyak::Zmm(which); }
  Xbyak::Xmm as(Number n, int which) const {
    return is_pack(n) ? Xbyak::Xmm(Xbyak::Operand::ZMM, which) : number(which);
  }

  // The instruction at hand, which decides what is read once more.
  void go_to(std::size_t instruction) { at_ = instruction; }
  bool outlives(Number n) const { return is_kept(n) || lifetimes_.outlives(n, at_); }

  // In a register for the instruction at hand; not in one of these.
  using Registers = std::initializer_list<int>;
  int in_register(Number n, Registers not_of = {});
  // A register for what is to be there, of the one that is read last if none is free.
  int take(Number n, Registers not_of = {});
  int put(Number n, int which);
  void drop_register(int which);
  // What an instruction was the last to read gives up its register and slot.
  void release(Number n);

  // Where it lies in memory, which is in the slot of what a loop changes; whether it is better read there.
  Xbyak::Address memory_of(Number n, std::size_t offset = 0);
  bool stays_in_memory(Number n);
  void load(Number n, int to, const Xbyak::Address& from);
  void store(Number n, const Xbyak::Address& to, std::size_t lanes = 0);  // as many as there are by default
  void set_slot(Number n, Number to);
  // Registers are empty where code is entered from several places, and in calls.
  void save_all();
  void empty_registers();
  // The pointer to an array, in a general register.
  Xbyak::Reg64 pointer_to(std::uint32_t array);

  // Loops over arrays. keep() is for what is the same in all rounds, as far as registers are left for the rest: it
  // stays where it is put. A round begins with nothing else in registers; in the last one, k1 has the mask of the
  // elements that are left.
  static constexpr std::size_t most_kept = 12;
  std::vector<Number> invariants() const;  // those that are read most often
  bool is_kept(Number n) const { return kept_[static_cast<std::size_t>(n)]; }
  void keep(Number n) { kept_[static_cast<std::size_t>(n)] = true; }
  void keep_pointers(std::size_t arrays);
  void begin_round(bool partial);
  // Where an array is read or written in this round.
  Xbyak::Address in_array(std::uint32_t array, std::size_t bytes);

 private:
  // Instructions on numbers know the lower half of the registers alone.
  static constexpr int number_registers = 16, pack_registers = 32, pointers = 8;
  static constexpr std::uint32_t no_array = ~std::uint32_t{0};
  static constexpr std::size_t no_slot = ~std::size_t{0};

  // In a register, in a slot of the frame, or both. What is read or constant is in memory anyway.
  struct Place {
    int in = -1;
    std::size_t slot = no_slot;
    bool stored = false;
  };
  Xbyak::Reg64 general(std::size_t which) const;
  Xbyak::Reg64 load_pointer(std::uint32_t array, std::size_t which);
  void make_constants();
  std::vector<std::size_t>& free_slots(Number n) { return is_pack(n) ? free_lines_ : free_words_; }
  Place& place(Number n) { return places_[static_cast<std::size_t>(n)]; }
  bool in_memory(Number n) { return definition(n).kind != Definition::Kind::computed || place(n).stored; }
  void give_slot(Number n);
  void save(Number n);
  Xbyak::Opmask mask_of(std::size_t lanes);

  const Program& program_;
  Lifetimes lifetimes_;
  std::size_t at_ = 0;
  std::vector<Place> places_;
  std::array<Number, pack_registers> held_;  // by each register
  std::size_t frame_bytes_;
  std::vector<std::size_t> free_words_, free_lines_;  // slots of 8 and of 64 bytes
  std::array<std::uint32_t, pointers> pointers_;      // arrays whose pointers are in general registers
  std::size_t next_pointer_ = 0, kept_pointers_ = 0;
  std::size_t masked_ = 0;  // lanes of the mask in k1
  bool partial_ = false;    // k1 is the mask of all that is read and written
  std::vector<bool> kept_;  // in registers, in all rounds of a loop over arrays
  struct alignas(64) Aligned {
    Line line;
  };
  std::vector<Aligned> constants_;
  std::vector<std::size_t> constant_;  // bytes into them, of each number
};

}  // namespace wengert::plan::code
