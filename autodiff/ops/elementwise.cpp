#include "autodiff/ops/elementwise.hpp"

#include <fmt/format.h>
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>

#include "autodiff/kernels/strided.hpp"
#include "autodiff/ops/streaming.hpp"

namespace wengert {
namespace {

constexpr Index block_size = 512;                   // elements: three operands of f64 stay in the L1 cache
constexpr Index piece_size = 8 * block_size;        // what a thread takes at a time
constexpr Index shared_from = 32 * block_size;      // elements; of fewer, threads take longer to start than to compute
constexpr Index streamed_piece = 128 * block_size;  // the same of what is written past the caches
constexpr Index lines_read = 4096;                  // of the caches, by a thread at a time
constexpr Index shortest_row = 128;                 // elements; shorter ones would cut pieces too short

// The source of a block of one operand: in place, as a row that begins anew, or from a buffer that broadcasts it, by a
// walk if it is no single number.
struct Reader {
  const void* data = nullptr;
  bool direct = false;
  Index row = 0;  // elements of a row for all rows; 0: it is none, or too short
  std::optional<Walk> walk = {};

  Reader() = default;
  Reader(const void* from, const Shape& shape, const Shape& out) : data(from), direct(shape.size() == out.size()) {
    if (direct || shape.size() == 1) return;
    walk = broadcast_walk(shape, out);
    const bool repeats = walk->extents.size() == 2 && walk->strides[0] == 0 && walk->strides[1] == 1;
    if (repeats && walk->extents[1] >= shortest_row) row = walk->extents[1];
  }

