#include "autodiff/plan/steps.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "autodiff/kernels/groups.hpp"

namespace wengert::plan {
namespace {

// Any op, by its own kernel.
class OpStep final : public Step {
 public:
  OpStep(const Node& node, std::vector<Operand> operands, Operand output)
      : op_(node.op),
        owned_(node.owned),
        attributes_(node.attributes),
        operands_(std::move(operands)),
        output_(std::move(output)),
        place_(node.place) {
    for (const Operand& operand : operands_) types_.push_back(&operand.type);
    if (splits()) {
      const Index row = output_.type.shape.size() / std::max<Index>(output_.type.shape[0], 1);
      piece_ = std::max<Index>(16, 2048 / std::max<Index>(row, 1));
      tasks_ = std::max<Index>(1, (output_.type.shape[0] + piece_ - 1) / piece_);
    }
    flops = op_->cost({types_, attributes_}, output_.type).flops;
    microseconds = flops / (op_->name() == "matmul" ? product_flops_per_us / 2 : element_flops_per_us);
  }

  Index tasks() const override { return tasks_; }
  std::size_t scratch_bytes() const override { return op_->scratch_bytes({types_, attributes_}, output_.type); }
  std::string kernel() const override { return op_->name() + " " + to_string(output_.type); }

  void run(const Frame& frame, Index task) const override {
    run_from(frame, tasks_ == 1 ? 0 : task * piece_, tasks_ == 1);
  }
  void run_whole(const Frame& frame) const override { run_from(frame, 0, true); }

 private:
  static constexpr std::size_t few = 8;  // operands, for which nothing is allocated

  void run_from(const Frame& frame, Index first, bool whole) const {
    if (output_.type.shape.size() == 0) return;
    const std::size_t count = operands_.size();
    std::array<const void*, few> some;
    std::vector<const void*> many(count > few ? count : 0);
    const void** data = count > few ? many.data() : some.data();
    for (std::size_t i = 0; i < count; ++i) data[i] = moved(frame, operands_[i], first);
    if (whole)
      compute(frame, first, types_, {data, count}, output_.type);
    else
      compute_piece(frame, first, {data, count});
  }
  void compute(const Frame& frame, Index first, std::span<const Type* const> types, std::span<const void* const> data,
               const Type& output) const {
    const auto with = [&](const Attributes& attributes) {
      op_->run({{types, attributes}, data, output, moved(frame, output_, first), frame.scratch});
    };
    try {
      if (output_.axis == 0 || frame.begin + first == 0) return with(attributes_);
      Attributes attributes = attributes_;
      op_->move_rows(attributes, frame.begin + first);
      with(attributes);
    } catch (const std::exception& refusal) {
      throw Error(fmt::format("[{}] {}  ({})", op_->name(), refusal.what(), place_));
    }
  }
  // The same of some rows, from `first` on.
  void compute_piece(const Frame& frame, Index first, std::span<const void* const> data) const {
    const std::size_t count = operands_.size();
    std::array<Type, few> some;
    std::array<const Type*, few> some_pointers;
    std::vector<Type> many(count > few ? count : 0);
    std::vector<const Type*> many_pointers(many.size());
    Type* types = count > few ? many.data() : some.data();
    const Type** pointers = count > few ? many_pointers.data() : some_pointers.data();
    for (std::size_t i = 0; i < count; ++i) {
      types[i] = operands_[i].axis != 0 ? taken(operands_[i], first) : operands_[i].type;
      pointers[i] = &types[i];
    }
    compute(frame, first, {pointers, count}, data, taken(output_, first));
  }

  // Rows come first in all that has rows.
  bool splits() const {
    const auto leads = [](const Operand& o) { return o.axis == 0 || o.axis == -o.type.shape.rank(); };
    return output_.axis != 0 && leads(output_) && std::all_of(operands_.begin(), operands_.end(), leads);
  }
  Type taken(const Operand& whole, Index first) const {
    Type type = whole.type;
    type.shape.set(whole.axis, std::min(piece_, whole.type.shape[whole.axis] - first));
    return type;
  }
  static std::byte* moved(const Frame& frame, const Operand& operand, Index first) {
    if (first == 0 || operand.axis == 0) return frame.address(operand.place);
    return frame.address(operand.place) +
           operand.type.bytes() / static_cast<std::size_t>(operand.type.shape[0]) * static_cast<std::size_t>(first);
  }

