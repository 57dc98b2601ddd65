// What the hardware allows for a training step of a ReLU MLP: no engine, no BLAS, threads that meet at a spinning
// barrier and end with a block of steps. A worker like those in peers/: `limit --threads N` reads names of workloads
// and answers with lines of JSON.
//
// This program breaks the project's arithmetic contract on purpose: it is compiled with -ffast-math, orders its sums as
// it likes and gives other bits on other numbers of threads. It is a bound on time, not a model for code. It leaves out
// what is small beside the products: the batch stands still, W3b has no norm and no average, and all use ReLU. The two
// layers of W3b's time embedding come before the others. Layers are padded to whole vectors.
#include <immintrin.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <iostream>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

using Size = std::ptrdiff_t;
using Floats = std::vector<float>;
typedef float Vector __attribute__((vector_size(64)));
typedef float Unaligned __attribute__((vector_size(64), aligned(4)));
constexpr Size lanes = 16;

Vector load(const float* p) { return *reinterpret_cast<const Unaligned*>(p); }
void store(float* p, Vector v) { *reinterpret_cast<Unaligned*>(p) = v; }

struct Strided {  // the element (i, k) is at data[i * row + k * column]
  const float* data;
  Size row, column;
};
struct Rows {  // rows that lie contiguously, `stride` apart
  float* data;
  Size stride;
};
enum class After { nothing, add, bias, bias_relu, mask };  // what is done to a product before it is stored

// Rows x 16 Wide entries of out = a b; `other` holds the bias, or the activations whose zeros mask a gradient.
template <int Height, int Wide>
void tile(Strided a, Rows b, Rows out, Size depth, After after, Rows other) {
  Vector sum[Height][Wide] = {};
  for (Size k = 0; k < depth; ++k) {
    Vector right[Wide];
    for (int j = 0; j < Wide; ++j) right[j] = load(b.data + k * b.stride + lanes * j);
    for (int i = 0; i < Height; ++i) {
      const Vector left = a.data[i * a.row + k * a.column] - Vector{};
      for (int j = 0; j < Wide; ++j) sum[i][j] += left * right[j];
    }
  }
  for (int i = 0; i < Height; ++i)
    for (int j = 0; j < Wide; ++j) {
      Vector y = sum[i][j];
      float* const to = out.data + i * out.stride + lanes * j;
      if (after == After::add) y += load(to);
      if (after == After::bias || after == After::bias_relu) y += load(other.data + lanes * j);
      if (after == After::bias_relu) y = y > 0 ? y : Vector{};
      if (after == After::mask) y = load(other.data + i * other.stride + lanes * j) > 0 ? y : Vector{};
      store(to, y);
    }
}

// As many tiles of this height as fit below `row`, which moves on.
template <int Height, int Wide>
void tiles(Size& row, Size m, Strided a, Rows b, Rows out, Size depth, After after, Rows other) {
  for (; row + Height <= m; row += Height) {
    Rows there = other;
    if (after == After::mask) there.data += row * other.stride;
    tile<Height, Wide>({a.data + row * a.row, a.row, a.column}, b, {out.data + row * out.stride, out.stride}, depth,
                       after, there);
  }
}

template <int Wide, class... Arguments>
void panel(const Arguments&... arguments) {
  Size row = 0;
  tiles<Wide == 1 ? 16 : 12, Wide>(row, arguments...);
  tiles<8, Wide>(row, arguments...);
  tiles<4, Wide>(row, arguments...);
  tiles<1, Wide>(row, arguments...);
}

// out[m, n] = a[m, depth] b[depth, n], read where the operands lie; n is a multiple of 16.
void product(Size m, Size n, Size depth, Strided a, Rows b, Rows out, After after = After::nothing, Rows other = {}) {
  auto from = [](Rows rows, Size j) { return rows.data ? Rows{rows.data + j, rows.stride} : rows; };
  Size j = 0;
  for (; j + 2 * lanes <= n; j += 2 * lanes) panel<2>(m, a, from(b, j), from(out, j), depth, after, from(other, j));
  if (j < n) panel<1>(m, a, from(b, j), from(out, j), depth, after, from(other, j));
}

void transpose(Size m, Size n, const float* from, float* to) {
  for (Size block = 0; block < m; block += lanes)
    for (Size j = 0; j < n; ++j)
      for (Size i = block; i < std::min(m, block + lanes); ++i) to[j * m + i] = from[i * n + j];
}

class Barrier {
 public:
  void wait(int threads) {
    const int round = round_.load();
    if (arrived_.fetch_add(1) + 1 == threads) {
      arrived_ = 0;
      ++round_;
    }
    for (int spins = 0; round_.load() == round; ++spins) spins < 20000 ? _mm_pause() : std::this_thread::yield();
  }

 private:
  std::atomic<int> arrived_{0}, round_{0};
};

struct Correction {  // of Adam's moments for having started at zero
  float first, second;
  explicit Correction(float step) : first(1 / (1 - std::pow(.9f, step))), second(1 / (1 - std::pow(.999f, step))) {}
};

