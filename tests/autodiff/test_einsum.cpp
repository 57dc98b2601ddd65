// Einstein sums against loops over all names, what they are recorded as, and what they refuse; products with vectors.
#define BOOST_TEST_MODULE einsum
#include <boost/test/unit_test.hpp>

#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "autodiff/autodiff.hpp"
#include "autodiff/testing/check.hpp"
#include "tests/autodiff/plans.hpp"
#include "tests/parity/reference.hpp"

using namespace wengert;
using namespace wengert::testing;
using parity::check_close;

namespace {

struct Case {
  std::string text;
  std::vector<Shape> shapes;
  std::string full = {};  // the same with letters alone and an arrow; empty: the text itself
};

// The sum over all values of all letters, in their order; extents of 1 are broadcast.
Array by_loops(const std::string& full, const Arrays& inputs) {
  std::vector<std::string> names{""};
  std::string output;
  bool behind = false;
  for (char c : full)
    if (c == ',')
      names.emplace_back();
    else if (c == '-' || c == '>')
      behind = true;
    else
      (behind ? output : names.back()).push_back(c);
  std::map<char, Index> extents, at;
  for (std::size_t i = 0; i < inputs.size(); ++i)
    for (std::size_t axis = 0; axis < names[i].size(); ++axis) {
      Index& extent = extents.try_emplace(names[i][axis], 1).first->second;
      if (const Index own = inputs[i].shape()[static_cast<int>(axis)]; own != 1) extent = own;
    }
  Shape shape;
  for (char c : output) shape.append(extents.at(c));
  Array result(Dtype::f64, shape);
  Index count = 1;
  for (const auto& [name, extent] : extents) count *= extent;
  for (Index step = 0; step < count; ++step) {
    Index rest = step, place = 0;
    for (const auto& [name, extent] : extents) at[name] = rest % extent, rest /= extent;
    double term = 1;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      Index element = 0;
      for (std::size_t axis = 0; axis < names[i].size(); ++axis) {
        const Index own = inputs[i].shape()[static_cast<int>(axis)];
        element = element * own + (own == 1 ? 0 : at[names[i][axis]]);
      }
      term *= inputs[i].at(element);
    }
    for (char c : output) place = place * extents.at(c) + at[c];
    result.set(place, result.at(place) + term);
  }
  return result;
}

