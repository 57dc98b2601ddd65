#include "experiments/common/run_folder.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>
#include <system_error>

#include "autodiff/error.hpp"
#include "autodiff/files.hpp"

namespace wengert::experiments {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail(const char* action, const fs::path& path, const std::error_code& error) {
  throw Error(fmt::format("cannot {} '{}': {}", action, path.string(), error.message()));
}

// What a run left in a folder: which files, and whether it came to its end.
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

// Hidden siblings are named after the process that fills them.
std::string hidden_prefix(const fs::path& target) { return "." + target.filename().string() + ".run-"; }

void remove_abandoned(const fs::path& target) {
  const std::string prefix = hidden_prefix(target);
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(target.parent_path(), error)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(prefix)) continue;
    int process = 0;
    std::from_chars(name.data() + prefix.size(), name.data() + name.size(), process);
    if (process > 0 && ::kill(process, 0) != 0 && errno == ESRCH) fs::remove_all(entry.path(), error);
  }
}

// Two folders change places at once; where the file system cannot, one after the other.
void exchange(const fs::path& a, const fs::path& b) {
  if (::renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE) == 0) return;
  if (errno != EINVAL && errno != ENOSYS) fail("replace", b, {errno, std::generic_category()});
  const fs::path aside = a.string() + "-old";
  std::error_code error;
  if (fs::rename(b, aside, error); error) fail("replace", b, error);
  if (fs::rename(a, b, error); error) {
    std::error_code ignored;
    fs::rename(aside, b, ignored);
    fail("replace", b, error);
  }
  if (fs::rename(aside, a, error); error) fail("move", aside, error);
}

// What no run wrote; under another name where this run has written that one.
void carry_over(const fs::path& from, const std::set<std::string>& written, const fs::path& to) {
  for (const auto& entry : fs::directory_iterator(from)) {
    const std::string name = entry.path().filename().string();
    if (written.contains(name)) continue;
    fs::path place = to / name;
    while (fs::exists(fs::symlink_status(place))) place += ".kept";
    std::error_code error;
    fs::copy(entry.path(), place, fs::copy_options::recursive | fs::copy_options::copy_symlinks, error);
    if (error) fail("keep", entry.path(), error);
  }
}

}  // namespace

RunFolder::RunFolder(const fs::path& folder) {
  target_ = fs::absolute(folder).lexically_normal();
  if (target_.filename().empty()) target_ = target_.parent_path();  // a slash at the end
  if (fs::exists(target_) && !fs::is_directory(target_))
    throw Error(fmt::format("cannot make the folder '{}': there is a file of that name", target_.string()));
  if (fs::exists(target_) && !fs::is_empty(target_) && !left_in(target_))
    throw Error(fmt::format("the folder '{}' is not empty and holds no run of an experiment: name another one by --out",
                            target_.string()));
  make_folder(target_.parent_path());
  remove_abandoned(target_);
  hidden_ = target_.parent_path() / (hidden_prefix(target_) + std::to_string(::getpid()));
  make_folder(hidden_);
}

RunFolder::~RunFolder() {
  std::error_code ignored;
  fs::remove_all(hidden_, ignored);
}

fs::path RunFolder::file(const std::string& name) {
  files_.insert(name);
  return hidden_ / name;
}

fs::path RunFolder::finish(bool whole) {
  fs::path place = target_;
  std::optional<Left> before = left_in(place);
  if (!whole && before && before->whole) {
    place += "-interrupted";
    if (fs::exists(place) && !fs::is_empty(place) && !(before = left_in(place)))
      throw Error(fmt::format("the folder '{}' is not empty and holds no run of an experiment", place.string()));
  }
  if (!fs::exists(place)) {
    std::error_code error;
    if (fs::rename(hidden_, place, error); error) fail("make the folder", place, error);
    return place;
  }
  carry_over(place, before ? before->files : std::set<std::string>{}, hidden_);
  exchange(hidden_, place);
  return place;
}

}  // namespace wengert::experiments