struct Parameter {
  Floats value, m, v;
  std::vector<Floats> gradient;  // one for every thread

  Parameter(Size size, std::size_t threads) : value(size), m(size), v(size), gradient(threads, value) {}

  void adam(Size begin, Size end, Correction c) {
    const float* __restrict g = gradient[0].data();
    float* __restrict w = value.data();
    float* __restrict first = m.data();
    float* __restrict second = v.data();
    for (Size i = begin; i < end; ++i) {
      first[i] = .9f * first[i] + .1f * g[i];
      second[i] = .999f * second[i] + .001f * g[i] * g[i];
      w[i] -= 1e-3f * c.first * first[i] / (std::sqrt(c.second * second[i]) + 1e-8f);
    }
  }
};

struct Layer {
  Size in, out;
  Parameter weight, bias;
  Floats transposed;  // of the weight
};

class Network {
 public:
  Network(Size batch, const std::vector<Size>& widths, int threads)
      : batch_(batch), threads_(threads), depth_(widths.size() - 1) {
    std::mt19937 engine(1);
    std::normal_distribution<float> normal;
    for (Size width : widths)
      for (auto* all : {&x_, &g_, &transposed_}) all->emplace_back(batch * width);
    target_ = x_.back();
    for (auto* random : {&x_[0], &target_})
      for (float& x : *random) x = normal(engine);
    const auto teams = static_cast<std::size_t>(threads);
    for (std::size_t l = 0; l < depth_; ++l) {
      const Size in = widths[l], out = widths[l + 1];
      layers_.push_back({in, out, {in * out, teams}, {out, teams}, Floats(in * out)});
      for (float& w : layers_[l].weight.value) w = normal(engine) / std::sqrt(static_cast<float>(in));
    }
  }

