#include "experiments/common/run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <exception>
#include <new>

#include "autodiff/files.hpp"
#include "autodiff/parallel.hpp"
#include "experiments/common/progress.hpp"

namespace wengert::experiments {

Run::Run(const Options& options, std::uint64_t seed, const std::filesystem::path& folder)
    : options_(options), seed_(seed), folder_(folder), report_(options.name(), Windows::of(options.name())) {
  report_.windows_apply(options.as_studied());
  for (const auto& [name, value] : options.settings(seed)) report_.setting(name, value);
  page_.title = options.name();
  page_.subtitle = options.what();
  page_.command = options.command(seed);
}

Picture Run::picture(const std::string& name, std::vector<Figure> frames, const std::string& caption, int delay) {
  const std::string kind = frames.size() > 1 ? "gif" : options_.figures();
  drawn_.push_back({folder_.file(name + "." + kind), std::move(frames), delay});
  return {drawn_.back().file, name, caption};
}

void Run::figure(const std::string& name, Figure figure, const std::string& caption) {
  page_.pictures.push_back(picture(name, {std::move(figure)}, caption, 0));
}

void Run::animation(const std::string& name, std::vector<Figure> frames, const std::string& caption, int delay) {
  page_.pictures.push_back(picture(name, std::move(frames), caption, delay));
}

void Run::fault(FaultReport fault, Figure figure, const std::string& caption) {
  fault.picture = picture("fault_" + fault.name, {std::move(figure)}, caption, 0);
  page_.faults.push_back(std::move(fault));
}

// Without gnuplot a run has its numbers all the same.
void Run::draw_all() {
  std::int64_t frames = 0;
  for (const Drawn& each : drawn_) frames += static_cast<std::int64_t>(each.frames.size());
  Progress progress("draw", frames);
  try {
    for (const Drawn& each : drawn_) {
      if (each.frames.size() == 1)
        draw(each.file, each.frames.front());
      else
        animate(each.file, each.frames, each.delay);
      for (std::size_t i = 0; i < each.frames.size(); ++i) progress.step();
    }
  } catch (const Error& error) {
    page_.notice += fmt::format("Figures are missing: {}. ", error.what());
  }
}

std::filesystem::path Run::finish(const std::string& failure) {
  if (!failure.empty()) {
    report_.failed(failure);
    page_.notice = fmt::format("The run failed: {}. ", failure);
  } else if (interrupted()) {
    report_.interrupted();
    page_.notice = "The run was interrupted: what it had done by then is here. ";
  }
  timed("draw", [&] { draw_all(); });
  if (!page_.notice.empty()) fmt::print(stderr, "{}: {}\n", options_.name(), page_.notice);
  replace_file(folder_.file("report.html"), page_html(page_, report_));
  const std::filesystem::path metrics = folder_.file("metrics.json");
  replace_file(metrics, report_.json(folder_.files()));
  return folder_.finish(report_.whole()) / "report.html";
}

std::filesystem::path seed_folder(const Options& options, std::uint64_t seed, const std::filesystem::path& folder) {
  return options.seeds().size() > 1 ? folder / fmt::format("seed-{}", seed) : folder;
}

std::string seeds_table(const std::vector<std::uint64_t>& seeds, const std::vector<Report>& reports) {
  std::size_t width = 32;
  if (!reports.empty())
    for (const Quantity& quantity : reports.front().quantities()) width = std::max(width, quantity.name.size());
  std::string table = fmt::format("{:<{}}", "quantity", width + 2);
  for (std::size_t i = 0; i < reports.size(); ++i) table += fmt::format("  {:>10}", fmt::format("seed {}", seeds[i]));
  table += fmt::format("  {:>10}  {:>22}  {:>9}\n", "mean", "window", "distance");
  if (reports.empty()) return table;
  for (const Quantity& first : reports.front().quantities()) {
    double sum = 0;
    bool outside = false;
    std::string values;
    std::size_t count = 0;
    for (const Report& report : reports)
      for (const Quantity& q : report.quantities()) {
        if (q.name != first.name || !q.value) continue;
        sum += *q.value;
        ++count;
        outside = outside || q.inside() == false;
        values += fmt::format("  {:>10}", number_text(*q.value));
      }
    if (count == 0) continue;
    const double n = static_cast<double>(count), mean = sum / n;
    table += fmt::format("{:<{}}{}  {:>10}", first.name, width + 2, values, number_text(mean));
    if (first.reference) {
      // What is the same at every seed of the reference has the standard deviation 0.
      const double off = mean - first.reference->mean, error = first.reference->sd / std::sqrt(n),
                   distance = off == 0 ? 0 : off / error;
      table += fmt::format("  {:>22}  {:>9.2f}{}{}", window_text(first.reference->window), distance,
                           std::abs(distance) > 4 ? "  warning: far from the reference" : "",
                           outside ? "  warning: OUTSIDE at a seed" : "");
    }
    table += '\n';
  }
  return table;
}

namespace {

int fail(const Options& options, std::string text, int status) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  fmt::print(stderr, "{}: {}\n", options.name(), text);
  return status;
}

// What is left of a run whose body threw is put in place before the exception goes on.
std::filesystem::path run_once(Run& run, const std::function<void(Run&)>& body) {
  const auto keep = [&](const char* text) {
    if (!run.empty()) run.finish(text);
  };
  try {
    body(run);
  } catch (const Interrupted&) {  // run.finish() says so
  } catch (const std::bad_alloc&) {
    keep("not enough memory");
    throw;
  } catch (const std::exception& error) {
    keep(error.what());
    throw;
  }
  return run.finish();
}

int run_all(const Options& options, const std::function<void(Run&)>& body) {
  const Interrupt interrupt;
  const bool several = options.seeds().size() > 1;
  std::vector<Report> reports;
  std::filesystem::path page;
  for (std::uint64_t seed : options.seeds()) {
    if (Interrupt::requested()) break;
    Run run(options, seed, seed_folder(options, seed, options.out()));
    page = run_once(run, body);
    run.report().print();
    reports.push_back(run.report());
  }
  if (several) {
    const std::string table = seeds_table(options.seeds(), reports);
    replace_file(options.out() / "seeds.txt", table);
    fmt::print("{}", table);
  }
  fmt::print("{}\n", page.string());
  return Interrupt::requested() ? 130 : 0;
}

}  // namespace

int run_main(Options& options, int count, char** arguments, const std::function<void(Run&)>& body) {
  try {
    if (!options.parse(count, arguments)) return 0;
    if (options.threads()) set_threads(*options.threads());
    return run_all(options, body);
  } catch (const UsageError& error) {
    return fail(options, error.what(), 2);
  } catch (const std::bad_alloc&) {
    return fail(options, "not enough memory", 1);
  } catch (const std::exception& error) {
    return fail(options, error.what(), 1);
  }
}

}  // namespace wengert::experiments
