// Einstein sums: the expression is read, and recorded as diagonals, sums, transposes and products of two operands at a
// time, which are matmul wherever something is summed.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "autodiff/linalg.hpp"
#include "autodiff/ops/composite.hpp"
#include "autodiff/tape.hpp"

namespace wengert {
namespace {

// A letter; or an axis of "...", counted from its end, below 0.
using Label = int;
using Labels = std::vector<Label>;
constexpr Label ellipsis = 0;  // in an expression, before its axes are known

bool has(const Labels& labels, Label label) { return std::find(labels.begin(), labels.end(), label) != labels.end(); }
std::string name_of_label(Label label) {
  return label < 0 ? fmt::format("axis {} of ...", label) : std::string(1, static_cast<char>(label));
}

// The letters between the commas and behind the arrow.
struct Expression {
  std::vector<Labels> operands{1};
  std::optional<Labels> output;
};

class Reader {
 public:
  Reader(std::string_view text, const Operand& at) : text_(text), at_(at) {}

  Expression read() {
    for (; i_ < text_.size(); ++i_) read_next();
    return std::move(expression_);
  }

 private:
  void read_next() {
    const char c = text_[i_];
    Labels& labels = expression_.output ? *expression_.output : expression_.operands.back();
    if (c == ' ') return;
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
      if (expression_.output && has(labels, c)) fail(fmt::format("the output names {} twice", c));
      labels.push_back(c);
    } else if (c == '.') {
      if (text_.substr(i_, 3) != "...") fail("wanted three dots");
      if (has(labels, ellipsis)) fail("a second ...");
      labels.push_back(ellipsis);
      i_ += 2;
    } else if (c == ',' && !expression_.output) {
      expression_.operands.emplace_back();
    } else if (c == '-' && !expression_.output) {
      if (text_.substr(i_, 2) != "->") fail("wanted ->");
      expression_.output.emplace();
      ++i_;
    } else {
      fail(fmt::format("unexpected '{}'", c));
    }
  }
  [[noreturn]] void fail(const std::string& what) const {
    refuse(at_, "einsum", fmt::format("{} at character {} of \"{}\"", what, i_ + 1, text_));
  }

  std::string_view text_;
  const Operand& at_;
  std::size_t i_ = 0;
  Expression expression_;
};

// An operand, or the product of some: one label for each axis, each once.
struct Term {
  Var x;
  Labels labels;
};

class Einsum {
 public:
  Einsum(std::string_view text, std::span<const Operand> operands) : text_(text), operands_(operands) {
    Expression expression = Reader(text, operands[0]).read();
    if (expression.operands.size() != operands.size())
      fail(operands[0], fmt::format("names {} operands, got {}", expression.operands.size(), operands.size()));
    for (std::size_t i = 0; i < operands.size(); ++i) {
      name_axes(expression.operands[i], operands[i]);
      note_extents(expression.operands[i], i);
    }
    output_ = expression.output ? stated_output(*expression.output) : implied_output(expression.operands);
    for (std::size_t i = 0; i < operands.size(); ++i) terms_.push_back(term_of(expression.operands[i], operands[i]));
  }

  Var result() {
    sum_alone();
    while (terms_.size() > 1) {
      const auto [i, j] = cheapest_pair();
      const Term a = terms_[i], b = terms_[j];
      terms_.erase(terms_.begin() + static_cast<std::ptrdiff_t>(j));
      terms_.erase(terms_.begin() + static_cast<std::ptrdiff_t>(i));
      terms_.push_back(product(a, b));
      sum_alone();
    }
    return in_order(terms_[0], output_).x;
  }

 private:
  [[noreturn]] void fail(const Operand& at, const std::string& what) const {
    refuse(at, "einsum", fmt::format("\"{}\": {}", text_, what));
  }

