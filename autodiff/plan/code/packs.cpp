#include "autodiff/plan/code/packs.hpp"

#include <algorithm>

namespace wengert::plan::code {
namespace {

using Kind = Definition::Kind;

void set_lane(Line& line, std::size_t size, std::size_t lane, std::uint64_t bits) {
  const std::size_t per_word = 8 / size, shift = lane % per_word * 8 * size;
  if (size == 8)
    line[lane] = bits;
  else
    line[lane / per_word] = (line[lane / per_word] & ~(std::uint64_t{0xffffffff} << shift)) | bits << shift;
}

bool all_same(std::span<const Element> part) {
  return std::all_of(part.begin(), part.end(), [&](const Element& each) { return each == part[0]; });
}

}  // namespace

std::vector<std::size_t> parts_of(std::size_t count, Dtype dtype) {
  const std::size_t lanes = lanes_of(dtype);
  if (lanes == 0 || 2 * count < lanes) return std::vector<std::size_t>(count, 1);
  std::vector<std::size_t> parts(count / lanes, lanes);
  if (count % lanes > 0) parts.push_back(count % lanes);
  return parts;
}

// A source is a number or a pack, all that is constant, or a stretch of an array that is read.
struct Packs::Origin {
  struct Source {
    Kind kind;
    Number number = none;               // computed
    std::uint32_t array = 0;            // read
    std::uint64_t first = 0, last = 0;  // bytes
  };
  std::vector<Source> sources{};
  std::array<std::uint8_t, 16> of{}, lane{};
  std::size_t lanes = 0;

  bool in_order() const {
    if (sources.size() != 1) return false;
    for (std::size_t i = 0; i < lanes; ++i)
      if (lane[i] != i) return false;
    return true;
  }
};

Packs::Origin Packs::origin_of(Part part) const {
  Origin origin;
  origin.lanes = part.size();
  const std::uint64_t size = size_of(to_.dtype(part[0].number));
  for (std::size_t i = 0; i < part.size(); ++i) {
    const Definition& from = to_.definition(part[i].number);
    const auto serves = [&](Origin::Source& source) {
      if (source.kind != from.kind) return false;
      if (from.kind == Kind::computed) return source.number == part[i].number;
      if (from.kind == Kind::constant) return true;
      const std::uint64_t first = std::min(source.first, from.bits), last = std::max(source.last, from.bits);
      if (source.array != from.array || last - first >= pack_bytes) return false;
      source.first = first, source.last = last;
      return true;
    };
    auto source = std::find_if(origin.sources.begin(), origin.sources.end(), serves);
    if (source == origin.sources.end())
      source = origin.sources.insert(source, {from.kind, part[i].number, from.array, from.bits, from.bits});
    origin.of[i] = static_cast<std::uint8_t>(source - origin.sources.begin());
  }
  for (std::size_t i = 0; i < part.size(); ++i) {
    const Definition& from = to_.definition(part[i].number);
    origin.lane[i] = static_cast<std::uint8_t>(from.kind == Kind::computed ? part[i].lane
                                               : from.kind == Kind::constant
                                                   ? i
                                                   : (from.bits - origin.sources[origin.of[i]].first) / size);
  }
  return origin;
}

// The instructions that make a pack of them, beside what is read in place.
std::size_t Packs::cost(Part part) const {
  const Origin origin = origin_of(part);
  return origin.in_order() ? 0 : std::max<std::size_t>(1, origin.sources.size() - 1);
}

Number Packs::pack(Part part) {
  const Dtype dtype = to_.dtype(part[0].number);
  const std::size_t size = size_of(dtype), width = lanes_of(dtype);
  if (all_same(part) && !to_.is_pack(part[0].number)) return to_.spread(part[0].number);
  const Origin origin = origin_of(part);
  const auto number_of = [&](const Origin::Source& source) {
    if (source.kind == Kind::computed) return source.number;
    if (source.kind == Kind::read)
      return to_.read(source.array, source.first, dtype, (source.last - source.first) / size + 1);
    Line line{};
    for (std::size_t i = 0; i < part.size(); ++i)
      if (const Definition& from = to_.definition(part[i].number); from.kind == Kind::constant)
        set_lane(line, size, i, from.bits);
    return to_.constant_pack(line, dtype);
  };
  const bool one_source = origin.sources.size() == 1;
  Number result = number_of(origin.sources[0]);
  if (origin.in_order()) return result;
  for (std::size_t s = 1; s == 1 || s < origin.sources.size(); ++s) {
    Line lanes{};
    for (std::size_t i = 0, from = 0; i < width; ++i) {
      const bool means = i < part.size();
      if (means && origin.of[i] == s)
        from = width + origin.lane[i];
      else if (s > 1)
        from = i;
      else if (means && origin.of[i] == 0)
        from = origin.lane[i];
      else
        from = (from + 1) % (one_source ? width : 2 * width);  // whatever: a shift, where the others are one
      set_lane(lanes, size, i, from);
    }
    result = to_.permute(result, one_source ? none : number_of(origin.sources[s]), lanes);
  }
  return result;
}

void Packs::append(Number number, std::size_t part, Elements& to) {
  for (std::uint32_t lane = 0; lane < part; ++lane) to.push_back({number, lane});
}

Elements Packs::apply(std::span<const Elements> x, std::size_t count, Dtype dtype, const Function& f) {
  Elements result;
  std::vector<Number> numbers(x.size());
  const auto one_by_one = [&](std::size_t begin, std::size_t end) {
    for (std::size_t e = begin; e < end; ++e) {
      for (std::size_t i = 0; i < x.size(); ++i) numbers[i] = single(x[i][e]);
      result.push_back({f(numbers)});
    }
  };
  std::size_t begin = 0;
  for (std::size_t part : parts_of(count, dtype)) {
    const auto operand = [&](std::size_t i) { return Part(x[i]).subspan(begin, part); };
    // Instructions for each element by itself, of which those that are alike are one.
    std::size_t singly = 0, together = 1;
    for (std::size_t e = begin; e < begin + part; ++e) {
      const auto alike = [&](std::size_t other) {
        return std::all_of(x.begin(), x.end(), [&](const Elements& each) { return each[other] == each[e]; });
      };
      bool known = false;
      for (std::size_t other = begin; other < e && !known; ++other) known = alike(other);
      if (known) continue;
      ++singly;
      for (const Elements& each : x) singly += to_.is_pack(each[e].number) ? 1 : 0;
    }
    for (std::size_t i = 0; i < x.size(); ++i) together += cost(operand(i));
    if (part > 1 && together <= singly) {
      for (std::size_t i = 0; i < x.size(); ++i) numbers[i] = pack(operand(i));
      append(f(numbers), part, result);
    } else {
      one_by_one(begin, begin + part);
    }
    begin += part;
  }
  return result;
}

std::vector<Number> Packs::in_order(const Elements& elements, Dtype dtype, bool everywhere) {
  std::vector<Number> result;
  std::size_t begin = 0;
  for (std::size_t part : parts_of(elements.size(), dtype)) {
    const Part these = Part(elements).subspan(begin, part);
    std::size_t singly = part;
    for (const Element& each : these) singly += to_.is_pack(each.number) ? 1 : 0;
    // A permutation waits for the one before it, stores wait for nothing.
    if (part > 1 && (everywhere || 1 + 2 * cost(these) <= singly))
      result.push_back(pack(these));
    else
      for (const Element& each : these) result.push_back(single(each));
    begin += part;
  }
  return result;
}

}  // namespace wengert::plan::code
