// Metrics of a training step: the means of an eager tape, over micro-batches too, and what is refused.
#define BOOST_TEST_MODULE metrics
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <functional>
#include <string>

#include "tests/nn/training.hpp"

using namespace wengert;
using namespace wengert::testing;
using namespace wengert::testing::training;

namespace {

// Metrics of every kind: rows and one number, the tape's dtype and the other one, a parameter, the loss itself, what
// the loss is made of and what has a pass of its own.
nn::Loss looked_at(const nn::Mlp& score, Draw& draw, Index batch) {
  const Var x = draw.normal({batch, 3}), y = score(x), error = y - slice(x, 1, 0, 2);
  const Var loss = mean(square(error));
  const Dtype other = y.dtype() == Dtype::f32 ? Dtype::f64 : Dtype::f32;
  return {loss,
          {{"accuracy", abs(error) < 0.5},
           {"norm", norm(y, 1)},
           {"other", cast(y, other)},
           {"largest", max(abs(error))},
           {"drawn", draw.uniform({2, 3})},
           {"bias", score.parameters()[1].second->on(draw.tape())},
           {"loss", loss},
           {"nothing", draw.tape().full(Shape{0, 2}, 1)}}};
}

using Metrics = std::vector<std::pair<std::string, double>>;

Metrics metrics_of(const nn::TrainStep& step) {
  Metrics result;
  for (const auto& [name, value] : step.metrics()) result.emplace_back(name, value);
  return result;
}

bool same(const Metrics& a, const Metrics& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    return x.first == y.first && (x.second == y.second || (std::isnan(x.second) && std::isnan(y.second)));
  });
}

}  // namespace

BOOST_AUTO_TEST_CASE(metrics_are_the_means_of_an_eager_tape_on_any_number_of_threads) {
  for (Dtype dtype : {Dtype::f32, Dtype::f64})
    for (Index batch : {1, 9, 500}) {
      std::vector<Metrics> wanted;
      Result eager;
      nn::Mlp score = network(dtype, 37);
      nn::Adam adam(score);
      for (std::uint32_t i = 0; i < 3; ++i) {
        Tape tape(dtype);
        Draw draw(tape, seed, i);
        const nn::Loss loss = looked_at(score, draw, batch);
        wanted.emplace_back();
        for (const auto& [name, value] : loss.metrics) wanted.back().emplace_back(name, mean(value).item());
        eager.losses.push_back(adam.step(loss.value));
      }
      keep_parameters(score, eager);
      for (int count : {1, 2, 3, 8}) {
        const Threads guard(count);
        nn::Mlp trained = network(dtype, 37);
        nn::Adam other(trained);
        nn::TrainStep step(other, seed, [&](Draw& draw) { return looked_at(trained, draw, batch); });
        BOOST_TEST(step.metrics().size() == wanted[0].size());
        for (const auto& [name, value] : step.metrics()) BOOST_TEST(std::isnan(value), name);
        Result got;
        for (const Metrics& metrics : wanted) {
          got.losses.push_back(step.run());
          BOOST_TEST(same(metrics_of(step), metrics), name_of(dtype) << ", batch " << batch << ", " << count);
          BOOST_TEST(step.metrics()[6].value == got.losses.back());
        }
        keep_parameters(trained, got);
        BOOST_TEST((got == eager));
      }
    }
}

BOOST_AUTO_TEST_CASE(metrics_are_averaged_over_micro_batches) {
  nn::Mlp score = network(Dtype::f32, 16);
  nn::Sgd sgd(score, {.lr = 0});
  const Type type{Dtype::f32, {4, 3}};
  nn::TrainStep step(sgd, seed, {type}, [&](Draw&, std::span<const Var> in) {
    return nn::Loss{mean(score(in[0])), {{"positive", in[0] > 0}, {"x", in[0]}}};
  });
  std::vector<Array> batches;
  for (std::uint64_t i = 0; i < 4; ++i) batches.push_back(random_array(Dtype::f32, {4, 3}, i));
  std::vector<double> sums(2), before;
  for (const Array& batch : batches) {
    step.run({batch});
    for (std::size_t i = 0; i < 2; ++i) sums[i] += step.metrics()[i].value;
    before.assign({step.metrics()[0].value, step.metrics()[1].value});
  }
  for (std::size_t i = 0; i < 3; ++i) step.accumulate({batches[i]});
  for (std::size_t i = 0; i < 2; ++i) BOOST_TEST(step.metrics()[i].value == before[i]);  // of the last run
  step.run({batches[3]});
  for (std::size_t i = 0; i < 2; ++i) BOOST_TEST(std::abs(step.metrics()[i].value - sums[i] / 4) < 1e-6);
}

