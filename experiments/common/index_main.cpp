// index FOLDER NAME...: writes FOLDER/index.html, a line and a picture of each run in FOLDER/NAME, and prints its path.
#include <fmt/format.h>

#include <exception>
#include <nlohmann/json.hpp>

#include "autodiff/io/files.hpp"
#include "experiments/common/page.hpp"
#include "experiments/common/print.hpp"

int main(int count, char** arguments) {
  using namespace wengert;
  if (count < 3) {
    experiments::complain("usage", "index FOLDER NAME...");
    return 2;
  }
  try {
    const std::filesystem::path folder = arguments[1];
    std::vector<experiments::StudyLine> studies;
    for (int i = 2; i < count; ++i) {
      const std::filesystem::path run = folder / arguments[i];
      const auto metrics = nlohmann::json::parse(read_file(run / "metrics.json"));
      studies.push_back({arguments[i], metrics.value("text", ""),
                         fmt::format("{}/{}", arguments[i], metrics.value("page", "report.html")),
                         run / metrics.value("picture", "")});
    }
    replace_file(folder / "index.html", experiments::index_html(studies));
    experiments::print(std::filesystem::absolute(folder / "index.html").lexically_normal().string() + "\n");
    return 0;
  } catch (const std::exception& error) {
    experiments::complain("index", error.what());
    return 1;
  }
}
