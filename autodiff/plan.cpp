#include "autodiff/plan.hpp"

#include <fmt/format.h>

#include "autodiff/plan/rewrites.hpp"
#include "autodiff/plan/schedule.hpp"

namespace wengert {
namespace {

void check_rows(std::span<const std::size_t> rows, std::span<const Type> inputs) {
  for (std::size_t input : rows) {
    if (input >= inputs.size())
      throw Error(fmt::format("[compile] rows: there is no input {}, only {} inputs", input, inputs.size()));
    const Shape &shape = inputs[input].shape, &first = inputs[rows[0]].shape;
    if (shape.rank() == 0) throw Error(fmt::format("[compile] rows: input {} has no axis to count them", input));
    if (shape[0] != first[0])
      throw Error(fmt::format("[compile] rows: inputs {} and {} differ in their number: {} and {}", rows[0], input,
                              to_string(first), to_string(shape)));
  }
}

}  // namespace

Plan::Plan(std::unique_ptr<Schedule> schedule) : schedule_(std::move(schedule)) {}
Plan::Plan(Plan&&) noexcept = default;
Plan& Plan::operator=(Plan&&) noexcept = default;
Plan::~Plan() = default;

Plan::Schedule& Plan::schedule() const {
  if (!schedule_) throw Error("[plan] this Plan was moved from");
  return *schedule_;
}

std::span<const Array> Plan::run(std::span<const PlanInput> inputs) & { return schedule().run(inputs, {}); }
std::span<const Array> Plan::run(std::span<const PlanInput> inputs, const Finish& finish) & {
  return schedule().run(inputs, finish);
}
std::span<const Array> Plan::accumulate(std::span<const PlanInput> inputs, const Finish& finish) & {
  return schedule().accumulate(inputs, finish);
}
std::span<const Array> Plan::outputs() const& { return schedule().outputs; }
std::string Plan::profile(std::span<const PlanInput> inputs, int runs) { return schedule().profile(inputs, runs); }
std::size_t Plan::bytes() const { return schedule().bytes(); }
std::string Plan::explain() const { return schedule().explain(); }
std::vector<Plan::PassInfo> Plan::passes() const { return schedule().passes; }
std::vector<Plan::StepInfo> Plan::steps() const { return schedule().steps(); }

Plan compile(const PlanFunction& f, std::span<const Type> inputs, const CompileOptions& options, Dtype dtype) {
  if (!f) throw Error("[compile] got an empty function");
  check_rows(options.rows, inputs);
  Tape tape(dtype, Tape::Mode::symbolic);
  std::vector<Var> vars;
  for (const Type& type : inputs) vars.push_back(tape.input(type));
  plan::Graph graph = plan::take_down(tape, vars, f(vars));
  graph.rows = options.rows;
  std::vector<Plan::PassInfo> passes{{"recorded", graph.nodes.size()}};
  const auto pass = [&](const char* name, plan::Graph (*rewrite)(const plan::Graph&)) {
    plan::Graph rewritten = rewrite(graph);
    const bool changed =
        rewrite == plan::without_dead ? rewritten.nodes.size() < graph.nodes.size() : !plan::same(graph, rewritten);
    passes.push_back({name, rewritten.nodes.size(), rewrite != plan::with_shared_rows_apart, changed});
    graph = std::move(rewritten);
  };
  pass("without dead", plan::without_dead);
  if (options.rewrites) {
    pass("folded", plan::with_constants_folded);
    pass("merged", plan::without_repeats);
    pass("simplified", plan::simplified);
    pass("transposed", plan::with_weights_transposed);
    pass("merged", plan::without_repeats);
    pass("shared rows apart", plan::with_shared_rows_apart);
    pass("without dead", plan::without_dead);
    pass("sigmoids shared", plan::with_sigmoids_shared);
    pass("merged", plan::without_repeats);
    pass("without barriers", plan::without_barriers);
  }
  auto schedule = plan::assemble(graph, options);
  schedule->passes = std::move(passes);
  return Plan(std::move(schedule));
}

Plan compile(const PlanFunction& f, std::initializer_list<Type> inputs, const CompileOptions& options, Dtype dtype) {
  return compile(f, std::span<const Type>(inputs.begin(), inputs.size()), options, dtype);
}

}  // namespace wengert
