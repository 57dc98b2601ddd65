// What a node costs in instructions, with kernels as small as they get (8 elements): for callgrind, which counts.
//
//   bench_recording MODE COUNT      MODE: record, backward, track
//
// Records COUNT nodes, twice COUNT in `backward` with their gradient, or COUNT with the tracking of NaN and infinities.
// The difference between two counts is free of what starting costs; tests/benchmarks/instructions divides it out.
#include <cstdio>
#include <cstdlib>
#include <string>

#include "autodiff/autodiff.hpp"

int main(int count, char** arguments) {
  using namespace wengert;
  const std::string mode = count == 3 ? arguments[1] : "";
  const long nodes = count == 3 ? std::atol(arguments[2]) : 0;
  if ((mode != "record" && mode != "backward" && mode != "track") || nodes < 4) {
    std::fputs("usage: bench_recording record|backward|track COUNT\n", stderr);
    return 2;
  }
  set_threads(1);
  Tape tape;
  tape.track_nonfinite(mode == "track");
  const Var x = tape.full(Shape{8}, 0.5), a = tape.full(Shape{8}, 0.75);
  Var y = x;
  for (long i = 0; i < nodes / 4; ++i) {
    y = y * a;
    y = tanh(y);
    y = y + x;
    y = square(y);
  }
  if (mode == "backward") grad(sum(y), x);
  std::printf("%u nodes\n", tape.size());
}
