// The folder of a run: filled out of sight and put in place at the end, so that whoever looks sees one run, whole.
#pragma once
#include <filesystem>
#include <memory>
#include <set>
#include <string>

#include "experiments/common/locks.hpp"

namespace wengert::experiments {

// Files are written into a hidden sibling, which is locked as long as this object lives. A finished run takes the
// folder's place in one exchange. An interrupted or failed one becomes the folder where there was none or only such a
// one, and NAME-interrupted beside it otherwise. Files that no run wrote (metrics.json lists those that one did) are
// carried over. Of two runs at once into one folder each is put in place whole; the one that ends last stays.
class RunFolder {
 public:
  // Throws Error where the folder is not empty and holds no metrics.json of an experiment, cannot be written to, or
  // cannot be replaced, as a mount point. Removes what killed runs left.
  explicit RunFolder(const std::filesystem::path& folder);
  ~RunFolder();  // removes what was not put in place
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

  // The path to write the file of this name to, or in a folder below of "part/name"; from now on it counts as the
  // run's.
  std::filesystem::path file(const std::string& name);
  const std::set<std::string>& files() const { return files_; }
  void forget(const std::string& name);  // and remove what was written

  // Puts the run in its place, which is returned. metrics.json must be among its files. Throws Error where that fails,
  // and says where the run is instead.
  std::filesystem::path finish(bool whole);

 private:
  LockFile lock() const;  // while folders are made, removed and put in place
  void make_hidden();
  void require_replaceable() const;
  void put(const std::filesystem::path& place) const;

  std::filesystem::path target_, hidden_;
  std::unique_ptr<FolderLock> held_;  // on the hidden one
  std::set<std::string> files_;
};

}  // namespace wengert::experiments
