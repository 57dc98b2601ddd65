#include "autodiff/files.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <system_error>
#include <utility>

#include "autodiff/error.hpp"

namespace wengert {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail(const char* action, const fs::path& path, int number) {
  throw Error(fmt::format("cannot {} '{}': {}", action, path.string(),
                          std::error_code(number, std::generic_category()).message()));
}

class Descriptor {
 public:
  Descriptor(const fs::path& path, int flags) : value_(::open(path.c_str(), flags | O_CLOEXEC, 0666)) {}
  ~Descriptor() { close(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  explicit operator bool() const { return value_ >= 0; }
  int get() const { return value_; }
  // Network file systems report a failed write here.
  bool close() {
    const int value = std::exchange(value_, -1);
    return value < 0 || ::close(value) == 0;
  }

 private:
  int value_;
};

// A new file beside `path`, hidden, and gone again unless it was moved to `path`.
class Temporary {
 public:
  explicit Temporary(const fs::path& path)
      : path_(path), name_(free_name(path)), file_(name_, O_WRONLY | O_CREAT | O_EXCL) {
    if (!file_) fail("write", path_, errno);
  }
  ~Temporary() {
    if (!moved_) ::unlink(name_.c_str());
  }
  Temporary(const Temporary&) = delete;
  Temporary& operator=(const Temporary&) = delete;

  void write(std::string_view bytes) {
    while (!bytes.empty()) {
      const ::ssize_t count = ::write(file_.get(), bytes.data(), bytes.size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) fail("write", path_, errno);
      bytes.remove_prefix(static_cast<std::size_t>(count));
    }
  }
  void move() {
    if (::fsync(file_.get()) != 0 || !file_.close()) fail("write", path_, errno);
    if (::rename(name_.c_str(), path_.c_str()) != 0) fail("replace", path_, errno);
    moved_ = true;
  }

 private:
  static fs::path free_name(const fs::path& path) {
    static std::atomic<unsigned> serial{0};
    return path.parent_path() / fmt::format(".{}.{}-{}", path.filename().string(), ::getpid(), serial++);
  }

  fs::path path_, name_;
  Descriptor file_;
  bool moved_ = false;
};

// A rename lasts once the folder is on the disk; some file systems cannot say so, which is no failure of the write.
void sync_folder(const fs::path& folder) {
  const Descriptor opened(folder.empty() ? fs::path(".") : folder, O_RDONLY | O_DIRECTORY);
  if (opened && ::fsync(opened.get()) != 0 && errno == EIO) fail("write", folder, errno);
}

}  // namespace

void replace_file(const fs::path& path, std::string_view bytes) {
  Temporary file(path);
  file.write(bytes);
  file.move();
  sync_folder(path.parent_path());
}

std::string read_file(const fs::path& path) {
  // O_NONBLOCK: to open a pipe would wait for its writer.
  const Descriptor file(path, O_RDONLY | O_NONBLOCK);
  struct stat status {};
  if (!file || ::fstat(file.get(), &status) != 0) fail("read", path, errno);
  if (!S_ISREG(status.st_mode)) throw Error(fmt::format("cannot read '{}': it is not a regular file", path.string()));
  std::string bytes(static_cast<std::size_t>(status.st_size), '\0');
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ::ssize_t count = ::read(file.get(), bytes.data() + done, bytes.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail("read", path, errno);
    if (count == 0) break;
    done += static_cast<std::size_t>(count);
  }
  bytes.resize(done);
  return bytes;
}

void make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) fail("make the folder", folder, error.value());
  // Asking for permission would not tell of a quota or of a file system that is mounted to be read.
  const Temporary probe(folder / "");
}

}  // namespace wengert
