// What solvers, equations, processes and losses refuse: options that no number should have, functions that are empty,
// and values that are only broadcast to the state's shape. Tables walk all of them.
#define BOOST_TEST_MODULE refusals
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <functional>
#include <limits>

#include "autodiff/autodiff.hpp"
#include "sde/sde.hpp"
#include "tests/autodiff/helpers.hpp"
#include "tests/sde/densities.hpp"
#include "tests/sde/registry.hpp"

using namespace wengert;
using namespace wengert::testing;
using sde::Grid;
using sde::Noise;
using sde::Tolerance;

namespace {

constexpr double inf = std::numeric_limits<double>::infinity();
const double not_a_number = std::nan("");

void check_says(const std::string& text, std::initializer_list<std::string> parts) {
  for (const std::string& part : parts)
    BOOST_TEST(text.find(part) != std::string::npos, "no '" << part << "' in '" << text << "'");
}

using Function2 = std::function<Var(Var, Var)>;

const Function2 towards_0 = [](Var x, Var) { return -x; };
const Array points = random_array(Dtype::f64, {3, 2}, 1);
const Grid increasing = Grid::uniform(0.1, 1, 3), decreasing = Grid::uniform(1, 0.1, 3);

// What a process refuses, by all of its functions and wherever it goes in.
template <class P>
void check_process_refuses(const P& process, const std::string& what, const std::string& got) {
  Tape tape(Dtype::f64);
  const Var t = tape.full(Shape{3, 1}, 0.5), x = tape.input(points);
  const std::vector<std::function<void()>> uses{
      [&] { process.drift(x, t); },
      [&] { process.diffusion(t); },
      [&] { process.mean_scale(t); },
      [&] { process.std(t); },
      [&] { (void)process.prior_std(); },
      [&] { sde::forward(process); },
      [&] { sde::reverse(process, towards_0); },
      [&] { sde::probability_flow(process, towards_0); },
      [&] { sde::denoising_loss(process, towards_0, x, t, x); },
      [&] { sde::normalised_denoising_loss(process, towards_0, x, t, x); },
  };
  for (const auto& use : uses) check_says(error_of(use), {what + " must be ", ", got " + got});
}

// Methods by what they integrate: a state of type f64 [3, 2].
struct Run {
  const char* name;
  std::function<void(const sde::Ode&)> go;
};
std::vector<Run> all_odes() {
  std::vector<Run> runs{
      {"dormand_prince by a tolerance",
       [](const sde::Ode& f) {
         sde::Integrator(sde::DormandPrince{}, f).run(points, Tolerance{.from = 0.1, .to = 1}).require();
       }},
      {"dormand_prince with divergence",
       [](const sde::Ode& f) { density_of(f, points, Tolerance{.from = 0.1, .to = 1}, 1).solution.require(); }},
      {"dormand_prince with probes",
       [](const sde::Ode& f) { density_of(f, points, Tolerance{.from = 0.1, .to = 1}, 1, {.probes = 2}); }},
      {"heun_left_end", [](const sde::Ode& f) { left_end_density(f, points, increasing, 1).solution.require(); }},
      {"heun_left_end with probes",
       [](const sde::Ode& f) { left_end_density(f, points, increasing, 1, {.probes = 2}); }},
  };
  for_every<sde::Methods>([&]<class M>(const M& method) {
    if constexpr (integrates_odes<M>)
      runs.push_back(
          {M::name, [=](const sde::Ode& f) { sde::Integrator(method, f).run(points, increasing).require(); }});
  });
  return runs;
}
const std::vector<Run> odes = all_odes();
struct ReverseRun {
  const char* name;
  std::function<void(const sde::ReverseSde&)> go;
};
std::vector<ReverseRun> all_samplers() {
  std::vector<ReverseRun> runs;
  const auto enter = [&]<class M>(const M& method) {
    if constexpr (samples<M>)
      runs.push_back({M::name, [=](const sde::ReverseSde& f) {
                        sde::Integrator(method, f).run(points, decreasing, {.noise = Noise::drawn(1)}).require();
                      }});
  };
  for_every<sde::Methods>(enter);
  enter(sde::PredictorCorrector{.size = sde::PredictorCorrector::Size::norm_ratio});
  return runs;
}
const std::vector<ReverseRun> samplers = all_samplers();

// Values that NumPy's rule would broadcast to [3, 2].
struct Thin {
  const char* type;
  Function2 f;
};
const std::vector<Thin> thin{
    {"f64 [3, 1]", [](Var x, Var) { return sum(x, {1}, {.keepdims = true}); }},
    {"f64 [1, 2]", [](Var x, Var) { return sum(x, {0}, {.keepdims = true}); }},
    {"f64 [2]", [](Var x, Var) { return sum(x, {0}); }},
    {"f64 [1, 1]", [](Var, Var t) { return 2 * t; }},
    {"f64 []", [](Var x, Var) { return sum(x); }},
};

}  // namespace

