// The numbers that an experiment ends with, beside the study's: as metrics.json and as a table.
#pragma once
#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "experiments/common/options.hpp"

namespace wengert::experiments {

// Where a quantity should land, both ends included. Without bounds it is no window.
struct Window {
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
};

//   Report report(options);
//   report.quantity("radius_mean", mean(radii), {0.980, 1.011});
//   report.seconds("train", timer.seconds());
//   report.write(options.out() / "metrics.json");
//   report.print();
class Report {
 public:
  explicit Report(std::string experiment) : experiment_(std::move(experiment)) {}
  // Takes over the settings; windows apply where the options are as_studied().
  explicit Report(const Options& options);

  // A second value under a name replaces the first.
  void setting(const std::string& name, Setting value);
  void seconds(const std::string& name, double value);
  // `printed` is the number in the study's text, where it has one. A quantity that the run was too short for has no
  // value: it is null in the JSON, and not in the table.
  void quantity(const std::string& name, std::optional<double> value, Window window = {},
                std::optional<double> printed = {});
  void windows_apply(bool apply) { windows_apply_ = apply; }

  // {"experiment", "interrupted", "settings", "quantities": [{"name", "value", "window", "printed", "inside"}],
  // "seconds", "machine"}. What is not finite is null, and so are windows that do not apply; after
  // Interrupt::requested() none does, and "interrupted" is there and true.
  std::string json() const;
  void write(const std::filesystem::path& path) const;  // atomically

  // The quantities on stdout, and on stderr a line of warning for each that lies outside of its window.
  void print() const;
  std::string table() const;
  std::vector<std::string> warnings() const;

 private:
  struct Quantity {
    std::string name;
    std::optional<double> value;
    Window window;
    std::optional<double> printed;
  };
  std::optional<Window> window_of(const Quantity& quantity) const;

  std::string experiment_;
  bool windows_apply_ = true;
  std::vector<std::pair<std::string, Setting>> settings_;
  std::vector<Quantity> quantities_;
  std::vector<std::pair<std::string, double>> seconds_;
};

}  // namespace wengert::experiments
