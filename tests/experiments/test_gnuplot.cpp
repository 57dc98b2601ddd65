// Gnuplot as a child: pictures that are whole or not there, its errors, and its end. A script stands in for it where
// the real one is not needed.
#define BOOST_TEST_MODULE gnuplot
#include "experiments/common/gnuplot.hpp"

#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <csignal>
#include <cstdlib>

#include "tests/experiments/helpers.hpp"

using namespace wengert;
using namespace wengert::experiments;
using namespace wengert::testing;

namespace {

// The tests' packages do not include gnuplot; the experiments' do.
boost::test_tools::assertion_result has_gnuplot(boost::unit_test::test_unit_id id) {
  return present(std::system("gnuplot --version >/dev/null 2>&1") == 0, "gnuplot", id);
}

}  // namespace

BOOST_AUTO_TEST_CASE(only_whole_pictures_are_whole) {
  const std::string zeros(17, '\0'), gif = "GIF89a" + std::string("\1\0\1\0\x80\0\0", 7) + "colour" + "\x21\xff" +
                                           "\x0b" + "NETSCAPE2.0" + std::string("\3\1\0\0\0", 5) + "\x2c" +
                                           std::string("\0\0\0\0\1\0\1\0\0", 9) + std::string("\2\2\x44\1\0\x3b", 6);
  for (const auto& [kind, bytes] : {std::pair<std::string, std::string>{".png", tiny_png},
                                    {".gif", gif},
                                    {".svg", "<?xml version=\"1.0\"?><svg></svg>"}}) {
    BOOST_TEST(whole_picture(bytes, kind), kind);
    for (std::size_t size = 0; size < bytes.size(); ++size)
      BOOST_TEST(!whole_picture(bytes.substr(0, size), kind), kind << " of " << size << " bytes");
    BOOST_TEST(!whole_picture(bytes + "x", kind), kind);
    BOOST_TEST(!whole_picture(bytes + bytes, kind) == (kind != ".svg"), kind);
  }
  BOOST_TEST(whole_picture("<svg></svg>\n\n", ".svg"));
}

BOOST_AUTO_TEST_CASE(what_is_not_drawn_leaves_the_file_and_says_why) {
  const Folder folder;
  replace_file(folder / "f.png", "old");
  replace_file(folder / "whole", tiny_png);
  const auto error = [&](const std::string& script) {
    const StandIn gnuplot(script);
    const std::string said = error_of([&] { Gnuplot().render(folder / "f.png", {10, 10}, ""); });
    BOOST_TEST(read_file(folder / "f.png") == "old");
    BOOST_TEST(said.starts_with("gnuplot could not draw '" + (folder / "f.png").string() + "': "), said);
    return said;
  };
  const std::string whole = "cat '" + (folder / "whole").string() + "'";
  BOOST_TEST(contains(error(whole + " | head -c 60"), "its 60 bytes are no whole picture"));
  BOOST_TEST(contains(error("exit 0"), "its 0 bytes are no whole picture"));
  BOOST_TEST(contains(error(whole + "; echo no paper >&2; exit 3"), "it ended with status 3: no paper"));
  BOOST_TEST(contains(error(whole + "; kill -SEGV $$"), "it was ended by SIGSEGV (Segmentation fault)"));
  BOOST_TEST(contains(error("kill -KILL $$"), "it was ended by SIGKILL (Killed)"));
  const StandIn gnuplot(whole);
  Gnuplot().render(folder / "f.png", {10, 10}, "");
  BOOST_TEST(read_file(folder / "f.png") == tiny_png);
}

BOOST_AUTO_TEST_CASE(a_gnuplot_that_cannot_be_run_is_named) {
  const StandIn gnuplot("", "/no/such/shell");
  const std::string error = error_of([&] { Gnuplot().render("f.png", {10, 10}, ""); });
  BOOST_TEST(error.starts_with("cannot run '"), error);
  BOOST_TEST(error.ends_with("/gnuplot': No such file or directory"), error);
}

BOOST_AUTO_TEST_CASE(pictures_are_drawn_where_children_are_ignored) {
  const Folder folder;
  replace_file(folder / "whole", tiny_png);
  const StandIn gnuplot("cat '" + (folder / "whole").string() + "'");
  const auto before = std::signal(SIGCHLD, SIG_IGN);
  Gnuplot().render(folder / "f.png", {10, 10}, "");
  BOOST_TEST((std::signal(SIGCHLD, before) == SIG_IGN));  // and go on being ignored
  BOOST_TEST(read_file(folder / "f.png") == tiny_png);
}

BOOST_AUTO_TEST_CASE(a_missing_font_shows_in_a_picture_of_a_word) {
  const Folder folder;
  replace_file(folder / "whole", tiny_png);
  std::string other = tiny_png;
  other[40] ^= 1;
  replace_file(folder / "other", other);
  {
    const StandIn gnuplot("cat '" + (folder / "whole").string() + "'");
    BOOST_TEST(!Gnuplot::draws_labels());
  }
  const StandIn gnuplot("grep -q \"'word'\" \"$2\" && name=whole || name=other\ncat '" + folder.path().string() +
                        "'/$name");
  BOOST_TEST(Gnuplot::draws_labels());
}

// The stand-in holds the end of a pipe that it was given as descriptor 9: it is closed when both have ended.
BOOST_AUTO_TEST_CASE(gnuplot_ends_with_who_started_it) {
  const StandIn gnuplot("printf x >&9\nexec sleep 1000");
  int ends[2];
  BOOST_REQUIRE(::pipe(ends) == 0);
  const ::pid_t child = ::fork();
  if (child == 0) {
    ::dup2(ends[1], 9);
    for (int end : ends) ::close(end);
    error_of([] { Gnuplot().render("f.png", {10, 10}, ""); });
    ::_exit(0);
  }
  ::close(ends[1]);
  char byte = 0;
  BOOST_TEST(::read(ends[0], &byte, 1) == 1);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  ::pollfd end{ends[0], POLLIN, 0};
  BOOST_TEST(::poll(&end, 1, 60000) == 1);
  BOOST_TEST(::read(ends[0], &byte, 1) == 0);
  ::close(ends[0]);
}

BOOST_AUTO_TEST_CASE(quotes_survive_quoting) { BOOST_TEST(quote("it's 'x'") == "'it''s ''x'''"); }

BOOST_AUTO_TEST_SUITE(real, *boost::unit_test::precondition(has_gnuplot))

BOOST_AUTO_TEST_CASE(what_gnuplot_says_reaches_the_user) {
  const Folder folder;
  Gnuplot gnuplot;
  const std::string error = error_of([&] { gnuplot.render(folder / "f.png", {100, 100}, "plot nothing_known\n"); });
  BOOST_TEST(contains(error, "f.png"), error);
  BOOST_TEST(contains(error, "undefined variable: nothing_known"), error);
  BOOST_TEST(contains(error_of([&] { gnuplot.render(folder / "f.png", {100, 100}, ""); }), "could not draw"));
  BOOST_TEST(folder.files() == 0u);
}

BOOST_AUTO_TEST_CASE(without_fonts_no_label_is_drawn) {
  const Folder folder;
  replace_file(folder / "fonts.conf",
               "<?xml version=\"1.0\"?><!DOCTYPE fontconfig SYSTEM \"fonts.dtd\"><fontconfig></fontconfig>");
  const Variable variable("FONTCONFIG_FILE", (folder / "fonts.conf").string());
  BOOST_TEST(!Gnuplot::draws_labels());
}

BOOST_AUTO_TEST_SUITE_END()
