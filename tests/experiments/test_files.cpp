// Files that are replaced whole, and .npy files: round trips, NumPy's own bytes, and files that lie.
#define BOOST_TEST_MODULE files
#include "autodiff/io/files.hpp"

#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <csignal>
#include <limits>
#include <thread>

#include "autodiff/io/npy.hpp"
#include "tests/experiments/helpers.hpp"

using namespace wengert;
using namespace wengert::testing;
namespace fs = std::filesystem;

namespace {

// A file as NumPy lays it out: the header padded with spaces to a multiple of 64 bytes.
std::string npy(const std::string& header, const std::string& elements, char version = 1) {
  std::string padded = header;
  while ((10 + padded.size() + 1) % 64 != 0) padded += ' ';
  padded += '\n';
  std::string file = "\x93NUMPY";
  file += {version, '\0', static_cast<char>(padded.size() & 0xff), static_cast<char>(padded.size() >> 8)};
  return file + padded + elements;
}

std::string header(const std::string& descr, const std::string& shape, const std::string& fortran = "False") {
  return "{'descr': '" + descr + "', 'fortran_order': " + fortran + ", 'shape': " + shape + ", }";
}

std::string bytes_of(const Array& array) { return {static_cast<const char*>(array.raw()), array.type().bytes()}; }

}  // namespace

BOOST_AUTO_TEST_SUITE(files)

BOOST_AUTO_TEST_CASE(a_file_is_made_and_replaced_and_nothing_else_stays) {
  const Folder folder;
  const std::string binary("a\0b\xff\n", 5);
  replace_file(folder / "f", "first, and longer than the second");
  replace_file(folder / "f", binary);
  BOOST_TEST(read_file(folder / "f") == binary);
  replace_file(folder / "f", "");
  BOOST_TEST(read_file(folder / "f").empty());
  BOOST_TEST(folder.files() == 1u);
}

BOOST_AUTO_TEST_CASE(a_bare_name_is_a_file_of_the_current_folder) {
  const Folder folder;
  const fs::path before = fs::current_path();
  fs::current_path(folder.path());
  replace_file("f", "here");
  fs::current_path(before);
  BOOST_TEST(read_file(folder / "f") == "here");
}

BOOST_AUTO_TEST_CASE(permissions_are_those_that_the_user_set) {
  const Folder folder;
  const ::mode_t before = ::umask(027);
  replace_file(folder / "f", "x");
  ::umask(before);
  BOOST_TEST(static_cast<int>(fs::status(folder / "f").permissions()) == 0640);
}

BOOST_AUTO_TEST_CASE(a_write_that_fails_midway_leaves_the_old_file) {
  const Folder folder;
  replace_file(folder / "f", "old");
  ::rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  ::rlimit limit{1000, before.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &limit);
  const std::string error = error_of([&] { replace_file(folder / "f", std::string(5000, 'x')); });
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  BOOST_TEST(error == "cannot write '" + (folder / "f").string() + "': File too large");
  BOOST_TEST(read_file(folder / "f") == "old");
  BOOST_TEST(folder.files() == 1u);
}

BOOST_AUTO_TEST_CASE(what_killed_writers_left_is_removed_by_the_next) {
  const Folder folder;
  const std::string own = ".f." + std::to_string(::getpid()) + "-";
  for (int i = 0; i < 200; ++i) replace_file(folder / (own + std::to_string(i)), "ours, in another container");
  replace_file(folder / ".f.999999999-0", "half");
  // Others' files, and what is being written.
  for (const char* name : {".f.txt", ".f.1-x", ".f.-1", ".g.1-0", "f.1-0"}) replace_file(folder / name, "mine");
  replace_file(folder / ".f.1-0", "half");
  const int writer = ::open((folder / ".f.1-0").c_str(), O_WRONLY);
  BOOST_REQUIRE(::flock(writer, LOCK_EX | LOCK_NB) == 0);
  replace_file(folder / "f", "new");
  BOOST_TEST(read_file(folder / "f") == "new");
  BOOST_TEST(folder.files() == 7u);
  BOOST_TEST(fs::exists(folder / ".f.1-0"));
  ::close(writer);
  replace_file(folder / "f", "newer");
  BOOST_TEST(folder.files() == 6u);
}

