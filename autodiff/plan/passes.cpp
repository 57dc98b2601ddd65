#include "autodiff/plan/passes.hpp"

namespace wengert::plan {
namespace {

constexpr Pass table[] = {
    {.name = "dead code", .run = eliminate_dead_code, .rewrites = false},
    {.name = "constants folded", .run = fold_constants},
    {.name = "common subexpressions", .run = eliminate_common_subexpressions},
    {.name = "simplified", .run = simplify},
    {.name = "dead code", .run = eliminate_dead_code},
    {.name = "weights transposed", .run = transpose_weights},
    {.name = "common subexpressions", .run = eliminate_common_subexpressions},  // hoisting counts readers
    {.name = "loops merged", .run = merge_loops},
    {.name = "batch invariants hoisted", .run = hoist_batch_invariants, .keeps = Keeps::accuracy},
    {.name = "loop invariants hoisted", .run = hoist_loop_invariants},
    {.name = "dead code", .run = eliminate_dead_code},
    {.name = "sigmoids shared", .run = share_sigmoids},
    {.name = "exponentials shared", .run = share_exponentials},
    {.name = "common subexpressions", .run = eliminate_common_subexpressions},  // what was shared, what was hoisted
    {.name = "barriers removed", .run = remove_barriers},
};

}  // namespace

std::span<const Pass> passes() { return table; }

}  // namespace wengert::plan
