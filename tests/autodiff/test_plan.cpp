// A plan gives the bits of an eager tape, whatever it rewrites, fuses or splits, on any number of threads.
// The thread sanitizer runs this file.
#define BOOST_TEST_MODULE plan
#include "autodiff/plan.hpp"

#include <boost/test/unit_test.hpp>
#include <limits>

#include "autodiff/autodiff.hpp"
#include "nn/nn.hpp"
#include "tests/autodiff/plans.hpp"
#include "tests/autodiff/programs.hpp"

using namespace wengert;
using namespace wengert::testing;

namespace {

const CompileOptions all_options[] = {
    {}, {.rewrites = false}, {.split_rows = false}, {.rewrites = false, .split_rows = false}};

// Planned with all options, on several numbers of threads, twice: what an eager tape gives.
void check_plan(const PlanFunction& f, const Arrays& inputs, const std::string& what, Dtype dtype = Dtype::f64) {
  const Arrays wanted = eagerly(f, inputs, dtype);
  for (const CompileOptions& options : all_options) {
    Plan plan = compile(f, types_of(inputs), options, dtype);
    for (int count : {1, 2, 3, 7}) {
      const Threads guard(count);
      for (int again = 0; again < 2; ++again)
        BOOST_REQUIRE_MESSAGE(same_bits(run(plan, inputs), wanted), what << ", rewrites " << options.rewrites
                                                                         << ", rows " << options.split_rows << ", "
                                                                         << count << " threads\n"
                                                                         << plan.explain());
    }
  }
}

// A network's loss, its gradients by all weights, and the trace of its Jacobian with gradients.
PlanFunction network(Var (*activation)(Operand), bool trace) {
  return [=](Vars in) {
    const auto net = [&](Var x) {
      for (std::size_t i = 2; i + 1 < in.size(); i += 2) {
        x = matmul(x, in[i]) + in[i + 1];
        if (i + 3 < in.size()) x = activation(x);
      }
      return x;
    };
    Var loss;
    if (trace) {
      const auto [value, divergence] = value_and_divergence(net, in[0]);
      loss = mean(divergence + 0.5 * sum(square(value), 1));
    } else {
      loss = mean(square(net(in[0]) - in[1]));
    }
    std::vector<Var> outputs = grad(loss, in.subspan(2));
    outputs.push_back(loss);
    return outputs;
  };
}

Arrays network_inputs(Dtype dtype, Index batch, std::vector<Index> widths) {
  Arrays inputs{random_array(dtype, {batch, widths.front()}, 1), random_array(dtype, {batch, widths.back()}, 2)};
  for (std::size_t i = 0; i + 1 < widths.size(); ++i) {
    inputs.push_back(random_array(dtype, {widths[i], widths[i + 1]}, 10 + i, -0.4, 0.4));
    inputs.push_back(random_array(dtype, {widths[i + 1]}, 20 + i));
  }
  return inputs;
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_chain_of_ops) {
  const auto f = [](Vars in) { return std::vector<Var>{tanh(in[0] * 2 + in[1]), sum(exp(in[0]), 1)}; };
  check_plan(f, {random_array(Dtype::f64, {300, 5}, 1), random_array(Dtype::f64, {5}, 2)}, "chain");
}

BOOST_AUTO_TEST_CASE(networks_of_many_sizes) {
  using Sizes = std::vector<Index>;
  for (Dtype dtype : {Dtype::f32, Dtype::f64})
    for (Index batch : SANITIZED ? Sizes{9, 127, 200} : Sizes{1, 9, 33, 127, 500, 1000})
      for (Index width : SANITIZED ? Sizes{3, 37} : Sizes{3, 16, 37, 131}) {
        const std::string what = "batch " + std::to_string(batch) + ", width " + std::to_string(width);
        check_plan(network(relu, false), network_inputs(dtype, batch, {3, width, width, 2}), "relu, " + what, dtype);
        if (width < 100 && batch < 300)
          check_plan(network(silu, true), network_inputs(dtype, batch, {2, width, width, 2}), "trace, " + what, dtype);
      }
}

BOOST_AUTO_TEST_CASE(random_programs) {
  for (std::uint64_t seed = 1; seed <= (SANITIZED ? 30 : 300); ++seed) {
    const Program program = draw_program(seed, 40);
    const auto f = [&](Vars in) {
      const Recording recording = record(program, in);
      std::vector<Var> outputs = grad(recording.loss, recording.inputs);
      outputs.push_back(recording.loss);
      outputs.push_back(recording.values.back());
      return outputs;
    };
    check_plan(f, inputs_of(program), "seed " + std::to_string(seed));
  }
}

BOOST_AUTO_TEST_CASE(transposes_that_would_change_the_order_of_a_sum_stay) {
  const Arrays tall{random_array(Dtype::f32, {200, 3}, 1), random_array(Dtype::f32, {200, 4}, 2)};
  check_plan([](Vars in) { return std::vector<Var>{matmul(transpose(in[0]), in[1])}; }, tall, "covariance", Dtype::f32);
  check_plan([](Vars in) { return std::vector<Var>{matmul(transpose(in[0]), in[1], {.transpose_a = true})}; },
             {random_array(Dtype::f32, {3, 200}, 1), random_array(Dtype::f32, {200, 4}, 2)}, "transposed twice",
             Dtype::f32);
  const Arrays square{random_array(Dtype::f32, {4, 4}, 1), random_array(Dtype::f32, {4, 4}, 2)};
  check_plan(
      [](Vars in) {
        return std::vector<Var>{matmul(transpose(in[0], {0, 1}), in[1])};
      },
      square, "no exchange", Dtype::f32);
}

BOOST_AUTO_TEST_CASE(sums_whose_groups_depend_on_the_number_of_rows_are_whole) {
  const auto f = [](Vars in) {
    return std::vector<Var>{transpose(matmul(in[1], in[0], {.transpose_a = true, .transpose_b = true}))};
  };
  check_plan(f, {random_array(Dtype::f32, {4096, 96}, 1), random_array(Dtype::f32, {96, 64}, 2)}, "wide", Dtype::f32);
}

BOOST_AUTO_TEST_CASE(signs_of_zero_and_denormal_numbers) {
  // Constants of zeros of two signs are neither one number nor equal to each other.
  const Array zeros = Array::of<float>({2}, {0.f, -0.f}), others = Array::of<float>({2}, {-0.f, 0.f});
  const auto f = [&](Vars in) {
    Tape& tape = in[0].tape();
    const Var x = in[0], a = tape.input(zeros), b = tape.input(others), minus = tape.full(Shape{2}, -0.0);
    return std::vector<Var>{x / a,
                            x / b,
                            x / minus,
                            x / tape.full(Shape{2}, 0),
                            x * a,
                            a / x,
                            atan2(a, x),
                            atan2(b, x),
                            1 / (minus + minus),
                            1 / (a + minus),
                            1 / (x * 0 * minus),
                            x * 1};
  };
  const Arrays wanted = eagerly(f, {Array::of<float>({2}, {1, 1})}, Dtype::f32);
  const double infinity = std::numeric_limits<double>::infinity();
  BOOST_TEST(numbers(wanted[0]) == (std::vector<double>{infinity, -infinity}));
  BOOST_TEST(numbers(wanted[1]) == (std::vector<double>{-infinity, infinity}));
  for (const Array& x : {Array::of<float>({2}, {1, 1}), Array::of<float>({2}, {-1, 1e-40f})})
    check_plan(f, {x}, "zeros", Dtype::f32);
}

// No rows, no columns, and products over nothing, through every kind of step.
BOOST_AUTO_TEST_CASE(extents_of_nothing) {
  const auto f = [](Vars in) {
    const Var x = in[0], w = in[1], b = in[2], h = tanh(matmul(x, w) + b);
    std::vector<Var> outputs = grad(sum(square(h)), {x, w, b});
    for (Var y : {matmul(x, w),
                  h,
                  sum(h),
                  sum(h, 0),
                  sum(h, 1),
                  mean(x),
                  cumsum(h, 0),
                  cumsum(h, 1),
                  transpose(h),
                  matmul(h, h, {.transpose_a = true}),
                  matmul(x, h, {.transpose_a = true}),
                  matmul(h, h, {.transpose_b = true}),
                  matmul(matmul(x, w), transpose(w)),
                  concat({h, h * 2}, 1),
                  concat({x, x}, 0),
                  flip(x, {1}),
                  exp(x) * sum(x, 1, {.keepdims = true}),
                  square(b) * 2,
                  slice(x, 0, 0, to_end, 2),
                  reshape(x, {x.size()}),
                  sum(x, 0) * 3,
                  x})
      outputs.push_back(y);
    return outputs;
  };
  for (Index rows : {0, 1, 3, 200})
    for (Index k : {0, 1, 3})
      for (Index n : {0, 1, 2}) {
        if (k == 0 && n == 0 && rows > 3) continue;
        const std::string what = to_string(Shape{rows, k}) + " x " + to_string(Shape{k, n});
        for (Dtype dtype : {Dtype::f32, Dtype::f64})
          check_plan(f,
                     {random_array(dtype, {rows, k}, 1), random_array(dtype, {k, n}, 2), random_array(dtype, {n}, 3)},
                     what, dtype);
      }
}
