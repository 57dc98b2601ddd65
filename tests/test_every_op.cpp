// Every op in the registry, by no list: what it states about itself holds, on tapes and in plans. And whatever the
// compiler of plans can do was done to some of them, or to one of the composite functions below.
#define BOOST_TEST_NO_MAIN
#define BOOST_TEST_ALTERNATIVE_INIT_API
#include <boost/test/unit_test.hpp>
#include <map>

#include "autodiff/autodiff.hpp"
#include "autodiff/testing/check.hpp"
#include "tests/autodiff/helpers.hpp"

namespace {

using namespace wengert;
using namespace wengert::testing;

// Each op is checked once, whichever cases are run.
const CheckReport& report_of(const Op* op) {
  static std::map<const Op*, CheckReport> reports;
  const auto known = reports.find(op);
  return known != reports.end() ? known->second : reports.emplace(op, check_op(*op)).first->second;
}

void check(const Op* op) {
  const CheckReport& report = report_of(op);
  for (const std::string& failure : report.failures) BOOST_ERROR(failure);
  BOOST_TEST_MESSAGE(op->name() << ": " << report.checks << " checks");
  BOOST_TEST(report.checks > 0);
}

std::vector<const Op*> ops() {
  std::vector<const Op*> all = registry();
  all.erase(std::remove_if(all.begin(), all.end(), [](const Op* op) { return op->is_leaf(); }), all.end());
  return all;
}

// What no example of one op leads to.
struct Composite {
  const char* name;
  FunctionOfMany f;
  std::vector<Shape> inputs;
  PlanCheck options;
};
using Vars = std::span<const Var>;

const std::vector<Composite>& composites() {
  static const std::vector<Composite> all{
      {"a sampler's network, with one time for all points",
       [](Vars in) {
         return tanh(matmul(concat({in[0], broadcast_to(in[1], {200, 1})}, 1), in[2]));
       },
       {{200, 3}, {1, 1}, {4, 5}},
       {.rows = {0}, .parameters = {2}}},
      {"layers without an activation between them",
       [](Vars in) { return matmul(matmul(in[0], in[1]) + in[2], in[3]); },
       {{200, 2}, {2, 9}, {9}, {9, 3}},
       {.orders = 0, .rows = {0}, .parameters = {1, 2, 3}}},
      {"a checkpoint",
       [](Vars in) { return checkpoint([w = in[1]](Var x) { return sin(matmul(x, w)); }, in[0]); },
       {{200, 3}, {3, 3}},
       {.rows = {0}, .parameters = {1}}},
      {"a loop's result and its gradient",
       [](Vars in) {
         const Var last = scan([w = in[1]](Var x) { return sin(x * exp(w)); }, in[0], 4);
         return last + grad(sum(square(last)), in[0]);
       },
       {{200, 3}, {3}},
       {.orders = 1, .rows = {0}, .parameters = {1}}},
      {"draws beside rows",
       [](Vars in) {
         Draw draw(in[0].tape(), 1);
         return in[0] * draw.normal({200, 3});
       },
       {{200, 3}},
       {.rows = {0}}},
  };
  return all;
}

void add(std::map<std::string, int>& to, const CheckReport& report) {
  for (const auto& [what, count] : report.planned) to[what] += count;
}

void check_composites(std::map<std::string, int>& planned) {
  for (const Composite& composite : composites())
    for (Dtype dtype : {Dtype::f32, Dtype::f64}) {
      std::vector<Array> inputs;
      for (const Shape& shape : composite.inputs) inputs.push_back(random_array(dtype, shape, inputs.size() + 1));
      const CheckReport report = check_plans(composite.f, inputs, composite.options);
      for (const std::string& failure : report.failures) BOOST_ERROR(composite.name << ": " << failure);
      BOOST_TEST(report.checks > 0);
      add(planned, report);
    }
}

// A pass that changes no graph, or a way to run steps that no plan takes, is not tested.
void check_that_plans_do_all_they_can() {
  std::map<std::string, int> planned;
  check_composites(planned);
  for (const Op* op : ops()) add(planned, report_of(op));
  for (const auto& [what, count] : planned) BOOST_TEST_MESSAGE(what << ": " << count << " plans");
  const auto one = [](Vars in) { return std::vector<Var>(in.begin(), in.end()); };
  for (const Plan::PassInfo& pass : compile(one, {{Dtype::f32, {1}}}).passes())
    BOOST_TEST((pass.name == "recorded" || planned.count(pass.name) == 1U), "no plan needed the pass " << pass.name);
  for (const char* what : {"fusion", "ranges of rows", "sums over rows", "tasks", "lasting values"})
    BOOST_TEST(planned.count(what) == 1U, "no plan has " << what);
#if defined(__x86_64__)
  BOOST_TEST(planned.count("machine code") == 1U, "no plan is machine code");
#endif
}

bool add_cases() {
  auto& suite = boost::unit_test::framework::master_test_suite();
  for (const Op* op : ops())
    suite.add(boost::unit_test::make_test_case([op] { check(op); }, "op_" + op->name(), __FILE__, __LINE__));
  suite.add(
      boost::unit_test::make_test_case(check_that_plans_do_all_they_can, "plans_do_all_they_can", __FILE__, __LINE__));
  return true;
}

}  // namespace

int main(int count, char** arguments) { return boost::unit_test::unit_test_main(&add_cases, count, arguments); }
