// A typed array in host memory: what goes onto a tape, what comes off it, and what files hold.
#pragma once
#include <cstddef>
#include <iosfwd>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "autodiff/dtype.hpp"
#include "autodiff/shape.hpp"

namespace wengert {

// Memory for kernels starts on a cache line, which is also the widest SIMD register.
inline constexpr std::size_t alignment = 64;

// Such memory, not initialised. Of 4 MiB and more the system is asked for pages of 2 MiB (Linux): with those of 4 KiB
// ops on large arrays take up to twice as long. It throws std::bad_alloc where there is none.
void* take_memory(std::size_t bytes);
void give_back_memory(void* memory) noexcept;

// The shape and element type of an array: what a symbolic tape knows of a value.
struct Type {
  Dtype dtype = Dtype::f32;
  Shape shape;

  std::size_t bytes() const { return static_cast<std::size_t>(shape.size()) * size_of(dtype); }
  friend bool operator==(const Type&, const Type&) = default;
};
std::string to_string(const Type& type);  // "f32 [32, 68]"

// An array that owns its elements, in C order; a copy is deep. One that was moved from has shape [0].
class Array {
 public:
  Array() : Array(Type{}) {}
  explicit Array(const Type& type);  // zeros
  Array(Dtype dtype, const Shape& shape) : Array(Type{dtype, shape}) {}
  template <class T>
  static Array of(const Shape& shape, std::span<const T> values);
  template <class T>
  static Array of(const Shape& shape, std::initializer_list<T> values) {
    return of<T>(shape, std::span<const T>(values.begin(), values.size()));
  }
  Array(const Array& other);
  Array(Array&& other) noexcept;
  Array& operator=(Array other) noexcept;

  const Type& type() const& { return type_; }
  Type type() && { return type_; }
  Dtype dtype() const { return type_.dtype; }
  const Shape& shape() const& { return type_.shape; }
  Shape shape() && { return type_.shape; }
  Index size() const { return type_.shape.size(); }

  // The elements; T must be the element type of dtype(), or Error says which it is. (Of an array that has a name: those
  // of a temporary would be gone.)
  template <class T>
  std::span<T> data() &;
  template <class T>
  std::span<const T> data() const&;
  template <class T>
  std::span<const T> data() const&& = delete;
  void* raw() { return data_.get(); }  // never null
  const void* raw() const { return data_.get(); }

  double at(Index i) const;  // element i in C order, converted
  void set(Index i, double value);
  Array cast(Dtype dtype) const;  // every element converted (to i32 as converted() says)

 private:
  struct Free {
    void operator()(void* data) const;
  };
  Type type_;
  std::unique_ptr<void, Free> data_;
};

// The text that NumPy 2 prints: a pair of brackets for each axis, columns, at most 8 digits behind the point, exponents
// where sizes differ by more than 1000, are below 1e-4 or from 1e8 on (f32: 1e6); of more than 1000 elements 3 at each
// end of an axis. Rank 0 has all its digits.
std::string to_string(const Array& array);
std::ostream& operator<<(std::ostream& out, const Array& array);

}  // namespace wengert
