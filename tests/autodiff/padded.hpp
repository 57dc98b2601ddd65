// Operands and results of products for their tests: matrices amid padding, and the sums that the contract states.
#pragma once
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <limits>
#include <random>
#include <sstream>

#include "autodiff/kernels/products.hpp"
#include "tests/autodiff/helpers.hpp"

namespace wengert::testing {

template <class T>
inline constexpr T not_a_number = std::numeric_limits<T>::quiet_NaN();
template <class T>
inline constexpr T sentinel = T(-54321.5);

// Room behind what is tested, so that a kernel that runs over its end is told apart from a heap that is broken. The
// address sanitizer sees more without it.
inline constexpr Index behind = SANITIZED ? 1 : 64;

template <class T>
bool same(const T* a, const T* b, Index count) {
  return std::memcmp(a, b, static_cast<std::size_t>(count) * sizeof(T)) == 0;
}

// A matrix amid padding: one element before it, and rows, or columns where it is flipped, longer than they need be.
template <class T>
struct Padded {
  Padded(Index rows, Index columns, bool transposed, T padding)
      : height(rows),
        width(columns),
        stride((transposed ? rows : columns) + 3),
        flipped(transposed),
        memory(static_cast<std::size_t>(1 + (transposed ? columns : rows) * stride + behind), padding) {}
  // The first rows and columns of `values`, whose rows are `row` long, amid NaN.
  Padded(Index rows, Index columns, bool transposed, const std::vector<T>& values, Index row)
      : Padded(rows, columns, transposed, not_a_number<T>) {
    for (Index i = 0; i < rows; ++i)
      for (Index j = 0; j < columns; ++j) at(i, j) = values[static_cast<std::size_t>(i * row + j)];
  }

  Strided<T> view() {
    const Strided<T> plain{memory.data() + 1, stride, 1};
    return flipped ? plain.transposed() : plain;
  }
  Strided<const T> read() const {
    const Strided<const T> plain{memory.data() + 1, stride, 1};
    return flipped ? plain.transposed() : plain;
  }
  T& at(Index i, Index j) { return view().at(i, j).data[0]; }
  T at(Index i, Index j) const { return read().at(i, j).data[0]; }

  // Of a result: whether nothing was written around its rows.
  bool untouched_around() const {
    static const std::vector<T> padding(3 + behind, sentinel<T>);
    bool good = same(memory.data(), padding.data(), 1);
    for (Index i = 0; i < height; ++i)
      good = good && same(memory.data() + 1 + i * stride + width, padding.data(), i + 1 < height ? 3 : 3 + behind);
    return good;
  }

