// Updates by a team: threads that wait for each other before a norm is taken and before sums of micro-batches are read.
// The thread sanitizer runs this file.
#define BOOST_TEST_MODULE optimizer_threads
#include <boost/test/unit_test.hpp>
#include <mutex>
#include <set>
#include <thread>

#include "autodiff/autodiff.hpp"
#include "nn/nn.hpp"
#include "tests/autodiff/helpers.hpp"

using namespace wengert;
using namespace wengert::testing;

namespace {

constexpr std::uint64_t seed = 5;

// Plain descent that keeps on which threads its pieces ran. (A team may come out of other threads the next time.)
class Watched final : public nn::Optimizer {
 public:
  Watched(nn::Module& module, nn::Clip clip) : Optimizer(module, 0, {.clip = clip}), clip_(clip) {}
  std::size_t team() const { return seen_.size(); }

 private:
  nn::OptimizerOptions read(std::int64_t) override { return {.clip = clip_}; }
  void update_piece(Index begin, Index size, const void* gradient) override {
    {
      const std::lock_guard lock(mutex_);
      seen_.insert(std::this_thread::get_id());
    }
    dispatch_float(dtype(), [&]<class T>() {
      for (Index i = 0; i < size; ++i) weights<T>()[begin + i] -= T(0.1) * static_cast<const T*>(gradient)[i];
    });
  }
  nn::Clip clip_;
  std::mutex mutex_;
  std::set<std::thread::id> seen_;
};

// Large enough that plans and updates share it out among threads.
nn::Mlp wide_network() {
  Rng rng(1);
  return nn::Mlp({.in = 2, .hidden = {160, 160}, .out = 2, .activation = tanh}, rng);
}
Var wide_loss(const nn::Mlp& net, Draw& draw) {
  const Var x = draw.normal({200, 2});
  return mean(square(net(x) - sin(x)));
}

std::vector<Array> trained_parameters(nn::Mlp& net) {
  std::vector<Array> all;
  for (const auto& [name, parameter] : net.parameters()) all.push_back(parameter->value());
  return all;
}

// Two updates, each by `parts` micro-batches, whose pieces must have run on more than one thread where there are more.
std::vector<Array> updated_by(int parts, const nn::Clip& clip) {
  nn::Mlp net = wide_network();
  Watched optimizer(net, clip);
  nn::TrainStep step(optimizer, seed, [&](Draw& draw) { return wide_loss(net, draw); });
  for (int i = 0; i < 2; ++i) {
    for (int part = 1; part < parts; ++part) step.accumulate();
    step.run();
    BOOST_TEST((step.outcome() == nn::StepOutcome::updated));
  }
  BOOST_TEST((optimizer.team() > 1) == (threads() > 1));
  return trained_parameters(net);
}

std::vector<Array> updated_eagerly(const nn::Clip& clip) {
  nn::Mlp net = wide_network();
  Watched optimizer(net, clip);
  for (std::uint32_t i = 0; i < 2; ++i) {
    Tape tape;
    Draw draw(tape, seed, i);
    optimizer.step(wide_loss(net, draw));
  }
  BOOST_TEST((optimizer.team() > 1) == (threads() > 1));
  return trained_parameters(net);
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_team_clips_and_accumulates) {
  for (const nn::Clip& clip : {nn::Clip{}, nn::Clip{.norm = 0.01}, nn::Clip{.value = 0.001, .norm = 0.01}}) {
    std::vector<Array> in_parts, at_once, eager;
    for (int count : {1, 2, 3}) {
      const Threads guard(count);
      if (count == 1) {
        in_parts = updated_by(3, clip);
        at_once = updated_by(1, clip);
        eager = updated_eagerly(clip);
        BOOST_TEST(same_bits(at_once, eager));
        continue;
      }
      BOOST_TEST(same_bits(updated_by(3, clip), in_parts));
      BOOST_TEST(same_bits(updated_by(1, clip), at_once));
      BOOST_TEST(same_bits(updated_eagerly(clip), eager));
    }
  }
}
