// A list of at most N values stored inline: extents, axes and attributes never touch the heap.
#pragma once
#include <array>
#include <cstddef>
#include <initializer_list>
#include <span>
#include <stdexcept>
#include <string>

namespace wengert {

template <class T, std::size_t N>
class SmallList {
 public:
  SmallList() = default;
  SmallList(std::initializer_list<T> values) : SmallList(std::span<const T>(values.begin(), values.size())) {}
  explicit SmallList(std::span<const T> values) {
    for (const T& value : values) push_back(value);
  }

  // Throws std::length_error when full.
  void push_back(T value) {
    if (size_ == N) throw std::length_error("a list of at most " + std::to_string(N) + " values is full");
    values_[size_++] = value;
  }
  void pop_back() { --size_; }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  T& operator[](std::size_t i) { return values_[i]; }
  const T& operator[](std::size_t i) const { return values_[i]; }
  T* begin() { return values_.data(); }
  T* end() { return values_.data() + size_; }
  const T* begin() const { return values_.data(); }
  const T* end() const { return values_.data() + size_; }
  operator std::span<const T>() const { return {values_.data(), size_}; }

  friend bool operator==(const SmallList& a, const SmallList& b) {
    if (a.size_ != b.size_) return false;
    for (std::size_t i = 0; i < a.size_; ++i)
      if (a.values_[i] != b.values_[i]) return false;
    return true;
  }

 private:
  std::array<T, N> values_{};
  std::size_t size_ = 0;
};

}  // namespace wengert
