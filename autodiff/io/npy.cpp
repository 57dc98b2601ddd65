#include "autodiff/io/npy.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <new>
#include <string>
#include <string_view>

#if __has_include(<xtensor/io/xnpy.hpp>)  // xtensor 0.26 and later
#include <xtensor/io/xnpy.hpp>
#else
#include <xtensor/xnpy.hpp>
#endif

#include "autodiff/error.hpp"
#include "autodiff/io/files.hpp"
#include "autodiff/io/xtensor.hpp"

namespace wengert {
namespace {

static_assert(std::endian::native == std::endian::little, "elements are read as they lie in the file");

// Takes a header apart from its front. xtensor's own reader believes whatever a file says of its size.
class Header {
 public:
  explicit Header(std::string_view text) : rest_(text) {}

  bool skips(std::string_view token) {
    rest_.remove_prefix(std::min(rest_.find_first_not_of(' '), rest_.size()));
    if (!rest_.starts_with(token)) return false;
    rest_.remove_prefix(token.size());
    return true;
  }
  void expect(std::string_view token) {
    if (!skips(token)) throw Error(fmt::format("its header lacks {} where NumPy writes it", token));
  }
  std::string_view until(char end) {
    const std::string_view text = rest_.substr(0, rest_.find(end));
    rest_.remove_prefix(text.size());
    return text;
  }
  // A whole number as Python reads it: without a sign, without leading zeros.
  Index extent() {
    Index value = -1;
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
    const bool odd = rest_.starts_with('-') || (rest_.starts_with('0') && end != rest_.data() + 1);
    if (error != std::errc{} || odd) throw Error("an extent in its header is no whole number");
    rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
    return value;
  }
  void end() const {
    if (!rest_.empty()) throw Error("its header goes on behind its end");
  }

 private:
  std::string_view rest_;
};

Dtype dtype_from(std::string_view descr) {
  if (descr == "<f4") return Dtype::f32;
  if (descr == "<f8") return Dtype::f64;
  if (descr == "<i4") return Dtype::i32;
  throw Error(fmt::format("its elements are '{}', only '<f4', '<f8' and '<i4' are read", descr));
}

Type parse(std::string_view text) {
  Header header(text);
  Type type;
  for (std::string_view token : {"{", "'descr'", ":", "'"}) header.expect(token);
  type.dtype = dtype_from(header.until('\''));
  for (std::string_view token : {"'", ",", "'fortran_order'", ":"}) header.expect(token);
  if (header.skips("True")) throw Error("its elements are in Fortran order");
  for (std::string_view token : {"False", ",", "'shape'", ":", "("}) header.expect(token);
  while (!header.skips(")")) {
    if (type.shape.rank() == static_cast<int>(max_rank)) throw Error(fmt::format("it has more than {} axes", max_rank));
    type.shape.append(header.extent());
    if (!header.skips(",")) {
      if (type.shape.rank() == 1) header.expect(",");  // (6) is a number to Python, no shape
      header.expect(")");
      break;
    }
  }
  header.skips(",");
  header.expect("}");
  header.expect("\n");
  header.end();
  return type;
}

// The array of a file whose header is believed only where the file's size bears it out.
Array from_npy(const InputFile& file) {
  constexpr std::string_view magic("\x93NUMPY\x01\x00", 8);
  constexpr std::size_t preamble = magic.size() + 2;
  const std::string start = file.text(0, std::min(preamble, file.size()));
  if (!start.starts_with(magic.substr(0, 6))) throw Error("it does not begin as .npy files do");
  if (!start.starts_with(magic)) throw Error("its version is not 1.0");
  if (start.size() < preamble) throw Error("it ends within its header");
  const std::size_t length =
      static_cast<unsigned char>(start[8]) + std::size_t{256} * static_cast<unsigned char>(start[9]);
  if (file.size() - preamble < length) throw Error("it ends within its header");
  const Type type = parse(file.text(preamble, length));
  const std::size_t elements = file.size() - preamble - length;
  if (type.bytes() != elements)
    throw Error(fmt::format("its {} bytes of elements are not those of {}", elements, to_string(type)));
  Array array(type);
  file.read(preamble + length, array.raw(), elements);
  return array;
}

}  // namespace

void save_npy(const std::filesystem::path& path, const Array& array) {
  replace_file(path, dispatch(array.dtype(), [&]<class T>() { return xt::dump_npy(adapt<T>(array)); }));
}

Array load_npy(const std::filesystem::path& path) {
  const InputFile file(path);
  try {
    return from_npy(file);
  } catch (const Error& error) {
    throw Error(fmt::format("cannot read '{}': {}", path.string(), error.what()));
  } catch (const std::bad_alloc&) {
    throw Error(fmt::format("cannot read '{}': there is no memory for its elements", path.string()));
  }
}

}  // namespace wengert
