#include "experiments/common/report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "experiments/common/machine.hpp"
#include "experiments/common/print.hpp"
#include "experiments/common/version.hpp"

namespace wengert::experiments {
namespace {

using Json = nlohmann::ordered_json;

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

Json quantity_json(const Quantity& quantity) {
  const std::optional<Window> window = quantity.reference ? std::optional(quantity.reference->window) : std::nullopt;
  const std::optional<bool> inside = quantity.inside();
  return {{"name", quantity.name},
          {"value", quantity.value ? Json(*quantity.value) : Json(nullptr)},
          {"window", window ? Json::array({window->low, window->high}) : Json(nullptr)},
          {"printed", quantity.printed ? Json(*quantity.printed) : Json(nullptr)},
          {"inside", inside ? Json(*inside) : Json(nullptr)}};
}

}  // namespace

std::string number_text(double value) { return fmt::format("{:.5g}", value); }

std::string window_text(const Window& window) { return fmt::format("[{:.5g}, {:.5g}]", window.low, window.high); }

void Report::setting(const std::string& name, Setting value) { put(settings_, name, std::move(value)); }

void Report::seconds(const std::string& name, double value) {
  const auto old = std::find_if(seconds_.begin(), seconds_.end(), [&](const auto& each) { return each.first == name; });
  if (old == seconds_.end())
    seconds_.emplace_back(name, value);
  else
    old->second += value;
}

void Report::quantity(const std::string& name, std::optional<double> value, std::optional<double> printed) {
  const Reference* reference = windows_apply_ ? windows_.find(name) : nullptr;
  Quantity quantity{name, value, printed, reference ? std::optional(*reference) : std::nullopt};
  const auto old =
      std::find_if(quantities_.begin(), quantities_.end(), [&](const Quantity& q) { return q.name == name; });
  if (old == quantities_.end())
    quantities_.push_back(std::move(quantity));
  else
    *old = std::move(quantity);
}

void Report::interrupted() {
  interrupted_ = true;
  windows_apply_ = false;
  for (Quantity& quantity : quantities_) quantity.reference.reset();
}

std::string Report::json(const std::set<std::string>& files) const {
  Json report{{"experiment", experiment_}, {"version", version()}, {"text", text_}, {"picture", picture_}};
  if (interrupted_) report["interrupted"] = true;
  if (!failed_.empty()) report["failed"] = failed_;
  report["settings"] = Json::object();
  for (const auto& [name, value] : settings_)
    report["settings"][name] = std::visit([](const auto& held) { return Json(held); }, value);
  report["quantities"] = Json::array();
  for (const Quantity& quantity : quantities_) report["quantities"].push_back(quantity_json(quantity));
  report["seconds"] = Json::object();
  for (const auto& [name, value] : seconds_) report["seconds"][name] = value;
  report["machine"] = machine_json();
  report["files"] = files;
  // The library writes null for what is not finite. Names come from outside, a processor's among them: bytes that are
  // no UTF-8 are replaced rather than refused.
  return report.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string seeds_json(const std::vector<Report>& reports, const std::string& first, bool whole,
                       const std::set<std::string>& files) {
  const Report& shown = reports.front();
  Json seeds{{"experiment", shown.experiment()},
             {"version", version()},
             {"text", shown.text()},
             {"picture", shown.picture().empty() ? "" : first + "/" + shown.picture()},
             {"page", first + "/report.html"}};
  const auto failed =
      std::find_if(reports.begin(), reports.end(), [](const Report& report) { return !report.failure().empty(); });
  if (failed != reports.end())
    seeds["failed"] = failed->failure();
  else if (!whole)
    seeds["interrupted"] = true;
  seeds["files"] = files;
  return seeds.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string Report::table() const {
  std::size_t width = 8;
  for (const Quantity& quantity : quantities_) width = std::max(width, quantity.name.size());
  std::string table = fmt::format("{:<{}}  {:>10}  {:>20}\n", "quantity", width, "value", "window");
  for (const Quantity& quantity : quantities_) {
    if (!quantity.value) continue;
    table += fmt::format("{:<{}}  {:>10}", quantity.name, width, number_text(*quantity.value));
    if (const std::optional<bool> inside = quantity.inside())
      table += fmt::format("  {:>20}  {}", window_text(quantity.reference->window), *inside ? "inside" : "OUTSIDE");
    table += '\n';
  }
  return table;
}

std::vector<std::string> Report::warnings() const {
  std::vector<std::string> warnings;
  for (const Quantity& quantity : quantities_)
    if (quantity.inside() == false)
      warnings.push_back(fmt::format("{} is {}, outside of its window {}", quantity.name, number_text(*quantity.value),
                                     window_text(quantity.reference->window)));
  return warnings;
}

void Report::print() const {
  experiments::print(table());
  for (const std::string& warning : warnings()) complain(experiment_, "warning: " + warning);
}

}  // namespace wengert::experiments
