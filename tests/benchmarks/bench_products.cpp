// Products as they occur in training steps and samplers, one thread: GF/s of our register tiles, of OpenBLAS and of the
// plain tiles of plain_tiles.hpp, beside the machine's peak.
//
//   bench_products [--rounds N] [--only TEXT]
//
// Every way is checked against the first and timed in each round, so that a machine that slows down slows them all;
// figures are medians over the rounds. A layer of `in` -> `out` with `rows` rows has three products:
//   NN  forward:           [rows,in] x [in,out]
//   TN  weight gradient:   [in,rows] x [rows,out], the first given transposed
//   NT  input gradient:    [rows,out] x [out,in], the second given transposed
// `ours` are the kernels by themselves, a transposed operand packed at each call; `plan` is a compiled plan of that one
// product, which has other ways with a transposed weight. Their ratios are to the better of OpenBLAS and plain tiles.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "autodiff/autodiff.hpp"
#include "autodiff/kernels/groups.hpp"
#include "autodiff/kernels/products.hpp"
#include "autodiff/kernels/simd.hpp"
#include "nn/nn.hpp"
#include "tests/benchmarks/plain_tiles.hpp"

extern "C" const char* openblas_get_corename();

namespace {

using namespace wengert;

enum class Kind { nn, tn, nt };

struct Layer {
  const char* work;
  Index rows, in, out;
  bool forward_only = false, first = false;  // a sampler's; the first layer of a network needs no input gradient
};

const Layer layers[] = {
    {"W1 triangles, first", 32, 68, 256, false, true},
    {"W1 triangles, W8 base", 32, 256, 256},
    {"W1 triangles, last", 32, 256, 4},
    {"W2 rings, first", 32, 4, 512, false, true},
    {"W2 rings", 32, 512, 512},
    {"W2 rings, last", 32, 512, 2},
    {"W3a circle, first", 9, 130, 128},
    {"W3a circle", 9, 128, 128},
    {"W3a circle, last", 9, 128, 2},
    {"W3b circle, first", 500, 130, 128},
    {"W3b circle", 500, 128, 128},
    {"W3b circle, last", 500, 128, 2},
    {"W4 nano ring, first", 5000, 3, 64, false, true},
    {"W4 nano ring", 5000, 64, 64},
    {"W4 nano ring, range of rows", 156, 64, 64},
    {"W4 nano ring, last", 5000, 64, 2},
    {"W5a heat kernel, first", 1024, 2, 8},
    {"W5a heat kernel", 1024, 8, 8},
    {"W5a heat kernel, last", 1024, 8, 1},
    {"W5b heat kernel, embedded", 1024, 256, 8},
    {"W6 circle sampling", 1500, 128, 128, true},
    {"W7 likelihood", 5625, 128, 128, true},
    {"W7 likelihood, two tangents", 11250, 128, 128, true},
    {"W8 S-MEME delta, first", 32, 5, 64, false, true},
    {"W8 S-MEME delta", 32, 64, 64},
    {"W8 S-MEME delta, last", 32, 64, 4},
    {"W9 sampling, first", 1024, 68, 256, true},
    {"W9 sampling", 1024, 256, 256, true},
    {"W9 sampling, last", 1024, 256, 4, true},
    {"W10 wide layers", 256, 1024, 1024},
    {"W10 wider layers", 256, 2048, 2048},
    {"W11 many rows, range of rows", 390, 256, 256},
    {"square of 512", 512, 512, 512},
    {"square of 1024", 1024, 1024, 1024},
    {"square of 2048", 2048, 2048, 2048},
};

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }
double median(std::vector<double> all) {
  std::sort(all.begin(), all.end());
  return all[all.size() / 2];
}

// Fused multiply-adds on registers alone: more chains than two units are cycles deep.
double peak() {
  using B = simd::Batch<float>;
  constexpr int chains = 12, count = 20000;
  B sum[chains];
  for (B& s : sum) s = B(1);
  const B a(0.999f), b(0.001f);
  const double start = now();
  for (int i = 0; i < count; ++i)
#pragma GCC unroll 16
    for (int c = 0; c < chains; ++c) sum[c] = simd::fma<float>(sum[c], a, b);
  const double time = now() - start;
  for (const B& s : sum) {
    volatile float sink = s.get(0);
    static_cast<void>(sink);
  }
  return 2.0 * chains * count * static_cast<double>(simd::lanes<float>) / time / 1e9;
}

