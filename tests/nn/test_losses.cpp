// Losses: values and gradients of PyTorch 2.13, differences, logits of any size, refusals.
#define BOOST_TEST_MODULE losses
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <functional>
#include <limits>

#include "autodiff/autodiff.hpp"
#include "autodiff/testing/check.hpp"
#include "nn/losses.hpp"
#include "tests/autodiff/helpers.hpp"

using namespace wengert;
using namespace wengert::testing;
using nn::Reduction;

namespace {

using Numbers = std::vector<double>;
constexpr double infinity = std::numeric_limits<double>::infinity();

Array matrix(const Numbers& values) {
  return Array::of<double>({static_cast<Index>(values.size()) / 3, 3}, std::span<const double>(values));
}
Array classes(const std::vector<std::int32_t>& values) {
  return Array::of<std::int32_t>({static_cast<Index>(values.size())}, std::span<const std::int32_t>(values));
}

const Array logits = matrix({1.5, -0.3, 2, 0.1, 0.4, -1.2, -2.5, 3, 0.7, 0, 0.2, -0.1});
const Array answers = matrix({0, 1, 0.3, 1, 0, 0.5, 0.9, 0.1, 1, 0, 1, 0});
const Array chances = matrix({0.2, 0.3, 0.5, 1, 0, 0, 0.1, 0.8, 0.1, 0.25, 0.25, 0.5});

void check_numbers(const Numbers& got, const Numbers& wanted, double tolerance, const std::string& what) {
  BOOST_REQUIRE_EQUAL(got.size(), wanted.size());
  for (std::size_t i = 0; i < got.size(); ++i)
    BOOST_CHECK_MESSAGE(std::abs(got[i] - wanted[i]) <= tolerance * std::max(1.0, std::abs(wanted[i])),
                        what << " at " << i << ": got " << got[i] << ", wanted " << wanted[i]);
}

struct Case {
  std::string name;
  std::function<Var(Var x, Tape& tape)> loss;
  Numbers values, gradient;  // of their sum
};

Var on(Tape& tape, const Array& values) {
  return tape.input(values.dtype() == Dtype::i32 ? values : values.cast(tape.dtype()));
}

const std::vector<Case>& cases() {
  static const std::vector<Case> all{
      {"cross_entropy",
       [](Var x, Tape& t) {
         return nn::cross_entropy(x, on(t, classes({2, 0, 1, 1})), {.reduction = Reduction::none});
       },
       {0.534614122462456, 0.9640863447308765, 0.09925295607401276, 0.93983106084446},
       {0.35536348125636136, 0.05874118836622916, -0.4141046696225906, -0.6186685538884322, 0.5147436111393937,
        0.1039249427490385, 0.00370062721521041, -0.0944863761206044, 0.09078574890539401, 0.3198730563359197,
        -0.6093061667301842, 0.2894331103942646}},
      {"cross_entropy, smoothed, one ignored",
       [](Var x, Tape& t) {
         return nn::cross_entropy(x, on(t, classes({2, -100, 1, 0})), {.label_smoothing = 0.1});
       },
       {0.7078993797936429},
       {0.10734338264100933, 0.00846928501096527, -0.11581266765197466, 0, 0, 0, -0.00987756870604098,
        -0.00927323648464588, 0.01915080519068689, -0.20448675899913787, 0.11912016664549414, 0.08536659235364377}},
      {"cross_entropy, smoothed, sum",
       [](Var x, Tape& t) {
         return nn::cross_entropy(x, on(t, classes({2, 0, 1, 1})),
                                  {.label_smoothing = 0.3, .reduction = Reduction::sum});
       },
       {3.7477844841118046},
       {0.2553634812563613, -0.04125881163377084, -0.21410466962259062, -0.41866855388843227, 0.4147436111393937,
        0.0039249427490385, -0.09629937278478959, 0.10551362387939557, -0.00921425109460599, 0.2198730563359197,
        -0.4093061667301843, 0.18943311039426458}},
      {"cross_entropy with probabilities",
       [](Var x, Tape& t) { return nn::cross_entropy(x, on(t, chances)); },
       {1.0769461210279512},
       {0.03884087031409034, -0.06031470290844271, 0.02147383259435234, -0.15466713847210806, 0.12868590278484843,
        0.02598123568725963, -0.0240748431961974, 0.02637840596984889, -0.0023035627736515, 0.01746826408397993,
        0.03517345831745393, -0.05264172240143385}},
      {"cross_entropy with probabilities, smoothed, sum",
       [](Var x, Tape& t) {
         return nn::cross_entropy(x, on(t, chances), {.label_smoothing = 0.2, .reduction = Reduction::sum});
       },
       {4.760451150778471},
       {0.12869681458969467, -0.24792547830043749, 0.1192286637107427, -0.485335220555099, 0.44807694447272706,
        0.03725827608237184, -0.14296603945145625, 0.19884695721272902, -0.05588091776127264, 0.05320638966925306,
        0.12402716660314905, -0.17723355627240206}},
      {"binary_cross_entropy_with_logits",
       [](Var x, Tape& t) {
         return nn::binary_cross_entropy_with_logits(x, on(t, answers), {.reduction = Reduction::none});
       },
       {1.7014132779827524, 0.8543552444685272, 1.5269280110429724, 0.6443966600735709, 0.9130152523999526,
        0.8632824673380312, 2.3288897342925496, 2.7485873515737422, 0.4031860488854579, 0.6931471805599453,
        0.5981388693815918, 0.6443966600735709},
       {0.8175744761936437, -0.5744425168116589, 0.5807970779778824, -0.47502081252106, 0.598687660112452,
        -0.26852478349901765, -0.8241418199787565, 0.8525741268224334, -0.33181222783183384, 0.5, -0.45016600268752205,
        0.47502081252106}},
      {"binary_cross_entropy_with_logits, pos_weight",
       [](Var x, Tape& t) {
         const Var weight = t.input(Array::of<double>({3}, {2, 0.5, 3}).cast(t.dtype()));
         return nn::binary_cross_entropy_with_logits(x, on(t, answers), {.pos_weight = weight});
       },
       {1.5418557605200427},
       {0.0681312063494703, -0.02393510486715246, 0.04243961039705096, -0.07917013542017666, 0.04989063834270433,
        -0.08642079724983627, -0.13798912149663645, 0.07124545170677597, -0.08295305695795847, 0.04166666666666666,
        -0.01875691677864675, 0.03958506771008833}},
      {"mse_loss",
       [](Var x, Tape& t) { return nn::mse_loss(x, on(t, answers)); },
       {2.6166666666666667},
       {0.25, -0.21666666666666667, 0.2833333333333333, -0.15, 0.06666666666666667, -0.2833333333333333,
        -0.5666666666666667, 0.4833333333333333, -0.05, 0, -0.13333333333333333, -0.01666666666666667}},
      {"l1_loss",
       [](Var x, Tape& t) { return nn::l1_loss(x, on(t, answers), {.reduction = Reduction::sum}); },
       {15},
       {1, -1, 1, -1, 1, -1, -1, 1, -1, 0, -1, -1}},
      {"huber_loss",
       [](Var x, Tape& t) { return nn::huber_loss(x, on(t, answers), {.delta = 0.6, .reduction = Reduction::none}); },
       {0.72, 0.6, 0.84, 0.36, 0.08, 0.84, 1.86, 1.56, 0.045, 0, 0.3, 0.005},
       {0.6, -0.6, 0.6, -0.6, 0.4, -0.6, -0.6, 0.6, -0.3, 0, -0.6, -0.1}},
      {"huber_loss, mean",
       [](Var x, Tape& t) { return nn::huber_loss(x, on(t, answers), {.delta = 0.6}); },
       {0.6008333333333333},
       {0.05, -0.05, 0.05, -0.05, 0.03333333333333333, -0.05, -0.05, 0.05, -0.025, 0, -0.05, -0.00833333333333333}},
      {"smooth_l1_loss",
       [](Var x, Tape& t) { return nn::smooth_l1_loss(x, on(t, answers), {.beta = 0.5}); },
       {1.038333333333333},
       {0.08333333333333333, -0.08333333333333333, 0.08333333333333333, -0.08333333333333333, 0.06666666666666667,
        -0.08333333333333333, -0.08333333333333333, 0.08333333333333333, -0.05, 0, -0.08333333333333333,
        -0.01666666666666667}},
      {"smooth_l1_loss, sum",
       [](Var x, Tape& t) { return nn::smooth_l1_loss(x, on(t, answers), {.reduction = Reduction::sum}); },
       {10.355},
       {1, -1, 1, -0.9, 0.4, -1, -1, 1, -0.3, 0, -0.8, -0.1}},
  };
  return all;
}

}  // namespace

