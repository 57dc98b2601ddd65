// The command line of an experiment: what all of them have, and what a program adds.
#pragma once
#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "autodiff/error.hpp"

namespace wengert::experiments {

// An option that does not exist, or one without its value: exit status 2 rather than 1.
class UsageError : public Error {
 public:
  using Error::Error;
};

// A size as the study has it, and what --quick makes of it. What it may be, so that a command line that cannot come to
// a good end is refused before anything is computed.
struct Size {
  std::int64_t study, quick;
  bool drawing = false;  // of figures alone: no number of the study depends on it
  std::int64_t least = 1, most = std::numeric_limits<std::int64_t>::max();
  std::int64_t bytes = 16;  // of memory that one takes at least: no more than the machine has
};

// A real number, its bounds included.
struct Real {
  double study;
  double low = -std::numeric_limits<double>::max(), high = std::numeric_limits<double>::max();
};

// The value of a setting, as a report shows it.
using Setting = std::variant<bool, std::int64_t, std::uint64_t, double, std::string>;

//   Options options("rings", "Two half rings by an Ornstein-Uhlenbeck process", {.study = 1280, .quick = 64});
//   const std::int64_t& batch = options.size("--batch", {.study = 32, .quick = 32}, "points in each step");
//   const bool& from_normal = options.fault("start", "sampling starts from N(0, I)");
// Values are those of --help until `parse`. References stay valid as long as the object.
class Options {
 public:
  // --seed, --seeds, --steps, --out (runs/NAME), --quick, --as-printed, --figures, --threads and --help; `what` is one
  // line for --help.
  Options(std::string name, std::string what, Size steps);
  Options(const Options&) = delete;
  Options& operator=(const Options&) = delete;

  // Adds an option before `parse`: a whole number; a real one; one of several words, of which the first is
  // the study's; any text; a path, empty if not given; one without a value.
  const std::int64_t& size(const std::string& flag, Size value, const std::string& help);
  const double& real(const std::string& flag, Real value, const std::string& help);
  const std::string& choice(const std::string& flag, std::vector<std::string> words, const std::string& help);
  const std::string& text(const std::string& flag, std::string value, const std::string& help);
  const std::filesystem::path& path(const std::string& flag, const std::string& help);
  const bool& flag(const std::string& flag, const std::string& help);
  // A fault of the study's text, which --as-printed (all of them) or --as-printed=NAME,... turns on.
  const bool& fault(const std::string& name, const std::string& help);

  // False if --help was asked for, and has been printed. Throws UsageError, and Error for a value that will not do.
  bool parse(int count, const char* const* arguments);

  const std::string& name() const { return name_; }
  const std::string& what() const { return what_; }
  std::uint64_t seed() const { return seeds_.front(); }
  const std::vector<std::uint64_t>& seeds() const { return seeds_; }  // one at least
  std::int64_t steps() const { return steps_; }
  const std::filesystem::path& out() const { return out_; }
  bool quick() const { return quick_; }
  bool as_printed() const;                                 // any fault
  const std::string& figures() const { return figures_; }  // "png", "svg" or "none"
  bool draws() const { return figures_ != "none"; }
  std::optional<int> threads() const { return threads_; }

  // True if the study's numbers apply: every size and number is the study's, and the mathematics is the corrected one.
  bool as_studied() const;
  // Everything that results depend on, named as in "as_printed", for a run with this seed.
  std::vector<std::pair<std::string, Setting>> settings(std::uint64_t seed) const;
  // The command that gives the same results: "experiments/run rings --seed 7 --as-printed=start".
  std::string command(std::uint64_t seed) const;

 private:
  struct Entry {
    std::string flag, type, help;
    std::function<void(const std::string&)> read{};
    std::function<Setting()> value{};  // none: results do not depend on it
    std::function<bool()> studied = [] { return true; };
    std::function<void()> shrink = [] {};  // to --quick's value
    bool* flag_value = nullptr;            // of an option without a value, instead of read()
    bool given = false;
  };
  struct Fault {
    std::string name, help;
    bool on = false;
  };
  Entry& add(Entry entry);
  void read_faults(const std::string& names);
  std::string names() const;

  std::string name_, what_;
  std::vector<std::uint64_t> seeds_{42};
  std::filesystem::path out_;
  std::optional<int> threads_;
  bool quick_ = false;
  // Deques, since programs hold references to what lies in them.
  std::deque<Entry> entries_;
  std::deque<std::int64_t> sizes_;
  std::deque<double> reals_;
  std::deque<std::string> texts_;
  std::deque<std::filesystem::path> paths_;
  std::deque<bool> flags_;
  std::deque<Fault> faults_;
  const std::int64_t& steps_;
  const std::string& figures_;
};

}  // namespace wengert::experiments
