#include "autodiff/plan/scalars/builder.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace wengert::plan::scalars {
namespace {

std::uint64_t bits_of(double value, Dtype dtype) {
  return dtype == Dtype::f32 ? std::bit_cast<std::uint32_t>(static_cast<float>(value))
                             : std::bit_cast<std::uint64_t>(value);
}

std::uint64_t packed(Number high, Number low) {
  return static_cast<std::uint64_t>(static_cast<std::uint32_t>(high)) << 32 | static_cast<std::uint32_t>(low);
}

bool has_effect(Code code) {
  switch (code) {
    case Code::set:
    case Code::loop:
    case Code::leave:
    case Code::repeat:
    case Code::argument:
    case Code::call:
    case Code::write:
      return true;
    default:
      return false;
  }
}

}  // namespace

std::size_t Builder::Hash::operator()(const std::array<std::uint64_t, 3>& key) const {
  std::uint64_t hash = 0;
  for (std::uint64_t part : key) {
    hash = (hash ^ part) * 0x9E3779B97F4A7C15;
    hash ^= hash >> 29;
  }
  return hash;
}

Number Builder::add_scalar(const Scalar& scalar, std::size_t depth) {
  program_.scalars.push_back(scalar);
  depth_.push_back(depth);
  return static_cast<Number>(program_.scalars.size() - 1);
}

void Builder::push(std::size_t depth, const Instruction& instruction) {
  scopes_[depth].code.push_back(instruction);
  ++size_;
}

Number Builder::read(std::uint32_t array, std::size_t byte, Dtype dtype) {
  const auto [place, is_new] = leaves_.try_emplace({array, byte, 0}, none);
  if (is_new) place->second = add_scalar({Scalar::Kind::read, dtype, array, byte}, 0);
  return place->second;
}

Number Builder::constant(double value, Dtype dtype) {
  const std::uint64_t bits = bits_of(value, dtype);
  const auto [place, is_new] = leaves_.try_emplace({bits, static_cast<std::uint64_t>(dtype), 1}, none);
  if (is_new) place->second = add_scalar({Scalar::Kind::constant, dtype, 0, bits}, 0);
  return place->second;
}

Number Builder::constant_of(const Array& array, Index element) {
  const std::size_t size = size_of(array.dtype());
  std::uint64_t bits = 0;
  std::memcpy(&bits, static_cast<const std::byte*>(array.raw()) + static_cast<std::size_t>(element) * size, size);
  const auto [place, is_new] = leaves_.try_emplace({bits, static_cast<std::uint64_t>(array.dtype()), 1}, none);
  if (is_new) place->second = add_scalar({Scalar::Kind::constant, array.dtype(), 0, bits}, 0);
  return place->second;
}

Number Builder::compute(Code code, Dtype dtype, Number a, Number b, Number c) {
  const std::uint64_t what = static_cast<std::uint64_t>(code) << 8 | static_cast<std::uint64_t>(dtype);
  const auto [place, is_new] = known_.try_emplace({packed(a, b), packed(c, 0), what}, none);
  if (!is_new) return place->second;
  const std::size_t depth = std::max({depth_of(a), depth_of(b), depth_of(c)});
  const bool widens = code == Code::f32_to_f64 || code == Code::i32_to_f64;
  const Number to = place->second = computed(widens ? Dtype::f64 : dtype, depth);
  push(depth, {.code = code, .dtype = dtype, .to = to, .a = a, .b = b, .c = c});
  return to;
}

Number Builder::mask_of(Number x) {
  const auto known = masks_.find(x);
  return known != masks_.end() ? known->second : compute(Code::not_equal, dtype(x), x, constant(0, dtype(x)));
}

Number Builder::indicator(Number mask) {
  const Number result = compute(Code::indicator, dtype(mask), mask);
  masks_.emplace(result, mask);
  return result;
}

