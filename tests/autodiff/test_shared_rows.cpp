// What all rows of a batch share is computed once: values and derivatives stay those of an eager tape but for rounding,
// and a row has the same bits in a batch of any size.
#define BOOST_TEST_MODULE shared_rows
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <random>

#include "autodiff/autodiff.hpp"
#include "autodiff/plan/rows.hpp"
#include "nn/nn.hpp"
#include "tests/autodiff/shared_rows.hpp"

using namespace wengert;
using namespace wengert::testing;

namespace {

// [..., w_0 + w_1 + ...] x [.., n] where some parts vary by row.
struct Parts {
  Dtype dtype;
  Index batch, columns;
  std::vector<Index> widths;
  std::vector<bool> varying;
  bool transposed;
};

Arrays inputs_of(const Parts& parts) {
  Arrays inputs;
  Index inner = 0;
  for (std::size_t i = 0; i < parts.widths.size(); ++i) {
    inputs.push_back(random_array(parts.dtype, {parts.varying[i] ? parts.batch : 1, parts.widths[i]}, 7 + i));
    inner += parts.widths[i];
  }
  const Shape weight = parts.transposed ? Shape{parts.columns, inner} : Shape{inner, parts.columns};
  inputs.push_back(random_array(parts.dtype, weight, 50));
  inputs.push_back(random_array(parts.dtype, {parts.columns}, 51));
  return inputs;
}

Numbers rows_of(const Parts& parts) {
  Numbers rows;
  for (std::size_t i = 0; i < parts.varying.size(); ++i)
    if (parts.varying[i]) rows.push_back(i);
  return rows;
}

// The layer's value, and the gradients of a loss by all that comes in.
PlanFunction layer(const Parts& parts) {
  return [transposed = parts.transposed](Vars in) {
    const std::vector<Operand> operands(in.begin(), in.end() - 2);
    const Var weight = in[in.size() - 2], bias = in.back();
    const Var y = tanh(matmul(concat(operands, -1), weight, {.transpose_b = transposed}) + bias);
    std::vector<Var> out{y};
    for (Var g : grad(mean(square(y)), in)) out.push_back(g);
    return out;
  };
}

Parts random_parts(std::mt19937& random) {
  const auto below = [&](Index n) { return static_cast<Index>(random() % static_cast<std::size_t>(n)); };
  Parts parts{below(2) == 0 ? Dtype::f32 : Dtype::f64, 2 + below(250), 1 + below(40), {}, {}, below(2) == 0};
  for (Index i = 0, n = 2 + below(5); i < n; ++i) {
    parts.widths.push_back(1 + below(9));
    parts.varying.push_back(i == 1 || (i > 1 && below(2) == 0));  // one varies, one does not
  }
  for (std::size_t i = parts.widths.size(); i-- > 1;) {
    const std::size_t j = random() % (i + 1);
    std::swap(parts.widths[i], parts.widths[j]);
    std::vector<bool>::swap(parts.varying[i], parts.varying[j]);
  }
  return parts;
}

const Type x{Dtype::f32, {50, 2}}, thin{Dtype::f32, {2, 32}}, square_weight{Dtype::f32, {32, 32}},
    row{Dtype::f32, {32}};

}  // namespace

BOOST_AUTO_TEST_CASE(parts_in_any_order_and_number) {
  std::mt19937 random(1);
  for (int i = 0; i < (SANITIZED ? 20 : 150); ++i) {
    const Parts parts = random_parts(random);
    const Arrays inputs = inputs_of(parts);
    Plan plan = compile(layer(parts), types_of(inputs), {.rows = rows_of(parts)}, parts.dtype);
    for (int threads : {1, 3}) {
      const Threads guard(threads);
      check_close(run(plan, inputs), eagerly(layer(parts), inputs, parts.dtype), parts.dtype, plan.explain());
    }
  }
}

BOOST_AUTO_TEST_CASE(a_product_for_the_rows_and_one_for_a_single_row) {
  const auto f = [](Vars in) {
    return std::vector<Var>{matmul(concat({in[1], in[0], in[2], in[0], in[0]}, -1), in[3])};
  };
  const Type shared{Dtype::f32, {1, 5}}, weight{Dtype::f32, {16, 7}};
  const plan::Graph graph = apart(f, {x, shared, shared, weight}, {0});
  BOOST_TEST(count(graph, "matmul") == 2);
  BOOST_TEST(count(graph, "slice") == 4);  // of the weight: the runs of rows and of what is shared, two of each
  const plan::Value& sum = graph.nodes[graph.outputs[0]];
  BOOST_TEST(computes(sum, "add"));
  BOOST_TEST(to_string(graph.nodes[sum.operands[0]].type.shape) == "[50, 7]");
  BOOST_TEST(to_string(graph.nodes[sum.operands[1]].type.shape) == "[1, 7]");
}