  double seconds(long steps, bool by_rows) {
    const auto start = std::chrono::steady_clock::now();
    auto work = [&](int thread) {
      _mm_setcsr(_mm_getcsr() | 0x8040);  // flush denormal numbers
      for (long i = 1; i <= steps; ++i) {
        const Correction correction(static_cast<float>(taken_ + i));
        by_rows ? step_by_rows(thread, correction) : step_by_columns(thread, correction);
      }
    };
    {
      std::vector<std::jthread> others;
      for (int thread = 1; thread < threads_; ++thread) others.emplace_back(work, thread);
      work(0);
    }
    taken_ += steps;
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

 private:
  Size batch_;
  int threads_;
  std::size_t depth_;
  long taken_ = 0;
  Barrier barrier_;
  std::vector<Layer> layers_;
  Floats target_;
  std::vector<Floats> x_, g_, transposed_;  // before each layer and after the last: values, gradients, these transposed

  void forward(std::size_t l, Size row, Size rows, Size column, Size columns) {
    Layer& layer = layers_[l];
    product(rows, columns, layer.in, {&x_[l][row * layer.in], layer.in, 1}, {&layer.weight.value[column], layer.out},
            {&x_[l + 1][row * layer.out + column], layer.out}, l + 1 < depth_ ? After::bias_relu : After::bias,
            {&layer.bias.value[column], 0});
  }

  void loss(Size row, Size rows) {  // the gradient of the mean square
    const Size d = layers_.back().out;
    const float scale = 2 / static_cast<float>(batch_ * d);
    for (Size i = row * d; i < (row + rows) * d; ++i) g_[depth_][i] = scale * (x_[depth_][i] - target_[i]);
  }

  void parameters(std::size_t l, int thread, Size row, Size rows, Size column, Size columns, bool add) {
    Layer& layer = layers_[l];
    const float* g = &g_[l + 1][row * layer.out + column];
    product(layer.in, columns, rows, {&x_[l][row * layer.in], 1, layer.in}, {const_cast<float*>(g), layer.out},
            {&layer.weight.gradient[thread][column], layer.out}, add ? After::add : After::nothing);
    float* const bias = &layer.bias.gradient[thread][column];
    if (!add) std::fill(bias, bias + columns, 0.f);
    for (Size i = 0; i < rows; ++i)
      for (Size j = 0; j < columns; ++j) bias[j] += g[i * layer.out + j];
  }

  // For small batches: every thread owns columns of each layer, with their parameters.
  void step_by_columns(int thread, Correction correction) {
    auto slice = [&](Size n) {  // begin and length, in whole vectors
      auto cut = [&](int t) { return n / lanes * t / threads_ * lanes; };
      return std::pair{cut(thread), cut(thread + 1) - cut(thread)};
    };
    for (std::size_t l = 0; l < depth_; ++l) {
      const auto [begin, count] = slice(layers_[l].out);
      if (count) forward(l, 0, batch_, begin, count);
      barrier_.wait(threads_);
    }
    if (thread == 0) {
      loss(0, batch_);
      transpose(batch_, layers_.back().out, g_[depth_].data(), transposed_[depth_].data());
    }
    barrier_.wait(threads_);
    for (std::size_t l = depth_; l-- > 0;) {
      Layer& layer = layers_[l];
      if (const auto [begin, count] = slice(layer.in); l > 0 && count) {
        product(count, batch_, layer.out, {&layer.weight.value[begin * layer.out], layer.out, 1},
                {transposed_[l + 1].data(), batch_}, {&transposed_[l][begin * batch_], batch_});
        for (Size block = begin; block < begin + count; block += lanes)
          for (Size i = 0; i < batch_; ++i)
            for (Size j = block; j < block + lanes; ++j) {
              float& g = transposed_[l][j * batch_ + i];
              g_[l][i * layer.in + j] = g = x_[l][i * layer.in + j] > 0 ? g : 0;
            }
      }
      barrier_.wait(threads_);  // nobody reads this layer's weights any more
      if (const auto [begin, count] = slice(layer.out); count) {
        parameters(l, 0, 0, batch_, begin, count, false);
        for (Size k = 0; k < layer.in; ++k)
          layer.weight.adam(k * layer.out + begin, k * layer.out + begin + count, correction);
        layer.bias.adam(begin, begin + count, correction);
      }
    }
    barrier_.wait(threads_);
  }

  // For large ones: every thread takes blocks of rows through the whole network.
  void step_by_rows(int thread, Correction correction) {
    for (std::size_t l = 1; l < depth_; ++l)
      if (static_cast<int>(l) % threads_ == thread)
        transpose(layers_[l].in, layers_[l].out, layers_[l].weight.value.data(), layers_[l].transposed.data());
    barrier_.wait(threads_);
    const Size begin = batch_ * thread / threads_, end = batch_ * (thread + 1) / threads_;
    for (Size row = begin; row < end; row += 96) {
      const Size rows = std::min<Size>(96, end - row);
      for (std::size_t l = 0; l < depth_; ++l) forward(l, row, rows, 0, layers_[l].out);
      loss(row, rows);
      for (std::size_t l = depth_; l-- > 0;) {
        Layer& layer = layers_[l];
        parameters(l, thread, row, rows, 0, layer.out, row > begin);
        if (l > 0)
          product(rows, layer.in, layer.out, {&g_[l + 1][row * layer.out], layer.out, 1},
                  {layer.transposed.data(), layer.in}, {&g_[l][row * layer.in], layer.in}, After::mask,
                  {&x_[l][row * layer.in], layer.in});
      }
    }
    barrier_.wait(threads_);
    for (Layer& layer : layers_)
      for (Parameter* p : {&layer.weight, &layer.bias}) {
        const Size size = std::ssize(p->value), from = size * thread / threads_, to = size * (thread + 1) / threads_;
        for (int t = 1; t < threads_; ++t)
          for (Size i = from; i < to; ++i) p->gradient[0][i] += p->gradient[t][i];
        p->adam(from, to, correction);
      }
    barrier_.wait(threads_);
  }
};

struct Workload {
  Size batch;
  std::vector<Size> widths;
};
const std::map<std::string, Workload> workloads = {{"W1", {32, {68, 256, 256, 256, 256, 16}}},
                                                   {"W2", {32, {4, 512, 512, 16}}},
                                                   {"W3b", {500, {128, 128, 128, 128, 128, 128, 128, 16}}},
                                                   {"W4", {5000, {3, 64, 64, 64, 64, 64, 16}}},
                                                   {"W5a", {1024, {2, 16, 16, 16, 16}}}};

struct Prepared {
  Network network;
  bool by_rows;
  long units;

  Prepared(const Workload& w, int threads) : network(w.batch, w.widths, threads) {
    double best = 0;
    for (bool rows : {false, true}) {
      network.seconds(3, rows);
      const double step = network.seconds(20, rows) / 20;
      if (best == 0 || step < best) best = step, by_rows = rows;
    }
    units = std::max(1L, std::lround(0.3 / best));  // a block lasts about 0.3 s
  }
};

}  // namespace

int main(int argc, char** argv) {
  const int threads = argc == 3 && std::string(argv[1]) == "--threads" ? std::atoi(argv[2]) : 0;
  if (threads < 1) return std::fprintf(stderr, "usage: limit --threads N\n"), 2;
  std::map<std::string, Prepared> prepared;
  for (std::string name; std::getline(std::cin, name);) {
    std::printf("{\"workload\": \"%s\", \"mode\": \"limit\", \"threads\": %d, ", name.c_str(), threads);
    if (const auto known = workloads.find(name); known != workloads.end()) {
      Prepared& p = prepared.try_emplace(name, known->second, threads).first->second;
      std::printf("\"milliseconds\": %g, \"units\": %ld}\n",
                  1e3 * p.network.seconds(p.units, p.by_rows) / static_cast<double>(p.units), p.units);
    } else {
      std::printf("\"error\": \"unknown workload\"}\n");
    }
    std::fflush(stdout);
  }
}