BOOST_AUTO_TEST_CASE(processes_refuse_options_that_no_number_should_have) {
  for (double bad : {not_a_number, inf, -inf, -1.0, 0.0}) {
    const std::string got = bad == 0 ? "0" : bad == -1 ? "-1" : std::isnan(bad) ? "nan" : bad > 0 ? "inf" : "-inf";
    check_process_refuses(sde::Ou{.theta = bad}, "[ou] theta", got);
    check_process_refuses(sde::Ou{.sigma = bad}, "[ou] sigma", got);
    check_process_refuses(sde::VeConstant{.sigma = bad}, "[ve_constant] sigma", got);
    check_process_refuses(sde::VeExponential{.kappa = bad}, "[ve_exponential] kappa", got);
    check_process_refuses(sde::Vp{.beta_max = bad}, "[vp] beta_max", got);
    if (bad != 0) check_process_refuses(sde::Vp{.beta_min = bad}, "[vp] beta_min", got);
  }
  check_process_refuses(sde::VeExponential{.kappa = 1}, "[ve_exponential] kappa", "1");
  check_process_refuses(sde::Vp{.beta_min = 20, .beta_max = 0.1}, "[vp] beta_max", "0.1");
  check_says(error_of([] { sde::forward(sde::Vp{.beta_min = 20, .beta_max = 0.1}); }), {"at least beta_min, 20"});
  sde::forward(sde::Vp{.beta_min = 0, .beta_max = 1});

  // A process of somebody else, without checks of its own.
  struct Mine : sde::Ou {
    double prior_std() const { return 0; }
  };
  check_says(error_of([] { sde::reverse(Mine{}, towards_0); }), {"[process] prior_std must be positive", "got 0"});
}

BOOST_AUTO_TEST_CASE(methods_and_integrators_refuse_options_that_no_number_should_have) {
  const auto corrector = [](const sde::PredictorCorrector& method) {
    return error_of([&] { sde::Integrator(method, sde::reverse(sde::Ou{}, towards_0)); });
  };
  for (double snr : {0.0, -0.1, not_a_number, inf})
    check_says(corrector({.snr = snr}), {"[predictor_corrector] snr must be"});
  for (Index corrections : {Index{-1}, Index{-5}, std::numeric_limits<Index>::max()})
    check_says(corrector({.corrections = corrections}), {"[predictor_corrector] corrections must be"});
  BOOST_TEST(corrector({.corrections = 0}) == "nothing was thrown");

  const auto adaptive = [](Tolerance tolerance) {
    tolerance.to = 1;
    return error_of([&] { sde::Integrator(sde::DormandPrince{}, towards_0).run(points, tolerance); });
  };
  for (double bad : {not_a_number, inf, -1.0}) {
    check_says(adaptive({.rtol = bad}), {"[dormand_prince] rtol must be", "(test_refusals.cpp:"});
    check_says(adaptive({.atol = bad}), {"[dormand_prince] atol must be"});
    check_says(adaptive({.first_step = bad}), {"[dormand_prince] first_step must be"});
  }
  for (double bad : {not_a_number, 0.0, -1.0})
    check_says(adaptive({.max_step = bad}), {"[dormand_prince] max_step must be"});
  for (Index bad : {0, -1}) check_says(adaptive({.max_steps = bad}), {"[dormand_prince] max_steps must be"});
  check_says(adaptive({.rtol = 0, .atol = 0}), {"[dormand_prince] rtol + atol must be positive, got 0"});

  for (double bad : {0.0, -1.0, not_a_number, inf})
    check_says(error_of([&] { left_end_density(towards_0, points, increasing, bad); }),
               {"[log_density] prior_std must be", "(densities.hpp:"});
  check_says(error_of([&] { sde::with_divergence(towards_0, {.probes = -1}); }),
             {"[with_divergence] probes must be", "(test_refusals.cpp:"});

  for (double bad : {not_a_number, inf, -inf}) {
    check_says(error_of([&] { Grid::uniform(bad, 1, 3); }), {"[grid] time 0 is"});
    check_says(error_of([&] { Grid::uniform(0, bad, 3); }), {"[grid] time "});
    check_says(error_of([&] { sde::Integrator(sde::DormandPrince{}, towards_0).run(points, Tolerance{.to = bad}); }),
               {"[dormand_prince] needs two finite times", "(test_refusals.cpp:"});
  }
}

