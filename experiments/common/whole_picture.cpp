#include <cstdint>
#include <optional>

#include "experiments/common/gnuplot.hpp"

namespace wengert::experiments {
namespace {

// Goes through the bytes; once it has come to their end it stays there, and `past()` is true.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  std::string_view take(std::size_t count) {
    past_ = past_ || count > rest_.size();
    const std::string_view taken = past_ ? std::string_view() : rest_.substr(0, count);
    rest_.remove_prefix(past_ ? rest_.size() : count);
    return taken;
  }
  std::size_t byte() {
    const std::string_view taken = take(1);
    return taken.empty() ? 0 : static_cast<unsigned char>(taken.front());
  }
  bool past() const { return past_; }
  bool at_end() const { return !past_ && rest_.empty(); }

 private:
  std::string_view rest_;
  bool past_ = false;
};

// A signature, then chunks of a length, a name, the contents and a check sum; the last one is IEND.
bool whole_png(std::string_view bytes) {
  Reader reader(bytes);
  if (reader.take(8) != "\x89PNG\r\n\x1a\n") return false;
  while (!reader.past()) {
    std::size_t length = 0;
    for (int i = 0; i < 4; ++i) length = length << 8 | reader.byte();
    const std::string_view name = reader.take(4);
    reader.take(length + 4);
    if (name == "IEND") return reader.at_end();
  }
  return false;
}

// A header with a table of colours, then blocks: extensions and images, each ending in parts that end with an empty
// one, and a trailer.
bool whole_gif(std::string_view bytes) {
  Reader reader(bytes);
  const auto skip_colours = [&](std::size_t flags) {
    if (flags & 0x80) reader.take(std::size_t{3} << ((flags & 7) + 1));
  };
  const auto skip_parts = [&] {
    while (const std::size_t length = reader.byte()) reader.take(length);
  };
  if (!reader.take(6).starts_with("GIF8")) return false;
  reader.take(4);
  const std::size_t flags = reader.byte();
  reader.take(2);
  skip_colours(flags);
  while (!reader.past()) switch (reader.byte()) {
      case 0x21:  // an extension
        reader.take(1);
        skip_parts();
        break;
      case 0x2c:  // an image
        reader.take(8);
        skip_colours(reader.byte());
        reader.take(1);
        skip_parts();
        break;
      case 0x3b:
        return reader.at_end();
      default:
        return false;
    }
  return false;
}

bool whole_svg(std::string_view bytes) {
  bytes.remove_suffix(bytes.size() - (bytes.find_last_not_of(" \r\n") + 1));
  return bytes.starts_with("<") && bytes.ends_with("</svg>");
}

}  // namespace

bool whole_picture(std::string_view bytes, std::string_view extension) {
  return extension == ".png" ? whole_png(bytes) : extension == ".gif" ? whole_gif(bytes) : whole_svg(bytes);
}

}  // namespace wengert::experiments
