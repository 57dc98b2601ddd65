#include "autodiff/plan/rows.hpp"

#include <algorithm>
#include <map>

#include "autodiff/kernels/groups.hpp"
#include "autodiff/ops.hpp"
#include "autodiff/ops/known.hpp"

namespace wengert::plan {
namespace {

bool is_draw(const Value& value) { return !value.is_leaf() && value.op->brings_rows(); }

bool contains(const Shape& shape, Index extent) {
  for (int axis = -shape.rank(); axis < 0; ++axis)
    if (shape[axis] == extent) return true;
  return false;
}

// True if the order of a sum within a row depends on how many rows there are: there are as many partial sums as the
// cache holds, so a range of rows might have more of them.
bool splits_sums_by_rows(const Graph& graph, const Value& value, int axis) {
  const auto several = [&](int summed) { return group_rows(graph.type_of(value, 0).shape[summed], 0).groups > 1; };
  if (value.is(matmul_op())) return value.arguments<MatmulOptions>().transpose_a && several(-2);
  if (!value.is(sum_op())) return false;
  const AxisList axes = value.arguments<ReductionArguments>().axes;
  return std::any_of(axes.begin(), axes.end(), [&](int summed) { return summed < axis && several(summed); });
}

class Finder {
 public:
  Finder(const Graph& graph, Index extent, const std::vector<bool>& barred)
      : graph_(graph), barred_(barred), readers_(readers_of(graph)) {
    plan_.extent = extent;
    plan_.part.assign(graph.nodes.size(), Part::whole);
    plan_.axis.assign(graph.nodes.size(), 0);
    plan_.stage.assign(graph.nodes.size(), 0);
    plan_.stored.assign(graph.nodes.size(), false);
  }

  RowPlan run() {
    for (Id id = 0; id < graph_.nodes.size(); ++id) classify(id);
    delay();
    for (int stage : plan_.stage) plan_.stages = std::max(plan_.stages, stage + 1);
    store();
    return std::move(plan_);
  }

 private:
  void classify(Id id) {
    const Value& value = graph_.nodes[id];
    if (plan_.extent == 0) return;
    if (value.is_leaf()) {
      if (brings_rows(graph_, value, plan_.extent) || chooses_rows(id)) plan_.axis[id] = -value.type.shape.rank();
      return;
    }
    if (is_draw(value)) {
      if (brings_rows(graph_, value, plan_.extent)) make_rows(id, -value.type.shape.rank());
    } else if (const int axis = barred_[id] ? 0 : common_axis(id); axis < 0) {
      make_rows(id, axis);
    } else if (reduces(id)) {
      plan_.part[id] = Part::reduction;
    }
    assign_stage(id);
  }
  // Constant indices, one for each row of what all their readers take from elsewhere.
  bool chooses_rows(Id id) {
    const Value& value = graph_.nodes[id];
    const Shape& shape = value.type.shape;
    if (!value.constant || value.type.dtype != Dtype::i32 || shape.rank() == 0 || shape[0] != plan_.extent)
      return false;
    return std::all_of(readers_[id].begin(), readers_[id].end(), [&](Id reader) {
      const Value& taken = graph_.nodes[reader];
      const Signature signature = graph_.signature(reader, types_);
      for (std::size_t i = 0; i < taken.operands.size(); ++i) {
        if (taken.operands[i] != id) {
          if (contains(graph_.type_of(taken, i).shape, plan_.extent)) return false;
          continue;
        }
        const Rows rows = taken.op->rows(signature, taken.type, static_cast<int>(i), -shape.rank());
        if (!rows.kept() || rows.axis != -taken.type.shape.rank()) return false;
      }
      return true;
    });
  }
  void make_rows(Id id, int axis) {
    plan_.part[id] = Part::rows;
    plan_.axis[id] = axis;
  }

  // The axis at which the rows of all operands that have some arrive; 0 where they do not.
  int common_axis(Id id) {
    const Value& value = graph_.nodes[id];
    const Signature signature = graph_.signature(id, types_);
    std::vector<int> from;
    for (Id operand : value.operands) from.push_back(plan_.axis[operand]);
    const Rows rows = rows_through(*value.op, signature, value.type, from);
    if (!rows.kept() || std::any_of(from.begin(), from.end(),
                                    [&](int own) { return own != 0 && splits_sums_by_rows(graph_, value, own); }))
      return 0;
    const int axis = rows.axis;
    if (axis == 0 || value.type.shape[axis] != plan_.extent) return 0;
    // An operand without rows is read whole, or its own rows along that axis are read with the others'.
    for (std::size_t i = 0; i < value.operands.size(); ++i)
      if (plan_.axis[value.operands[i]] == 0 && !plan_.sliced(graph_, id, i) && lies_along(id, i, axis)) return 0;
    return axis;
  }
  // True if an operand without rows reaches into the output's rows in a way that slices cannot follow.
  bool lies_along(Id id, std::size_t operand, int axis) {
    const Value& value = graph_.nodes[id];
    const Shape& shape = graph_.type_of(value, operand).shape;
    const Signature signature = graph_.signature(id, types_);
    for (int own = -shape.rank(); own < 0; ++own) {
      const Rows rows = value.op->rows(signature, value.type, static_cast<int>(operand), own);
      if (rows.kept() && rows.axis == axis && shape[own] == plan_.extent) return true;
    }
    return false;
  }