BOOST_AUTO_TEST_CASE(what_is_only_broadcast_to_the_state_is_no_derivative) {
  for (const Thin& value : thin)
    for (const Run& run : odes)
      check_says(error_of([&] { run.go(value.f); }),
                 {"the equation's value must be f64 [3, 2], got " + std::string(value.type), "(test_refusals.cpp:"});
  for (const Run& run : odes) run.go(towards_0);
}

BOOST_AUTO_TEST_CASE(what_is_only_broadcast_to_the_state_is_no_score) {
  for_every<sde::Processes>([](const auto& process) {
    for (const Thin& score : thin) {
      const std::string wanted = "[sde] the score must be f64 [3, 2], got " + std::string(score.type);
      BOOST_TEST_CONTEXT(process.name << ", score " << score.type) {
        for (const Run& run : odes)
          check_says(error_of([&] { run.go(sde::probability_flow(process, score.f)); }), {wanted});
        for (const ReverseRun& run : samplers)
          check_says(error_of([&] { run.go(sde::reverse(process, score.f)); }), {wanted, "(test_refusals.cpp:"});
      }
    }
    for (const ReverseRun& run : samplers) run.go(sde::reverse(process, towards_0));
  });
}

BOOST_AUTO_TEST_CASE(what_is_only_broadcast_to_the_state_is_no_drift_and_no_diffusion) {
  const Function2 noise = [](Var x, Var) { return 0 * x + 0.1; };
  for (const ReverseRun& run : samplers)
    for (const Thin& value : thin) {
      const std::string type = value.type;
      check_says(error_of([&] {
                   run.go({{value.f, noise}, towards_0});
                 }),
                 {"[sde] the drift must be f64 [3, 2], got " + type, "(test_refusals.cpp:"});
      // One number for a row, or for all, is a diffusion.
      const Function2 diffusion = [&](Var x, Var t) { return 1 + square(value.f(x, t)); };
      const std::string said = error_of([&] { run.go({{towards_0, diffusion}, towards_0}); });
      if (type == "f64 [1, 2]" || type == "f64 [2]")
        check_says(said, {"[sde] the diffusion must be f64 [3, 2] or one number a row, got " + type});
      else
        BOOST_TEST(said == "nothing was thrown", said);
    }
}