BOOST_AUTO_TEST_CASE(a_part_that_was_broadcast_before_is_shared_all_the_same) {
  const Index batch = 200;
  const auto layer = [&](const std::function<Var(Var)>& time) {
    return [=](Vars in) {
      const Var y = tanh(matmul(concat({in[0], time(in[1])}, 1), in[2]));
      return std::vector<Var>{y, grad(mean(square(y)), in[2])};
    };
  };
  const auto kernels = [](const Plan& plan) {
    std::vector<std::string> names;
    for (const Plan::StepInfo& step : plan.steps()) names.push_back(step.kernel);
    return names;
  };
  const auto inputs = [&](const Shape& t) {
    return Arrays{random_array(Dtype::f64, {batch, 2}, 1), random_array(Dtype::f64, t, 2),
                  random_array(Dtype::f64, {3, 5}, 3)};
  };
  const auto broadcast = [&](Var t) { return broadcast_to(t, {batch, 1}); };
  const std::vector<Type> types = types_of(inputs({1, 1}));
  const CompileOptions by_rows{.rows = {0}};
  const auto wanted = kernels(compile(layer([](Var t) { return t; }), types, by_rows));
  BOOST_TEST(kernels(compile(layer(broadcast), types, by_rows)) == wanted, boost::test_tools::per_element());
  const auto filled = [&](double number, const Shape& shape) {
    return kernels(compile(layer([=](Var t) { return t.tape().full(shape, number); }), types, by_rows));
  };
  BOOST_TEST(filled(0.5, {batch, 1}) == filled(0.5, {1, 1}), boost::test_tools::per_element());
  for (const Shape& shape : {Shape{1, 1}, Shape{1}, Shape{}}) {
    const Arrays given = inputs(shape);
    Plan plan = compile(layer(broadcast), types_of(given), by_rows);
    check_close(run(plan, given), eagerly(layer(broadcast), given, Dtype::f64), Dtype::f64, to_string(shape));
  }
  // What makes up the rows, or the columns, stays: bits are those of a tape where nothing varies.
  const auto stretched = [](Vars in) {
    return std::vector<Var>{concat({in[0], broadcast_to(in[1], {4, 2})}, 1), concat({broadcast_to(in[1], {4, 2})}, 0)};
  };
  const Arrays few{random_array(Dtype::f64, {1, 2}, 1), random_array(Dtype::f64, {1, 1}, 2)};
  Plan plan = compile(stretched, types_of(few));
  BOOST_TEST(same_bits(run(plan, few), eagerly(stretched, few, Dtype::f64)));
}

BOOST_AUTO_TEST_CASE(without_anything_shared_nothing_changes) {
  std::mt19937 random(2);
  for (int i = 0; i < 20; ++i) {
    Parts parts = random_parts(random);
    parts.varying.assign(parts.varying.size(), true);
    const Arrays inputs = inputs_of(parts);
    Plan plan = compile(layer(parts), types_of(inputs), {.rows = rows_of(parts)}, parts.dtype);
    BOOST_TEST(same_bits(run(plan, inputs), eagerly(layer(parts), inputs, parts.dtype)));
    plan::Graph graph = simplified(graph_of(layer(parts), types_of(inputs), parts.dtype));
    graph.rows = rows_of(parts);
    BOOST_TEST(plan::hoist_batch_invariants(graph).nodes.size() == graph.nodes.size());
  }
}

BOOST_AUTO_TEST_CASE(tangents_with_leading_axes) {
  for (Dtype dtype : {Dtype::f32, Dtype::f64}) {
    const Arrays inputs{random_array(dtype, {3, 40, 2}, 1), random_array(dtype, {40, 2}, 2),
                        random_array(dtype, {1, 1, 4}, 3), random_array(dtype, {6, 5}, 4)};
    const auto f = [](Vars in) {
      const Var stack = in[0] * in[1];  // [3,40,2]
      return std::vector<Var>{matmul(concat({in[2], stack}, -1), in[3]),
                              matmul(concat({broadcast_to(in[2], {3, 1, 4}), reshape(in[1], {1, 40, 2})}, -1), in[3])};
    };
    Plan plan = compile(f, types_of(inputs), {.rows = {1}}, dtype);
    check_close(run(plan, inputs), eagerly(f, inputs, dtype), dtype, plan.explain(), 2);
    BOOST_TEST(count(apart(f, types_of(inputs), {1}), "matmul") == 4);
  }
}

BOOST_AUTO_TEST_CASE(shared_things_are_added_first) {
  const auto f = [](Vars in) {
    const Var p = matmul(in[0], in[1]);
    return std::vector<Var>{in[2] + (in[2] + p) + exp(in[2])};
  };
  const plan::Graph graph = apart(f, {x, thin, row}, {0});
  const plan::Value& sum = graph.nodes[graph.outputs[0]];
  BOOST_TEST(computes(graph.nodes[sum.operands[0]], "matmul"));
  BOOST_TEST(to_string(graph.nodes[sum.operands[1]].type.shape) == "[32]");
  const auto read_twice = [](Vars in) {
    const Var h = matmul(in[0], in[1]) + in[2];
    return std::vector<Var>{h, h + exp(in[2])};
  };
  const plan::Graph kept = apart(read_twice, {x, thin, row}, {0});
  BOOST_TEST(kept.nodes[kept.outputs[1]].operands[0] == kept.outputs[0]);
}

