// The front of scan: checks, the recording of a step, segments between checkpoints.
#include "autodiff/loops.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "autodiff/loops/lists.hpp"
#include "autodiff/loops/scan.hpp"
#include "autodiff/ops.hpp"

namespace wengert {
namespace {

using Vars = std::vector<Var>;

[[noreturn]] void refuse(const Tape& tape, const std::string& text, Where where) {
  throw Error(fmt::format("[scan] {}  ({})", text, tape.here(where)));
}

Index length_of(const Tape& tape, std::span<const Var> xs, std::optional<Index> length, Where where) {
  for (Var x : xs) {
    tape.index_of(x, where, "scan");
    if (x.rank() < 1 || (length && x.extent(0) != *length))
      refuse(tape,
             fmt::format("xs need one first extent in common: got {}{}", to_string(x.type()),
                         length ? fmt::format(" after {}", *length) : ""),
             where);
    length = x.extent(0);
  }
  if (!length || *length < 0 || *length > most_elements)
    refuse(tape, fmt::format("needs xs, or a number of steps of 0 at least, got {}", length.value_or(0)), where);
  return *length;
}

// 0, 1, ..., i32
Var numbers(Tape& tape, Index length, Where where) {
  Array values(Dtype::i32, {length});
  for (Index i = 0; i < length; ++i) values.set(i, static_cast<double>(i));
  return tape.input(values, "steps", where);
}

// A scan of scans: the outer one has a step for each segment, whose carry is a checkpoint. What does not fill a segment
// comes last.
class Segments {
 public:
  Segments(Tape& tape, const RecordedBody& body, std::span<const Var> xs, ScanRange range, Index checkpoints,
           Where where)
      : tape_(tape),
        body_(body),
        xs_(xs),
        range_(range),
        width_((range.length + checkpoints - 1) / checkpoints),
        count_(range.length / width_),
        where_(where) {}

  detail::VarLists run(std::span<const Var> carry) const {
    if (width_ == 1) return record_scan(tape_, body_, carry, xs_, range_, where_);
    if (count_ * width_ == range_.length) return full(carry);
    detail::VarLists first = range_.reverse ? rest(carry) : full(carry);
    detail::VarLists second = range_.reverse ? full(first.carry) : rest(first.carry);
    if (range_.reverse) std::swap(first.ys, second.ys);
    for (std::size_t i = 0; i < first.ys.size(); ++i)
      first.ys[i] = concat({{first.ys[i], where_}, {second.ys[i], where_}}, 0, where_);
    return {second.carry, first.ys};
  }

 private:
  detail::VarLists full(std::span<const Var> carry) const {
    Vars xs;
    for (Var x : xs_) {
      const Var part = slice({x, where_}, 0, 0, count_ * width_);
      xs.push_back(reshape({part, where_}, x.shape().trailing(x.rank() - 1).prepended(width_).prepended(count_)));
    }
    const auto segment = [&](std::span<const Var> now, std::span<const Var> x) {
      detail::VarLists all = record_scan(tape_, body_, now, x, {width_, range_.reverse}, where_);
      all.carry.insert(all.carry.end(), all.ys.begin(), all.ys.end());
      return all.carry;
    };
    const RecordedBody outer = record_body(tape_, types_of(carry), slices_of(xs), segment, false, where_);
    detail::VarLists all = record_scan(tape_, outer, carry, chosen(xs, outer.xs), {count_, range_.reverse}, where_);
    for (Var& y : all.ys) y = reshape({y, where_}, y.shape().trailing(y.rank() - 2).prepended(count_ * width_));
    return all;
  }
  detail::VarLists rest(std::span<const Var> carry) const {
    Vars xs;
    for (Var x : xs_) xs.push_back(slice({x, where_}, 0, count_ * width_));
    return record_scan(tape_, body_, carry, xs, {range_.length - count_ * width_, range_.reverse}, where_);
  }

  Tape& tape_;
  const RecordedBody& body_;
  std::span<const Var> xs_;
  ScanRange range_;
  Index width_, count_;
  Where where_;
};

}  // namespace

namespace detail {

VarLists scan(const ListStep& step, std::span<const Var> carry, std::span<const Var> xs, std::optional<Index> length,
              const ScanOptions& options, Where where) {
  if (carry.empty() && xs.empty())
    throw Error(fmt::format("[scan] needs a Var among the carry and xs, got none  ({})", to_string(where)));
  Tape& tape = Tape::of(carry.empty() ? xs[0] : carry[0], where, "scan");
  for (Var var : carry) tape.index_of(var, where, "scan");
  const ScanRange range{length_of(tape, xs, length, where), options.reverse};
  if (options.checkpoints < 0)
    refuse(tape, fmt::format("checkpoints: needs 0 at least, got {}", options.checkpoints), where);
  const auto checked = [&](std::span<const Var> now, std::span<const Var> x) {
    VarLists result = step(now, x);
    check_carry(tape, "scan", now, result.carry, where);
    result.carry.insert(result.carry.end(), result.ys.begin(), result.ys.end());
    return result.carry;
  };
  const RecordedBody body = record_body(tape, types_of(carry), slices_of(xs), checked, true, where);
  const Scope scope(tape, "scan", where);
  VarLists result{{carry.begin(), carry.end()}, {}};
  if (range.length == 0 || body.body->outputs() == 0) {
    for (std::size_t i = carry.size(); i < body.body->outputs(); ++i) {
      const Type& y = body.body->output(i);
      result.ys.push_back(tape.full(Type{y.dtype, y.shape.prepended(0)}, 0, where));
    }
    return result;
  }
  Vars read = chosen(xs, body.xs);
  if (body.counts) read.push_back(numbers(tape, range.length, where));
  const Index checkpoints = options.checkpoints == 0 ? range.length : std::min(options.checkpoints, range.length);
  return Segments(tape, body, read, range, checkpoints, where).run(carry);
}

}  // namespace detail
}  // namespace wengert
