// What busy neighbours cost: a training step on two threads alone, and beside two processes that never rest.
//
//   bench_neighbours [--rounds N] [--steps N] [--threads N] [--neighbours N]
//
// 32 stored rows, mean squared error, backward, Adam: 68-256x4-4 as a plan. Rounds alone and beside alternate, every
// step is timed by itself. Goal: beside two neighbours a step takes at most 3 times on the mean what it takes alone on
// the median. Threads that wait for each other while one of them is not on a processor miss it by far.
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <numeric>
#include <stdexcept>
#include <vector>

#include "autodiff/autodiff.hpp"
#include "nn/nn.hpp"

namespace {

using namespace wengert;

// Processes that spin until the end of the scope, or of this process however it ends.
class Neighbours {
 public:
  explicit Neighbours(int count) {
    const pid_t parent = getpid();
    for (int i = 0; i < count; ++i) {
      const pid_t child = fork();
      if (child == 0) spin(parent);
      if (child < 0) {
        end();
        throw std::runtime_error("fork failed");
      }
      children_.push_back(child);
    }
  }
  ~Neighbours() { end(); }
  Neighbours(const Neighbours&) = delete;
  Neighbours& operator=(const Neighbours&) = delete;

 private:
  // Nothing but system calls: the parent has threads, and their locks came along.
  [[noreturn]] static void spin(pid_t parent) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(0);  // it was gone before that
    for (volatile unsigned long i = 0;;) i = i + 1;
  }
  void end() {
    for (pid_t child : children_) {
      kill(child, SIGKILL);
      waitpid(child, nullptr, 0);
    }
    children_.clear();
  }
  std::vector<pid_t> children_;
};

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

struct Times {
  std::vector<double> all;
  double mean() const { return std::accumulate(all.begin(), all.end(), 0.0) / static_cast<double>(all.size()); }
  double median() const {
    std::vector<double> sorted = all;
    std::sort(sorted.begin(), sorted.end());
    return sorted[sorted.size() / 2];
  }
  double longest() const { return *std::max_element(all.begin(), all.end()); }
};

void print(const char* name, const Times& times) {
  std::printf("%-8s median %8.3f ms  mean %8.3f ms  longest %8.3f ms\n", name, times.median() * 1e3, times.mean() * 1e3,
              times.longest() * 1e3);
}

}  // namespace

int main(int count, char** arguments) {
  CLI::App app("A training step on two threads, alone and beside busy processes");
  int rounds = 5, steps = 1000, threads = 2, neighbours = 2;
  app.add_option("--rounds", rounds, "rounds of each")->check(CLI::PositiveNumber);
  app.add_option("--steps", steps, "steps a round")->check(CLI::PositiveNumber);
  app.add_option("--threads", threads, "threads of the step")->check(CLI::PositiveNumber);
  app.add_option("--neighbours", neighbours, "processes that spin")->check(CLI::PositiveNumber);
  CLI11_PARSE(app, count, arguments);
  set_threads(threads);

  Rng rng(1);
  nn::Mlp net({.in = 68, .hidden = {256, 256, 256, 256}, .out = 4, .activation = relu}, rng);
  nn::Adam adam(net);
  const Array x = Rng(2).normal({Dtype::f32, {32, 68}}), y = Rng(3).normal({Dtype::f32, {32, 4}});
  nn::TrainStep step(adam, 1, {x.type(), y.type()},
                     [&](Draw&, std::span<const Var> given) { return mean(square(net(given[0]) - given[1])); });
  const auto run = [&](Times& times) {
    for (int i = 0; i < 50; ++i) step.run({x, y});
    for (int i = 0; i < steps; ++i) {
      const auto start = std::chrono::steady_clock::now();
      step.run({x, y});
      times.all.push_back(seconds_since(start));
    }
  };

  Times alone, beside;
  for (int round = 0; round < rounds; ++round) {
    run(alone);
    const Neighbours busy(neighbours);
    run(beside);
  }
  std::printf("%d threads, %d rounds of %d steps, %d neighbours\n", threads, rounds, steps, neighbours);
  print("alone", alone);
  print("beside", beside);
  std::printf("mean beside / median alone: %.2f (goal: at most 3)\n", beside.mean() / alone.median());
}
