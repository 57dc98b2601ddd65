// What stands between main and an experiment, and the folder and the page that a run leaves.
#define BOOST_TEST_MODULE run
#include "experiments/common/run.hpp"

#include <boost/test/unit_test.hpp>
#include <csignal>
#include <new>
#include <nlohmann/json.hpp>

#include "autodiff/parallel.hpp"
#include "tests/experiments/helpers.hpp"

using namespace wengert;
using namespace wengert::experiments;
using namespace wengert::testing;
namespace fs = std::filesystem;

namespace {

struct Ended {
  int status;
  std::string out, err;
};

// A run of an experiment with these arguments into this folder.
Ended run(const fs::path& out, std::vector<std::string> arguments, const std::function<void(Run&)>& body) {
  Options options("example", "An example", {.study = 100, .quick = 10});
  options.fault("noise", "uniform noise");
  std::vector<std::string> strings{"program", "--out", out.string()};
  strings.insert(strings.end(), arguments.begin(), arguments.end());
  std::vector<char*> pointers;
  for (std::string& string : strings) pointers.push_back(string.data());
  Ended ended{};
  ended.out = printed(1, [&] {
    ended.err =
        printed(2, [&] { ended.status = run_main(options, static_cast<int>(strings.size()), pointers.data(), body); });
  });
  return ended;
}

nlohmann::json metrics(const fs::path& folder) { return nlohmann::json::parse(read_file(folder / "metrics.json")); }

// A run that writes one file of this text.
std::function<void(Run&)> writing(const std::string& name, const std::string& text) {
  return [=](Run& run) {
    replace_file(run.file(name), text);
    run.quantity("q", 1);
  };
}

std::string hidden_files(const fs::path& folder) {
  std::string names;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().filename().string().starts_with('.')) names += entry.path().filename().string() + " ";
  return names;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(statuses)

BOOST_AUTO_TEST_CASE(a_body_that_ends_well_is_status_0_and_a_folder) {
  const Folder folder;
  bool ran = false;
  const Ended ended = run(folder / "a/b", {"--threads", "1"}, [&](Run& run) {
    ran = true;
    BOOST_TEST(threads() == 1);
    BOOST_TEST(!fs::exists(folder / "a/b"));  // not before it is whole
    replace_file(run.file("samples.npy"), "x");
    run.quantity("q", 0.5);
    run.timed("train", [] {});
  });
  BOOST_TEST(ran);
  BOOST_TEST(ended.status == 0);
  BOOST_TEST(ended.out.ends_with((folder / "a/b/report.html").string() + "\n"), ended.out);
  const auto json = metrics(folder / "a/b");
  BOOST_TEST(json["quantities"][0]["value"] == 0.5);
  BOOST_TEST(json["files"].dump() == R"(["metrics.json","report.html","samples.npy"])");
  BOOST_TEST(json["seconds"].contains("train"));
  BOOST_TEST(hidden_files(folder / "a").empty());
}

BOOST_AUTO_TEST_CASE(help_runs_nothing_and_makes_nothing) {
  const Folder folder;
  BOOST_TEST(run(folder / "a", {"--help"}, [](Run&) { BOOST_ERROR("ran"); }).status == 0);
  BOOST_TEST(folder.files() == 0u);
}

BOOST_AUTO_TEST_CASE(failures_are_one_line_and_a_status) {
  const Folder folder;
  replace_file(folder / "file", "");
  fs::create_directory(folder / "full");
  replace_file(folder / "full/thesis.tex", "years of work");
  const auto failed = [&](const fs::path& out, std::vector<std::string> arguments,
                          const std::function<void(Run&)>& body) {
    const Ended ended = run(out, std::move(arguments), body);
    return std::to_string(ended.status) + " " + ended.err;
  };
  const auto never = [](Run&) { BOOST_ERROR("ran"); };
  const fs::path out = folder / "out";
  BOOST_TEST(failed(out, {"--sed"}, never).starts_with("2 example: there is no option --sed; "));
  BOOST_TEST(failed(out, {"--steps", "x"}, never).starts_with("1 example: --steps needs "));
  BOOST_TEST(contains(failed(folder / "file", {}, never), "there is a file of that name"));
  BOOST_TEST(contains(failed(folder / "full", {}, never), "is not empty and holds no run of an experiment"));
  BOOST_TEST(failed("/proc/none/x", {}, never).starts_with("1 example: cannot make the folder "));
  BOOST_TEST(failed(out, {}, [](Run&) { throw Error("two\nlines"); }) == "1 example: two lines\n");
  BOOST_TEST(failed(out, {}, [](Run&) { throw std::bad_alloc(); }) == "1 example: not enough memory\n");
  BOOST_TEST(folder.files() == 2u);  // nothing was made, and nothing is left
  BOOST_TEST(read_file(folder / "full/thesis.tex") == "years of work");
}

BOOST_AUTO_TEST_CASE(an_interrupted_body_is_status_130) {
  for (int signal : {SIGINT, SIGTERM}) {
    const Folder folder;
    const Ended ended = run(folder / "out", {}, [&](Run& run) {
      std::raise(signal);
      BOOST_TEST(run.interrupted());
      Interrupt::heed();
      BOOST_TEST(false);
    });
    BOOST_TEST(ended.status == 130);
    BOOST_TEST(metrics(folder / "out")["interrupted"] == true);
    BOOST_TEST(contains(read_file(folder / "out/report.html"), "The run was interrupted"));
    BOOST_TEST(run(folder / "out", {}, [](Run&) {}).status == 0);  // and is forgotten
  }
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(folders)

BOOST_AUTO_TEST_CASE(a_run_replaces_the_one_before_whole_and_keeps_what_no_run_wrote) {
  const Folder folder;
  const fs::path out = folder / "out";
  run(out, {}, writing("old.npy", "1"));
  replace_file(out / "notes.txt", "mine");
  replace_file(out / "new.npy", "mine too");  // the name of a file that the next run writes
  BOOST_TEST(run(out, {}, writing("new.npy", "2")).status == 0);
  BOOST_TEST(!fs::exists(out / "old.npy"));
  BOOST_TEST(read_file(out / "new.npy") == "2");
  BOOST_TEST(read_file(out / "notes.txt") == "mine");
  BOOST_TEST(read_file(out / "new.npy.kept") == "mine too");
  BOOST_TEST(run(out, {}, writing("new.npy", "3")).status == 0);
  BOOST_TEST(read_file(out / "notes.txt") == "mine");
  BOOST_TEST(hidden_files(folder.path()).empty());
}

BOOST_AUTO_TEST_CASE(what_was_not_finished_never_replaces_what_was) {
  const Folder folder;
  const fs::path out = folder / "out", beside = folder / "out-interrupted";
  const auto interrupted = [](const std::string& text) {
    return [=](Run& run) {
      writing("f", text)(run);
      std::raise(SIGINT);
    };
  };
  const auto failing = [](Run& run) {
    writing("f", "failed")(run);
    throw Error("no luck");
  };
  run(out, {}, interrupted("first"));  // there was none
  BOOST_TEST(read_file(out / "f") == "first");
  run(out, {}, interrupted("second"));  // only an interrupted one
  BOOST_TEST(read_file(out / "f") == "second");
  run(out, {}, writing("f", "whole"));
  BOOST_TEST(read_file(out / "f") == "whole");
  run(out, {}, interrupted("third"));
  BOOST_TEST(read_file(out / "f") == "whole");
  BOOST_TEST(read_file(beside / "f") == "third");
  BOOST_TEST(run(out, {}, failing).status == 1);
  BOOST_TEST(read_file(out / "f") == "whole");
  BOOST_TEST(read_file(beside / "f") == "failed");
  BOOST_TEST(metrics(beside)["failed"] == "no luck");
  BOOST_TEST(contains(read_file(beside / "report.html"), "The run failed: no luck"));
  BOOST_TEST(folder.files() == 2u);
}

BOOST_AUTO_TEST_CASE(what_a_killed_run_left_is_removed_by_the_next) {
  const Folder folder;
  fs::create_directory(folder / ".out.run-999999999");  // no such process
  replace_file(folder / ".out.run-999999999/f", "half");
  fs::create_directory(folder / ".out.run-1");  // one that lives
  run(folder / "out", {}, writing("f", "1"));
  BOOST_TEST(hidden_files(folder.path()) == ".out.run-1 ");
}

BOOST_AUTO_TEST_CASE(a_slash_at_the_end_changes_nothing) {
  const Folder folder;
  BOOST_TEST(run(folder / "out/", {}, writing("f", "1")).status == 0);
  BOOST_TEST(fs::exists(folder / "out/metrics.json"));
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(seeds)

BOOST_AUTO_TEST_CASE(each_seed_has_a_folder_and_all_have_a_table) {
  const Folder folder;
  std::vector<std::uint64_t> parts;
  const Ended ended = run(folder / "out", {"--seeds", "3,5"}, [&](Run& run) {
    parts.push_back(run.seed(1));
    run.quantity("q", static_cast<double>(parts.size()));
  });
  BOOST_TEST(ended.status == 0);
  BOOST_TEST(parts == (std::vector<std::uint64_t>{derive_seed(3, 1), derive_seed(5, 1)}),
             boost::test_tools::per_element());
  BOOST_TEST(metrics(folder / "out/seed-3")["settings"]["seed"] == 3);
  BOOST_TEST(metrics(folder / "out/seed-5")["quantities"][0]["value"] == 2);
  BOOST_TEST(contains(read_file(folder / "out/seeds.txt"), "seed 3"));
  BOOST_TEST(contains(ended.out, read_file(folder / "out/seeds.txt")));
}

BOOST_AUTO_TEST_CASE(the_distance_of_means_is_in_their_standard_deviations) {
  const Windows windows{"by hand", {{"q", {1, 0.1, 10, {0, 2}}}}};
  std::vector<Report> reports;
  for (double value : {1.2, 1.4}) {
    reports.emplace_back("example", windows);
    reports.back().quantity("q", value);
  }
  // (1.3 - 1) / (0.1 / sqrt(2)) = 4.24
  const std::string table = seeds_table({1, 2}, reports);
  BOOST_TEST(contains(table, "4.24  warning: far from the reference"), table);
  BOOST_TEST(!contains(table, "OUTSIDE"), table);
  reports.back().quantity("q", 2.5);
  BOOST_TEST(contains(seeds_table({1, 2}, reports), "OUTSIDE"));
}

BOOST_AUTO_TEST_CASE(what_is_the_same_at_every_seed_is_at_the_reference_or_far_from_it) {
  const std::string name = "a_name_that_is_longer_than_the_column_it_stands_in";
  const Windows windows{"by hand", {{name, {2, 0, 9, {2, 2}}}}};
  for (double value : {2.0, 3.0}) {
    std::vector<Report> reports;
    for (int i = 0; i < 2; ++i) {
      reports.emplace_back("example", windows);
      reports.back().quantity(name, value);
    }
    const std::string table = seeds_table({1, 2}, reports), line = table.substr(table.find('\n') + 1);
    BOOST_TEST(contains(table, value == 2 ? "  0.00" : "   inf  warning: far from the reference"), table);
    BOOST_TEST(line.find("[2, 2]") + 6 == table.find("window") + 6, table);  // columns stand under their heads
  }
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(pages)

BOOST_AUTO_TEST_CASE(a_page_holds_everything_and_escapes_it) {
  const Folder folder;
  const Ended ended = run(folder / "out", {"--as-printed=noise"}, [&](Run& run) {
    run.paragraph("a < b & \"c\"");
    run.quantity("q<1>", 0.125, 0.25);
    replace_file(run.file("weights"), "x");
    run.fault({.name = "noise", .text = "it is uniform", .effects = {{"mean", 0.5, 0}}});
  });
  BOOST_TEST(ended.status == 0);
  const std::string page = read_file(folder / "out/report.html");
  for (const char* part :
       {"<title>example</title>", "An example", "a &lt; b &amp; &quot;c&quot;", "q&lt;1&gt;", "0.125", "0.25",
        "it is uniform", "experiments/run example --seed 42 --as-printed=noise", "version"})
    BOOST_TEST(contains(page, part), part);
  BOOST_TEST(!contains(page, "{{"));
  BOOST_TEST(!contains(page, "http"));  // nothing from a network
}

BOOST_AUTO_TEST_CASE(pictures_and_tables_are_in_the_page_itself) {
  const Folder folder;
  for (const std::string& bytes :
       {std::string("x"), std::string("xy"), std::string("xyz"), std::string("\x89PNG\0\xff", 6)}) {
    replace_file(folder / "f.png", bytes);
    const Page page{.title = "t", .subtitle = "s", .pictures = {{folder / "f.png", "f", "what to see"}}};
    const std::string html = page_html(page, Report("example"));
    const std::string encoded = bytes == "x" ? "eA==" : bytes == "xy" ? "eHk=" : bytes == "xyz" ? "eHl6" : "iVBORwD/";
    BOOST_TEST(contains(html, "<img src=\"data:image/png;base64," + encoded + "\""), html);
    BOOST_TEST(contains(html, "what to see"));
  }
  const Page table{.title = "t",
                   .subtitle = "s",
                   .tables = {{"Shares", {"base", "tuned"}, {{"valid", {0.96875, 0.5}}, {"<right>", {0, 1}}}}}};
  const std::string html = page_html(table, Report("example"));
  for (const char* part :
       {"<h2>Shares</h2>", "<th></th><th class=\"number\">base</th><th class=\"number\">tuned</th>",
        "<td>valid</td><td class=\"number\">0.96875</td><td class=\"number\">0.5</td>", "<td>&lt;right&gt;</td>"})
    BOOST_TEST(contains(html, part), html);
  const Page missing{.title = "t", .subtitle = "s", .pictures = {{folder / "none.png", "f", "not drawn"}}};
  BOOST_TEST(!contains(page_html(missing, Report("example")), "not drawn"));
}

BOOST_AUTO_TEST_CASE(without_gnuplot_there_are_numbers_and_a_word) {
  const Folder folder;
  const std::string path = std::getenv("PATH");
  ::setenv("PATH", folder.path().c_str(), 1);
  const Ended ended = run(folder / "out", {}, [](Run& run) {
    run.quantity("q", 1);
    run.figure("f", {.panels = {{}}}, "what to see");
  });
  ::setenv("PATH", path.c_str(), 1);
  BOOST_TEST(ended.status == 0);
  BOOST_TEST(contains(ended.err, "figures need gnuplot on the PATH: install gnuplot-nox"), ended.err);
  BOOST_TEST(contains(read_file(folder / "out/report.html"), "Figures are missing"));
  BOOST_TEST(metrics(folder / "out")["quantities"].size() == 1u);
}

BOOST_AUTO_TEST_CASE(the_index_has_a_line_and_a_picture_a_study) {
  const Folder folder;
  replace_file(folder / "f.png", "xyz");
  const std::string html = index_html({{"rings", "two half rings", "rings/report.html", folder / "f.png"}});
  BOOST_TEST(contains(html, "<a href=\"rings/report.html\">rings</a>: two half rings"), html);
  BOOST_TEST(contains(html, "data:image/png;base64,eHl6"));
}

BOOST_AUTO_TEST_SUITE_END()
