#include "autodiff/plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "autodiff/plan/executor.hpp"
#include "autodiff/plan/passes.hpp"
#include "autodiff/plan/stages.hpp"

namespace wengert {

// Under a name that no user of the namespace meets: plan.hpp does not open wengert::plan.
class Plan::Executor final : public plan::Executor {
 public:
  using plan::Executor::Executor;
};

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

// The dtype of the first input of floats.
Dtype first_floating(std::span<const Type> inputs) {
  const auto first = std::find_if(inputs.begin(), inputs.end(), [](const Type& type) { return is_float(type.dtype); });
  return first == inputs.end() ? Dtype::f32 : first->dtype;
}

Plan::PassInfo apply(const plan::Pass& pass, plan::Graph& graph) {
  const plan::Graph before = std::exchange(graph, pass.run(graph));
  const bool changed =
      pass.run == plan::eliminate_dead_code ? graph.nodes.size() < before.nodes.size() : !plan::same(before, graph);
  return {pass.name, graph.nodes.size(), pass.keeps == plan::Keeps::bits, changed};
}

}  // namespace

plan::Graph plan::rewritten(Graph graph, const CompileOptions& options, Keeps keeps,
                            std::vector<Plan::PassInfo>* applied) {
  for (const Pass& pass : passes()) {
    if ((pass.rewrites && !options.rewrites) || (keeps == Keeps::bits && pass.keeps != Keeps::bits)) continue;
    const Plan::PassInfo info = apply(pass, graph);
    if (applied != nullptr) applied->push_back(info);
  }
  return graph;
}

plan::Schedule plan::compile_graph(Graph graph, const CompileOptions& options, Of of) {
  const Keeps keeps = of == Of::body ? Keeps::bits : Keeps::accuracy;
  std::vector<Plan::PassInfo> applied{{"recorded", graph.nodes.size()}};
  Schedule schedule = make_schedule(rewritten(std::move(graph), options, keeps, &applied), options, of);
  schedule.passes = std::move(applied);
  return schedule;
}

Plan::Plan(std::unique_ptr<Executor> executor) : executor_(std::move(executor)) {}
Plan::Plan(Plan&&) noexcept = default;
Plan& Plan::operator=(Plan&&) noexcept = default;
Plan::~Plan() = default;

Plan::Executor& Plan::executor() const {
  if (!executor_) throw Error("[plan] this Plan was moved from");
  return *executor_;
}

std::span<const Array> Plan::run(std::span<const PlanInput> inputs) & { return executor().run(inputs, {}); }
std::span<const Array> Plan::run(std::span<const PlanInput> inputs, const Finish& finish) & {
  return executor().run(inputs, finish);
}
std::span<const Array> Plan::accumulate(std::span<const PlanInput> inputs, const Finish& finish) & {
  return executor().accumulate(inputs, finish);
}
std::span<const Array> Plan::outputs() const& { return executor().outputs(); }
std::string Plan::profile(std::span<const PlanInput> inputs, int runs) { return executor().profile(inputs, runs); }
std::size_t Plan::bytes() const { return executor().schedule().bytes(); }
std::string Plan::explain() const { return executor().explain(); }
std::vector<Plan::PassInfo> Plan::passes() const { return executor().schedule().passes; }
std::vector<Plan::StepInfo> Plan::steps() const { return executor().schedule().steps(); }

Plan compile(const PlanFunction& f, std::span<const Type> inputs, const CompileOptions& options,
             std::optional<Dtype> dtype) {
  if (!f) throw Error("[compile] got an empty function");
  check_rows(options.rows, inputs);
  Tape tape(dtype ? *dtype : first_floating(inputs), Tape::Mode::symbolic);
  std::vector<Var> vars;
  for (const Type& type : inputs) vars.push_back(tape.input(type));
  plan::Graph graph = plan::capture(tape, vars, f(vars));
  graph.rows = options.rows;
  return Plan(std::make_unique<Plan::Executor>(plan::compile_graph(std::move(graph), options, plan::Of::plan)));
}

Plan compile(const PlanFunction& f, std::initializer_list<Type> inputs, const CompileOptions& options,
             std::optional<Dtype> dtype) {
  return compile(f, std::span<const Type>(inputs.begin(), inputs.size()), options, dtype);
}

}  // namespace wengert
