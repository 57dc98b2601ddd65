#include "autodiff/io/files.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <new>
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
  explicit Descriptor(int value = -1) : value_(value) {}
  Descriptor(const fs::path& path, int flags) : value_(::open(path.c_str(), flags | O_CLOEXEC, 0666)) {}
  ~Descriptor() { close(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(Descriptor&& other) {
    std::swap(value_, other.value_);
    return *this;
  }

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

// A new file beside `path`, hidden, and gone again unless it was moved to `path`. Who writes it holds a lock on it, by
// which those that killed processes left are known, and removed by the next one.
class Temporary {
 public:
  explicit Temporary(const fs::path& path) : path_(path) {
    remove_abandoned();
    do {
      name_ = path_.parent_path() / fmt::format("{}{}-{}", prefix(), ::getpid(), serial++);
      file_ = Descriptor(name_, O_WRONLY | O_CREAT | O_EXCL);
      if (!file_ && errno != EEXIST) fail("write", path_, errno);
    } while (!file_ || !hold());
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
  inline static std::atomic<unsigned> serial{0};

  std::string prefix() const { return fmt::format(".{}.", path_.filename().string()); }

  // False where somebody took it for abandoned before it was locked. The lock outlives the file's closing.
  bool hold() {
    lock_ = Descriptor(::fcntl(file_.get(), F_DUPFD_CLOEXEC, 0));
    struct stat status {};
    return ::flock(file_.get(), LOCK_EX) != 0 || ::fstat(file_.get(), &status) != 0 || status.st_nlink > 0;
  }

  void remove_abandoned() const {
    std::error_code error;
    const fs::path folder = path_.parent_path().empty() ? "." : path_.parent_path();
    for (auto entry = fs::directory_iterator(folder, error); !error && entry != fs::directory_iterator();
         entry.increment(error)) {
      const std::string name = entry->path().filename().string();
      if (!name.starts_with(prefix()) || !is_number_pair(std::string_view(name).substr(prefix().size()))) continue;
      const Descriptor file(entry->path(), O_WRONLY | O_NOFOLLOW | O_NONBLOCK);
      if (file && ::flock(file.get(), LOCK_EX | LOCK_NB) == 0) ::unlink(entry->path().c_str());
    }
  }

  // "1234-0"
  static bool is_number_pair(std::string_view text) {
    const std::size_t dash = text.find('-');
    return dash != std::string_view::npos && dash > 0 && dash + 1 < text.size() &&
           text.find_first_not_of("0123456789") == dash &&
           text.find_first_not_of("0123456789", dash + 1) == std::string_view::npos;
  }

  fs::path path_, name_;
  Descriptor file_, lock_;
  bool moved_ = false;
};

std::size_t physical_memory() {
  return static_cast<std::size_t>(::sysconf(_SC_PHYS_PAGES)) * static_cast<std::size_t>(::sysconf(_SC_PAGE_SIZE));
}

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

// O_NONBLOCK: to open a pipe would wait for its writer.
InputFile::InputFile(const fs::path& path) : InputFile(path, ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC)) {
  struct stat status {};
  if (descriptor_ < 0 || ::fstat(descriptor_, &status) != 0) fail("read", path, errno);
  if (!S_ISREG(status.st_mode)) throw Error(fmt::format("cannot read '{}': it is not a regular file", path.string()));
  size_ = static_cast<std::size_t>(status.st_size);
  // A sparse file claims any size; asking for what no machine has may end the program instead of throwing.
  if (const std::size_t memory = physical_memory(); size_ > memory)
    throw Error(
        fmt::format("cannot read '{}': it has {} bytes, this machine's memory {}", path.string(), size_, memory));
}

InputFile::~InputFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void InputFile::read(std::size_t offset, void* to, std::size_t bytes) const {
  while (bytes > 0) {
    const ::ssize_t count = ::pread(descriptor_, to, bytes, static_cast<::off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail("read", path_, errno);
    if (count == 0) throw Error(fmt::format("cannot read '{}': it ends at byte {}", path_.string(), offset));
    const std::size_t done = static_cast<std::size_t>(count);
    to = static_cast<std::byte*>(to) + done;
    offset += done;
    bytes -= done;
  }
}

std::string InputFile::text(std::size_t offset, std::size_t bytes) const {
  std::string text;
  try {
    text.resize(bytes);
  } catch (const std::bad_alloc&) {
    throw Error(fmt::format("cannot read '{}': there is no memory for {} bytes", path_.string(), bytes));
  }
  read(offset, text.data(), bytes);
  return text;
}

std::string read_file(const fs::path& path) {
  const InputFile file(path);
  return file.text(0, file.size());
}

void make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) fail("make the folder", folder, error.value());
  // Asking for permission would not tell of a quota or of a file system that is mounted to be read.
  const Temporary probe(folder / "");
}

}  // namespace wengert
