// Training steps, on eager tapes and planned: steps per second on 1 and 2 threads, interleaved, and heap allocations
// per step.
//
//   bench_training [--rounds N]
//
// nano     5000 fresh points of the ring, the denoising loss, backward, Adam: 3-64x5-2, as experiments/nano_ring
// regress  32 stored rows, mean squared error, backward, Adam: 68-256x4-4
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <new>
#include <vector>

#include "autodiff/autodiff.hpp"
#include "nn/nn.hpp"
#include "sde/sde.hpp"

namespace {
std::atomic<long> allocations{0};
}

// Counts what passes operator new; posix_memalign and malloc are counted by tests/autodiff/test_allocation.cpp.
void* operator new(std::size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace {

using namespace wengert;

struct Workload {
  const char* name;
  int steps;  // in a block
  std::function<void()> step;
};

nn::Mlp network(Index in, std::vector<Index> hidden, Index out) {
  Rng rng(1);
  return nn::Mlp({.in = in, .hidden = std::move(hidden), .out = out, .activation = relu}, rng);
}

double seconds(const Workload& w) {
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < w.steps; ++i) w.step();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / w.steps;
}

void measure(const Workload& w, int rounds) {
  std::vector<double> times[2];
  long counted = 0;
  for (int round = -1; round < rounds; ++round)  // the first warms up
    for (int t : {1, 2}) {
      set_threads(t);
      const long before = allocations;
      const double time = seconds(w);
      if (round < 0) continue;
      times[t - 1].push_back(time);
      counted = (allocations - before) / w.steps;
    }
  for (int t : {1, 2}) {
    auto& all = times[t - 1];
    std::sort(all.begin(), all.end());
    const double median = all[all.size() / 2];
    std::printf("%-16s %d threads  %8.3f ms a step (%.3f to %.3f)  %8.0f steps/s\n", w.name, t, median * 1e3,
                all.front() * 1e3, all.back() * 1e3, 1 / median);
  }
  std::printf("%-16s %ld heap allocations a step\n", w.name, counted);
}

// The loss of experiments/nano_ring.
Var nano_loss(const nn::Mlp& net, Draw& draw) {
  const sde::Vp vp;
  const Var p = draw.uniform({5000, 2}, -1, 1);
  const Var x0 = p / sqrt(sum(square(p), 1, {.keepdims = true})) * draw.gamma({5000, 1}, 200, 200);
  const Var t = draw.uniform({5000, 1}), z = draw.normal({5000, 2});
  return sde::denoising_loss(
      vp,
      [&](Var x, Var time) {
        return net(concat({x, time}, 1));
      },
      x0, t, z);
}

}  // namespace

int main(int count, char** arguments) {
  const int rounds = count > 2 ? std::atoi(arguments[2]) : 9;
  Tape tape;
  const Tape::Mark mark = tape.mark();
  std::uint32_t number = 0;

  nn::Mlp nano = network(3, {64, 64, 64, 64, 64}, 2);
  nn::Adam nano_adam(nano);
  nn::TrainStep nano_step(nano_adam, 1, [&](Draw& draw) { return nano_loss(nano, draw); });
  measure({"nano, eager", 40,
           [&] {
             tape.rewind(mark);
             Draw draw(tape, 1, number++);
             nano_adam.step(nano_loss(nano, draw));
           }},
          rounds);
  measure({"nano, planned", 40, [&] { nano_step.run(); }}, rounds);

  nn::Mlp regression = network(68, {256, 256, 256, 256}, 4);
  nn::Adam regression_adam(regression);
  const Array x = Rng(2).normal({Dtype::f32, {32, 68}}), y = Rng(3).normal({Dtype::f32, {32, 4}});
  const auto loss = [&](Var in, Var out) { return mean(square(regression(in) - out)); };
  nn::TrainStep regression_step(regression_adam, 1, {x.type(), y.type()},
                                [&](Draw&, std::span<const Var> in) { return loss(in[0], in[1]); });
  measure({"regress, eager", 300,
           [&] {
             tape.rewind(mark);
             regression_adam.step(loss(tape.input(x), tape.input(y)));
           }},
          rounds);
  measure({"regress, planned", 300, [&] { regression_step.run({x, y}); }}, rounds);
}
