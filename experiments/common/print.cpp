#include "experiments/common/print.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <system_error>

#include "autodiff/error.hpp"

namespace wengert::experiments {

void print(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0) return;
  const int number = errno;
  std::clearerr(stdout);
  throw Error(fmt::format("cannot print: {}", std::error_code(number, std::generic_category()).message()));
}

void complain(std::string_view name, std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  std::fputs(fmt::format("{}: {}\n", name, text).c_str(), stderr);
}

void open_standard_streams() {
  for (int stream : {0, 1, 2})
    if (::fcntl(stream, F_GETFD) < 0) static_cast<void>(::open("/dev/null", stream == 0 ? O_RDONLY : O_WRONLY));
}

}  // namespace wengert::experiments
