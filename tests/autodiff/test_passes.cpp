// The passes of compile(), one by one: what each removes, keeps and leads to.
#define BOOST_TEST_MODULE passes
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <set>

#include "autodiff/autodiff.hpp"
#include "autodiff/plan/forced.hpp"
#include "autodiff/plan/fusion.hpp"
#include "autodiff/plan/memory.hpp"
#include "autodiff/plan/passes.hpp"
#include "tests/autodiff/plans.hpp"

using namespace wengert;
using namespace wengert::testing;
using namespace wengert::plan;

namespace {

const Type batch{Dtype::f32, {200, 3}}, matrix{Dtype::f32, {3, 3}};

}  // namespace

BOOST_AUTO_TEST_CASE(dead_nodes_go_and_inputs_stay) {
  const Graph graph = graph_of(
      [](Vars in) {
        exp(in[0]);
        return std::vector<Var>{sin(in[1])};
      },
      {batch, matrix});
  BOOST_TEST(count(graph, "exp") == 0);
  BOOST_TEST(count(graph, "sin") == 1);
  BOOST_TEST(graph.inputs.size() == 2U);
  BOOST_TEST(eliminate_dead_code(graph).nodes.size() == 3U);
}

BOOST_AUTO_TEST_CASE(constants_are_folded_and_draws_of_the_run_are_not) {
  const Graph graph = fold_constants(graph_of(
      [](Vars in) {
        Draw draw(in[1]);
        const Var c = exp(in[0].tape().full(Shape{3}, 0.5)) * 2;
        return std::vector<Var>{in[0] + c, draw.normal({3})};
      },
      {batch, {Dtype::i32, {4}}}));
  BOOST_TEST(count(graph, "exp") == 0);
  BOOST_TEST(count(graph, "mul") == 0);
  BOOST_TEST(count(graph, "add") == 1);
  BOOST_TEST(count(graph, "draw_normal") == 1);
}

BOOST_AUTO_TEST_CASE(repeats_merge_unless_anything_differs) {
  const auto f = [](Vars in) {
    return std::vector<Var>{sum(exp(in[0]), 0), sum(exp(in[0]), 1), sum(exp(in[0]), 1), in[0] * 0.1, in[0] * 0.1000001};
  };
  const Graph graph = eliminate_common_subexpressions(graph_of(f, {batch}));
  BOOST_TEST(count(graph, "exp") == 1);
  BOOST_TEST(count(graph, "sum") == 2);
  BOOST_TEST(count(graph, "mul") == 2);
  BOOST_TEST(graph.outputs[1] == graph.outputs[2]);
}

BOOST_AUTO_TEST_CASE(what_changes_nothing_is_left_out) {
  const auto f = [](Vars in) {
    const Var x = identity(stop_gradient(reshape(in[0], {200, 3})));
    return std::vector<Var>{x + broadcast_to(sum(x, 0), {200, 3}), matmul(transpose(in[1]), in[1])};
  };
  const Graph graph = eliminate_dead_code(simplify(fold_constants(graph_of(f, {batch, matrix}))));
  for (const char* gone : {"identity", "stop_gradient", "reshape", "broadcast_to", "transpose"})
    BOOST_TEST(count(graph, gone) == 0, gone);
  BOOST_TEST(count(graph, "add") == 1);
  const auto product = std::find_if(graph.nodes.begin(), graph.nodes.end(),
                                    [](const plan::Value& value) { return computes(value, "matmul"); });
  BOOST_TEST(product->attributes.integers[0] == 1);
}

BOOST_AUTO_TEST_CASE(a_stretched_operand_that_makes_up_the_shape_stays) {
  const auto f = [](Vars in) { return std::vector<Var>{exp(broadcast_to(in[0], {4, 3}))}; };
  BOOST_TEST(count(eliminate_dead_code(simplify(graph_of(f, {{Dtype::f32, {3}}}))), "broadcast_to") == 1);
}

