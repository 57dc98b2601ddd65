// What a node costs in instructions, with kernels as small as they get (8 elements): for callgrind, which counts.
//
//   bench_recording MODE COUNT      MODE: record, backward, track, replay, fused, step
//
// Records COUNT nodes, twice COUNT in `backward` with their gradient, or COUNT with the tracking of NaN and infinities;
// or replays a plan of 100 nodes, each a step of its own or all in one chain, until COUNT are computed; or takes COUNT
// steps of an eager training loop: a SiLU network 2-8-8-2 on 16 rows, the mean of squares, its gradient, Adam. The
// difference between two counts is free of what starting costs; tests/benchmarks/instructions divides it out.
#include <cstdio>
#include <cstdlib>
#include <string>

#include "autodiff/autodiff.hpp"
#include "nn/nn.hpp"

using namespace wengert;

namespace {

Var chain(Var x, Var a, long nodes) {
  Var y = x;
  for (long i = 0; i < nodes / 4; ++i) {
    y = y * a;
    y = tanh(y);
    y = y + x;
    y = square(y);
  }
  return y;
}

void record(const std::string& mode, long nodes) {
  Tape tape;
  tape.track_nonfinite(mode == "track");
  const Var x = tape.full(Shape{8}, 0.5), y = chain(x, tape.full(Shape{8}, 0.75), nodes);
  if (mode == "backward") grad(sum(y), x);
  std::printf("%u nodes\n", tape.size());
}

void replay(const std::string& mode, long nodes) {
  constexpr long length = 100;
  const Type type{Dtype::f32, {8}};
  Plan plan = compile([](std::span<const Var> in) { return std::vector<Var>{chain(in[0], in[1], length)}; },
                      {type, type}, {.rewrites = mode == "fused"});
  const Array x(type), a(type);
  for (long i = 0; i < nodes / length; ++i) plan.run({x, a});
  std::printf("%ld nodes\n", nodes / length * length);
}

void train(long steps) {
  Rng rng(1);
  nn::Mlp net({.in = 2, .hidden = {8, 8}, .out = 2, .activation = silu}, rng);
  nn::Adam adam(net, {.lr = 1e-3});
  const Array x = rng.normal({Dtype::f32, {16, 2}}), y = rng.normal({Dtype::f32, {16, 2}});
  Tape tape;
  const Tape::Mark begin = tape.mark();
  for (long i = 0; i < steps; ++i) {
    tape.rewind(begin);
    adam.step(mean(square(net(tape.input(x)) - tape.input(y))));
  }
  std::printf("%ld steps of %u nodes\n", steps, tape.size());
}

}  // namespace

int main(int count, char** arguments) {
  const std::string mode = count == 3 ? arguments[1] : "";
  const long nodes = count == 3 ? std::atol(arguments[2]) : 0;
  const bool records = mode == "record" || mode == "backward" || mode == "track";
  if ((!records && mode != "replay" && mode != "fused" && mode != "step") || nodes < 4) {
    std::fputs("usage: bench_recording record|backward|track|replay|fused|step COUNT\n", stderr);
    return 2;
  }
  set_threads(1);
  if (mode == "step")
    train(nodes);
  else
    records ? record(mode, nodes) : replay(mode, nodes);
}
