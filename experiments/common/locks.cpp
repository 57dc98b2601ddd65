#include "experiments/common/locks.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "autodiff/error.hpp"

namespace wengert::experiments {
namespace {

bool locked(int descriptor, int how) {
  while (::flock(descriptor, how) != 0)
    if (errno != EINTR) return false;
  return true;
}

// True if the name still stands for the open file.
bool names(const std::filesystem::path& path, int descriptor) {
  struct stat named {
  }, opened{};
  return ::stat(path.c_str(), &named) == 0 && ::fstat(descriptor, &opened) == 0 && named.st_ino == opened.st_ino &&
         named.st_dev == opened.st_dev;
}

}  // namespace

FolderLock::FolderLock(const std::filesystem::path& folder)
    : descriptor_(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
  if (descriptor_ < 0) return;
  if (locked(descriptor_, LOCK_EX | LOCK_NB))
    state_ = State::held;
  else if (errno == EWOULDBLOCK)
    state_ = State::busy;
}

FolderLock::~FolderLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

LockFile::LockFile(const std::filesystem::path& path, const std::function<void()>& waiting) : path_(path) {
  for (;;) {
    descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (descriptor_ < 0)
      throw Error(fmt::format("cannot write '{}': {}", path.string(),
                              std::error_code(errno, std::generic_category()).message()));
    if (!locked(descriptor_, LOCK_EX | LOCK_NB)) {
      if (errno != EWOULDBLOCK) return;
      waiting();
      locked(descriptor_, LOCK_EX);
    }
    if (names(path, descriptor_)) return;
    ::close(descriptor_);  // who held it has removed it
  }
}

LockFile::~LockFile() {
  ::unlink(path_.c_str());
  ::close(descriptor_);
}

}  // namespace wengert::experiments