BOOST_AUTO_TEST_CASE(rows_sums_over_rows_and_the_rest) {
  const auto f = [](Vars in) {
    const Var h = tanh(matmul(in[0], in[1]));
    const Var loss = mean(square(h)), scaled = h / loss;
    return std::vector<Var>{grad(loss, in[1]), sum(scaled, 1), cumsum(scaled, 0)};
  };
  const Graph graph = eliminate_dead_code(simplify(fold_constants(graph_of(f, {batch, matrix}))));
  const RowPlan rows = find_rows(graph);
  BOOST_TEST(rows.extent == 200);
  const auto part_of = [&](const std::string& name) {
    for (Id id = 0; id < graph.nodes.size(); ++id)
      if (computes(graph.nodes[id], name)) return std::pair(rows.part[id], rows.stage[id]);
    throw Error(name);
  };
  BOOST_TEST((part_of("tanh") == std::pair(Part::rows, 0)));
  BOOST_TEST((part_of("cumsum").first == Part::whole));  // it mixes rows
  BOOST_TEST((part_of("div").second == 1));              // after the loss
  int reductions = 0;
  for (Part part : rows.part) reductions += part == Part::reduction ? 1 : 0;
  BOOST_TEST(reductions == 2);  // the loss and the weight's gradient
  BOOST_TEST(find_rows(graph, false).extent == 0);
}

BOOST_AUTO_TEST_CASE(what_a_checkpoint_computes_again_stays_apart_until_the_end) {
  const auto f = [](Vars in) {
    const Var y = checkpoint([](Var x) { return sin(cos(x)); }, in[0]);
    return std::vector<Var>{y, grad(sum(y), in[0])};
  };
  const auto cosines = [](const Graph& graph) { return count(graph, "cos"); };
  const Graph merged = eliminate_dead_code(eliminate_common_subexpressions(simplify(graph_of(f, {batch}))));
  const Graph open = remove_barriers(merged);
  BOOST_TEST(cosines(merged) >= 2);  // forward, and again
  BOOST_TEST(cosines(open) == cosines(merged));
  BOOST_TEST(eliminate_dead_code(open).nodes.size() < merged.nodes.size());
}

BOOST_AUTO_TEST_CASE(chains_form_after_products_and_never_around_a_third) {
  const auto f = [](Vars in) {
    const Var h = tanh(matmul(in[0], in[1]) + 1);
    // sum(h) is needed by the next op of h's shape: they cannot go through memory together.
    return std::vector<Var>{h * sum(h, 1, {.keepdims = true}) + 2};
  };
  const Graph graph = eliminate_dead_code(simplify(fold_constants(graph_of(f, {batch, matrix}))));
  const std::vector<FusionGroup> groups = fusion_groups(graph, find_rows(graph));
  BOOST_REQUIRE(groups.size() == 3U);
  BOOST_TEST(groups[0].product);
  BOOST_TEST(groups[0].members.size() == 3U);  // matmul, add, tanh
  BOOST_TEST(!groups[1].elementwise);          // the sum
  BOOST_TEST(groups[2].members.size() == 2U);  // mul, add
  BOOST_TEST(fusion_groups(graph, find_rows(graph), false).size() == 6U);
}

BOOST_AUTO_TEST_CASE(graphs_are_the_same_by_bits_of_what_outputs_need) {
  const auto filled = [](double with) {
    return [with](Vars in) {
      exp(in[0]);
      return std::vector<Var>{in[0] * in[0].tape().full(Shape{3}, with)};
    };
  };
  const double nan = special_values::nan;
  BOOST_TEST(same(graph_of(filled(nan), {batch}), graph_of(filled(nan), {batch})));
  BOOST_TEST(!same(graph_of(filled(0.0), {batch}), graph_of(filled(-0.0), {batch})));
  const auto dead = [&](Vars in) { return std::vector<Var>{in[0] * in[0].tape().full(Shape{3}, nan)}; };
  BOOST_TEST(same(graph_of(filled(nan), {batch}), graph_of(dead, {batch})));
}