BOOST_AUTO_TEST_CASE(losses_refuse_what_is_only_broadcast) {
  const auto losses = [](const auto& process, const auto& score, Var x0, Var t, Var z) {
    return std::vector<std::string>{
        error_of([&] { sde::denoising_loss(process, score, x0, t, z); }),
        error_of([&] { sde::normalised_denoising_loss(process, score, x0, t, z); }),
    };
  };
  Tape tape(Dtype::f64);
  const Var x = tape.input(points), t = tape.full(Shape{3, 1}, 0.5);
  for_every<sde::Processes>([&](const auto& process) {
    for (const Thin& score : thin)
      for (const std::string& said : losses(process, score.f, x, t, x)) {
        BOOST_TEST_CONTEXT(process.name)
        check_says(said, {"denoising_loss] the score must be f64 [3, 2], got "});
      }
    for (const Shape& shape : {Shape{3, 1}, Shape{1, 2}, Shape{1, 1}, Shape{2}, Shape{}})
      for (const std::string& said : losses(process, towards_0, x, t, tape.full(shape, 1)))
        check_says(said, {"denoising_loss] z must be f64 [3, 2], got f64 " + to_string(shape)});
    for (const Shape& shape : {Shape{3, 2}, Shape{1, 2}, Shape{2}})
      for (const std::string& said : losses(process, towards_0, x, tape.full(shape, 0.5), x))
        check_says(said, {"denoising_loss] t must be f64 [3,1] or [1,1], got f64 " + to_string(shape)});
    for (const Shape& shape : {Shape{3, 1}, Shape{1, 1}})
      for (const std::string& said : losses(process, towards_0, x, tape.full(shape, 0.5), x))
        BOOST_TEST(said == "nothing was thrown");
    for (const std::string& said : losses(process, Function2(), x, t, x))
      check_says(said, {"denoising_loss] the score is an empty function"});
  });
}

BOOST_AUTO_TEST_CASE(empty_functions_are_refused_by_name) {
  using OfState = std::function<Var(const sde::State&, Var)>;
  using Slopes = std::function<sde::State(const sde::State&, Var)>;
  check_says(error_of([] { sde::Ode f = Function2(); }), {"[ode] the equation is an empty function"});
  check_says(error_of([] { sde::Ode f = Slopes(); }), {"[ode] the equation is an empty function"});
  check_says(error_of([] { sde::Ode f = static_cast<Var (*)(Var, Var)>(nullptr); }), {"is an empty function"});
  check_says(error_of([] { sde::Sde(Function2(), towards_0); }), {"the drift is an empty function"});
  check_says(error_of([] { sde::Sde(towards_0, OfState()); }), {"the diffusion is an empty function"});
  check_says(error_of([] { sde::in_dtype(Dtype::f32, Function2()); }), {"the score is an empty function"});
  for_every<sde::Processes>([](const auto& process) {
    check_says(error_of([&] { sde::reverse(process, Function2()); }), {"the score is an empty function"});
    check_says(error_of([&] { sde::reverse(process, OfState()); }), {"the score is an empty function"});
    check_says(error_of([&] { sde::probability_flow(process, Function2()); }), {"the score is an empty function"});
  });
}

BOOST_AUTO_TEST_CASE(counters_of_draws_do_not_wrap) {
  const Index last = (Index{1} << 32) - 1;
  sde::Integrator sampler(sde::EulerMaruyama{}, sde::forward(sde::Ou{}));
  const auto run = [&](Index row, Index step) {
    return error_of([&] { sampler.run(points, increasing, {.noise = Noise::drawn(1, row, step)}); });
  };
  BOOST_TEST(run(0, last - 2) == "nothing was thrown");
  BOOST_TEST(run(last - 2, 0) == "nothing was thrown");
  check_says(run(0, last - 1), {"[euler_maruyama] draws for steps 4294967294 to 4294967296", "2^32", "refusals.cpp:"});
  check_says(run(last - 1, 0), {"[euler_maruyama] draws for rows 4294967294 to 4294967296", "2^32"});
  const auto density = [&](Index row) {
    return error_of([&] { sde::with_divergence(towards_0, {.probes = 1, .first_row = row}).start(points); });
  };
  BOOST_TEST(density(last - 2) == "nothing was thrown");
  check_says(density(last - 1), {"[with_divergence] draws for rows 4294967294 to 4294967296"});
  check_says(error_of([&] { Noise::drawn(1, 0, last + 1); }), {"[noise]", "4294967296"});
  // The last step draws what the counter's last number says, not the first.
  const auto drawn = [&](Index step) {
    return sampler.run(points, Grid({0, 1}), {.noise = Noise::drawn(1, 0, step)}).require().x();
  };
  BOOST_TEST(!same_bits(drawn(last), drawn(0)));
}

