#include "experiments/common/run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <new>

#include "autodiff/io/files.hpp"
#include "autodiff/parallel.hpp"
#include "experiments/common/gnuplot.hpp"
#include "experiments/common/print.hpp"
#include "experiments/common/progress.hpp"

namespace wengert::experiments {

Run::Run(const Options& options, std::uint64_t seed, RunFolder& folder, std::string part)
    : options_(options),
      seed_(seed),
      folder_(folder),
      part_(part.empty() ? part : part + "/"),
      report_(options.name(), Windows::of(options.name())) {
  report_.windows_apply(options.as_studied());
  for (const auto& [name, value] : options.settings(seed)) report_.setting(name, value);
  page_.title = options.name();
  page_.subtitle = options.what();
  page_.command = options.command(seed);
  static_cast<void>(page_html(page_, report_));  // whose frame may be missing
}

std::filesystem::path Run::file(const std::string& name) {
  files_.insert(name);
  return folder_.file(part_ + name);
}

void Run::forget(const std::string& name) {
  files_.erase(name);
  folder_.forget(part_ + name);
}

Picture Run::picture(const std::string& name, std::vector<Figure> frames, const std::string& caption, int delay) {
  const std::string with_kind = name + "." + (frames.size() > 1 ? "gif" : options_.figures());
  if (!options_.draws()) return {with_kind, name, caption};
  drawn_.push_back({with_kind, file(with_kind), std::move(frames), delay});
  return {drawn_.back().file, name, caption};
}

void Run::cover(const std::string& name) {
  report_.summary(options_.what(), options_.draws() ? name + "." + options_.figures() : "");
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

// One that fails leaves the others to be drawn.
void Run::draw_all() {
  std::int64_t frames = 0;
  for (const Drawn& each : drawn_) frames += static_cast<std::int64_t>(each.frames.size());
  Progress progress("draw", frames);
  std::string failure;
  for (const Drawn& each : drawn_) {
    try {
      if (each.frames.size() == 1)
        draw(each.file, each.frames.front());
      else
        animate(each.file, each.frames, each.delay);
    } catch (const Error& error) {
      forget(each.name);
      if (failure.empty()) failure = error.what();
    }
    for (std::size_t i = 0; i < each.frames.size(); ++i) progress.step();
  }
  if (failure.empty()) return;
  page_.notice += fmt::format("Figures are missing: {}. ", failure);
  if (report_.whole()) report_.failed("figures are missing: " + failure);
}

void Run::write() {
  replace_file(file("report.html"), page_html(page_, report_));
  const std::filesystem::path metrics = file("metrics.json");
  replace_file(metrics, report_.json(files_));
}

void Run::finish(const std::string& failure) {
  if (!failure.empty()) {
    report_.failed(failure);
    page_.notice += fmt::format("The run failed: {}. ", failure);
  } else if (interrupted()) {
    report_.interrupted();
    page_.notice += "The run was interrupted: what it had done by then is here. ";
  }
  timed("draw", [&] { draw_all(); });
  try {
    write();
  } catch (const Error& error) {
    for (const Drawn& each : drawn_) forget(each.name);
    forget("report.html");
    report_.failed(error.what());
    replace_file(file("metrics.json"), report_.json(files_));
  }
  if (!page_.notice.empty()) complain(options_.name(), page_.notice);
  finished_ = true;
}

void Run::discard() {
  while (!files_.empty()) forget(std::string(*files_.begin()));
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
      // A number that is the same at every seed of the reference has the standard deviation 0.
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

// Runs the body and writes what it leaves, also where it throws; the exception goes on afterwards.
void run_once(Run& run, const std::function<void(Run&)>& body) {
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
  run.finish();
}

// The runs of all seeds in one folder.
class Study {
 public:
  // Throws Error for what would be missing in the end.
  explicit Study(const Options& options) : options_(options), folder_(options.out()) {
    if (!options.draws() || Gnuplot::draws_labels()) return;
    notice_ = "There is no font, figures lack their labels: install fonts-dejavu-core. ";
    complain(options.name(), notice_);
  }

  // Throws Error where a run failed, after what all of them left has been put in its place.
  void run(const std::function<void(Run&)>& body) {
    std::exception_ptr failure;
    for (std::uint64_t seed : options_.seeds()) {
      if (failure || Interrupt::requested()) break;
      Run run(options_, seed, folder_, part(seed));
      run.notice(notice_);
      try {
        run_once(run, body);
        run.report().print();
      } catch (...) {
        failure = std::current_exception();
      }
      if (run.finished())
        reports_.push_back(run.report());
      else
        run.discard();
    }
    if (!reports_.empty()) put_in_place();
    if (failure) std::rethrow_exception(failure);
    if (reports_.empty()) return;
    experiments::print(fmt::format("{}{}\n", table_, (place_ / page()).string()));
    for (const Report& report : reports_)
      if (!report.failure().empty()) throw Error(report.failure());
  }

 private:
  bool several() const { return options_.seeds().size() > 1; }
  std::string part(std::uint64_t seed) const { return seed_folder(options_, seed, "").string(); }
  std::string page() const { return (std::filesystem::path(part(options_.seeds().front())) / "report.html").string(); }

  void put_in_place() {
    bool whole = reports_.size() == options_.seeds().size();
    for (const Report& report : reports_) whole = whole && report.whole();
    if (several()) {
      table_ = seeds_table(options_.seeds(), reports_);
      replace_file(folder_.file("seeds.txt"), table_);
      const std::filesystem::path metrics = folder_.file("metrics.json");
      replace_file(metrics, seeds_json(reports_, part(options_.seeds().front()), whole, folder_.files()));
    }
    place_ = folder_.finish(whole);
  }

  const Options& options_;
  RunFolder folder_;
  std::string notice_, table_;
  std::vector<Report> reports_;
  std::filesystem::path place_;
};

int run_all(const Options& options, const std::function<void(Run&)>& body) {
  Study study(options);
  study.run(body);
  return Interrupt::requested() ? 130 : 0;
}

}  // namespace

int run_main(Options& options, int count, char** arguments, const std::function<void(Run&)>& body) {
  open_standard_streams();
  const Interrupt interrupt;
  const auto fail = [&](const char* text, int status) {
    complain(options.name(), text);
    return status;
  };
  try {
    if (!options.parse(count, arguments)) return 0;
    if (options.threads()) set_threads(*options.threads());
    return run_all(options, body);
  } catch (const UsageError& error) {
    return fail(error.what(), 2);
  } catch (const std::bad_alloc&) {
    return fail("not enough memory", 1);
  } catch (const std::exception& error) {
    return fail(error.what(), 1);
  }
}

}  // namespace wengert::experiments
