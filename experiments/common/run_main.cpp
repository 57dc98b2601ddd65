#include "experiments/common/run_main.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <new>

#include "autodiff/files.hpp"
#include "autodiff/parallel.hpp"
#include "experiments/common/interrupt.hpp"

namespace wengert::experiments {
namespace {

int fail(const Options& options, std::string text, int status) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  fmt::print(stderr, "{}: {}\n", options.name(), text);
  return status;
}

}  // namespace

int run_main(Options& options, int count, char** arguments, const std::function<void()>& body) {
  try {
    if (!options.parse(count, arguments)) return 0;
    if (options.threads()) set_threads(*options.threads());
    make_folder(options.out());
    const Interrupt interrupt;
    body();
    std::fflush(stderr);
    fmt::print("figures and numbers in {}\n", options.out().string());
    return Interrupt::requested() ? 130 : 0;
  } catch (const UsageError& error) {
    return fail(options, error.what(), 2);
  } catch (const std::bad_alloc&) {
    return fail(options, "not enough memory", 1);
  } catch (const std::exception& error) {
    return fail(options, error.what(), 1);
  }
}

}  // namespace wengert::experiments
