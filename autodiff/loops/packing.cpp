#include "autodiff/loops/packing.hpp"

#include <algorithm>
#include <cstring>

#include "autodiff/ops.hpp"
#include "autodiff/tape.hpp"

namespace wengert {

Packing::Packing(std::vector<Type> parts) : parts_(std::move(parts)) {
  if (!parts_.empty()) dtype_ = parts_[0].dtype;
  for (const Type& part : parts_) {
    if (part.dtype != dtype_) dtype_ = Dtype::f64;
    offsets_.push_back(size_);
    size_ += part.shape.size();
  }
}

std::vector<Var> Packing::unpacked(Operand flat) const {
  if (parts_.size() == 1) return {flat.var()};
  std::vector<Var> result;
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    const Type& type = parts_[i];
    Operand part = flat;
    if (type.shape.size() != size_)
      part = {slice(flat, -1, offsets_[i], offsets_[i] + type.shape.size()), flat.where()};
    if (type.shape.rank() != 1) part = {reshape(part, type.shape), flat.where()};
    if (type.dtype != dtype_) part = {cast(part, type.dtype), flat.where()};
    result.push_back(part.var());
  }
  return result;
}

Var Packing::packed(Tape& tape, std::span<const Var> parts, std::optional<Index> count, Where where) const {
  const auto stacked = [&](const Shape& shape) { return count ? shape.prepended(*count) : shape; };
  std::vector<Operand> flat;
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    const Shape shape = stacked(parts_.size() == 1 ? parts_[0].shape : Shape{parts_[i].shape.size()});
    if (parts[i].is_null()) {
      flat.emplace_back(tape.full(Type{dtype_, shape}, 0, where), where);
      continue;
    }
    Operand part(parts[i], where);
    if (part.dtype() != dtype_) part = {cast(part, dtype_), where};
    if (part.shape() != shape) part = {reshape(part, shape), where};
    flat.push_back(part);
  }
  return flat.size() == 1 ? flat[0].var() : concat(std::span<const Operand>(flat), -1, where);
}

void Packing::store(const void* from, Index size, std::size_t part, Index first, void* flat) const {
  const Index at = offsets_[part] + first;
  dispatch(parts_[part].dtype, [&]<class From>() {
    dispatch(dtype_, [&]<class To>() {
      const From* begin = static_cast<const From*>(from);
      std::copy(begin, begin + size, static_cast<To*>(flat) + at);
    });
  });
}

}  // namespace wengert
