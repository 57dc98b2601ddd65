#include "experiments/common/options.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <limits>
#include <string_view>

#include "autodiff/parallel.hpp"

namespace wengert::experiments {
namespace {

// CLI11 would read 010 as eight and 1e3 not at all, and says so in its own words.
template <class T>
T whole_number(std::string_view flag, std::string_view text, T low, T high) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc{} && end == text.data() + text.size() && value >= low && value <= high) return value;
  const bool bounded = high != std::numeric_limits<T>::max() || error == std::errc::result_out_of_range;
  throw Error(fmt::format("{} needs a whole number {} {}{}, got '{}'", flag, bounded ? "from" : "of at least", low,
                          bounded ? fmt::format(" to {}", high) : "", text));
}

std::string setting_name(const std::string& flag) {
  std::string name = flag.substr(flag.find_first_not_of('-'));
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

}  // namespace

Options::Options(std::string name, std::string what, Size steps)
    : name_(std::move(name)),
      what_(std::move(what)),
      out_(std::filesystem::path("runs") / name_),
      steps_(size("--steps", steps, "training steps")),
      quick_(flag("--quick", "small sizes, to see that all works; its numbers mean nothing")),
      as_printed_(flag("--as-printed", "the study's text to the letter, faults included")) {}

const std::int64_t& Options::size(const std::string& flag, Size value, const std::string& help) {
  return sizes_.emplace_back(SizeOption{flag, help, value, value.study, false}).value;
}

const bool& Options::flag(const std::string& flag, const std::string& help) {
  return flags_.emplace_back(FlagOption{flag, help, false}).value;
}

bool Options::parse(int count, const char* const* arguments) {
  CLI::App app(what_, name_);
  app.get_formatter()->column_width(26);
  app.set_help_flag("-h,--help", "this text");
  app.allow_extras();  // so that the complaint about one is ours
  const auto number = [&](const std::string& flag, const std::string& help, std::function<void(std::string)> read) {
    app.add_option_function<std::string>(flag, std::move(read), help)->type_name("N");
  };
  number("--seed", fmt::format("of all random numbers [{}]", seed_), [this](const std::string& text) {
    seed_ = whole_number<std::uint64_t>("--seed", text, 0, std::numeric_limits<std::uint64_t>::max());
  });
  for (SizeOption& option : sizes_) {
    const std::string help = fmt::format("{} [{}; quick: {}]", option.help, option.sizes.study, option.sizes.quick);
    number(option.flag, help, [&option](const std::string& text) {
      option.value = whole_number<std::int64_t>(option.flag, text, 1, std::numeric_limits<std::int64_t>::max());
      option.given = true;
    });
  }
  number("--threads", "how many work; no result depends on it [all processors]",
         [this](const std::string& text) { threads_ = whole_number<int>("--threads", text, 1, most_threads()); });
  app.add_option("--out", out_, fmt::format("folder for what is written [{}]", out_.string()))->type_name("FOLDER");
  for (FlagOption& option : flags_) app.add_flag(option.flag, option.value, option.help);

  try {
    app.parse(count, arguments);
  } catch (const CLI::CallForHelp&) {
    fmt::print("{}", app.help());
    return false;
  } catch (const CLI::ParseError& error) {
    throw UsageError(error.what());
  }
  if (const std::vector<std::string> unknown = app.remaining(); !unknown.empty()) {
    const std::string& first = unknown.front();
    throw UsageError(fmt::format("there is no option {}; there are {}", first.substr(0, first.find('=')), names()));
  }
  if (quick_)
    for (SizeOption& option : sizes_)
      if (!option.given) option.value = option.sizes.quick;
  return true;
}

std::string Options::names() const {
  std::string names = "--seed";
  for (const SizeOption& option : sizes_) names += ", " + option.flag;
  for (const FlagOption& option : flags_) names += ", " + option.flag;
  return names + ", --threads, --out and --help";
}

bool Options::as_studied() const {
  return !as_printed_ && std::all_of(sizes_.begin(), sizes_.end(),
                                     [](const SizeOption& option) { return option.value == option.sizes.study; });
}

std::vector<std::pair<std::string, Setting>> Options::settings() const {
  std::vector<std::pair<std::string, Setting>> settings{{"seed", seed_}};
  for (const SizeOption& option : sizes_) settings.emplace_back(setting_name(option.flag), option.value);
  for (const FlagOption& option : flags_) settings.emplace_back(setting_name(option.flag), option.value);
  return settings;
}

}  // namespace wengert::experiments
