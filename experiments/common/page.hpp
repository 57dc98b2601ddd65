// The page that a run leaves: one HTML file with everything in it, to be sent to a colleague.
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "experiments/common/report.hpp"

namespace wengert::experiments {

// A picture in a file, PNG, SVG or GIF, and what to see in it.
struct Picture {
  std::filesystem::path file{};
  std::string title{}, caption{};
};

// A fault of the text that a study redoes, and what it changes: numbers as printed and corrected, side by side.
struct FaultEffect {
  std::string what;
  double printed, corrected;
};
struct FaultReport {
  std::string name, text;
  std::vector<FaultEffect> effects{};
  std::optional<Picture> picture{};
};

// Numbers that belong together, in named columns; a row has a name and as many values.
struct TableReport {
  std::string title;
  std::vector<std::string> columns{};
  std::vector<std::pair<std::string, std::vector<double>>> rows{};
};

struct Page {
  std::string title, subtitle;
  std::string notice{};  // what went wrong, if anything did
  std::vector<std::string> paragraphs{};
  std::vector<TableReport> tables{};
  std::vector<Picture> pictures{};
  std::vector<FaultReport> faults{};
  std::string command{};
};

// The page as HTML from experiments/common/page.html, with the report's numbers, settings, seconds and machine. Throws
// Error where a picture or the template cannot be read.
std::string page_html(const Page& page, const Report& report);

// One line and one picture for each of several studies, with links to their pages.
struct StudyLine {
  std::string name, text, page;  // the page's path from the index
  std::filesystem::path picture;
};
std::string index_html(const std::vector<StudyLine>& studies);

}  // namespace wengert::experiments
