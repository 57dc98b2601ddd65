#include "experiments/common/gnuplot.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <system_error>
#include <vector>

#include "autodiff/error.hpp"
#include "autodiff/files.hpp"

namespace wengert::experiments {
namespace {

namespace fs = std::filesystem;

std::string reason(int number) { return std::error_code(number, std::generic_category()).message(); }

// Ours, but for a locale in which gnuplot writes "." in numbers and knows UTF-8.
std::vector<std::string> environment() {
  std::vector<std::string> variables{"LC_ALL=C.UTF-8"};
  for (char** variable = environ; *variable != nullptr; ++variable)
    if (!std::string_view(*variable).starts_with("LC_ALL=")) variables.emplace_back(*variable);
  return variables;
}

// The arguments or variables as C wants them; valid as long as the strings.
std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> result;
  for (std::string& string : strings) result.push_back(string.data());
  result.push_back(nullptr);
  return result;
}

// Runs gnuplot with its complaints in a file; its wait status.
int run(const fs::path& script, const fs::path& complaints) {
  std::vector<std::string> arguments{"gnuplot", "--default-settings", script.string()}, variables = environment();
  ::posix_spawn_file_actions_t files;
  ::posix_spawn_file_actions_init(&files);
  ::posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
  ::posix_spawn_file_actions_addopen(&files, 2, complaints.c_str(), O_WRONLY | O_CREAT, 0600);
  ::posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  // A process group of its own: Ctrl-C asks us to finish, not gnuplot to stop.
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  ::pid_t child = 0;
  const int error =
      ::posix_spawnp(&child, "gnuplot", &files, &attributes, pointers(arguments).data(), pointers(variables).data());
  ::posix_spawn_file_actions_destroy(&files);
  ::posix_spawnattr_destroy(&attributes);
  if (error == ENOENT) throw Error("figures need gnuplot on the PATH: install gnuplot-nox");
  if (error != 0) throw Error(fmt::format("cannot run gnuplot: {}", reason(error)));
  int status = 0;
  while (::waitpid(child, &status, 0) < 0)
    if (errno != EINTR) throw Error(fmt::format("cannot wait for gnuplot: {}", reason(errno)));
  return status;
}

std::string terminal(const fs::path& file, Gnuplot::Pixels size, int delay) {
  const std::string kind = file.extension().string(),
                    common = fmt::format("size {},{} font 'DejaVu Sans,", size.width, size.height);
  if (kind == ".png") return "pngcairo " + common + "20' linewidth 1.5 enhanced";
  if (kind == ".svg") return "svg " + common + "20' linewidth 1.5 enhanced background 'white'";
  if (kind == ".gif") return fmt::format("gif animate delay {} loop 0 optimize {}15' enhanced", delay, common);
  throw Error(fmt::format("a figure is .png, .svg or .gif, got '{}'", file.string()));
}

}  // namespace

std::string quote(std::string_view text) {
  std::string quoted = "'";
  for (char c : text) quoted += c == '\'' ? std::string("''") : std::string(1, c);
  return quoted + "'";
}

Gnuplot::Gnuplot() {
  std::error_code error;
  const fs::path parent = fs::temp_directory_path(error);
  std::string name = (parent / "wengert-XXXXXX").string();
  if (error || ::mkdtemp(name.data()) == nullptr)
    throw Error(fmt::format("cannot make a temporary folder: {}", error ? error.message() : reason(errno)));
  folder_ = name;
}

Gnuplot::~Gnuplot() {
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

std::string Gnuplot::data(std::span<const double> values) {
  const std::vector<float> floats(values.begin(), values.end());
  const fs::path file = folder_ / fmt::format("data{}", files_++);
  replace_file(file, {reinterpret_cast<const char*>(floats.data()), floats.size() * sizeof(float)});
  return quote(file.string());
}

void Gnuplot::render(const fs::path& file, Pixels size, std::string_view script, int delay) {
  const fs::path input = folder_ / "script", output = folder_ / "output", complaints = folder_ / "complaints";
  replace_file(input, fmt::format("set terminal {}\nset output {}\n{}\nunset output\n", terminal(file, size, delay),
                                  quote(output.string()), script));
  // A clean end is no proof, and a word on stderr no failure: fontconfig has its say there.
  if (run(input, complaints) != 0 || !fs::exists(output) || fs::is_empty(output))
    throw Error(fmt::format("gnuplot could not draw '{}': {}", file.string(), read_file(complaints)));
  replace_file(file, read_file(output));
  fs::remove(output);
}

}  // namespace wengert::experiments