const std::vector<Case> cases{
    {"ij,jk->ik", {{3, 4}, {4, 2}}},
    {"ij,kj->ik", {{3, 4}, {2, 4}}},
    {"ji,jk->ki", {{4, 3}, {4, 2}}},
    {"bij,bjk->bik", {{2, 3, 4}, {2, 4, 5}}},
    {"bij,jk->bik", {{2, 3, 4}, {4, 5}}},
    {"jk,bij->bik", {{4, 5}, {2, 3, 4}}},
    {"bhqd,bhkd->bhqk", {{2, 3, 4, 5}, {2, 3, 2, 5}}},
    {"bhqk,bhkd->bqhd", {{2, 3, 4, 5}, {2, 3, 5, 2}}},
    {"ijk,jkl->il", {{2, 3, 4}, {3, 4, 5}}},
    {"ijk,kjl->il", {{2, 3, 4}, {4, 3, 5}}},
    {"ij,ij->", {{3, 4}, {3, 4}}},
    {"ij,ji->", {{3, 4}, {4, 3}}},
    {"bi,bi->b", {{3, 4}, {3, 4}}},
    {"i,j->ij", {{3}, {4}}},
    {"i,j->ji", {{3}, {4}}},
    {"ij,j->i", {{3, 4}, {4}}},
    {"i,ij->j", {{3}, {3, 4}}},
    {"i,i", {{3}, {3}}, "i,i->"},
    {"ii->i", {{3, 3}}},
    {"ii", {{3, 3}}, "ii->"},
    {"iii->i", {{3, 3, 3}}},
    {"ijji->ij", {{2, 3, 3, 2}}},
    {"iij,jk->ik", {{3, 3, 2}, {2, 4}}},
    {"ba", {{2, 3}}, "ba->ab"},
    {"ij->", {{2, 3}}},
    {"ijk->kj", {{2, 3, 4}}},
    {"ij,kl->ik", {{2, 3}, {4, 5}}},  // free names are summed first
    {"ab,bc,cd->ad", {{2, 3}, {3, 4}, {4, 5}}},
    {"ab,bc,cd,da->", {{2, 3}, {3, 4}, {4, 5}, {5, 2}}},
    {"a,b,c->cba", {{2}, {3}, {4}}},
    {"ai,bi,ci->abc", {{2, 3}, {4, 3}, {2, 3}}},
    {"xi,xj,ijk->xk", {{5, 2}, {5, 3}, {2, 3, 4}}},
    {",ij,->ji", {{}, {2, 3}, {}}},
    {" i j , j -> i ", {{2, 3}, {3}}, "ij,j->i"},
    {"Ab,bA", {{2, 3}, {3, 2}}, "Ab,bA->"},
    {"...ij,...jk->...ik", {{2, 1, 3, 4}, {5, 4, 2}}, "xyij,yjk->xyik"},
    {"...i,i->...", {{2, 3, 4}, {4}}, "xyi,i->xy"},
    {"...ii->i...", {{2, 3, 3}}, "xii->ix"},
    {"i...,...", {{2, 3}, {4, 3}}, "ix,yx->yxi"},
    {"i...->i", {{2, 3, 4}}, "ixy->i"},
    {"...,i->...i", {{}, {3}}, ",i->i"},
    {"ij,ij->ij", {{3, 1}, {1, 4}}},
    {"ij,jk->ik", {{3, 1}, {4, 2}}},
    {"ij,jk->ik", {{2, 0}, {0, 3}}},
    {"abcdefgh,abcdefgi->abcdefhi", {{1, 2, 1, 2, 1, 2, 1, 2}, {1, 2, 1, 2, 1, 2, 1, 2}}},
    {"abcdefgh,abcdefgh->abcdefg", {{2, 1, 2, 1, 2, 1, 2, 3}, {2, 1, 2, 1, 2, 1, 2, 3}}},
};

Arrays inputs_of(const Case& c) {
  Arrays inputs;
  for (const Shape& shape : c.shapes) inputs.push_back(random_array(Dtype::f64, shape, inputs.size() + 1));
  return inputs;
}
FunctionOfMany function_of(const std::string& text) {
  return [text](std::span<const Var> x) { return einsum(text, std::vector<Operand>(x.begin(), x.end())); };
}

// The ops that a call records, in their order.
std::string recorded(const std::string& text, const std::vector<Shape>& shapes) {
  Tape tape(Dtype::f64, Tape::Mode::symbolic);
  std::vector<Operand> operands;
  for (const Shape& shape : shapes) operands.emplace_back(tape.input(Type{Dtype::f64, shape}));
  einsum(text, operands);
  std::string ops;
  for (std::uint32_t i = static_cast<std::uint32_t>(shapes.size()); i < tape.size(); ++i)
    ops += (ops.empty() ? "" : " ") + tape.node(i).op->name();
  return ops;
}

}  // namespace

BOOST_AUTO_TEST_CASE(sums_are_those_of_loops) {
  for (const Case& c : cases) {
    const Arrays inputs = inputs_of(c);
    Tape tape(Dtype::f64);
    std::vector<Operand> operands;
    for (const Array& input : inputs) operands.emplace_back(tape.input(input));
    const Var y = einsum(c.text, operands);
    const Array wanted = by_loops(c.full.empty() ? c.text : c.full, inputs);
    BOOST_TEST((y.shape() == wanted.shape()), c.text);
    check_close(y.value(), wanted, 1e-14, c.text);
  }
}

