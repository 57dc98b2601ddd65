// The check of ops has teeth: an op that is right passes, and each way to be wrong is found and named.
#define BOOST_TEST_MODULE check
#include "autodiff/testing/check.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <limits>

#include "autodiff/autodiff.hpp"
#include "autodiff/ops/elementwise.hpp"
#include "tests/autodiff/helpers.hpp"

using namespace wengert;
using namespace wengert::testing;

namespace {

enum class Fault {
  none,
  value,              // off by a thousandth
  value_f32,          // the same in single precision alone
  unsteady,           // other bits at every run
  first_derivative,   // 2x instead of 3x
  second_derivative,  // right at first order, a part of it detached
  forward,            // says that it is linear: forward mode then calls the op on tangents
  no_derivative,      // says that it has none
  type,               // infers another type for symbolic tapes than for eager ones
  text,               // refuses in other words
  no_refusal,         // refuses nothing
  edge_case,          // states a value that it has not
  slope,              // states a derivative that it has not
  earlier_row,        // a row reads the row before it; says that rows are kept
  later_row,          // a row reads the row after it
  other_column,       // reads a neighbour in its row; says that it works on each element alone
  batch,              // its rule for vmap is off by a thousandth
  short_reference,    // compares with nothing
  scratch,            // writes beyond its scratch memory
  view,               // says that its output is its operand
  count_of_rows,      // a row depends on how many there are
};

// x^3 for [B,d], as a user would write it, with a fault.
class Cube final : public OpOf<Cube> {
 public:
  explicit Cube(Fault fault)
      : OpOf({.name = "cube",
              .linearity = fault == Fault::forward         ? Linearity::linear
                           : fault == Fault::no_derivative ? Linearity::none
                           : touches_others(fault)         ? Linearity::transpose_vjp
                                                           : Linearity::elementwise,
              .view = fault == Fault::view}),
        fault_(fault) {}

  Type infer(const Signature& s) const override {
    if (fault_ != Fault::no_refusal && !is_float(s.dtype(0))) reject(fault_ == Fault::text ? "no" : "needs f32 or f64");
    static int calls = 0;
    if (fault_ == Fault::type && ++calls % 2 == 0) return {s.dtype(0), s.shape(0).prepended(1)};
    return *s.in[0];
  }
  std::size_t scratch_bytes(const Signature&, const Type&) const override { return 64; }

  template <class T>
  void compute(const Kernel& k) const {
    const T* x = k.in<T>(0);
    const Index n = k.out_shape().size(), row = k.out_shape()[-1];
    static int calls = 0;
    ++calls;
    for (Index i = 0; i < n; ++i) {
      T y = x[i] * x[i] * x[i];
      if (fault_ == Fault::value || (fault_ == Fault::value_f32 && sizeof(T) == 4)) y *= T(1.001);
      if (fault_ == Fault::count_of_rows) y *= T(1) + static_cast<T>(n / row) * std::numeric_limits<T>::epsilon();
      if (fault_ == Fault::unsteady) y *= T(1) + static_cast<T>(calls % 2) * 4 * std::numeric_limits<T>::epsilon();
      y += T(linear_part(i, n, row, [&](Index j) { return static_cast<double>(x[j]); }));
      k.out<T>()[i] = y;
    }
    if (fault_ == Fault::scratch) static_cast<char*>(k.scratch)[64] = 1;
  }

  Var local_jvp(const Call& c, int, Var t) const override {
    const Var x = c.in(0);
    if (fault_ == Fault::first_derivative) return t * (2 * square(x));
    if (fault_ == Fault::second_derivative) return t * (3 * x * stop_gradient(x));
    return t * (3 * square(x));
  }
  Var vjp(const Call& c, int i, Var g) const override {
    if (!touches_others(fault_)) return local_jvp(c, i, g);
    Var pulled = g * (3 * square(c.in(0)));
    if (fault_ == Fault::earlier_row) pulled = pulled + concat({slice(g, 0, 1), 0 * slice(g, 0, 0, 1)}, 0);
    if (fault_ == Fault::later_row) pulled = pulled + concat({0 * slice(g, 0, 0, 1), slice(g, 0, 0, -1)}, 0);
    if (fault_ == Fault::other_column) pulled = pulled + concat({slice(g, 1, 1), 0 * slice(g, 1, 0, 1)}, 1);
    return pulled;
  }
  Var batched(const Batch& b) const override {
    const Var y = Op::batched(b);
    return fault_ == Fault::batch ? 1.001 * y : y;
  }
  Rows rows(const Signature&, const Type&, int, int axis) const override {
    if (fault_ == Fault::other_column && axis == -1) return {RowRule::mixes, 0};
    return {axis == -2 || !touches_others(fault_) ? RowRule::pointwise : RowRule::mixes, axis};
  }

