// Var, the handle of a node on a tape, and Operand, a Var or a number together with the line that uses it.
#pragma once
#include <concepts>
#include <cstdint>
#include <iosfwd>
#include <span>
#include <string>

#include "autodiff/arguments.hpp"
#include "autodiff/array.hpp"
#include "autodiff/error.hpp"

namespace wengert {

class Tape;

// 16 bytes, trivially copyable, owns nothing. Every use checks that the tape is alive and the node still on it:
// Error otherwise, never a crash. A default-constructed Var belongs to no tape.
class Var {
 public:
  Var() = default;
  bool is_null() const { return birth_ == 0; }

  Tape& tape(Where where = Where::current()) const;
  const Type& type(Where where = Where::current()) const;
  const Shape& shape(Where where = Where::current()) const { return type(where).shape; }
  Dtype dtype(Where where = Where::current()) const { return type(where).dtype; }
  int rank(Where where = Where::current()) const { return shape(where).rank(); }
  Index size(Where where = Where::current()) const { return shape(where).size(); }
  Index extent(int axis, Where where = Where::current()) const;

  // Item i of the first axis, without that axis; a negative i counts from the end. Error where there is none.
  Var operator[](ElementIndex i) const;

  // The value, on an eager tape; a symbolic tape has none and throws Error naming the caller's line.
  // A span is valid until the tape is rewound past the node or gone.
  template <class T>
  std::span<const T> data(Where where = Where::current()) const;
  Array value(Where where = Where::current()) const;  // a copy
  double item(Where where = Where::current()) const;  // of an array with one element

  friend bool operator==(const Var&, const Var&) = default;

 private:
  friend class Tape;
  Var(std::uint32_t slot, std::uint32_t index, std::uint64_t birth) : slot_(slot), index_(index), birth_(birth) {}

  std::uint32_t slot_ = 0;   // of the tape in the table of live tapes
  std::uint32_t index_ = 0;  // of the node on the tape
  std::uint64_t birth_ = 0;  // generation of the tape and serial number of the node; never reused
};
static_assert(sizeof(Var) == 16);

// The operand of an op: converts from a Var or a number at the user's call, and so knows the user's line.
class Operand {
 public:
  Operand(Var var, Where where = Where::current()) : var_(var), where_(where) {}
  template <class Number>
  requires std::integral<Number> || std::floating_point<Number> Operand(Number number, Where where = Where::current())
      : number_(static_cast<double>(number)), is_number_(true), where_(where) {}

  bool is_number() const { return is_number_; }
  Var var() const { return var_; }
  double number() const { return number_; }
  const Where& where() const { return where_; }

  // Throw Error in the name of the function that asks, where this is a number or a Var without its node.
  Tape& tape(const char* reader = __builtin_FUNCTION()) const;
  const Type& type(const char* reader = __builtin_FUNCTION()) const;
  const Shape& shape(const char* reader = __builtin_FUNCTION()) const { return type(reader).shape; }
  Dtype dtype(const char* reader = __builtin_FUNCTION()) const { return type(reader).dtype; }
  int rank(const char* reader = __builtin_FUNCTION()) const { return shape(reader).rank(); }
  Index extent(int axis, const char* reader = __builtin_FUNCTION()) const;

 private:
  Var var_;
  double number_ = 0;
  bool is_number_ = false;
  Where where_;
};

// The value of a Var, as to_string(Array); Error on a symbolic tape.
std::string to_string(Var x, Where where = Where::current());
std::ostream& operator<<(std::ostream& out, const Operand& x);

// The location of an operand's use, as errors say it: its line, or the outermost one outside of the library, and the
// path of scopes that its tape is in.
std::string location_of(const Operand& operand);

}  // namespace wengert
