// The register tiles on every size there is a tail for: all m, n and k of 1 to 70, random ones up to 700, and some of
// every size for which blocks copy what they read.
//
// An element of a product is one chain over k, whatever lies around it. One matrix of chains for each k therefore
// serves the products of all heights and widths: it is compared with a plain loop in f64, and every product with it,
// bit by bit. Operands lie amid NaN, results amid a sentinel, all of them one element off a register's boundary.
#define BOOST_TEST_MODULE product_sweep
#include <boost/mpl/list.hpp>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <random>

#include "autodiff/autodiff.hpp"
#include "autodiff/kernels/groups.hpp"
#include "autodiff/kernels/products.hpp"
#include "autodiff/ops/known.hpp"
#include "tests/autodiff/helpers.hpp"
#include "tests/autodiff/padded.hpp"

using namespace wengert;
using namespace wengert::testing;
using Types = boost::mpl::list<float, double>;

namespace {

constexpr Index most = 70;

// Extents of the sweep: all of them, or under a sanitizer those at the ends of registers, tiles and panels.
std::vector<Index> extents() {
  if (SANITIZED) return {1, 2, 3, 4, 5, 7, 8, 9, 13, 16, 17, 24, 31, 33, 48, 63, 65, 70};
  std::vector<Index> all;
  for (Index i = 1; i <= most; ++i) all.push_back(i);
  return all;
}

// The chains of all elements of a[most,k] b[k,most], and their sums in groups.
template <class T>
std::vector<T> table(const Padded<T>& a, const Padded<T>& b, Index groups) {
  std::vector<T> all;
  for (Index i = 0; i < a.height; ++i)
    for (Index j = 0; j < b.width; ++j) all.push_back(tree(groups, a, b, i, j));
  return all;
}

}  // namespace

BOOST_AUTO_TEST_CASE_TEMPLATE(every_size_to_70_is_the_chain, T, Types) {
  const Threads guard(1);
  const std::vector<T> left = random_values<T>(most * most, 1), right = random_values<T>(most * most, 2);
  const std::vector<Index> sizes = extents();
  Judge<T> judge;
  for (const Index k : sizes) {
    const Index groups = Index{2} << k % 3;
    const Padded<T> all_a(most, k, false, left, most), all_b(k, most, false, right, most);
    const std::vector<T> chains = table(all_a, all_b, 1), trees = table(all_a, all_b, groups);
    std::vector<std::array<Padded<T>, 2>> bs;
    for (const Index n : sizes) bs.push_back({Padded<T>(k, n, false, right, most), Padded<T>(k, n, true, right, most)});
    for (const Index m : sizes) {
      const std::array<Padded<T>, 2> as{Padded<T>(m, k, false, left, most), Padded<T>(m, k, true, left, most)};
      for (std::size_t n = 0; n < bs.size(); ++n) {
        // The four ways take turns, so that every two of m, n and k meet in each.
        const std::array<Padded<T>, 2>& b = bs[n];
        const std::size_t turn = (static_cast<std::size_t>(m + k) + n) % 4, flip = static_cast<std::size_t>(m) % 2;
        const Padded<T>&a = as[turn % 2], &either = b[turn / 2];
        judge("multiply_tiles", a, either, by_tiles(a, either), chains, most);
        if (turn < 2)
          judge("multiply", as[flip], b[1 - n % 2], by_multiply(as[flip], b[1 - n % 2]), chains, most);
        else
          judge("multiply_grouped", as[1], b[n % 2], by_groups({groups, groups}, as[1], b[n % 2]), trees, most);
      }
    }
  }
  const auto count = static_cast<long>(sizes.size());
  BOOST_TEST(judge.products() == 2 * count * count * count);
}

namespace {

struct Size {
  Index m, n, k;
};
// Up to `limit`, more of them small than large.
std::vector<Size> random_sizes(int count, double limit, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<double> uniform(0, std::log(limit + 1));
  const auto draw = [&] { return static_cast<Index>(std::exp(uniform(random))); };
  std::vector<Size> sizes;
  for (int i = 0; i < count; ++i) sizes.push_back({draw(), draw(), draw()});
  return sizes;
}

// Elements of an m x n product: the ends of its first and last rows and columns, and random ones between.
std::vector<std::array<Index, 2>> elements(Index m, Index n) {
  std::mt19937_64 random(static_cast<std::uint64_t>(m * 1000 + n));
  std::vector<std::array<Index, 2>> all;
  for (Index i = 0; i < m; ++i) all.push_back({i, n - 1});
  for (Index j = 0; j < n; ++j) all.push_back({m - 1, j});
  for (int c = 0; c < 500; ++c)
    all.push_back({std::uniform_int_distribution<Index>(0, m - 1)(random),
                   std::uniform_int_distribution<Index>(0, n - 1)(random)});
  return all;
}

}  // namespace

