// The workloads W1 to W11 and G1 to G10 in Wengert (README.md has the table): milliseconds a unit, or an evaluation of
// W7.
//
//   bench [--only W1 W4] [--threads 1 2] [--rounds 9] [--json FILE]     a table; thread counts interleaved, medians
//   bench --explain W1 | --profile "W1 width=230"                       what its plan does, and where the time goes
//   bench --worker --threads N                                          as compare runs it
//
// A worker reads requests (workloads.hpp), one a line, and answers each with one line of JSON: the milliseconds a unit
// over a block of about 0.3 s, and the evaluations where it is by these. The first request of a workload makes it and
// warms it up as well.
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>

#include "autodiff/error.hpp"
#include "autodiff/parallel.hpp"
#include "tests/benchmarks/workloads.hpp"

namespace {

using namespace wengert;
using benchmarks::Workload;
using Json = nlohmann::ordered_json;

constexpr double block_seconds = 0.3;

// Of some units, and what one of them evaluated.
struct Block {
  double seconds = 0;
  int units = 1;
  Index evaluations = 0;
  // A unit, or one of its evaluations.
  double milliseconds() const { return seconds / units / static_cast<double>(std::max<Index>(1, evaluations)) * 1e3; }
};

Block time(const Workload& workload, int units) {
  Block block{.units = units};
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < units; ++i) block.evaluations = workload.run();
  block.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return block;
}

// Runs it until its caches and branches know it; returns the units of a block.
int warm_up(const Workload& workload) {
  workload.run();
  Block block;
  for (int units = 1; (block = time(workload, units)).seconds < block_seconds / 3; units *= 2) {
  }
  return std::max(1, static_cast<int>(block_seconds / block.seconds * block.units));
}

// Of this process so far.
double peak_megabytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

void serve(int threads) {
  set_threads(threads);
  std::map<std::string, std::pair<Workload, int>> known;
  for (std::string name; std::getline(std::cin, name);) {
    Json answer{{"workload", name}, {"mode", "wengert"}, {"threads", threads}};
    try {
      auto found = known.find(name);
      if (found == known.end()) {
        Workload workload = benchmarks::make_workload(name);
        const int units = warm_up(workload);
        found = known.emplace(name, std::pair(std::move(workload), units)).first;
      }
      const auto& [workload, units] = found->second;
      const Block block = time(workload, units);
      answer["milliseconds"] = block.milliseconds();
      answer["units"] = units;
      if (block.evaluations > 0) answer["evaluations"] = block.evaluations;
      if (workload.checksum) answer["checksum"] = workload.checksum();
      answer["megabytes"] = peak_megabytes();
    } catch (const Error& error) {
      answer["error"] = error.what();
    }
    std::cout << answer.dump() << std::endl;
  }
}

double median(std::vector<double> all) {
  std::sort(all.begin(), all.end());
  return all[all.size() / 2];
}

void measure(const std::vector<std::string>& names, const std::vector<int>& threads, int rounds,
             const std::string& file) {
  Json rows = Json::array();
  for (const std::string& name : names) {
    const Workload workload = benchmarks::make_workload(name);
    std::map<int, std::vector<double>> times;
    std::map<int, int> units;
    for (int round = -1; round < rounds; ++round)
      for (int count : threads) {
        set_threads(count);
        if (round < 0)
          units[count] = warm_up(workload);
        else
          times[count].push_back(time(workload, units[count]).milliseconds());
      }
    for (int count : threads) {
      std::printf("%-4s %-48s %d threads %9.4f ms\n", name.c_str(), workload.what.c_str(), count, median(times[count]));
      std::fflush(stdout);
      rows.push_back({{"workload", name}, {"threads", count}, {"wengert", median(times[count])}});
    }
  }
  if (file.empty()) return;
  std::ofstream out(file);
  if (!(out << Json{{"rows", rows}}.dump(1) << "\n")) throw Error("cannot write " + file);
}

}  // namespace

int main(int count, char** arguments) {
  CLI::App app("Training steps, samplers, likelihoods: milliseconds each");
  std::vector<std::string> names = benchmarks::workload_names();
  std::vector<int> threads{1, 2};
  int rounds = 9;
  std::string file, explained, profiled;
  bool worker = false;
  app.add_option("--only", names, "workloads");
  app.add_option("--threads", threads, "threads")->check(CLI::PositiveNumber);
  app.add_option("--rounds", rounds, "timed rounds")->check(CLI::PositiveNumber);
  app.add_option("--json", file, "file of results");
  app.add_option("--explain", explained, "print what a workload's plan does");
  app.add_option("--profile", profiled, "print where a workload's time goes");
  app.add_flag("--worker", worker, "serve requests from standard input");
  CLI11_PARSE(app, count, arguments);
  try {
    if (worker)
      serve(threads[0]);
    else if (!explained.empty())
      std::puts(benchmarks::make_workload(explained).explain().c_str());
    else if (!profiled.empty())
      std::puts(benchmarks::make_workload(profiled).profile().c_str());
    else
      measure(names, threads, rounds, file);
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