  bool single() const { return !direct && !walk; }
};

template <class T>
void run_piece(const Op& op, const Kernel& k, std::span<const Reader> readers, bool streamed, Index begin, Index end) {
  alignas(alignment) std::array<std::array<T, block_size>, ElementwiseOp::most_operands> buffers;
  std::array<const void*, ElementwiseOp::most_operands> in{};
  alignas(alignment) std::array<T, block_size> result;
  bool direct = !streamed;  // streamed blocks begin at lines of the cache: no row may cut them
  for (std::size_t i = 0; i < readers.size(); ++i) {
    in[i] = buffers[i].data();
    if (readers[i].single())
      std::fill_n(buffers[i].data(), std::min(block_size, end - begin), *static_cast<const T*>(readers[i].data));
    direct = direct && (readers[i].direct || readers[i].row > 0);
  }
  const Index step = direct ? end - begin : block_size;  // nothing goes through the buffers
  for (Index at = begin, n = 0; at < end; at += n) {
    n = std::min(step, end - at);
    for (const Reader& r : readers)
      if (direct && r.row > 0) n = std::min(n, r.row - at % r.row);
    for (std::size_t i = 0; i < readers.size(); ++i) {
      const Reader& r = readers[i];
      if (r.direct)
        in[i] = static_cast<const T*>(r.data) + at;
      else if (direct)
        in[i] = static_cast<const T*>(r.data) + at % r.row;
      else if (r.walk)
        gather(*r.walk, static_cast<const T*>(r.data), at, n, buffers[i].data());
    }
    op.block(n, in.data(), streamed ? result.data() : k.out<T>() + at, k.type.dtype, k.attributes());
    if (streamed) simd::stream(result.data(), n, k.out<T>() + at);
  }
  if (streamed) simd::fence_streams();
}

// Reads the result, as the next op will: a byte of each line of the caches.
void read_result(const Kernel& k) {
  const std::size_t lines = k.type.bytes() / alignment;
  const auto* const bytes = static_cast<const unsigned char*>(k.output);
  parallel_pieces(static_cast<Index>(lines), lines_read, [&](Index begin, Index end) {
    unsigned all = 0;
    for (Index line = begin; line < end; ++line) all |= bytes[static_cast<std::size_t>(line) * alignment];
    volatile unsigned kept = all;
    static_cast<void>(kept);
  });
}

Op::Traits checked(Op::Traits traits) {
  if (traits.arity < 1 || traits.arity > ElementwiseOp::most_operands)
    throw Error(fmt::format("[{}] an elementwise op takes 1 to {} operands, got an arity of {}", traits.name,
                            ElementwiseOp::most_operands, traits.arity));
  return traits;
}

}  // namespace

ElementwiseOp::ElementwiseOp(Traits traits) : Op(checked(std::move(traits))) {}

Type ElementwiseOp::infer(const Signature& s) const {
  Type out = *s.in[0];
  for (int i = 0; i < s.arity(); ++i) {
    if (!is_float(s.dtype(i)))
      reject(fmt::format("operand {} is {}: needs f32 or f64 (use cast)", i, name_of(s.dtype(i))));
    if (s.dtype(i) != out.dtype)
      reject(fmt::format("operands differ in dtype: {} and {} (use cast)", name_of(out.dtype), name_of(s.dtype(i))));
    if (s.shape(i) == out.shape) continue;
    const auto stretched = broadcast(out.shape, s.shape(i));
    if (!stretched)
      reject(fmt::format("shapes do not broadcast: {} and {}", to_string(out.shape), to_string(s.shape(i))));
    out.shape = *stretched;
  }
  return out;
}

void ElementwiseOp::run(const Kernel& k) const {
  const Index size = k.out_shape().size();
  if (size == 0) return;
  const std::size_t arity = k.operands.size();
  bool alike = true;  // all shapes: small arrays take no more than the call
  for (std::size_t i = 0; i < arity; ++i) alike = alike && k.shape(static_cast<int>(i)) == k.out_shape();
  if (alike && size < shared_from) return block(size, k.operands.data(), k.output, k.type.dtype, k.attributes());
  std::array<Reader, most_operands> readers;
  for (std::size_t i = 0; i < arity; ++i)
    readers[i] = Reader(k.operands[i], k.shape(static_cast<int>(i)), k.out_shape());
  const auto compute = [&](bool streamed) {
    dispatch_float(k.type.dtype, [&]<class T>() {
      const auto piece = [&](Index begin, Index end) {
        run_piece<T>(*this, k, std::span<const Reader>(readers.data(), arity), streamed, begin, end);
      };
      if (size < shared_from)
        piece(0, size);
      else
        parallel_pieces(size, streamed ? streamed_piece : piece_size, piece);
    });
  };
  if (k.type.bytes() < Streaming::least_bytes || reinterpret_cast<std::uintptr_t>(k.output) % alignment != 0)
    return compute(false);
  const auto direct = std::count_if(readers.begin(), readers.end(), [](const Reader& r) { return r.direct; });
  Streaming* const streaming = Streaming::of(*this, k, static_cast<int>(direct));
  if (streaming == nullptr) return compute(false);
  const Streaming::Run run = streaming->next();
  const auto start = std::chrono::steady_clock::now();
  compute(run.streamed);
  if (!run.timed) return;
  read_result(k);
  const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start;
  streaming->took(run, passed.count() / static_cast<double>(size));
}

Rows ElementwiseOp::rows(const Signature& s, const Type& out, int operand, int axis) const {
  // A broadcast axis hands one row to all rows.
  return {s.shape(operand)[axis] == out.shape[axis] ? RowRule::pointwise : RowRule::mixes, axis};
}

std::vector<InvalidInput> ElementwiseOp::invalid_inputs() const {
  std::vector<Type> integers(static_cast<std::size_t>(arity()), {Dtype::i32, {2}});
  std::vector<InvalidInput> all{{integers, {}, "needs f32 or f64"}};
  if (arity() < 2) return all;
  std::vector<Type> types(static_cast<std::size_t>(arity()), {Dtype::f32, {2, 3}});
  types.back() = {Dtype::f64, {2, 3}};
  all.push_back({types, {}, "operands differ in dtype: f32 and f64"});
  types.back() = {Dtype::f32, {4}};
  all.push_back({types, {}, "shapes do not broadcast: [2, 3] and [4]"});
  return all;
}

Array Binary::reference(std::span<const Array> in, const Attributes&, const Type& out) const {
  Array result(Dtype::f64, out.shape);
  for (Index i = 0; i < result.size(); ++i)
    result.set(i, row_.reference(in[0].at(broadcast_index(i, in[0].shape(), out.shape)),
                                 in[1].at(broadcast_index(i, in[1].shape(), out.shape))));
  return result;
}

std::vector<Example> broadcast_examples(const Sample& a, const Sample& b) {
  const std::pair<Shape, Shape> shapes[] = {{{3, 4}, {3, 4}}, {{3, 4}, {4}},       {{3, 1}, {4}},
                                            {{}, {2, 3}},     {{2, 1, 3}, {5, 1}}, {{0, 3}, {3}}};
  std::vector<Example> all;
  for (const auto& [left, right] : shapes) {
    all.push_back({{a, b}});
    all.back().inputs[0].shape = left;
    all.back().inputs[1].shape = right;
  }
  return all;
}

EdgeCase edge_case(double a, double b, double y, std::vector<std::vector<double>> gradient, bool kink) {
  return {.inputs = {Sample{.shape = {1}, .values = {a}}, Sample{.shape = {1}, .values = {b}}},
          .value = {y},
          .gradient = std::move(gradient),
          .kink = kink};
}

Index broadcast_index(Index i, const Shape& from, const Shape& to) {
  Index index = 0, stride = 1;
  for (int axis = -1; axis >= -from.rank(); --axis) {
    index += (from[axis] == 1 ? 0 : i % to[axis]) * stride;
    i /= to[axis];
    stride *= from[axis];
  }
  return index;
}

}  // namespace wengert
