// Whatever bytes a .npy file has: an array as large as the file says, or Error.
#include "autodiff/io/npy.hpp"

#include "autodiff/error.hpp"
#include "tests/fuzz/memory_file.hpp"

using namespace wengert;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::MemoryFile file;
  file.write(data, size);
  try {
    fuzz::require(load_npy(file.path()).type().bytes() < size);
  } catch (const Error&) {
  }
  return 0;
}
