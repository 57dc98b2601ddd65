// Lasting values: what plans compute of parameters alone is computed when these have changed, and only then.
#define BOOST_TEST_MODULE lasting
#include <boost/test/unit_test.hpp>
#include <memory>

#include "autodiff/autodiff.hpp"
#include "tests/autodiff/plans.hpp"

using namespace wengert;
using namespace wengert::testing;

namespace {

constexpr Index size = 40;  // of matrices, which are too large for machine code

// A square matrix of parameters in a store of its own.
class Parameter {
 public:
  explicit Parameter(std::uint64_t seed) { set(random_array(Dtype::f64, {size, size}, seed)); }
  Var on(Tape& tape) const { return tape.borrow(value().type(), value().raw(), store_, &store_->version, "w"); }
  const Array& value() const { return store_->value; }
  void set(const Array& value) {
    std::memcpy(store_->value.raw(), value.raw(), value.type().bytes());
    ++store_->version;
  }

 private:
  struct Store {
    Array value{Dtype::f64, {size, size}};
    std::uint64_t version = 0;
  };
  std::shared_ptr<Store> store_ = std::make_shared<Store>();
};

// x, with a count of how often it was computed.
struct Counted final : OpOf<Counted> {
  explicit Counted(const char* name) : OpOf({.name = name}) {}
  Type infer(const Signature& s) const override { return *s.in[0]; }
  template <class T>
  void compute(const Kernel& k) const {
    ++count;
    std::copy_n(k.in<T>(0), k.out_shape().size(), k.out<T>());
  }
  std::vector<Example> examples() const override { return {}; }
  Array reference(std::span<const Array> in, const Attributes&, const Type&) const override { return in[0]; }
  mutable int count = 0;
};

Array batch(std::uint64_t seed) { return random_array(Dtype::f64, {7, size}, seed); }
const std::vector<Type> batches{{Dtype::f64, {7, size}}};

// Its outputs are those of an eager tape, with the parameters as they are.
void check(Plan& plan, const PlanFunction& f, const Array& x) {
  BOOST_TEST(same_bits(run(plan, {x}), eagerly(f, {x}, Dtype::f64)));
}

std::size_t lasting_steps(const Plan& plan) {
  const auto steps = plan.steps();
  return static_cast<std::size_t>(std::ranges::count(steps, Plan::StepInfo::Part::lasting, &Plan::StepInfo::part));
}

}  // namespace

BOOST_AUTO_TEST_CASE(each_is_computed_when_a_parameter_that_it_comes_from_has_changed) {
  const Counted first("first"), second("second"), both("both");
  Parameter a(1), b(2);
  const PlanFunction f = [&](Vars in) -> std::vector<Var> {
    const Var u = record(first, {a.on(in[0].tape())}), v = record(second, {b.on(in[0].tape())});
    return {matmul(matmul(in[0], u), v) + sum(in[0] * in[0]), matmul(in[0], record(both, {matmul(u, v)}))};
  };
  Plan plan = compile(f, batches);
  BOOST_TEST(lasting_steps(plan) == 4U);
  const auto counts = [&] { return std::vector<int>{first.count, second.count, both.count}; };
  const auto counts_of_run = [&](std::uint64_t seed) {
    const Array x = batch(seed);
    const Arrays wanted = eagerly(f, {x}, Dtype::f64);
    const std::vector<int> before = counts();
    BOOST_TEST(same_bits(run(plan, {x}), wanted));
    std::vector<int> now = counts();
    for (std::size_t i = 0; i < now.size(); ++i) now[i] -= before[i];
    return now;
  };
  BOOST_TEST((counts_of_run(3) == std::vector{1, 1, 1}));
  BOOST_TEST((counts_of_run(4) == std::vector{0, 0, 0}));
  b.set(Parameter(5).value());
  BOOST_TEST((counts_of_run(6) == std::vector{0, 1, 1}));
  a.set(Parameter(7).value());
  BOOST_TEST((counts_of_run(8) == std::vector{1, 0, 1}));
  BOOST_TEST((counts_of_run(9) == std::vector{0, 0, 0}));
}

BOOST_AUTO_TEST_CASE(what_failed_is_computed_again) {
  const Array refused = Parameter(1).value();  // not symmetric, its first entry negative
  Parameter w(1);
  Array positive = refused;
  for (Index i = 0; i < size; ++i)
    for (Index j = 0; j < size; ++j) positive.set(i * size + j, i == j ? 2.0 : 0.01);
  const PlanFunction f = [&](Vars in) -> std::vector<Var> { return {matmul(in[0], cholesky(w.on(in[0].tape())))}; };
  Plan plan = compile(f, batches);
  BOOST_TEST(lasting_steps(plan) == 1U);
  const Array x = batch(2);
  w.set(positive);
  check(plan, f, x);
  w.set(refused);
  for (int i = 0; i < 2; ++i) BOOST_TEST(contains(error_of([&] { run(plan, {x}); }), "[cholesky]"));
  w.set(positive);
  check(plan, f, x);
}

// An output, and so what lies in one, may be elsewhere in the next run.
BOOST_AUTO_TEST_CASE(outputs_do_not_last) {
  Parameter w(1);
  const PlanFunction f = [&](Vars in) -> std::vector<Var> {
    const Var v = w.on(in[0].tape()), square = matmul(v, v);
    return {square, concat({matmul(v, exp(v)), in[0]}, 0), matmul(in[0], square)};
  };
  Plan plan = compile(f, batches);
  const Array x = batch(2);
  check(plan, f, x);
  for (double times : {2.0, 3.0}) {
    const Arrays sums(plan.accumulate({x}).begin(), plan.outputs().end()), once = eagerly(f, {x}, Dtype::f64);
    for (std::size_t i = 0; i < once.size(); ++i)
      for (Index e = 0; e < once[i].size(); ++e)
        BOOST_TEST(sums[i].at(e) == times * once[i].at(e), boost::test_tools::tolerance(1e-14));
  }
  check(plan, f, batch(3));
}

// The products lie in the concat, which has no step of its own.
BOOST_AUTO_TEST_CASE(parts_of_a_concat_last_one_by_one) {
  Parameter a(1), b(2);
  const PlanFunction f = [&](Vars in) -> std::vector<Var> {
    const Var u = a.on(in[0].tape()), v = b.on(in[0].tape());
    return {matmul(in[0], concat({matmul(u, u), matmul(v, v)}, 0), {.transpose_b = true}), exp(in[0]) * 2};
  };
  Plan plan = compile(f, batches);
  BOOST_TEST(lasting_steps(plan) == 2U);
  check(plan, f, batch(3));
  b.set(Parameter(4).value());
  check(plan, f, batch(5));
  a.set(Parameter(6).value());
  check(plan, f, batch(7));
}

BOOST_AUTO_TEST_CASE(profile_and_explain_tell_them_apart) {
  Parameter w(1);
  const PlanFunction f = [&](Vars in) -> std::vector<Var> {
    const Var twice = matmul(w.on(in[0].tape()), w.on(in[0].tape()));
    return {matmul(in[0], twice)};
  };
  Plan plan = compile(f, batches);
  BOOST_TEST(contains(plan.explain(), "when parameters have changed\n    product 40x40x40"));
  BOOST_TEST(contains(plan.profile({batch(1)}), "ms more when parameters have changed"));
  check(plan, f, batch(2));
}
