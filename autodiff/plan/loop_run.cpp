#include "autodiff/plan/loop_run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "autodiff/parallel.hpp"
#include "autodiff/plan/stages.hpp"

namespace wengert::plan {
namespace {

Schedule schedule_of(const Graph& body) { return compile_graph(body, {}, Of::body); }

class ScanRun final : public LoopRun {
 public:
  ScanRun(const Graph& body, std::size_t carry, std::size_t xs, const Packing& packing, const ScanRange& range)
      : body_(body, carry), carry_(carry), xs_(xs), packing_(packing), range_(range) {
    for (std::size_t i = carry; i < carry + xs; ++i) x_bytes_.push_back(plan().schedule().inputs[i].bytes());
    for (std::size_t k = 0; k < plan().schedule().outputs.size() - carry; ++k) {
      const Type type = plan().schedule().outputs[carry + k].type(), packed = packing.type();
      const std::size_t part = (range.gives_carry ? carry : 0) + k;
      const bool direct = type.dtype == packed.dtype;
      ys_.push_back({part, static_cast<std::size_t>(packing.offset(part)) * size_of(packed.dtype), type.bytes(), direct,
                     Array(direct ? Type{Dtype::i32, {0}} : type)});
    }
  }

  bool gains_from(int threads) const override { return plan().gains_from(threads); }
  void make_room(int threads) override { body_.plan().make_room(threads); }
  void run(const LoopCall& call, int thread, int threads, Barrier& barrier) override {
    run_steps(call, thread == 0, [&] {
      barrier.wait();
      body_.plan().work(thread, threads, barrier);
    });
  }
  void run_whole(const LoopCall& call) override {
    run_steps(call, true, [&] { body_.plan().run_whole(); });
  }

  std::string kernel() const override {
    return fmt::format("scan of {} steps, {}", range_.length, to_string(packing_.type()));
  }
  std::string explain() const override { return plan().schedule().explain_stages(); }
  std::size_t bytes() const override { return body_.bytes(); }
  double flops() const override { return static_cast<double>(range_.length) * body_.flops(); }
  double microseconds() const override { return static_cast<double>(range_.length) * plan().schedule().microseconds; }

 private:
  const Executor& plan() const { return body_.plan(); }

  // `leads`: whether the caller is the one thread that moves values.
  template <class Work>
  void run_steps(const LoopCall& call, bool leads, Work&& work) {
    for (std::size_t i = carry_ + xs_; leads && i < call.operands.size(); ++i)
      body_.plan().place_input(i, call.operands[i]);
    for (Index step = 0; step < range_.length; ++step) {
      const Index at = range_.reverse ? range_.length - 1 - step : step;
      if (leads) place(call, step, at);
      work();
      if (leads) keep(call, at);
    }
    for (std::size_t i = 0; leads && range_.gives_carry && i < carry_; ++i)
      packing_.store(body_.left_by(range_.length - 1, i).raw(), i, call.output);
  }
  void place(const LoopCall& call, Index step, Index at) {
    body_.place_carry(call, step);
    const std::size_t step_at = static_cast<std::size_t>(at);
    for (std::size_t i = 0; i < xs_; ++i)
      body_.plan().place_input(carry_ + i,
                               static_cast<const std::byte*>(call.operands[carry_ + i]) + step_at * x_bytes_[i]);
    for (std::size_t k = 0; k < ys_.size(); ++k) {
      Kept& y = ys_[k];
      std::byte* direct = static_cast<std::byte*>(call.output) + y.begin + step_at * y.bytes;
      body_.plan().place_output(carry_ + k, y.direct ? direct : y.temporary.raw());
    }
  }
  void keep(const LoopCall& call, Index at) const {
    for (const Kept& y : ys_)
      if (!y.direct) packing_.store(y.temporary, y.part, at * y.temporary.size(), call.output);
  }

  LoopBodyRun body_;
  std::size_t carry_, xs_;
  Packing packing_;
  ScanRange range_;
  std::vector<std::size_t> x_bytes_;  // of a step
  // What a step keeps: the number of its part in the packed output, bytes of where that begins and of a step's, whether
  // it has the output's dtype, and a step's where it has not.
  struct Kept {
    std::size_t part, begin, bytes;
    bool direct;
    Array temporary;
  };
  std::vector<Kept> ys_;
};

class WhileRun final : public LoopRun {
 public:
  WhileRun(const Graph& condition, const Graph& body, std::size_t carry, const Packing& packing)
      : condition_(condition, 0), body_(body, carry), carry_(carry), packing_(packing) {}

