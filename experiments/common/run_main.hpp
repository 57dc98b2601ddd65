// What stands between main and an experiment.
#pragma once
#include <functional>

#include "experiments/common/options.hpp"

namespace wengert::experiments {

// Parses the command line, sets the threads, makes sure that the output folder can be written to, and runs the body
// under an Interrupt; the last line on stdout names the folder. Returns the exit status: 0; 1 with one line "NAME:
// text" on stderr after an exception; 2 after a UsageError; 130 after Ctrl-C, which the body has heeded.
int run_main(Options& options, int count, char** arguments, const std::function<void()>& body);

}  // namespace wengert::experiments