  std::vector<Example> examples() const override { return {{{Sample{{4, 3}, 0.5, 2}}}}; }
  std::vector<EdgeCase> edge_cases() const override {
    if (touches_others(fault_)) return {};
    return {{{Sample{.shape = {1, 1}, .values = {2}}},
             {},
             {fault_ == Fault::edge_case ? 7.0 : 8.0},
             {{fault_ == Fault::slope ? 11.0 : 12.0}}}};
  }
  std::vector<InvalidInput> invalid_inputs() const override {
    return {{{{Dtype::i32, {2, 2}}}, {}, "needs f32 or f64"}};
  }
  Array reference(std::span<const Array> in, const Attributes&, const Type& out) const override {
    const Index n = in[0].size();
    Array result(Dtype::f64, fault_ == Fault::short_reference ? Shape{0} : out.shape);
    for (Index i = 0; i < result.size(); ++i) {
      const double x = in[0].at(i);
      result.set(i, x * x * x + linear_part(i, n, in[0].shape()[-1], [&](Index j) { return in[0].at(j); }));
    }
    return result;
  }

 private:
  static bool touches_others(Fault fault) {
    return fault == Fault::earlier_row || fault == Fault::later_row || fault == Fault::other_column;
  }
  // What is read of other elements, by a fault of rows.
  template <class F>
  double linear_part(Index i, Index n, Index row, F&& x) const {
    if (fault_ == Fault::earlier_row && i >= row) return x(i - row);
    if (fault_ == Fault::later_row && i + row < n) return x(i + row);
    if (fault_ == Fault::other_column && i % row > 0) return x(i - 1);
    return 0;
  }
  Fault fault_;
};

// sum(x w) over the last axis, [B,d] and [B,d] -> [B], with a rule of forward mode that does not keep its contract.
enum class Rule { right, takes_all_axes, like_each_other };
class Weighted final : public OpOf<Weighted> {
 public:
  explicit Weighted(Rule rule)
      : OpOf({.name = "weighted", .arity = 2, .linearity = Linearity::custom_jvp}), rule_(rule) {}
  Type infer(const Signature& s) const override {
    if (s.shape(0) != s.shape(1)) reject("operands differ in shape");
    return {s.dtype(0), s.shape(0).leading(s.shape(0).rank() - 1)};
  }
  template <class T>
  void compute(const Kernel& k) const {
    const Index d = k.shape(0)[-1];
    for (Index i = 0; i < k.out_shape().size(); ++i) {
      T total = 0;
      for (Index j = 0; j < d; ++j) total += k.in<T>(0)[i * d + j] * k.in<T>(1)[i * d + j];
      k.out<T>()[i] = total;
    }
  }
  Var vjp(const Call& c, int i, Var g) const override { return unsqueeze(g, -1) * c.in(1 - i); }
  Var jvp(const Call& c, std::span<const Var> t) const override {
    std::vector<Var> parts;
    for (int i : {0, 1}) {
      Var stack = t[static_cast<std::size_t>(i)];
      if (stack.is_null()) continue;
      const Var other = c.in(1 - i);
      if (rule_ == Rule::takes_all_axes)  // a product with ones that only fits what is in full
        parts.push_back(reshape(matmul(unsqueeze(stack, -2), unsqueeze(other, -1)), {-1, 4}));
      else
        parts.push_back(sum(stack * other, -1));
    }
    if (parts.size() == 1) return parts[0];
    if (rule_ == Rule::like_each_other) parts[1] = reshape(parts[1], parts[0].shape());
    return parts[0] + parts[1];
  }
  std::vector<Example> examples() const override { return {{{Sample{{4, 3}}, Sample{{4, 3}}}}}; }
  Array reference(std::span<const Array> in, const Attributes&, const Type& out) const override {
    Array result(Dtype::f64, out.shape);
    for (Index i = 0; i < in[0].size(); ++i) result.set(i / 3, result.at(i / 3) + in[0].at(i) * in[1].at(i));
    return result;
  }

