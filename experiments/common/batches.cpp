#include "experiments/common/batches.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <numeric>

#include "autodiff/error.hpp"
#include "autodiff/random.hpp"

namespace wengert::experiments {

Batches::Batches(const Array& points, Index batch, std::uint64_t seed, bool once)
    : points_(points), batch_(batch), seed_(seed), once_(once) {
  if (points.shape().rank() != 2 || points.size() == 0 || batch < 1 || batch > points.shape()[0])
    throw Error(fmt::format("batches of {} need as many points [n,d], got {}", batch, to_string(points.shape())));
  order_.resize(static_cast<std::size_t>(points.shape()[0]));
}

Array Batches::operator()(std::int64_t i) {
  const Index n = points_.shape()[0], each = n / batch_, epoch = once_ ? 0 : i / each;
  if (epoch != epoch_) {
    const Array keys = Rng(derive_seed(seed_, static_cast<std::uint64_t>(epoch))).uniform({Dtype::f64, {n}});
    std::iota(order_.begin(), order_.end(), Index{0});
    std::stable_sort(order_.begin(), order_.end(), [&](Index a, Index b) { return keys.at(a) < keys.at(b); });
    epoch_ = epoch;
  }
  const Index first = i % each * batch_;
  Array batch(points_.dtype(), {batch_, points_.shape()[1]});
  const std::size_t bytes = batch.type().bytes() / static_cast<std::size_t>(batch_);
  for (Index row = 0; row < batch_; ++row)
    std::memcpy(static_cast<std::byte*>(batch.raw()) + static_cast<std::size_t>(row) * bytes,
                static_cast<const std::byte*>(points_.raw()) +
                    static_cast<std::size_t>(order_[static_cast<std::size_t>(first + row)]) * bytes,
                bytes);
  return batch;
}

}  // namespace wengert::experiments
