// The windows in which the quantities of a study should land, from experiments/windows/NAME.json: who measured them,
// and how.
#pragma once
#include <map>
#include <optional>
#include <string>

namespace wengert::experiments {

// Both ends included.
struct Window {
  double low, high;
  bool contains(double value) const { return value >= low && value <= high; }
};

// A quantity over `seeds` trainings of a reference implementation, and the window that a correct run leaves once in a
// thousand times.
struct Reference {
  double mean, sd;
  int seeds;
  Window window;
};

struct Windows {
  std::string source;  // what the references were measured with
  std::map<std::string, Reference> references;

  // Those of a study; none where it has no such file. Throws Error for a file that is none of these.
  static Windows of(const std::string& study);
  const Reference* find(const std::string& quantity) const {
    const auto found = references.find(quantity);
    return found == references.end() ? nullptr : &found->second;
  }
};

}  // namespace wengert::experiments
