// What a tape prints of itself: a line for each node, and a graph.
#define BOOST_TEST_MODULE print
#include <fmt/format.h>

#include <boost/test/unit_test.hpp>
#include <sstream>

#include "autodiff/autodiff.hpp"
#include "tests/autodiff/helpers.hpp"

using namespace wengert;
using wengert::testing::contains;

namespace {

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_list_has_a_line_for_each_node) {
  Tape tape;
  const int line = __LINE__ + 1;
  const Var x = tape.input(Array(Dtype::f32, {2, 3}), "points");
  const Var y = sum(tanh(x), 1, {.keepdims = true});
  const Var g = grad(sum(y), x);
  const std::vector<std::string> lines = lines_of(tape.list());
  BOOST_TEST_REQUIRE(lines.size() == tape.size());
  BOOST_TEST(contains(lines[0], "input points"));
  BOOST_TEST(contains(lines[0], "f32 [2, 3]"));
  BOOST_TEST(contains(lines[0], fmt::format("test_print.cpp:{}", line)));
  BOOST_TEST(contains(lines[1], "tanh %0"));
  BOOST_TEST(contains(lines[2], "sum {axes=[-1] keepdims} %1"));
  BOOST_TEST(contains(lines[2], "f32 [2, 1]"));
  for (std::size_t i = 0; i < lines.size(); ++i) BOOST_TEST(lines[i].rfind(fmt::format("%{} ", i), 0) == 0U);
  // The chain of tanh's derivative says where it comes from; forward nodes do not.
  BOOST_TEST(contains(lines[tape.index_of(g, {})], ", in grad, derivative of %1"));
  BOOST_TEST(!contains(lines[1], "derivative"));
}

BOOST_AUTO_TEST_CASE(a_graph_has_every_node_and_edge) {
  Tape tape;
  const Var x = tape.input(Array(Dtype::f32, {2, 3}), "points");
  const Var y = mul(x, exp(x));
  const std::string text = tape.dot();
  BOOST_TEST(text.rfind("digraph", 0) == 0U);
  BOOST_TEST(contains(text, "%0 input points\\nf32 [2, 3]"));
  BOOST_TEST(contains(text, "%1 exp\\nf32 [2, 3]"));
  BOOST_TEST(contains(text, "n0 -> n1;"));
  BOOST_TEST(contains(text, "n0 -> n2;"));
  BOOST_TEST(contains(text, "n1 -> n2;"));
  BOOST_TEST(!contains(text, "n2 ->"));
  BOOST_TEST((y.shape() == Shape{2, 3}));
}

BOOST_AUTO_TEST_CASE(a_name_with_quotes_does_not_break_the_graph) {
  Tape tape;
  tape.input(Array(Dtype::f32, {1}), "the \"x\"");
  BOOST_TEST(contains(tape.dot(), "the \\\"x\\\""));
}