  Index height, width, stride;
  bool flipped;
  std::vector<T> memory;
};

template <class T>
std::vector<T> random_values(Index count, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<T> uniform(-1, 1);
  std::vector<T> values(static_cast<std::size_t>(count));
  for (T& value : values) value = uniform(random);
  return values;
}

// Kernels write no further than they say: what lies behind their scratch is a sentinel.
template <class T>
struct Scratch {
  explicit Scratch(Index count)
      : memory(static_cast<std::size_t>(count + behind), sentinel<T>), size(static_cast<std::size_t>(count)) {
    std::fill_n(memory.begin(), size, not_a_number<T>);
  }
  bool whole() const {
    return std::all_of(memory.begin() + static_cast<Index>(size), memory.end(), [](T x) { return x == sentinel<T>; });
  }
  std::vector<T> memory;
  std::size_t size;
};

// The results of the three functions.
template <class T>
Padded<T> by_tiles(const Padded<T>& a, const Padded<T>& b) {
  Padded<T> out(a.height, b.width, false, sentinel<T>);
  multiply_tiles(a.height, b.width, a.width, a.read(), b.read(), out.view());
  return out;
}
template <class T>
Padded<T> by_multiply(const Padded<T>& a, const Padded<T>& b) {
  Padded<T> out(a.height, b.width, false, sentinel<T>);
  Scratch<T> packed(pack_size(a.height, b.width, a.width, b.read()));
  multiply(a.height, b.width, a.width, a.read(), b.read(), out.view(), packed.memory.data());
  if (!packed.whole()) BOOST_ERROR("multiply wrote behind its packed operand");
  return out;
}
template <class T>
Padded<T> by_groups(const Grouping& groups, const Padded<T>& a, const Padded<T>& b) {
  Padded<T> out(a.height, b.width, false, sentinel<T>);
  Scratch<T> packed(b.read().column == 1 ? 0 : b.width * a.width), partials(groups.slots() * a.height * b.width);
  multiply_grouped(groups, a.height, b.width, a.width, a.read(), b.read(), out.view(), partials.memory.data(),
                   packed.memory.data());
  if (!packed.whole() || !partials.whole()) BOOST_ERROR("multiply_grouped wrote behind its scratch");
  return out;
}

// Element (i, j) over [begin, end) as the contract states it, and what a plain loop in f64 makes of it.
template <class T>
T one_chain(const Padded<T>& a, const Padded<T>& b, Index i, Index j, Index begin, Index end) {
  T sum = 0;
  double exact = 0, size = 0;
  for (Index p = begin; p < end; ++p) {
    sum = std::fma(a.at(i, p), b.at(p, j), sum);
    const double term = static_cast<double>(a.at(i, p)) * static_cast<double>(b.at(p, j));
    exact += term;
    size += std::abs(term);
  }
  const double bound = static_cast<double>(end - begin) * std::numeric_limits<T>::epsilon() * size;
  if (!(std::abs(static_cast<double>(sum) - exact) <= bound))
    BOOST_ERROR("the chain at " << i << "," << j << " is " << sum << ", by a plain loop " << exact);
  return sum;
}
// Chains of 512, added in pairs; one left over moves up as it is.
template <class T>
T pairs(std::vector<T> sums) {
  for (; sums.size() > 1; sums.resize((sums.size() + 1) / 2))
    for (std::size_t s = 0; s < sums.size(); s += 2)
      sums[s / 2] = s + 1 < sums.size() ? sums[s] + sums[s + 1] : sums[s];
  return sums[0];
}
template <class T>
T chain(const Padded<T>& a, const Padded<T>& b, Index i, Index j, Index begin, Index end) {
  if (end - begin <= 4096) return one_chain(a, b, i, j, begin, end);
  std::vector<T> sums;
  for (; begin < end; begin += 512) sums.push_back(one_chain(a, b, i, j, begin, std::min(end, begin + 512)));
  return pairs(sums);
}
// The same in groups, added in pairs as well.
template <class T>
T tree(Index groups, const Padded<T>& a, const Padded<T>& b, Index i, Index j) {
  std::vector<T> sums;
  for (Index g = 0; g < groups; ++g)
    sums.push_back(chain(a, b, i, j, g * a.width / groups, (g + 1) * a.width / groups));
  return pairs(sums);
}

// Compares products with the first rows and columns of what is wanted, and tells of the first ones that differ.
template <class T>
class Judge {
 public:
  void operator()(const char* what, const Padded<T>& a, const Padded<T>& b, const Padded<T>& out,
                  const std::vector<T>& wanted, Index row) {
    ++products_;
    const auto complain = [&](auto... text) {
      if (++wrong_ > 10) return;
      std::ostringstream all;
      (all << ... << text);
      BOOST_ERROR(what << " [" << a.height << "," << a.width << "] x [" << b.height << "," << b.width
                       << "], transposed " << a.flipped << b.flipped << ": " << all.str());
    };
    for (Index i = 0; i < out.height; ++i) {
      const T *got = out.memory.data() + 1 + i * out.stride, *right = wanted.data() + i * row;
      if (same(got, right, out.width)) continue;
      Index j = 0;
      while (same(got + j, right + j, 1)) ++j;
      return complain("at ", i, ",", j, " got ", got[j], ", wanted ", right[j]);
    }
    if (!out.untouched_around()) complain("the padding of out was written to");
  }
  ~Judge() { BOOST_TEST(wrong_ == 0, wrong_ << " of " << products_ << " products are wrong"); }
  long products() const { return products_; }

 private:
  long products_ = 0, wrong_ = 0;
};

}  // namespace wengert::testing
