// Batch-invariant hoisting. A value varies where it depends on what brings rows in, whatever
// its extents: a batch that happens to have one row is computed like that row among others.
#include <algorithm>
#include <map>
#include <optional>
#include <tuple>

#include "autodiff/ops.hpp"
#include "autodiff/ops/known.hpp"
#include "autodiff/plan/graph_rewriter.hpp"
#include "autodiff/plan/passes.hpp"
#include "autodiff/plan/rows.hpp"

namespace wengert::plan {
namespace {

// True if x A, with A of [k,n], goes into the weight B of the product after it. A B costs as much as k rows by B, at
// every run after a change of the parameters, so A has to be thin. The number of rows is not asked: it must not decide
// about bits.
bool pays(Index k, Index n) { return k <= 16 && 4 * k <= n; }

// Some columns of a concat: parts side by side, and the runs [begin, end) that they fill.
struct Columns {
  std::vector<Id> parts{};
  std::vector<std::pair<Index, Index>> runs{};

  void add(Id part, Index begin, Index end) {
    parts.push_back(part);
    if (!runs.empty() && runs.back().second == begin)
      runs.back().second = end;
    else
      runs.emplace_back(begin, end);
  }
};

// x A, or x A + r with an r that all rows share.
struct Affine {
  Id product;
  std::optional<Id> shared{};
};

class Hoister {
 public:
  explicit Hoister(const Graph& graph)
      : graph_(graph), extent_(batch_of(graph)), reads_(graph.nodes.size(), 0), result_(graph) {
    for (const Value& value : graph.nodes)
      for (Id operand : value.operands) ++reads_[operand];
    for (Id output : graph.outputs) ++reads_[output];
  }

  // Operands come first, so that each rule sees what the others have made of them.
  Graph run() {
    for (Id id = 0; id < graph_.nodes.size(); ++id) {
      const Id now = placed(result_.moved(id));
      single_[now] = reads_[id] == 1;
      result_.put(id, now);
    }
    return result_.finish();
  }

 private:
  Id placed(Value value) {
    std::optional<Id> better;
    if (by_weight(value)) {
      better = split(value);
      if (!better) better = collapsed(value);
    } else if (value.is(add_op())) {
      better = shared_first(value);
    }
    return better ? *better : add(std::move(value));
  }

  // [x, e] W = x Wx + e We. Also where the concat has other readers (a weight's gradient): most of the work is saved
  // all the same, and a value does not depend on what else is computed from it.
  std::optional<Id> split(const Value& product) {
    const Value whole = at(product.operands[0]);
    if (!whole.is(concat_op()) || whole.arguments<ConcatArguments>().axis != -1) return {};
    Columns varying, shared;
    Index begin = 0;
    for (Id part : whole.operands) {
      const Index end = begin + shape(part)[-1];
      (varies_[part] ? varying : shared).add(part, begin, end);
      begin = end;
    }
    if (varying.parts.empty() || shared.parts.empty()) return {};
    const Id rows = times(varying, product), row = times(shared, product);
    return call(add_op(), {rows, row}, {}, product);
  }
  // The product of some columns with their rows of the weight.
  Id times(const Columns& columns, const Value& product) {
    const Id left = side_by_side(columns.parts, -1, product);
    const int axis = product.arguments<MatmulOptions>().transpose_b ? -1 : -2;
    std::vector<Id> weights;
    for (const auto& run : columns.runs) weights.push_back(part_of(product.operands[1], axis, run, product));
    return call(matmul_op(), {left, side_by_side(weights, axis, product)}, product.attributes, product);
  }
  Id side_by_side(const std::vector<Id>& parts, int axis, const Value& from) {
    return parts.size() == 1 ? parts[0] : call(concat_op(), parts, to_attributes(ConcatArguments{.axis = axis}), from);
  }
  Id part_of(Id weight, int axis, std::pair<Index, Index> run, const Value& from) {
    if (axis == -2 && at(weight).parameter) return rows_of(weight, run);
    return call(slice_op(), {weight},
                to_attributes(SliceArguments{.axis = axis, .start = run.first, .stop = run.second}), from);
  }
  // Rows of a parameter lie one after the other: they are read where they are, without a copy.
  Id rows_of(Id parameter, std::pair<Index, Index> run) {
    const auto [known, fresh] = views_.try_emplace({parameter, run.first, run.second}, 0);
    if (!fresh) return known->second;
    Value leaf = at(parameter);
    auto rows = std::make_shared<Tape::Borrowing>(*leaf.parameter);
    leaf.type.shape.set(-2, run.first);  // as many as come before
    rows->data = static_cast<const std::byte*>(rows->data) + leaf.type.bytes();
    leaf.type.shape.set(-2, run.second - run.first);
    rows->type = leaf.type;
    leaf.parameter = std::move(rows);
    return known->second = add(std::move(leaf));
  }

