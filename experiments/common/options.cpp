#include "experiments/common/options.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cmath>
#include <string_view>

#include "autodiff/parallel.hpp"
#include "experiments/common/machine.hpp"
#include "experiments/common/print.hpp"

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

std::uint64_t seed_from(std::string_view flag, std::string_view text) {
  return whole_number<std::uint64_t>(flag, text, 0, std::numeric_limits<std::uint64_t>::max());
}

double real_number(std::string_view flag, std::string_view text, const Real& bounds) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc{} && end == text.data() + text.size() && value >= bounds.low && value <= bounds.high)
    return value;
  throw Error(fmt::format("{} needs a number from {:g} to {:g}, got '{}'", flag, bounds.low, bounds.high, text));
}

std::vector<std::string> comma_separated(const std::string& text) {
  std::vector<std::string> parts;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t comma = std::min(text.find(',', at), text.size());
    parts.push_back(text.substr(at, comma - at));
    at = comma + 1;
  }
  return parts;
}

std::string list(const std::vector<std::string>& words, const std::string& separator = ", ") {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : separator) + word;
  return text;
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
      figures_(choice("--figures", {"png", "svg", "none"}, "how figures are written")) {
  entries_.back().value = nullptr;  // the same picture
}

Options::Entry& Options::add(Entry entry) { return entries_.emplace_back(std::move(entry)); }

const std::int64_t& Options::size(const std::string& flag, Size value, const std::string& help) {
  std::int64_t& held = sizes_.emplace_back(value.study);
  add({.flag = flag,
       .type = "N",
       .help = fmt::format("{} [{}; quick: {}]", help, value.study, value.quick),
       .read =
           [&held, flag, value](const std::string& text) {
             held = whole_number<std::int64_t>(flag, text, value.least, value.most);
             if (const std::int64_t most = memory() / value.bytes; held > most)
               throw Error(fmt::format("{} may be {} at most, for which there is memory, got '{}'", flag, most, text));
           },
       .value = [&held] { return Setting(held); },
       .studied = [&held, value] { return value.drawing || held == value.study; },
       .shrink = [&held, value] { held = value.quick; }});
  return held;
}

const double& Options::real(const std::string& flag, Real value, const std::string& help) {
  double& held = reals_.emplace_back(value.study);
  add({.flag = flag,
       .type = "X",
       .help = fmt::format("{} [{:g}]", help, value.study),
       .read = [&held, flag, value](const std::string& text) { held = real_number(flag, text, value); },
       .value = [&held] { return Setting(held); },
       .studied = [&held, value] { return held == value.study; }});
  return held;
}

const std::string& Options::choice(const std::string& flag, std::vector<std::string> words, const std::string& help) {
  std::string& held = texts_.emplace_back(words.front());
  const std::string type = list(words, "|");
  add({.flag = flag,
       .type = type,
       .help = fmt::format("{} [{}]", help, held),
       .read =
           [&held, flag, words](const std::string& text) {
             if (std::find(words.begin(), words.end(), text) == words.end())
               throw Error(fmt::format("{} is one of {}, got '{}'", flag, list(words), text));
             held = text;
           },
       .value = [&held] { return Setting(held); },
       .studied = [&held, first = words.front()] { return held == first; }});
  return held;
}

const std::string& Options::text(const std::string& flag, std::string value, const std::string& help) {
  std::string& held = texts_.emplace_back(std::move(value));
  add({.flag = flag,
       .type = "TEXT",
       .help = fmt::format("{} [{}]", help, held),
       .read = [&held](const std::string& text) { held = text; },
       .value = [&held] { return Setting(held); },
       .studied = [&held, study = held] { return held == study; }});
  return held;
}

const std::filesystem::path& Options::path(const std::string& flag, const std::string& help) {
  std::filesystem::path& held = paths_.emplace_back();
  add({.flag = flag,
       .type = "PATH",
       .help = help,
       .read =
           [&held, flag](const std::string& text) {
             if (text.empty()) throw Error(fmt::format("{} needs a path, got ''", flag));
             held = text;
           },
       .value = [&held] { return Setting(held.string()); }});
  return held;
}

const bool& Options::flag(const std::string& flag, const std::string& help) {
  bool& held = flags_.emplace_back(false);
  add({.flag = flag,
       .type = "",
       .help = help,
       .value = [&held] { return Setting(held); },
       .studied = [&held] { return !held; },
       .flag_value = &held});
  return held;
}

const bool& Options::fault(const std::string& name, const std::string& help) {
  return faults_.emplace_back(Fault{name, help, false}).on;
}

void Options::read_faults(const std::string& names) {
  if (names.empty()) {  // all of them
    for (Fault& fault : faults_) fault.on = true;
    return;
  }
  for (const std::string& name : comma_separated(names)) {
    const auto found = std::find_if(faults_.begin(), faults_.end(), [&](const Fault& f) { return f.name == name; });
    if (found == faults_.end()) {
      std::vector<std::string> known;
      for (const Fault& fault : faults_) known.push_back(fault.name);
      throw Error(fmt::format("--as-printed knows no fault '{}'; there are {}", name, list(known)));
    }
    found->on = true;
  }
}

