// Where a second thread pays: a training step of four hidden ReLU layers, as a plan, over batch x width on one thread
// and on two.
//
//   bench_threads [--max-batch N] [--max-width N] [--rounds N]
//
// 16-width x4-4, mean squared error, Adam. Blocks of both alternate (at least a step, about 2 ms; one step before each
// wakes the team); a figure is the ratio of their medians. Goal: two threads are nowhere more than 5 % slower. A point
// that is slower is measured again, twice, and listed when it is slower each time. Points whose step takes more than
// half a second are left out.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <optional>
#include <vector>

#include "autodiff/autodiff.hpp"
#include "nn/nn.hpp"

namespace {

using namespace wengert;

constexpr double slow = 1.05, longest_step = 0.5, block = 2e-3;
constexpr Index in = 16, out = 4;

class Point {
 public:
  Point(Index batch, Index width)
      : net_(network(width)),
        adam_(net_),
        x_(Rng(2).normal({Dtype::f32, {batch, in}})),
        y_(Rng(3).normal({Dtype::f32, {batch, out}})),
        steps_{step(), step()} {}

  // Seconds a step, over some steps on one thread (`which` = 0) or two (1).
  double time(int which, int steps) {
    set_threads(1 + which);
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < steps; ++i) steps_[which].run({x_, y_});
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / steps;
  }

  // The time on two threads over the time on one; nothing where a step takes too long.
  std::optional<double> ratio(int rounds) {
    int steps[2];
    for (int which : {0, 1}) {
      time(which, 1);  // makes room
      const double first = time(which, 1);
      if (first > longest_step) return std::nullopt;
      time(which, first > 20e-3 ? 1 : 10);  // it finds how many threads are fastest
      steps[which] = std::max(1, static_cast<int>(block / std::min(first, time(which, 1))));
    }
    std::vector<double> times[2];
    for (int round = 0; round < rounds; ++round)
      for (int turn : {0, 1}) {
        const int which = (round + turn) % 2;
        time(which, 1);
        times[which].push_back(time(which, steps[which]));
      }
    alone_ = median(times[0]);
    return median(times[1]) / alone_;
  }
  double alone() const { return alone_; }  // seconds a step on one thread, of the last ratio()

 private:
  static nn::Mlp network(Index width) {
    Rng rng(1);
    return nn::Mlp({.in = in, .hidden = {width, width, width, width}, .out = out, .activation = relu}, rng);
  }
  static double median(std::vector<double>& all) {
    std::sort(all.begin(), all.end());
    return all[all.size() / 2];
  }

  nn::TrainStep step() {
    return nn::TrainStep(adam_, 1, {x_.type(), y_.type()},
                         [this](Draw&, std::span<const Var> given) { return mean(square(net_(given[0]) - given[1])); });
  }

  nn::Mlp net_;
  nn::Adam adam_;
  Array x_, y_;
  nn::TrainStep steps_[2];  // each keeps the number of threads that it found
  double alone_ = 0;
};

// About what a step takes at 20 GF/s: no point is set up that takes too long at many times that.
double seconds_expected(Index batch, Index width) { return 18.0 * static_cast<double>(batch * width * width) / 20e9; }

struct Slow {
  Index batch, width;
  std::vector<double> ratios;
  double alone;
};

}  // namespace

int main(int count, char** arguments) {
  CLI::App app("Training steps on two threads over one, by batch and width");
  Index max_batch = 8192, max_width = 1024;
  int rounds = 15;
  app.add_option("--max-batch", max_batch, "largest batch; all powers of two up to it")->check(CLI::PositiveNumber);
  app.add_option("--max-width", max_width, "largest width; powers of two from 8")->check(CLI::Range(8, 1 << 14));
  app.add_option("--rounds", rounds, "blocks of each")->check(CLI::PositiveNumber);
  CLI11_PARSE(app, count, arguments);

  std::printf("time on two threads / time on one, medians of %d blocks; batch down, width across\n%6s", rounds, "");
  for (Index width = 8; width <= max_width; width *= 2) std::printf(" %7ld", static_cast<long>(width));
  std::printf("\n");
  std::vector<Slow> found;
  for (Index batch = 1; batch <= max_batch; batch *= 2) {
    std::printf("%6ld", static_cast<long>(batch));
    for (Index width = 8; width <= max_width; width *= 2) {
      std::optional<double> ratio;
      if (seconds_expected(batch, width) < 10 * longest_step) {
        Point point(batch, width);
        ratio = point.ratio(rounds);
        if (ratio && *ratio > slow) {
          Slow again{batch, width, {*ratio}, point.alone()};
          while (again.ratios.size() < 3 && again.ratios.back() > slow)
            again.ratios.push_back(point.ratio(rounds).value_or(*ratio));
          if (again.ratios.back() > slow) found.push_back(again);
        }
      }
      if (ratio)
        std::printf(" %7.2f", *ratio);
      else
        std::printf(" %7s", "-");
      std::fflush(stdout);
    }
    std::printf("\n");
  }
  std::printf("%zu points are more than 5 %% slower on two threads, three times over\n", found.size());
  for (const Slow& s : found) {
    std::printf("  batch %ld, width %ld, %.3f ms a step on one thread:", static_cast<long>(s.batch),
                static_cast<long>(s.width), s.alone * 1e3);
    for (double ratio : s.ratios) std::printf(" %.2f", ratio);
    std::printf("\n");
  }
}
