// Products with what follows them in plans: act(x W + b) * mask and its gradients have exactly the bits of an eager
// tape, for every number of rows from 1 to 70 and random ones up to 700, on 1 to 3 threads.
// The thread sanitizer runs this file.
#define BOOST_TEST_MODULE product_plans
#include <algorithm>
#include <boost/mpl/list.hpp>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <random>

#include "autodiff/autodiff.hpp"
#include "nn/nn.hpp"
#include "tests/autodiff/helpers.hpp"

using namespace wengert;
using namespace wengert::testing;

namespace {

struct Activation {
  const char* name;
  nn::Activation apply;  // or null
};

struct Layer {
  Index m, n, k;
  Activation activation;
  bool biased, transposed;  // transposed: W is given as [n,k]
  enum class Weight { input, parameter } weight;
  enum class Mask { elements, rows, columns } mask;
  Dtype dtype;
};

std::ostream& operator<<(std::ostream& out, const Layer& l) {
  return out << "[" << l.m << "," << l.k << "] x [" << l.k << "," << l.n << "]" << (l.transposed ? " transposed" : "")
             << (l.biased ? ", bias" : "") << ", activation " << l.activation.name << ", weight "
             << static_cast<int>(l.weight) << ", mask " << static_cast<int>(l.mask) << ", " << name_of(l.dtype);
}

// The value, the loss and the gradients of a layer, eagerly and as a plan.
void check(const Layer& l) {
  const Type x{l.dtype, {l.m, l.k}}, w{l.dtype, l.transposed ? Shape{l.n, l.k} : Shape{l.k, l.n}}, b{l.dtype, {l.n}},
      mask{l.dtype, l.mask == Layer::Mask::elements ? Shape{l.m, l.n}
                    : l.mask == Layer::Mask::rows   ? Shape{l.m, 1}
                                                    : Shape{l.n}};
  std::vector<Array> values;
  for (const Type& type : {x, w, b, mask})
    values.push_back(random_array(type.dtype, type.shape, values.size() + static_cast<std::uint64_t>(l.m)));
  const nn::Parameter weight(values[1]);
  const auto f = [&](std::span<const Var> in) {
    const Var held = l.weight == Layer::Weight::parameter ? weight.on(in[0].tape()) : in[1];
    Var y = matmul(in[0], held, {.transpose_b = l.transposed});
    if (l.biased) y = y + in[2];
    if (l.activation.apply) y = l.activation.apply(y);
    y = y * in[3];
    const Var loss = sum(square(y));
    std::vector<Var> out{y, loss};
    for (Var g : grad(loss, {in[0], held, in[2]})) out.push_back(g);
    return out;
  };
  Tape tape(l.dtype);
  std::vector<Var> inputs;
  for (const Array& value : values) inputs.push_back(tape.input(value));
  std::vector<Array> wanted;
  for (Var var : f(inputs)) wanted.push_back(var.value());
  const std::vector<PlanInput> given(values.begin(), values.end());
  for (const bool rewrites : {true, false}) {
    Plan plan = compile(f, {x, w, b, mask}, {.rewrites = rewrites}, l.dtype);
    for (int count : {1, 2, 3}) {
      const Threads guard(count);
      const auto out = plan.run(given);
      BOOST_REQUIRE(out.size() == wanted.size());
      for (std::size_t i = 0; i < out.size(); ++i)
        if (!same_bits(out[i], wanted[i]))
          BOOST_ERROR(l << ", " << count << " threads, rewrites " << rewrites << ": output " << i << " of "
                        << to_string(wanted[i].type()) << " has other bits");
    }
  }
}

// All activations, with and without bias, in both dtypes; layouts and masks take turns.
void check_all(Index m, Index n, Index k) {
  int turn = static_cast<int>(m);
  const Activation activations[] = {{"none", nullptr}, {"relu", relu}, {"silu", silu}, {"tanh", tanh}};
  for (const Activation& activation : activations)
    for (const bool biased : {false, true}) {
      for (const Dtype dtype : {Dtype::f32, Dtype::f64})
        check({m, n, k, activation, biased, turn % 2 != 0, static_cast<Layer::Weight>(turn / 2 % 2),
               static_cast<Layer::Mask>(turn % 3), dtype});
      ++turn;
    }
}

}  // namespace