BOOST_AUTO_TEST_CASE(a_metric_that_is_not_finite_stops_no_step) {
  nn::Mlp score = network(Dtype::f32, 16);
  nn::Adam adam(score);
  nn::TrainStep step(adam, seed, [&](Draw& draw) {
    const Var loss = loss_of(score, draw, 8);
    return nn::Loss{loss, {{"nan", log(-loss)}, {"infinite", loss / 0}, {"two", draw.tape().full(Shape{3}, 2)}}};
  });
  step.run();
  BOOST_TEST((step.outcome() == nn::StepOutcome::updated));
  BOOST_TEST(adam.updates() == 1);
  BOOST_TEST(nn::explain_nonfinite(step) == "");
  BOOST_TEST(std::isnan(step.metrics()[0].value));
  BOOST_TEST(std::isinf(step.metrics()[1].value));
  BOOST_TEST(step.metrics()[2].value == 2);
}

// As a loss that is not finite, a run that throws is none.
BOOST_AUTO_TEST_CASE(a_run_that_throws_leaves_the_metrics) {
  nn::Mlp score = network(Dtype::f32, 16);
  nn::Adam adam(score);
  const Type type{Dtype::i32, {2}};
  nn::TrainStep step(adam, seed, {type}, [&](Draw& draw, std::span<const Var> in) {
    return nn::Loss{loss_of(score, draw, 8),
                    {{"chosen", index_select(draw.tape().input(Array(Dtype::f32, {4})) + 3, 0, in[0])}}};
  });
  step.run({Array::of<std::int32_t>({2}, {0, 1})});
  const double before = step.metrics()[0].value;
  BOOST_TEST(before == 3);
  BOOST_TEST(contains(error_of([&] { step.run({Array::of<std::int32_t>({2}, {0, 9})}); }), "test_metrics.cpp:"));
  BOOST_TEST(step.metrics()[0].value == before);
}

BOOST_AUTO_TEST_CASE(a_metric_that_is_none_is_refused_at_the_users_line) {
  nn::Mlp score = network(Dtype::f32, 16);
  nn::Adam adam(score);
  Tape other;
  const Var foreign = other.full(Shape{}, 1);
  int line = 0;
  const auto refused = [&](const std::function<nn::Loss(Draw&)>& loss, const std::string& text) {
    const std::string said = error_of([&] { nn::TrainStep(adam, seed, loss); });
    BOOST_TEST(contains(said, text), said);
    BOOST_TEST(contains(said, "(test_metrics.cpp:" + std::to_string(line) + ")"), said);
  };
  const auto with = [&](const std::function<std::vector<nn::Metric>(Var)>& metrics) {
    return [&, metrics](Draw& draw) {
      const Var loss = loss_of(score, draw, 8);
      return nn::Loss{loss, metrics(loss)};
    };
  };
  using List = std::vector<nn::Metric>;
  const auto at = [&](int here, List metrics) {
    line = here;
    return metrics;
  };
  refused(with([&](Var x) { return at(__LINE__, {{"a", x}, {"", x}}); }), "[train_step] metric 1 has no name");
  refused(with([&](Var x) {
            return at(__LINE__, {{"a", x}, {"b", x}, {"a", x}});
          }),
          "[train_step] two metrics have the name a");
  refused(with([&](Var x) {
            return at(__LINE__, {{"sign", cast(x, Dtype::i32)}});
          }),
          "[train_step] the metric sign is to be f32 or f64, got i32 []");
  refused(with([&](Var) { return at(__LINE__, {{"a", 3}}); }), "[train_step] needs a Var, got the number 3");
  refused(with([&](Var) { return at(__LINE__, {{"a", Var()}}); }), "[train_step] this Var belongs to no tape");
  refused(with([&](Var) { return at(__LINE__, {{"a", foreign}}); }), "[train_step] this Var belongs to another tape");
}
