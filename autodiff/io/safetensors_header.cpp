#include "autodiff/io/safetensors_header.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>
#include <tuple>
#include <utility>

#include "autodiff/error.hpp"

namespace wengert {
namespace {

using Json = nlohmann::json;

constexpr std::string_view metadata_name = "__metadata__";
constexpr std::size_t most_nested = 127;  // as deep as the format's own reader goes

const char* format_name(Dtype dtype) { return dtype == Dtype::f32 ? "F32" : dtype == Dtype::f64 ? "F64" : "I32"; }

// A name as messages show it: whoever wrote the file chose its length.
std::string shown(const std::string& name) {
  constexpr std::size_t most = 100;
  return name.size() <= most ? name : fmt::format("{}... ({} bytes)", name.substr(0, most), name.size());
}

Dtype dtype_named(const std::string& name) {
  for (Dtype dtype : {Dtype::f32, Dtype::f64, Dtype::i32})
    if (name == format_name(dtype)) return dtype;
  throw Error(fmt::format("type {} is not supported (F32, F64 and I32 are)", shown(name)));
}

// Follows the parser's events with a stack of its own, as high as the text is nested: no tree is built.
class Handler final : public nlohmann::json_sax<Json> {
 public:
  std::vector<TensorEntry> entries{};

  bool null() override { return next_ == Item::metadata || skips(); }
  bool boolean(bool) override { return skips(); }
  bool number_integer(std::int64_t) override { return skips(); }  // below 0
  bool number_float(double, const std::string&) override { return skips(); }
  bool binary(Json::binary_t&) override { return skips(); }
  bool number_unsigned(std::uint64_t value) override {
    if (next_ != Item::extent && next_ != Item::offset) return skips();
    // Both are then numbers of bytes or elements, of which no file has as many.
    if (value > static_cast<std::uint64_t>(std::numeric_limits<Index>::max()))
      refuse(next_ == Item::extent ? "its shape is too large" : "its data_offsets are too large");
    if (next_ == Item::extent)
      append_extent(static_cast<Index>(value));
    else
      append_offset(static_cast<std::size_t>(value));
    return true;
  }
  bool string(std::string& value) override {
    if (next_ == Item::note) return true;
    if (next_ != Item::dtype) return skips();
    try {
      entries.back().type.dtype = dtype_named(value);
    } catch (const Error& error) {
      refuse(error.what());
    }
    return true;
  }
  bool start_object(std::size_t) override {
    const bool fits = next_ == Item::header || next_ == Item::metadata || next_ == Item::tensor;
    return (fits || skips()) && open(next_);
  }
  bool start_array(std::size_t) override {
    if (next_ == Item::shape) return open(Item::extent);
    if (next_ == Item::offsets) return open(Item::offset);
    return skips() && open(Item::unknown);
  }
  bool key(std::string& name) override {
    switch (open_.back()) {
      case Item::header:
        next_ = name == metadata_name ? Item::metadata : Item::tensor;
        if (next_ == Item::metadata) return once(has_metadata_, metadata_name);
        entries.push_back({std::move(name), {}});
        has_dtype_ = has_shape_ = has_offsets_ = false;
        offsets_ = 0;
        return true;
      case Item::metadata:
        next_ = Item::note;
        return true;
      case Item::tensor:
        return field(name);
      default:
        next_ = Item::unknown;
        return true;
    }
  }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) override {
    throw Error(fmt::format("the header is no JSON in UTF-8 at byte {}", position));
  }

 private:
  // The kind of a value, by where it stands.
  enum class Item { header, metadata, note, tensor, dtype, shape, extent, offsets, offset, unknown };

  // Throws for a value that is not of the kind wanted here; true where nothing is wanted.
  bool skips() const {
    switch (next_) {
      case Item::unknown:
        return true;
      case Item::header:
        throw Error("the header is no JSON object");
      case Item::metadata:
      case Item::note:
        throw Error("__metadata__ is no object of strings");
      case Item::tensor:
        refuse("its entry is no object");
      case Item::dtype:
        refuse("its dtype is no string");
      case Item::shape:
      case Item::extent:
        refuse("its shape is no list of whole numbers");
      case Item::offsets:
      case Item::offset:
        refuse("its data_offsets are not two whole numbers");
    }
    return true;
  }
  [[noreturn]] void refuse(std::string_view what) const {
    throw Error(fmt::format("tensor {}: {}", shown(entries.back().name), what));
  }
  bool once(bool& seen, std::string_view what) const {
    if (std::exchange(seen, true)) throw Error(fmt::format("the header says {} twice", what));
    return true;
  }
  bool field(const std::string& name) {
    next_ = name == "dtype"          ? Item::dtype
            : name == "shape"        ? Item::shape
            : name == "data_offsets" ? Item::offsets
                                     : Item::unknown;
    bool unknown = false;
    bool& seen = next_ == Item::dtype     ? has_dtype_
                 : next_ == Item::shape   ? has_shape_
                 : next_ == Item::offsets ? has_offsets_
                                          : unknown;
    if (std::exchange(seen, true)) refuse(fmt::format("it has two fields {}", name));
    return true;
  }
  void append_extent(Index extent) {
    try {
      entries.back().type.shape.append(extent);
    } catch (const Error& error) {
      refuse(error.what());
    }
  }
  void append_offset(std::size_t offset) {
    if (offsets_ == 2) skips();
    (offsets_++ == 0 ? entries.back().begin : entries.back().end) = offset;
  }
  // Within the value that begins: an object's keys say what comes next, an array holds `elements` alone.
  bool open(Item elements) {
    if (open_.size() == most_nested) throw Error("the header is nested too deep");
    open_.push_back(next_);
    next_ = elements;
    return true;
  }
  bool close() {
    next_ = open_.back();
    open_.pop_back();
    if (next_ == Item::offsets && offsets_ != 2) skips();
    if (next_ == Item::tensor && !(has_dtype_ && has_shape_ && has_offsets_))
      refuse("it lacks a dtype, a shape or data_offsets");
    return true;
  }