BOOST_AUTO_TEST_CASE(values_and_gradients_are_pytorchs) {
  for (const Dtype dtype : {Dtype::f32, Dtype::f64})
    for (const Case& one : cases()) {
      Tape tape(dtype);
      const Var x = on(tape, logits), loss = one.loss(x, tape);
      const double tolerance = dtype == Dtype::f32 ? 1e-6 : 1e-14;
      BOOST_TEST((loss.dtype() == dtype));
      check_numbers(numbers(loss), one.values, tolerance, one.name);
      check_numbers(numbers(grad(sum(loss), x)), one.gradient, tolerance, one.name + ", gradient");
    }
}

BOOST_AUTO_TEST_CASE(derivatives_by_predictions_and_targets) {
  // Away from the bends of l1_loss and huber_loss.
  const Array x = matrix({1.5, -0.3, 2.2, 0.15, 0.4, -1.2}), t = matrix({0.2, 0.9, 0.3, 0.8, 0.3, 0.5});
  const auto check = [&](const char* name, const std::function<Var(Var, Var)>& f) {
    for (const std::string& failure :
         check_grads([&](std::span<const Var> in) { return f(in[0], in[1]); }, {x, t}, {.order = 3}).failures)
      BOOST_ERROR(name << ": " << failure);
  };
  check("mse_loss", [](Var a, Var b) { return nn::mse_loss(a, b, {.reduction = Reduction::none}); });
  check("l1_loss", [](Var a, Var b) { return nn::l1_loss(a, b); });
  check("huber_loss", [](Var a, Var b) { return nn::huber_loss(a, b, {.delta = 0.75}); });
  check("smooth_l1_loss", [](Var a, Var b) { return nn::smooth_l1_loss(a, b, {.beta = 0.75}); });
  check("smooth_l1_loss, beta 0", [](Var a, Var b) { return nn::smooth_l1_loss(a, b, {.beta = 0}); });
  check("binary_cross_entropy_with_logits",
        [](Var a, Var b) { return nn::binary_cross_entropy_with_logits(a, b, {.pos_weight = 2.5}); });
  check("cross_entropy with probabilities",
        [](Var a, Var b) { return nn::cross_entropy(a, b, {.axis = 0, .label_smoothing = 0.1}); });
  check("cross_entropy with classes", [](Var a, Var) {
    return nn::cross_entropy(a, a.tape().input(classes({2, 1})), {.label_smoothing = 0.1});
  });
}

