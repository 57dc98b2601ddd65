// gnuplot as a child process that reads and writes memory: it needs no disk, leaves nothing there, and ends with us.
#pragma once
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace wengert::experiments {

// A file without a name that lies in memory and goes with its last user; a child knows it by its descriptor.
class MemoryFile {
 public:
  MemoryFile();  // throws Error where there is none
  ~MemoryFile();
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  int descriptor() const { return descriptor_; }
  void append(std::string_view bytes);
  std::string text() const;

 private:
  int descriptor_;
};

//   Gnuplot gnuplot;
//   const std::string data = gnuplot.data(values);
//   gnuplot.render(path, {1500, 640}, fmt::format("plot {} format='%float' ...", data));
class Gnuplot {
 public:
  struct Pixels {
    int width, height;
    friend bool operator==(const Pixels&, const Pixels&) = default;
  };

  // Keeps the values as binary floats and returns how a plot command names them: "'file' binary skip=bytes".
  std::string data(std::span<const double> values);

  // Runs the script and replaces the file with what it drew: a PNG, an SVG or, of several pictures, a GIF that shows
  // each for `delay` hundredths of a second. Throws Error for another kind, if gnuplot is missing, complains or is
  // killed, and for a picture that is not whole; the file is then what it was.
  void render(const std::filesystem::path& file, Pixels size, std::string_view script, int delay = 15);

  // Draws a word and looks whether it is there: false means that no font was found. Throws Error where nothing can be
  // drawn at all.
  static bool draws_labels();

 private:
  MemoryFile data_;
  std::size_t bytes_ = 0;
};

// A string for a script. Underscores, circumflexes and braces in it set indices, as in gnuplot's enhanced text.
std::string quote(std::string_view text);

// True if the bytes of a file of this extension (.png, .svg, .gif) go to the end that this kind has.
bool whole_picture(std::string_view bytes, std::string_view extension);

}  // namespace wengert::experiments
