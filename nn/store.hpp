// Store: the parameters of a model in one contiguous, aligned array, so that an optimizer updates them in one pass and
// a tape reads them where they lie.
#pragma once
#include <cstdint>
#include <span>

#include "autodiff/array.hpp"

namespace wengert::nn {

class Store {
 public:
  // `size` zeros.
  Store(Dtype dtype, Index size) : values_(dtype, {size}) {}

  Dtype dtype() const { return values_.dtype(); }
  Index size() const { return values_.size(); }
  const void* at(Index offset) const {
    return static_cast<const std::byte*>(values_.raw()) + static_cast<std::size_t>(offset) * size_of(dtype());
  }

  // Every access that may change a value moves the version on; what was derived from the values (a leaf of a tape, a
  // packed copy, what a plan keeps) knows by it that it is out of date. Write before anything reads the store again, or
  // ask again.
  template <class T>
  std::span<T> edit() {
    touch();
    return values_.data<T>();
  }
  // Values for writers that touch() themselves.
  template <class T>
  std::span<T> mutable_values() {
    return values_.data<T>();
  }
  template <class T>
  std::span<const T> values() const {
    return values_.data<T>();
  }
  void touch() { ++version_; }

  // A plan reads this memory at every run: its parameters can no longer move to another store.
  void seal() { sealed_ = true; }
  bool sealed() const { return sealed_; }
  // An optimizer moves all of it.
  void give_to_optimizer() { gathered_ = true; }
  bool gathered() const { return gathered_; }
  // Somebody besides its parameters' modules relies on where they lie.
  bool held() const { return sealed_ || gathered_; }
  const std::uint64_t* version() const { return &version_; }

 private:
  Array values_;
  std::uint64_t version_ = 1;
  bool sealed_ = false, gathered_ = false;
};

// Elements between the starts of two parameters are a multiple of this: each starts on a cache line.
inline constexpr Index store_alignment = 16;

}  // namespace wengert::nn
