#include "tests/autodiff/programs.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "autodiff/ops.hpp"

namespace wengert::testing {
namespace {

constexpr double largest_value = 6;

// Extents of one family, so that most pairs broadcast.
Shape draw_shape(Random& random, const Shape& family) {
  Shape shape;
  for (int axis = static_cast<int>(draw_index(random, 0, family.rank())); axis < family.rank(); ++axis)
    shape.append(draw_index(random, 0, 3) == 0 ? 1 : family[axis]);
  return shape;
}

Array draw_input(Random& random, const Shape& shape) {
  Array array(Dtype::f64, shape);
  std::uniform_real_distribution<double> uniform(-1.5, 1.5);
  for (Index i = 0; i < array.size(); ++i) array.set(i, uniform(random));
  return array;
}

bool tame(const Array& array) {
  for (Index i = 0; i < array.size(); ++i)
    if (!(std::abs(array.at(i)) <= largest_value)) return false;
  return array.size() <= 300 && array.shape().rank() <= 4;
}

std::vector<bool> used_values(const Program& program) {
  std::vector<bool> used(program.size(), false);
  for (const Value& value : program)
    for (std::size_t operand : value.operands) used[operand] = true;
  return used;
}

// The values that `kept` needs, and itself.
Program ancestors(const Program& program, std::size_t kept) {
  std::vector<bool> needed(program.size(), false);
  needed[kept] = true;
  for (std::size_t i = kept + 1; i-- > 0;)
    if (needed[i])
      for (std::size_t operand : program[i].operands) needed[operand] = true;
  std::vector<std::size_t> place(program.size());
  Program result;
  for (std::size_t i = 0; i <= kept; ++i) {
    if (!needed[i]) continue;
    place[i] = result.size();
    result.push_back(program[i]);
    for (std::size_t& operand : result.back().operands) operand = place[operand];
  }
  return result;
}

std::string replaced(std::string text, const std::string& what, const std::string& by) {
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += by.size())
    text.replace(at, what.size(), by);
  return text;
}

}  // namespace

Program draw_program(std::uint64_t seed, int steps, const std::vector<Word>& words) {
  Random random(seed);
  Shape family;
  for (Index i = draw_index(random, 1, 3); i > 0; --i) family.append(draw_index(random, 2, 4));
  Program program;
  Tape tape(Dtype::f64);
  std::vector<Var> values;
  for (Index i = draw_index(random, 1, 4); i > 0; --i) {
    program.push_back({.input = draw_input(random, draw_shape(random, family))});
    values.push_back(tape.input(program.back().input));
  }
  for (int tried = 0; tried < 20 * steps && static_cast<int>(values.size()) < steps; ++tried) {
    const Word& word = words[static_cast<std::size_t>(draw_index(random, 0, static_cast<Index>(words.size()) - 1))];
    Value value{.word = &word};
    std::vector<Shape> shapes;
    std::vector<Var> operands;
    for (int i = 0; i < word.arity; ++i) {
      // Recent values more often, so that programs get deep; any value, so that some are shared.
      const Index last = static_cast<Index>(values.size()) - 1;
      const Index from = draw_index(random, 0, 2) > 0 ? std::max<Index>(0, last - 4) : 0;
      value.operands.push_back(static_cast<std::size_t>(draw_index(random, from, last)));
      operands.push_back(values[value.operands.back()]);
      shapes.push_back(operands.back().shape());
    }
    if (!word.choose(random, shapes, value.numbers)) continue;
    const Tape::Mark mark = tape.mark();
    const Var result = word.record(operands, value.numbers);
    if (!tame(result.value())) {
      tape.rewind(mark);
      continue;
    }
    values.push_back(result);
    program.push_back(std::move(value));
  }
  return program;
}