BOOST_AUTO_TEST_CASE(memory_is_shared_by_what_never_lives_together) {
  std::vector<plan::Span> spans{{100, 0, 1}, {100, 2, 3}, {60, 1, 2}, {1000, 4, 5}};
  const std::size_t bytes = pack(spans);
  BOOST_TEST(bytes == 1024U);
  BOOST_TEST(spans[0].offset == spans[1].offset);
  BOOST_TEST(spans[2].offset == 128U);
}

// A reshape, or a run of elements, lies where its operand does: it has no step, and its operand lives as long as it.
BOOST_AUTO_TEST_CASE(views_of_values_take_no_step) {
  const auto steps = [](const Plan& plan, const std::string& name) {
    const auto all = plan.steps();
    return std::count_if(all.begin(), all.end(),
                         [&](const Plan::StepInfo& step) { return step.kernel.find(name) != std::string::npos; });
  };
  // Reads views at last, when the memory of all that nobody else needs has gone to others.
  const auto late = [](Var x, const std::vector<Var>& views) {
    for (int i = 0; i < 6; ++i) x = cumsum(tanh(x), 0);
    Var total = sum(x);
    for (Var view : views) total = total + sum(cumsum(view, -1) * view);
    return std::vector<Var>{total};
  };
  const auto whole = [&](Vars in) {
    const Var x = in[0], y = cumsum(x, 0), rows = slice(y, 0, 3, 40), again = slice(rows, 0, 5, 9);
    return late(x, {rows, again, reshape(again, {2, 2, 5}), reshape(x, {320}), slice(x, 0, 60, 61),
                    slice(reshape(y, {320}), 0, 7, 300), slice(y[63], 0, 2, 3, 7), reshape(in[1], {1, 4}) * 2});
  };
  const auto strided = [&](Vars in) {  // no runs of elements
    return late(in[0], {slice(in[0], 1, 1, 3), slice(in[0], 0, 0, 64, 3), transpose(in[0])});
  };
  const auto by_rows = [&](Vars in) {
    const Var y = softmax(in[0], 1), split = reshape(y, {64, 1, 5}), z = softmax(softmax(in[0] * 2, 1) + 1, 1);
    return std::vector<Var>{cumsum(z, 1) * y, cumsum(split, -1) * reshape(z, {64, 1, 5}), reshape(z, {64, 5, 1})};
  };
  const Arrays inputs{random_array(Dtype::f64, {64, 5}, 1), random_array(Dtype::f64, {4}, 2)};
  const struct {
    PlanFunction f;
    std::ptrdiff_t slices, reshapes;
  } cases[] = {{whole, 0, 0}, {strided, 2, 0}, {by_rows, 0, 1}};  // an output is no view
  for (const auto& [f, slices, reshapes] : cases) {
    const Arrays wanted = eagerly(f, inputs, Dtype::f64);
    for (const CompileOptions& options :
         {CompileOptions{}, {.split_rows = false}, {.rewrites = false}, {.rows = {0}}}) {
      Plan plan = compile(f, types_of(inputs), options);
      for (int again = 0; again < 2; ++again) BOOST_TEST(same_bits(run(plan, inputs), wanted), plan.explain());
      if (!options.rewrites) continue;
      BOOST_TEST(steps(plan, "slice") == slices, plan.explain());
      BOOST_TEST(steps(plan, "reshape") == reshapes, plan.explain());
    }
  }
}

