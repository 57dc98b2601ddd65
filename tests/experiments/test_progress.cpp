// Training: its loop, what it shows on a terminal and in a log, and how Ctrl-C ends it.
#define BOOST_TEST_MODULE progress
#include "experiments/common/progress.hpp"

#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#include <boost/test/unit_test.hpp>
#include <chrono>
#include <csignal>
#include <limits>
#include <thread>
#include <utility>

#include "autodiff/autodiff.hpp"
#include "experiments/common/interrupt.hpp"
#include "experiments/common/sample.hpp"
#include "experiments/common/train.hpp"
#include "nn/nn.hpp"
#include "sde/sde.hpp"
#include "tests/experiments/helpers.hpp"

using namespace wengert;
using namespace wengert::experiments;
using namespace wengert::testing;

namespace {

// A terminal without a screen, so many columns wide; what was written to it can be read.
class Terminal {
 public:
  explicit Terminal(int columns) : master_(::posix_openpt(O_RDWR | O_NOCTTY)) {
    BOOST_REQUIRE(master_ >= 0);
    BOOST_REQUIRE(::grantpt(master_) == 0);
    BOOST_REQUIRE(::unlockpt(master_) == 0);
    file_ = std::fopen(::ptsname(master_), "w");
    BOOST_REQUIRE(file_ != nullptr);
    struct winsize size {};
    size.ws_col = static_cast<unsigned short>(columns);
    BOOST_REQUIRE(::ioctl(master_, TIOCSWINSZ, &size) == 0);
  }
  ~Terminal() {
    if (file_ != nullptr) std::fclose(file_);
    ::close(master_);
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  std::FILE* file() { return file_; }
  // All of it; nothing can be written afterwards.
  std::string text() {
    std::fclose(std::exchange(file_, nullptr));
    std::string all, part(1 << 12, '\0');
    for (::ssize_t count; (count = ::read(master_, part.data(), part.size())) > 0;)
      all.append(part, 0, static_cast<std::size_t>(count));
    return all;
  }

 private:
  int master_;
  std::FILE* file_ = nullptr;
};

// A chroot without /dev/pts, for one, has none.
boost::test_tools::assertion_result has_terminals(boost::unit_test::test_unit_id id) {
  const int master = ::posix_openpt(O_RDWR | O_NOCTTY);
  const bool all = master >= 0 && ::grantpt(master) == 0 && ::unlockpt(master) == 0 && ::ptsname(master) != nullptr &&
                   ::access(::ptsname(master), W_OK) == 0;
  if (master >= 0) ::close(master);
  return present(all, "pseudo-terminal", id);
}

void sleep_for(int milliseconds) { std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds)); }

