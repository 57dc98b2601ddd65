// Matrix products against plain loops, to the last bit where the contract states the order of the sum.
// The thread sanitizer runs this file.
#define BOOST_TEST_MODULE products
#include "autodiff/kernels/products.hpp"

#include <algorithm>
#include <bit>
#include <boost/mpl/list.hpp>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <limits>
#include <random>

#include "autodiff/kernels/groups.hpp"
#include "tests/autodiff/helpers.hpp"

using namespace wengert;
using wengert::testing::Threads;
using Types = boost::mpl::list<float, double>;

namespace {

// A matrix in the middle of NaNs: its first element is not aligned and its rows are longer than they need be.
template <class T>
struct Matrix {
  Matrix(Index rows, Index columns, bool transposed = false, Index pad = 3)
      : height(rows),
        width(columns),
        stride((transposed ? rows : columns) + pad),
        flipped(transposed),
        memory(static_cast<std::size_t>(1 + (transposed ? columns : rows) * stride + pad),
               std::numeric_limits<T>::quiet_NaN()) {}
  Matrix(Index rows, Index columns, bool transposed, Index pad, std::uint64_t seed)
      : Matrix(rows, columns, transposed, pad) {
    std::mt19937_64 random(seed);
    std::uniform_real_distribution<T> uniform(-1, 1);
    for (Index i = 0; i < rows; ++i)
      for (Index j = 0; j < columns; ++j) at(i, j) = uniform(random);
  }

  Strided<T> view() {
    const Strided<T> plain{memory.data() + 1, stride, 1};
    return flipped ? plain.transposed() : plain;
  }
  Strided<const T> read() const {
    const Strided<const T> plain{memory.data() + 1, stride, 1};
    return flipped ? plain.transposed() : plain;
  }
  T& at(Index i, Index j) { return memory[place(i, j)]; }
  T at(Index i, Index j) const { return memory[place(i, j)]; }
  std::size_t place(Index i, Index j) const {
    return static_cast<std::size_t>(1 + (flipped ? j * stride + i : i * stride + j));
  }
  // Whether all that lies around the elements is still NaN.
  bool untouched_around() const {
    std::vector<bool> inside(memory.size());
    for (Index i = 0; i < height; ++i)
      for (Index j = 0; j < width; ++j) inside[place(i, j)] = true;
    for (std::size_t p = 0; p < memory.size(); ++p)
      if (!inside[p] && !std::isnan(memory[p])) return false;
    return true;
  }

