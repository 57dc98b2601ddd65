// The exact trace of a Jacobian on eager tapes, beside a forward pass and beside one backward pass for each dimension:
// time, operations of products, bytes held.
//
//   bench_trace [--threads N] [--rounds N]
//
// The network is d-128x4-d with SiLU, the batch 1024 rows, d = 2, 4, 8, 16. peers/trace.py times the same in PyTorch.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "autodiff/autodiff.hpp"
#include "nn/nn.hpp"

namespace {

using namespace wengert;

// Floating-point operations of the products recorded from a node on.
double product_flops(const Tape& tape, std::uint32_t from) {
  double flops = 0;
  for (std::uint32_t i = from; i < tape.size(); ++i) {
    const Node& node = tape.node(i);
    if (node.op->name() != "matmul") continue;
    std::vector<const Type*> types;
    for (std::uint32_t operand : tape.operands(node)) types.push_back(&tape.node(operand).type);
    flops += node.op->cost({types, *node.attributes}, node.type).flops;
  }
  return flops;
}

struct Task {
  const char* name;
  std::function<void(Tape&)> run;
  std::vector<double> times{};  // seconds
  double flops = 0;
  std::size_t bytes = 0;
};

void run(Task& task, Tape& tape, const Tape::Mark& mark, bool timed) {
  tape.rewind(mark);
  const std::uint32_t from = tape.size();
  const std::size_t before = tape.bytes();
  const auto start = std::chrono::steady_clock::now();
  task.run(tape);
  const double time = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (timed) task.times.push_back(time);
  task.flops = product_flops(tape, from);
  task.bytes = tape.bytes() - before;
}

double median(std::vector<double> all) {
  std::sort(all.begin(), all.end());
  return all[all.size() / 2];
}

void measure(Index d, int rounds) {
  constexpr Index batch = 1024;
  Rng rng(1);
  const nn::Mlp net({.in = d, .hidden = {128, 128, 128, 128}, .out = d, .activation = silu}, rng);
  Tape tape;
  const Var x = tape.input(Rng(2).normal({Dtype::f32, {batch, d}}));
  std::vector<Var> weights;
  for (const auto& [name, parameter] : net.parameters()) weights.push_back(parameter->on(tape));
  const auto f = [&](Var y) { return net(y); };
  Task tasks[] = {
      {"forward", [&](Tape&) { f(x); }},
      {"value and trace", [&](Tape&) { value_and_divergence(f, x); }},
      {"forward and d vjps",
       [&](Tape& on) {
         const Var in = identity(x), out = f(in);
         Var trace = on.full({batch, 1}, 0);
         for (Index i = 0; i < d; ++i) trace = trace + slice(grad(sum(slice(out, 1, i, i + 1)), in), 1, i, i + 1);
       }},
      {"gradient of mean trace", [&](Tape&) { grad(mean(divergence(f, x)), weights); }},
  };
  const Tape::Mark mark = tape.mark();
  for (int round = -2; round < rounds; ++round)
    for (Task& task : tasks) run(task, tape, mark, round >= 0);
  const double unit = median(tasks[0].times);
  for (const Task& task : tasks)
    std::printf("%2ld  %-22s  %8.3f ms  %6.2f of forward  flops %6.2f  bytes %6.2f\n", static_cast<long>(d), task.name,
                median(task.times) * 1e3, median(task.times) / unit, task.flops / tasks[0].flops,
                static_cast<double>(task.bytes) / static_cast<double>(tasks[0].bytes));
}

}  // namespace

int main(int count, char** arguments) {
  CLI::App app("The exact trace of a Jacobian beside a forward pass and a loop of backward passes");
  int rounds = 21, threads = 1;
  app.add_option("--rounds", rounds, "timed rounds")->check(CLI::PositiveNumber);
  app.add_option("--threads", threads, "threads")->check(CLI::PositiveNumber);
  CLI11_PARSE(app, count, arguments);
  set_threads(threads);
  std::printf("%d threads, medians of %d\n", threads, rounds);
  for (Index d : {2, 4, 8, 16}) measure(d, rounds);
}
