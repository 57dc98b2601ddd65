// Command lines.
#define BOOST_TEST_MODULE options
#include "experiments/common/options.hpp"

#include <fmt/format.h>

#include <boost/test/unit_test.hpp>
#include <limits>

#include "autodiff/parallel.hpp"
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
  const std::int64_t& frames = options.size("--frames", {.study = 50, .quick = 5, .drawing = true}, "of a film");
  const double& snr = options.real("--snr", {.study = 0.15, .low = 0, .high = 2}, "of a Langevin step");
  const std::string& method = options.choice("--method", {"heun", "euler"}, "how to sample");
  const std::string& note = options.text("--note", "none", "what to remember");
  const fs::path& weights = options.path("--weights", "a folder of trained weights");
  const bool& noise = options.fault("noise", "uniform noise");
  const bool& drift = options.fault("drift", "half of the drift");

  bool parse(std::initializer_list<std::string> arguments) {
    CommandLine line(arguments);
    return options.parse(line.count(), line.arguments());
  }
  std::string error(std::initializer_list<std::string> arguments) {
    return error_of([&] { parse(arguments); });
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
  BOOST_TEST(example.snr == 0.15);
  BOOST_TEST(example.method == "heun");
  BOOST_TEST(example.note == "none");
  BOOST_TEST(example.weights.empty());
  BOOST_TEST(!example.noise);
  BOOST_TEST(example.options.figures() == "png");
  BOOST_TEST(example.options.seeds().size() == 1u);
  BOOST_TEST(!example.options.threads().has_value());
  BOOST_TEST(example.options.as_studied());
}

BOOST_AUTO_TEST_CASE(every_option_reaches_its_value) {
  Example example;
  BOOST_TEST(example.parse({"--seed",
                            "18446744073709551615",
                            "--steps=7",
                            "--batch",
                            "010",
                            "--out",
                            "a b/c",
                            "--as-printed",
                            "--slow-start",
                            "--threads",
                            "3",
                            "--snr",
                            "0.5",
                            "--method",
                            "euler",
                            "--note",
                            "a, b",
                            "--weights",
                            "runs/x",
                            "--figures=svg"}));
  BOOST_TEST(example.options.seed() == std::numeric_limits<std::uint64_t>::max());
  BOOST_TEST(example.options.steps() == 7);
  BOOST_TEST(example.batch == 10);  // not octal
  BOOST_TEST(example.options.out() == fs::path("a b/c"));
  BOOST_TEST(example.options.as_printed());
  BOOST_TEST(example.slow);
  BOOST_TEST(example.options.threads().value() == 3);
  BOOST_TEST(example.snr == 0.5);
  BOOST_TEST(example.method == "euler");
  BOOST_TEST(example.note == "a, b");
  BOOST_TEST(example.weights == fs::path("runs/x"));
  BOOST_TEST(example.options.figures() == "svg");
  BOOST_TEST(example.noise);
  BOOST_TEST(example.drift);
}

BOOST_AUTO_TEST_CASE(faults_are_turned_on_by_name_or_all_at_once) {
  const auto on = [](std::initializer_list<std::string> arguments) {
    Example example;
    example.parse(arguments);
    return std::string(example.noise ? "noise " : "") + (example.drift ? "drift" : "");
  };
  BOOST_TEST(on({"--as-printed"}) == "noise drift");
  BOOST_TEST(on({"--as-printed", "--quick"}) == "noise drift");
  BOOST_TEST(on({"--as-printed=drift"}) == "drift");
  BOOST_TEST(on({"--as-printed=noise,drift"}) == "noise drift");
  for (const char* names : {"nosie", "noise,", "noise,drift,width"}) {
    Example example;
    const std::string error = example.error({std::string("--as-printed=") + names});
    BOOST_TEST(contains(error, "--as-printed knows no fault '"), error);
    BOOST_TEST(contains(error, "there are noise, drift"), error);
  }
}

BOOST_AUTO_TEST_CASE(several_seeds_are_told_apart) {
  Example example;
  example.parse({"--seeds", "3,1,2"});
  BOOST_TEST(example.options.seeds() == (std::vector<std::uint64_t>{3, 1, 2}), boost::test_tools::per_element());
  BOOST_TEST(contains(Example().error({"--seeds", "1,2,1"}), "--seeds names 1 twice"));
  BOOST_TEST(contains(Example().error({"--seeds", "1,"}), "--seeds needs a whole number of at least 0, got ''"));
  BOOST_TEST(is_usage_error({"--seed", "1", "--seeds", "1,2"}));
}

