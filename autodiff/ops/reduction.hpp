// The base of reductions: their attributes, shapes and rows, and the walk over runs of axes.
#pragma once
#include <algorithm>
#include <cmath>

#include "autodiff/kernels/groups.hpp"
#include "autodiff/ops/axes.hpp"

namespace wengert {

// A sum for references: in long double, with what additions round away (Knuth's TwoSum), so that it serves for f64 too.
class ReferenceSum {
 public:
  void add(long double x) {
    const long double before = sum_;
    sum_ += x;
    const long double added = sum_ - before, lost = (before - (sum_ - added)) + (x - added);
    if (std::isfinite(lost)) lost_ += lost;
  }
  long double value() const { return std::isfinite(sum_) ? sum_ + lost_ : sum_; }

 private:
  long double sum_ = 0, lost_ = 0;
};

struct ReductionArguments {
  AxisList axes = {};  // ascending
  bool keepdims = false;
  template <class Visit>
  void fields(Visit&& visit) {
    visit("axes", axes), visit("keepdims", keepdims);
  }
};

// x -> x reduced over axes
class Reduction : public OpWith<ReductionArguments> {
 public:
  using OpWith::OpWith;
  Type infer(const Signature& s) const override;
  Rows rows(const Signature& s, const Type& out, int operand, int axis) const override;
  Cost cost(const Signature& s, const Type& out) const override {  // an operation for each element of x
    Cost cost = Op::cost(s, out);
    cost.flops = static_cast<double>(s.shape(0).size());
    return cost;
  }
  std::vector<Example> examples() const override;

 protected:
  static bool reduced(const Arguments& a, int axis) {
    return std::find(a.axes.begin(), a.axes.end(), axis) != a.axes.end();
  }
  static Shape reduced_shape(const Signature& s);
  // The output, or its cotangent, with extents of 1 where axes were reduced: it broadcasts to the operand.
  static Var kept(const Call& c, Var v);
  // The element of the output that element i of the operand goes into. (For references: plain and slow.)
  static Index target(const Attributes& a, const Shape& x, Index i);
};

// A reduction whose derivative gives each element a share of it.
class SharedReduction : public Reduction {
 public:
  using Reduction::Reduction;
  Var vjp(const Call& c, int, Var g) const override { return kept(c, g) * share(c); }
  Var jvp(const Call& c, std::span<const Var> t) const override {
    const auto [axes, keepdims] = arguments(c);
    return sum(t[0] * share(c), axes, {.keepdims = keepdims});
  }

 protected:
  virtual Var share(const Call& c) const = 0;  // in the operand's shape
};

// An array seen as [outer, rows * unit, inner], of which the middle is reduced. Rows are the first of the reduced axes:
// groups are cut between rows, so that whole rows can be handed out.
struct Run {
  Index outer = 1, rows = 1, unit = 1, inner = 1;

  Index reduced() const { return rows * unit; }
  // The number of outer indices that a thread takes at a time.
  Index grain() const { return std::max<Index>(1, (Index{1} << 14) / std::max<Index>(1, reduced() * inner)); }
  // How the rows are grouped for sums of this type's elements.
  Grouping partial_sums(Dtype dtype) const {
    if (reduced() * inner == 0) return {};  // of no elements, however many rows
    return group_rows(rows, inner * static_cast<Index>(size_of(dtype)));
  }
};

// Neighbouring axes are one run; several runs are reduced one after the other, the innermost first: f(run, whether it
// is the last one).
template <class F>
void visit_runs(const AxisList& axes, const Shape& shape, F&& f) {
  int end = 0;  // axes from here on are behind those to come: what was reduced has an extent of 1
  Index inner = 1;
  for (std::size_t left = axes.size(); left > 0;) {
    Run run;
    int axis = axes[--left];
    for (int i = axis + 1; i < end; ++i) inner *= shape[i];
    run.inner = inner;
    run.rows = shape[axis];
    for (; left > 0 && axes[left - 1] == axis - 1; --left) {
      run.unit *= run.rows;
      run.rows = shape[--axis];
    }
    for (int i = axis - 1; i >= -shape.rank(); --i) run.outer *= shape[i];
    end = axis;
    f(run, left == 0);
  }
}

// The elements that one of the two buffers of reduce_runs() holds; they are the first of the scratch.
inline Index buffer_size(const AxisList& axes, const Shape& shape) {
  if (axes.empty() || axes[axes.size() - 1] - axes[0] + 1 == static_cast<int>(axes.size())) return 0;  // one run
  Index largest = 0;
  visit_runs(axes, shape, [&](const Run& run, bool last) {
    if (!last) largest = std::max(largest, run.outer * run.inner);
  });
  return largest;
}

// one(run, from, to) for each run; over no axes at all, a copy.
template <class T, class F>
void reduce_runs(const Kernel& k, F&& one) {
  const AxisList axes = arguments_of<ReductionArguments>(k.attributes()).axes;
  if (axes.empty()) {
    std::copy_n(k.in<T>(0), k.out_shape().size(), k.out<T>());
    return;
  }
  const Index largest = buffer_size(axes, k.shape(0));
  T* buffers[2] = {static_cast<T*>(k.scratch), static_cast<T*>(k.scratch) + largest};
  const T* from = k.in<T>(0);
  int turn = 0;
  visit_runs(axes, k.shape(0), [&](const Run& run, bool last) {
    T* to = last ? k.out<T>() : buffers[turn++ % 2];
    one(run, from, to);
    from = to;
  });
}

}  // namespace wengert
