#include "autodiff/var.hpp"

#include <fmt/format.h>

#include <cstring>

#include "autodiff/tape.hpp"

namespace wengert {
namespace {

const Node& node_of(Var var, const Where& where, const char* reader = "") {
  if (const Node* node = Tape::find(var)) return *node;
  const Tape& tape = Tape::of(var, where, reader);
  return tape.node(tape.index_of(var, where, reader));  // one of the two throws
}

const Node& computed(Var var, const Where& where) {
  const Node& node = node_of(var, where);
  const Tape& tape = Tape::of(var, where);
  if (tape.symbolic())
    throw Error(fmt::format("[{}] a value was read while the tape is symbolic: it records and computes nothing  ({})",
                            node.op->name(), to_string(where)));
  if (node.borrowed != Node::none) tape.check_fresh(node, where);
  return node;
}

}  // namespace

Tape& Var::tape(Where where) const { return Tape::of(*this, where); }

const Type& Var::type(Where where) const { return node_of(*this, where).type; }

Index Var::extent(int axis, Where where) const {
  const Shape& extents = shape(where);
  try {
    return extents[normalise_axis(axis, extents.rank())];
  } catch (const Error& error) {
    throw Error(fmt::format("{} of shape {}  ({})", error.what(), to_string(extents), to_string(where)));
  }
}

Tape& Operand::tape(const char* reader) const {
  if (is_number_)
    throw Error(fmt::format("[{}] needs a Var, got the number {}  ({})", reader, number_, to_string(where_)));
  return Tape::of(var_, where_, reader);
}

const Type& Operand::type(const char* reader) const {
  if (is_number_) tape(reader);  // which throws
  return node_of(var_, where_, reader).type;
}

Index Operand::extent(int axis, const char* reader) const {
  type(reader);
  return var_.extent(axis, where_);
}

template <class T>
std::span<const T> Var::data(Where where) const {
  const Node& node = computed(*this, where);
  if (node.type.dtype != dtype_of<T>)
    throw Error(fmt::format("[{}] a value of {} was read as {}  ({})", node.op->name(), name_of(node.type.dtype),
                            name_of(dtype_of<T>), to_string(where)));
  return {static_cast<const T*>(node.data), static_cast<std::size_t>(node.type.shape.size())};
}

Array Var::value(Where where) const {
  const Node& node = computed(*this, where);
  Array result(node.type);
  std::memcpy(result.raw(), node.data, node.type.bytes());
  return result;
}

double Var::item(Where where) const {
  const Node& node = computed(*this, where);
  if (node.type.shape.size() != 1)
    throw Error(fmt::format("[{}] item() reads an array of one element, this one has shape {}  ({})", node.op->name(),
                            to_string(node.type.shape), to_string(where)));
  return dispatch(node.type.dtype, [&]<class T>() { return static_cast<double>(*static_cast<const T*>(node.data)); });
}

template std::span<const float> Var::data<float>(Where) const;
template std::span<const double> Var::data<double>(Where) const;
template std::span<const std::int32_t> Var::data<std::int32_t>(Where) const;

}  // namespace wengert
