// The numbers that a run ends with, beside the study's: as metrics.json and as a table.
#pragma once
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "experiments/common/options.hpp"
#include "experiments/common/windows.hpp"

namespace wengert::experiments {

struct Quantity {
  std::string name;
  std::optional<double> value;         // none where the run was too short for it
  std::optional<double> printed;       // in the study's text, where it has one
  std::optional<Reference> reference;  // where it is known and applies
  // True if it lies in its window; none without one.
  std::optional<bool> inside() const {
    return reference && value ? std::optional(reference->window.contains(*value)) : std::nullopt;
  }
};

//   Report report("rings", Windows::of("rings"));
//   report.quantity("loss_first_epoch", mean(losses), 9.40);
//   report.seconds("train", timer.seconds());
class Report {
 public:
  explicit Report(std::string experiment, Windows windows = {})
      : experiment_(std::move(experiment)), windows_(std::move(windows)) {}

  // A second value under a name replaces the first; a second time is added.
  void setting(const std::string& name, Setting value);
  void seconds(const std::string& name, double value);
  // With the window of this name, if there is one; a NaN lies in no window. Without a value, it is null in the JSON and
  // not in the table.
  void quantity(const std::string& name, std::optional<double> value, std::optional<double> printed = {});
  void windows_apply(bool apply) { windows_apply_ = apply; }
  // The sign of this run among others: one line, and the file of a picture.
  void summary(const std::string& text, const std::string& picture) { text_ = text, picture_ = picture; }
  // The reason why the run ended before its time.
  void interrupted();
  void failed(const std::string& why) { failed_ = why; }

  const std::vector<Quantity>& quantities() const { return quantities_; }
  const std::vector<std::pair<std::string, Setting>>& settings() const { return settings_; }
  const std::vector<std::pair<std::string, double>>& seconds() const { return seconds_; }
  const Windows& windows() const { return windows_; }
  bool whole() const { return !interrupted_ && failed_.empty(); }
  const std::string& failure() const { return failed_; }
  const std::string& experiment() const { return experiment_; }
  const std::string& text() const { return text_; }
  const std::string& picture() const { return picture_; }

  // {"experiment", "version", "text", "picture", "interrupted" or "failed", "settings", "quantities": [{"name",
  // "value", "window", "printed", "inside"}], "seconds", "machine", "files"}. Windows that do not apply are null; after
  // an interruption none does.
  std::string json(const std::set<std::string>& files = {}) const;

  // The quantities on stdout, and on stderr a line of warning for each that lies outside of its window.
  // Throws Error where they cannot be printed.
  void print() const;
  std::string table() const;
  std::vector<std::string> warnings() const;

 private:
  std::string experiment_;
  Windows windows_;
  bool windows_apply_ = true, interrupted_ = false;
  std::string failed_, text_, picture_;
  std::vector<std::pair<std::string, Setting>> settings_;
  std::vector<Quantity> quantities_;
  std::vector<std::pair<std::string, double>> seconds_;
};

// metrics.json of a folder that holds the runs of several seeds: {"experiment", "version", "text", "picture", "page",
// "interrupted" or "failed" where one of them is or is missing, "files"}. The first run, which lies in the folder
// `first` below, stands for all.
std::string seeds_json(const std::vector<Report>& reports, const std::string& first, bool whole,
                       const std::set<std::string>& files);

// "0.1815", "9.12", "8192": a number as a table has it.
std::string number_text(double value);
std::string window_text(const Window& window);  // "[0.17986, 0.18313]"

}  // namespace wengert::experiments
