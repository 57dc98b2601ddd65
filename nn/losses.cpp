#include "nn/losses.hpp"

#include <fmt/format.h>

#include <limits>

#include "autodiff/ops.hpp"
#include "autodiff/ops/composite.hpp"
#include "autodiff/tape.hpp"

namespace wengert::nn {
namespace {

Var reduced(Var losses, Reduction reduction) {
  return reduction == Reduction::none ? losses : reduction == Reduction::sum ? sum(losses) : mean(losses);
}

void check_target(const Operand& prediction, const Operand& target, const char* loss) {
  if (target.is_number() || prediction.shape(loss) == target.shape(loss)) return;
  refuse(prediction, loss,
         fmt::format("the target must have the prediction's shape {}, got {}", to_string(prediction.shape()),
                     to_string(target.shape())));
}

// The loss of distances from the target.
template <class F>
Var of_distances(const Operand& prediction, const Operand& target, const char* loss, Reduction reduction, F f) {
  check_target(prediction, target, loss);
  const Scope scope(prediction, loss);
  return reduced(f(sub(prediction, target)), reduction);
}

// d^2 / 2 up to bend, bend (|d| - bend / 2) from there on, in one formula whose derivative is the limited distance.
Var bent(Var distance, double bend) {
  const Var limited = clip(distance, -bend, bend);
  return limited * (distance - 0.5 * limited);
}

// -log softmax at the classes of the target, [...] without the axis, and a mask of those that count.
struct Picked {
  Var losses, counted;
};
Picked of_classes(Var log_probabilities, const Operand& target, int axis, const CrossEntropyOptions& options) {
  const Var wide = cast(target, Dtype::f64), ignored = equal(wide, static_cast<Index>(options.ignore_index));
  const Var classes = unsqueeze(cast(where(ignored, 0, wide), Dtype::i32), axis);
  const Var skipped = cast(ignored, log_probabilities.dtype());
  Var losses = -squeeze(take_along(log_probabilities, classes, axis), axis);
  if (options.label_smoothing > 0)
    losses = (1 - options.label_smoothing) * losses - options.label_smoothing * mean(log_probabilities, axis);
  return {where(skipped, 0, losses), 1 - skipped};
}

Var of_probabilities(Var log_probabilities, const Operand& target, int axis, double label_smoothing) {
  Var wanted = target.var();
  if (label_smoothing > 0)
    wanted = (1 - label_smoothing) * wanted + label_smoothing / static_cast<double>(log_probabilities.extent(axis));
  const Var excluded = logical_and(equal(wanted, 0), isinf(log_probabilities));
  return -sum(wanted * where(excluded, 0, log_probabilities), axis);
}

void check_classes(const Operand& logits, const Operand& target, int axis) {
  if (target.is_number()) refuse(logits, "cross_entropy", "the target is a number: needs classes or probabilities");
  Shape classes;
  for (int i = -logits.rank(); i < 0; ++i)
    if (i != axis) classes.append(logits.shape()[i]);
  const bool indices = target.dtype("cross_entropy") == Dtype::i32;
  if (target.shape() == (indices ? classes : logits.shape())) return;
  refuse(
      logits, "cross_entropy",
      fmt::format("a target of {} must have the shape {} for logits {}, got {}", indices ? "classes" : "probabilities",
                  to_string(indices ? classes : logits.shape()), to_string(logits.shape()), to_string(target.shape())));
}

}  // namespace

Var mse_loss(Operand prediction, Operand target, LossOptions options) {
  return of_distances(prediction, target, "mse_loss", options.reduction, [](Var d) { return square(d); });
}

Var l1_loss(Operand prediction, Operand target, LossOptions options) {
  return of_distances(prediction, target, "l1_loss", options.reduction, [](Var d) { return abs(d); });
}

Var huber_loss(Operand prediction, Operand target, HuberOptions options) {
  if (!(options.delta > 0)) refuse(prediction, "huber_loss", fmt::format("needs delta > 0, got {}", options.delta));
  return of_distances(prediction, target, "huber_loss", options.reduction,
                      [&](Var d) { return bent(d, options.delta); });
}

Var smooth_l1_loss(Operand prediction, Operand target, SmoothL1Options options) {
  if (!(options.beta >= 0)) refuse(prediction, "smooth_l1_loss", fmt::format("needs beta >= 0, got {}", options.beta));
  return of_distances(prediction, target, "smooth_l1_loss", options.reduction,
                      [&](Var d) { return options.beta == 0 ? abs(d) : bent(d, options.beta) / options.beta; });
}

Var binary_cross_entropy_with_logits(Operand logits, Operand target, BinaryCrossEntropyOptions options) {
  constexpr const char* name = "binary_cross_entropy_with_logits";
  check_target(logits, target, name);
  const Scope scope(logits, name);
  const Var x = logits.var();
  if (!options.pos_weight.is_number() && broadcast(x.shape(), options.pos_weight.shape()) != x.shape())
    refuse(logits, name,
           fmt::format("pos_weight must broadcast to {}, got {}", to_string(x.shape()),
                       to_string(options.pos_weight.shape())));
  // Both terms have all their digits; as one softplus and a multiple of x they would cancel.
  const Var positive = mul(target, softplus(-x)), negative = sub(1, target) * softplus(x);
  return reduced(options.pos_weight * positive + negative, options.reduction);
}

Var cross_entropy(Operand logits, Operand target, CrossEntropyOptions options) {
  const int axis = axis_of(logits, options.axis, "cross_entropy");
  if (!(options.label_smoothing >= 0 && options.label_smoothing <= 1))
    refuse(logits, "cross_entropy", fmt::format("label_smoothing goes from 0 to 1, got {}", options.label_smoothing));
  check_classes(logits, target, axis);
  const Scope scope(logits, "cross_entropy");
  const Var log_probabilities = log_softmax(logits, axis);
  if (target.dtype() != Dtype::i32)
    return reduced(of_probabilities(log_probabilities, target, axis, options.label_smoothing), options.reduction);
  const Picked picked = of_classes(log_probabilities, target, axis, options);
  if (options.reduction != Reduction::mean) return reduced(picked.losses, options.reduction);
  return sum(picked.losses) / sum(picked.counted);
}

}  // namespace wengert::nn
