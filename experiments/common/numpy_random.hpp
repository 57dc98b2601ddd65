// NumPy's random numbers, bit for bit: for data that a study drew with them. What is drawn for ourselves comes from
// autodiff/random.hpp.
#pragma once
#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "autodiff/dtype.hpp"

namespace wengert::experiments::numpy {

// The sum of a contiguous array as numpy.sum rounds it: pairwise, in blocks of 128 with eight sums each.
double sum(std::span<const double> values);

// numpy.random.default_rng(seed) for a seed below 2^64: PCG64 (O'Neill, "PCG: a family of simple fast space-efficient
// statistically good algorithms for random number generation", 2014; XSL-RR, 128 bits of state) behind SeedSequence.
class Generator {
 public:
  explicit Generator(std::uint64_t seed);

  std::uint64_t bits();  // the next 64
  double random();       // in [0, 1), a multiple of 2^-53

  // choice(len(p), size, replace=False, p=p): different indices, of which i comes with probability p[i] first. Throws
  // Error unless every p is finite and not negative, their sum is 1 to 1.5e-8, and `size` of them are positive.
  std::vector<Index> choice(std::span<const double> p, Index size);

 private:
  __extension__ typedef unsigned __int128 Wide;
  Wide state_ = 0, increment_ = 0;
};

// numpy.random.RandomState(seed) for a seed below 2^32: the Mersenne twister.
class RandomState {
 public:
  explicit RandomState(std::uint32_t seed) : twister_(seed) {}

  std::uint32_t bits() { return static_cast<std::uint32_t>(twister_()); }
  Index below(Index n);                     // uniform in [0, n), 1 <= n <= 2^32, by rejection of masked bits
  std::vector<Index> permutation(Index n);  // of 0, ..., n - 1

 private:
  std::mt19937 twister_;
};

}  // namespace wengert::experiments::numpy
