// The folder of a run: one run, whole, whatever ends it, and however many run at once.
#define BOOST_TEST_MODULE run_folder
#include "experiments/common/run_folder.hpp"

#include <sys/resource.h>
#include <sys/wait.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <csignal>
#include <optional>
#include <thread>

#include "experiments/common/locks.hpp"
#include "tests/experiments/runs.hpp"

using namespace wengert;
using namespace wengert::experiments;
using namespace wengert::testing;
namespace fs = std::filesystem;

namespace {

// Starts a process that makes runs until it is killed or `runs` are made; its status is 0 if all went well.
::pid_t running(const fs::path& out, const std::string& text, int runs) {
  const ::pid_t child = ::fork();
  if (child != 0) return child;
  const int nothing = ::open("/dev/null", O_WRONLY);
  for (int stream : {1, 2}) ::dup2(nothing, stream);
  int failures = 0;
  for (int i = 0; i < runs; ++i)
    failures += run_without_figures(out, [&](Run& run) {
      for (const std::string name : {"a", "b", "c"}) replace_file(run.file(name), text + std::to_string(i));
      run.quantity("q", 1);
    });
  ::_exit(failures == 0 ? 0 : 1);
}

// Whether a folder holds one run of running().
bool holds_one_run(const fs::path& out) {
  const std::string text = read_file(out / "a");
  return text == read_file(out / "b") && text == read_file(out / "c") && metrics(out)["files"].size() == 5u;
}

}  // namespace

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
  fs::create_directory(folder / (".out.run-" + std::to_string(::getpid())));  // our number, in another container
  replace_file(folder / (".out.run-" + std::to_string(::getpid())) / "f", "half");
  replace_file(folder / ".out.lock", "");
  fs::create_directory(folder / ".out.run-1");
  {
    const FolderLock lock(folder / ".out.run-1");  // one that lives
    run(folder / "out", {}, writing("g", "1"));
    BOOST_TEST(hidden_files(folder.path()) == ".out.run-1 ");
  }
  run(folder / "out", {}, writing("g", "1"));
  BOOST_TEST(hidden_files(folder.path()).empty());
  BOOST_TEST(!fs::exists(folder / "out/f"));
}

// Where two folders cannot change places at once, and who moved one was killed before he moved the other.
BOOST_AUTO_TEST_CASE(a_run_that_was_moved_aside_comes_back) {
  const Folder folder;
  run(folder / "out", {}, writing("f", "whole"));
  fs::rename(folder / "out", folder / ".out.run-999999999-old");
  run(folder / "out", {}, [](Run& run) {
    writing("f", "half")(run);
    std::raise(SIGINT);
  });
  BOOST_TEST(read_file(folder / "out/f") == "whole");
  BOOST_TEST(read_file(folder / "out-interrupted/f") == "half");
}

BOOST_AUTO_TEST_CASE(a_folder_holds_one_run_whenever_another_one_is_killed) {
  const Folder folder;
  const fs::path out = folder / "out";
  run(out, {}, writing("mine", "1"));
  replace_file(out / "notes.txt", "mine");
  for (int i = 0; i < 20; ++i) {
    const ::pid_t child = running(out, "killed", 1000000);
    ::usleep(static_cast<::useconds_t>(2000 + 1700 * i));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    BOOST_TEST((fs::exists(out / "mine") || holds_one_run(out)));
    BOOST_TEST(read_file(out / "notes.txt") == "mine");
  }
  run(out, {}, writing("mine", "2"));
  BOOST_TEST(read_file(out / "mine") == "2");
  BOOST_TEST(!fs::exists(out / "a"));
  BOOST_TEST(hidden_files(folder.path()).empty());
}

BOOST_AUTO_TEST_CASE(runs_at_once_into_one_folder_end_whole) {
  const Folder folder;
  const fs::path out = folder / "out";
  run(out, {}, writing("old", "1"));
  replace_file(out / "notes.txt", "mine");
  std::vector<::pid_t> children;
  for (const char* text : {"x", "y", "z"}) children.push_back(running(out, text, 10));
  for (::pid_t child : children) {
    int status = 1;
    ::waitpid(child, &status, 0);
    BOOST_TEST(status == 0);
  }
  BOOST_TEST(holds_one_run(out));
  BOOST_TEST(read_file(out / "notes.txt") == "mine");
  BOOST_TEST(folder.files() == 1u);
  std::size_t files = 0;
  for (const auto& entry : fs::directory_iterator(out)) files += !entry.path().empty();
  BOOST_TEST(files == 6u);
}