BOOST_AUTO_TEST_CASE(writers_at_once_do_not_take_each_other_for_dead) {
  const Folder folder;
  std::vector<::pid_t> children;
  for (int i = 0; i < 4; ++i) {
    children.push_back(::fork());
    if (children.back() != 0) continue;
    bool good = true;
    for (int j = 0; j < 100; ++j)
      good = good && error_of([&] { replace_file(folder / "f", std::string(1000, 'x')); }) == "nothing was thrown";
    ::_exit(good ? 0 : 1);
  }
  for (::pid_t child : children) {
    int status = 1;
    ::waitpid(child, &status, 0);
    BOOST_TEST(status == 0);
  }
  BOOST_TEST(read_file(folder / "f").size() == 1000u);
  BOOST_TEST(folder.files() == 1u);
}

BOOST_AUTO_TEST_CASE(what_cannot_be_replaced_is_named) {
  const Folder folder;
  fs::create_directory(folder / "d");
  BOOST_TEST(contains(error_of([&] { replace_file(folder / "d", "x"); }), "'" + (folder / "d").string() + "': "));
  BOOST_TEST(folder.files() == 1u);
  BOOST_TEST(contains(error_of([&] { replace_file(folder / "none/f", "x"); }), "none/f': No such file or directory"));
}

BOOST_AUTO_TEST_CASE(a_reader_sees_one_file_or_the_other) {
  const Folder folder;
  const std::string a(20000, 'a'), b(30000, 'b');
  replace_file(folder / "f", a);
  std::atomic<bool> done{false};
  std::thread writer([&] {
    for (int i = 0; i < 100; ++i) replace_file(folder / "f", i % 2 == 0 ? b : a);
    done = true;
  });
  int wrong = 0;
  while (!done) {
    const std::string seen = read_file(folder / "f");
    wrong += seen != a && seen != b;
  }
  writer.join();
  BOOST_TEST(wrong == 0);
}

BOOST_AUTO_TEST_CASE(only_regular_files_are_read) {
  const Folder folder;
  BOOST_TEST(contains(error_of([&] { read_file(folder / "none"); }), "none': No such file or directory"));
  BOOST_TEST(contains(error_of([&] { read_file(folder.path()); }), "is not a regular file"));
  BOOST_TEST(contains(error_of([&] { read_file("/dev/zero"); }), "is not a regular file"));
  BOOST_REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  BOOST_TEST(contains(error_of([&] { read_file(folder / "pipe"); }), "is not a regular file"));
}

BOOST_AUTO_TEST_CASE(files_larger_than_memory_are_refused) {
  const Folder folder;
  replace_file(folder / "text", "");
  replace_file(folder / "a.npy", npy(header("<f4", "(2199023255552,)"), ""));
  for (const char* name : {"text", "a.npy"}) {
    std::error_code unable;
    fs::resize_file(folder / name, fs::file_size(folder / name) + 8796093022208, unable);
    if (unable) {
      BOOST_TEST_MESSAGE("skipped: this file system holds no sparse file of 8 TB");
      continue;
    }
    const std::string error =
        error_of([&] { name[0] == 'a' ? (void)load_npy(folder / name) : (void)read_file(folder / name); });
    BOOST_TEST(contains(error, "cannot read '" + (folder / name).string() + "': it has 87960930"), error);
    BOOST_TEST(contains(error, "this machine's memory"), error);
  }
}

BOOST_AUTO_TEST_CASE(parts_of_a_file_are_read) {
  const Folder folder;
  replace_file(folder / "f", "0123456789");
  const InputFile file(folder / "f");
  BOOST_TEST(file.size() == 10u);
  BOOST_TEST(file.text(3, 4) == "3456");
  BOOST_TEST(file.text(10, 0).empty());
  BOOST_TEST(error_of([&] { file.text(8, 3); }) == "cannot read '" + (folder / "f").string() + "': it ends at byte 10");
}

