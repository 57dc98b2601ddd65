// Streaming: whether an elementwise op writes a large result past the caches, found by timing its own runs.
//
// A processor reads a line of memory before it writes a part of it, unless the line goes past the caches: that saves a
// third of the traffic of y = f(x), a quarter of y = f(x, z). But who reads the result next does not find it in a
// cache, and some processors are slow at such writes. Which is faster depends on the op, the size and the machine, and
// changes no bit: so an op tries both, each with a reading of the result behind it, and takes what is clearly faster.
// The first runs write through the caches and are not timed; of later ones 1 % belong to trials.
#pragma once
#include <array>
#include <mutex>

#include "autodiff/op.hpp"

namespace wengert {

class Streaming {
 public:
  // Of results from this size on; smaller ones find room in a cache of most machines.
  static constexpr std::size_t least_bytes = std::size_t{1} << 23;

  // Of this op on results of about this size, with so many operands as large as the result; null where too many others
  // are known. May be called on any thread.
  static Streaming* of(const Op& op, const Kernel& k, int large_operands);

  struct Run {
    bool streamed = false, timed = false;
  };
  Run next();
  // The seconds per element of a timed run and of reading its result.
  void took(Run run, double seconds);

 private:
  static constexpr int block = 4;  // runs one way, of which the first, untimed, finds in the caches what the other left
  static constexpr std::size_t samples = 9;  // of each way

  struct Way {
    std::array<double, samples> seconds{};  // of a trial's runs
    std::size_t count = 0;
    double median();
  };

  std::mutex mutex_;
  bool streamed_ = false;
  int run_ = -8;             // of a trial; before it if negative
  std::array<Way, 2> ways_;  // through the caches, past them
};

}  // namespace wengert