BOOST_AUTO_TEST_CASE_TEMPLATE(larger_sizes_are_the_chain, T, Types) {
  int round = 0;
  std::vector<Size> sizes = random_sizes(SANITIZED ? 8 : 40, 700, 3);
  // Large enough for blocks that copy what they read, of several pieces, rows and columns.
  sizes.push_back({SANITIZED ? 70 : 290, 1030, 300});
  if (!SANITIZED) sizes.insert(sizes.end(), {{700, 699, 698}, {66, 700, 1050}, {1100, 40, 600}});
  for (const auto& [m, n, k] : sizes) {
    const Threads guard(1 + round++ % 3);
    const std::vector<T> left = random_values<T>(m * k, 4), right = random_values<T>(k * n, 5);
    const Index groups = std::max<Index>(2, group_rows(k, m * n * static_cast<Index>(sizeof(T))).groups);
    for (const bool flip_a : {false, true})
      for (const bool flip_b : {false, true}) {
        const Padded<T> a(m, k, flip_a, left, k), b(k, n, flip_b, right, n);
        const Padded<T> out = by_multiply(a, b), grouped = by_groups({groups, groups / 2}, a, b);
        BOOST_TEST((out.untouched_around() && grouped.untouched_around()));
        for (const auto& [i, j] : elements(m, n)) {
          const T wanted = chain(a, b, i, j, 0, k), sum = tree(groups, a, b, i, j), got = out.at(i, j),
                  got_sum = grouped.at(i, j);
          if (same(&got, &wanted, 1) && same(&got_sum, &sum, 1)) continue;
          BOOST_ERROR("[" << m << "," << k << "] x [" << k << "," << n << "], transposed " << flip_a << flip_b
                          << ": at " << i << "," << j << " got " << got << " and " << got_sum << " in " << groups
                          << " groups, wanted " << wanted << " and " << sum);
          break;
        }
      }
  }
}

// Long products: at the borders of chains and of the tree, and through every part of the kernels. Values are positive,
// so that roundings add up.
BOOST_AUTO_TEST_CASE_TEMPLATE(long_products_are_chains_in_a_tree, T, Types) {
  const std::vector<Size> sizes{{1, 1, 4096},   {3, 2, 4097},     {9, 17, 4608}, {70, 5, 4609},  {5, 70, 5120},
                                {65, 33, 5121}, {130, 100, 6001}, {17, 1, 8191}, {2, 300, 9217}, {2, 3, 100003}};
  for (const auto& [m, n, k] : sizes) {
    if (SANITIZED && m * n > 2000) continue;
    std::vector<T> left = random_values<T>(m * k, 9), right = random_values<T>(k * n, 10);
    for (std::vector<T>* all : {&left, &right})
      for (T& value : *all) value = std::abs(value);
    const bool flip_a = k % 2 != 0, flip_b = k % 4 == 0;
    const Padded<T> a(m, k, flip_a, left, k), b(k, n, flip_b, right, n);
    const auto run = [&](int threads) {
      const Threads guard(threads);
      return std::vector<Padded<T>>{by_multiply(a, b), by_groups({2, 2}, a, b), by_tiles(a, b)};
    };
    const std::vector<Padded<T>> outs = run(1);
    for (const int threads : {2, 3, 7}) {
      const std::vector<Padded<T>> team = run(threads);
      for (std::size_t o = 0; o < outs.size(); ++o)
        BOOST_TEST(same(outs[o].memory.data(), team[o].memory.data(), static_cast<Index>(outs[o].memory.size())),
                   threads << " threads");
    }
    const Index step = std::max<Index>(1, m * n / 60);
    for (Index e = 0; e < m * n; e += step) {
      const Index i = e / n, j = e % n;
      const T stated = chain(a, b, i, j, 0, k), grouped = tree(2, a, b, i, j);
      long double exact = 0;
      for (Index p = 0; p < k; ++p) exact += static_cast<long double>(a.at(i, p)) * b.at(p, j);
      for (std::size_t o = 0; o < outs.size(); ++o) {
        const T got = outs[o].at(i, j), &wanted = o == 1 ? grouped : stated;
        const auto error =
            std::abs(static_cast<long double>(got) - exact) / (exact * std::numeric_limits<T>::epsilon());
        BOOST_TEST((same(&got, &wanted, 1) && error < ((o == 1 ? k / 2 : k) > 4096 ? 8 : 24)),
                   "[" << m << "," << k << "] x [" << k << "," << n << "] by way " << o << " at " << i << "," << j
                       << ": " << got << ", wanted " << wanted << ", error " << static_cast<double>(error) << " eps");
      }
    }
    for (const Padded<T>& out : outs) BOOST_TEST(out.untouched_around());
  }
}