BOOST_AUTO_TEST_CASE(folders_are_made_with_their_parents_if_they_can_be_written_to) {
  const Folder folder;
  make_folder(folder / "a/b/c");
  make_folder(folder / "a/b/c");
  BOOST_TEST(fs::is_empty(folder / "a/b/c"));
  replace_file(folder / "file", "");
  BOOST_TEST(contains(error_of([&] { make_folder(folder / "file"); }), "file': Not a directory"));
  BOOST_TEST(contains(error_of([&] { make_folder(folder / "file/d"); }), "file/d': Not a directory"));
  BOOST_TEST(contains(error_of([&] { make_folder(""); }), "cannot make the folder ''"));
  // Even root makes no file here.
  BOOST_TEST(contains(error_of([&] { make_folder("/proc/self"); }), "cannot write '/proc/self/': "));
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(npy_files)

BOOST_AUTO_TEST_CASE(arrays_survive_a_round_trip) {
  const Folder folder;
  for (Dtype dtype : {Dtype::f32, Dtype::f64, Dtype::i32})
    for (const Shape& shape : {Shape{}, Shape{0}, Shape{1}, Shape{7}, Shape{3, 4}, Shape{2, 0, 3}, Shape{1, 1, 1},
                               Shape{1, 2, 1, 2, 1, 2, 1, 2}, Shape{1000, 33}}) {
      const Array array = random_array(dtype, shape, 1, -1e6, 1e6);
      save_npy(folder / "a.npy", array);
      BOOST_TEST(same_bits(load_npy(folder / "a.npy"), array), to_string(array.type()));
      BOOST_TEST(fs::file_size(folder / "a.npy") % 64 == array.type().bytes() % 64);  // elements start on a cache line
    }
  BOOST_TEST(folder.files() == 1u);
}

BOOST_AUTO_TEST_CASE(special_numbers_keep_their_bits) {
  const Folder folder;
  using Limits = std::numeric_limits<double>;
  const Array array = Array::of<double>(
      {6}, {-0.0, Limits::infinity(), -Limits::infinity(), std::nan("7"), Limits::denorm_min(), Limits::max()});
  save_npy(folder / "a.npy", array);
  BOOST_TEST(same_bits(load_npy(folder / "a.npy"), array));
}

BOOST_AUTO_TEST_CASE(the_bytes_are_numpys) {
  const Folder folder;
  const Array array = Array::of<float>({2, 3}, {0, 1, 2, 3, 4, 5});
  const std::string file = npy(header("<f4", "(2, 3)"), bytes_of(array));
  BOOST_TEST(file.size() == 128u + 24u);
  save_npy(folder / "a.npy", array);
  BOOST_TEST(read_file(folder / "a.npy") == file);
  // With one axis and with none, in NumPy's words.
  replace_file(folder / "a.npy", npy(header("<i4", "(6,)"), std::string(24, '\1')));
  BOOST_TEST(
      same_bits(load_npy(folder / "a.npy"), Array::of<std::int32_t>({6}, std::vector<std::int32_t>(6, 0x01010101))));
  replace_file(folder / "a.npy", npy(header("<f8", "()"), std::string(8, '\0')));
  BOOST_TEST(same_bits(load_npy(folder / "a.npy"), Array(Dtype::f64, {})));
  // A length whose low byte has its highest bit set, which a reader of signed characters gets wrong.
  replace_file(folder / "a.npy", npy(header("<f4", "(2, 3)") + std::string(64, ' '), bytes_of(array)));
  BOOST_TEST(same_bits(load_npy(folder / "a.npy"), array));
}

BOOST_AUTO_TEST_CASE(every_shorter_or_longer_file_is_refused) {
  const Folder folder;
  const std::string file = npy(header("<f4", "(2, 3)"), std::string(24, 'x'));
  for (std::size_t size = 0; size < file.size(); ++size) {
    replace_file(folder / "a.npy", file.substr(0, size));
    BOOST_TEST(contains(error_of([&] { load_npy(folder / "a.npy"); }), "cannot read '" + (folder / "a.npy").string()));
  }
  replace_file(folder / "a.npy", file + "x");
  BOOST_TEST(
      contains(error_of([&] { load_npy(folder / "a.npy"); }), "its 25 bytes of elements are not those of f32 [2, 3]"));
}

BOOST_AUTO_TEST_CASE(no_change_of_a_byte_of_the_header_is_believed_blindly) {
  const Folder folder;
  const std::string file = npy(header("<f4", "(2, 3)"), std::string(24, 'x'));
  for (std::size_t at = 0; at < 128; ++at)
    for (char c : {'\0', ' ', '9', '\'', ')', '-', '\xff'}) {
      std::string changed = file;
      changed[at] = c;
      replace_file(folder / "a.npy", changed);
      try {
        BOOST_TEST(load_npy(folder / "a.npy").type().bytes() == 24u);
      } catch (const Error&) {
      }
    }
}

BOOST_AUTO_TEST_CASE(hostile_files_are_refused_with_a_reason) {
  const Folder folder;
  const auto error = [&](const std::string& file) {
    replace_file(folder / "a.npy", file);
    return error_of([&] { load_npy(folder / "a.npy"); });
  };
  const std::string elements(24, 'x'), good = header("<f4", "(2, 3)");
  BOOST_TEST(contains(error(""), "does not begin as .npy files do"));
  BOOST_TEST(contains(error("PK\x03\x04, a zip archive"), "does not begin as .npy files do"));
  BOOST_TEST(contains(error(npy(good, elements, 2)), "its version is not 1.0"));
  BOOST_TEST(contains(error(npy(header("<f4", "(2, 3)", "True"), elements)), "Fortran order"));
  BOOST_TEST(contains(error(npy(header("<f4", "(2, 3)", "Maybe"), elements)), "lacks False"));
  for (const char* descr : {">f4", "<f2", "<i8", "|u1", "|O", "", "<f4x"})
    BOOST_TEST(
        contains(error(npy(header(descr, "(2, 3)"), elements)), "its elements are '" + std::string(descr) + "'"));
  for (const char* shape : {"(-2, -3)", "(2.5, 3)", "(99999999999999999999,)", "(,)", "(2, x)", "(0x2, 3)", "(6)", "6",
                            "(02, 3)", "(-0, 6)", "(+6,)", "(6 ,,)", "[2, 3]", "(2, 3", "((2, 3))", "(1_0,)"})
    BOOST_TEST(contains(error(npy(header("<f4", shape), elements)), "its header"), shape);
  BOOST_TEST(contains(error(npy(header("<f4", "(1, 1, 1, 1, 1, 1, 2, 3, 1)"), elements)), "more than 8 axes"));
  BOOST_TEST(contains(error(npy(header("<f4", "(2, 4)"), elements)), "are not those of f32 [2, 4]"));
  BOOST_TEST(contains(error(npy(header("<f4", "(1000000000, 1000000000)"), elements)), "no machine holds"));
  // 6 modulo 2^64 elements.
  BOOST_TEST(contains(error(npy(header("<f4", "(4611686018427387904, 4, 1)"), "")), "no machine holds"));
  BOOST_TEST(contains(error(npy(header("<f8", "(2305843009213693955,)"), elements)), "no machine holds"));
  BOOST_TEST(contains(error(npy("{'descr': '<f4'}", elements)), "lacks ,"));
  BOOST_TEST(contains(error(npy("", elements)), "lacks {"));
  BOOST_TEST(contains(error(npy(good + "; import os", elements)), "its header lacks"));
  BOOST_TEST(contains(error(npy(good + "\n; import os", elements)), "its header goes on behind its end"));
  BOOST_TEST(contains(error(npy(good + "\n", elements)), "its header goes on behind its end"));
  BOOST_TEST(
      contains(error(npy(header("<f4", "(0, 9223372036854775807, 9223372036854775807)"), "")), "no machine holds"));
}

BOOST_AUTO_TEST_SUITE_END()
