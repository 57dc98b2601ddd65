#include "nn/checks.hpp"

#include <fmt/format.h>

#include <cmath>
#include <limits>

namespace wengert::nn {
namespace {

void require(bool holds, std::string_view owner, std::string_view option, std::string_view wanted, double value) {
  if (!holds) throw Error(fmt::format("[{}] needs {} {}, got {}", owner, option, wanted, value));
}

void require_finite(std::string_view owner, std::string_view option, double value, Dtype dtype) {
  const double largest =
      dtype == Dtype::f32 ? double{std::numeric_limits<float>::max()} : std::numeric_limits<double>::max();
  if (!(std::abs(value) <= largest))
    throw Error(fmt::format("[{}] needs {} finite in {}, got {}", owner, option, name_of(dtype), value));
}

}  // namespace

Index positive(std::string_view owner, std::string_view option, Index value) {
  if (value < 1) throw Error(fmt::format("[{}] needs a positive {}, got {}", owner, option, value));
  return value;
}

double finite(std::string_view owner, std::string_view option, double value, Dtype dtype) {
  require_finite(owner, option, value, dtype);
  return value;
}
double above_0(std::string_view owner, std::string_view option, double value, Dtype dtype) {
  require_finite(owner, option, value, dtype);
  require(value > 0, owner, option, "> 0", value);
  return value;
}
double at_least_0(std::string_view owner, std::string_view option, double value, Dtype dtype) {
  require_finite(owner, option, value, dtype);
  require(value >= 0, owner, option, ">= 0", value);
  return value;
}
double fraction(std::string_view owner, std::string_view option, double value) {
  require(value >= 0 && value < 1, owner, option, "in [0, 1)", value);
  return value;
}

void check_times(std::string_view layer, const Operand& t) {
  if (t.rank() < 1 || t.extent(-1) != 1)
    throw Error(fmt::format("[{}] needs times [..., 1], got {}  ({})", layer, to_string(t.shape()), location_of(t)));
}

void check_points_and_times(std::string_view network, const Operand& x, const Operand& t, Index dimension) {
  const Shape &points = x.shape(), &times = t.shape();
  const int rank = points.rank();
  bool fits = rank >= 1 && times.rank() == rank && points[rank - 1] == dimension && times[rank - 1] == 1;
  for (int axis = 0; fits && axis + 1 < rank; ++axis) fits = times[axis] == 1 || times[axis] == points[axis];
  if (fits) return;
  throw Error(fmt::format("[{}] needs points [B, {}] and times [B, 1] or [1, 1], got {} and {}  ({})", network,
                          dimension, to_string(points), to_string(times), location_of(x)));
}

void check_shape(std::string_view network, std::string_view part, Var value, const Shape& wanted, const Operand& at) {
  if (value.shape(at.where()) != wanted)
    throw Error(fmt::format("[{}] needs {} of shape {}, got {}  ({})", network, part, to_string(wanted),
                            to_string(value.shape()), location_of(at)));
}

}  // namespace wengert::nn