  Item next_ = Item::header;
  std::vector<Item> open_{};
  bool has_metadata_ = false, has_dtype_ = false, has_shape_ = false, has_offsets_ = false;
  int offsets_ = 0;
};

void check_names(std::vector<const std::string*> names) {
  std::sort(names.begin(), names.end(), [](auto* a, auto* b) { return *a < *b; });
  const auto twice = std::adjacent_find(names.begin(), names.end(), [](auto* a, auto* b) { return *a == *b; });
  if (twice != names.end()) throw Error(fmt::format("two tensors are named {}", shown(**twice)));
}

void check_places(const std::vector<TensorEntry>& entries, std::size_t data) {
  for (const TensorEntry& entry : entries)
    if (entry.begin > entry.end || entry.end > data || entry.end - entry.begin != entry.type.bytes())
      throw Error(fmt::format("tensor {}: its {} bytes do not fit offsets {} to {} of {} bytes", shown(entry.name),
                              entry.type.bytes(), entry.begin, entry.end, data));
  std::vector<const TensorEntry*> ordered;
  for (const TensorEntry& entry : entries) ordered.push_back(&entry);
  std::sort(ordered.begin(), ordered.end(),
            [](auto* a, auto* b) { return std::tie(a->begin, a->end) < std::tie(b->begin, b->end); });
  std::size_t covered = 0;
  for (const TensorEntry* entry : ordered) {
    if (entry->begin < covered) throw Error(fmt::format("tensor {} overlaps another", shown(entry->name)));
    if (entry->begin > covered)
      throw Error(
          fmt::format("there is a gap of {} bytes before tensor {}", entry->begin - covered, shown(entry->name)));
    covered = entry->end;
  }
  if (covered != data) throw Error(fmt::format("{} bytes of data belong to no tensor", data - covered));
}

// In quotes, with what JSON wants escaped.
std::string quoted(const std::string& name) {
  try {
    return Json(name).dump();
  } catch (const Json::exception&) {
    throw Error(fmt::format("the name {:?} is not UTF-8", shown(name)));
  }
}

}  // namespace

std::vector<TensorEntry> parse_header(std::string_view text, std::size_t data) {
  // The parser skips a byte order mark and takes NUL for the end.
  if (!text.starts_with('{')) throw Error("the header is no JSON object");
  if (const auto nul = text.find('\0'); nul != text.npos)
    throw Error(fmt::format("the header holds a NUL at byte {}", nul));
  Handler handler;
  Json::sax_parse(text, &handler);
  std::vector<const std::string*> names;
  for (const TensorEntry& entry : handler.entries) names.push_back(&entry.name);
  check_names(std::move(names));
  check_places(handler.entries, data);
  return std::move(handler.entries);
}

std::string format_header(std::span<const std::pair<std::string, Array>> arrays) {
  std::vector<const std::string*> names;
  for (const auto& [name, array] : arrays) names.push_back(&name);
  check_names(std::move(names));
  std::string text = "{";
  std::size_t offset = 0;
  for (const auto& [name, array] : arrays) {
    if (name == metadata_name) throw Error(fmt::format("no tensor can be named {}", metadata_name));
    const std::size_t end = offset + array.type().bytes();
    if (offset > 0 || text.size() > 1) text += ',';
    text += fmt::format(R"({}:{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})", quoted(name),
                        format_name(array.dtype()), fmt::join(array.shape().extents(), ","), offset, end);
    offset = end;
  }
  text += '}';
  if (text.size() + alignment > largest_header)
    throw Error(fmt::format("a header of {} bytes is longer than the format allows", text.size()));
  return text;
}

}  // namespace wengert