  // A sum whose axes are one run that begins with the rows, or a product of two arrays of rows, summed over these.
  bool reduces(Id id) {
    const Value& value = graph_.nodes[id];
    const auto axis_of = [&](std::size_t i) { return plan_.axis[value.operands[i]]; };
    if (value.is(sum_op())) {
      const AxisList axes = value.arguments<ReductionArguments>().axes;
      if (axes.empty() || axis_of(0) == 0 || axes[0] != axis_of(0)) return false;
      for (std::size_t i = 1; i < axes.size(); ++i)
        if (axes[i] != axes[i - 1] + 1) return false;
      return true;
    }
    if (!value.is(matmul_op()) || axis_of(0) != -2 || axis_of(1) != -2) return false;
    const MatmulOptions options = value.arguments<MatmulOptions>();
    return options.transpose_a && !options.transpose_b && equal_leading(value);
  }
  bool equal_leading(const Value& value) const {
    const Shape &a = graph_.type_of(value, 0).shape, &b = graph_.type_of(value, 1).shape;
    return a.leading(a.rank() - 2) == b.leading(b.rank() - 2);
  }

  // The earliest stage: after the reductions that the node needs.
  void assign_stage(Id id) {
    for (Id operand : graph_.nodes[id].operands) plan_.stage[id] = std::max(plan_.stage[id], ready(operand, id));
  }
  // The first stage at which `reader` can read a value.
  int ready(Id id, Id reader) const {
    const bool after_rows =
        plan_.part[id] == Part::reduction || (plan_.part[id] == Part::rows && plan_.part[reader] == Part::whole);
    return plan_.stage[id] + (after_rows ? 1 : 0);
  }

  // Rows as late as their readers allow, so that they need not be kept for a later stage.
  void delay() {
    for (Id id = static_cast<Id>(graph_.nodes.size()); id-- > 0;) {
      if (plan_.part[id] != Part::rows || readers_[id].empty()) continue;
      int latest = plan_.stage[readers_[id][0]];
      for (Id reader : readers_[id])
        latest = std::min(latest, plan_.stage[reader] - (plan_.part[reader] == Part::whole ? 1 : 0));
      plan_.stage[id] = std::max(plan_.stage[id], latest);
    }
  }

  void store() {
    for (Id output : graph_.outputs) plan_.stored[output] = plan_.part[output] == Part::rows;
    for (Id id = 0; id < graph_.nodes.size(); ++id)
      for (Id operand : graph_.nodes[id].operands)
        if (plan_.part[operand] == Part::rows &&
            (plan_.part[id] == Part::whole || plan_.stage[id] != plan_.stage[operand]))
          plan_.stored[operand] = true;
  }

  const Graph& graph_;
  const std::vector<bool>& barred_;  // from going by rows
  const std::vector<std::vector<Id>> readers_;
  RowPlan plan_;
  std::vector<const Type*> types_;
};

}  // namespace

bool RowPlan::sliced(const Graph& graph, Id reader, std::size_t operand) const {
  const Value& value = graph.nodes[reader];
  const Id id = value.operands[operand];
  if (axis[id] != 0) return true;
  // An elementwise op reads a constant of the whole shape, say, in step with its other operands.
  if (!value.op->fusable() || extent == 0) return false;
  const Shape &shape = graph.nodes[id].type.shape, &out = value.type.shape;
  for (std::size_t i = 0; i < value.operands.size(); ++i) {
    const int rows = axis[value.operands[i]];
    if (rows != 0) return -rows == shape.rank() && shape[rows] == extent && out[rows] == extent;
  }
  return false;
}

Index batch_of(const Graph& graph) {
  if (!graph.rows.empty()) return graph.inputs[graph.rows[0]].shape[0];
  std::map<Index, Index> elements;
  for (const Value& value : graph.nodes)
    if ((value.input >= 0 || is_draw(value)) && value.type.shape.rank() > 0 && value.type.shape[0] > 1)
      elements[value.type.shape[0]] += value.type.shape.size();
  const auto most = std::max_element(elements.begin(), elements.end(),
                                     [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == elements.end() ? 0 : most->first;
}

bool brings_rows(const Graph& graph, const Value& value, Index extent) {
  if (value.input >= 0 && !graph.rows.empty())
    return std::find(graph.rows.begin(), graph.rows.end(), static_cast<std::size_t>(value.input)) != graph.rows.end();
  const Shape& shape = value.type.shape;
  return (value.input >= 0 || is_draw(value)) && shape.rank() > 0 && extent > 0 && shape[0] == extent;
}

RowPlan find_rows(const Graph& graph, bool batch) {
  const Index rows = batch ? batch_of(graph) : 0, extent = rows > 1 ? rows : 0;
  std::vector<bool> barred(graph.nodes.size(), false);
  while (true) {
    RowPlan plan = Finder(graph, extent, barred).run();
    // A stored value is written and read in slices: its rows come first, or it is computed whole.
    bool again = false;
    for (Id id = 0; id < graph.nodes.size(); ++id)
      if (plan.stored[id] && plan.axis[id] != -graph.nodes[id].type.shape.rank()) barred[id] = again = true;
    if (!again) return plan;
  }
}

Grouping partial_sums_of(const Graph& graph, Id reduction) {
  std::vector<const Type*> types;
  const Value& value = graph.nodes[reduction];
  return value.op->partial_sums(graph.signature(reduction, types), value.type);
}

}  // namespace wengert::plan