  // (x A + r) + b = x A + (r + b): what is shared is added once. Where others read x A + r there is nothing to gain.
  std::optional<Id> shared_first(const Value& sum) {
    for (std::size_t i = 0; i < 2; ++i) {
      const Id first = sum.operands[i], last = sum.operands[1 - i];
      const auto affine = affine_of(first);
      if (!affine || !affine->shared || varies_[last] || !single_[first]) continue;
      return call(add_op(), {affine->product, call(add_op(), {*affine->shared, last}, {}, sum)}, {}, sum);
    }
    return {};
  }

  // (x A + r) B = x (A B) + r B, unless x A + r is needed by others as well.
  std::optional<Id> collapsed(const Value& outer) {
    const auto affine = affine_of(outer.operands[0]);
    if (!affine || !single_[outer.operands[0]] || !single_[affine->product]) return {};
    const Value inner = at(affine->product);
    const Index k = shape(inner.operands[0])[-1], n = inner.type.shape[-1];
    if (!pays(k, n) || (affine->shared && !has_columns(*affine->shared, n))) return {};
    const Id weight = call(matmul_op(), {untransposed(inner), outer.operands[1]}, outer.attributes, outer);
    const Id rows = call(matmul_op(), {inner.operands[0], weight}, to_attributes(MatmulOptions{}), outer);
    if (!affine->shared) return rows;
    const Id row = call(matmul_op(), {as_matrix(*affine->shared, inner), outer.operands[1]}, outer.attributes, outer);
    return call(add_op(), {rows, row}, {}, outer);
  }
  bool has_columns(Id id, Index n) const { return shape(id).rank() > 0 && shape(id)[-1] == n; }
  // The weight of a product as [k,n]. Not by a flag: a product that sums over rows of its first operand does so in
  // groups (matmul.cpp), and whether this weight has a flag may depend on the number of rows.
  Id untransposed(const Value& product) {
    const Id weight = product.operands[1];
    if (!product.arguments<MatmulOptions>().transpose_b) return weight;
    return call(transpose_op(), {weight}, to_attributes(TransposeArguments{.axes = {-1, -2}}), product);
  }
  Id as_matrix(Id id, const Value& from) {
    return shape(id).rank() > 1
               ? id
               : call(reshape_op(), {id}, to_attributes(ReshapeArguments{.replaced = 1, .shape = {1, shape(id)[-1]}}),
                      from);
  }

  // A product with a weight that all rows share.
  bool by_weight(const Value& value) const {
    return is_product_by_matrix(result_.to, value) && !varies_[value.operands[1]];
  }
  bool is_product(Id id) const { return varies_[id] && by_weight(at(id)); }
  std::optional<Affine> affine_of(Id id) const {
    if (is_product(id)) return Affine{id};
    if (!at(id).is(add_op())) return {};
    for (std::size_t i = 0; i < 2; ++i)
      if (const Id other = at(id).operands[1 - i]; is_product(at(id).operands[i]) && !varies_[other])
        return Affine{at(id).operands[i], other};
    return {};
  }

  const Value& at(Id id) const { return result_.to.nodes[id]; }
  const Shape& shape(Id id) const { return at(id).type.shape; }
  Id add(Value value) {
    varies_.push_back(brings_rows(graph_, value, extent_) ||
                      std::any_of(value.operands.begin(), value.operands.end(), [&](Id id) { return varies_[id]; }));
    single_.push_back(true);
    return result_.add(std::move(value));
  }
  Id call(const Op& op, std::vector<Id> operands, const Attributes& attributes, const Value& from) {
    return add(result_.call(op, std::move(operands), attributes, from));
  }

  const Graph& graph_;
  const Index extent_;
  std::vector<Index> reads_;  // of each old value
  GraphRewriter result_;
  std::vector<bool> varies_, single_;                 // of each new value: whether it depends on rows, is read once
  std::map<std::tuple<Id, Index, Index>, Id> views_;  // parameter, first row, last
};

}  // namespace

Graph hoist_batch_invariants(const Graph& graph) { return Hoister(graph).run(); }

}  // namespace wengert::plan