 private:
  Rule rule_;
};

// 2x, of which a run of elements by itself is 3x.
struct OtherBlock final : OpOf<OtherBlock> {
  OtherBlock() : OpOf({.name = "twice", .linearity = Linearity::elementwise}) {}
  Type infer(const Signature& s) const override { return *s.in[0]; }
  template <class T>
  void compute(const Kernel& k) const {
    for (Index i = 0; i < k.out_shape().size(); ++i) k.out<T>()[i] = 2 * k.in<T>(0)[i];
  }
  bool fusable() const override { return true; }
  void block(Index n, const void* const* in, void* out, Dtype dtype, const Attributes&) const override {
    dispatch_float(dtype, [&]<class T>() {
      for (Index i = 0; i < n; ++i) static_cast<T*>(out)[i] = 3 * static_cast<const T*>(in[0])[i];
    });
  }
  Var local_jvp(const Call&, int, Var t) const override { return 2 * t; }
  std::vector<Example> examples() const override { return {{{Sample{{4, 3}}}}}; }
  Array reference(std::span<const Array> in, const Attributes&, const Type& out) const override {
    Array result(Dtype::f64, out.shape);
    for (Index i = 0; i < result.size(); ++i) result.set(i, 2 * in[0].at(i));
    return result;
  }
};

// Some failure names the op and says this.
void found(Fault fault, const char* text) {
  const Cube op(fault);
  const CheckReport report = check_op(op);
  bool said = false;
  for (const std::string& failure : report.failures) {
    BOOST_TEST(failure.rfind("[cube] ", 0) == 0U);
    said = said || contains(failure, text);
  }
  BOOST_TEST(said, "\"" << text << "\" is not among " << report.failures.size() << " failures, the first of which is "
                        << (report.failures.empty() ? "none" : report.failures[0]));
}

}  // namespace

BOOST_AUTO_TEST_CASE(an_op_that_is_right_passes) {
  const Cube op(Fault::none);
  const CheckReport report = check_op(op);
  for (const std::string& failure : report.failures) BOOST_ERROR(failure);
  BOOST_TEST(report.checks > 10);
}

BOOST_AUTO_TEST_CASE(wrong_values) {
  found(Fault::value, "example 0: f32: value at 0");
  found(Fault::value, "example 0: f64: value at 0");
  found(Fault::value_f32, "example 0: f32: value at 0");
  found(Fault::unsteady, "recorded again it gives other bits");
  found(Fault::edge_case, "edge case 0: f64: value at 0: got 8, wanted 7");
  found(Fault::short_reference, "value");
}

BOOST_AUTO_TEST_CASE(wrong_derivatives) {
  found(Fault::first_derivative, "order 1, reverse: d/d input 0");
  found(Fault::second_derivative, "order 2, reverse over reverse: d/d input 0");
  found(Fault::slope, "edge case 0: f64: derivative at 0: got 12, wanted 11");
  found(Fault::forward, "forward");
  found(Fault::no_derivative, "order 1, reverse: d/d input 0");
}

