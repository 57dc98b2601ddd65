#include "experiments/common/gnuplot.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <system_error>
#include <utility>
#include <vector>

#include "autodiff/error.hpp"
#include "autodiff/io/files.hpp"

namespace wengert::experiments {
namespace {

namespace fs = std::filesystem;

std::string reason(int number) { return std::error_code(number, std::generic_category()).message(); }

// The child's descriptors: nothing, the picture, complaints, data and the script.
enum Stream : int { input, picture, complaints, data_stream, script_stream };
std::string name_of(Stream stream) { return fmt::format("/proc/self/fd/{}", static_cast<int>(stream)); }

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

std::string gnuplot_program() {
  const char* path = std::getenv("PATH");
  std::istringstream folders(path == nullptr ? "" : path);
  for (std::string folder; std::getline(folders, folder, ':');) {
    const fs::path program = fs::path(folder.empty() ? "." : folder) / "gnuplot";
    std::error_code ignored;
    if (fs::is_regular_file(program, ignored) && ::access(program.c_str(), X_OK) == 0) return program.string();
  }
  throw Error("figures need gnuplot on the PATH: install gnuplot-nox, or leave them out by --figures none");
}

// Children that have ended cannot be waited for where SIGCHLD is ignored, as some parents leave it.
class WaitingForChildren {
 public:
  WaitingForChildren() {
    struct sigaction standard {};
    standard.sa_handler = SIG_DFL;
    ::sigaction(SIGCHLD, &standard, &before_);
  }
  ~WaitingForChildren() { ::sigaction(SIGCHLD, &before_, nullptr); }
  WaitingForChildren(const WaitingForChildren&) = delete;
  WaitingForChildren& operator=(const WaitingForChildren&) = delete;

