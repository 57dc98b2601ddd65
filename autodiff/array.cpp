#include "autodiff/array.hpp"

#include <fmt/format.h>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <new>
#include <utility>

#include "autodiff/error.hpp"

namespace wengert {
namespace {

// The memory of an array that was moved from, so that whoever copies its no bytes copies them from somewhere.
alignas(alignment) std::byte nothing[alignment];

}  // namespace

std::string to_string(const Type& type) { return fmt::format("{} {}", name_of(type.dtype), to_string(type.shape)); }

void* take_memory(std::size_t bytes) {
  void* const memory = ::operator new (std::max<std::size_t>(bytes, 1), std::align_val_t{alignment});
#if defined(__linux__)
  constexpr std::uintptr_t page = std::uintptr_t{1} << 21;
  const auto begin = reinterpret_cast<std::uintptr_t>(memory), first = (begin + page - 1) / page * page;
  if (bytes >= 2 * page)  // a wish: where it is not granted, nothing changes
    madvise(reinterpret_cast<void*>(first), (begin + bytes) / page * page - first, MADV_HUGEPAGE);
#endif
  return memory;
}
void give_back_memory(void* memory) noexcept { ::operator delete (memory, std::align_val_t{alignment}); }

void Array::Free::operator()(void* data) const {
  if (data != nothing) give_back_memory(data);
}

Array::Array(const Type& type) : type_(type), data_(take_memory(type.bytes())) {
  std::memset(data_.get(), 0, type_.bytes());
}

Array::Array(const Array& other) : Array(other.type_) { std::memcpy(data_.get(), other.data_.get(), type_.bytes()); }

Array::Array(Array&& other) noexcept
    : type_(std::exchange(other.type_, Type{other.type_.dtype, {0}})),
      data_(std::exchange(other.data_, std::unique_ptr<void, Free>(nothing))) {}

Array& Array::operator=(Array other) noexcept {
  type_ = other.type_;
  data_ = std::move(other.data_);
  return *this;
}

template <class T>
Array Array::of(const Shape& shape, std::span<const T> values) {
  Array array(dtype_of<T>, shape);
  if (array.size() != static_cast<Index>(values.size()))
    throw Error(
        fmt::format("an array of shape {} needs {} values, got {}", to_string(shape), array.size(), values.size()));
  std::copy(values.begin(), values.end(), array.data<T>().begin());
  return array;
}

template <class T>
std::span<const T> Array::data() const& {
  if (dtype_of<T> != type_.dtype)
    throw Error(fmt::format("an array of {} was read as {}", name_of(type_.dtype), name_of(dtype_of<T>)));
  return {static_cast<const T*>(data_.get()), static_cast<std::size_t>(size())};
}

template <class T>
std::span<T> Array::data() & {
  const auto elements = static_cast<const Array*>(this)->data<T>();
  return {const_cast<T*>(elements.data()), elements.size()};
}

double Array::at(Index i) const {
  return dispatch(type_.dtype, [&]<class T>() { return static_cast<double>(static_cast<const T*>(raw())[i]); });
}

void Array::set(Index i, double value) {
  dispatch(type_.dtype, [&]<class T>() { static_cast<T*>(raw())[i] = converted<T>(value); });
}

Array Array::cast(Dtype dtype) const {
  Array result(dtype, shape());
  for (Index i = 0; i < size(); ++i) result.set(i, at(i));
  return result;
}

template Array Array::of<float>(const Shape&, std::span<const float>);
template Array Array::of<double>(const Shape&, std::span<const double>);
template Array Array::of<std::int32_t>(const Shape&, std::span<const std::int32_t>);
template std::span<const float> Array::data<float>() const&;
template std::span<const double> Array::data<double>() const&;
template std::span<const std::int32_t> Array::data<std::int32_t>() const&;
template std::span<float> Array::data<float>() &;
template std::span<double> Array::data<double>() &;
template std::span<std::int32_t> Array::data<std::int32_t>() &;

}  // namespace wengert
