// The loop that every training is.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "autodiff/array.hpp"
#include "nn/train_step.hpp"

namespace wengert::experiments {

// Calls `step`, which returns its loss, until `steps` are done or Interrupt::requested(), with a Progress of this part
// on stderr. Returns the losses, f32 [steps done]. Throws Error at the first loss that is not finite.
Array train(const std::string& part, std::int64_t steps, const std::function<double()>& step);
// Training by a compiled step, whose metrics are shown too; `shown` makes of its loss what is returned and shown.
// Throws Error at the first loss or gradient that is not finite, with the op and the line that it came from.
Array train(const std::string& part, std::int64_t steps, nn::TrainStep& step,
            const std::function<double(double)>& shown = {});
// Training by a step of one input, which is batch(i) for step i = 0, 1, ...
Array train(const std::string& part, std::int64_t steps, nn::TrainStep& step,
            const std::function<Array(std::int64_t)>& batch);

// The mean loss of the steps first..last, counted from 1 with both ends included; none where not all of them were done.
std::optional<double> mean_loss(const Array& losses, std::int64_t first, std::int64_t last);

// The mean losses of each `steps` steps in turn; what is left at the end is left out.
std::vector<double> epoch_losses(const Array& losses, std::int64_t steps);

}  // namespace wengert::experiments