 private:
  struct sigaction before_ {};
};

// The steps of the child before it becomes gnuplot; only what may be done between fork and exec.
[[noreturn]] void become(char* const* arguments, char* const* variables, const std::array<int, 4>& streams, int failure,
                         ::pid_t parent) {
  // It dies with us, however we die, and has a process group of its own: Ctrl-C asks us to finish, not it to stop.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(1);
  ::setpgid(0, 0);
  struct sigaction standard {};
  standard.sa_handler = SIG_DFL;
  for (int signal : {SIGPIPE, SIGXFSZ}) ::sigaction(signal, &standard, nullptr);
  const int nothing = ::open("/dev/null", O_RDONLY);
  if (nothing != input) ::dup2(nothing, input);
  for (int i = 0; i < 4; ++i) ::dup2(streams[static_cast<std::size_t>(i)], picture + i);
  ::execve(arguments[0], arguments, variables);
  const int number = errno;
  static_cast<void>(!::write(failure, &number, sizeof number));
  ::_exit(1);
}

// Runs gnuplot to its end; its wait status.
int run(const std::array<int, 4>& streams) {
  std::vector<std::string> strings{gnuplot_program(), "--default-settings", name_of(script_stream)},
      variables = environment();
  const std::vector<char*> argument_pointers = pointers(strings), variable_pointers = pointers(variables);
  const WaitingForChildren waiting;
  const MemoryFile failure;
  const ::pid_t parent = ::getpid(), child = ::fork();
  if (child == 0) become(argument_pointers.data(), variable_pointers.data(), streams, failure.descriptor(), parent);
  if (child < 0) throw Error(fmt::format("cannot run gnuplot: {}", reason(errno)));
  int status = 0;
  while (::waitpid(child, &status, 0) < 0)
    if (errno != EINTR) throw Error(fmt::format("cannot wait for gnuplot: {}", reason(errno)));
  if (const std::string number = failure.text(); number.size() == sizeof(int)) {
    int value = 0;
    std::memcpy(&value, number.data(), sizeof value);
    throw Error(fmt::format("cannot run '{}': {}", strings.front(), reason(value)));
  }
  return status;
}

// The text of a wait status for an end that is no good one.
std::string bad_end(int status) {
  if (WIFSIGNALED(status))
    return fmt::format("it was ended by SIG{} ({})", ::sigabbrev_np(WTERMSIG(status)), ::sigdescr_np(WTERMSIG(status)));
  return WEXITSTATUS(status) == 0 ? "" : fmt::format("it ended with status {}", WEXITSTATUS(status));
}

std::string terminal(const fs::path& file, Gnuplot::Pixels size, int delay) {
  const std::string kind = file.extension().string(),
                    common = fmt::format("size {},{} font 'DejaVu Sans,", size.width, size.height);
  if (kind == ".png") return "pngcairo " + common + "20' linewidth 1.5 enhanced";
  if (kind == ".svg") return "svg " + common + "20' linewidth 1.5 enhanced background 'white'";
  if (kind == ".gif") return fmt::format("gif animate delay {} loop 0 optimize {}15' enhanced", delay, common);
  throw Error(fmt::format("a figure is .png, .svg or .gif, got '{}'", file.string()));
}

// The picture that a script draws, as the bytes of a file.
std::string drawn(const fs::path& file, Gnuplot::Pixels size, std::string_view script, int delay,
                  const MemoryFile& data) {
  MemoryFile output, complained, commands;
  commands.append(fmt::format("set terminal {}\n{}\nunset output\n", terminal(file, size, delay), script));
  // A clean end is no proof, and a word on stderr no failure: fontconfig has its say there.
  std::string failure =
      bad_end(run({output.descriptor(), complained.descriptor(), data.descriptor(), commands.descriptor()}));
  std::string bytes = output.text();
  if (failure.empty() && !whole_picture(bytes, file.extension().string()))
    failure = fmt::format("its {} bytes are no whole picture", bytes.size());
  if (failure.empty()) return bytes;
  throw Error(fmt::format("gnuplot could not draw '{}': {}{}{}", file.string(), failure,
                          complained.text().empty() ? "" : ": ", complained.text()));
}

}  // namespace

// Above the standard streams and those that a child gives them for, which it puts in their places one by one.
MemoryFile::MemoryFile() {
  constexpr int least = 10;
  const int low = ::memfd_create("wengert", MFD_CLOEXEC);
  descriptor_ = low < 0 ? low : ::fcntl(low, F_DUPFD_CLOEXEC, least);
  const int number = errno;
  if (low >= 0) ::close(low);
  if (descriptor_ < 0) throw Error(fmt::format("cannot make a file in memory: {}", reason(number)));
}

MemoryFile::~MemoryFile() { ::close(descriptor_); }

void MemoryFile::append(std::string_view bytes) {
  while (!bytes.empty()) {
    const ::ssize_t count = ::write(descriptor_, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw Error(fmt::format("cannot write to a file in memory: {}", reason(errno)));
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
}

std::string MemoryFile::text() const {
  std::string text(static_cast<std::size_t>(std::max<::off_t>(::lseek(descriptor_, 0, SEEK_END), 0)), '\0');
  const ::ssize_t count = ::pread(descriptor_, text.data(), text.size(), 0);
  text.resize(static_cast<std::size_t>(std::max<::ssize_t>(count, 0)));
  return text;
}

std::string quote(std::string_view text) {
  std::string quoted = "'";
  for (char c : text) quoted += c == '\'' ? std::string("''") : std::string(1, c);
  return quoted + "'";
}

std::string Gnuplot::data(std::span<const double> values) {
  const std::vector<float> floats(values.begin(), values.end());
  const std::string_view bytes(reinterpret_cast<const char*>(floats.data()), floats.size() * sizeof(float));
  data_.append(bytes);
  return fmt::format("{} binary skip={}", quote(name_of(data_stream)), std::exchange(bytes_, bytes_ + bytes.size()));
}

void Gnuplot::render(const fs::path& file, Pixels size, std::string_view script, int delay) {
  replace_file(file, drawn(file, size, script, delay, data_));
}

bool Gnuplot::draws_labels() {
  const MemoryFile nothing;
  const auto picture_of = [&](const char* label) {
    return drawn("label.png", {200, 60}, fmt::format("unset border\nunset tics\n{}\nplot [0:1] [0:1] 2 notitle", label),
                 0, nothing);
  };
  return picture_of("set label 'word' at graph 0.5,0.5 center") != picture_of("");
}

}  // namespace wengert::experiments
