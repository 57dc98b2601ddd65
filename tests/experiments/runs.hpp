// Runs of an experiment of the tests, and what they leave.
#pragma once
#include <algorithm>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "experiments/common/run.hpp"
#include "tests/experiments/helpers.hpp"

namespace wengert::testing {

struct Ended {
  int status;
  std::string out, err;
};

// A run of an experiment with these arguments into this folder; it draws if they say so.
inline Ended run(const std::filesystem::path& out, std::vector<std::string> arguments,
                 const std::function<void(experiments::Run&)>& body) {
  experiments::Options options("example", "An example", {.study = 100, .quick = 10});
  options.fault("noise", "uniform noise");
  std::vector<std::string> strings{"program", "--out", out.string()};
  if (std::find(arguments.begin(), arguments.end(), "--figures") == arguments.end())
    strings.insert(strings.end(), {"--figures", "none"});
  strings.insert(strings.end(), arguments.begin(), arguments.end());
  std::vector<char*> pointers;
  for (std::string& string : strings) pointers.push_back(string.data());
  Ended ended{};
  ended.out = printed(1, [&] {
    ended.err =
        printed(2, [&] { ended.status = run_main(options, static_cast<int>(strings.size()), pointers.data(), body); });
  });
  return ended;
}

inline nlohmann::json metrics(const std::filesystem::path& folder) {
  return nlohmann::json::parse(read_file(folder / "metrics.json"));
}

// A run that writes one file of this text.
inline std::function<void(experiments::Run&)> writing(const std::string& name, const std::string& text) {
  return [=](experiments::Run& run) {
    replace_file(run.file(name), text);
    run.quantity("q", 1);
  };
}

inline int run_without_figures(const std::filesystem::path& out, const std::function<void(experiments::Run&)>& body) {
  experiments::Options options("example", "An example", {.study = 100, .quick = 10});
  CommandLine line({"--figures", "none", "--out", out.string()});
  return run_main(options, line.count(), line.arguments(), body);
}

inline std::string hidden_files(const std::filesystem::path& folder) {
  std::string names;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (entry.path().filename().string().starts_with('.')) names += entry.path().filename().string() + " ";
  return names;
}

}  // namespace wengert::testing
