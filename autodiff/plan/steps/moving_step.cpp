#include <algorithm>
#include <cstring>
#include <optional>

#include "autodiff/ops/axes.hpp"
#include "autodiff/ops/known.hpp"
#include "autodiff/plan/lowering.hpp"

namespace wengert::plan {
namespace {

// Bytes of an operand, or zeros, that go to each of the runs that a value consists of.
struct Piece {
  std::optional<std::size_t> operand{};  // none: zeros
  std::size_t from = 0, stride = 0;      // where they begin in the operand, and how far apart those of two runs are
  std::size_t to = 0, bytes = 0;         // where they go in a run
};

template <std::size_t Bytes>
void copy_runs(Index runs, const std::byte* from, std::size_t stride, std::byte* to, std::size_t run) {
  for (Index r = 0; r < runs; ++r, from += stride, to += run) std::memcpy(to, from, Bytes);
}
// Short ones, of which there are many, without a call for each.
void copy_runs(Index runs, const std::byte* from, std::size_t stride, std::byte* to, std::size_t run,
               std::size_t bytes) {
  switch (bytes) {
    case 4:
      return copy_runs<4>(runs, from, stride, to, run);
    case 8:
      return copy_runs<8>(runs, from, stride, to, run);
    case 12:
      return copy_runs<12>(runs, from, stride, to, run);
    case 16:
      return copy_runs<16>(runs, from, stride, to, run);
    case 24:
      return copy_runs<24>(runs, from, stride, to, run);
    case 32:
      return copy_runs<32>(runs, from, stride, to, run);
    default:
      for (Index r = 0; r < runs; ++r, from += stride, to += run) std::memcpy(to, from, bytes);
  }
}

// An op that moves elements, as runs of bytes that were found when the plan was made.
class MovingStep final : public Step {
 public:
  MovingStep(std::string kernel, Index runs, std::vector<Piece> pieces, std::vector<Operand> operands, Operand output)
      : kernel_(std::move(kernel)),
        runs_(runs),
        pieces_(std::move(pieces)),
        operands_(std::move(operands)),
        output_(std::move(output)),
        run_(output_.type.bytes() / static_cast<std::size_t>(std::max<Index>(runs, 1))),
        grain_(std::max<Index>(1, static_cast<Index>(task_bytes / std::max<std::size_t>(run_, 1)))) {
    flops = static_cast<double>(output_.type.shape.size());
    microseconds = flops / element_flops_per_us;
  }
  Index tasks() const override { return std::max<Index>(1, (runs_ + grain_ - 1) / grain_); }
  std::string kernel() const override { return kernel_; }
  void run(const Frame& frame, Index begin, Index end) const override {
    const Index first = begin * grain_, count = std::min(end * grain_, runs_) - first;
    std::byte* to = frame.at(output_.address) + static_cast<std::size_t>(first) * run_;
    for (const Piece& piece : pieces_) {
      if (piece.operand) {
        const std::byte* from = frame.at(operands_[*piece.operand].address) + piece.from;
        copy_runs(count, from + static_cast<std::size_t>(first) * piece.stride, piece.stride, to + piece.to, run_,
                  piece.bytes);
      } else {
        for (Index r = 0; r < count; ++r)
          std::memset(to + piece.to + static_cast<std::size_t>(r) * run_, 0, piece.bytes);
      }
    }
  }

