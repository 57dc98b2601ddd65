// Losses of regression and classification, with PyTorch's names, arguments and conventions.
//
//   return nn::cross_entropy(net(x), classes, {.label_smoothing = 0.1});
//   return nn::huber_loss(net(x), y, {.delta = 0.5});
//
// Predictions and targets are f32 or f64, of one dtype and one shape (a target may be a number): what merely broadcasts
// is an Error, [n] against [n, 1] above all. Losses stay finite, with all their digits, for logits of any size, and
// have derivatives of any order by predictions and targets.
#pragma once
#include "autodiff/arguments.hpp"
#include "autodiff/var.hpp"

namespace wengert::nn {

// The reduction of the losses of the elements: one each, their mean, their sum.
enum class Reduction { none, mean, sum };

struct LossOptions {
  Reduction reduction = Reduction::mean;
};
Var mse_loss(Operand prediction, Operand target, LossOptions options = {});  // (p - t)^2
Var l1_loss(Operand prediction, Operand target, LossOptions options = {});   // |p - t|

// (p - t)^2 / 2 up to a distance of delta > 0, delta (|p - t| - delta / 2) from there on.
struct HuberOptions {
  double delta = 1;
  Reduction reduction = Reduction::mean;
};
Var huber_loss(Operand prediction, Operand target, HuberOptions options = {});

// huber_loss over its delta, which is called beta here: a slope of 1 far away. The l1_loss for beta = 0.
struct SmoothL1Options {
  double beta = 1;
  Reduction reduction = Reduction::mean;
};
Var smooth_l1_loss(Operand prediction, Operand target, SmoothL1Options options = {});

// -pos_weight t log(sigmoid(x)) - (1 - t) log(1 - sigmoid(x)) for targets t in [0, 1]; pos_weight broadcasts against x.
struct BinaryCrossEntropyOptions {
  Operand pos_weight = 1;
  Reduction reduction = Reduction::mean;
};
Var binary_cross_entropy_with_logits(Operand logits, Operand target, BinaryCrossEntropyOptions options = {});

// -log softmax(logits) of the target along the classes' axis; the losses have the shape without it. A target of i32
// holds indices of classes, in that shape; where it is ignore_index, the loss is 0 and no part of the mean (NaN where
// all are ignored). A target of the logits' type holds probabilities. Label smoothing mixes it with the uniform
// distribution, in a proportion in [0, 1]. A class of probability 0 may have the logit -infinity.
struct CrossEntropyOptions {
  Axis axis = -1;  // of the classes; in PyTorch the second one
  double label_smoothing = 0;
  Integer ignore_index = -100;
  Reduction reduction = Reduction::mean;
};
Var cross_entropy(Operand logits, Operand target, CrossEntropyOptions options = {});

}  // namespace wengert::nn
