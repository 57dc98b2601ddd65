// Loops whose steps several threads run together: the bits of one thread, in plans and on tapes, for every op; what an
// error leaves.
// The thread sanitizer runs this file.
#define BOOST_TEST_MODULE loop_threads
#include <boost/test/unit_test.hpp>

#include <array>
#include <random>
#include <thread>

#include "autodiff/autodiff.hpp"
#include "autodiff/plan/forced.hpp"
#include "autodiff/testing/check_parts.hpp"
#include "tests/autodiff/helpers.hpp"
#include "tests/autodiff/plans.hpp"

using namespace wengert;
using namespace wengert::testing;

namespace {

Arrays on_one_thread(const PlanFunction& f, const Arrays& given) {
  const Threads alone(1);
  return eagerly(f, given, Dtype::f32);
}

// Threads share every step of a body, whatever it takes; again in a second run, where values of the first lie about.
void expect_in_a_plan(const PlanFunction& f, const Arrays& given, const Arrays& wanted, int threads,
                      const std::string& what = "") {
  const plan::Force every(plan::Way::shared_steps);
  const Threads team(threads);
  Plan plan = compile(f, types_of(given));
  for (int time = 0; time < 2; ++time)
    BOOST_TEST(same_bits(run(plan, given), wanted), what << " on " << threads << " threads");
}

void expect_the_bits_of_one_thread(const PlanFunction& f, const Arrays& given) {
  const Arrays wanted = on_one_thread(f, given);
  for (int count : {2, 3}) {
    expect_in_a_plan(f, given, wanted, count);
    const plan::Force every(plan::Way::shared_steps);
    const Threads team(count);
    BOOST_TEST(same_bits(eagerly(f, given, Dtype::f32), wanted));
  }
}

// A layer with rows, of which a body makes ranges; products and sums over rows.
const Arrays layer{random_array(Dtype::f32, {400, 16}, 1), random_array(Dtype::f32, {16, 16}, 2, -0.3, 0.3),
                   random_array(Dtype::f32, {3, 1, 16}, 3)};

Var halved(Var x, Var w) {
  return while_loop([](Var at) { return mean(square(at)) > 0.01; }, [&](Var at) { return at * 0.5 * cos(w); }, x);
}

// An example of an op in the steps of a scan, of xs and of what the step captured, and its gradients: of 200 at once,
// which are rows for the threads to share, unless the op takes them one by one.
class InSteps {
 public:
  InSteps(const Op& op, const Example& example)
      : op_(op), example_(example), many_(nodes_of(2) == nodes_of(3)), count_(many_ ? 200 : 1) {}

  Arrays inputs() const {
    Arrays all;
    std::mt19937_64 random{3};
    for (const Sample& sample : example_.inputs) {
      Array several(sample.dtype.value_or(Dtype::f32), sample.shape.prepended(count_));
      for (Index i = 0; i < several.size();) {
        const Array one = draw(sample, Dtype::f32, random);
        for (Index j = 0; j < one.size(); ++j) several.set(i++, one.at(j));
      }
      all.push_back(several);
    }
    return all;
  }
  bool shared() const { return many_; }

  std::vector<Var> operator()(Vars in) const {
    std::vector<Var> xs, floats;
    for (Var x : in) {
      xs.push_back(stack({x, x}, 0));
      if (is_float(x.dtype())) floats.push_back(x);
    }
    const auto step = [&](std::vector<Var> none, std::vector<Var> x) {
      return std::pair(none, std::array{call(x), call(in)});
    };
    const auto ys = scan(step, std::vector<Var>{}, xs).ys;
    std::vector<Var> results(ys.begin(), ys.end());
    if (floats.empty() || op_.linearity() == Linearity::none || op_.is_detached() || !is_float(ys[0].dtype()))
      return results;
    for (Var y : ys)
      for (Var g : grad(sum(y), floats)) results.push_back(g);
    return results;
  }

 private:
  Var once(Vars in) const {
    return in[0].tape().record(op_, std::vector<Operand>(in.begin(), in.end()), example_.attributes, Where::current());
  }
  Var call(Vars in) const {
    if (many_) return vmap([&](Vars slices) { return once(slices); }, in);
    std::vector<Var> slices;
    for (Var x : in) slices.push_back(x[0]);
    return once(slices);
  }
  std::uint32_t nodes_of(Index slices) const {
    Tape tape(Dtype::f32, Tape::Mode::symbolic);
    std::vector<Var> xs;
    for (const Sample& sample : example_.inputs)
      xs.push_back(tape.input(Type{sample.dtype.value_or(Dtype::f32), sample.shape.prepended(slices)}));
    vmap([&](Vars one) { return once(one); }, xs);
    return tape.size();
  }

