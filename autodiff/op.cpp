#include "autodiff/op.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>

#include "autodiff/kernels/groups.hpp"
#include "autodiff/ops.hpp"
#include "autodiff/tape.hpp"

namespace wengert {
namespace {

struct Registry {
  std::mutex mutex;
  std::vector<const Op*> ops;
};

Registry& the_registry() {
  // Made by the first op, whichever file that is in, and never destroyed: the destructors of ops ask for it.
  static Registry& registry = *new Registry;
  return registry;
}

}  // namespace

Op::Op(Traits traits) : traits_(std::move(traits)) {
  if (!traits_.local) {
    const std::lock_guard lock(the_registry().mutex);
    for (const Op* op : the_registry().ops)
      if (op->name() == name())
        throw Error(fmt::format("[{}] an op of this name exists: another one needs a name of its own", name()));
    the_registry().ops.push_back(this);
  }
  exists_ = true;
}

Grouping Op::partial_sums(const Signature&, const Type&) const { return {}; }

Op::~Op() {
  exists_ = false;
  if (traits_.local) return;
  const std::lock_guard lock(the_registry().mutex);
  std::erase(the_registry().ops, this);
}

std::vector<const Op*> registry() {
  const std::lock_guard lock(the_registry().mutex);
  std::vector<const Op*> ops = the_registry().ops;
  std::sort(ops.begin(), ops.end(), [](const Op* a, const Op* b) { return a->name() < b->name(); });
  return ops;
}

const Op& op_named(std::string_view name) {
  const std::lock_guard lock(the_registry().mutex);
  for (const Op* op : the_registry().ops)
    if (op->name() == name) return *op;
  throw Error(fmt::format("no op is named {}", name));
}

void reject(const std::string& text) { throw Error(text); }

void Op::block(Index, const void* const*, void*, Dtype, const Attributes&) const {
  throw Error(fmt::format("[{}] is not fusable: it has no block()", name()));
}

Var Op::local_jvp(const Call& c, int i, Var) const {
  throw Error(fmt::format("[{}] has no derivative for operand {}  ({})", name(), i, c.tape().location_of(c.index())));
}

Var Op::vjp(const Call& c, int i, Var g) const {
  if (linearity() == Linearity::elementwise) return local_jvp(c, i, g);
  throw Error(
      fmt::format("[{}] has no derivative rule for operand {}  ({})", name(), i, c.tape().location_of(c.index())));
}

void Op::vjps(const Call& c, Var g, std::span<Cotangent> operands) const {
  for (std::size_t i = 0; i < operands.size(); ++i)
    if (operands[i].wanted) operands[i].value = vjp(c, static_cast<int>(i), g);
}

Var Cotangent::whole(const Shape& operand) const {
  if (value.is_null() || !part) return value;
  return slice_backward(value, part->axis, operand[part->axis], part->start);
}

Var Op::jvp(const Call& c, std::span<const Var>) const {
  throw Error(fmt::format("[{}] has no forward derivative rule  ({})", name(), c.tape().location_of(c.index())));
}

Rows Op::rows(const Signature&, const Type&, int, int) const { return {RowRule::mixes, 0}; }

Rows rows_through(const Op& op, const Signature& s, const Type& out, std::span<const int> axes) {
  Rows through{RowRule::keeps, 0};
  for (std::size_t i = 0; i < axes.size(); ++i) {
    if (axes[i] == 0) continue;
    const Rows rows = op.rows(s, out, static_cast<int>(i), axes[i]);
    if (!rows.kept()) return rows;
    if (through.axis != 0 && through.axis != rows.axis) return {RowRule::mixes, 0};
    through.axis = rows.axis;
  }
  return through;
}

Cost Op::cost(const Signature& s, const Type& out) const {
  Cost cost{static_cast<double>(out.shape.size()), static_cast<double>(out.bytes())};
  for (const Type* type : s.in) cost.bytes += static_cast<double>(type->bytes());
  return cost;
}

int Call::arity() const { return static_cast<int>(tape_.node(index_).operand_count); }
Var Call::in(int i) const { return tape_.var(tape_.operands(tape_.node(index_))[static_cast<std::size_t>(i)]); }
Var Call::out() const { return tape_.var(index_); }
const Attributes& Call::attributes() const { return *tape_.node(index_).attributes; }
const Shape& Call::shape(int i) const {
  return tape_.node(tape_.operands(tape_.node(index_))[static_cast<std::size_t>(i)]).type.shape;
}
const Shape& Call::out_shape() const { return tape_.node(index_).type.shape; }
const Op& Call::op() const { return *tape_.node(index_).op; }

Var record(const Op& op, std::span<const Operand> operands, const Attributes& attributes) {
  for (const Operand& operand : operands)
    if (!operand.is_number())
      return Tape::of(operand.var(), operand.where(), op.name()).record(op, operands, attributes, operand.where());
  const Where where = operands.empty() ? Where{} : operands[0].where();
  throw Error(fmt::format("[{}] needs at least one Var among its operands, got numbers alone  ({})", op.name(),
                          to_string(where)));
}

}  // namespace wengert