BOOST_AUTO_TEST_CASE(the_command_says_all_that_results_depend_on) {
  const auto command = [](std::initializer_list<std::string> arguments) {
    Example example;
    example.parse(arguments);
    return example.options.command(7);
  };
  BOOST_TEST(command({"--threads", "2", "--out", "x", "--figures", "svg"}) == "experiments/run example --seed 7");
  BOOST_TEST(command({"--quick", "--batch", "8", "--snr", "0.25", "--slow-start", "--as-printed=drift"}) ==
             "experiments/run example --seed 7 --quick --batch 8 --slow-start --snr 0.25 --as-printed=drift");
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
  BOOST_TEST(as_studied({"--frames", "3"}));
  BOOST_TEST(!as_studied({"--steps", "19999"}));
  BOOST_TEST(!as_studied({"--batch", "1"}));
  BOOST_TEST(!as_studied({"--quick"}));
  BOOST_TEST(!as_studied({"--as-printed"}));
  BOOST_TEST(!as_studied({"--as-printed=noise"}));
  BOOST_TEST(!as_studied({"--snr", "0.2"}));
  BOOST_TEST(as_studied({"--snr", "0.15", "--weights", "x"}));
  BOOST_TEST(as_studied({"--quick", "--steps", "20000", "--batch", "5000"}));
}

BOOST_AUTO_TEST_CASE(settings_name_what_results_depend_on) {
  Example example;
  example.parse({"--batch", "8", "--slow-start"});
  std::string names;
  const auto settings = example.options.settings(5);
  for (const auto& setting : settings) names += setting.first + " ";
  BOOST_TEST(names == "seed steps batch slow_start frames snr method note weights quick as_printed ");
  BOOST_TEST(std::get<std::uint64_t>(settings[0].second) == 5u);
  BOOST_TEST(std::get<std::int64_t>(settings[2].second) == 8);
  BOOST_TEST(std::get<bool>(settings[3].second));
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
  for (const char* value : {"1", "101", "-1"}) {
    Options options("example", "An example", {.study = 9, .quick = 4, .least = 2, .most = 100});
    const CommandLine line({"--steps", value});
    BOOST_TEST(error_of([&] { options.parse(line.count(), line.arguments()); }) ==
               "--steps needs a whole number from 2 to 100, got '" + std::string(value) + "'");
  }
  for (const char* value : {"1000000000000000", "9223372036854775807"}) {  // of 16 bytes each
    const std::string error = example.error({"--batch", value});
    BOOST_TEST(error.starts_with("--batch may be "), error);
    BOOST_TEST(error.ends_with(" at most, for which there is memory, got '" + std::string(value) + "'"), error);
  }
  for (const char* value : {"0", "-1", "1025", "two"})
    BOOST_TEST(example.error({"--threads", value}) ==
               fmt::format("--threads needs a whole number from 1 to {}, got '{}'", most_threads(), value));
  for (const char* value : {"", "x", "nan", "inf", "-0.1", "2.1", "1,5", "0x1p3z"})
    BOOST_TEST(example.error({"--snr", value}) == "--snr needs a number from 0 to 2, got '" + std::string(value) + "'");
  BOOST_TEST(example.error({"--method", "rk4"}) == "--method is one of heun, euler, got 'rk4'");
  BOOST_TEST(example.error({"--figures", "pdf"}) == "--figures is one of png, svg, none, got 'pdf'");
  BOOST_TEST(example.error({"--weights", ""}) == "--weights needs a path, got ''");
}

BOOST_AUTO_TEST_CASE(help_has_a_line_for_each_option) {
  Example example;
  const std::string help = printed(1, [&] { BOOST_TEST(!example.parse({"--help"})); });
  BOOST_TEST(contains(help, "An example"));
  for (const char* flag :
       {"--seed N", "--seeds N,N,...", "--steps N", "--batch N", "--snr X", "--method heun|euler", "--weights PATH",
        "--out FOLDER", "--quick", "--as-printed", "--slow-start", "--threads N", "--help"}) {
    const std::size_t at = help.find(flag);
    BOOST_REQUIRE(at != std::string::npos);
    const std::string line = help.substr(at, help.find('\n', at) - at);
    BOOST_TEST(contains(line, "   "), line);  // something follows
  }
  BOOST_TEST(contains(help, "points in a batch [5000; quick: 50]"));
  BOOST_TEST(contains(help, "  noise                   uniform noise"), help);
}

BOOST_AUTO_TEST_SUITE_END()
