// Whatever bytes a safetensors file has: arrays that can be written again, or Error.
#include "autodiff/io/safetensors.hpp"

#include "autodiff/error.hpp"
#include "autodiff/io/safetensors_header.hpp"
#include "tests/fuzz/memory_file.hpp"

using namespace wengert;

namespace {

void check_file(const std::uint8_t* data, std::size_t size) {
  static const fuzz::MemoryFile file;
  file.write(data, size);
  const NamedArrays arrays = read_safetensors(file.path());
  std::size_t bytes = 0;
  for (const auto& [name, array] : arrays) bytes += array.type().bytes();
  fuzz::require(bytes < size);
  const auto again = parse_header(format_header(arrays), bytes);
  fuzz::require(again.size() == arrays.size());
  for (std::size_t i = 0; i < arrays.size(); ++i)
    fuzz::require(again[i].name == arrays[i].first && again[i].type == arrays[i].second.type());
}

// By itself, since the length before a header forbids most of what the fuzzer does to it.
void check_header(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t bytes = 12;
  std::size_t total = 0;
  for (const auto& entry : parse_header({reinterpret_cast<const char*>(data), size}, bytes))
    total += entry.end - entry.begin;
  fuzz::require(total == bytes);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  for (auto* check : {check_file, check_header}) try {
      check(data, size);
    } catch (const Error&) {
    }
  return 0;
}