BOOST_AUTO_TEST_CASE(every_number_of_rows_to_70) {
  for (Index m = 1; m <= 70; m += SANITIZED ? 3 : 1)
    BOOST_CHECK_NO_THROW(check_all(m, 1 + m * 37 % 70, 1 + m * 23 % 70));  // each n and each k occurs once
}

BOOST_AUTO_TEST_CASE(every_number_of_columns_for_few_rows) {
  for (Index n = 1; n <= 70; n += SANITIZED ? 9 : 2) BOOST_CHECK_NO_THROW(check_all(1 + n % 9, n, 1 + n * 53 % 70));
}

BOOST_AUTO_TEST_CASE(random_sizes_to_700) {
  std::mt19937_64 random(1);
  std::uniform_real_distribution<double> uniform(0, std::log(701));
  const auto draw = [&] { return static_cast<Index>(std::exp(uniform(random))); };
  for (int i = 0; i < (SANITIZED ? 4 : 24); ++i) {
    const Index m = draw(), n = draw(), k = draw();
    BOOST_CHECK_NO_THROW(check_all(m, n, k));
  }
}

// Weights and gradients that outgrow the cache, in blocks of several rows and columns that copy what they read. Rows
// have more elements than the weights, or a plan would take those of the weights for the batch.
BOOST_AUTO_TEST_CASE(wide_layers) {
  for (const Dtype dtype : {Dtype::f32, Dtype::f64})
    for (const bool transposed : {false, true}) {
      if (SANITIZED && (dtype == Dtype::f64) != transposed) continue;
      BOOST_CHECK_NO_THROW(check(
          {500, 1030, 610, {"tanh", tanh}, true, transposed, Layer::Weight::parameter, Layer::Mask::elements, dtype}));
    }
}

// Chains that are cut: long rows, and gradients of weights over so many rows that a share has many groups of them.
BOOST_AUTO_TEST_CASE(long_sums) {
  using Weight = Layer::Weight;
  using Mask = Layer::Mask;
  for (const Dtype dtype : {Dtype::f32, Dtype::f64}) {
    BOOST_CHECK_NO_THROW(check({33, 5, 5000, {"tanh", tanh}, true, false, Weight::parameter, Mask::elements, dtype}));
    BOOST_CHECK_NO_THROW(check({70, 9, 4097, {"relu", relu}, true, true, Weight::input, Mask::rows, dtype}));
    BOOST_CHECK_NO_THROW(check({3, 150, 4700, {"none", nullptr}, false, true, Weight::parameter, Mask::rows, dtype}));
    BOOST_CHECK_NO_THROW(check({9001, 7, 11, {"tanh", tanh}, true, false, Weight::parameter, Mask::rows, dtype}));
    if (SANITIZED) continue;
    BOOST_CHECK_NO_THROW(check({20001, 150, 200, {"tanh", tanh}, true, true, Weight::input, Mask::rows, dtype}));
    BOOST_CHECK_NO_THROW(check({200001, 2, 3, {"relu", relu}, true, false, Weight::input, Mask::columns, dtype}));
  }
}

// Ranges of rows are as long as groups of them: memory grows with the logarithm of the number of rows.
BOOST_AUTO_TEST_CASE(memory_does_not_grow_with_rows) {
  const auto bytes_for = [](Index rows) {
    const auto f = [](std::span<const Var> in) {
      const Var loss = mean(square(matmul(tanh(matmul(in[0], in[1])), in[2])));
      return grad(loss, {in[1], in[2]});
    };
    const Plan plan = compile(f, {{Dtype::f32, {rows, 3}}, {Dtype::f32, {3, 64}}, {Dtype::f32, {64, 2}}});
    const std::vector<Plan::StepInfo> steps = plan.steps();
    BOOST_TEST(std::any_of(steps.begin(), steps.end(),
                           [](const auto& step) { return step.part == Plan::StepInfo::Part::range; }));
    return plan.bytes();
  };
  const std::size_t few = bytes_for(8192), many = bytes_for(64 * 8192);
  BOOST_TEST(many > few);  // partial sums that wait, six more
  BOOST_TEST(many < 4 * few);
}