bool Options::parse(int count, const char* const* arguments) {
  CLI::App app(what_, name_);
  app.get_formatter()->column_width(26);
  app.set_help_flag("-h,--help", "this text");
  app.allow_extras();  // so that the complaint about one is ours
  const auto valued = [&](const std::string& flag, const std::string& type, const std::string& help,
                          std::function<void(std::string)> read) {
    return app.add_option_function<std::string>(flag, std::move(read), help)->type_name(type);
  };
  valued("--seed", "N", fmt::format("of all random numbers [{}]", seed()),
         [this](const std::string& text) { seeds_ = {seed_from("--seed", text)}; });
  std::vector<std::uint64_t> several;
  valued("--seeds", "N,N,...", "a run for each, in folders seed-N, and a table of all", [&](const std::string& text) {
    for (const std::string& part : comma_separated(text)) {
      several.push_back(seed_from("--seeds", part));
      if (std::count(several.begin(), several.end(), several.back()) > 1)
        throw Error(fmt::format("--seeds names {} twice", several.back()));
    }
  });
  for (Entry& entry : entries_)
    if (entry.flag_value == nullptr)
      valued(entry.flag, entry.type, entry.help, [&entry](const std::string& text) {
        entry.read(text);
        entry.given = true;
      });
  valued("--threads", "N", "how many work; no result depends on it [all processors]",
         [this](const std::string& text) { threads_ = whole_number<int>("--threads", text, 1, most_threads()); });
  app.add_option("--out", out_, fmt::format("folder for what is written [{}]", out_.string()))->type_name("FOLDER");
  app.add_flag("--quick", quick_, "small sizes, to see that all works; its numbers mean nothing");
  for (Entry& entry : entries_)
    if (entry.flag_value != nullptr) app.add_flag(entry.flag, *entry.flag_value, entry.help);
  CLI::Option* printed = nullptr;
  std::vector<std::string> printed_names;
  if (!faults_.empty()) {
    printed = app.add_option("--as-printed", printed_names, "the study's text to the letter, with all faults or some")
                  ->type_name("[=NAMES]")
                  ->expected(0, 1);
    std::string faults = "Faults of the text, for --as-printed=NAME,...:\n";
    for (const Fault& fault : faults_) faults += fmt::format("  {:<24}{}\n", fault.name, fault.help);
    app.footer(faults);
  }

  try {
    app.parse(count, arguments);
  } catch (const CLI::CallForHelp&) {
    print(app.help());
    return false;
  } catch (const CLI::ParseError& error) {
    throw UsageError(error.what());
  }
  if (const std::vector<std::string> unknown = app.remaining(); !unknown.empty()) {
    const std::string& first = unknown.front();
    throw UsageError(fmt::format("there is no option {}; there are {}", first.substr(0, first.find('=')), names()));
  }
  if (!several.empty()) {
    if (app.get_option("--seed")->count() > 0) throw UsageError("--seed and --seeds exclude each other");
    seeds_ = several;
  }
  if (printed != nullptr && printed->count() > 0) read_faults(printed_names.empty() ? "" : printed_names.front());
  if (quick_)
    for (const Entry& entry : entries_)
      if (!entry.given) entry.shrink();
  return true;
}

std::string Options::names() const {
  std::string names = "--seed, --seeds";
  for (const Entry& entry : entries_) names += ", " + entry.flag;
  if (!faults_.empty()) names += ", --as-printed";
  return names + ", --quick, --threads, --out and --help";
}

bool Options::as_printed() const {
  return std::any_of(faults_.begin(), faults_.end(), [](const Fault& fault) { return fault.on; });
}

bool Options::as_studied() const {
  return !as_printed() &&
         std::all_of(entries_.begin(), entries_.end(), [](const Entry& entry) { return entry.studied(); });
}

std::vector<std::pair<std::string, Setting>> Options::settings(std::uint64_t seed) const {
  std::vector<std::pair<std::string, Setting>> settings{{"seed", seed}};
  for (const Entry& entry : entries_)
    if (entry.value) settings.emplace_back(setting_name(entry.flag), entry.value());
  settings.emplace_back("quick", quick_);
  std::vector<std::string> on;
  for (const Fault& fault : faults_)
    if (fault.on) on.push_back(fault.name);
  settings.emplace_back("as_printed", list(on, ","));
  return settings;
}

std::string Options::command(std::uint64_t seed) const {
  std::string command = fmt::format("experiments/run {} --seed {}", name_, seed);
  if (quick_) command += " --quick";
  for (const Entry& entry : entries_) {
    if (!entry.value) continue;
    const Setting value = entry.value();
    if (entry.given)
      command += std::visit([&](const auto& held) { return fmt::format(" {} {}", entry.flag, held); }, value);
    else if (const bool* on = std::get_if<bool>(&value); on != nullptr && *on)
      command += " " + entry.flag;
  }
  if (as_printed()) {
    std::vector<std::string> on;
    for (const Fault& fault : faults_)
      if (fault.on) on.push_back(fault.name);
    command += " --as-printed=" + list(on, ",");
  }
  return command;
}

}  // namespace wengert::experiments
