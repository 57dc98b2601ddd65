// Constants of a tape by NumPy's names.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <string_view>

#include "autodiff/tape.hpp"

namespace wengert {

Var Tape::zeros(const Shape& shape, MaybeDtype dtype, Where where) {
  return full(Type{dtype.value_or(dtype_), shape}, 0, where);
}
Var Tape::ones(const Shape& shape, MaybeDtype dtype, Where where) {
  return full(Type{dtype.value_or(dtype_), shape}, 1, where);
}

Var Tape::arange(double stop, MaybeDtype dtype, Where where) { return arange(0, stop, 1, dtype, where); }

Var Tape::arange(double start, double stop, double step, MaybeDtype dtype, Where where) {
  const auto refuse = [&](std::string_view text) {
    throw Error(fmt::format("[arange] {}, got start {}, stop {}, step {}  ({})", text, start, stop, step, here(where)));
  };
  const double exact = std::ceil((stop - start) / step);
  if (!std::isfinite(start) || !std::isfinite(stop) || !std::isfinite(step) || step == 0 || std::isnan(exact))
    refuse("needs finite numbers and a step other than 0");
  if (exact > static_cast<double>(most_elements)) refuse("no machine holds so many numbers");
  const Index count = exact > 0 ? static_cast<Index>(exact) : 0;
  const double last = start + static_cast<double>(count - 1) * step;
  const auto whole = [](double x) { return static_cast<double>(converted<std::int32_t>(x)) == x; };
  if (dtype.value_or(dtype_) == Dtype::i32 && count > 0 && !(whole(start) && whole(step) && whole(last)))
    refuse("an i32 holds whole numbers from -2^31 to 2^31 - 1");
  Array values(dtype.value_or(dtype_), {count});
  for (Index i = 0; i < count; ++i) values.set(i, start + static_cast<double>(i) * step);
  return input(values, "arange", where);
}

Var Tape::linspace(double start, double stop, Integer count, MaybeDtype dtype, Where where) {
  const auto refuse = [&](const std::string& text) {
    throw Error(fmt::format("[linspace] {}  ({})", text, here(where)));
  };
  if (!is_float(dtype.value_or(dtype_))) refuse("needs f32 or f64, got i32");
  if (count < 0 || count > most_elements) refuse(fmt::format("needs a count of 0 at least, got {}", Index(count)));
  Array values(dtype.value_or(dtype_), {count});
  const double parts = static_cast<double>(count - 1), step = (stop - start) / parts;
  for (Index i = 0; i < count; ++i) {
    const double at = static_cast<double>(i);
    const double moved = step == 0 ? at / parts * (stop - start) : at * step;  // a step may be too small for a number
    values.set(i, i == 0 ? start : i + 1 == count ? stop : start + moved);
  }
  return input(values, "linspace", where);
}

Var Tape::eye(Integer n, MaybeDtype dtype, Where where) { return eye(n, n, 0, dtype, where); }

Var Tape::eye(Integer rows, Integer columns, Integer k, MaybeDtype dtype, Where where) {
  if (rows < 0 || columns < 0)
    throw Error(fmt::format("[eye] needs extents of 0 at least, got {} and {}  ({})", Index(rows), Index(columns),
                            here(where)));
  Array values(dtype.value_or(dtype_), Shape({rows, columns}, where));
  const Index diagonal = std::clamp<Index>(k, -rows, columns);
  for (Index row = std::max<Index>(0, -diagonal); row < rows && row + diagonal < columns; ++row)
    values.set(row * columns + row + diagonal, 1);
  return input(values, "eye", where);
}

}  // namespace wengert