namespace {

// sin(x) / x with a patch at 0 that gives the value and the first derivative there, and no more.
Unary patched_sinc(std::vector<double> kinks) {
  return {{.name = "patched_sinc",
           .reference = [](double x) { return x == 0 ? 1 : std::sin(x) / x; },
           .kinks = std::move(kinks),
           .points = {{0, 1, 0}}},
          [](auto x) { return xsimd::select(x == decltype(x)(0), decltype(x)(1), simd::sin(x) / x); },
          [](Var t, Var x, Var y) { return t * where(equal(x, 0), 0, (cos(x) - y) / where(equal(x, 0), 1, x)); }};
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_point_that_is_named_is_checked_to_third_order) {
  const CheckReport report = check_op(patched_sinc({}));
  BOOST_REQUIRE(!report.failures.empty());
  for (const std::string& failure : report.failures)
    BOOST_TEST(contains(failure, "[patched_sinc] edge case 0: order "), failure);
  BOOST_TEST(contains(report.failures[0], "order 2, reverse over reverse: d/d input 0 at [0]: analytic "));
  BOOST_TEST(check_op(patched_sinc({0})).failures.empty());  // a point that is said to be a kink is not
}

BOOST_AUTO_TEST_CASE(wrong_types_and_texts) {
  found(Fault::type, "symbolic tape");
  found(Fault::text, "invalid input 0: wanted \"needs f32 or f64\"");
  found(Fault::no_refusal, "invalid input 0: wanted \"needs f32 or f64\"");
}

BOOST_AUTO_TEST_CASE(wrong_rules_of_rows) {
  found(Fault::later_row, "row rule of operand 0, axis -2");
  found(Fault::earlier_row, "row rule of operand 0, axis -2");
  found(Fault::other_column, "row rule of operand 0, axis -2");
}

BOOST_AUTO_TEST_CASE(rules_of_forward_mode_that_expect_every_axis_in_full) {
  const CheckReport right = check_op(Weighted(Rule::right));
  BOOST_TEST(right.failures.empty(), (right.failures.empty() ? "" : right.failures[0]));
  for (Rule rule : {Rule::takes_all_axes, Rule::like_each_other})
    BOOST_TEST(!check_op(Weighted(rule)).failures.empty());
}

BOOST_AUTO_TEST_CASE(wrong_rules_of_batches) {
  found(Fault::batch, "value under vmap of all");
  found(Fault::batch, "value under vmap of 0");
}

BOOST_AUTO_TEST_CASE(wrong_in_plans_alone) {
  found(Fault::count_of_rows, "example 0: f32: of 200 rows, plan without rewrites, 1 thread: value at [");
  found(Fault::count_of_rows, "example 0: f64: of 200 rows, plan with rows [0, 1, 2], 1 thread: value at [");
  BOOST_TEST(
      contains(check_op(OtherBlock()).failures.at(0), "[twice] example 0: f32: plan without rewrites, 1 thread"));
}

BOOST_AUTO_TEST_CASE(wrong_use_of_memory) {
  found(Fault::scratch, "scratch");
  found(Fault::view, "is to be a view of operand 0, and has other elements");
}

BOOST_AUTO_TEST_CASE(an_elementwise_op_takes_one_to_four_operands) {
  struct Many final : ElementwiseOp {
    explicit Many(int arity) : ElementwiseOp({.name = "many", .arity = arity}) {}
    std::vector<Example> examples() const override { return {}; }
    Array reference(std::span<const Array>, const Attributes&, const Type& out) const override { return Array(out); }
  };
  for (int arity : {1, 4}) BOOST_CHECK_NO_THROW(Many op(arity));
  for (int arity : {-1, 0, 5})
    BOOST_TEST(contains(error_of([&] { Many op(arity); }),
                        "[many] an elementwise op takes 1 to 4 operands, got an arity of " + std::to_string(arity)));
}

BOOST_AUTO_TEST_CASE(a_name_is_one_ops_alone) {
  const auto silu = [] { const Unary op({.name = "silu", .reference = nullptr}, [](auto x) { return x; }); };
  const std::size_t count = registry().size();
  BOOST_TEST(error_of(silu) == "[silu] an op of this name exists: another one needs a name of its own");
  BOOST_TEST(registry().size() == count);
  {
    const Cube first(Fault::none);
    BOOST_TEST(contains(error_of([] { Cube second(Fault::none); }), "[cube] an op of this name exists"));
  }
  BOOST_TEST(error_of([] { Cube later(Fault::none); }) == "nothing was thrown");
}

BOOST_AUTO_TEST_CASE(an_op_is_in_the_registry_while_it_lives) {
  const auto known = [](const Op* wanted) {
    const auto ops = registry();
    return std::count(ops.begin(), ops.end(), wanted);
  };
  const Op* address = nullptr;
  {
    const Cube op(Fault::none);
    address = &op;
    BOOST_TEST(known(address) == 1);
  }
  BOOST_TEST(known(address) == 0);
  const auto ops = registry();
  BOOST_TEST(ops.size() > 40U);
  for (std::size_t i = 1; i < ops.size(); ++i) BOOST_TEST(ops[i - 1]->name() != ops[i]->name());
  BOOST_TEST(std::is_sorted(ops.begin(), ops.end(), [](const Op* a, const Op* b) { return a->name() < b->name(); }));
}

namespace {

using Vars = std::span<const Var>;
const Array left = random_array(Dtype::f64, {2, 3}, 1, 0.5, 2), right = random_array(Dtype::f64, {3}, 2, 0.5, 2);

}  // namespace

BOOST_AUTO_TEST_CASE(right_functions_pass_to_third_order_in_both_modes) {
  const auto f = [](Vars x) { return sum(exp(x[0] / x[1]) * sin(x[1]), 1); };
  const CheckReport report = check_grads(f, {left, right}, {.order = 3});
  for (const std::string& failure : report.failures) BOOST_ERROR(failure);
  BOOST_TEST(report.checks == 2 * (2 + 4 + 4));  // inputs by modes: one, then one over another
}

BOOST_AUTO_TEST_CASE(a_wrong_derivative_is_named_by_input_and_entry) {
  const auto f = [](Vars x) {
    const Array factors = Array::of<double>({3}, {1, 1, 1.001});
    const auto rule = [factors](Var b, Var, Var g) { return 2 * b * g * g.tape().input(factors); };
    return x[0] * custom_derivative([](Var b) { return square(b); }, rule, x[1]);
  };
  const CheckReport report = check_grads(f, {left, right}, {.order = 1});
  BOOST_REQUIRE(report.failures.size() == 2U);
  BOOST_TEST(report.failures[0].rfind("order 1, reverse: d/d input 1 at [2]: analytic ", 0) == 0U);
  BOOST_TEST(report.failures[1].rfind("order 1, forward: d/d input 1 at [2]: analytic ", 0) == 0U);
  BOOST_TEST(contains(report.failures[0], ", numeric "));
  BOOST_TEST(check_grads(f, {left, right}, {.order = 1, .tolerance = 0.1}).failures.empty());
}

BOOST_AUTO_TEST_CASE(modes_are_checked_apart) {
  const Cube op(Fault::forward);
  const auto cube = [&](Vars x) { return record(op, {x[0]}); };
  BOOST_TEST(check_grads(cube, {left}, {.order = 1, .modes = Modes::reverse}).failures.empty());
  const CheckReport report = check_grads(cube, {left}, {.order = 1, .modes = Modes::forward});
  BOOST_REQUIRE(report.failures.size() == 1U);
  BOOST_TEST(contains(report.failures[0], "order 1, forward: d/d input 0 at [0, 0]: "));
}

BOOST_AUTO_TEST_CASE(gradients_by_floats_alone) {
  const Array rows = Array::of<std::int32_t>({2}, {2, 0}), none(Dtype::f64, {0});
  const auto f = [](Vars x) { return exp(index_select(x[0], 0, x[1])) + sum(x[2]); };
  const CheckReport report = check_grads(f, {right, rows, none});
  for (const std::string& failure : report.failures) BOOST_ERROR(failure);
  BOOST_TEST(report.checks == 2 + 4);
  // In single precision, with the bounds that it allows.
  const CheckReport single = check_grads(f, {right.cast(Dtype::f32), rows, none.cast(Dtype::f32)});
  for (const std::string& failure : single.failures) BOOST_ERROR(failure);
  BOOST_TEST(contains(error_of([&] {
                        check_grads(f, {right, rows, none}, {.order = 0});
                      }),
                      "[check_grads] order must be at least 1, got 0"));
}
