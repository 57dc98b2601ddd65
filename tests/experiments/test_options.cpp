// Command lines, and what stands between main and an experiment.
#define BOOST_TEST_MODULE options
#include "experiments/common/options.hpp"

#include <boost/test/unit_test.hpp>
#include <csignal>
#include <limits>
#include <new>

#include "autodiff/parallel.hpp"
#include "experiments/common/interrupt.hpp"
#include "experiments/common/run_main.hpp"
#include "tests/experiments/helpers.hpp"

using namespace wengert;
using namespace wengert::experiments;
using namespace wengert::testing;
namespace fs = std::filesystem;

namespace {

struct Example {
  Options options{"example", "An example", {.study = 20000, .quick = 500}};
  const std::int64_t& batch = options.size("--batch", {.study = 5000, .quick = 50}, "points in a batch");
  const bool& slow = options.flag("--slow-start", "warms up");

  bool parse(std::initializer_list<std::string> arguments) {
    CommandLine line(arguments);
    return options.parse(line.count(), line.arguments());
  }
  std::string error(std::initializer_list<std::string> arguments) {
    return error_of([&] { parse(arguments); });
  }
  int run(std::initializer_list<std::string> arguments, const std::function<void()>& body) {
    CommandLine line(arguments);
    return run_main(options, line.count(), line.arguments(), body);
  }
};

bool is_usage_error(std::initializer_list<std::string> arguments) {
  Example example;
  try {
    example.parse(arguments);
  } catch (const UsageError&) {
    return true;
  } catch (const Error&) {
  }
  return false;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(options)

BOOST_AUTO_TEST_CASE(without_arguments_all_is_as_in_the_study) {
  Example example;
  BOOST_TEST(example.parse({}));
  BOOST_TEST(example.options.seed() == 42u);
  BOOST_TEST(example.options.steps() == 20000);
  BOOST_TEST(example.batch == 5000);
  BOOST_TEST(example.options.out() == fs::path("runs/example"));
  BOOST_TEST(!example.options.quick());
  BOOST_TEST(!example.options.as_printed());
  BOOST_TEST(!example.slow);
  BOOST_TEST(!example.options.threads().has_value());
  BOOST_TEST(example.options.as_studied());
}

BOOST_AUTO_TEST_CASE(every_option_reaches_its_value) {
  Example example;
  BOOST_TEST(example.parse({"--seed", "18446744073709551615", "--steps=7", "--batch", "010", "--out", "a b/c",
                            "--as-printed", "--slow-start", "--threads", "3"}));
  BOOST_TEST(example.options.seed() == std::numeric_limits<std::uint64_t>::max());
  BOOST_TEST(example.options.steps() == 7);
  BOOST_TEST(example.batch == 10);  // not octal
  BOOST_TEST(example.options.out() == fs::path("a b/c"));
  BOOST_TEST(example.options.as_printed());
  BOOST_TEST(example.slow);
  BOOST_TEST(example.options.threads().value() == 3);
}

BOOST_AUTO_TEST_CASE(quick_shrinks_what_was_not_given) {
  Example example;
  example.parse({"--quick", "--batch", "5000"});
  BOOST_TEST(example.options.steps() == 500);
  BOOST_TEST(example.batch == 5000);
  BOOST_TEST(example.options.quick());
}

BOOST_AUTO_TEST_CASE(windows_apply_to_the_studys_sizes_alone) {
  const auto as_studied = [](std::initializer_list<std::string> arguments) {
    Example example;
    example.parse(arguments);
    return example.options.as_studied();
  };
  BOOST_TEST(as_studied({"--seed", "7", "--threads", "1", "--out", "x", "--steps", "20000"}));
  BOOST_TEST(!as_studied({"--steps", "19999"}));
  BOOST_TEST(!as_studied({"--batch", "1"}));
  BOOST_TEST(!as_studied({"--quick"}));
  BOOST_TEST(!as_studied({"--as-printed"}));
  BOOST_TEST(as_studied({"--quick", "--steps", "20000", "--batch", "5000"}));
}

BOOST_AUTO_TEST_CASE(settings_name_what_results_depend_on) {
  Example example;
  example.parse({"--batch", "8", "--slow-start"});
  std::string names;
  for (const auto& setting : example.options.settings()) names += setting.first + " ";
  BOOST_TEST(names == "seed steps batch quick as_printed slow_start ");
  BOOST_TEST(std::get<std::int64_t>(example.options.settings()[2].second) == 8);
  BOOST_TEST(std::get<bool>(example.options.settings()[5].second));
}

BOOST_AUTO_TEST_CASE(unknown_options_are_answered_with_the_known_ones) {
  for (const char* unknown : {"--sed", "--sed=5", "--sed 5", "-s", "5", "--", "--step"}) {
    Example example;
    const std::string error = example.error({unknown, "--seed", "1"});
    BOOST_TEST(contains(error, "there is no option " + std::string(unknown).substr(0, std::string(unknown).find('='))),
               error);
    for (const char* known :
         {"--seed", "--steps", "--batch", "--quick", "--as-printed", "--slow-start", "--threads", "--out", "--help"})
      BOOST_TEST(contains(error, known), error);
    BOOST_TEST(!contains(error, "\n"));
  }
}

BOOST_AUTO_TEST_CASE(usage_errors_are_told_from_bad_values) {
  BOOST_TEST(is_usage_error({"--sed"}));
  BOOST_TEST(is_usage_error({"--steps"}));
  BOOST_TEST(is_usage_error({"--out"}));
  BOOST_TEST(is_usage_error({"--steps", "5", "--steps", "6"}));
  BOOST_TEST(!is_usage_error({"--steps", "x"}));
}

BOOST_AUTO_TEST_CASE(values_that_will_not_do_are_named) {
  for (const char* value : {"x", "", "-5", "0", "1e3", "1.5", "5x", " 5", "+5", "0x10", "nan", "９"}) {
    Example example;
    const std::string error = example.error({"--batch", value});
    BOOST_TEST(error == "--batch needs a whole number of at least 1, got '" + std::string(value) + "'");
  }
  Example example;
  BOOST_TEST(example.error({"--steps", "9223372036854775808"}) ==
             "--steps needs a whole number from 1 to 9223372036854775807, got '9223372036854775808'");
  BOOST_TEST(example.error({"--seed", "-1"}) == "--seed needs a whole number of at least 0, got '-1'");
  for (const char* value : {"0", "-1", "1025", "two"})
    BOOST_TEST(example.error({"--threads", value}) == "--threads needs a whole number from 1 to " +
                                                          std::to_string(most_threads()) + ", got '" +
                                                          std::string(value) + "'");
}

BOOST_AUTO_TEST_CASE(help_has_a_line_for_each_option) {
  Example example;
  const std::string help = printed(1, [&] { BOOST_TEST(!example.parse({"--help"})); });
  BOOST_TEST(contains(help, "An example"));
  for (const char* flag : {"--seed N", "--steps N", "--batch N", "--out FOLDER", "--quick", "--as-printed",
                           "--slow-start", "--threads N", "--help"}) {
    const std::size_t at = help.find(flag);
    BOOST_REQUIRE(at != std::string::npos);
    const std::string line = help.substr(at, help.find('\n', at) - at);
    BOOST_TEST(contains(line, "   "), line);  // something follows
  }
  BOOST_TEST(contains(help, "points in a batch [5000; quick: 50]"));
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(run)

BOOST_AUTO_TEST_CASE(a_body_that_ends_well_is_status_0) {
  const Folder folder;
  Example example;
  int status = -1;
  const std::string text = printed(1, [&] {
    status = example.run({"--out", (folder / "a/b").string(), "--threads", "1"}, [&] {
      BOOST_TEST(fs::is_directory(folder / "a/b"));
      BOOST_TEST(threads() == 1);
      std::puts("numbers");
    });
  });
  BOOST_TEST(status == 0);
  BOOST_TEST(text == "numbers\nfigures and numbers in " + (folder / "a/b").string() + "\n");
}

BOOST_AUTO_TEST_CASE(help_runs_nothing_and_makes_nothing) {
  const Folder folder;
  Example example;
  int status = -1;
  printed(1, [&] { status = example.run({"--out", (folder / "a").string(), "--help"}, [] { BOOST_ERROR("ran"); }); });
  BOOST_TEST(status == 0);
  BOOST_TEST(folder.files() == 0u);
}

BOOST_AUTO_TEST_CASE(failures_are_one_line_and_a_status) {
  const Folder folder;
  replace_file(folder / "file", "");
  const auto run = [&](std::initializer_list<std::string> arguments, const std::function<void()>& body) {
    Example example;
    int status = -1;
    const std::string text = printed(2, [&] { status = example.run(arguments, body); });
    return std::to_string(status) + " " + text;
  };
  const auto never = [] { BOOST_ERROR("ran"); };
  const std::string out = (folder / "out").string(), file = (folder / "file").string();
  BOOST_TEST(run({"--out", out, "--sed"}, never).starts_with("2 example: there is no option --sed; "));
  BOOST_TEST(run({"--out", out, "--steps", "x"}, never).starts_with("1 example: --steps needs "));
  BOOST_TEST(folder.files() == 1u);
  BOOST_TEST(run({"--out", file}, never) == "1 example: cannot make the folder '" + file + "': Not a directory\n");
  BOOST_TEST(run({"--out", "/proc/self"}, never).starts_with("1 example: cannot write '/proc/self/': "));
  BOOST_TEST(run({"--out", out}, [] { throw Error("two\nlines"); }) == "1 example: two lines\n");
  BOOST_TEST(run({"--out", out}, [] { throw std::out_of_range("far"); }) == "1 example: far\n");
  BOOST_TEST(run({"--out", out}, [] { throw std::bad_alloc(); }) == "1 example: not enough memory\n");
}

BOOST_AUTO_TEST_CASE(an_interrupted_body_is_status_130) {
  const Folder folder;
  const auto status_of = [&](const std::function<void()>& body) {
    Example example;
    int status = -1;
    printed(1, [&] { status = example.run({"--out", folder.path().string()}, body); });
    return status;
  };
  for (int signal : {SIGINT, SIGTERM})
    BOOST_TEST(status_of([&] {
                 std::raise(signal);
                 BOOST_TEST(Interrupt::requested());
               }) == 130);
  BOOST_TEST(status_of([] {}) == 0);  // and is forgotten
}

BOOST_AUTO_TEST_SUITE_END()