  Index height, width, stride;
  bool flipped;
  std::vector<T> memory;
};

// The stated sum: one chain of fused multiply-adds over k, ascending, from zero.
template <class T>
T chain(const Matrix<T>& a, const Matrix<T>& b, Index i, Index j, Index begin, Index end) {
  T sum = 0;
  for (Index p = begin; p < end; ++p) sum = std::fma(a.at(i, p), b.at(p, j), sum);
  return sum;
}

template <class T>
bool same(T a, T b) {
  return std::memcmp(&a, &b, sizeof(T)) == 0;
}

template <class T>
Matrix<T> multiplied(const Matrix<T>& a, const Matrix<T>& b, Index rows, Index columns) {
  Matrix<T> out(rows, columns, false, 5);
  const Index k = a.width, packed = pack_size(a.height, columns, k, b.read());
  std::vector<T> buffer(static_cast<std::size_t>(packed) + 1, T(77));
  multiply(rows, columns, k, a.read(), b.read(), out.view(), buffer.data());
  BOOST_TEST_REQUIRE(out.untouched_around());
  BOOST_TEST_REQUIRE(buffer.back() == T(77));
  return out;
}

// Compares up to `count` elements with the chain.
template <class T>
void check_chain(const Matrix<T>& a, const Matrix<T>& b, const Matrix<T>& out, Index count, const char* what) {
  const Index size = out.height * out.width;
  std::mt19937_64 random(5);
  for (Index c = 0; c < std::min(size, count); ++c) {
    const Index at = size <= count ? c : std::uniform_int_distribution<Index>(0, size - 1)(random);
    const Index i = at / out.width, j = at % out.width;
    const T wanted = chain(a, b, i, j, 0, a.width);
    if (!same(out.at(i, j), wanted)) {
      BOOST_ERROR(what << " [" << out.height << "," << a.width << "] x [" << a.width << "," << out.width
                       << "], flipped " << a.flipped << b.flipped << ": at " << i << "," << j << " got " << out.at(i, j)
                       << ", wanted " << wanted);
      return;
    }
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE_TEMPLATE(every_small_product_is_the_chain, T, Types) {
  for (Index m = 0; m <= 18; ++m)
    for (Index n = 0; n <= 20; ++n)
      for (Index k = 0; k <= 20; ++k) {
        const bool flip_a = (m + n + k) % 2 != 0, flip_b = (m + n / 2 + k) % 2 != 0;
        const Matrix<T> a(m, k, flip_a, 3, 1), b(k, n, flip_b, 3, 2);
        check_chain(a, b, multiplied(a, b, m, n), 400, "multiply");
      }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(all_transposes_of_larger_products_are_the_chain, T, Types) {
  const std::vector<std::array<Index, 3>> shapes{{1, 64, 64},   {37, 64, 101},  {64, 101, 37}, {101, 37, 64},
                                                 {9, 700, 33},  {700, 2, 65},   {31, 15, 700}, {130, 129, 257},
                                                 {256, 128, 3}, {8, 33, 300},   {65, 31, 1},   {4, 513, 48},
                                                 {127, 17, 64}, {66, 144, 768}, {3, 900, 40}};
  for (const auto& [m, n, k] : shapes)
    for (const bool flip_a : {false, true})
      for (const bool flip_b : {false, true}) {
        const Matrix<T> a(m, k, flip_a, 1, 1), b(k, n, flip_b, 2, 2);
        check_chain(a, b, multiplied(a, b, m, n), 3000, "multiply");
      }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(tiles_by_themselves, T, Types) {
  for (Index n = 1; n <= 70; ++n)
    for (Index m : {1, 2, 3, 5, 8, 11, 15}) {
      const Index k = 1 + (n * 7 + m) % 23;
      const Matrix<T> a(m, k, n % 2 != 0, 1, 1), b(k, n, false, 1, 2);
      Matrix<T> out(m, n, false, 4);
      multiply_tiles(m, n, k, a.read(), b.read(), out.view());
      BOOST_TEST_REQUIRE(out.untouched_around());
      check_chain(a, b, out, 2000, "multiply_tiles");
    }
  // A sum that is interrupted: fewer columns than a register holds, and more rows of b than its buffer.
  for (Index k : {255, 256, 257, 512, 700}) {
    const Matrix<T> a(5, k, false, 0, 1), b(k, 2, false, 0, 2);
    Matrix<T> out(5, 2);
    multiply_tiles<T>(5, 2, k, a.read(), b.read(), out.view());
    check_chain(a, b, out, 100, "multiply_tiles");
  }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(sums_over_rows_are_chains_joined_by_a_tree, T, Types) {
  for (const auto& [m, n, k] : std::vector<std::array<Index, 3>>{
           {3, 2, 130}, {17, 33, 129}, {64, 64, 500}, {37, 101, 300}, {1, 1, 2000}, {20, 40, 64}})
    for (Index groups : {2, 4, 8, 16, 32, 128})
      for (const bool flip_b : {false, true}) {
        const Matrix<T> a(m, k, true, 2, 1), b(k, n, flip_b, 2, 2);
        Matrix<T> out(m, n);
        const Grouping grouping{groups, groups >= 8 ? groups / 4 : groups};
        std::vector<T> partials(static_cast<std::size_t>(grouping.slots() * m * n)),
            packed(static_cast<std::size_t>(n * k));
        multiply_grouped(grouping, m, n, k, a.read(), b.read(), out.view(), partials.data(), packed.data());
        BOOST_TEST_REQUIRE(out.untouched_around());
        for (Index e = 0; e < std::min<Index>(m * n, 60); ++e) {
          const Index at = e * 7919 % (m * n), i = at / n, j = at % n;
          std::vector<T> tree;
          for (Index g = 0; g < groups; ++g) tree.push_back(chain(a, b, i, j, g * k / groups, (g + 1) * k / groups));
          while (tree.size() > 1) {  // neighbours in pairs
            std::vector<T> next;
            for (std::size_t t = 0; t < tree.size(); t += 2) next.push_back(tree[t] + tree[t + 1]);
            tree = next;
          }
          if (!same(out.at(i, j), tree[0]))
            BOOST_ERROR("[" << m << "," << k << "] x [" << k << "," << n << "] in " << groups << " groups at " << i
                            << "," << j << ": got " << out.at(i, j) << ", wanted " << tree[0]);
        }
      }
}

BOOST_AUTO_TEST_CASE(blas_takes_rows_and_columns_of_one) {
  // Of one row or one column, the distances between elements say nothing about which it is.
  const std::vector<float> a{2, 3}, b{5, 7, 11};
  std::vector<float> out(6);
  multiply_blas<float>(2, 3, 1, {a.data(), 1, 1}, {b.data(), 1, 1}, {out.data(), 3, 1});
  BOOST_TEST(out == (std::vector<float>{10, 14, 22, 15, 21, 33}));
  std::vector<float> dot(1);
  multiply_blas<float>(1, 1, 2, {a.data(), 1, 1}, {b.data(), 1, 1}, {dot.data(), 1, 1});
  BOOST_TEST(dot[0] == 31);
}

BOOST_AUTO_TEST_CASE(threads_and_blocks_cover_a_result_once_and_evenly) {
  for (const Index m : {1, 2, 11, 41, 64, 73, 325, 530})
    for (const Index n : {1, 3, 16, 17, 127, 325, 1051})
      for (const Index step : {16, 18})
        for (Index threads = 1; threads <= 5; ++threads) {
          const Slices slices(m, n, step);
          std::vector<int> seen(static_cast<std::size_t>(m * n), 0);
          Index least = m * n, most = 0;
          for (Index t = 0; t < threads; ++t) {
            const Rectangle part = slices.run(slices.count() * t / threads, slices.count() * (t + 1) / threads);
            least = std::min(least, part.height() * part.width());
            most = std::max(most, part.height() * part.width());
            for_each_block(part, {72, 128}, [&](const Rectangle& block) {
              BOOST_TEST((block.height() <= 72 && block.width() <= 128));
              for (Index i = block.top; i < block.bottom; ++i)
                for (Index j = block.left; j < block.right; ++j) ++seen[static_cast<std::size_t>(i * n + j)];
            });
          }
          BOOST_TEST((std::count(seen.begin(), seen.end(), 1) == m * n), m << " x " << n << ", " << threads);
          const Index slice = m > n ? 12 * n : step * m;  // and the last one may be short
          BOOST_TEST(most - least <= 2 * slice, m << " x " << n << ", " << threads);
        }
  // Blocks of 512 columns at most: three of 351 rather than one of 27 after two.
  std::vector<Index> widths;
  for_each_block({0, 12, 0, 1051}, large_block, [&](const Rectangle& block) { widths.push_back(block.width()); });
  BOOST_TEST(widths == (std::vector<Index>{384, 384, 283}));
}

BOOST_AUTO_TEST_CASE(groups_cover_the_rows_once) {
  for (Index rows = 0; rows < 100'000; rows += rows < 300 ? 1 : 53 + rows / 8)
    for (Index bytes : {Index{4}, Index{4096}, Index{1} << 17, Index{1} << 24}) {
      const Grouping grouping = group_rows(rows, bytes);
      const Index groups = grouping.groups, shares = grouping.shares;
      BOOST_TEST((groups == 1 || 96 * groups <= rows));
      BOOST_TEST((std::has_single_bit(static_cast<std::uint64_t>(groups)) &&
                  std::has_single_bit(static_cast<std::uint64_t>(shares))));
      BOOST_TEST((shares >= 1 && shares <= 32 && groups % shares == 0));
      BOOST_TEST((shares <= 8 || shares * bytes <= Index{1} << 24));
      BOOST_TEST(grouping.begin(0, rows) == 0);
      BOOST_TEST(grouping.begin(groups, rows) == rows);
      for (Index g = 0; g < groups; ++g) BOOST_TEST(grouping.begin(g, rows) <= grouping.begin(g + 1, rows));
    }
  const auto groups_of = [](Index rows, Index bytes) { return group_rows(rows, bytes).groups; };
  BOOST_TEST(groups_of(5000, 1024) == 32);
  BOOST_TEST(groups_of(191, 4) == 1);
  BOOST_TEST(groups_of(192, 4) == 2);
  BOOST_TEST(groups_of(1000, 1 << 18) == 4);  // 1 MB of partial sums
  // Of many rows there are many groups, of which few partial sums are held.
  BOOST_TEST(groups_of(100'000, 4) == 512);
  BOOST_TEST(groups_of(Index{1} << 40, 4) == 1 << 15);
  BOOST_TEST(groups_of(Index{1} << 40, 0) == 32);  // of no elements
  BOOST_TEST(groups_of(100'000, 1 << 18) == 256);
  BOOST_TEST(group_rows(1'000'000, 1 << 18).slots() < 32 * 10);
  // The groups of a sum with fewer are made up of those of one with more.
  for (Index rows : {97, 500, 5000, 100'000})
    for (Index groups = 1; 2 * groups <= groups_of(rows, 4); groups *= 2)
      for (Index g = 0; g <= groups; ++g)
        BOOST_TEST((Grouping{groups, 1}.begin(g, rows) == Grouping{2 * groups, 1}.begin(2 * g, rows)));
}

namespace {

// Every element of a product of some of the rows, or of some of the columns, is that of the whole.
template <class T>
void check_parts(Index m, Index n, Index k, const std::vector<Index>& rows, const std::vector<Index>& columns) {
  const Matrix<T> a(m, k, false, 1, 1), b(k, n, false, 1, 2);
  const Matrix<T> whole = multiplied(a, b, m, n);
  int different = 0;
  // The part of `height` x `width` elements that begins at row i and column j.
  const auto compare = [&](Index i, Index j, Index height, Index width) {
    Matrix<T> part(height, width);
    std::vector<T> packed(1);
    multiply(height, width, k, a.read().at(i, 0), b.read().at(0, j), part.view(), packed.data());
    for (Index r = 0; r < height; ++r)
      for (Index c = 0; c < width; ++c)
        if (!same(part.at(r, c), whole.at(i + r, j + c))) {
          if (++different <= 10)
            BOOST_ERROR("rows " << i << " to " << i + height << ", columns " << j << " to " << j + width << " of [" << m
                                << "," << k << "] x [" << k << "," << n << "]: other bits at " << r << "," << c);
          return;
        }
  };
  for (Index r : rows) {
    compare(0, 0, r, n);
    compare(r, 0, m - r, n);
  }
  for (Index c : columns) {
    compare(0, 0, m, c);
    compare(0, c, m, n - c);
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE_TEMPLATE(bits_do_not_depend_on_the_other_rows_and_columns, T, Types) {
  std::vector<Index> all;
  for (Index i = 1; i < 100; ++i) all.push_back(i);
  check_parts<T>(100, 100, 64, all, all);
  check_parts<T>(300, 37, 101, {1, 7, 8, 9, 63, 64, 65, 127, 128, 129, 255, 257}, {1, 2, 15, 16, 17, 31, 32, 33, 36});
}

BOOST_AUTO_TEST_CASE_TEMPLATE(bits_do_not_depend_on_threads, T, Types) {
  for (const std::array<Index, 3>& e :
       std::vector<std::array<Index, 3>>{{500, 64, 101}, {33, 700, 128}, {64, 256, 256}}) {
    const Index m = e[0], n = e[1], k = e[2];
    const Matrix<T> a(m, k, true, 1, 1), b(k, n, true, 1, 2);
    const auto run = [&](int count) {
      const Threads guard(count);
      Matrix<T> all = multiplied(a, b, m, n), grouped(m, n);
      std::vector<T> partials(static_cast<std::size_t>(8 * m * n)), packed(static_cast<std::size_t>(n * k));
      multiply_grouped<T>({8, 8}, m, n, k, a.read(), b.read(), grouped.view(), partials.data(), packed.data());
      all.memory.insert(all.memory.end(), grouped.memory.begin(), grouped.memory.end());
      return all.memory;
    };
    const std::vector<T> alone = run(1);
    for (int count : {2, 3, 7}) {
      const std::vector<T> team = run(count);
      BOOST_TEST((std::memcmp(alone.data(), team.data(), alone.size() * sizeof(T)) == 0), count << " threads");
    }
  }
}

// From here on products that OpenBLAS may compute: its sums have an order of their own, so that bits are compared among
// results alone.

BOOST_AUTO_TEST_CASE_TEMPLATE(large_products_are_right, T, Types) {
  for (const bool flip_a : {false, true})
    for (const bool flip_b : {false, true}) {
      const Index m = 300, n = 800, k = 800;
      const Matrix<T> a(m, k, flip_a, 3, 1), b(k, n, flip_b, 3, 2);
      Matrix<T> by_blas(m, n);
      multiply_blas(m, n, k, a.read(), b.read(), by_blas.view());
      BOOST_TEST_REQUIRE(by_blas.untouched_around());
      const Matrix<T> by_all = multiplied(a, b, m, n);
      double worst = 0;
      for (Index e = 0; e < 3000; ++e) {
        const Index at = e * 7919 % (m * n), i = at / n, j = at % n;
        double wanted = 0, size = 0;
        for (Index p = 0; p < k; ++p) {
          const double term = static_cast<double>(a.at(i, p)) * static_cast<double>(b.at(p, j));
          wanted += term;
          size += std::abs(term);
        }
        const double bound = size * std::numeric_limits<T>::epsilon();
        for (const Matrix<T>* got : {&std::as_const(by_blas), &by_all}) {
          const double error = std::abs(static_cast<double>(got->at(i, j)) - wanted) / bound;
          if (!(error <= worst)) worst = error;  // NaN too
        }
      }
      BOOST_TEST_MESSAGE("800 x 800 by OpenBLAS: largest error " << worst << " eps of the sum of absolute values");
      BOOST_TEST(worst < 4);
    }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(large_products_do_not_depend_on_other_rows, T, Types) {
  check_parts<T>(260, 770, 768, {1, 2, 5, 64, 256, 257, 259}, {});
}

BOOST_AUTO_TEST_CASE_TEMPLATE(large_products_do_not_depend_on_threads, T, Types) {
  const Matrix<T> a(520, 768, false, 0, 1), b(768, 768, false, 0, 2);
  const auto run = [&](int count) {
    const Threads guard(count);
    return multiplied(a, b, 520, 768).memory;
  };
  const std::vector<T> alone = run(1);
  for (int count : {2, 3, 7}) {
    const std::vector<T> team = run(count);
    BOOST_TEST((std::memcmp(alone.data(), team.data(), alone.size() * sizeof(T)) == 0), count << " threads");
  }
}