  const Op& op_;
  const Example& example_;
  bool many_;
  Index count_;
};

}  // namespace

BOOST_AUTO_TEST_CASE(a_scan_and_its_gradients) {
  const auto f = [](Vars in) {
    const auto [last, ys] = scan(
        [&](Var h, Var x) {
          const Var next = tanh(matmul(h, in[1]) + x);
          return std::pair(next, mean(next));
        },
        in[0], in[2], {.checkpoints = 2});
    const Var loss = mean(square(last)) + sum(ys);
    return std::vector<Var>{last, ys, grad(loss, in[1]), grad(loss, in[0])};
  };
  expect_the_bits_of_one_thread(f, layer);
}

BOOST_AUTO_TEST_CASE(a_while_loop_and_its_tangents) {
  const auto f = [](Vars in) {
    const auto last = [w = in[2][0]](Var x) { return halved(x, w); };
    const auto [y, tangent] = jvp(last, in[0], in[0]);
    return std::vector<Var>{y, tangent};
  };
  expect_the_bits_of_one_thread(f, layer);
}

BOOST_AUTO_TEST_CASE(loops_within_loops) {
  const auto scans = [](Vars in) {
    const auto inner = [&](Var h, Var x) { return scan([&](Var g) { return sin(matmul(g, in[1]) + x); }, h, 2); };
    const auto [last, ys] = scan([&](Var h, Var x) { return std::pair(inner(h, x), sum(h, {0})); }, in[0], in[2]);
    const Var loss = sum(square(last)) + sum(ys);
    return std::vector<Var>{last, grad(loss, in[1])};
  };
  expect_the_bits_of_one_thread(scans, layer);
  const auto whiles = [](Vars in) {
    return std::vector<Var>{scan([&](Var h, Var x) { return halved(matmul(h, in[1]) + x, x) + h; }, in[0], in[2])};
  };
  expect_the_bits_of_one_thread(whiles, layer);
}

BOOST_AUTO_TEST_CASE(an_error_in_a_step_says_where_and_leaves_the_plan_whole) {
  const auto f = [](Vars in) {
    const auto step = [&](Var h, Var rows) { return tanh(h + sum(index_select(in[0], 0, rows), {0})); };
    return std::vector<Var>{scan(step, in[0], in[1])};
  };
  const plan::Force every(plan::Way::shared_steps);
  Array rows(Dtype::i32, {3, 100}), wrong = rows;
  wrong.set(150, 400);
  Plan plan = compile(f, {layer[0].type(), rows.type()});
  const Array wanted = plan.run({layer[0], rows})[0];
  for (int count : {1, 2, 3}) {
    const Threads team(count);
    for (const std::string& text : {error_of([&] {
                                      plan.run({layer[0], wrong});
                                    }),
                                    error_of([&] {
                                      eagerly(f, {layer[0], wrong}, Dtype::f32);
                                    })})
      BOOST_TEST((contains(text, "[scan] [") && contains(text, "index 400 is out of range")), text);
    BOOST_TEST(same_bits(plan.run({layer[0], rows})[0], wanted));
    BOOST_TEST(same_bits(eagerly(f, {layer[0], rows}, Dtype::f32)[0], wanted));
  }
}

// The team serves one of them at a time; the other is on its own.
BOOST_AUTO_TEST_CASE(two_threads_run_loops) {
  const plan::Force every(plan::Way::shared_steps);
  const Threads team(2);
  const auto f = [](Vars in) {
    return std::vector<Var>{scan([&](Var h, Var x) { return tanh(matmul(h, in[1]) + x); }, in[0], in[2])};
  };
  Plan a = compile(f, types_of(layer)), b = compile(f, types_of(layer));
  const Arrays wanted = run(a, layer);
  bool good = true;
  std::thread other([&] {
    for (int i = 0; i < 10; ++i) good = good && same_bits(run(b, layer), wanted);
  });
  for (int i = 0; i < 10; ++i) BOOST_TEST(same_bits(run(a, layer), wanted));
  other.join();
  BOOST_TEST(good);
}

BOOST_AUTO_TEST_CASE(every_op_in_a_step) {
  int shared = 0;
  for (const Op* op : registry()) {
    if (op->is_leaf()) continue;
    for (const Example& example : op->examples()) {
      if (example.inputs.empty()) continue;
      const InSteps f(*op, example);
      shared += f.shared();
      const Arrays given = f.inputs();
      expect_in_a_plan(f, given, on_one_thread(f, given), 3, op->name());
    }
  }
  BOOST_TEST(shared > 200);
}
