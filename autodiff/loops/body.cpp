#include "autodiff/loops/body.hpp"

#include <algorithm>

namespace wengert {

// While it lives, the tape is symbolic, and is said to record a loop. At its end the tape is as it was.
class LoopRecording {
 public:
  explicit LoopRecording(Tape& tape) : tape_(tape), start_(tape.mark()), mode_(tape.mode_), loops_(tape.loops_.size()) {
    tape.mode_ = Tape::Mode::symbolic;
  }
  ~LoopRecording() {
    tape_.rewind(start_);
    tape_.loops_.resize(loops_);
    tape_.mode_ = mode_;
  }
  LoopRecording(const LoopRecording&) = delete;
  LoopRecording& operator=(const LoopRecording&) = delete;

  void enter(Var number) { tape_.loops_.push_back({start_.nodes, tape_.size(), number}); }

 private:
  Tape& tape_;
  Tape::Mark start_;
  Tape::Mode mode_;
  std::size_t loops_;
};

std::vector<bool> LoopBody::reached(std::vector<bool> inputs, Program::By by) const {
  while (true) {
    const std::vector<bool> now = program.depend(inputs, by);
    bool more = false;
    for (std::size_t i = 0; i < carry; ++i)
      if (now[i] && !inputs[i]) inputs[i] = more = true;
    if (!more) return inputs;
  }
}

RecordedBody record_body(Tape& tape, std::span<const Type> carry, std::span<const Type> xs,
                         const LoopStepFunction& step, bool numbered, Where where) {
  RecordedBody result;
  LoopBody body{
      .program = Program(tape, tape.size(), std::span<const Var>()), .graph = {}, .carry = carry.size(), .xs = 0};
  {
    LoopRecording recording(tape);
    const std::uint32_t first = tape.size();
    std::vector<Var> inputs;
    for (const Type& type : carry) inputs.push_back(tape.input(type, "carry", where));
    for (const Type& type : xs) inputs.push_back(tape.input(type, "x", where));
    const Var number = tape.input(Type{Dtype::i32, {}}, "step", where);
    if (numbered) recording.enter(number);
    const std::uint32_t begin = tape.size();
    const std::span<const Var> given(inputs);
    const std::vector<Var> outputs = step(given.first(carry.size()), given.subspan(carry.size()));

    std::vector<std::uint32_t> last;
    for (Var output : outputs) last.push_back(tape.index_of(output, where));
    const std::vector<bool> needed = tape.needed_by(last, first);
    const auto is_read = [&](std::size_t input) { return input < needed.size() && needed[input]; };
    std::vector<Var> read(inputs.begin(), inputs.begin() + static_cast<std::ptrdiff_t>(carry.size()));
    for (std::size_t i = 0; i < xs.size(); ++i)
      if (is_read(carry.size() + i)) {
        read.push_back(inputs[carry.size() + i]);
        result.xs.push_back(i);
      }
    result.counts = is_read(inputs.size());
    if (result.counts) read.push_back(number);
    body.xs = read.size() - carry.size();
    body.program = Program(tape, begin, outputs, read);
    body.graph = plan::capture(tape, body.program.recorded(), outputs);
  }
  const std::vector<Var> captured = body.program.captured(tape, body.carry + body.xs);
  result.constants = captured;
  result.body = std::make_shared<const LoopBody>(std::move(body));
  return result;
}

LoopStepFunction replaying(const RecordedBody& recorded, Tape& tape) {
  return [recorded, &tape](std::span<const Var> carry, std::span<const Var> xs) {
    std::vector<Var> inputs(carry.begin(), carry.end());
    inputs.insert(inputs.end(), xs.begin(), xs.end());
    inputs.insert(inputs.end(), recorded.constants.begin(), recorded.constants.end());
    return recorded.body->program.replay(tape, inputs);
  };
}

}  // namespace wengert
