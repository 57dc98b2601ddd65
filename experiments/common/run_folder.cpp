#include "experiments/common/run_folder.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>
#include <system_error>

#include "autodiff/error.hpp"
#include "autodiff/io/files.hpp"
#include "experiments/common/print.hpp"

namespace wengert::experiments {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail(const char* action, const fs::path& path, const std::error_code& error) {
  throw Error(fmt::format("cannot {} '{}': {}", action, path.string(), error.message()));
}
std::error_code last_error() { return {errno, std::generic_category()}; }

// The traces of a run in a folder: which files, and whether it came to its end.
struct Left {
  bool whole;
  std::set<std::string> files;
};
std::optional<Left> left_in(const fs::path& folder) {
  const fs::path metrics = folder / "metrics.json";
  if (!fs::exists(metrics)) return {};
  const auto json = nlohmann::json::parse(read_file(metrics), nullptr, false);
  if (!json.is_object() || !json.contains("experiment")) return {};
  Left left{!json.contains("interrupted") && !json.contains("failed"), {"metrics.json"}};
  if (json.contains("files"))
    for (const auto& file : json["files"])
      if (file.is_string()) left.files.insert(file.get<std::string>());
  return left;
}

bool free_or_a_runs(const fs::path& folder) {
  return !fs::exists(folder) || (fs::is_directory(folder) && (fs::is_empty(folder) || left_in(folder)));
}

fs::path with_suffix(fs::path path, const std::string& suffix) { return path += suffix; }

// NAME-interrupted, or with a number where that is somebody else's.
fs::path place_beside(const fs::path& target) {
  const fs::path first = with_suffix(target, "-interrupted");
  fs::path place = first;
  for (int i = 2; !free_or_a_runs(place); ++i) place = with_suffix(first, fmt::format("-{}", i));
  return place;
}

// Hidden siblings are named after the process that fills them.
std::string hidden_prefix(const fs::path& target) { return "." + target.filename().string() + ".run-"; }

// A folder moves aside under this name where two cannot be exchanged.
constexpr std::string_view aside = "-old";

// By its lock, since another process, in a container or after a while, may have the number in its name.
bool abandoned(const fs::path& hidden, std::string_view process) {
  const FolderLock lock(hidden);
  if (lock.state() != FolderLock::State::unknown) return lock.state() == FolderLock::State::held;
  int number = 0;
  std::from_chars(process.data(), process.data() + process.size(), number);
  return number > 0 && ::kill(number, 0) != 0 && errno == ESRCH;
}

void remove_abandoned(const fs::path& target) {
  const std::string prefix = hidden_prefix(target);
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(target.parent_path(), error)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(prefix) || !abandoned(entry.path(), std::string_view(name).substr(prefix.size()))) continue;
    if (name.ends_with(aside) && !fs::exists(target))  // killed between two steps
      fs::rename(entry.path(), target, error);
    else
      fs::remove_all(entry.path(), error);
  }
}

// Two folders change places at once; where the file system cannot, one after the other.
void exchange(const fs::path& a, const fs::path& b) {
  if (::renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE) == 0) return;
  if (errno != EINVAL && errno != ENOSYS) fail("replace", b, last_error());
  const fs::path old = with_suffix(a, std::string(aside));
  std::error_code error;
  if (fs::rename(b, old, error); error) fail("replace", b, error);
  if (fs::rename(a, b, error); error) {
    std::error_code ignored;
    fs::rename(old, b, ignored);
    fail("replace", b, error);
  }
  if (fs::rename(old, a, error); error) fail("move", old, error);
}

// One file, link or empty folder; as a second name of it where it can have one, so that no disk can be too full.
void keep(const fs::path& from, fs::path to) {
  while (fs::exists(fs::symlink_status(to))) to += ".kept";
  std::error_code error;
  fs::create_directories(to.parent_path(), error);
  if (!error && fs::is_directory(fs::symlink_status(from))) {
    fs::create_directory(to, from, error);
  } else if (!error) {
    if (::linkat(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), 0) == 0) return;
    fs::copy(from, to, fs::copy_options::copy_symlinks, error);
  }
  if (error) fail("keep", from, error);
}