// What stderr says, or that finish() came back without a word, is read from a pipe: the test waits for one or the
// other.
BOOST_AUTO_TEST_CASE(a_run_is_not_put_in_place_while_another_one_is) {
  const Folder folder;
  const fs::path out = folder / "out";
  RunFolder run(out);
  replace_file(run.file("metrics.json"), R"({"experiment": "example"})");
  int ends[2], before = ::dup(2);
  BOOST_REQUIRE(::pipe(ends) == 0);
  std::optional<LockFile> another(std::in_place, folder / ".out.lock", [] {});
  ::dup2(ends[1], 2);
  std::thread finishing([&] {
    run.finish(true);
    static_cast<void>(::write(ends[1], "put in place", 12) == 12);
  });
  std::string said(1000, ' ');
  said.resize(static_cast<std::size_t>(std::max<::ssize_t>(::read(ends[0], said.data(), said.size()), 0)));
  const bool there = fs::exists(out);
  another.reset();
  finishing.join();
  ::dup2(before, 2);
  for (int descriptor : {ends[0], ends[1], before}) ::close(descriptor);
  BOOST_TEST(contains(said, "another run is being put in place, waiting for it"), said);
  BOOST_TEST(!there);
  BOOST_TEST(fs::exists(out / "metrics.json"));
}

// The page is longer than any file may be, its numbers are not.
BOOST_AUTO_TEST_CASE(a_page_without_room_leaves_the_numbers_beside_the_run_before) {
  const Folder folder;
  const fs::path out = folder / "out", beside = folder / "out-interrupted";
  run(out, {}, writing("f", "whole"));
  ::rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  const ::rlimit limit{25000, before.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &limit);
  const Ended ended = run(out, {}, [](Run& run) {
    writing("f", "new")(run);
    run.paragraph(std::string(30000, 'x'));
  });
  ::setrlimit(RLIMIT_FSIZE, &before);
  BOOST_TEST(ended.status == 1);
  BOOST_TEST(contains(ended.err, "report.html': File too large"), ended.err);
  BOOST_TEST(read_file(out / "f") == "whole");
  BOOST_TEST(fs::exists(out / "report.html"));
  BOOST_TEST(read_file(beside / "f") == "new");
  BOOST_TEST(metrics(beside)["quantities"].size() == 1u);
  BOOST_TEST(contains(metrics(beside)["failed"].get<std::string>(), "File too large"));
  BOOST_TEST(folder.files() == 2u);
}

BOOST_AUTO_TEST_CASE(a_run_is_not_lost_for_what_happens_to_its_folder) {
  const Folder folder;
  const fs::path out = folder / "out";
  fs::create_directory(folder / "out-interrupted");
  replace_file(folder / "out-interrupted/thesis.tex", "years of work");
  const Ended ended = run(out, {}, [&](Run& run) {
    writing("f", "1")(run);
    replace_file(out, "a file meanwhile");
  });
  BOOST_TEST(ended.status == 1);
  BOOST_TEST(contains(ended.err, "; the run is in '" + (folder / "out-interrupted-2").string() + "'"), ended.err);
  BOOST_TEST(read_file(folder / "out-interrupted-2/f") == "1");
  BOOST_TEST(read_file(out) == "a file meanwhile");
}

BOOST_AUTO_TEST_CASE(a_link_to_a_folder_stays_one) {
  const Folder folder;
  fs::create_directory(folder / "disk");
  fs::create_directory_symlink(folder / "disk", folder / "link");
  for (const char* text : {"1", "2"}) BOOST_TEST(run(folder / "link", {}, writing("f", text)).status == 0);
  BOOST_TEST(fs::is_symlink(folder / "link"));
  BOOST_TEST(read_file(folder / "disk/f") == "2");
}

BOOST_AUTO_TEST_CASE(a_slash_at_the_end_changes_nothing) {
  const Folder folder;
  BOOST_TEST(run(folder / "out/", {}, writing("f", "1")).status == 0);
  BOOST_TEST(fs::exists(folder / "out/metrics.json"));
}
