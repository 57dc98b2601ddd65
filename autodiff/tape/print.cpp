// A tape as a list and as a graph.
#include <fmt/format.h>

#include "autodiff/tape.hpp"

namespace wengert {
namespace {

// "add_3" would hide which node it is: nodes are numbered, inputs carry their name.
std::string label(const Tape& tape, std::uint32_t index) {
  const Node& node = tape.node(index);
  const std::string attributes = node.op->describe(*node.attributes), name = tape.name_of(index);
  std::string text = node.op->name();
  if (!attributes.empty()) text += " {" + attributes + "}";
  if (!name.empty()) text += " " + name;
  return text;
}

// A string of Graphviz: quotes and backslashes escaped.
std::string quoted(const std::string& text) {
  std::string result;
  for (char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    result += c;
  }
  return result;
}

}  // namespace

std::string Tape::list() const {
  std::string text;
  for (std::uint32_t i = 0; i < size_; ++i) {
    std::string call = label(*this, i);
    for (std::uint32_t operand : operands(node(i))) call += fmt::format(" %{}", operand);
    text += fmt::format("%{:<4} {:<40} {:<18} {}", i, call, to_string(node(i).type), location_of(i));
    if (node(i).origin != Node::none) text += fmt::format(", derivative of %{}", node(i).origin);
    text += '\n';
  }
  return text;
}

std::string Tape::dot() const {
  std::string text = "digraph tape {\n  node [shape=box, fontname=\"sans-serif\"];\n";
  for (std::uint32_t i = 0; i < size_; ++i) {
    text += fmt::format("  n{} [label=\"%{} {}\\n{}\"{}];\n", i, i, quoted(label(*this, i)), to_string(node(i).type),
                        node(i).op->is_leaf()          ? ", style=filled"
                        : node(i).origin != Node::none ? ", style=dashed"
                                                       : "");
    for (std::uint32_t operand : operands(node(i))) text += fmt::format("  n{} -> n{};\n", operand, i);
  }
  return text + "}\n";
}

}  // namespace wengert