 private:
  static constexpr std::size_t task_bytes = 1 << 17;
  std::string kernel_;
  Index runs_;
  std::vector<Piece> pieces_;
  std::vector<Operand> operands_;
  Operand output_;
  std::size_t run_;  // bytes
  Index grain_;      // runs of a task
};

// The bytes of `extent` elements along an axis and of what lies inside.
std::size_t bytes_along(const Type& type, int axis, Index extent) {
  return static_cast<std::size_t>(extent * inside(type.shape, axis)) * size_of(type.dtype);
}

// Parts side by side; one that all runs share is read anew for each. Nothing where a part is broadcast in another way.
std::optional<std::vector<Piece>> pieces_of_concat(const std::vector<Operand>& parts, const Type& out, int axis) {
  std::vector<Piece> pieces;
  std::size_t to = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const Shape& shape = parts[i].type.shape;
    const bool shared = outside(shape, axis) == 1 && outside(out.shape, axis) > 1;
    if (inside(shape, axis) != inside(out.shape, axis) || (!shared && outside(shape, axis) != outside(out.shape, axis)))
      return {};
    const std::size_t bytes = bytes_along(out, axis, shape[axis]);
    pieces.push_back({.operand = i, .stride = shared ? 0 : bytes, .to = to, .bytes = bytes});
    to += bytes;
  }
  return pieces;
}

std::vector<Piece> pieces_of_slice(const SliceArguments& slice, const Type& from) {
  const auto bytes = [&](Index extent) { return bytes_along(from, slice.axis, extent); };
  return {{.operand = 0,
           .from = bytes(slice.start),
           .stride = bytes(from.shape[slice.axis]),
           .bytes = bytes(slice.stop - slice.start)}};
}

std::vector<Piece> pieces_of_slice_backward(const SliceBackwardArguments& slice, const Type& from) {
  const auto bytes = [&](Index extent) { return bytes_along(from, slice.axis, extent); };
  const std::size_t begin = bytes(slice.start), middle = bytes(from.shape[slice.axis]), end = begin + middle;
  return {{.bytes = begin},
          {.operand = 0, .stride = middle, .to = begin, .bytes = middle},
          {.to = end, .bytes = bytes(slice.extent) - end}};
}

}  // namespace

std::unique_ptr<Step> moving_step(const Lowering& lowering, const FusionGroup& group, Index count) {
  const Id id = group.first();
  const Value& value = lowering.graph.nodes[id];
  Operand output = lowering.written(id, count);
  if (output.type.shape.size() == 0) return nullptr;
  std::vector<Operand> operands;
  for (std::size_t i = 0; i < value.operands.size(); ++i) operands.push_back(lowering.read(id, i, count));
  std::optional<std::vector<Piece>> pieces;
  int axis = -1;
  if (value.is(concat_op())) {
    axis = value.arguments<ConcatArguments>().axis;
    pieces = pieces_of_concat(operands, output.type, axis);
  } else if (value.is(slice_op())) {
    const auto slice = value.arguments<SliceArguments>();
    axis = slice.axis;
    if (slice.step == 1) pieces = pieces_of_slice(slice, operands[0].type);
  } else if (value.is(slice_backward_op())) {
    const auto slice = value.arguments<SliceBackwardArguments>();
    axis = slice.axis;
    if (slice.step == 1 && operands[0].type.shape.size() > 0)
      pieces = pieces_of_slice_backward(slice, operands[0].type);
  }
  if (!pieces) return nullptr;
  const auto in_place = [&](const Piece& piece) {  // a part that is written to where it is read
    const Address &from = operands[piece.operand.value_or(0)].address, &to = output.address;
    return value.is(concat_op()) && from.memory == to.memory && from.at == to.at && from.offset == to.offset + piece.to;
  };
  std::erase_if(*pieces, [&](const Piece& piece) { return piece.bytes == 0 || in_place(piece); });
  const Index runs = outside(output.type.shape, axis);
  return std::make_unique<MovingStep>(value.op->name() + " " + to_string(output.type), runs, std::move(*pieces),
                                      std::move(operands), std::move(output));
}

std::unique_ptr<Step> copy_step(const Lowering& lowering, const Placement::Copy& copy) {
  const Type& type = lowering.graph.nodes[copy.from].type;
  return std::make_unique<MovingStep>("copy " + to_string(type), 1,
                                      std::vector{Piece{.operand = 0, .bytes = type.bytes()}},
                                      std::vector{lowering.operand(copy.from, 0, 0)}, Operand{copy.to, type});
}

}  // namespace wengert::plan