  const Op* op_;
  std::shared_ptr<const Op> owned_;
  Attributes attributes_;
  std::vector<Operand> operands_;
  Operand output_;
  std::string place_;
  std::vector<const Type*> types_;
  Index tasks_ = 1, piece_ = 0;
};

class ChainStep final : public Step {
 public:
  ChainStep(std::vector<Operand> operands, std::vector<Operand> outputs, std::vector<Chain::Instruction> instructions)
      : operands_(std::move(operands)),
        outputs_(std::move(outputs)),
        chain_(outputs_[0].type.dtype, outputs_[0].type.shape, shapes_of(operands_), std::move(instructions)) {
    flops = static_cast<double>(chain_.size()) * static_cast<double>(chain_.instructions());
    microseconds = flops / element_flops_per_us;
  }
  Index tasks() const override { return std::max<Index>(1, (chain_.size() + piece - 1) / piece); }
  std::size_t scratch_bytes() const override { return chain_.scratch_bytes(); }
  std::string kernel() const override {
    return fmt::format("chain of {} ops, {}", chain_.instructions(), to_string(outputs_[0].type));
  }
  void run(const Frame& frame, Index task) const override {
    Addresses addresses(frame, operands_, outputs_);
    chain_.run(addresses.from.data(), addresses.to.data(), task * piece, std::min(chain_.size(), (task + 1) * piece),
               frame.scratch);
  }

 private:
  static constexpr Index piece = 8 * Chain::block;
  std::vector<Operand> operands_, outputs_;
  Chain chain_;
};

class CombineStep final : public Step {
 public:
  CombineStep(Operand partials, Operand output, Index groups)
      : partials_(std::move(partials)), output_(std::move(output)), groups_(groups) {
    flops = static_cast<double>(output_.type.shape.size()) * static_cast<double>(groups);
    microseconds = flops / element_flops_per_us;
  }
  Index tasks() const override { return std::max<Index>(1, (output_.type.shape.size() + piece - 1) / piece); }
  std::string kernel() const override {
    return fmt::format("tree of {} partial sums, {}", groups_, to_string(output_.type));
  }
  void run(const Frame& frame, Index task) const override {
    const Index size = output_.type.shape.size(), begin = task * piece, end = std::min(size, begin + piece);
    dispatch_float(output_.type.dtype, [&]<class T>() {
      T* from = reinterpret_cast<T*>(frame.address(partials_.place));
      combine(from, groups_, size, begin, end);
      std::copy(from + begin, from + end, reinterpret_cast<T*>(frame.address(output_.place)) + begin);
    });
  }

 private:
  static constexpr Index piece = 4096;
  Operand partials_, output_;
  Index groups_;
};

}  // namespace

std::vector<Shape> shapes_of(const std::vector<Operand>& operands) {
  std::vector<Shape> shapes;
  for (const Operand& operand : operands) shapes.push_back(operand.type.shape);
  return shapes;
}

Addresses::Addresses(const Frame& frame, const std::vector<Operand>& operands, const std::vector<Operand>& outputs) {
  for (std::size_t i = 0; i < operands.size(); ++i) from[i] = frame.address(operands[i].place);
  for (std::size_t i = 0; i < outputs.size(); ++i) to[i] = frame.address(outputs[i].place);
}

std::unique_ptr<Step> op_step(const Node& node, std::vector<Operand> operands, Operand output) {
  return std::make_unique<OpStep>(node, std::move(operands), std::move(output));
}
std::unique_ptr<Step> chain_step(std::vector<Operand> operands, std::vector<Operand> outputs,
                                 std::vector<Chain::Instruction> instructions) {
  return std::make_unique<ChainStep>(std::move(operands), std::move(outputs), std::move(instructions));
}
std::unique_ptr<Step> combine_step(Operand partials, Operand output, Index groups) {
  return std::make_unique<CombineStep>(std::move(partials), std::move(output), groups);
}

}  // namespace wengert::plan
