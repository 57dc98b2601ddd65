// Every op in the registry, by no list: what it states about itself holds.
#define BOOST_TEST_NO_MAIN
#define BOOST_TEST_ALTERNATIVE_INIT_API
#include <boost/test/unit_test.hpp>

#include "autodiff/check.hpp"

namespace {

void check(const wengert::Op* op) {
  const wengert::CheckReport report = wengert::check_op(*op);
  for (const std::string& failure : report.failures) BOOST_ERROR(failure);
  BOOST_TEST_MESSAGE(op->name() << ": " << report.checks << " checks");
  BOOST_TEST(report.checks > 0);
}

bool add_a_case_for_each_op() {
  for (const wengert::Op* op : wengert::registry()) {
    if (op->is_leaf()) continue;
    boost::unit_test::framework::master_test_suite().add(
        boost::unit_test::make_test_case([op] { check(op); }, "op_" + op->name(), __FILE__, __LINE__));
  }
  return true;
}

}  // namespace

int main(int count, char** arguments) {
  return boost::unit_test::unit_test_main(&add_a_case_for_each_op, count, arguments);
}