// One product and the ways to compute it.
struct Task {
  Task(const Layer& layer, Kind k)
      : kind(k),
        m(kind == Kind::tn ? layer.in : layer.rows),
        n(kind == Kind::nt ? layer.in : layer.out),
        depth(kind == Kind::nn   ? layer.in
              : kind == Kind::tn ? layer.rows
                                 : layer.out),
        left(Rng(1).uniform({Dtype::f32, kind == Kind::tn ? Shape{depth, m} : Shape{m, depth}}, -1, 1)),
        right(Rng(2).uniform({Dtype::f32, kind == Kind::nt ? Shape{n, depth} : Shape{depth, n}}, -1, 1)),
        weight(right),
        plan(compile(
            [this](std::span<const Var> in) {
              const Var b = kind == Kind::tn ? in[1] : weight.on(in[0].tape());
              return std::vector<Var>{
                  matmul(in[0], b, {.transpose_a = kind == Kind::tn, .transpose_b = kind == Kind::nt})};
            },
            {left.type(), right.type()})) {
    const auto size = [](Index count) { return static_cast<std::size_t>(count); };
    for (auto& out : outs) out.assign(size(m * n), -1);
    packed.assign(size(depth * n + (depth + m) * plain::width), 0);
    grouping = kind == Kind::tn ? group_rows(depth, m * n * 4) : Grouping{};
    partials.assign(grouping.groups > 1 ? size(grouping.slots() * m * n) : 0, 0);
    const Strided<const float> a{left.data<float>().data(), left.shape()[1], 1},
        b{right.data<float>().data(), right.shape()[1], 1};
    const Strided<const float> x = kind == Kind::tn ? a.transposed() : a, w = kind == Kind::nt ? b.transposed() : b;
    const auto out = [this](std::size_t way) { return Strided<float>{outs[way].data(), n, 1}; };
    ways[0] = [=, this] {
      if (grouping.groups > 1)
        multiply_grouped(grouping, m, n, depth, x, w, out(0), partials.data(), packed.data());
      else
        multiply(m, n, depth, x, w, out(0), packed.data());
    };
    ways[1] = [this] { plan.run({left, right}); };
    ways[2] = [=, this] { multiply_blas(m, n, depth, x, w, out(2)); };
    ways[3] = [=, this] {
      plain::multiply(m, n, depth, {x.data, x.row, x.column}, {w.data, w.row, w.column}, outs[3].data(), packed.data());
    };
  }
  Task(const Task&) = delete;

  // The largest difference of a way from the first, over what the rounding of a sum explains.
  double disagreement() {
    for (const auto& way : ways) way();
    const std::span<const float> planned = plan.outputs()[0].data<float>();
    std::copy(planned.begin(), planned.end(), outs[1].begin());
    double worst = 0;
    for (const auto& out : outs)
      for (std::size_t i = 0; i < out.size(); ++i) {
        const double difference = std::abs(static_cast<double>(out[i]) - static_cast<double>(outs[0][i]));
        if (!(difference <= worst)) worst = difference;  // NaN too
      }
    return worst / (static_cast<double>(depth) * 1.2e-7);
  }

  Kind kind;
  Index m, n, depth;
  Grouping grouping{};
  Array left, right;
  nn::Parameter weight;  // a plan transposes those by itself
  Plan plan;
  std::vector<float> outs[4], packed, partials;
  std::function<void()> ways[4];
};

// Prints a line and returns the peak meanwhile.
double measure(const Layer& layer, Kind kind, int rounds) {
  Task task(layer, kind);
  if (!(task.disagreement() <= 1)) {
    std::fprintf(stderr, "%s: the products differ\n", layer.work);
    std::exit(1);
  }
  const double flops =
      2.0 * static_cast<double>(task.m) * static_cast<double>(task.n) * static_cast<double>(task.depth);
  const int calls = std::max(1, static_cast<int>(5e7 / flops));  // about a millisecond at 50 GF/s
  std::vector<double> rates[4], peaks;
  for (int round = 0; round < rounds; ++round) {
    peaks.push_back(peak());
    for (int turn = 0; turn < 4; ++turn) {
      const int which = (round + turn) % 4;  // whoever comes first after another has cold caches
      const double start = now();
      for (int i = 0; i < calls; ++i) task.ways[which]();
      rates[which].push_back(flops * calls / (now() - start) / 1e9);
    }
  }
  double rate[4];
  for (int i = 0; i < 4; ++i) rate[i] = median(rates[i]);
  const double better = std::max(rate[2], rate[3]), top = median(peaks);
  const char* names[] = {"NN", "TN", "NT"};
  std::printf("%-28s %s %5ld x %4ld x %5ld %8.1f %8.1f %8.1f %8.1f %8.2f %8.2f %7.0f\n", layer.work,
              names[static_cast<int>(kind)], static_cast<long>(task.m), static_cast<long>(task.n),
              static_cast<long>(task.depth), rate[0], rate[1], rate[2], rate[3], rate[0] / better, rate[1] / better,
              100 * rate[0] / top);
  std::fflush(stdout);
  return top;
}

}  // namespace

int main(int count, char** arguments) {
  CLI::App app("GF/s of products, one thread: register tiles, OpenBLAS, plain tiles");
  int rounds = 15;
  std::string only;
  app.add_option("--rounds", rounds, "timed rounds")->check(CLI::PositiveNumber);
  app.add_option("--only", only, "only lines whose name holds this");
  CLI11_PARSE(app, count, arguments);
  set_threads(1);
  std::printf("one thread, medians of %d; OpenBLAS's core is %s\n", rounds, openblas_get_corename());
  std::printf("%-28s    %5s   %4s   %5s %8s %8s %8s %8s %8s %8s %7s\n", "", "m", "n", "k", "ours", "plan", "OpenBLAS",
              "plain", "ours/", "plan/", "% peak");
  std::vector<double> peaks;
  for (const Layer& layer : layers) {
    if (std::string(layer.work).find(only) == std::string::npos) continue;
    peaks.push_back(measure(layer, Kind::nn, rounds));
    if (layer.forward_only) continue;
    peaks.push_back(measure(layer, Kind::tn, rounds));
    if (!layer.first) peaks.push_back(measure(layer, Kind::nt, rounds));
  }
  if (!peaks.empty()) std::printf("peak: %.0f GF/s, the median of all lines\n", median(peaks));
}
