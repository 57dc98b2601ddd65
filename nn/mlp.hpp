// Mlp: Linear layers with an activation between them.
#pragma once
#include <string>
#include <vector>

#include "nn/linear.hpp"

namespace wengert::nn {

using Activation = Var (*)(Operand x);  // relu, silu, tanh, ... of autodiff/ops.hpp

// The names of layers: layers.0, layers.1, ... as in a list of them, or 0, 2, ... as in a sequence where activations
// count.
enum class Numbering { layers, with_activations };

struct MlpOptions {
  Index in = 1;
  std::vector<Index> hidden{};  // widths; the activation follows each
  Index out = 1;
  Activation activation{};
  Numbering numbering = Numbering::layers;
  bool zero_output = false;  // the last layer starts at 0
  Dtype dtype = Dtype::f32;
};

// [..., in] -> [..., out]; layers.0.weight, layers.0.bias, layers.1.weight, ... or 0.weight, 0.bias, 2.weight, ...
class Mlp final : public Module {
 public:
  // Throws Error when a width is not positive or the activation is missing.
  Mlp(const MlpOptions& options, Rng& rng);

  Var operator()(Operand x) const;
  void children(Visitor& visit) override;

 private:
  std::vector<Linear> layers_;
  std::vector<std::string> names_;
  Activation activation_;
};

}  // namespace wengert::nn
