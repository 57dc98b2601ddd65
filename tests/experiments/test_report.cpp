// Reports: their JSON, their table, and when windows apply.
#define BOOST_TEST_MODULE report
#include "experiments/common/report.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "autodiff/parallel.hpp"
#include "tests/experiments/helpers.hpp"

using namespace wengert;
using namespace wengert::experiments;
using namespace wengert::testing;
using Json = nlohmann::ordered_json;

namespace {

constexpr double no_number = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();

// Windows of one quantity each.
Windows windows(std::initializer_list<std::pair<const char*, Window>> named) {
  Windows result{"three runs by hand", {}};
  for (const auto& [name, window] : named) result.references[name] = {0.55, 0.02, 3, window};
  return result;
}

Report example() {
  Report report("example", windows({{"inside", {0.5, 0.6}}, {"outside", {0.5, 0.6}}}));
  report.setting("seed", std::uint64_t{42});
  report.quantity("inside", 0.5, 0.55);
  report.quantity("outside", 0.7);
  report.quantity("free", 3);
  report.seconds("train", 1);
  report.seconds("train", 0.5);  // added
  return report;
}

std::string keys(const Json& object) {
  std::string keys;
  for (const auto& entry : object.items()) keys += entry.key() + " ";
  return keys;
}

}  // namespace

BOOST_AUTO_TEST_CASE(the_json_has_what_the_format_says_in_order) {
  const Json json = Json::parse(example().json());
  BOOST_TEST(keys(json) == "experiment version text picture settings quantities seconds machine files ");
  BOOST_TEST(json["experiment"] == "example");
  BOOST_TEST(json["settings"].dump() == R"({"seed":42})");
  BOOST_TEST(json["quantities"][0].dump() ==
             R"({"name":"inside","value":0.5,"window":[0.5,0.6],"printed":0.55,"inside":true})");
  BOOST_TEST(json["quantities"][1].dump() ==
             R"({"name":"outside","value":0.7,"window":[0.5,0.6],"printed":null,"inside":false})");
  BOOST_TEST(json["quantities"][2].dump() ==
             R"({"name":"free","value":3.0,"window":null,"printed":null,"inside":null})");
  BOOST_TEST(json["seconds"].dump() == R"({"train":1.5})");
  BOOST_TEST(!json["version"].get<std::string>().empty());
  BOOST_TEST(Json::parse(example().json({"b", "a"}))["files"].dump() == R"(["a","b"])");
}

BOOST_AUTO_TEST_CASE(the_machine_is_known) {
  const Threads two(2);
  const Json machine = Json::parse(example().json())["machine"];
  BOOST_TEST(keys(machine) == "cpu cores threads compiler instruction_set blas date ");
  for (const char* key : {"cpu", "compiler", "instruction_set", "blas"})
    BOOST_TEST(!machine[key].get<std::string>().empty(), key);
  BOOST_TEST(machine["cores"].get<int>() >= 1);
  BOOST_TEST(machine["threads"] == 2);
  const std::string date = machine["date"];
  BOOST_TEST(date.size() == 20u);
  BOOST_TEST(date.substr(0, 2) == "20");
  BOOST_TEST(date[10] == 'T');
}

BOOST_AUTO_TEST_CASE(settings_of_every_kind_keep_their_order) {
  Report report("example");
  report.setting("zeta", 3);
  report.setting("alpha", true);
  report.setting("rate", 1e-3);
  report.setting("rule", "euler \"maruyama\"\n");
  report.setting("seed", std::numeric_limits<std::uint64_t>::max());
  report.setting("bad", no_number);
  report.setting("zeta", 4);
  BOOST_TEST(
      Json::parse(report.json())["settings"].dump() ==
      R"({"zeta":4,"alpha":true,"rate":0.001,"rule":"euler \"maruyama\"\n","seed":18446744073709551615,"bad":null})");
}

BOOST_AUTO_TEST_CASE(what_is_not_finite_is_null_and_in_no_window) {
  Report report("example", windows({{"bound", {0, 1}}}));
  for (double value : {no_number, infinity, -infinity}) {
    report.quantity("free", value);
    report.quantity("bound", value, value);
    report.seconds("train", value);
    const Json json = Json::parse(report.json());
    BOOST_TEST(json["quantities"].size() == 2u);
    BOOST_TEST(json["quantities"][0]["value"].is_null());
    BOOST_TEST(json["quantities"][0]["inside"].is_null());
    BOOST_TEST(json["quantities"][1]["value"].is_null());
    BOOST_TEST(json["quantities"][1]["printed"].is_null());
    BOOST_TEST(json["quantities"][1]["inside"] == false);  // a NaN where a number should be is no success
    BOOST_TEST(json["seconds"]["train"].is_null());
    BOOST_TEST(report.warnings().size() == 1u);
  }
}