std::vector<Number> Builder::call(CallSite site, std::span<const std::vector<Number>> arguments) {
  std::size_t bytes = 0;
  const auto take = [&](std::size_t size) {
    const std::size_t at = bytes;
    bytes = (bytes + size + 63) / 64 * 64;
    return static_cast<std::uint32_t>(at);
  };
  const std::size_t depth = scopes_.size() - 1;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const Dtype type = site.types[i].dtype;
    site.operands.push_back(take(arguments[i].size() * size_of(type)));
    for (std::size_t e = 0; e < arguments[i].size(); ++e)
      push(depth, {.code = Code::argument,
                   .dtype = type,
                   .a = arguments[i][e],
                   .at = site.operands[i] + static_cast<std::uint32_t>(e * size_of(type))});
  }
  site.output = take(site.type.bytes());
  std::vector<const Type*> types;
  for (const Type& type : site.types) types.push_back(&type);
  site.scratch = take(site.count > 0 ? 0 : site.op->scratch_bytes({types, site.attributes}, site.type));
  site.pointers = take(arguments.size() * sizeof(void*));
  program_.call_bytes = std::max(program_.call_bytes, bytes);
  push(depth, {.code = Code::call, .at = static_cast<std::uint32_t>(program_.sites.size())});
  std::vector<Number> results;
  const std::size_t size = size_of(site.type.dtype);
  for (Index e = 0; e < site.type.shape.size(); ++e) {
    results.push_back(computed(site.type.dtype, depth));
    push(depth, {.code = Code::result,
                 .dtype = site.type.dtype,
                 .to = results.back(),
                 .at = site.output + static_cast<std::uint32_t>(static_cast<std::size_t>(e) * size)});
  }
  program_.sites.push_back(std::move(site));
  return results;
}

std::vector<Number> Builder::begin_loop(std::span<const Number> start) {
  scopes_.emplace_back();
  Scope& scope = scopes_.back();
  scope.start.assign(start.begin(), start.end());
  for (Number value : start) scope.variables.push_back(computed(dtype(value), scopes_.size() - 1));
  return scope.variables;
}

void Builder::leave(Number mask) { push(scopes_.size() - 1, {.code = Code::leave, .dtype = dtype(mask), .a = mask}); }

// A number of its own, in the scope at hand.
Number Builder::copied(Number scalar) {
  const std::size_t depth = scopes_.size() - 1;
  const Number to = computed(dtype(scalar), depth);
  push(depth, {.code = Code::copy, .dtype = dtype(scalar), .to = to, .a = scalar});
  return to;
}

std::vector<Number> Builder::end_loop(std::span<const Number> next) {
  const std::vector<Number> variables = scopes_.back().variables;
  const auto set = [&](std::span<const Number> values) {
    for (std::size_t i = 0; i < variables.size(); ++i)
      if (values[i] != variables[i])
        push(scopes_.size() - 1, {.code = Code::set, .dtype = dtype(values[i]), .to = variables[i], .a = values[i]});
  };
  // All at once: a variable that becomes another is read before that is set.
  std::vector<Number> values(next.begin(), next.end());
  for (std::size_t i = 0; i < values.size(); ++i)
    if (values[i] != variables[i] && std::find(variables.begin(), variables.end(), values[i]) != variables.end())
      values[i] = copied(values[i]);
  set(values);
  const Scope scope = std::move(scopes_.back());
  scopes_.pop_back();
  const std::size_t depth = scopes_.size() - 1;
  set(scope.start);
  push(depth, {.code = Code::loop});
  std::vector<Instruction>& code = scopes_[depth].code;
  code.insert(code.end(), scope.code.begin(), scope.code.end());
  push(depth, {.code = Code::repeat});
  std::vector<Number> results;
  for (Number variable : variables) results.push_back(copied(variable));
  return results;
}

std::uint32_t Builder::read_array(const Read& read) {
  program_.reads.push_back(read);
  return static_cast<std::uint32_t>(program_.reads.size() - 1);
}

void Builder::write(const Write& to, std::span<const Number> elements) {
  for (std::size_t e = 0; e < elements.size(); ++e)
    push(0, {.code = Code::write,
             .dtype = dtype(elements[e]),
             .to = static_cast<Number>(program_.writes.size()),
             .a = elements[e],
             .at = static_cast<std::uint32_t>(e * size_of(dtype(elements[e])))});
  program_.writes.push_back(to);
}

Program Builder::finish() {
  std::vector<bool> read(program_.scalars.size(), false);
  std::vector<Instruction>& code = scopes_[0].code;
  std::vector<Instruction> kept;
  for (std::size_t i = code.size(); i-- > 0;) {
    const Instruction& each = code[i];
    if (!has_effect(each.code) && !read[static_cast<std::size_t>(each.to)]) continue;
    for (Number operand : {each.a, each.b, each.c})
      if (operand != none) read[static_cast<std::size_t>(operand)] = true;
    kept.push_back(each);
  }
  program_.instructions.assign(kept.rbegin(), kept.rend());
  return std::move(program_);
}

std::size_t Program::loops() const {
  return static_cast<std::size_t>(std::count_if(instructions.begin(), instructions.end(),
                                                [](const Instruction& i) { return i.code == Code::loop; }));
}

std::size_t Program::operations() const {
  return static_cast<std::size_t>(std::count_if(instructions.begin(), instructions.end(), [](const Instruction& i) {
    return !has_effect(i.code) && i.code != Code::copy && i.code != Code::result;
  }));
}

}  // namespace wengert::plan::scalars
