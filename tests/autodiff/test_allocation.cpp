// What recording costs the heap and the stack: nothing after the first step of a loop, and no recursion anywhere.
#define BOOST_TEST_MODULE allocation
#include <pthread.h>
#include <algorithm>

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <cerrno>
#include <cstdlib>
#include <new>

#include "autodiff/autodiff.hpp"
#include "nn/nn.hpp"
#include "sde/sde.hpp"
#include "tests/autodiff/helpers.hpp"

namespace {

std::atomic<long> allocations{0};  // of all threads

}  // namespace

#if SANITIZED
// Sanitizers have an allocator of their own, which tells of what it gives.
extern "C" int __sanitizer_install_malloc_and_free_hooks(void (*taken)(const volatile void*, std::size_t),
                                                         void (*freed)(const volatile void*));
[[maybe_unused]] const int hooks = __sanitizer_install_malloc_and_free_hooks(
    [](const volatile void*, std::size_t) { allocations.fetch_add(1, std::memory_order_relaxed); },
    [](const volatile void*) {});
#else
namespace {
void* counted(void* memory) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  return memory;
}
}  // namespace

// operator new ends here too, as does what the libraries take.
extern "C" {
void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* memory, std::size_t size);
void* __libc_memalign(std::size_t alignment, std::size_t size);

void* malloc(std::size_t size) noexcept { return counted(__libc_malloc(size)); }
void* calloc(std::size_t count, std::size_t size) noexcept { return counted(__libc_calloc(count, size)); }
void* realloc(void* memory, std::size_t size) noexcept { return counted(__libc_realloc(memory, size)); }
void* aligned_alloc(std::size_t alignment, std::size_t size) noexcept {
  return counted(__libc_memalign(alignment, size));
}
void* memalign(std::size_t alignment, std::size_t size) noexcept { return counted(__libc_memalign(alignment, size)); }
int posix_memalign(void** memory, std::size_t alignment, std::size_t size) noexcept {
  *memory = counted(__libc_memalign(alignment, size));
  return *memory == nullptr ? ENOMEM : 0;
}
}
#endif

using namespace wengert;
using namespace wengert::testing;

namespace {

// The largest number of allocations of one run of f, after three runs to warm up.
template <class F>
long allocations_of(F&& f) {
  for (int i = 0; i < 3; ++i) f();
  long most = 0;
  for (int i = 0; i < 20; ++i) {
    const long before = allocations.load();
    f();
    most = std::max(most, allocations.load() - before);
  }
  return most;
}

struct Step {
  explicit Step(Index rows) : batch(random_array(Dtype::f32, {rows, 3}, 1)), mark(tape.mark()) {
    for (Index i = 0; i + 1 < 4; ++i) {
      const Index widths[] = {3, 37, 64, 2};
      weights.push_back(tape.input(random_array(Dtype::f32, {widths[i], widths[i + 1]}, 2)));
      weights.push_back(tape.input(random_array(Dtype::f32, {widths[i + 1]}, 3)));
    }
    mark = tape.mark();
  }
  Var loss() {
    Var h = tape.input(batch, "x");
    const Var target = slice(h, 1, 0, 2);
    for (std::size_t i = 0; i < weights.size(); i += 2) {
      h = matmul(h, weights[i]) + weights[i + 1];
      if (i + 2 < weights.size()) h = silu(h);
    }
    return mean(sum(square(h - target), 1) * 0.5);
  }
  void rewind() { tape.rewind(mark); }

  Tape tape;
  Array batch;
  std::vector<Var> weights;
  Tape::Mark mark;
};

}  // namespace

BOOST_AUTO_TEST_CASE(the_counter_counts) {
  const long before = allocations.load();
  delete new double(1);  // NOLINT: a pair that a compiler may remove
  std::vector<double> many(1000);
  BOOST_TEST(many.data() != nullptr);
  const Array array(Dtype::f32, {1000});
  BOOST_TEST(allocations.load() - before >= 2);
}