BOOST_AUTO_TEST_CASE(a_quantity_that_a_short_run_cannot_have_is_null_and_no_row) {
  Report report("example", windows({{"late", {0, 1}}}));
  report.quantity("late", std::nullopt, 0.5);
  const Json json = Json::parse(report.json());
  BOOST_TEST(json["quantities"][0].dump() ==
             R"({"name":"late","value":null,"window":[0.0,1.0],"printed":0.5,"inside":null})");
  BOOST_TEST(!contains(report.table(), "late"));
  BOOST_TEST(report.warnings().empty());
}

BOOST_AUTO_TEST_CASE(both_ends_of_a_window_belong_to_it) {
  const Window window{1, 2};
  for (double value : {1.0, 2.0, 1.5}) BOOST_TEST(window.contains(value));
  for (double value : {std::nextafter(1.0, 0.0), std::nextafter(2.0, 3.0), no_number, infinity})
    BOOST_TEST(!window.contains(value));
}

BOOST_AUTO_TEST_CASE(windows_that_do_not_apply_are_null) {
  Report report("example", windows({{"q", {0, 1}}}));
  report.windows_apply(false);
  report.quantity("q", 2);
  const Json json = Json::parse(report.json());
  BOOST_TEST(json["quantities"][0]["window"].is_null());
  BOOST_TEST(json["quantities"][0]["inside"].is_null());
  BOOST_TEST(report.warnings().empty());
  BOOST_TEST(!contains(report.table(), "side\n"));
}

BOOST_AUTO_TEST_CASE(an_interrupted_run_says_so_and_has_no_windows) {
  BOOST_TEST(!Json::parse(example().json()).contains("interrupted"));
  Report report = example();
  report.quantity("never measured", std::nullopt);
  report.interrupted();
  const Json json = Json::parse(report.json());
  BOOST_TEST(json["interrupted"] == true);
  BOOST_TEST(json["quantities"].size() == 4u);
  BOOST_TEST(json["quantities"][0]["window"].is_null());
  BOOST_TEST(json["quantities"][1]["inside"].is_null());
  BOOST_TEST(report.warnings().empty());
}

BOOST_AUTO_TEST_CASE(a_failed_run_says_why) {
  Report report = example();
  report.failed("no memory");
  BOOST_TEST(Json::parse(report.json())["failed"] == "no memory");
  BOOST_TEST(!report.whole());
}

// Those of every study are read, and each has a mean within its window.
BOOST_AUTO_TEST_CASE(the_studies_windows_hold_their_references) {
  for (const char* study : {"heat_kernel", "nano_ring", "rings"}) {
    const Windows found = Windows::of(study);
    BOOST_TEST(!found.source.empty());
    BOOST_TEST(found.references.size() >= 8u);
    for (const auto& [name, reference] : found.references) {
      BOOST_TEST(reference.window.contains(reference.mean), study << " " << name);
      BOOST_TEST(reference.sd > 0);
      BOOST_TEST(reference.seeds >= 3);
    }
  }
  BOOST_TEST(Windows::of("no study").references.empty());
}

BOOST_AUTO_TEST_CASE(numbers_are_written_in_full) {
  Report report("example", windows({{"q", {-1e-300, 1e301}}}));
  report.quantity("q", 0.1 + 0.2);
  BOOST_TEST(Json::parse(report.json())["quantities"][0]["value"].get<double>() == 0.1 + 0.2);
  BOOST_TEST(Json::parse(report.json())["quantities"][0]["window"][0].get<double>() == -1e-300);
}

BOOST_AUTO_TEST_CASE(names_that_are_no_utf8_do_not_spoil_a_report) {
  Report report("example");
  report.setting("rule", "\xff\xfe");
  BOOST_TEST(Json::parse(report.json())["settings"].contains("rule"));
}

BOOST_AUTO_TEST_CASE(the_table_and_the_warnings_are_for_eyes) {
  const Report report = example();
  BOOST_TEST(report.table() ==
             "quantity       value                window\n"
             "inside           0.5            [0.5, 0.6]  inside\n"
             "outside          0.7            [0.5, 0.6]  OUTSIDE\n"
             "free               3\n");
  std::string table;
  const std::string warnings = printed(2, [&] { table = printed(1, [&] { report.print(); }); });
  BOOST_TEST(table == report.table());
  BOOST_TEST(warnings == "example: warning: outside is 0.7, outside of its window [0.5, 0.6]\n");
}
