// Mlp: Linear layers with an activation between them.
#pragma once
#include <string>
#include <vector>

#include "nn/activation.hpp"
#include "nn/linear.hpp"

namespace wengert::nn {

// The names of layers: layers.0, layers.1, ... as in a list of them, and activations.0, ... in another; or layers 0, 2,
// ... and activations 1, 3, ... as in one sequence of all.
enum class Numbering { layers, with_activations };

struct MlpOptions {
  Index in = 1;
  std::vector<Index> hidden{};  // widths; a copy of the activation follows each
  Index out = 1;
  Activation activation{};
  Numbering numbering = Numbering::layers;
  bool zero_output = false;  // the last layer starts at 0
  Dtype dtype = Dtype::f32;
};

// [..., in] -> [..., out]; layers.0.weight, layers.0.bias, layers.1.weight, ... or 0.weight, 0.bias, 2.weight, ...;
// activations that are modules among them: activations.0.weight, ... after all layers, or 1.weight, ...
class Mlp final : public Module {
 public:
  // Throws Error when a width is not positive or the activation is missing.
  Mlp(const MlpOptions& options, Rng& rng);

  Var operator()(Operand x) const;
  void children(Visitor& visit) override;

 private:
  std::vector<Linear> layers_;
  std::vector<Activation> activations_;  // between them
  Numbering numbering_;
};

}  // namespace wengert::nn
