#include <limits>
#include <map>
#include <optional>

#include "autodiff/ops/known.hpp"
#include "autodiff/plan/graph_rewriter.hpp"
#include "autodiff/plan/passes.hpp"

namespace wengert::plan {
namespace {

// exp(x - c), where c is the largest x of each sum, or 0 for one of -infinity: as the derivative of logsumexp has it.
struct Exponentials {
  Id x, largest, exponentials, no_weight;  // the last is the constant -infinity
};

class Sharing {
 public:
  explicit Sharing(const Graph& graph) : graph_(graph), result_(graph) {
    for (Id id = 0; id < graph.nodes.size(); ++id)
      if (const auto found = exponentials_at(id)) known_[{found->x, axes_of(found->largest)}] = *found;
  }

  Graph run() {
    if (known_.empty()) return graph_;
    for (Id id = 0; id < graph_.nodes.size(); ++id) {
      const Value& value = graph_.nodes[id];
      const auto shared =
          value.is(logsumexp_op()) && is_one_run(id) ? known_.find({value.operands[0], axes_of(id)}) : known_.end();
      result_.put(id, shared != known_.end() ? of(shared->second, value) : result_.add(result_.moved(id)));
    }
    return result_.finish();
  }

 private:
  using Axes = std::vector<int>;

  Axes axes_of(Id reduction) const {
    const AxisList axes = graph_.nodes[reduction].arguments<ReductionArguments>().axes;
    return {axes.begin(), axes.end()};
  }
  // Otherwise the op takes logarithms in between.
  bool is_one_run(Id reduction) const {
    const Value& value = graph_.nodes[reduction];
    return buffer_size(value.arguments<ReductionArguments>().axes, graph_.type_of(value, 0).shape) == 0;
  }
  bool is_number(Id id, double number) const {
    const auto& constant = graph_.nodes[id].constant;
    return constant && constant->size() == 1 && constant->at(0) == number;
  }
  std::optional<Exponentials> exponentials_at(Id id) const {
    const auto operand = [&](Id of, std::size_t i) { return graph_.nodes[of].operands[i]; };
    const auto is = [&](Id which, const Op& op) { return graph_.nodes[which].is(op); };
    if (!is(id, exp_op()) || !is(operand(id, 0), sub_op())) return {};
    const Id x = operand(operand(id, 0), 0), centre = operand(operand(id, 0), 1);
    if (!is(centre, where_op())) return {};
    const Id none = operand(centre, 0), largest = operand(centre, 2);
    if (!is(largest, max_op()) || operand(largest, 0) != x || !is(none, equal_op())) return {};
    const bool as_derivative = graph_.nodes[largest].arguments<ReductionArguments>().keepdims &&
                               operand(none, 0) == largest && is_number(operand(none, 1), -infinity) &&
                               is_number(operand(centre, 1), 0);
    return as_derivative ? std::optional(Exponentials{x, largest, id, operand(none, 1)}) : std::nullopt;
  }

  // largest + log(sum of the exponentials), and the largest itself where that is infinite or NaN.
  Id of(const Exponentials& from, const Value& value) {
    const auto call = [&](const Op& op, std::vector<Id> operands, const Attributes& attributes = {}) {
      return result_.add(result_.call(op, std::move(operands), attributes, value));
    };
    const auto axes = value.arguments<ReductionArguments>().axes;
    const Id exponentials = again(from.exponentials, from.x), largest = again(from.largest, from.x);
    const Id sum = call(sum_op(), {exponentials}, to_attributes(ReductionArguments{axes, true}));
    const Id finite = call(less_op(), {call(abs_op(), {largest}), number(infinity, graph_.nodes[from.no_weight])});
    const Id result = call(where_op(), {finite, call(add_op(), {largest, call(log_op(), {sum})}), largest});
    const int rank = result_.to.nodes[result].type.shape.rank();
    return call(reshape_op(), {result}, to_attributes(ReshapeArguments{rank, value.type.shape}));
  }
  // What `id` computes of x, which comes later in the graph, once more; equal nodes are merged afterwards.
  Id again(Id id, Id x) {
    if (id == x) return result_.now(x);
    const Value& value = graph_.nodes[id];
    if (value.is_leaf()) return result_.add(value);
    std::vector<Id> operands;
    for (Id operand : value.operands) operands.push_back(again(operand, x));
    return result_.add(result_.call(*value.op, operands, value.attributes, value));
  }
  // A constant of one number, like another.
  Id number(double of, const Value& like) {
    Value value = like;
    Array array(like.type);
    array.set(0, of);
    value.constant = std::make_shared<Array>(std::move(array));
    return result_.add(std::move(value));
  }

  static constexpr double infinity = std::numeric_limits<double>::infinity();
  const Graph& graph_;
  GraphRewriter result_;
  std::map<std::pair<Id, Axes>, Exponentials> known_;
};

}  // namespace

Graph share_exponentials(const Graph& graph) { return Sharing(graph).run(); }

}  // namespace wengert::plan