// Files that no run wrote; under another name where this run has written that one.
void carry_over(const fs::path& from, const std::set<std::string>& written, const fs::path& to) {
  for (auto entry = fs::recursive_directory_iterator(from); entry != fs::recursive_directory_iterator(); ++entry) {
    const bool folder = fs::is_directory(entry->symlink_status());
    if (folder && !fs::is_empty(*entry)) continue;
    const std::string name = entry->path().lexically_relative(from).string();
    if (!written.contains(name)) keep(entry->path(), to / name);
  }
}

}  // namespace

RunFolder::RunFolder(const fs::path& folder) {
  target_ = fs::absolute(folder).lexically_normal();
  if (target_.filename().empty()) target_ = target_.parent_path();  // a slash at the end
  if (fs::exists(target_)) target_ = fs::canonical(target_);        // a link stays one
  if (fs::is_symlink(target_)) throw Error(fmt::format("'{}' is a link to nothing", target_.string()));
  if (fs::exists(target_) && !fs::is_directory(target_))
    throw Error(fmt::format("cannot make the folder '{}': there is a file of that name", target_.string()));
  if (!free_or_a_runs(target_))
    throw Error(fmt::format("the folder '{}' is not empty and holds no run of an experiment: name another one by --out",
                            target_.string()));
  make_folder(target_.parent_path());
  const LockFile lock = this->lock();
  remove_abandoned(target_);
  make_hidden();
  if (fs::exists(target_)) require_replaceable();
}

LockFile RunFolder::lock() const {
  const fs::path path = target_.parent_path() / ("." + target_.filename().string() + ".lock");
  return LockFile(path, [&] { complain(target_.string(), "another run is being put in place, waiting for it"); });
}

void RunFolder::make_hidden() {
  const fs::path first = target_.parent_path() / (hidden_prefix(target_) + std::to_string(::getpid()));
  hidden_ = first;
  // The number may be another container's as well.
  for (int i = 2; ::mkdir(hidden_.c_str(), 0777) != 0; ++i) {
    if (errno != EEXIST) fail("make the folder", hidden_, last_error());
    hidden_ = with_suffix(first, fmt::format("-{}", i));
  }
  held_ = std::make_unique<FolderLock>(hidden_);
}

// A folder cannot take the place of one that holds something, but whatever else forbids its moving is found out first.
void RunFolder::require_replaceable() const {
  const fs::path something = hidden_ / "something";
  fs::create_directory(something);
  const bool moved = ::rename(target_.c_str(), hidden_.c_str()) == 0;
  const std::error_code error = last_error();
  fs::remove(something);
  if (moved || error.value() == ENOTEMPTY || error.value() == EEXIST) return;
  fs::remove(hidden_);
  throw Error(
      fmt::format("cannot replace the folder '{}': {}; name another one by --out", target_.string(), error.message()));
}

RunFolder::~RunFolder() {
  std::error_code ignored;
  fs::remove_all(hidden_, ignored);
}

fs::path RunFolder::file(const std::string& name) {
  const fs::path path = hidden_ / name;
  if (path.parent_path() != hidden_) fs::create_directories(path.parent_path());
  files_.insert(name);
  return path;
}

void RunFolder::forget(const std::string& name) {
  std::error_code ignored;
  fs::remove(hidden_ / name, ignored);
  files_.erase(name);
}

void RunFolder::put(const fs::path& place) const {
  if (!fs::exists(place)) {
    std::error_code error;
    if (fs::rename(hidden_, place, error); error) fail("make the folder", place, error);
    return;
  }
  const std::optional<Left> before = left_in(place);
  carry_over(place, before ? before->files : std::set<std::string>{}, hidden_);
  exchange(hidden_, place);
}

fs::path RunFolder::finish(bool whole) {
  const LockFile lock = this->lock();
  fs::path place = target_;
  try {
    if (const std::optional<Left> before = left_in(place); !whole && before && before->whole)
      place = place_beside(target_);
    put(place);
    return place;
  } catch (const std::exception& error) {
    // A folder that changed meanwhile is no reason to lose the run.
    fs::path beside = place_beside(target_);
    std::error_code failed;
    if (fs::exists(beside)) beside = with_suffix(beside, fmt::format("-{}", ::getpid()));
    if (fs::rename(hidden_, beside, failed); failed) throw;
    throw Error(fmt::format("{}; the run is in '{}'", error.what(), beside.string()));
  }
}

}  // namespace wengert::experiments