BOOST_AUTO_TEST_CASE(their_derivatives_plans_and_batches) {
  for (const Case& c : cases) {
    const Arrays inputs = inputs_of(c);
    const FunctionOfMany f = function_of(c.text);
    if (c.shapes[0].rank() < 8)
      for (const std::string& failure : check_grads(f, inputs).failures) BOOST_ERROR(c.text << ": " << failure);
    const PlanFunction both = [&](Vars in) {
      std::vector<Var> all{f(in)};
      for (Var g : grad(sum(square(all[0])), in)) all.push_back(g);
      return all;
    };
    Plan plan = compile(both, types_of(inputs), {}, Dtype::f64);
    BOOST_TEST(same_bits(run(plan, inputs), eagerly(both, inputs, Dtype::f64)), c.text);
    if (c.shapes[0].rank() > 6) continue;
    Tape tape(Dtype::f64);
    std::vector<Var> stacks, slices;
    for (const Array& input : inputs) {
      const Var x = tape.input(input);
      stacks.push_back(stack({x, 2 * x}, 0)), slices.push_back(2 * x);
    }
    const Array pair = vmap(f, stacks).value(), second = f(slices).value();
    check_close(parity::row(pair, 1, second.shape()), second, 1e-14, c.text + " under vmap");
  }
}

BOOST_AUTO_TEST_CASE(sums_are_recorded_as_products_of_matrices) {
  const Shape batch{2, 3, 4};
  BOOST_TEST(recorded("ij,jk->ik", {{3, 4}, {4, 2}}) == "matmul");
  BOOST_TEST(recorded("ij,kj->ik", {{3, 4}, {2, 4}}) == "matmul");
  BOOST_TEST(recorded("ji,kj->ik", {{4, 3}, {2, 4}}) == "matmul");
  BOOST_TEST(recorded("bij,bjk->bik", {batch, {2, 4, 5}}) == "matmul");
  BOOST_TEST(recorded("bij,jk->bik", {batch, {4, 5}}) == "matmul");  // rows of a batch stay rows
  BOOST_TEST(recorded("jk,bij->bik", {{4, 5}, batch}) == "matmul");
  BOOST_TEST(recorded("bhqd,bhkd->bhqk", {{2, 3, 4, 5}, {2, 3, 6, 5}}) == "matmul");
  BOOST_TEST(recorded("ij,jk->ki", {{3, 4}, {4, 2}}) == "matmul");  // the other way round
  BOOST_TEST(recorded("bi,bi->b", {{3, 4}, {3, 4}}) == "mul sum");
  BOOST_TEST(recorded("ij,ij->ij", {{3, 4}, {3, 4}}) == "mul");
  BOOST_TEST(recorded("ij->ji", {{3, 4}}) == "transpose");
  BOOST_TEST(recorded("ij->ij", {{3, 4}}) == "");
  // A chain from its cheap end: the vector first.
  BOOST_TEST(recorded("ij,jk,k->i", {{90, 90}, {90, 90}, {90}}) == "reshape matmul reshape reshape matmul reshape");
}

