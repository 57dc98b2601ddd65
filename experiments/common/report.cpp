#include "experiments/common/report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "autodiff/files.hpp"
#include "experiments/common/interrupt.hpp"
#include "experiments/common/machine.hpp"

namespace wengert::experiments {
namespace {

using Json = nlohmann::ordered_json;

bool contains(const Window& window, double value) { return value >= window.low && value <= window.high; }

std::string text(const Window& window) { return fmt::format("[{:.5g}, {:.5g}]", window.low, window.high); }

template <class Value>
void put(std::vector<std::pair<std::string, Value>>& entries, const std::string& name, Value value) {
  for (auto& entry : entries)
    if (entry.first == name) {
      entry.second = std::move(value);
      return;
    }
  entries.emplace_back(name, std::move(value));
}

Json machine_json() {
  const Machine machine = this_machine();
  return {{"cpu", machine.cpu},
          {"cores", machine.cores},
          {"threads", machine.threads},
          {"compiler", machine.compiler},
          {"instruction_set", machine.instruction_set},
          {"blas", machine.blas},
          {"date", machine.date}};
}

}  // namespace

Report::Report(const Options& options)
    : experiment_(options.name()), windows_apply_(options.as_studied()), settings_(options.settings()) {}

void Report::setting(const std::string& name, Setting value) { put(settings_, name, std::move(value)); }

void Report::seconds(const std::string& name, double value) { put(seconds_, name, value); }

void Report::quantity(const std::string& name, std::optional<double> value, Window window,
                      std::optional<double> printed) {
  const auto old =
      std::find_if(quantities_.begin(), quantities_.end(), [&](const Quantity& q) { return q.name == name; });
  if (old == quantities_.end())
    quantities_.push_back({name, value, window, printed});
  else
    *old = {name, value, window, printed};
}

std::optional<Window> Report::window_of(const Quantity& quantity) const {
  const bool bounded = std::isfinite(quantity.window.low) || std::isfinite(quantity.window.high);
  if (!bounded || !quantity.value || !windows_apply_ || Interrupt::requested()) return {};
  return quantity.window;
}

std::string Report::json() const {
  Json report{{"experiment", experiment_}};
  if (Interrupt::requested()) report["interrupted"] = true;
  report["settings"] = Json::object();
  for (const auto& [name, value] : settings_)
    report["settings"][name] = std::visit([](const auto& held) { return Json(held); }, value);
  report["quantities"] = Json::array();
  for (const Quantity& quantity : quantities_) {
    const std::optional<Window> window = window_of(quantity);
    report["quantities"].push_back({{"name", quantity.name},
                                    {"value", quantity.value ? Json(*quantity.value) : Json(nullptr)},
                                    {"window", window ? Json::array({window->low, window->high}) : Json(nullptr)},
                                    {"printed", quantity.printed ? Json(*quantity.printed) : Json(nullptr)},
                                    {"inside", window ? Json(contains(*window, *quantity.value)) : Json(nullptr)}});
  }
  report["seconds"] = Json::object();
  for (const auto& [name, value] : seconds_) report["seconds"][name] = value;
  report["machine"] = machine_json();
  // The library writes null for what is not finite. Names come from outside, a processor's among them: bytes that are
  // no UTF-8 are replaced rather than refused.
  return report.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

void Report::write(const std::filesystem::path& path) const { replace_file(path, json()); }

std::string Report::table() const {
  std::size_t width = 8;
  for (const Quantity& quantity : quantities_) width = std::max(width, quantity.name.size());
  std::string table = fmt::format("{:<{}}  {:>10}  {:>20}\n", "quantity", width, "value", "window");
  for (const Quantity& quantity : quantities_) {
    if (!quantity.value) continue;
    const std::optional<Window> window = window_of(quantity);
    table += fmt::format("{:<{}}  {:>10.5g}", quantity.name, width, *quantity.value);
    if (window)
      table += fmt::format("  {:>20}  {}", text(*window), contains(*window, *quantity.value) ? "inside" : "OUTSIDE");
    table += '\n';
  }
  return table;
}

std::vector<std::string> Report::warnings() const {
  std::vector<std::string> warnings;
  for (const Quantity& quantity : quantities_)
    if (const auto window = window_of(quantity); window && !contains(*window, *quantity.value))
      warnings.push_back(
          fmt::format("{} is {:.5g}, outside of its window {}", quantity.name, *quantity.value, text(*window)));
  return warnings;
}

void Report::print() const {
  fmt::print("{}", table());
  std::fflush(stdout);
  for (const std::string& warning : warnings()) fmt::print(stderr, "{}: warning: {}\n", experiment_, warning);
}

}  // namespace wengert::experiments
