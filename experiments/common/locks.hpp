// Locks between processes. They end with who holds them, however that one ends.
#pragma once
#include <filesystem>
#include <functional>

namespace wengert::experiments {

// The mark of who fills a folder.
class FolderLock {
 public:
  explicit FolderLock(const std::filesystem::path& folder);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

  // busy: another one holds it; unknown: the file system has no locks, or the folder cannot be opened.
  enum class State { held, busy, unknown };
  State state() const { return state_; }

 private:
  int descriptor_;
  State state_ = State::unknown;
};

// A file of this name that one process at a time can hold; it is there as long as anybody does.
class LockFile {
 public:
  // Waits for whoever holds it, and calls `waiting` before. Without a lock where the file system has none.
  LockFile(const std::filesystem::path& path, const std::function<void()>& waiting);
  ~LockFile();
  LockFile(const LockFile&) = delete;
  LockFile& operator=(const LockFile&) = delete;

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
};

}  // namespace wengert::experiments
