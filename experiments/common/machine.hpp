// The machine that a run ran on: numbers of speed mean nothing without it.
#pragma once
#include <cstdint>
#include <string>

namespace wengert::experiments {

struct Machine {
  std::string cpu;              // the model's name
  int cores;                    // processors that this process may use
  int threads;                  // of the kernels: wengert::threads()
  std::string compiler;         // "GCC 12.2.0"
  std::string instruction_set;  // "fma3+avx2": what the SIMD code was compiled for
  std::string blas;             // OpenBLAS's kernel: "SkylakeX"
  std::string date;             // UTC: "2025-11-22T14:05:00Z"
};

Machine this_machine();

// Bytes of memory that this process may come to use: of the machine, of its container, of ulimit -v.
std::int64_t memory();

}  // namespace wengert::experiments