BOOST_AUTO_TEST_CASE(what_was_moved_from_says_so) {
  sde::Integrator euler(sde::Euler{}, sde::Ode(towards_0));
  sde::Integrator adaptive(sde::DormandPrince{}, towards_0);
  sde::Ode equation = towards_0;
  sde::Field field = towards_0;
  Grid grid = increasing;
  sde::Solution solution = euler.run(points, grid);

  const sde::Integrator euler_2 = std::move(euler);
  const sde::Integrator adaptive_2 = std::move(adaptive);
  const sde::Ode equation_2 = std::move(equation);
  const sde::Field field_2 = std::move(field);
  const Grid grid_2 = std::move(grid);
  const sde::Solution solution_2 = std::move(solution);

  check_says(error_of([&] { euler.run(points, increasing); }), {"[integrator] was moved from  (test_refusals.cpp:"});
  check_says(error_of([&] { (void)euler.explain(); }), {"before the first run"});
  check_says(error_of([&] { (void)euler.profile(); }), {"before the first run"});
  check_says(error_of([&] { adaptive.run(points, Tolerance{.to = 1}); }), {"[integrator] was moved from"});
  check_says(error_of([&] { (void)adaptive.explain(); }), {"before the first run"});
  sde::Integrator moved(sde::Euler{}, equation);
  check_says(error_of([&] { moved.run(points, increasing); }), {"[ode] the equation is an empty function"});
  check_says(error_of([&] { sde::reverse(sde::Ou{}, field); }), {"the score is an empty function"});
  sde::Integrator whole(sde::Euler{}, sde::Ode(towards_0));
  check_says(error_of([&] { whole.run(points, grid); }), {"[euler] needs a grid, not one that was moved from"});
  check_says(error_of([&] { (void)solution.x(); }), {"[solution] holds no state"});
  check_says(error_of([&] { (void)std::move(solution).x(); }), {"[solution] holds no state"});
  BOOST_TEST(solution_2.x().size() == 6);
}

BOOST_AUTO_TEST_CASE(refusals_of_a_run_have_its_line) {
  const auto line = [](int at) { return "(test_refusals.cpp:" + std::to_string(at) + ")"; };
  sde::Integrator sampler(sde::EulerMaruyama{}, sde::reverse(sde::Ou{}, towards_0));
  check_says(error_of([&] { sampler.run(points, decreasing); }), {"no noise", line(__LINE__)});
  check_says(error_of([&] { sampler.run(points, increasing, {.noise = Noise::drawn(1)}); }),
             {"needs decreasing times", line(__LINE__ - 1)});
  check_says(error_of([&] { sampler.run(Array(Dtype::i32, {2, 1}), decreasing); }), {"i32 [2, 1]", line(__LINE__)});
  sde::Integrator adaptive(sde::DormandPrince{}, towards_0);
  check_says(error_of([&] { adaptive.run(Array(Dtype::f64, {2}), Tolerance{.to = 1}); }), {"f64 [2]", line(__LINE__)});
  const auto flow = sde::with_divergence(towards_0);
  check_says(error_of([&] { flow.start(Array(Dtype::f64, {2})); }), {"[B,d]", "f64 [2]", line(__LINE__)});
  check_says(error_of([&] { flow.log_density(sde::Solution{}, 1); }), {"[log_density]", line(__LINE__)});
}

BOOST_AUTO_TEST_CASE(a_refused_run_leaves_the_last_plan_to_be_explained) {
  const Function2 f = [](Var x, Var t) { return matmul(x, x.tape().full(Shape{2, 2}, 1)) * t; };
  sde::Integrator euler(sde::Euler{}, sde::Ode(f));
  sde::Integrator adaptive(sde::DormandPrince{}, f);
  const Array good(Dtype::f32, {3, 2}), bad(Dtype::f32, {3, 5});
  euler.run(good, increasing);
  adaptive.run(good, Tolerance{.from = 0.1, .to = 1});
  const std::string before[] = {euler.explain(), adaptive.explain()};
  check_says(error_of([&] { euler.run(bad, increasing); }), {"[matmul]", "(test_refusals.cpp:"});
  check_says(error_of([&] { adaptive.run(bad, Tolerance{.from = 0.1, .to = 1}); }),
             {"[matmul]", "(test_refusals.cpp:"});
  BOOST_TEST(euler.explain() == before[0]);
  BOOST_TEST(adaptive.explain() == before[1]);
}
