#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "autodiff/ops/known.hpp"
#include "autodiff/plan/lowering.hpp"

namespace wengert::plan {
namespace {

// Any op, by its own kernel.
class OpStep final : public Step {
 public:
  OpStep(const Value& value, std::vector<Operand> operands, Operand output)
      : op_(value.op),
        owned_(value.owned),
        attributes_(value.attributes),
        operands_(std::move(operands)),
        output_(std::move(output)),
        location_(value.location) {
    for (const Operand& operand : operands_) types_.push_back(&operand.type);
    if (splits()) {
      const Index row = output_.type.shape.size() / std::max<Index>(output_.type.shape[0], 1);
      piece_ = std::max<Index>(1, 2048 / std::max<Index>(row, 1));
      tasks_ = std::max<Index>(1, (output_.type.shape[0] + piece_ - 1) / piece_);
    }
    flops = op_->cost({types_, attributes_}, output_.type).flops;
    microseconds = flops / (op_ == &matmul_op() ? product_flops_per_us / 2 : element_flops_per_us);
  }

  Index tasks() const override { return tasks_; }
  bool spreads() const override { return true; }
  std::size_t scratch_bytes() const override { return op_->scratch_bytes({types_, attributes_}, output_.type); }
  std::string kernel() const override { return op_->name() + " " + to_string(output_.type); }

  void run(const Frame& frame, Index begin, Index end) const override {
    if (output_.type.shape.size() == 0) return;
    const bool whole = end - begin == tasks_;
    const Index first = begin * piece_;
    const std::size_t count = operands_.size();
    std::array<const void*, few> some;
    std::vector<const void*> many(count > few ? count : 0);
    const void** data = count > few ? many.data() : some.data();
    for (std::size_t i = 0; i < count; ++i) data[i] = moved(frame, operands_[i], first);
    if (whole)
      compute(frame, first, types_, {data, count}, output_.type);
    else
      compute_rows(frame, first, std::min(end * piece_, output_.type.shape[0]) - first, {data, count});
  }

 private:
  static constexpr std::size_t few = 8;  // operands, for which nothing is allocated

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
      throw Error(fmt::format("[{}] {}  ({})", op_->name(), refusal.what(), location_));
    }
  }
  // Some rows alone, from `first` on.
  void compute_rows(const Frame& frame, Index first, Index rows, std::span<const void* const> data) const {
    const std::size_t count = operands_.size();
    std::array<Type, few> some;
    std::array<const Type*, few> some_pointers;
    std::vector<Type> many(count > few ? count : 0);
    std::vector<const Type*> many_pointers(many.size());
    Type* types = count > few ? many.data() : some.data();
    const Type** pointers = count > few ? many_pointers.data() : some_pointers.data();
    for (std::size_t i = 0; i < count; ++i) {
      types[i] = operands_[i].axis != 0 ? taken(operands_[i], rows) : operands_[i].type;
      pointers[i] = &types[i];
    }
    compute(frame, first, {pointers, count}, data, taken(output_, rows));
  }

  // Rows come first in all that has rows.
  bool splits() const {
    const auto leads = [](const Operand& o) { return o.axis == 0 || o.axis == -o.type.shape.rank(); };
    return output_.axis != 0 && leads(output_) && std::all_of(operands_.begin(), operands_.end(), leads);
  }
  static Type taken(const Operand& whole, Index rows) {
    Type type = whole.type;
    type.shape.set(whole.axis, rows);
    return type;
  }
  static std::byte* moved(const Frame& frame, const Operand& operand, Index first) {
    if (first == 0 || operand.axis == 0) return frame.at(operand.address);
    return frame.at(operand.address) +
           operand.type.bytes() / static_cast<std::size_t>(operand.type.shape[0]) * static_cast<std::size_t>(first);
  }

  const Op* op_;
  std::shared_ptr<const Op> owned_;
  Attributes attributes_;
  std::vector<Operand> operands_;
  Operand output_;
  std::string location_;
  std::vector<const Type*> types_;
  Index tasks_ = 1, piece_ = 0;
};

}  // namespace

std::unique_ptr<Step> op_step(const Lowering& lowering, const FusionGroup& group, Index count) {
  const Id id = group.first();
  const Value& value = lowering.graph.nodes[id];
  std::vector<Operand> operands;
  for (std::size_t i = 0; i < value.operands.size(); ++i) operands.push_back(lowering.read(id, i, count));
  return std::make_unique<OpStep>(value, std::move(operands), lowering.written(id, count));
}

}  // namespace wengert::plan