BOOST_AUTO_TEST_CASE(what_is_refused_says_where) {
  Tape tape(Dtype::f64);
  const Var x = tape.full(Shape{2, 3}, 1), y = tape.full(Shape{3, 4}, 1);
  const auto refusal = [&](const char* text, std::initializer_list<Operand> operands) {
    const std::string said = error_of([&] { einsum(text, operands); });
    BOOST_TEST(said.rfind("[einsum] ", 0) == 0U, said);
    BOOST_TEST(contains(said, "(test_einsum.cpp:"), said);
    return said;
  };
  BOOST_TEST(contains(refusal("ij-ik", {x}), "wanted -> at character 3 of \"ij-ik\""));
  BOOST_TEST(contains(refusal("ij,jk->i1", {x, y}), "unexpected '1' at character 9 of \"ij,jk->i1\""));
  BOOST_TEST(contains(refusal("ij->i->j", {x}), "unexpected '-' at character 6"));
  BOOST_TEST(contains(refusal("ij->i,j", {x}), "unexpected ',' at character 6"));
  BOOST_TEST(contains(refusal("ij->ii", {x}), "the output names i twice at character 6"));
  BOOST_TEST(contains(refusal("i..", {x}), "wanted three dots at character 2"));
  BOOST_TEST(contains(refusal("......", {x}), "a second ... at character 4"));
  BOOST_TEST(contains(refusal("ij,jk", {x}), "\"ij,jk\": names 2 operands, got 1"));
  BOOST_TEST(contains(refusal("ijk", {x}), "3 axes are named of an operand of shape [2, 3]"));
  BOOST_TEST(contains(refusal("ijk...", {x}), "3 axes are named beside ... of an operand of shape [2, 3]"));
  BOOST_TEST(contains(refusal("ij,ik", {x, y}), "i is 3 in operand 1, but 2 before"));
  BOOST_TEST(contains(refusal("...,...", {x, y}), "axis -2 of ... is 3 in operand 1, but 2 before"));
  BOOST_TEST(contains(refusal("ii", {x}), "i is 2 and 3 in operand 0"));
  BOOST_TEST(contains(refusal("ij->ik", {x}), "k of the output names no axis of an operand"));
  BOOST_TEST(contains(refusal("ij,", {x, 3.0}), "needs a Var, got the number 3"));
  BOOST_TEST(contains(refusal("ij", {}), "needs at least one operand"));
  const Var six = tape.full(Shape{1, 1, 1, 1, 1, 1}, 1);
  BOOST_TEST(contains(refusal("abcdef,ghijkl", {six, six}), "a product on the way has 12 axes, 8 are possible"));
}

BOOST_AUTO_TEST_CASE(products_with_vectors) {
  Tape tape(Dtype::f64);
  const auto given = [&](const Shape& shape, std::uint64_t seed) {
    return tape.input(random_array(Dtype::f64, shape, seed));
  };
  const Var a = given({2, 3, 4}, 1), right = given({4}, 2), left = given({3}, 3), other = given({4}, 4);
  check_close(matmul(a, right).value(), einsum("bij,j->bi", {a, right}).value(), 1e-15, "matrix and vector");
  check_close(matmul(left, a).value(), einsum("i,bij->bj", {left, a}).value(), 1e-15, "vector and matrix");
  check_close(matmul(right, other).value(), dot(right, other).value(), 1e-15, "two vectors");
  BOOST_TEST((matmul(a, right).shape() == Shape{2, 3} && matmul(left, a).shape() == Shape{2, 4}));
  BOOST_TEST(matmul(right, other).rank() == 0);
  // A vector is not transposed; a matrix beside it is.
  check_close(matmul(a, left, {.transpose_a = true, .transpose_b = true}).value(), matmul(left, a).value(), 1e-15,
              "flags");
  check_close(matmul(right, a, {.transpose_a = true, .transpose_b = true}).value(), matmul(a, right).value(), 1e-15,
              "flags");
  const int line = __LINE__ + 1;
  const std::string text = error_of([&] { matmul(left, right); });
  BOOST_TEST(text == "[matmul] inner extents differ: [3] x [4]  (test_einsum.cpp:" + std::to_string(line) + ")");
  BOOST_TEST(contains(error_of([&] { matmul(a, left); }), "[matmul] inner extents differ: [2, 3, 4] x [3]"));
  const auto f = [](std::span<const Var> x) { return matmul(x[0], x[1]); };
  for (const Arrays& inputs :
       {Arrays{a.value(), right.value()}, Arrays{left.value(), a.value()}, Arrays{right.value(), other.value()}})
    for (const std::string& failure : check_grads(f, inputs).failures) BOOST_ERROR(failure);
  const Var rows = stack({right, other}, 0);
  check_close(vmap(f, {a, rows}).value(), einsum("bij,bj->bi", {a, rows}).value(), 1e-15, "under vmap");
}