// Training writes to stderr, which is none of the other tests' business.
Array trained(std::int64_t steps, const std::function<double()>& step) {
  Array losses;
  printed(2, [&] { losses = train("train", steps, step); });
  return losses;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(progress)

BOOST_AUTO_TEST_CASE(a_log_gets_a_line_at_the_end_and_few_before) {
  const std::string text = printed(2, [] {
    Progress progress("train", 100);
    for (int i = 1; i <= 100; ++i) {
      sleep_for(1);
      progress.step(i <= 50 ? 1.0 : 2.0);
    }
  });
  BOOST_TEST(count_of(text, "\n") == 1u);
  BOOST_TEST(text.starts_with("train  100/100  loss 1.5  "), text);
  BOOST_TEST(contains(text, " steps/s  in 0:0"), text);
  BOOST_TEST(!contains(text, "\r"));
}

BOOST_AUTO_TEST_CASE(a_terminal_gets_one_line_that_is_rewritten, *boost::unit_test::precondition(has_terminals)) {
  Terminal terminal(100);
  const Timer timer;
  {
    Progress progress("train", 1000, terminal.file());
    for (int i = 0; i < 500; ++i) {
      sleep_for(1);
      progress.step(0.25);
    }
  }
  const auto seconds = static_cast<std::size_t>(timer.seconds());
  const std::string text = terminal.text();
  BOOST_TEST(count_of(text, "\n") == 1u);
  const std::size_t updates = count_of(text, "\r") - count_of(text, "\r\n");
  BOOST_TEST(updates >= 3u);
  BOOST_TEST(updates <= 10 * (seconds + 1) + 1);
  const std::string last = text.substr(text.rfind("\r["));
  BOOST_TEST(contains(last, "train  500/1000  loss 0.25  "), last);
  BOOST_TEST(contains(last, " steps/s  ETA "), last);
  BOOST_TEST(count_of(last, "#") <= count_of(last, "."), last);  // half of it is done
  BOOST_TEST(count_of(last, "#") >= 10u, last);
}

BOOST_AUTO_TEST_CASE(no_line_is_wider_than_the_terminal, *boost::unit_test::precondition(has_terminals)) {
  for (int columns : {1, 10, 40, 60, 70, 80, 300}) {
    Terminal terminal(columns);
    { Progress("train", 1000000, terminal.file()).step(-1.234e-5); }
    const std::string text = terminal.text();
    const std::size_t first = text.find('\r'), end = text.find("\x1b[K");
    BOOST_REQUIRE(end != std::string::npos);
    BOOST_TEST(end - first - 1 < static_cast<std::size_t>(columns));
  }
}

BOOST_AUTO_TEST_CASE(a_part_without_losses_shows_none) {
  const std::string text = printed(2, [] { Progress("draw", 1).step(); });
  BOOST_TEST(text.starts_with("draw  1/1  "), text);
  BOOST_TEST(!contains(text, "loss"), text);
}

BOOST_AUTO_TEST_CASE(metrics_are_shown_beside_the_loss) {
  const std::string text = printed(2, [] {
    Progress progress("train", 2);
    for (double value : {1.0, 2.0}) {
      const std::vector<nn::MetricValue> metrics{{"accuracy", value / 4}, {"norm", 10 * value}};
      progress.step(value, metrics);
    }
  });
  BOOST_TEST(text.starts_with("train  2/2  loss 1.5  accuracy 0.375  norm 15  "), text);
}

BOOST_AUTO_TEST_CASE(no_steps_leave_no_trace) {
  BOOST_TEST(printed(2, [] { Progress("train", 0); }).empty());
  BOOST_TEST(printed(2, [] { Progress("train", 10); }).empty());
}

BOOST_AUTO_TEST_CASE(a_step_costs_nothing) {
  const std::string text = printed(2, [] {
    Progress progress("train", 1000000);
    const Timer timer;
    for (int i = 0; i < 1000000; ++i) progress.step(1);
    BOOST_TEST(timer.seconds() < 3);  // thirty times what it takes
  });
  BOOST_TEST(contains(text, "1000000/1000000"));
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(training)

BOOST_AUTO_TEST_CASE(losses_are_those_of_the_steps) {
  int calls = 0;
  const Array losses = trained(5, [&] { return 0.5 * ++calls; });
  BOOST_TEST(same_bits(losses, Array::of<float>({5}, {0.5f, 1.0f, 1.5f, 2.0f, 2.5f})));
  BOOST_TEST(calls == 5);
  BOOST_TEST(trained(0, [] { return 1.0; }).shape()[0] == 0);
}

BOOST_AUTO_TEST_CASE(a_loss_that_is_not_finite_ends_it) {
  for (double bad : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    int calls = 0;
    std::string error;
    const std::string shown =
        printed(2, [&] { error = error_of([&] { train("train", 10, [&] { return ++calls == 3 ? bad : 1.0; }); }); });
    BOOST_TEST(contains(error, "the loss of step 3 is not finite: "), error);
    BOOST_TEST(calls == 3);
    BOOST_TEST(shown.starts_with("train  2/10  loss 1 "), shown);  // the line is ended before the error comes
    BOOST_TEST(shown.back() == '\n');
  }
}

BOOST_AUTO_TEST_CASE(a_step_that_is_no_update_ends_it_with_op_and_line) {
  Rng rng(1);
  nn::Linear layer(1, 1, rng);
  nn::Sgd sgd(layer);
  nn::TrainStep step(sgd, 1, [&](Draw& draw) {
    const Var y = layer(draw.normal({1, 1}));
    return sum(sqrt(y - y));
  });
  std::string error;
  printed(2, [&] { error = error_of([&] { train("train", 10, step); }); });
  BOOST_TEST(contains(error, "training step 1: the gradient by weight is not finite, with the draws of step 0: ["),
             error);
  BOOST_TEST(contains(error, "in the derivative of [sqrt]"), error);
  BOOST_TEST(contains(error, "(test_progress.cpp:"), error);
  nn::TrainStep finite(sgd, 1, [&](Draw& draw) { return sum(square(layer(draw.normal({1, 1})))); });
  Array losses;
  printed(2, [&] { losses = train("train", 3, finite, [](double loss) { return loss > 0 ? 7.0 : 0.0; }); });
  BOOST_TEST(same_bits(losses, Array::of<float>({3}, {7, 7, 7})));
}

BOOST_AUTO_TEST_CASE(metrics_of_a_compiled_step_are_shown) {
  Rng rng(1);
  nn::Linear layer(1, 1, rng);
  nn::Sgd sgd(layer);
  const auto loss = [&](Draw& draw, std::span<const Var> in) {
    return nn::Loss{sum(square(layer(draw.normal({1, 1})))),
                    {{"given", in.empty() ? draw.tape().full(Shape{}, 5) : in[0]}}};
  };
  nn::TrainStep drawn(sgd, 1, [&](Draw& draw) { return loss(draw, {}); });
  nn::TrainStep given(sgd, 1, {{Dtype::f32, {1}}}, loss);
  std::string shown = printed(2, [&] { train("train", 3, drawn); });
  BOOST_TEST(contains(shown, "  given 5  "), shown);
  const auto number = [](std::int64_t i) { return Array::of<float>({1}, {static_cast<float>(i)}); };
  shown = printed(2, [&] { train("train", 3, given, number); });
  BOOST_TEST(contains(shown, "  given 1  "), shown);  // the mean of 0, 1 and 2
}

BOOST_AUTO_TEST_CASE(an_interrupt_lets_the_step_end) {
  const Interrupt interrupt;
  int calls = 0;
  const Array losses = trained(10, [&] {
    if (++calls == 4) std::raise(SIGINT);
    return 1.0;
  });
  BOOST_TEST(losses.size() == 4);
  BOOST_TEST(calls == 4);
}

// Sampling has no result before its end, so that an interrupt is an exception.
BOOST_AUTO_TEST_CASE(an_interrupt_ends_sampling_after_its_step) {
  const Interrupt interrupt;
  sde::Integrator integrator(sde::Euler{}, sde::Ode([](Var x, Var) { return -x; }));
  const Array x = Array::of<double>({1, 1}, {1});
  const sde::Grid grid = sde::Grid::uniform(0, 1, 10);
  Array end;
  const std::string shown = printed(2, [&] { end = sample("sample", integrator, x, grid); });
  BOOST_TEST(same_bits(end, integrator.run(x, grid).x()));
  BOOST_TEST(contains(shown, "sample  10/10"), shown);
  Index last = 0;
  const auto stop = [&](Index step, double, std::span<const Array>) {
    last = step;
    if (step == 4) std::raise(SIGINT);
  };
  printed(2, [&] { BOOST_CHECK_THROW(sample("sample", integrator, x, grid, {.observe = stop}), Interrupted); });
  BOOST_TEST(last == 4);
}

BOOST_AUTO_TEST_CASE(a_closed_terminal_ends_training_but_not_under_nohup) {
  for (const auto handler : {SIG_DFL, SIG_IGN}) {
    const auto before = std::signal(SIGHUP, handler);
    {
      const Interrupt interrupt;
      std::raise(SIGHUP);
      BOOST_TEST(Interrupt::requested() == (handler == SIG_DFL));
    }
    BOOST_TEST((std::signal(SIGHUP, before) == handler));
  }
}

// As `| head` leaves a pipe, whatever the parent has made of SIGPIPE.
BOOST_AUTO_TEST_CASE(a_reader_that_goes_away_ends_training) {
  int ends[2];
  BOOST_REQUIRE(::pipe(ends) == 0);
  ::close(ends[0]);
  std::FILE* file = ::fdopen(ends[1], "w");
  for (const auto handler : {SIG_DFL, SIG_IGN}) {
    const auto before = std::signal(SIGPIPE, handler);
    {
      const Interrupt interrupt;
      BOOST_TEST(!Interrupt::requested());
      { Progress("train", 10, file).step(1); }
      BOOST_TEST(Interrupt::requested());
    }
    BOOST_TEST((std::signal(SIGPIPE, before) == handler));
  }
  std::fclose(file);
}

BOOST_AUTO_TEST_CASE(a_full_disk_of_the_log_does_not_end_training) {
  std::FILE* file = std::fopen("/dev/full", "w");
  BOOST_REQUIRE(file != nullptr);
  const Interrupt interrupt;
  { Progress("train", 10, file).step(1); }
  BOOST_TEST(!Interrupt::requested());
  std::fclose(file);
}

BOOST_AUTO_TEST_CASE(the_second_signal_kills) {
  for (const auto& [first, second] : {std::pair{SIGINT, SIGINT}, std::pair{SIGINT, SIGTERM}, std::pair{SIGTERM, SIGINT},
                                      std::pair{SIGHUP, SIGINT}, std::pair{SIGTERM, SIGHUP}}) {
    const ::pid_t child = ::fork();
    if (child == 0) {
      const Interrupt interrupt;
      std::raise(first);
      if (Interrupt::requested()) std::raise(second);
      ::_exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    BOOST_TEST(WIFSIGNALED(status));
    BOOST_TEST(WTERMSIG(status) == second);
  }
}

BOOST_AUTO_TEST_CASE(handlers_are_put_back) {
  static volatile std::sig_atomic_t ours = 0;
  const auto before = std::signal(SIGINT, [](int) { ours = ours + 1; });
  {
    const Interrupt interrupt;
    std::raise(SIGINT);
    BOOST_TEST(ours == 0);
  }
  std::raise(SIGINT);
  BOOST_TEST(ours == 1);
  std::signal(SIGINT, before);
}

BOOST_AUTO_TEST_CASE(an_ignored_signal_is_heard_all_the_same) {
  const auto before = std::signal(SIGINT, SIG_IGN);  // as a shell does for what it runs in the background
  {
    const Interrupt interrupt;
    std::raise(SIGINT);
    BOOST_TEST(Interrupt::requested());
  }
  std::signal(SIGINT, before);
}

BOOST_AUTO_TEST_CASE(means_of_losses_count_from_one) {
  const Array losses = Array::of<float>({4}, {1, 2, 4, 8});
  BOOST_TEST(mean_loss(losses, 1, 4).value() == 3.75);
  BOOST_TEST(mean_loss(losses, 2, 3).value() == 3);
  BOOST_TEST(mean_loss(losses, 4, 4).value() == 8);
  BOOST_TEST(!mean_loss(losses, 2, 5));
  BOOST_TEST(!mean_loss(losses, 0, 2));
  BOOST_TEST(!mean_loss(losses, 3, 2));
}

BOOST_AUTO_TEST_SUITE_END()
