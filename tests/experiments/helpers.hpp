// What the tests of the experiments' common parts share: a folder to write in, what was printed, command lines.
#pragma once
#include <fcntl.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <initializer_list>
#include <random>
#include <string>
#include <vector>

#include "autodiff/io/files.hpp"
#include "tests/autodiff/helpers.hpp"

namespace wengert::testing {

// For preconditions: says which test is skipped where the machine lacks what it needs.
inline boost::test_tools::assertion_result present(bool here, const char* what, boost::unit_test::test_unit_id id) {
  if (!here)
    std::fprintf(stderr, "%s: skipped, there is no %s\n",
                 boost::unit_test::framework::get(id, boost::unit_test::TUT_ANY).p_name.get().c_str(), what);
  return here;
}

// A folder of its own, removed at the end.
class Folder {
 public:
  Folder()
      : path_(std::filesystem::temp_directory_path() /
              ("wengert_test_" +
               std::to_string((std::uint64_t{std::random_device()()} << 32) | std::random_device()()))) {
    std::filesystem::create_directory(path_);
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  const std::filesystem::path& path() const { return path_; }
  std::size_t files() const {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(path_)) count += !entry.path().empty();
    return count;
  }

 private:
  std::filesystem::path path_;
};

// An environment variable until the end of the scope.
class Variable {
 public:
  Variable(const char* name, const std::string& value)
      : name_(name), before_(std::getenv(name) ? std::getenv(name) : "") {
    ::setenv(name, value.c_str(), 1);
  }
  ~Variable() { before_.empty() ? ::unsetenv(name_) : ::setenv(name_, before_.c_str(), 1); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
  std::string before_;
};

// A PNG of one black point.
inline const std::string tiny_png = "\x89PNG\r\n\x1a\n" +
                                    std::string("\0\0\0\x0dIHDR\0\0\0\1\0\0\0\1\x08\0\0\0\0\x3a\x7e\x9b\x55", 25) +
                                    std::string("\0\0\0\x0aIDAT\x78\x9c\x63\x60\0\0\0\2\0\1\x48\xaf\xa4\x71", 22) +
                                    std::string("\0\0\0\0IEND\xae\x42\x60\x82", 12);

// A shell script that is found instead of gnuplot, until the end of the scope.
class StandIn {
 public:
  explicit StandIn(const std::string& script, const std::string& shell = "/bin/sh")
      : path_("PATH", folder_.path().string() + ":/usr/bin:/bin") {
    replace_file(folder_ / "gnuplot", "#!" + shell + "\n" + script);
    std::filesystem::permissions(folder_ / "gnuplot", std::filesystem::perms::owner_all);
  }

 private:
  Folder folder_;
  Variable path_;
};

// What f writes to a descriptor: 1 for stdout, 2 for stderr.
template <class F>
std::string printed(int descriptor, F&& f) {
  const Folder folder;
  const std::filesystem::path path = folder / "printed";
  std::fflush(nullptr);
  const int before = ::dup(descriptor), file = ::open(path.c_str(), O_WRONLY | O_CREAT, 0600);
  ::dup2(file, descriptor);
  std::forward<F>(f)();
  std::fflush(nullptr);
  ::dup2(before, descriptor);
  ::close(before);
  ::close(file);
  return read_file(path);
}

inline std::size_t count_of(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++count;
  return count;
}

// Arguments as main gets them, the program's name first.
class CommandLine {
 public:
  CommandLine(std::initializer_list<std::string> arguments) : strings_{"program"} {
    strings_.insert(strings_.end(), arguments);
    for (std::string& string : strings_) pointers_.push_back(string.data());
    pointers_.push_back(nullptr);
  }
  CommandLine(const CommandLine&) = delete;
  CommandLine& operator=(const CommandLine&) = delete;

  int count() const { return static_cast<int>(strings_.size()); }
  char** arguments() { return pointers_.data(); }
  const char* const* arguments() const { return pointers_.data(); }

 private:
  std::vector<std::string> strings_;
  std::vector<char*> pointers_;
};

}  // namespace wengert::testing