// The step of a part writes it to where it belongs, unless others need it elsewhere or the whole would live too long.
BOOST_AUTO_TEST_CASE(parts_of_a_concat_are_written_to_their_places) {
  const plan::Force as_steps(plan::Way::steps_alone);
  const Arrays inputs{random_array(Dtype::f64, {6, 5}, 1), random_array(Dtype::f64, {5, 5}, 2)};
  const auto late = [](Var x) { return sum(cumsum(x, 0) * x); };  // reads it when all else has been written
  const struct {
    const char* name;
    std::function<Var(Vars)> f;
    bool copies;  // whether a step of the concat is left
  } cases[] = {
      {"elementwise, products, sums",
       [](Vars in) {
         return concat({matmul(in[0], in[1]), cumsum(in[1], 0), tanh(in[1]) * 2, sum(in[0], 0, {.keepdims = true})}, 0);
       },
       false},
      {"another concat",
       [](Vars in) {
         const Var inner = concat({cumsum(in[1], 0), exp(in[0])}, 0);
         return concat({inner, sum(in[0], 0, {.keepdims = true})}, 0);
       },
       false},
      {"reshaped, as stacks are",
       [](Vars in) {
         return stack({reshape(cumsum(in[1], 0), {25}), reshape(tanh(in[1]), {25})}, 0);
       },
       false},
      {"reshaped for others as well",
       [late](Vars in) {
         const Var part = exp(in[1]);
         return stack({reshape(part, {25}), reshape(tanh(in[1]), {25})}, 0) * late(part);
       },
       false},
      {"with leading axes of 1",
       [](Vars in) {
         return concat({reshape(cumsum(in[0], 0), {1, 6, 5}) * 2, reshape(cumsum(in[1], 0), {1, 5, 5}) * 3}, 1);
       },
       false},
      {"a part of two",
       [](Vars in) {
         const Var part = exp(in[0]), first = concat({part, tanh(in[0])}, 0);
         return concat({first, concat({sin(in[0]), part}, 0)}, 0);
       },
       true},
      {"a part of which others read parts",
       [](Vars in) {
         const Var part = cumsum(in[0], 0);
         return concat({tanh(in[0]), part}, 0) * sum(cumsum(slice(part, 0, 2, 5), 0)) * sum(cumsum(part, 0));
       },
       false},
      {"an input",
       [](Vars in) {
         return concat({exp(in[1]), in[0]}, 0);
       },
       true},
      {"a part twice",
       [](Vars in) {
         const Var part = exp(in[0]);
         return concat({part, tanh(in[0]), part}, 0);
       },
       true},
      {"a part that is broadcast",
       [](Vars in) {
         return concat({exp(sum(in[0], 1, {.keepdims = true})), tanh(in[1])}, 0);
       },
       true},
      {"a part that others read",
       [late](Vars in) {
         const Var part = exp(in[0]);
         return concat({part, tanh(in[1])}, 0) * late(part);
       },
       false},
      {"along the last axis",
       [](Vars in) {
         return concat({exp(in[0]), tanh(in[0])}, 1);
       },
       true},
      {"a small part long before a large one",
       [](Vars in) {
         const Var first = sum(exp(in[0]), {0, 1}, {.keepdims = true});
         Var x = in[1];
         for (int i = 0; i < 8; ++i) x = cumsum(sin(x), 0);
         return concat({first, reshape(x, {25, 1}) * 2}, 0);
       },
       true},
  };
  for (const auto& each : cases) {
    const PlanFunction inside = [&](Vars in) { return std::vector<Var>{late(each.f(in))}; };
    const PlanFunction outside = [&](Vars in) {
      const Var y = each.f(in);
      return std::vector<Var>{y, y, late(y), grad(late(y), in[0])};
    };
    for (const PlanFunction& f : {inside, outside}) {
      Plan plan = compile(f, types_of(inputs), {.split_rows = false});
      for (int again = 0; again < 2; ++again)
        BOOST_TEST(same_bits(run(plan, inputs), eagerly(f, inputs, Dtype::f64)), each.name << plan.explain());
    }
    const Plan plan = compile(inside, types_of(inputs), {.split_rows = false});
    const bool copies = std::ranges::any_of(
        plan.steps(), [](const Plan::StepInfo& step) { return step.kernel.find("concat") != std::string::npos; });
    BOOST_TEST(copies == each.copies, each.name << plan.explain());
  }
}