BOOST_AUTO_TEST_CASE(logits_of_any_size) {
  for (const Dtype dtype : {Dtype::f32, Dtype::f64}) {
    Tape tape(dtype);
    const double tolerance = dtype == Dtype::f32 ? 1e-6 : 1e-14;
    const Var x = tape.input(Array::of<double>({6}, {1e4, -1e4, 30, -30, 1e4, -1e4}).cast(dtype));
    const Var t = tape.input(Array::of<double>({6}, {1, 0, 1, 0, 0, 1}).cast(dtype));
    const Var binary = nn::binary_cross_entropy_with_logits(x, t, {.reduction = Reduction::none});
    // Right answers keep their digits.
    const double small = std::log1p(std::exp(-30.0)) * 1e13, slope = 1e13 / (1 + std::exp(30.0));
    check_numbers(numbers(binary * 1e13), {0, 0, small, small, 1e17, 1e17}, tolerance, "binary");
    check_numbers(numbers(grad(sum(binary), x) * 1e13), {0, 0, -slope, slope, 1e13, -1e13}, tolerance, "its gradient");

    const Var y = tape.input(matrix({1e4, -1e4, 0, 3, -infinity, 3}).cast(dtype));
    const Var picked = nn::cross_entropy(y, tape.input(classes({1, 2})), {.reduction = Reduction::none});
    check_numbers(numbers(picked), {2e4, std::log(2)}, tolerance, "classes");
    check_numbers(numbers(grad(sum(picked), y)), {1, -1, 0, 0.5, 0, -0.5}, tolerance, "their gradient");
    const Var masked = tape.input(matrix({0, 1, 0, 0.25, 0, 0.75}).cast(dtype));
    const Var mixed = nn::cross_entropy(y, masked, {.reduction = Reduction::none});
    check_numbers(numbers(mixed), {2e4, std::log(2)}, tolerance, "probabilities");
    check_numbers(numbers(grad(sum(mixed), y)), {1, -1, 0, 0.25, 0, -0.25}, tolerance, "their gradient");
  }
}

