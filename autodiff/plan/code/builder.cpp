#include "autodiff/plan/code/builder.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace wengert::plan::code {
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

bool computes(const Instruction& instruction) {
  switch (instruction.code) {
    case Code::copy:
    case Code::result:
    case Code::lane:
    case Code::spread:
    case Code::permute:
      return false;
    default:
      return !has_effect(instruction.code);
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

Number Builder::define(const Definition& definition, std::size_t depth) {
  program_.definitions.push_back(definition);
  depth_.push_back(depth);
  return static_cast<Number>(program_.definitions.size() - 1);
}

// What is read or constant, once.
Number Builder::defined_before(const std::array<std::uint64_t, 3>& key, const Definition& definition) {
  const auto [place, is_new] = leaves_.try_emplace(key, none);
  if (is_new) place->second = define(definition, 0);
  return place->second;
}

Number Builder::computed(Dtype dtype, bool pack, std::size_t depth) {
  return define({Definition::Kind::computed, dtype, static_cast<std::uint8_t>(pack ? lanes_of(dtype) : 1)}, depth);
}

std::uint32_t Builder::bytes_of(Number number) const {
  return static_cast<std::uint32_t>(is_pack(number) ? pack_bytes : size_of(dtype(number)));
}

void Builder::push(std::size_t depth, const Instruction& instruction) {
  scopes_[depth].code.push_back(instruction);
  ++size_;
}

Number Builder::read(std::uint32_t array, std::size_t byte, Dtype dtype, std::size_t lanes) {
  return defined_before({array, byte, lanes << 8},
                        {Definition::Kind::read, dtype, static_cast<std::uint8_t>(lanes), array, byte});
}

Number Builder::constant(double value, Dtype dtype) {
  const std::uint64_t bits = bits_of(value, dtype);
  return defined_before({bits, static_cast<std::uint64_t>(dtype), 1}, {Definition::Kind::constant, dtype, 1, 0, bits});
}

Number Builder::constant_of(const Array& array, Index element) {
  const std::size_t size = size_of(array.dtype());
  std::uint64_t bits = 0;
  std::memcpy(&bits, static_cast<const std::byte*>(array.raw()) + static_cast<std::size_t>(element) * size, size);
  return defined_before({bits, static_cast<std::uint64_t>(array.dtype()), 1},
                        {Definition::Kind::constant, array.dtype(), 1, 0, bits});
}

Number Builder::constant_pack(const Line& bits, Dtype dtype) {
  const auto [place, is_new] = lines_.try_emplace({bits, dtype}, none);
  if (is_new) {
    place->second = define(
        {Definition::Kind::constant, dtype, static_cast<std::uint8_t>(lanes_of(dtype)), 0, program_.lines.size()}, 0);
    program_.lines.push_back(bits);
  }
  return place->second;
}

// The result of an instruction that may be there already, in the scope of the innermost of its operands.
Number Builder::known(Instruction instruction, Dtype result, bool pack) {
  const auto [code, dtype, to, a, b, c, at, lanes] = instruction;
  const std::uint64_t what = static_cast<std::uint64_t>(code) << 8 | static_cast<std::uint64_t>(dtype);
  const auto [place, is_new] = known_.try_emplace({packed(a, b), packed(c, static_cast<Number>(at)), what}, none);
  if (!is_new) return place->second;
  const std::size_t depth = std::max({depth_of(a), depth_of(b), depth_of(c)});
  instruction.to = place->second = computed(result, pack, depth);
  push(depth, instruction);
  return instruction.to;
}

Number Builder::compute(Code code, Dtype dtype, Number a, Number b, Number c) {
  const bool pack = is_pack(a) || is_pack(b) || is_pack(c);
  if (pack)
    for (Number* operand : {&a, &b, &c})
      if (*operand != none) *operand = spread(*operand);
  const bool widens = code == Code::f32_to_f64 || code == Code::i32_to_f64;
  return known({.code = code, .dtype = dtype, .a = a, .b = b, .c = c}, widens ? Dtype::f64 : dtype, pack);
}

Number Builder::lane(Number pack, std::size_t which) {
  return known({.code = Code::lane, .dtype = dtype(pack), .a = pack, .at = static_cast<std::uint32_t>(which)},
               dtype(pack), false);
}

Number Builder::spread(Number number) {
  if (is_pack(number)) return number;
  const Definition from = definition(number);
  if (from.kind != Definition::Kind::constant)
    return known({.code = Code::spread, .dtype = from.dtype, .a = number}, from.dtype, true);
  Line line;
  line.fill(size_of(from.dtype) == 8 ? from.bits : from.bits << 32 | from.bits);
  return constant_pack(line, from.dtype);
}

Number Builder::permute(Number a, Number b, const Line& lanes) {
  const Dtype type = dtype(a);
  return known({.code = Code::permute, .dtype = type, .a = a, .b = b, .c = constant_pack(lanes, type)}, type, true);
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

std::vector<Number> Builder::call(CallSite site, std::span<const std::vector<Number>> arguments,
                                  std::span<const std::size_t> lanes) {
  std::size_t bytes = 0;
  const auto take = [&](std::size_t size) {  // so much that packs may go beyond the end
    const std::size_t at = bytes;
    bytes = (bytes + size + 63) / 64 * 64;
    return static_cast<std::uint32_t>(at);
  };
  const std::size_t depth = scopes_.size() - 1;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    std::uint32_t size = 0;
    for (Number number : arguments[i]) {
      push(depth, {.code = Code::argument,
                   .dtype = site.types[i].dtype,
                   .a = number,
                   .at = static_cast<std::uint32_t>(bytes) + size});
      size += bytes_of(number);
    }
    site.operands.push_back(take(size));
  }
  site.output = take(site.type.bytes());
  std::vector<const Type*> types;
  for (const Type& type : site.types) types.push_back(&type);
  site.scratch = take(site.count > 0 ? 0 : site.op->scratch_bytes({types, site.attributes}, site.type));
  site.pointers = take(arguments.size() * sizeof(void*));
  program_.call_bytes = std::max(program_.call_bytes, bytes);
  push(depth, {.code = Code::call, .at = static_cast<std::uint32_t>(program_.sites.size())});
  std::vector<Number> results;
  std::uint32_t at = site.output;
  for (std::size_t each : lanes) {
    results.push_back(computed(site.type.dtype, each > 1, depth));
    push(depth, {.code = Code::result, .dtype = site.type.dtype, .to = results.back(), .at = at});
    at += bytes_of(results.back());
  }
  program_.sites.push_back(std::move(site));
  return results;
}

std::vector<Number> Builder::begin_loop(std::span<const Number> start) {
  scopes_.emplace_back();
  Scope& scope = scopes_.back();
  scope.start.assign(start.begin(), start.end());
  for (Number value : start) scope.variables.push_back(computed(dtype(value), is_pack(value), scopes_.size() - 1));
  return scope.variables;
}

void Builder::leave(Number mask) { push(scopes_.size() - 1, {.code = Code::leave, .dtype = dtype(mask), .a = mask}); }

// A number of its own, in the scope at hand.
Number Builder::copied(Number number) {
  const std::size_t depth = scopes_.size() - 1;
  const Number to = computed(dtype(number), is_pack(number), depth);
  push(depth, {.code = Code::copy, .dtype = dtype(number), .to = to, .a = number});
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

void Builder::write(const Write& to, std::span<const Number> elements, std::size_t count) {
  std::size_t done = 0;
  for (Number number : elements) {
    const std::size_t lanes = is_pack(number) ? std::min(lanes_of(dtype(number)), count - done) : 1;
    push(0, {.code = Code::write,
             .dtype = dtype(number),
             .to = static_cast<Number>(program_.writes.size()),
             .a = number,
             .at = static_cast<std::uint32_t>(done * size_of(dtype(number))),
             .lanes = static_cast<std::uint8_t>(lanes)});
    done += lanes;
  }
  program_.writes.push_back(to);
}

Program Builder::finish() {
  std::vector<bool> read(program_.definitions.size(), false);
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

bool Program::has_packs() const {
  return std::any_of(definitions.begin(), definitions.end(), [](const Definition& each) { return each.is_pack(); });
}

std::size_t Program::loops() const {
  return static_cast<std::size_t>(std::count_if(instructions.begin(), instructions.end(),
                                                [](const Instruction& i) { return i.code == Code::loop; }));
}

std::size_t Program::operations() const {
  return static_cast<std::size_t>(std::count_if(instructions.begin(), instructions.end(), computes));
}

std::size_t Program::results() const {
  std::size_t count = 0;
  for (const Instruction& each : instructions)
    if (computes(each)) count += definitions[static_cast<std::size_t>(each.to)].lanes;
  return count;
}

}  // namespace wengert::plan::code