  bool gains_from(int threads) const override {
    return condition_.plan().gains_from(threads) || body_.plan().gains_from(threads);
  }
  void make_room(int threads) override {
    condition_.plan().make_room(threads);
    body_.plan().make_room(threads);
  }
  void run(const LoopCall& call, int thread, int threads, Barrier& barrier) override {
    run_steps(
        call, thread == 0,
        [&](Executor& plan) {
          barrier.wait();
          plan.work(thread, threads, barrier);
        },
        [&] { barrier.wait(); });
  }
  void run_whole(const LoopCall& call) override {
    run_steps(
        call, true, [](Executor& plan) { plan.run_whole(); }, [] {});
  }

  std::string kernel() const override { return fmt::format("while loop, {}", to_string(packing_.type())); }
  std::string explain() const override {
    return "condition\n" + condition_.plan().schedule().explain_stages() + "step\n" +
           body_.plan().schedule().explain_stages();
  }
  std::size_t bytes() const override { return condition_.bytes() + body_.bytes(); }
  double flops() const override { return condition_.flops() + body_.flops(); }
  double microseconds() const override {
    return condition_.plan().schedule().microseconds + body_.plan().schedule().microseconds;
  }

 private:
  template <class Work, class Meet>
  void run_steps(const LoopCall& call, bool leads, Work&& work, Meet&& meet) {
    const std::size_t constants = condition_.plan().schedule().inputs.size();
    if (leads) {
      for (std::size_t i = carry_; i < constants; ++i) condition_.plan().place_input(i, call.operands[i]);
      for (std::size_t i = constants; i < call.operands.size(); ++i)
        body_.plan().place_input(i - constants + carry_, call.operands[i]);
    }
    Index step = 0;
    while (true) {
      for (std::size_t i = 0; leads && i < carry_; ++i) condition_.plan().place_input(i, body_.carry(call, step, i));
      if (leads) condition_.plan().place_output(0, holds_.raw());
      work(condition_.plan());
      meet();
      if (holds_.at(0) == 0) break;
      if (leads) body_.place_carry(call, step);
      work(body_.plan());
      ++step;
    }
    for (std::size_t i = 0; leads && i < carry_; ++i) {
      if (step > 0)
        packing_.store(body_.left_by(step - 1, i).raw(), i, call.output);
      else
        packing_.store(call.operands[i], i, call.output);
    }
  }

  LoopBodyRun condition_, body_;
  std::size_t carry_;
  Packing packing_;
  Array holds_{Dtype::f64, {}};
};

}  // namespace

LoopBodyRun::LoopBodyRun(const Graph& graph, std::size_t carry) : plan_(schedule_of(graph)) {
  for (std::vector<Array>& buffer : buffers_)
    for (std::size_t i = 0; i < carry; ++i) buffer.emplace_back(plan_.schedule().outputs[i].type());
}

void LoopBodyRun::place_carry(const LoopCall& call, Index step) {
  for (std::size_t i = 0; i < buffers_[0].size(); ++i) {
    plan_.place_input(i, carry(call, step, i));
    plan_.place_output(i, buffers_[step % 2][i].raw());
  }
}

const void* LoopBodyRun::carry(const LoopCall& call, Index step, std::size_t i) const {
  return step == 0 ? call.operands[i] : left_by(step - 1, i).raw();
}

std::size_t LoopBodyRun::bytes() const {
  std::size_t bytes = plan_.schedule().bytes();
  for (const std::vector<Array>& buffer : buffers_)
    for (const Array& array : buffer) bytes += array.type().bytes();
  return bytes;
}

double LoopBodyRun::flops() const {
  double flops = 0;
  for (const Stage& stage : plan_.schedule().stages)
    for (const Steps* steps : {&stage.whole, &stage.all.steps, &stage.combined})
      for (const auto& step : *steps) flops += step->flops;
  return flops;
}

std::unique_ptr<LoopRun> scan_run(const Graph& body, std::size_t carry, std::size_t xs, const Packing& packing,
                                  const ScanRange& range) {
  return std::make_unique<ScanRun>(body, carry, xs, packing, range);
}

std::unique_ptr<LoopRun> while_run(const Graph& condition, const Graph& body, std::size_t carry,
                                   const Packing& packing) {
  return std::make_unique<WhileRun>(condition, body, carry, packing);
}

}  // namespace wengert::plan
