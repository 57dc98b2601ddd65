// A list of at most N values stored inline: extents, axes and attributes never touch the heap.
#pragma once
#include <array>
#include <cstddef>
#include <initializer_list>
#include <span>
#include <utility>

namespace wengert {

[[noreturn]] void refuse_more_than(std::size_t most);  // throws std::length_error

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
    if (size_ == N) refuse_more_than(N);
    values_[size_++] = value;
  }
  void pop_back() { --size_; }
  // By insertion: std::sort takes another path above 16 values, for which GCC 14 warns that there is no room here.
  void sort() {
    for (std::size_t i = 1; i < size_; ++i)
      for (std::size_t j = i; j > 0 && values_[j] < values_[j - 1]; --j) std::swap(values_[j], values_[j - 1]);
  }
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
