// What a node costs beside its arithmetic, one thread: ns a node when a plan is replayed, and when the same is recorded
// on an eager tape.
//
//   bench_overhead [--rounds N]
//
// step       value and gradients of a 2-8-8-2 tanh network on 4 rows
// unfusable  200 ops on [1,1], in turn matmul, transpose, concat, reshape and sum: each a step of its own
// fusable    200 elementwise ops on [1,1]
// solvers    a step of Euler, Heun and Euler-Maruyama with a 3-8-8-2 network on 4 rows
//
// Nodes are counted as they are recorded, without leaves; a plan has fewer left after its passes, by which its time is
// divided too.
// Goals: at most 100 ns a node on replay, 1 us a node recorded, 2 us a step of a solver beside its arithmetic.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <vector>

#include "autodiff/autodiff.hpp"
#include "nn/nn.hpp"
#include "sde/sde.hpp"

namespace {

using namespace wengert;

constexpr int chain_length = 200;

std::vector<Var> unfusable(std::span<const Var> in) {
  Var y = in[0];
  for (int i = 0; i < chain_length / 5; ++i) {
    y = matmul(y, in[1]);    // [1,1], by 0.5: the sum below doubles it
    y = transpose(y);        // [1,1]
    y = concat({y, y}, 1);   // [1,2]
    y = reshape(y, {2, 1});  // [2,1]
    y = sum(y, 0, {.keepdims = true});
  }
  return {y};
}

std::vector<Var> fusable(std::span<const Var> in) {
  Var y = in[0];
  for (int i = 0; i < chain_length / 4; ++i) {
    y = y * in[1];
    y = tanh(y);
    y = y + in[0];
    y = square(y);
  }
  return {y};
}

struct Work {
  const char* name;
  PlanFunction f;
  std::vector<Array> inputs;
};

// Nanoseconds a call, over calls of about a millisecond: short, so that most blocks go by undisturbed.
double nanoseconds(const std::function<void()>& f) {
  const auto start = std::chrono::steady_clock::now();
  int calls = 0;
  double time = 0;
  for (; time < 1e6; ++calls) {
    f();
    time = std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count();
  }
  return time / calls;
}

double median(std::vector<double> all) {
  std::sort(all.begin(), all.end());
  return all[all.size() / 2];
}

void measure(const Work& work, int rounds) {
  std::vector<Type> types;
  for (const Array& input : work.inputs) types.push_back(input.type());
  Plan plan = compile(work.f, types);
  const std::vector<PlanInput> given(work.inputs.begin(), work.inputs.end());

  Tape tape;
  std::vector<Var> vars;
  for (const Array& input : work.inputs) vars.push_back(tape.input(input));
  const Tape::Mark mark = tape.mark();
  const std::uint32_t inputs = tape.size();
  work.f(vars);
  double recorded = 0, leaves = inputs;
  for (std::uint32_t i = inputs; i < tape.size(); ++i) ++(tape.node(i).operand_count > 0 ? recorded : leaves);
  const double left = static_cast<double>(plan.passes().back().nodes) - leaves;

  std::vector<double> replays, recordings;
  for (int round = -1; round < rounds; ++round) {  // the first warms up
    const double replay = nanoseconds([&] { plan.run(given); });
    const double recording = nanoseconds([&] {
      tape.rewind(mark);
      work.f(vars);
    });
    if (round < 0) continue;
    replays.push_back(replay);
    recordings.push_back(recording);
  }
  const double replay = median(replays), recording = median(recordings);
  std::printf("%-10s %5.0f nodes, %5.0f left in the plan  replay %8.0f ns: %6.1f a node, %6.1f a node left  ",
              work.name, recorded, left, replay, replay / recorded, replay / left);
  std::printf("recording %8.0f ns: %6.1f a node\n", recording, recording / recorded);
}

template <class Method, class Equation>
void measure_solver(const Method& method, const Equation& equation, int rounds) {
  constexpr Index steps = 100;
  sde::Integrator integrator(method, equation);
  const Array x = Rng(2).normal({Dtype::f32, {4, 2}});
  const sde::Grid grid = sde::Grid::uniform(1, 0, steps);
  std::vector<double> times;
  for (int round = -1; round < rounds; ++round) {
    const double time = nanoseconds([&] { integrator.run(x, grid, {.noise = sde::Noise::drawn(1)}); });
    if (round >= 0) times.push_back(time / steps);
  }
  std::printf("%-15s %8.0f ns a step, %lld evaluations of the network\n", method.name, median(times),
              static_cast<long long>(method.evaluations()));
}

}  // namespace

int main(int count, char** arguments) {
  CLI::App app("Nanoseconds a node of a plan and of an eager tape");
  int rounds = 101;
  app.add_option("--rounds", rounds, "timed rounds")->check(CLI::PositiveNumber);
  CLI11_PARSE(app, count, arguments);
  set_threads(1);

  Rng rng(1);
  const nn::Mlp net({.in = 2, .hidden = {8, 8}, .out = 2, .activation = tanh}, rng);
  const auto step = [&](std::span<const Var> in) {
    std::vector<Var> weights;
    for (const auto& [name, parameter] : net.parameters()) weights.push_back(parameter->on(in[0].tape()));
    std::vector<Var> all{mean(square(net(in[0]) - in[1]))};
    for (Var g : grad(all[0], weights)) all.push_back(g);
    return all;
  };
  const Array one = Array::of<float>({1, 1}, {0.75f}), half = Array::of<float>({1, 1}, {0.5f});
  const Array x = Rng(2).normal({Dtype::f32, {4, 2}}), y = Rng(3).normal({Dtype::f32, {4, 2}});
  std::printf("one thread, medians of %d; goals: 100 ns a node replayed, 1000 ns a node recorded\n", rounds);
  measure({"step", step, {x, y}}, rounds);
  measure({"unfusable", unfusable, {one, half}}, rounds);
  measure({"fusable", fusable, {one, half}}, rounds);

  const nn::TimeMlp score({.dimension = 2, .hidden = {8, 8}, .activation = tanh}, rng);
  const sde::Ou process{.theta = 0.5, .sigma = 0.5};
  measure_solver(sde::Euler{}, sde::probability_flow(process, std::cref(score)), rounds);
  measure_solver(sde::Heun{}, sde::probability_flow(process, std::cref(score)), rounds);
  measure_solver(sde::EulerMaruyama{}, sde::reverse(process, std::cref(score)), rounds);
}
