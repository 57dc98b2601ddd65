// Files, read whole and replaced whole: a reader sees the old file or the new one, never half of one. Every failure is
// an Error that names the path and the reason.
#pragma once
#include <filesystem>
#include <string>
#include <string_view>

namespace wengert {

// Puts `bytes` at `path`: written to a temporary name in the same folder, synced and renamed, so that whatever was
// there before stays until the new file is complete.
void replace_file(const std::filesystem::path& path, std::string_view bytes);

// All bytes of a regular file; anything else (a folder, a pipe, a device) is refused.
std::string read_file(const std::filesystem::path& path);

// Creates a folder with its parents where it is missing; refuses one in which no file can be made.
void make_folder(const std::filesystem::path& folder);

}  // namespace wengert