// Clang's OpenMP runtime allocates for every region of a team, which is not ours to count: one thread there.
#if defined(__clang__)
constexpr int largest_team = 1;
#else
constexpr int largest_team = 3;
#endif
// Of a plan, which tries smaller teams too: OpenMP allocates when a team of several becomes one of another several.
constexpr int largest_planned_team = std::min(largest_team, 2);

BOOST_AUTO_TEST_CASE(recording_and_computing_allocate_nothing) {
  for (int count = 1; count <= largest_team; ++count) {
    const Threads guard(count);
    for (Index batch : {1, 32, 1000}) {
      Step step(batch);
      double value = 0;
      const long found = allocations_of([&] {
        value = step.loss().item();
        step.rewind();
      });
      BOOST_TEST_MESSAGE(count << " threads, " << batch << " rows, forward: " << found << " allocations a step");
      BOOST_TEST(found == 0);
      BOOST_TEST(value > 0);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_gradient_allocates_its_lists_alone) {
  for (int count = 1; count <= largest_team; ++count) {
    const Threads guard(count);
    Step step(1000);
    const long found = allocations_of([&] {
      grad(step.loss(), step.weights);
      step.rewind();
    });
    BOOST_TEST_MESSAGE(count << " threads, forward and gradient of 6 arrays: " << found << " allocations a step");
    BOOST_TEST(found <= 10);  // whatever the length of the tape
  }
}

BOOST_AUTO_TEST_CASE(other_ops_allocate_nothing) {
  Tape tape;
  const Var x = tape.input(random_array(Dtype::f32, {40, 30}, 1)), y = tape.input(random_array(Dtype::f32, {30}, 2));
  const auto mark = tape.mark();
  const auto count = [&](const char* name, auto&& op) {
    const long found = allocations_of([&] {
      op();
      tape.rewind(mark);
    });
    BOOST_TEST(found == 0, name << " allocates " << found << " times");
  };
  count("concat", [&] { return concat({x, x, reshape(y, {1, 30})}, 0); });
  count("slice", [&] { return slice(x, 0, 3, -2, 2); });
  count("slice_backward", [&] { return slice_backward(x, 1, 70, 3, 2); });
  count("transpose", [&] { return transpose(x); });
  count("broadcast_to", [&] { return broadcast_to(y, {7, 40, 30}); });
  count("sum", [&] { return sum(x, {0}); });
  count("sum of all", [&] { return sum(x); });
  count("mean", [&] { return mean(x, 1, {.keepdims = true}); });
  count("sum_to", [&] { return sum_to(x, {1, 30}); });
  count("where", [&] { return where(x > 0.5, x, y); });
  count("clip", [&] { return clip(x, -0.5, 0.5); });
  count("cast", [&] { return cast(x, Dtype::f64); });
  count("gelu", [&] { return gelu(x); });
  count("matmul, transposed", [&] { return matmul(x, x, {.transpose_a = true}); });
  count("scope", [&] {
    const Scope scope(x, "a_name_that_no_string_holds_inline");
    return exp(x);
  });
}

namespace {

// y = x + x + ... : a million additions, whose derivative is their number.
void* differentiate_a_long_chain(void* result) {
  constexpr int length = 1000000;
  Tape tape(Dtype::f64);
  const Var x = tape.full(Shape{}, 1);
  Var y = x;
  for (int i = 0; i < length; ++i) y = y + x;
  const double value = y.item(), slope = grad(y, x).item();
  const bool right = value == length + 1 && slope == length + 1;
  const std::size_t bytes = tape.bytes() / tape.size();
  BOOST_TEST_MESSAGE(tape.size() << " nodes of " << sizeof(Node) << " bytes and " << bytes << " bytes of values each");
  *static_cast<bool*>(result) = right && bytes <= 64 && sizeof(Node) <= 192;
  return nullptr;
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_plan_allocates_nothing) {
  for (int count = 1; count <= largest_planned_team; ++count) {
    const Threads guard(count);
    for (Index batch : {1, 32, 1000}) {
      const Array weights = random_array(Dtype::f32, {3, 20}, 1, -1, 1);
      const auto f = [&](std::span<const Var> in) {
        const Var w = in[0].tape().input(weights);
        Draw draw(in[1]);
        const auto score = [&](Var x) { return tanh(matmul(matmul(x, w), w, {.transpose_b = true})); };
        const auto [value, trace] = value_and_divergence(score, in[0] + draw.normal({batch, 3}));
        const Var loss = mean(trace + sum(square(value), 1));
        return std::vector<Var>{loss, grad(loss, in[0]), cumsum(value, 0)};
      };
      Plan plan = compile(f, {{Dtype::f32, {batch, 3}}, {Dtype::i32, {4}}});
      const Array x = random_array(Dtype::f32, {batch, 3}, 2, -1, 1), state = draw_state(3, 4);
      BOOST_TEST(allocations_of([&] { plan.run({x, state}); }) == 0);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_training_step_allocates_nothing) {
  for (int count = 1; count <= largest_planned_team; ++count) {
    const Threads guard(count);
    Rng rng(1);
    nn::Mlp net({.in = 3, .hidden = {64, 64}, .out = 1, .activation = silu}, rng);
    nn::Adam adam(net, {.common = {.clip = {.norm = 1}, .ema_decay = 0.9}});
    nn::TrainStep step(adam, 1, [&](Draw& draw) {
      const Var error = net(draw.normal({1000, 3}));
      return nn::Loss{mean(square(error)), {{"within", abs(error) < 0.1}, {"largest", max(abs(error))}}};
    });
    double shown = 0;
    BOOST_TEST(allocations_of([&] {
                 step.run();
                 for (const auto& [name, value] : step.metrics()) shown += value;
               }) == 0);
    BOOST_TEST(shown > 0);
  }
}

BOOST_AUTO_TEST_CASE(a_solver_step_allocates_nothing) {
  const Array weights = random_array(Dtype::f32, {3, 2}, 1, -1, 1),
              start = random_array(Dtype::f32, {200, 2}, 2, -1, 1);
  const auto score = [&](Var x, Var t) { return tanh(matmul(concat({x, t}, 1), x.tape().input(weights))); };
  const sde::Ou process{.theta = 0.5, .sigma = 0.5};
  std::vector<long> counts(100);
  std::size_t steps = 0;
  const auto observe = [&](Index, double, std::span<const Array>) { counts.at(steps++) = allocations.load(); };
  const auto check = [&](const char* solver) {
    BOOST_TEST(steps > 8U, solver);
    for (std::size_t i = 4; i < steps; ++i) BOOST_TEST(counts[i] == counts[i - 1], solver << ", step " << i);
    steps = 0;
  };
  sde::Integrator sampler(sde::PredictorCorrector{}, sde::reverse(process, score));
  sampler.run(start, sde::Grid::uniform(1, 0, 20), {.noise = sde::Noise::drawn(1), .observe = observe});
  check("predictor-corrector");
  sde::Integrator flow(sde::DormandPrince{}, sde::probability_flow(process, score));
  flow.run(start, sde::Tolerance{.from = 0.01, .to = 1, .max_step = 0.05}, {.observe = observe});
  check("adaptive");
}

BOOST_AUTO_TEST_CASE(a_million_nodes_on_a_small_stack) {
  pthread_attr_t attributes;
  pthread_t thread;
  bool right = false;
  BOOST_TEST_REQUIRE(pthread_attr_init(&attributes) == 0);
  BOOST_TEST_REQUIRE(pthread_attr_setstacksize(&attributes, std::size_t{256} << 10) == 0);
  BOOST_TEST_REQUIRE(pthread_create(&thread, &attributes, differentiate_a_long_chain, &right) == 0);
  BOOST_TEST(pthread_join(thread, nullptr) == 0);
  BOOST_TEST(right);
  pthread_attr_destroy(&attributes);
}