BOOST_AUTO_TEST_CASE(axes_and_what_is_ignored) {
  Tape tape(Dtype::f64);
  const Var x = tape.input(random_array(Dtype::f64, {2, 5, 3}, 1)), ignored = tape.input(classes({7, 7, 7}));
  const Array numbered = Array::of<std::int32_t>({2, 3}, {0, 4, 2, 1, 1, 3});
  const Var t = tape.input(numbered), losses = nn::cross_entropy(x, t, {.axis = 1, .reduction = Reduction::none});
  BOOST_TEST((losses.shape() == Shape{2, 3}));
  const Var moved = transpose(x, {0, 2, 1});
  check_numbers(numbers(losses), numbers(nn::cross_entropy(moved, t, {.reduction = Reduction::none})), 1e-15, "axis 1");
  const Var one_hots = one_hot(t, 5);
  BOOST_TEST(std::abs(nn::cross_entropy(moved, one_hots).item() - mean(losses).item()) < 1e-15);
  BOOST_TEST(nn::cross_entropy(x, t, {.axis = -2, .reduction = Reduction::sum}).item() == sum(losses).item());
  const Var row = slice(moved, 0, 0, 1), all = reshape(row, {3, 5});
  BOOST_TEST(nn::cross_entropy(all, ignored, {.ignore_index = 7, .reduction = Reduction::sum}).item() == 0);
  BOOST_TEST(std::isnan(nn::cross_entropy(all, ignored, {.ignore_index = 7}).item()));
  BOOST_TEST(nn::mse_loss(x, 0).item() == mean(square(x)).item());  // a number is a target
}

BOOST_AUTO_TEST_CASE(a_plan_has_the_same_bits) {
  for (const Case& one : cases()) {
    const Array x = logits.cast(Dtype::f32);
    const auto f = [&](std::span<const Var> in) { return std::vector<Var>{one.loss(in[0], in[0].tape())}; };
    Tape tape;
    Plan plan = compile(f, {x.type()});
    BOOST_TEST(same_bits(plan.run({x})[0], one.loss(tape.input(x), tape).value()), one.name);
  }
}

BOOST_AUTO_TEST_CASE(refusals) {
  Tape tape;
  const Var x = tape.input(Array(Dtype::f32, {4, 3})), column = tape.input(Array(Dtype::f32, {4, 1}));
  const Var wrong = tape.input(classes({0, 1, 2})), beyond = tape.input(classes({0, 1, 2, 3}));
  const auto refused = [&](const std::string& text, const std::function<void()>& f) {
    const std::string said = error_of(f);
    BOOST_TEST(contains(said, text), said);
    BOOST_TEST(contains(said, "test_losses.cpp:"), said);
  };
  refused("[mse_loss] the target must have the prediction's shape [4, 3], got [4, 1]",
          [&] { nn::mse_loss(x, column); });
  refused("[l1_loss] the target must have", [&] { nn::l1_loss(x, column); });
  refused("[huber_loss] the target must have", [&] { nn::huber_loss(x, column); });
  refused("[huber_loss] needs delta > 0, got 0", [&] { nn::huber_loss(x, x, {.delta = 0}); });
  refused("[smooth_l1_loss] needs beta >= 0, got -1", [&] { nn::smooth_l1_loss(x, x, {.beta = -1}); });
  refused("[binary_cross_entropy_with_logits] the target must have",
          [&] { nn::binary_cross_entropy_with_logits(x, column); });
  refused("pos_weight must broadcast to [4, 1], got [4, 3]",
          [&] { nn::binary_cross_entropy_with_logits(column, column, {.pos_weight = x}); });
  refused("[cross_entropy] a target of classes must have the shape [4] for logits [4, 3], got [3]",
          [&] { nn::cross_entropy(x, wrong); });
  refused("a target of probabilities must have the shape [4, 3]", [&] { nn::cross_entropy(x, column); });
  refused("[cross_entropy] the target is a number", [&] { nn::cross_entropy(x, 1); });
  refused("label_smoothing goes from 0 to 1, got 1.5", [&] { nn::cross_entropy(x, beyond, {.label_smoothing = 1.5}); });
  refused("[cross_entropy] axis 2 is out of range", [&] { nn::cross_entropy(x, beyond, {.axis = 2}); });
  refused("index 3", [&] { nn::cross_entropy(x, beyond); });
}
