#include "autodiff/ops/draw_op.hpp"

namespace wengert {
namespace {

using namespace drawing;

struct DrawGamma final : DrawOp<GammaSettings> {
  DrawGamma() : DrawOp("draw_gamma") {}
  std::vector<GammaSettings> settings() const override { return {{2.5, 4}, {0.5, 1}, {200, 200}, {0, 1}}; }
  // The largest shape: the logarithm of the acceptance ratio is a difference of terms of this size, and is to be right
  // to .05.
  static double largest_shape(Dtype dtype) { return dtype == Dtype::f32 ? 2e5 : 1e14; }
  void check(const GammaSettings& a, Dtype dtype) const override {
    const auto [shape, rate] = a;
    if (!(shape > 0 && rate > 0) || !std::isfinite(shape) || !std::isfinite(rate))
      reject(fmt::format("needs a positive shape and rate, got {} and {}", shape, rate));
    if (shape > largest_shape(dtype))
      reject(fmt::format("needs a shape up to {:g} in {}, got {}", largest_shape(dtype), name_of(dtype), shape));
    // No value is above 64 max(shape, 1) / rate: normals of Box and Muller end at 8.7.
    if (!(1 / rate >= smallest_of(dtype) && 64 * std::max(shape, 1.0) / rate <= largest_of(dtype)))
      reject(fmt::format("needs a rate at which values are in the range of {}, got shape {} and rate {}",
                         name_of(dtype), shape, rate));
  }
  void run(const Kernel& k) const override {
    const Stream s = stream_of(arguments(k), k.in<std::int32_t>(0));
    const Index first = first_row(arguments(k), k.in<std::int32_t>(0));
    dispatch_float(k.type.dtype, [&]<class T>() {
      over_rows(k.out_shape(), [&](Index begin, Index end, Index n) {
        // Elements still to be drawn, a batch at a time; those rejected try again with the next attempt's block.
        for (Index at = begin * n; at < end * n; at += batch)
          draw<T>(s, arguments(k).settings, first, n, at, std::min(batch, end * n - at), k.out<T>());
      });
    });
  }
  double element(const Stream& s, const GammaSettings& settings, Dtype dtype, Index row, Index e,
                 Index n) const override {
    const double a = settings.shape, d = (a < 1 ? a + 1 : a) - 1.0 / 3, c = 1 / std::sqrt(9 * d);
    for (Index attempt = 0;; ++attempt) {
      if (attempt == most_attempts) return d / settings.rate;
      double u1, u2, u, power;
      const Index number = attempt * n + e;
      if (dtype == Dtype::f32) {
        const Block w = s.block(row, number);
        u1 = (w[0] + 0.5) / 4294967296.0;
        u2 = (w[1] + 0.5) / 4294967296.0;
        u = plain_uniform(s, dtype, row, 4 * number + 2);
        power = plain_uniform(s, dtype, row, 4 * number + 3);
      } else {
        u1 = plain_uniform(s, dtype, row, 4 * number);
        u2 = plain_uniform(s, dtype, row, 4 * number + 1);
        u = plain_uniform(s, dtype, row, 4 * number + 2);
        power = plain_uniform(s, dtype, row, 4 * number + 3);
      }
      const double x = std::sqrt(-2 * std::log(u1)) * std::cos(2 * std::numbers::pi * u2), v = std::pow(1 + c * x, 3);
      if (v > 0 && std::log(u) < 0.5 * x * x + d - d * v + d * std::log(v))
        return d * v * (a < 1 ? std::pow(power, 1 / a) : 1) / settings.rate;
    }
  }

 private:
  template <class T>
  static void draw(const Stream& s, const GammaSettings& settings, Index first, Index n, Index at, Index count,
                   T* out) {
    using B = simd::Batch<T>;
    const double a = settings.shape;
    const T d = static_cast<T>((a < 1 ? a + 1 : a) - 1.0 / 3),
            c = static_cast<T>(1 / std::sqrt(9 * ((a < 1 ? a + 1 : a) - 1.0 / 3)));
    const T scale = static_cast<T>(1 / settings.rate), exponent = static_cast<T>(1 / a);
    alignas(alignment) Buffer<T> u1, u2, u, power, x, value, accepted;
    std::array<Index, static_cast<std::size_t>(batch)> open;
    for (Index i = 0; i < count; ++i) open[static_cast<std::size_t>(i)] = at + i;
    // An attempt is accepted with a probability above .95 (Marsaglia and Tsang, section 3), of which rounding takes
    // less than .1: none in 2^200 fails so often. What would be left takes the mode.
    for (Index attempt = 0; count > 0 && attempt < most_attempts; ++attempt) {
      for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i)
        bits(s, first + open[i] / n, attempt * n + open[i] % n, u1[i], u2[i], u[i], power[i]);
      box_muller<T>(count, u1, u2, x.data(), static_cast<T*>(nullptr));
      const auto cubed = [&](B z) {
        const B w = B(1) + B(c) * z;
        return w * w * w;
      };
      simd::map<2>(count, std::array<const T*, 2>{x.data(), u.data()}, accepted.data(), [&](B z, B r) {
        const B v = cubed(z);
        const B bound = B(static_cast<T>(0.5)) * z * z + B(d) - B(d) * v + B(d) * simd::log(v);
        return simd::indicator<T>((v > B(0)) && (simd::log(r) < bound));
      });
      simd::map<2>(count, std::array<const T*, 2>{x.data(), power.data()}, value.data(), [&](B z, B r) {
        const B gamma = B(d) * cubed(z) * B(scale);
        return a < 1 ? gamma * simd::exp(B(exponent) * simd::log(r)) : gamma;
      });
      Index left = 0;
      for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
        if (accepted[i] != 0)
          out[open[i]] = value[i];
        else
          open[static_cast<std::size_t>(left++)] = open[i];
      }
      count = left;
    }
    for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) out[open[i]] = d * scale;
  }

  static void bits(const Stream& s, Index row, Index number, float& u1, float& u2, float& u, float& power) {
    const Block w = s.block(row, number);
    u1 = fine_uniform(w[0]);
    u2 = fine_uniform(w[1]);
    u = open_uniform(w[2]);
    power = open_uniform(w[3]);
  }
  static void bits(const Stream& s, Index row, Index number, double& u1, double& u2, double& u, double& power) {
    const Block first = s.block(row, 2 * number), second = s.block(row, 2 * number + 1);
    u1 = open_uniform(wide(first[0], first[1]));
    u2 = open_uniform(wide(first[2], first[3]));
    u = open_uniform(wide(second[0], second[1]));
    power = open_uniform(wide(second[2], second[3]));
  }
};

[[gnu::init_priority(library_ops)]] const DrawGamma gamma_op;

}  // namespace

const Op& draw_gamma_op() { return gamma_op; }

}  // namespace wengert