// `count` spans at random: no two that live together overlap, and the total is near the most that lives at one step.
void check_packing(std::size_t count) {
  std::mt19937 random(1);
  std::vector<plan::Span> spans;
  std::vector<std::size_t> alive(count, 0);  // bytes at each step
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t first = random() % (count / 4);
    spans.push_back({random() % 500, first, first + random() % 20});
    for (std::size_t step = first; step <= spans[i].last; ++step) alive[step] += (spans[i].bytes + 63) / 64 * 64;
  }
  const std::size_t total = pack(spans), least = *std::max_element(alive.begin(), alive.end());
  BOOST_TEST(total >= least);
  BOOST_TEST(total <= least + least / 4);
  std::size_t overlaps = 0, beyond = 0, unaligned = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const plan::Span& a = spans[i];
    unaligned += a.offset % 64 != 0;
    beyond += a.offset + a.bytes > total;
    for (std::size_t j = 0; j < i; ++j) {
      const plan::Span& b = spans[j];
      overlaps +=
          a.first <= b.last && b.first <= a.last && a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes;
    }
  }
  BOOST_TEST(overlaps == 0U);
  BOOST_TEST(beyond == 0U);
  BOOST_TEST(unaligned == 0U);
}

BOOST_AUTO_TEST_CASE(memory_that_lives_together_does_not_overlap) {
  check_packing(200);   // by size
  check_packing(6000);  // by time
}

// Of a list that is packed by time: gaps are one whichever of them comes first.
BOOST_AUTO_TEST_CASE(gaps_beside_each_other_are_one) {
  constexpr std::size_t count = 5000;
  for (const bool ascending : {false, true}) {
    std::vector<plan::Span> spans;
    for (std::size_t i = 0; i < count; ++i) spans.push_back({64, 0, ascending ? i : count - i});
    spans.push_back({64 * (count + 1), count + 1, count + 1});  // the end grows by what the last gap lacks
    BOOST_TEST(pack(spans) == 64 * (count + 1));
  }
}

BOOST_AUTO_TEST_CASE(a_plan_says_what_it_does) {
  const auto f = [](Vars in) {
    const Var loss = mean(square(tanh(matmul(in[0], in[1]))));
    return std::vector<Var>{grad(loss, in[1])};
  };
  Plan plan = compile(f, {batch, matrix});
  const std::string text = plan.explain();
  for (const char* part : {"recorded", "common subexpressions", "rows of the batch: 200", "product 100x3x3, then",
                           "product over rows 3x3x100", "tree of 2 partial sums", "2 ranges of 100"})
    BOOST_TEST(contains(text, part), text);
  std::set<std::string> changed;
  for (const Plan::PassInfo& pass : plan.passes())
    if (pass.changed) changed.insert(pass.name);
  BOOST_TEST(changed.count("simplified") == 1U);  // the shape that a mean's gradient was broadcast to
  BOOST_TEST(changed.count("barriers removed") == 0U);
  const std::vector<Plan::StepInfo> steps = plan.steps();
  const auto fused = std::find_if(steps.begin(), steps.end(), [](const Plan::StepInfo& step) {
    return step.part == Plan::StepInfo::Part::range && step.ops > 2;
  });
  BOOST_REQUIRE((fused != steps.end()));
  BOOST_TEST(contains(fused->kernel, "product 100x3x3, then"));
  const std::string profile =
      plan.profile({random_array(Dtype::f32, {200, 3}, 1), random_array(Dtype::f32, {3, 3}, 2)});
  BOOST_TEST(contains(profile, "ms a run on one thread"));
  BOOST_TEST(contains(profile, "product over rows 3x3x100"));
}
