// The lines of a program on stdout and stderr.
#pragma once
#include <string>
#include <string_view>

namespace wengert::experiments {

// Writes the text at once. Throws Error with the reason where it cannot be printed: a full disk, a reader that has
// gone.
void print(std::string_view text);

// Writes "name: text" as one line to stderr. That nobody can be told is no failure.
void complain(std::string_view name, std::string text);

// Opens /dev/null for each of stdin, stdout and stderr that is closed: the first file to be opened would otherwise take
// its place, and what is printed be written into it.
void open_standard_streams();

}  // namespace wengert::experiments