  // "..." becomes the axes that the letters beside it leave over.
  void name_axes(Labels& labels, const Operand& x) {
    const auto dots = std::find(labels.begin(), labels.end(), ellipsis);
    const int letters = static_cast<int>(labels.size()) - (dots != labels.end() ? 1 : 0), rank = x.rank("einsum");
    if (dots != labels.end() ? rank < letters : rank != letters)
      fail(x, fmt::format("{} axes are named{} of an operand of shape {}", letters,
                          dots != labels.end() ? " beside ..." : "", to_string(x.shape())));
    if (dots == labels.end()) return;
    Labels axes;
    for (int axis = letters - rank; axis < 0; ++axis) axes.push_back(axis);
    widest_ = std::max(widest_, axes.size());
    labels.insert(labels.erase(dots), axes.begin(), axes.end());
  }
  void note_extents(const Labels& labels, std::size_t operand) {
    const Shape& shape = operands_[operand].shape();
    for (std::size_t axis = 0; axis < labels.size(); ++axis) {
      Index& extent = extents_.try_emplace(labels[axis], 1).first->second;
      const Index own = shape[static_cast<int>(axis)];
      for (std::size_t other = 0; other < axis; ++other)
        if (labels[other] == labels[axis] && shape[static_cast<int>(other)] != own)
          fail(operands_[operand], fmt::format("{} is {} and {} in operand {}", name_of_label(labels[axis]),
                                               shape[static_cast<int>(other)], own, operand));
      if (own == 1) continue;
      if (extent != 1 && extent != own)
        fail(operands_[operand],
             fmt::format("{} is {} in operand {}, but {} before", name_of_label(labels[axis]), own, operand, extent));
      extent = own;
    }
  }
  Labels dots() const {
    Labels axes;
    for (std::size_t axis = widest_; axis-- > 0;) axes.push_back(-1 - static_cast<Label>(axis));
    return axes;
  }
  Labels stated_output(Labels labels) const {
    if (const auto at = std::find(labels.begin(), labels.end(), ellipsis); at != labels.end()) {
      const Labels axes = dots();
      labels.insert(labels.erase(at), axes.begin(), axes.end());
    }
    for (Label label : labels)
      if (extents_.count(label) == 0)
        fail(operands_[0], fmt::format("{} of the output names no axis of an operand", name_of_label(label)));
    return labels;
  }
  // The axes of "...", then what is named once, in the alphabet's order.
  Labels implied_output(const std::vector<Labels>& operands) const {
    std::map<Label, int> counts;
    for (const Labels& labels : operands)
      for (Label label : labels) ++counts[label];
    Labels output = dots();
    for (const auto& [label, count] : counts)
      if (label > 0 && count == 1) output.push_back(label);
    return output;
  }

  // Without axes that are broadcast to another operand's, and with the diagonal of axes of one name.
  Term term_of(const Labels& labels, const Operand& operand) const {
    Term term{operand.var(), {}};
    Shape kept;
    for (std::size_t axis = 0; axis < labels.size(); ++axis) {
      const Index extent = operand.shape()[static_cast<int>(axis)];
      if (extent != extents_.at(labels[axis])) continue;
      kept.append(extent);
      term.labels.push_back(labels[axis]);
    }
    if (kept.rank() < term.x.rank()) term.x = reshape(term.x, kept);
    while (true) {
      const auto twice = std::find_if(term.labels.begin(), term.labels.end(), [&](Label label) {
        return std::count(term.labels.begin(), term.labels.end(), label) > 1;
      });
      if (twice == term.labels.end()) return term;
      const Label label = *twice;
      const auto first = twice - term.labels.begin();
      const auto second = std::find(twice + 1, term.labels.end(), label) - term.labels.begin();
      std::vector<int> order;
      Labels rest;
      for (int axis = 0; axis < term.x.rank(); ++axis)
        if (axis != first && axis != second) {
          order.push_back(axis);
          rest.push_back(term.labels[static_cast<std::size_t>(axis)]);
        }
      order.push_back(static_cast<int>(first)), order.push_back(static_cast<int>(second));
      rest.push_back(label);
      term = {diagonal(transpose(term.x, order)), rest};
    }
  }

  bool needed_beside(Label label, std::span<const Term* const> these) const {
    return has(output_, label) || std::any_of(terms_.begin(), terms_.end(), [&](const Term& term) {
             return std::find(these.begin(), these.end(), &term) == these.end() && has(term.labels, label);
           });
  }
  // Letters that one term alone has and nobody wants.
  void sum_alone() {
    for (Term& term : terms_) {
      std::vector<int> axes;
      Labels rest;
      for (std::size_t axis = 0; axis < term.labels.size(); ++axis) {
        const Term* const self = &term;
        if (needed_beside(term.labels[axis], {&self, 1}))
          rest.push_back(term.labels[axis]);
        else
          axes.push_back(static_cast<int>(axis));
      }
      if (!axes.empty()) term = {sum(term.x, axes), rest};
    }
  }
  // The two whose product takes the fewest multiplications; of equal ones those that stand first.
  std::pair<std::size_t, std::size_t> cheapest_pair() const {
    std::pair<std::size_t, std::size_t> best{0, 1};
    double least = std::numeric_limits<double>::infinity();
    for (std::size_t i = 0; i < terms_.size(); ++i)
      for (std::size_t j = i + 1; j < terms_.size(); ++j) {
        double cost = size_of(terms_[i].labels);
        for (Label label : terms_[j].labels)
          if (!has(terms_[i].labels, label)) cost *= static_cast<double>(extents_.at(label));
        if (cost < least) least = cost, best = {i, j};
      }
    return best;
  }

  double size_of(const Labels& labels) const {
    double size = 1;
    for (Label label : labels) size *= static_cast<double>(extents_.at(label));
    return size;
  }
  // At most 8 axes, as an array has.
  Shape shape_of(const Labels& labels) const {
    if (labels.size() > max_rank)
      fail(operands_[0], fmt::format("a product on the way has {} axes, {} are possible", labels.size(), max_rank));
    Shape shape;
    for (Label label : labels) shape.append(extents_.at(label));
    return shape;
  }
  static Var shaped(Var x, const Shape& shape) { return x.shape() == shape ? x : reshape(x, shape); }
  static Term in_order(const Term& term, const Labels& labels) {
    if (term.labels == labels) return term;
    std::vector<int> axes;
    for (Label label : labels)
      axes.push_back(static_cast<int>(std::find(term.labels.begin(), term.labels.end(), label) - term.labels.begin()));
    return {transpose(term.x, axes), labels};
  }

