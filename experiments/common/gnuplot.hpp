// gnuplot as a child process, its data in files of a folder that does not outlive it.
#pragma once
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace wengert::experiments {

//   Gnuplot gnuplot;
//   const std::string data = gnuplot.data(values);
//   gnuplot.render(path, {1500, 640}, fmt::format("plot {} binary format='%float' ...", data));
class Gnuplot {
 public:
  struct Pixels {
    int width, height;
    friend bool operator==(const Pixels&, const Pixels&) = default;
  };

  Gnuplot();  // throws Error where there is no folder for temporary files
  ~Gnuplot();
  Gnuplot(const Gnuplot&) = delete;
  Gnuplot& operator=(const Gnuplot&) = delete;

  // Writes the values as binary floats and returns the file's name, quoted for a script.
  std::string data(std::span<const double> values);

  // Runs the script and replaces the file with what it drew: a PNG, an SVG or, of several pictures, a GIF that shows
  // each for `delay` hundredths of a second. Throws Error for another kind, and if gnuplot is missing or complains.
  void render(const std::filesystem::path& file, Pixels size, std::string_view script, int delay = 15);

 private:
  std::filesystem::path folder_;
  int files_ = 0;
};

// A string for a script. Underscores, circumflexes and braces in it set indices, as in gnuplot's enhanced text.
std::string quote(std::string_view text);

}  // namespace wengert::experiments
