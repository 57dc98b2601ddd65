#include "nn/parameter.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "autodiff/tape.hpp"

namespace wengert::nn {
namespace {

// to[c, r] = from[r, c]
template <class T>
void transpose(const T* from, Index rows, Index columns, T* to) {
  for (Index r = 0; r < rows; ++r)
    for (Index c = 0; c < columns; ++c) to[c * rows + r] = from[r * columns + c];
}

}  // namespace

Array constant(Index size, double value, Dtype dtype) {
  Array result(dtype, {size});
  for (Index i = 0; i < size; ++i) result.set(i, value);
  return result;
}

Var Slot::on(Tape& tape, Where where) const {
  if (tape.symbolic()) store->seal();
  if (const Var known = tape.borrowed(type, store->at(offset), store->version()); !known.is_null()) return known;
  return tape.borrow(type, store->at(offset), store, store->version(), name, where);
}

Parameter::Parameter(const Array& value, Layout layout, Role role) : layout_(layout), role_(role) {
  if (!is_float(value.dtype())) throw Error("a parameter is f32 or f64, got i32");
  Shape shape = value.shape();
  if (layout == Layout::transposed) {
    if (shape.rank() != 2) throw Error(fmt::format("a transposed parameter needs 2 axes, got {}", to_string(shape)));
    shape = {shape[1], shape[0]};
  }
  slot_ = {std::make_shared<Store>(value.dtype(), value.size()), 0, {value.dtype(), shape}, ""};
  set(value);
}

Parameter::Parameter(const Parameter& other) : Parameter(other.value(), other.layout_, other.role_) {
  slot_.name = other.slot_.name;
}

Parameter& Parameter::operator=(const Parameter& other) {
  const Slot& from = other.slot();
  if (this == &other) return *this;
  if (!moved_from() && slot_.type == from.type && layout_ == other.layout_ && role_ == other.role_) {
    set(other.value());
    return *this;
  }
  if (!moved_from() && slot_.store->held())
    throw Error(fmt::format("[assign] parameter {} is held by an optimizer or a plan as {}, got {}", name(),
                            to_string(slot_.type), to_string(from.type)));
  Parameter copy(other);
  slot_ = std::move(copy.slot_);
  layout_ = other.layout_;
  role_ = other.role_;
  return *this;
}

const Slot& Parameter::slot() const {
  if (moved_from()) throw Error(fmt::format("this parameter, {}, was moved from", to_string(slot_.type)));
  return slot_;
}

Var Parameter::on(Tape& tape, Where where) const {
  if (moved_from())
    throw Error(fmt::format("[parameter] {} was moved from  ({})", to_string(slot_.type), tape.here(where)));
  return slot_.on(tape, where);
}

Shape Parameter::shape() const {
  const Shape& shape = slot_.type.shape;
  return layout_ == Layout::transposed ? Shape{shape[1], shape[0]} : shape;
}

Array Parameter::value() const {
  const Slot& place = slot();
  Array result(dtype(), shape());
  dispatch_float(dtype(), [&]<class T>() {
    const T* from = static_cast<const T*>(place.store->at(place.offset));
    T* to = result.data<T>().data();
    if (layout_ == Layout::transposed)
      transpose(from, result.shape()[1], result.shape()[0], to);
    else
      std::copy_n(from, size(), to);
  });
  return result;
}

void Parameter::set(const Array& value) {
  const Slot& place = slot();
  if (value.shape() != shape())
    throw Error(fmt::format("parameter {} has shape {}, got {}", name(), to_string(shape()), to_string(value.shape())));
  const Array converted = value.dtype() == dtype() ? value : value.cast(dtype());
  dispatch_float(dtype(), [&]<class T>() {
    T* to = place.store->edit<T>().data() + place.offset;
    const T* from = converted.data<T>().data();
    if (layout_ == Layout::transposed)
      transpose(from, value.shape()[0], value.shape()[1], to);
    else
      std::copy_n(from, size(), to);
  });
}

void Parameter::rehome(std::shared_ptr<Store> store, Index offset) {
  const Array kept = value();
  slot_.store->touch();  // leaves on the old place are out of date
  slot_.store = std::move(store);
  slot_.offset = offset;
  set(kept);
}

}  // namespace wengert::nn
