#include "nn/features.hpp"

#include <fmt/format.h>

#include <cmath>
#include <numbers>

#include "autodiff/ops.hpp"
#include "autodiff/tape.hpp"
#include "nn/checks.hpp"

namespace wengert::nn {
namespace {

Index half(const char* layer, Index width) {
  if (width < 2 || width % 2 != 0)
    throw Error(fmt::format("[{}] needs an even width of at least 2, got {}", layer, width));
  return width / 2;
}

Array geometric(Index count, double last, Dtype dtype) {
  above_0("SinusoidalFeatures", "max_frequency", last, dtype);
  Array result(dtype, {count});
  for (Index i = 0; i < count; ++i)
    result.set(i, count == 1 ? 1 : std::exp(std::log(last) * static_cast<double>(i) / static_cast<double>(count - 1)));
  return result;
}

Array scaled(Array values, double scale) {
  for (Index i = 0; i < values.size(); ++i) values.set(i, scale * values.at(i));
  return values;
}

}  // namespace

SinusoidalFeatures::SinusoidalFeatures(Index width, double max_frequency, Dtype dtype)
    : frequencies_(geometric(half("SinusoidalFeatures", width), max_frequency, dtype), Layout::as_in_files,
                   Role::fixed) {
  name_parameters();
}

Var SinusoidalFeatures::operator()(Operand t) const {
  const InModule scope(*this, t);
  check_times("SinusoidalFeatures", t);
  const Var angle = t * frequencies_.on(t.tape());
  return concat({sin(angle), cos(angle)}, -1);
}

void SinusoidalFeatures::children(Visitor& visit) { visit("freqs", frequencies_); }

FourierFeatures::FourierFeatures(const FourierOptions& options, Rng& rng)
    : first_(options.first),
      name_(options.name),
      frequencies_(scaled(rng.normal({options.dtype, {half("FourierFeatures", options.width)}}),
                          above_0("FourierFeatures", "scale", options.scale, options.dtype)),
                   Layout::as_in_files, Role::fixed) {
  name_parameters();
}

Var FourierFeatures::operator()(Operand t) const {
  const InModule scope(*this, t);
  check_times("FourierFeatures", t);
  const Var angle = t * (2 * std::numbers::pi * frequencies_.on(t.tape()));
  return first_ == FourierOptions::First::cosine ? concat({cos(angle), sin(angle)}, -1)
                                                 : concat({sin(angle), cos(angle)}, -1);
}

void FourierFeatures::children(Visitor& visit) { visit(name_, frequencies_); }

}  // namespace wengert::nn
