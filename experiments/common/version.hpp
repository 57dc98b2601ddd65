// Which state of the sources a program was built from.
#pragma once
#include <string>

namespace wengert::experiments {

std::string version();  // as git describes it, or the release where there is no git

}  // namespace wengert::experiments