  // The labels of a product: summed, of both, of one alone.
  struct Roles {
    Labels summed, both, left, right;
  };
  static Labels joined(std::initializer_list<Labels> parts) {
    Labels all;
    for (const Labels& part : parts) all.insert(all.end(), part.begin(), part.end());
    return all;
  }
  Term product(const Term& a, const Term& b) const {
    Roles roles;
    for (Label label : a.labels)
      (!has(b.labels, label) ? roles.left : needed_beside(label, {}) ? roles.both : roles.summed).push_back(label);
    for (Label label : b.labels)
      if (!has(a.labels, label)) roles.right.push_back(label);
    if (roles.summed.empty() || (roles.left.empty() && roles.right.empty())) return elementwise(a, b, roles);
    // The left operand brings the output's first letters: no transpose is needed then.
    const auto place = [&](const Labels& labels) {
      return std::find_first_of(output_.begin(), output_.end(), labels.begin(), labels.end()) - output_.begin();
    };
    if (place(roles.right) < place(roles.left)) {
      std::swap(roles.left, roles.right);
      return matrices(b, a, roles);
    }
    return matrices(a, b, roles);
  }

  // a b, both as [a's labels, those of b alone], and its sum.
  Term elementwise(const Term& a, const Term& b, const Roles& roles) const {
    const Labels labels = joined({a.labels, roles.right});
    Labels of_b;
    Shape left = shape_of(labels), right = left;
    for (std::size_t axis = 0; axis < labels.size(); ++axis) {
      if (axis >= a.labels.size()) left.set(static_cast<int>(axis), 1);
      if (has(b.labels, labels[axis]))
        of_b.push_back(labels[axis]);
      else
        right.set(static_cast<int>(axis), 1);
    }
    Term result{shaped(a.x, left) * shaped(in_order(b, of_b).x, right), labels};
    if (roles.summed.empty()) return result;
    std::vector<int> axes;
    Labels rest;
    for (std::size_t axis = 0; axis < labels.size(); ++axis)
      if (has(roles.summed, labels[axis]))
        axes.push_back(static_cast<int>(axis));
      else
        rest.push_back(labels[axis]);
    return {sum(result.x, axes), rest};
  }

  // A term as matrices [batch, rows, columns], or [batch, columns, rows] where it lies so.
  struct Matrices {
    Var x;
    bool transposed;
  };
  Matrices matrices_of(const Term& term, const Labels& batch, const Labels& rows, const Labels& columns) const {
    const Index m = static_cast<Index>(size_of(rows)), n = static_cast<Index>(size_of(columns));
    const Shape leading = batch.size() + 2 > max_rank ? Shape{static_cast<Index>(size_of(batch))} : shape_of(batch);
    const Labels plain = joined({batch, rows, columns}), turned = joined({batch, columns, rows});
    if (term.labels == turned && term.labels != plain) return {shaped(term.x, leading.followed_by({n, m})), true};
    const Var x = in_order(term, plain).x;
    // More rows of one product stay apart, so that a plan can split them.
    if (batch.empty() && !rows.empty()) return {shaped(x, shape_of(rows).followed_by({n})), false};
    return {shaped(x, leading.followed_by({m, n})), false};
  }
  Term matrices(const Term& a, const Term& b, const Roles& roles) const {
    const Labels labels = joined({roles.both, roles.left, roles.right});
    const Shape shape = shape_of(labels);
    const Matrices left = matrices_of(a, roles.both, roles.left, roles.summed);
    Matrices right = matrices_of(b, roles.both, roles.summed, roles.right);
    if (roles.both.empty() && !right.transposed)
      right.x = shaped(right.x, {static_cast<Index>(size_of(roles.summed)), static_cast<Index>(size_of(roles.right))});
    const Var x = matmul(left.x, right.x, {.transpose_a = left.transposed, .transpose_b = right.transposed});
    return {shaped(x, shape), labels};
  }

  std::string_view text_;
  std::span<const Operand> operands_;
  std::size_t widest_ = 0;  // how many axes "..." has
  std::map<Label, Index> extents_;
  Labels output_;
  std::vector<Term> terms_;
};

}  // namespace

Var einsum(std::string_view expression, std::span<const Operand> operands, Where where) {
  if (operands.empty()) throw Error(fmt::format("[einsum] needs at least one operand  ({})", to_string(where)));
  operands[0].type();
  const Scope scope(operands[0], "einsum");
  return Einsum(expression, operands).result();
}
Var einsum(std::string_view expression, std::initializer_list<Operand> operands, Where where) {
  return einsum(expression, std::span<const Operand>(operands.begin(), operands.size()), where);
}

}  // namespace wengert
