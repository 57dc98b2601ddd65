// What stands between main and an experiment, and the page that a run leaves.
#define BOOST_TEST_MODULE run
#include "experiments/common/run.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <csignal>
#include <new>
#include <nlohmann/json.hpp>

#include "autodiff/parallel.hpp"
#include "tests/experiments/helpers.hpp"
#include "tests/experiments/runs.hpp"

using namespace wengert;
using namespace wengert::experiments;
using namespace wengert::testing;
namespace fs = std::filesystem;

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
  fs::create_directory_symlink("nowhere", folder / "link");
  BOOST_TEST(contains(failed(folder / "link", {}, never), "link' is a link to nothing"));
  BOOST_TEST(folder.files() == 3u);  // nothing was made, and nothing is left
  BOOST_TEST(read_file(folder / "full/thesis.tex") == "years of work");
}

BOOST_AUTO_TEST_CASE(an_interrupted_body_is_status_130) {
  for (int signal : {SIGINT, SIGTERM, SIGHUP}) {
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

BOOST_AUTO_TEST_CASE(what_cannot_be_printed_is_status_1_and_a_folder) {
  const Folder folder;
  std::fflush(nullptr);
  const int before = ::dup(1), full = ::open("/dev/full", O_WRONLY);
  BOOST_REQUIRE(full >= 0);
  Options options("example", "An example", {.study = 100, .quick = 10});
  const auto status = [&](std::initializer_list<std::string> arguments) {
    CommandLine line(arguments);
    int result = 0;
    ::dup2(full, 1);
    const std::string error =
        printed(2, [&] { result = run_main(options, line.count(), line.arguments(), writing("f", "1")); });
    ::dup2(before, 1);
    BOOST_TEST(error == "example: cannot print: No space left on device\n");
    return result;
  };
  BOOST_TEST(status({"--help"}) == 1);
  BOOST_TEST(status({"--figures", "none", "--out", (folder / "out").string()}) == 1);
  BOOST_TEST(metrics(folder / "out")["quantities"].size() == 1u);
  ::close(before);
  ::close(full);
}

BOOST_AUTO_TEST_CASE(files_never_take_the_place_of_closed_streams) {
  const Folder folder;
  std::fflush(nullptr);
  const int before = ::dup(2);
  printed(1, [&] {
    ::close(2);
    const int status = run_without_figures(folder / "out", [](Run& run) {
      std::FILE* file = std::fopen(run.file("f").c_str(), "w");
      std::fputs("not for the file", stderr);
      std::fclose(file);
    });
    ::dup2(before, 2);
    BOOST_TEST(status == 0);
  });
  ::close(before);
  BOOST_TEST(read_file(folder / "out/f").empty());
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

BOOST_AUTO_TEST_CASE(the_runs_of_several_seeds_are_replaced_together) {
  const Folder folder;
  const fs::path out = folder / "out", beside = folder / "out-interrupted";
  BOOST_TEST(run(out, {"--seeds", "3,5"}, writing("f", "first")).status == 0);
  replace_file(out / "seed-3/notes.txt", "mine");
  const std::string table = read_file(out / "seeds.txt");
  // An end at the second seed leaves the first run as it was, and what there is of the second beside it.
  for (bool fails : {true, false}) {
    int seed = 0;
    const Ended ended = run(out, {"--seeds", "3,5"}, [&](Run& run) {
      writing("f", "second")(run);
      if (++seed == 1) return;
      if (fails) throw Error("no luck");
      std::raise(SIGINT);
    });
    BOOST_TEST(ended.status == (fails ? 1 : 130));
    for (const char* part : {"seed-3", "seed-5"}) {
      BOOST_TEST(read_file(out / part / "f") == "first");
      BOOST_TEST(read_file(beside / part / "f") == "second");
    }
    BOOST_TEST(read_file(out / "seeds.txt") == table);
    BOOST_TEST(metrics(beside).contains(fails ? "failed" : "interrupted"));
  }
  BOOST_TEST(run(out, {"--seeds", "5,6"}, writing("g", "third")).status == 0);
  BOOST_TEST(read_file(out / "seed-6/g") == "third");
  BOOST_TEST(!fs::exists(out / "seed-5/f"));
  BOOST_TEST(read_file(out / "seed-3/notes.txt") == "mine");
  BOOST_TEST(!fs::exists(out / "seed-3/f"));
  BOOST_TEST(metrics(out)["page"] == "seed-5/report.html");
  BOOST_TEST(run(out, {}, writing("f", "fourth")).status == 0);
  BOOST_TEST(!fs::exists(out / "seed-6"));
  BOOST_TEST(!fs::exists(out / "seeds.txt"));
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

const auto drawing = [](Run& run) {
  run.quantity("q", 1);
  run.figure("f", {.panels = {{}}}, "what to see");
};

BOOST_AUTO_TEST_CASE(a_missing_gnuplot_is_noticed_before_anything_is_computed) {
  const Folder folder;
  const Variable path("PATH", folder.path().string());
  const Ended ended = run(folder / "out", {"--figures", "png"}, [](Run&) { BOOST_ERROR("ran"); });
  BOOST_TEST(ended.status == 1);
  BOOST_TEST(ended.err ==
             "example: figures need gnuplot on the PATH: install gnuplot-nox, or leave them out by --figures none\n");
  BOOST_TEST(folder.files() == 0u);
  BOOST_TEST(run(folder / "out", {"--figures", "none"}, drawing).status == 0);
  BOOST_TEST(metrics(folder / "out")["quantities"].size() == 1u);
  BOOST_TEST(!contains(read_file(folder / "out/report.html"), "what to see"));
}

BOOST_AUTO_TEST_CASE(a_run_whose_figures_cannot_be_drawn_replaces_none) {
  const Folder folder;
  const fs::path out = folder / "out", beside = folder / "out-interrupted";
  run(out, {}, writing("f", "whole"));
  replace_file(folder / "whole", tiny_png);
  const StandIn gnuplot("grep -q multiplot \"$2\" && kill -KILL $$\ncat '" + (folder / "whole").string() + "'");
  const Ended ended = run(out, {"--figures", "svg"}, drawing);
  BOOST_TEST(ended.status == 1);
  BOOST_TEST(contains(ended.err, "it was ended by SIGKILL (Killed)"), ended.err);
  BOOST_TEST(read_file(out / "f") == "whole");
  BOOST_TEST(metrics(beside)["quantities"].size() == 1u);
  BOOST_TEST(metrics(beside)["files"].dump() == R"(["metrics.json","report.html"])");
  BOOST_TEST(contains(read_file(beside / "report.html"), "Figures are missing: gnuplot could not draw"));
}

BOOST_AUTO_TEST_CASE(the_index_has_a_line_and_a_picture_a_study) {
  const Folder folder;
  replace_file(folder / "f.png", "xyz");
  const std::string html = index_html({{"rings", "two half rings", "rings/report.html", folder / "f.png"}});
  BOOST_TEST(contains(html, "<a href=\"rings/report.html\">rings</a>: two half rings"), html);
  BOOST_TEST(contains(html, "data:image/png;base64,eHl6"));
  const std::string bare = index_html({{"rings", "two half rings", "rings/seed-1/report.html", folder.path()}});
  BOOST_TEST(contains(bare, "<a href=\"rings/seed-1/report.html\">rings</a>"), bare);  // of a run without figures
  BOOST_TEST(!contains(bare, "<img"), bare);
}

BOOST_AUTO_TEST_SUITE_END()