BOOST_AUTO_TEST_CASE(layers_without_an_activation_between_them_become_one_where_it_pays) {
  const auto two = [](Vars in) { return std::vector<Var>{matmul(matmul(in[0], in[1]) + in[3], in[2])}; };
  const auto rows_by = [](const plan::Graph& graph) {  // products of 50 rows
    return std::count_if(graph.nodes.begin(), graph.nodes.end(), [](const plan::Value& value) {
      return computes(value, "matmul") && value.type.shape[-2] == 50;
    });
  };
  BOOST_TEST(rows_by(apart(two, {x, thin, square_weight, row}, {0})) == 1);
  // The rule does not look at the number of rows, but at the weights and at who else reads what is in between.
  BOOST_TEST(count(apart(two, {{Dtype::f32, {1, 2}}, thin, square_weight, row}, {0}), "matmul") == 3);
  const auto kept = [&](Index k, Index n) {
    return rows_by(apart(two, {{Dtype::f32, {50, k}}, {Dtype::f32, {k, n}}, {Dtype::f32, {n, 3}}, {Dtype::f32, {n}}},
                         {0})) == 2;
  };
  BOOST_TEST(!kept(16, 64));
  BOOST_TEST(kept(16, 63));
  BOOST_TEST(kept(17, 100));
  const auto read_twice = [](Vars in) {
    const Var h = matmul(in[0], in[1]);
    return std::vector<Var>{h + 1, matmul(h, in[2])};
  };
  BOOST_TEST(count(apart(read_twice, {x, thin, square_weight}, {0}), "matmul") == 2);
  const auto read_before_the_bias = [](Vars in) {
    const Var h = matmul(in[0], in[1]);
    return std::vector<Var>{exp(h), matmul(h + in[3], in[2])};
  };
  BOOST_TEST(count(apart(read_before_the_bias, {x, thin, square_weight, row}, {0}), "matmul") == 2);
  const auto an_output = [](Vars in) {
    const Var h = matmul(in[0], in[1]);
    return std::vector<Var>{h, matmul(h, in[2])};
  };
  BOOST_TEST(count(apart(an_output, {x, thin, square_weight}, {0}), "matmul") == 2);
  const auto varying = [](Vars in) { return std::vector<Var>{matmul(matmul(in[0], in[1]), in[2] * sum(in[0]))}; };
  BOOST_TEST(count(apart(varying, {x, thin, square_weight}, {0}), "matmul") == 2);
}

BOOST_AUTO_TEST_CASE(layers_become_one_with_weights_of_any_layout) {
  for (Dtype dtype : {Dtype::f32, Dtype::f64})
    for (bool first : {false, true})
      for (bool second : {false, true})
        for (int biases : {0, 1, 2}) {
          // More than 200 columns: a sum over them that was taken for one over rows would be cut into groups.
          const nn::Parameter a(random_array(dtype, first ? Shape{400, 3} : Shape{3, 400}, 1)),
              b(random_array(dtype, second ? Shape{9, 400} : Shape{400, 9}, 2, -0.05, 0.05));
          const auto f = [&](Vars in) {
            Tape& tape = in[0].tape();
            Var h = matmul(in[0], a.on(tape), {.transpose_b = first});
            if (biases > 0) h = h + in[1];
            h = matmul(h, b.on(tape), {.transpose_b = second});
            if (biases > 1) h = in[2] + h;
            return std::vector<Var>{h, vjp(h, sin(h), std::vector<Var>{in[0]})[0]};
          };
          Arrays kept;
          for (Index batch : {1, 100, 500}) {  // for more rows than columns a weight is transposed before
            const Arrays inputs{random_array(dtype, {batch, 3}, 3), random_array(dtype, {400}, 4),
                                random_array(dtype, {1, 9}, 5)};
            Plan plan = compile(f, types_of(inputs), {.rows = {0}}, dtype);
            const std::vector<Product> all = products(plan.explain());
            BOOST_TEST(
                std::count_if(all.begin(), all.end(), [](const Product& of) { return of[1] == 9 && of[2] == 3; }) == 1,
                plan.explain());
            const Arrays got = run(plan, inputs);
            check_close(got, eagerly(f, inputs, dtype), dtype, plan.explain());
            if (batch == 1) kept = got;
            BOOST_TEST(std::memcmp(got[0].raw(), kept[0].raw(), kept[0].type().bytes()) == 0);
          }
        }
}
