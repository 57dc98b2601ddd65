// LoopOp: the base of loops as ops. A loop is one node, whose value packs its results.
#pragma once
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "autodiff/derivatives/local_op.hpp"
#include "autodiff/loops/packing.hpp"
#include "autodiff/plan/loop_run.hpp"

namespace wengert {

// What a loop is made of, for plans.
struct LoopParts {
  const plan::Graph* condition;  // of a while_loop; null of a scan
  const plan::Graph* body;       // its inputs are the carry, xs and constants
  std::size_t carry, xs;
  ScanRange range;
};

class LoopOp : public LocalOp {
 public:
  LoopOp(std::string name, int arity, Packing packing)
      : LocalOp(std::move(name), arity, Linearity::custom_jvp), packing_(std::move(packing)) {}

  // Compiles the body. Each run has memory of its own.
  virtual std::unique_ptr<plan::LoopRun> make_run() const = 0;
  virtual LoopParts parts() const = 0;

  const Packing& packing() const { return packing_; }
  Type infer(const Signature&) const override { return packing_.type(); }
  // As an eager tape runs it: on a team of its own.
  void run(const Kernel& k) const override;

 private:
  Packing packing_;
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<plan::LoopRun>> idle_;  // one for each thread that has run the op at a time
};

}  // namespace wengert
