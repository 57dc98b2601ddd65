// Files, read whole and replaced whole: a reader sees the old file or the new one, never half of one. Every failure is
// an Error that names the path and the reason.
#pragma once
#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

namespace wengert {

// Puts `bytes` at `path`: written to a temporary name in the same folder, synced and renamed, so that whatever was
// there before stays until the new file is complete. What a process that was killed left of such a file is removed.
void replace_file(const std::filesystem::path& path, std::string_view bytes);

// All bytes of a regular file (see InputFile).
std::string read_file(const std::filesystem::path& path);

// A regular file that is read in parts, by who checks what a part says before he makes room for the next. Anything else
// (a folder, a pipe, a device) is refused, and so is a file of more bytes than the machine has memory.
class InputFile {
 public:
  explicit InputFile(const std::filesystem::path& path);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  std::size_t size() const { return size_; }
  // The bytes [offset, offset + bytes). Throws Error where the file ends before.
  void read(std::size_t offset, void* to, std::size_t bytes) const;
  std::string text(std::size_t offset, std::size_t bytes) const;

 private:
  // Delegated to, so that what the other constructor refuses is closed.
  InputFile(const std::filesystem::path& path, int descriptor) : path_(path), descriptor_(descriptor) {}
  std::filesystem::path path_;
  int descriptor_;
  std::size_t size_ = 0;
};

// Creates a folder with its parents where it is missing; refuses one in which no file can be made.
void make_folder(const std::filesystem::path& folder);

}  // namespace wengert
