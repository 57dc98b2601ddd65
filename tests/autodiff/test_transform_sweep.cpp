// Every operator, and every two of them nested, of functions with a checkpoint or a derivative of their own: equal to
// the function itself, on an eager tape and in plans.
#define BOOST_TEST_MODULE transform_sweep
#include <boost/test/unit_test.hpp>

#include <map>

#include "autodiff/autodiff.hpp"
#include "tests/autodiff/plans.hpp"

using namespace wengert;
using namespace wengert::testing;

namespace {

enum class Kind { plain, checkpointed, custom };
constexpr Kind kinds[] = {Kind::plain, Kind::checkpointed, Kind::custom};
const char* name_of(Kind kind) {
  return kind == Kind::plain ? "plain" : kind == Kind::checkpointed ? "checkpoint" : "custom_derivative";
}

// z -> w z sin(z), elementwise, w a number
Function function_of(Kind kind, Var w) {
  const Function f = [w](Var z) { return w * sin(z) * z; };
  if (kind == Kind::plain) return f;
  if (kind == Kind::checkpointed) return [f](Var z) { return checkpoint(f, z); };
  const PullBack rule = [w](Var z, Var, Var g) { return w * (g * (cos(z) * z + sin(z))); };
  return [f, rule](Var z) { return custom_derivative(f, rule, z); };
}

// Operators from functions of an array to functions of the same kind, along a direction v.
using Operator = Function (*)(const Function& f, Var v);
Var scalar(const Function& f, Var z) { return sum(f(z)); }
Var row_sums(const Function& f, Var z) { return sum(f(z), {1}, {.keepdims = true}); }
Var weighed(Var jacobian, Var v) {  // [S, S] -> S
  return reshape(sum(reshape(jacobian, {v.size(), v.size()}) * reshape(v, {v.size()}), 1), v.shape());
}

const std::map<std::string, Operator> operators{
    {"grad", [](const Function& f, Var) -> Function { return [=](Var z) { return grad(scalar(f, z), z); }; }},
    {"jvp", [](const Function& f, Var v) -> Function { return [=](Var z) { return jvp(f, z, v).tangent; }; }},
    {"hvp",
     [](const Function& f, Var v) -> Function {
       return [=](Var z) { return hvp([&](Var u) { return scalar(f, u); }, z, v); };
     }},
    {"jacobian",
     [](const Function& f, Var v) -> Function { return [=](Var z) { return weighed(jacobian(f, z), v); }; }},
    {"hessian",
     [](const Function& f, Var v) -> Function {
       return [=](Var z) { return weighed(hessian([&](Var u) { return scalar(f, u); }, z), v); };
     }},
    {"divergence",
     [](const Function& f, Var) -> Function {
       return [=](Var z) { return z * reshape(divergence(f, z), {z.extent(0), 1}); };
     }},
    {"laplacian",
     [](const Function& f, Var) -> Function {
       return [=](Var z) { return z * reshape(laplacian([&](Var u) { return row_sums(f, u); }, z), {z.extent(0), 1}); };
     }},
    {"vmap",
     [](const Function& f, Var v) -> Function {
       return [=](Var z) { return vmap([&](std::span<const Var> s) { return f(s[0]) * s[1]; }, {z, v}); };
     }},
};

// Rows of a batch are wanted by these; what a derivative of one's own does with rows nobody knows.
bool by_rows(const std::string& op) { return op == "divergence" || op == "laplacian"; }
bool applies(const std::string& op, Kind kind, const Shape& shape) {
  if (by_rows(op)) return shape.rank() == 2 && kind != Kind::custom;
  return op != "vmap" || shape.rank() > 0;
}

PlanFunction program_of(Kind kind, const std::vector<std::string>& path) {
  return [=](Vars in) {
    Function f = function_of(kind, in[2]);
    // An operator inside vmap gets one slice of the direction.
    for (const std::string& op : path)
      f = [f, op, v = in[1]](Var z) {
        const Var along = z.rank() < v.rank() ? reshape(slice(v, 0, 0, 1), z.shape()) : v;
        return operators.at(op)(f, along)(z);
      };
    return std::vector<Var>{f(in[0])};
  };
}

// The value of every kind, eager and by both kinds of plan, and its gradients by x and w.
void check(const std::vector<std::string>& path, const Shape& shape) {
  const Arrays inputs{random_array(Dtype::f64, shape, 1, 0.3, 1.5), random_array(Dtype::f64, shape, 2, 0.5, 2),
                      random_array(Dtype::f64, {}, 3, 0.5, 1.5)};
  Arrays wanted;
  std::string refusal;
  for (Kind kind : kinds) {
    std::string label = std::string(name_of(kind)) + " under";
    bool possible = !(path.size() == 2 && by_rows(path[1]) && (path[0] == "jacobian" || path[0] == "hessian"));
    Shape inner = shape;  // of what the operator sees, the outermost first
    for (std::size_t i = path.size(); i-- > 0;) {
      possible = possible && applies(path[i], kind, inner);
      if (path[i] == "vmap" && inner.rank() > 0) inner = inner.trailing(inner.rank() - 1);
      label += " " + path[i];
    }
    label += " of " + to_string(shape);
    if (!possible) continue;
    BOOST_TEST_CONTEXT(label) {
      const PlanFunction value = program_of(kind, path);
      const PlanFunction f = [&](Vars in) {
        std::vector<Var> all = value(in);
        for (Var g : grad(sum(all[0] * in[1]), {in[0], in[2]})) all.push_back(g);
        return all;
      };
      Arrays eager;
      const std::string thrown = error_of([&] { eager = eagerly(f, inputs, Dtype::f64); });
      // What is refused is refused whatever the function is made of.
      if (kind == Kind::plain) refusal = thrown;
      BOOST_TEST(thrown == refusal);
      BOOST_TEST((by_rows(path.back()) || refusal == "nothing was thrown"), refusal);
      if (eager.empty()) continue;
      if (wanted.empty()) wanted = eager;
      // What the function of a custom derivative captured has no gradient.
      for (std::size_t i = 0; i < (kind == Kind::custom ? 2U : 3U); ++i)
        BOOST_TEST(distance(eager[i], wanted[i]) < 1e-12);
      for (bool rewrites : {false, true}) {
        Plan plan = compile(f, types_of(inputs), {.rewrites = rewrites}, Dtype::f64);
        BOOST_TEST(same_bits(run(plan, inputs), eager), (rewrites ? "with" : "without") << " rewrites");
      }
    }
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(every_operator_on_every_shape) {
  for (const auto& [name, op] : operators)
    for (const Shape& shape : {Shape{}, Shape{1}, Shape{4}, Shape{1, 1}, Shape{1, 3}, Shape{3, 1}, Shape{5, 2},
                               Shape{2, 1, 3}, Shape{2, 3, 2}})
      check({name}, shape);
}

BOOST_AUTO_TEST_CASE(every_two_operators_nested) {
  for (const auto& [inner, f] : operators)
    for (const auto& [outer, g] : operators)
      for (const Shape& shape : {Shape{}, Shape{3}, Shape{1, 2}, Shape{3, 2}, Shape{2, 1, 2}})
        check({inner, outer}, shape);
}

BOOST_AUTO_TEST_CASE(rows_of_a_batch_go_through_checkpoints_in_ranges) {
  const PlanFunction f = [](Vars in) {
    const Function g = [](Var z) { return checkpoint([](Var q) { return sin(q) * q; }, z); };
    return std::vector<Var>{laplacian([&](Var z) { return row_sums(g, z); }, in[0])};
  };
  const Arrays inputs{random_array(Dtype::f64, {500, 2}, 1)};
  const Arrays eager = eagerly(f, inputs, Dtype::f64);
  for (int threads : {1, 2}) {
    const Threads set(threads);
    for (bool rewrites : {false, true}) {
      Plan plan = compile(f, types_of(inputs), {.rewrites = rewrites}, Dtype::f64);
      BOOST_TEST(same_bits(run(plan, inputs), eager));
    }
  }
}