// An element of a product is the same alone, in its row alone, in its column alone, and among neighbours that are NaN.
BOOST_AUTO_TEST_CASE_TEMPLATE(an_element_does_not_know_its_neighbours, T, Types) {
  std::vector<Size> sizes = random_sizes(SANITIZED ? 20 : 120, 700, 6);
  for (const Index m : extents()) sizes.push_back({m, 1 + m * 37 % most, 1 + m * 23 % most});
  for (const auto& [m, n, k] : sizes) {
    const std::vector<T> left = random_values<T>(m * k, 7), right = random_values<T>(k * n, 8);
    const Padded<T> a(m, k, m % 2 != 0, left, k), b(k, n, n % 2 != 0, right, n), whole = by_multiply(a, b);
    for (const Index i : {Index{0}, m / 2, m - 1}) {
      const Index j = (i * 7919 + k) % n;
      const std::vector<T> row(left.begin() + i * k, left.begin() + (i + 1) * k);
      const Padded<T> a_row(1, k, false, row, k), row_alone = by_multiply(a_row, b);
      std::vector<T> column;
      for (Index p = 0; p < k; ++p) column.push_back(right[static_cast<std::size_t>(p * n + j)]);
      const Padded<T> b_column(k, 1, false, column, 1), column_alone = by_multiply(a, b_column);
      const Padded<T> alone = by_tiles(a_row, b_column);
      Padded<T> lone_a(m, k, a.flipped, not_a_number<T>), lone_b(k, n, b.flipped, not_a_number<T>);
      for (Index p = 0; p < k; ++p) {
        lone_a.at(i, p) = a.at(i, p);
        lone_b.at(p, j) = b.at(p, j);
      }
      const Padded<T> among_nans = by_multiply(lone_a, lone_b);
      const T wanted = whole.at(i, j), got[] = {alone.at(0, 0), column_alone.at(i, 0), among_nans.at(i, j)};
      bool good = same(row_alone.memory.data() + 1, whole.memory.data() + 1 + i * whole.stride, n);
      for (const T& value : got) good = good && same(&value, &wanted, 1);
      for (Index r = 0; r < m; ++r) {
        const T one = column_alone.at(r, 0), other = whole.at(r, j);
        good = good && same(&one, &other, 1);
      }
      BOOST_TEST(good, "[" << m << "," << k << "] x [" << k << "," << n << "] at " << i << "," << j << ": " << wanted
                           << " among others, " << got[0] << " alone, " << got[1] << " in its column, " << got[2]
                           << " among NaN, " << row_alone.at(0, j) << " in its row");
    }
  }
}

// A stack of thin second operands goes through one product with the columns of all of them.
BOOST_AUTO_TEST_CASE_TEMPLATE(stacks_of_thin_products_are_each_product, T, Types) {
  const Dtype dtype = sizeof(T) == 4 ? Dtype::f32 : Dtype::f64;
  struct Stack {
    Shape a, b;  // leading axes
    Index in_common;
  };
  const std::vector<Stack> stacks{{{}, {7}, 7},        {{1}, {40}, 40},     {{1, 3}, {5, 3}, 5},
                                  {{3}, {5, 3}, 5},    {{1, 1}, {2, 3}, 6}, {{2}, {2}, 1},
                                  {{3, 1}, {3, 2}, 1}, {{}, {1}, 1},        {{}, {0}, 0}};
  const std::vector<Size> sizes{{8, 1, 5},   {65, 1, 33}, {130, 3, 22}, {9, 7, 300},
                                {70, 13, 1}, {7, 2, 4},   {12, 4, 0},   {66, 31, 5}};
  int turn = 0;
  for (const Stack& stack : stacks)
    for (const Size& size : sizes) {
      const Threads guard(1 + turn % 3);
      const bool ta = turn % 2 != 0, tb = turn / 2 % 2 != 0;
      ++turn;
      Tape tape(dtype);
      const auto matrix = [](Index rows, Index columns, bool flip) {
        return flip ? Shape{columns, rows} : Shape{rows, columns};
      };
      const Shape a_shape = stack.a.followed_by(matrix(size.m, size.k, ta)),
                  b_shape = stack.b.followed_by(matrix(size.k, size.n, tb));
      const Var a = tape.input(random_array(dtype, a_shape, 1)), b = tape.input(random_array(dtype, b_shape, 2));
      const MatmulOptions options{.transpose_a = ta, .transpose_b = tb};
      const Var all = matmul(a, b, options);
      // One by one.
      const Shape& batch = stack.b;
      const Var a_each = reshape(broadcast_to(a, batch.followed_by(a_shape.trailing(2))),
                                 Shape{batch.size()}.followed_by(a_shape.trailing(2)));
      const Var b_each = reshape(b, Shape{batch.size()}.followed_by(b_shape.trailing(2)));
      const Var each = reshape(all, Shape{batch.size(), size.m, size.n});
      bool same_as_each = true;
      for (Index i = 0; i < batch.size(); ++i)
        same_as_each = same_as_each && same_bits(each[i].value(), matmul(a_each[i], b_each[i], options).value());
      BOOST_TEST(same_as_each, to_string(a_shape) << " x " << to_string(b_shape) << ", transposed " << ta << tb);
      const Type types[] = {a.type(), b.type()};
      const Type* const pointers[] = {&types[0], &types[1]};
      const Attributes attributes = to_attributes(options);
      if (stack.in_common > 1 && !ta && (size.n == 1 ? size.m >= 8 : worth_stacking<T>(size.m, size.n)))
        BOOST_TEST(matmul_op().scratch_bytes({pointers, attributes}, all.type()) ==
                   static_cast<std::size_t>(stack.in_common * size.n * size.k) * sizeof(T));
    }
}
