// Run: one run of an experiment, from its seed to the folder and the page that it leaves.
#pragma once
#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "autodiff/random.hpp"
#include "experiments/common/figure.hpp"
#include "experiments/common/interrupt.hpp"
#include "experiments/common/options.hpp"
#include "experiments/common/page.hpp"
#include "experiments/common/report.hpp"
#include "experiments/common/run_folder.hpp"
#include "experiments/common/timer.hpp"

namespace wengert::experiments {

class Run {
 public:
  // Fills `folder`, or of several runs that share it a part of it.
  Run(const Options& options, std::uint64_t seed, RunFolder& folder, std::string part = "");

  const Options& options() const { return options_; }
  std::uint64_t seed() const { return seed_; }
  // The seed of part `n` of the run (weights, training, ...).
  std::uint64_t seed(std::uint64_t n) const { return derive_seed(seed_, n); }
  // True if Ctrl-C asks to come to an end: what is whole by then is kept.
  bool interrupted() const { return Interrupt::requested(); }

  std::filesystem::path file(const std::string& name);
  void quantity(const std::string& name, std::optional<double> value, std::optional<double> printed = {}) {
    report_.quantity(name, value, printed);
  }
  // True if references apply, where the options alone cannot tell.
  void windows_apply(bool apply) { report_.windows_apply(apply && options_.as_studied()); }
  // f(), whose seconds are added to those of this name.
  template <class F>
  auto timed(const std::string& name, F&& f) {
    struct Stop {
      Run& run;
      const std::string& name;
      Timer timer{};
      ~Stop() { run.report_.seconds(name, timer.seconds()); }
    } const stop{*this, name};
    return std::forward<F>(f)();
  }

  // The warning that comes first of all on the page, and on stderr at the end.
  void notice(const std::string& text) { page_.notice += text; }
  // For the page: a paragraph of what was done and why, tables, figures with what to see in them, and the text's
  // faults. Figures are drawn at the end, into files of their names.
  void paragraph(std::string text) { page_.paragraphs.push_back(std::move(text)); }
  void table(TableReport table) { page_.tables.push_back(std::move(table)); }
  void figure(const std::string& name, Figure figure, const std::string& caption);
  void animation(const std::string& name, std::vector<Figure> frames, const std::string& caption, int delay = 15);
  // The figure that stands for the study in the index of all of them.
  void cover(const std::string& name);
  void fault(FaultReport fault) { page_.faults.push_back(std::move(fault)); }
  void fault(FaultReport fault, Figure figure, const std::string& caption);

  // Draws, and writes report.html and metrics.json. `failure` is what ended the run, if anything did. A run whose
  // figures cannot be drawn has failed, and so has one whose page does not fit on the disk: then pictures make room for
  // its numbers.
  void finish(const std::string& failure = {});
  bool finished() const { return finished_; }
  void discard();  // removes what it wrote
  const Report& report() const { return report_; }
  // True if anything was done that is worth keeping.
  bool empty() const { return files_.empty() && report_.quantities().empty(); }

 private:
  struct Drawn {
    std::string name;
    std::filesystem::path file;
    std::vector<Figure> frames;
    int delay;
  };
  Picture picture(const std::string& name, std::vector<Figure> frames, const std::string& caption, int delay);
  void draw_all();
  void write();
  void forget(const std::string& name);

  const Options& options_;
  std::uint64_t seed_;
  RunFolder& folder_;
  std::string part_;             // "seed-3/", or nothing
  std::set<std::string> files_;  // as the part names them
  Report report_;
  Page page_;
  std::vector<Drawn> drawn_;
  bool finished_ = false;
};

// Parses the command line, sets the threads, looks for what would be missing in the end (a folder, gnuplot), and runs
// the body under an Interrupt, once for each seed; several seeds share the folder, which ends in a table and is put in
// place at the end of all. The last line on stdout is the page's path. Returns the exit status: 0; 1 with one line
// "NAME: text" on stderr after an exception, where figures could not be drawn and where something could not be printed;
// 2 after a UsageError; 130 after Ctrl-C, at which the body returns or throws Interrupted.
int run_main(Options& options, int count, char** arguments, const std::function<void(Run&)>& body);

// The place of a seed's run below a folder: in the folder itself, or of several seeds in seed-N.
std::filesystem::path seed_folder(const Options& options, std::uint64_t seed, const std::filesystem::path& folder);

// For each quantity its value at each seed, their mean, the window, and the distance of the mean from the reference's
// in standard deviations of such a mean, sd / sqrt(n); beyond 4 a warning stands behind it.
std::string seeds_table(const std::vector<std::uint64_t>& seeds, const std::vector<Report>& reports);

}  // namespace wengert::experiments
