// The command line of an experiment: what all of them have, and what a program adds.
#pragma once
#include <cstdint>
#include <deque>
#include <filesystem>
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

// A size as the study has it, and what --quick makes of it.
struct Size {
  std::int64_t study, quick;
};

// What a report says of an experiment's settings.
using Setting = std::variant<bool, std::int64_t, std::uint64_t, double, std::string>;

//   Options options("nano_ring", "Nano diffusion: a ring in the plane", {.study = 20000, .quick = 500});
//   const std::int64_t& batch = options.size("--batch", {.study = 5000, .quick = 500}, "fresh points in each step");
// Values are those of --help until `parse`. References stay valid as long as the object.
class Options {
 public:
  // --seed, --steps, --out (runs/NAME), --quick, --as-printed, --threads and --help; `what` is one line for --help.
  Options(std::string name, std::string what, Size steps);
  Options(const Options&) = delete;
  Options& operator=(const Options&) = delete;

  // Adds an option before `parse`: a whole number, 1 at least; or one without a value.
  const std::int64_t& size(const std::string& flag, Size value, const std::string& help);
  const bool& flag(const std::string& flag, const std::string& help);

  // False if --help was asked for, and has been printed. Throws UsageError, and Error for a value that will not do.
  bool parse(int count, const char* const* arguments);

  const std::string& name() const { return name_; }
  std::uint64_t seed() const { return seed_; }
  std::int64_t steps() const { return steps_; }
  const std::filesystem::path& out() const { return out_; }
  bool quick() const { return quick_; }
  bool as_printed() const { return as_printed_; }
  std::optional<int> threads() const { return threads_; }

  // Whether the study's numbers apply: every size is the study's, and the mathematics is the corrected one.
  bool as_studied() const;
  // Everything that results depend on, named as in "as_printed".
  std::vector<std::pair<std::string, Setting>> settings() const;

 private:
  struct SizeOption {
    std::string flag, help;
    Size sizes;
    std::int64_t value;
    bool given;
  };
  struct FlagOption {
    std::string flag, help;
    bool value;
  };
  std::string names() const;

  std::string name_, what_;
  std::uint64_t seed_ = 42;
  std::filesystem::path out_;
  std::optional<int> threads_;
  std::deque<SizeOption> sizes_;  // deques, since programs hold references to the values
  std::deque<FlagOption> flags_;
  const std::int64_t& steps_;
  const bool& quick_;
  const bool& as_printed_;
};

}  // namespace wengert::experiments
