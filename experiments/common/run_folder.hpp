// The folder of a run: filled out of sight and put in place at the end, so that whoever looks sees one run, whole.
#pragma once
#include <filesystem>
#include <set>
#include <string>

namespace wengert::experiments {

// Files are written into a hidden sibling. A finished run takes the folder's place in one exchange. An interrupted or
// failed one becomes the folder where there was none or only such a one, and NAME-interrupted beside it otherwise.
// Files that no run wrote (metrics.json lists those that one did) are carried over.
class RunFolder {
 public:
  // Throws Error where the folder is not empty and holds no metrics.json of an experiment, or cannot be written to.
  // Removes what killed runs left.
  explicit RunFolder(const std::filesystem::path& folder);
  ~RunFolder();  // removes what was not put in place
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

  // Where to write the file of this name, which from now on counts as the run's.
  std::filesystem::path file(const std::string& name);
  const std::set<std::string>& files() const { return files_; }

  // Puts the run in its place, which is returned. metrics.json must be among its files.
  std::filesystem::path finish(bool whole);

 private:
  std::filesystem::path target_, hidden_;
  std::set<std::string> files_;
};

}  // namespace wengert::experiments
