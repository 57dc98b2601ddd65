// The frozen arguments of a recorded op.
//
// An op that takes arguments states them once, as a struct that visits its fields. They are read, written and printed
// by their names then:
//
//   struct Arguments {
//     Axis axis = -1;
//     Index k = 1;
//     bool largest = true;
//     template <class Visit>
//     void fields(Visit&& visit) {
//       visit("axis", axis), visit("k", k), visit("largest", largest);
//     }
//   };
//   to_attributes(Arguments{.k = 3})              // .axes = {-1}, .integers = {3, 1}
//   arguments_of<Arguments>(c.attributes()).k     // 3
//   describe<Arguments>(attributes)               // "axis=-1 k=3 largest": what Op::describe() returns
#pragma once
#include <concepts>
#include <string>
#include <string_view>
#include <type_traits>

#include "autodiff/arguments.hpp"
#include "autodiff/dtype.hpp"
#include "autodiff/shape.hpp"
#include "autodiff/small_list.hpp"

namespace wengert {

using AxisList = SmallList<int, max_rank>;

// Axes count from the end, so that they stay right when an array gains leading axes (stacked tangents, batches of a
// batch); what integers and reals mean is the op's own affair.
struct Attributes {
  AxisList axes = {};
  SmallList<Index, max_rank + 4> integers = {};
  SmallList<double, 4> reals = {};

  bool empty() const { return axes.empty() && integers.empty() && reals.empty(); }
  friend bool operator==(const Attributes&, const Attributes&) = default;
};
inline constexpr Attributes no_attributes;
std::string to_string(const Attributes& attributes);  // "axes -1; 2, 3; 0.5", empty when there are none

namespace detail {

Dtype dtype_numbered(Index number);  // Error where no element type has the number

// The list that holds a field of each type: an Axis in axes, and so a list of them, which must be the last there; whole
// numbers, bools and enumerators in integers, and so the extents of a Shape, which must be the last there; real ones in
// reals.
class WriteField {
 public:
  explicit WriteField(Attributes& to) : to_(to) {}
  void operator()(const char*, Axis axis) { to_.axes.push_back(axis); }
  void operator()(const char*, const AxisList& axes) {
    for (int axis : axes) to_.axes.push_back(axis);
  }
  void operator()(const char*, const Shape& shape) {
    for (Index extent : shape.extents()) to_.integers.push_back(extent);
  }
  void operator()(const char*, double real) { to_.reals.push_back(real); }
  template <class T>
  requires std::integral<T> || std::is_enum_v<T>
  void operator()(const char*, T value) { to_.integers.push_back(static_cast<Index>(value)); }

 private:
  Attributes& to_;
};

class ReadField {
 public:
  explicit ReadField(const Attributes& from) : from_(from) {}
  void operator()(const char*, Axis& axis) { axis = from_.axes[axis_++]; }
  void operator()(const char*, AxisList& axes) {
    axes = {};
    while (axis_ < from_.axes.size()) axes.push_back(from_.axes[axis_++]);
  }
  void operator()(const char*, Shape& shape) {
    shape = Shape(std::span<const Index>(from_.integers).subspan(integer_));
    integer_ = from_.integers.size();
  }
  void operator()(const char*, Dtype& dtype) { dtype = dtype_numbered(from_.integers[integer_++]); }
  void operator()(const char*, double& real) { real = from_.reals[real_++]; }
  template <class T>
  requires std::integral<T> || std::is_enum_v<T>
  void operator()(const char*, T& value) { value = static_cast<T>(from_.integers[integer_++]); }

 private:
  const Attributes& from_;
  std::size_t axis_ = 0, integer_ = 0, real_ = 0;
};

// "axis=-1 k=3 largest": a bool is its name or nothing, an enumerator name_of() it where there is one.
class PrintField {
 public:
  explicit PrintField(std::string& to) : to_(to) {}
  void operator()(std::string_view name, Axis axis);
  void operator()(std::string_view name, const AxisList& axes);
  void operator()(std::string_view name, const Shape& shape);
  void operator()(std::string_view name, double real);
  void operator()(std::string_view name, Index integer);
  void operator()(std::string_view name, bool flag);
  template <class T>
  requires std::integral<T> || std::is_enum_v<T>
  void operator()(std::string_view name, T value) {
    if constexpr (requires { name_of(value); })
      append(name, name_of(value));
    else
      (*this)(name, static_cast<Index>(value));
  }

 private:
  void append(std::string_view text);
  void append(std::string_view name, std::string_view value);
  std::string& to_;
};

}  // namespace detail

template <class Arguments>
Attributes to_attributes(Arguments arguments) {
  Attributes attributes;
  arguments.fields(detail::WriteField(attributes));
  return attributes;
}

template <class Arguments>
Arguments arguments_of(const Attributes& attributes) {
  Arguments arguments;
  arguments.fields(detail::ReadField(attributes));
  return arguments;
}

template <class Arguments>
std::string describe(const Attributes& attributes) {
  std::string text;
  arguments_of<Arguments>(attributes).fields(detail::PrintField(text));
  return text;
}

}  // namespace wengert
