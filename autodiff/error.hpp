// The one exception of Wengert, and the place in the user's source that it points to.
#pragma once
#include <stdexcept>
#include <string>

namespace wengert {

// The text says which op or option refused, what it needs, what it got, and where:
// "[matmul] inner extents differ: [32, 68] x [70, 256]  (triangles.cpp:41, in score.layers.0)".
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// A line of source. Used as a defaulted argument it is the caller's line. std::source_location is missing in Clang 14
// and wrong in 15, so the compilers' builtins are asked directly.
struct Where {
  const char* file = "";
  int line = 0;
  const char* function = "";

  static constexpr Where current(const char* file = __builtin_FILE(), int line = __builtin_LINE(),
                                 const char* function = __builtin_FUNCTION()) {
    return {file, line, function};
  }
  friend bool operator==(const Where& a, const Where& b) { return a.line == b.line && a.file == b.file; }
};

// "triangles.cpp:41": the file's base name and the line; empty for an unknown place.
std::string to_string(const Where& where);

}  // namespace wengert