Recording record(const Program& program, std::span<const Var> inputs) {
  Recording recording;
  for (const Value& value : program) {
    if (value.word == nullptr) {
      recording.inputs.push_back(inputs[recording.inputs.size()]);
      recording.values.push_back(recording.inputs.back());
      continue;
    }
    std::vector<Var> operands;
    for (std::size_t operand : value.operands) operands.push_back(recording.values[operand]);
    recording.values.push_back(value.word->record(operands, value.numbers));
  }
  const std::vector<bool> used = used_values(program);
  for (std::size_t i = 0; i < program.size(); ++i) {
    if (used[i]) continue;
    const Var term = sum(sin(recording.values[i]));
    recording.loss = recording.loss.is_null() ? term : recording.loss + term;
  }
  return recording;
}

Recording record(const Program& program, Tape& tape) {
  std::vector<Var> inputs;
  for (const Array& input : inputs_of(program)) inputs.push_back(tape.input(input));
  return record(program, inputs);
}

std::vector<Array> inputs_of(const Program& program) {
  std::vector<Array> inputs;
  for (const Value& value : program)
    if (value.word == nullptr) inputs.push_back(value.input);
  return inputs;
}

Program with_inputs(const Program& program, const std::vector<Array>& inputs) {
  Program result = program;
  auto next = inputs.begin();
  for (Value& value : result)
    if (value.word == nullptr) value.input = *next++;
  return result;
}

Program shrink(Program program, const std::function<bool(const Program&)>& fails) {
  const auto accept = [&](Program smaller) {
    if (!fails(smaller)) return false;
    program = std::move(smaller);
    return true;
  };
  const auto simplify = [&] {
    for (std::size_t i = 0; i + 1 < program.size(); ++i)
      if (accept(ancestors(program, i))) return true;
    if (const Program alone = ancestors(program, program.size() - 1); alone.size() < program.size() && accept(alone))
      return true;
    Tape tape(Dtype::f64);
    const std::vector<Var> values = record(program, tape).values;
    for (std::size_t i = program.size(); i-- > 0;) {
      if (program[i].word == nullptr) continue;
      Program cut = program;
      cut[i] = {.input = values[i].value()};
      if (accept(ancestors(cut, cut.size() - 1))) return true;
      for (std::size_t operand : program[i].operands) {
        if (values[operand].shape() != values[i].shape()) continue;
        Program bridged = program;
        for (Value& later : bridged) std::replace(later.operands.begin(), later.operands.end(), i, operand);
        if (i + 1 < program.size() && accept(ancestors(bridged, bridged.size() - 1))) return true;
      }
    }
    return false;
  };
  while (simplify()) {
  }
  std::vector<Array> rounded = inputs_of(program);
  for (Array& array : rounded)
    for (Index i = 0; i < array.size(); ++i) array.set(i, std::round(array.at(i) * 100) / 100);
  accept(with_inputs(program, rounded));
  return program;
}

std::string to_cpp(const Program& program) {
  std::string text = "Tape tape(Dtype::f64);\n", loss;
  const std::vector<bool> used = used_values(program);
  for (std::size_t i = 0; i < program.size(); ++i) {
    const Value& value = program[i];
    std::string right;
    if (value.word == nullptr) {
      std::vector<double> numbers;
      for (Index k = 0; k < value.input.size(); ++k) numbers.push_back(value.input.at(k));
      right = fmt::format("tape.input(Array::of<double>({{{}}}, {{{}}}))",
                          fmt::join(value.input.shape().extents(), ", "), fmt::join(numbers, ", "));
    } else {
      right = replaced(value.word->text, "##", fmt::format("{}", fmt::join(value.numbers, ", ")));
      for (std::size_t k = 0; k < value.numbers.size(); ++k)
        right = replaced(right, fmt::format("#{}", k), fmt::format("{}", value.numbers[k]));
      for (std::size_t k = 0; k < value.operands.size(); ++k)
        right = replaced(right, fmt::format("${}", k), fmt::format("v{}", value.operands[k]));
    }
    text += fmt::format("const Var v{} = {};\n", i, right);
    if (!used[i]) loss += fmt::format("{}sum(sin(v{}))", loss.empty() ? "" : " + ", i);
  }
  return text + fmt::format("const Var loss = {};\n", loss);
}

}  // namespace wengert::testing
