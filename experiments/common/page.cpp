#include "experiments/common/page.hpp"

#include <fmt/format.h>

#include <boost/archive/iterators/base64_from_binary.hpp>
#include <boost/archive/iterators/transform_width.hpp>
#include <kainjow/mustache.hpp>

#include "autodiff/error.hpp"
#include "autodiff/io/files.hpp"
#include "experiments/common/machine.hpp"
#include "experiments/common/version.hpp"

namespace wengert::experiments {
namespace {

using kainjow::mustache::data;
using List = kainjow::mustache::list;

std::string base64(const std::string& bytes) {
  using namespace boost::archive::iterators;
  using Encoder = base64_from_binary<transform_width<std::string::const_iterator, 6, 8>>;
  return std::string(Encoder(bytes.begin()), Encoder(bytes.end())) + std::string((3 - bytes.size() % 3) % 3, '=');
}

// The picture itself as the address of an image.
std::string embedded(const std::filesystem::path& file) {
  const std::string kind = file.extension().string();
  const std::string type = kind == ".svg" ? "svg+xml" : kind.empty() ? kind : kind.substr(1);
  return "data:image/" + type + ";base64," + base64(read_file(file));
}

std::string filled(const data& values) {
  const std::filesystem::path path = std::filesystem::path(EXPERIMENTS_FOLDER) / "common" / "page.html";
  kainjow::mustache::mustache page(read_file(path));
  if (!page.is_valid()) throw Error(fmt::format("'{}': {}", path.string(), page.error_message()));
  return page.render(values);
}

// A list under its name, with "has_NAME" where it is not empty.
void put(data& values, const std::string& name, const List& list) {
  values.set("has_" + name, !list.empty());
  values.set(name, list);
}

data row(std::initializer_list<std::pair<const char*, std::string>> entries) {
  data result;
  for (const auto& [name, value] : entries) result.set(name, value);
  return result;
}

List quantity_rows(const Report& report) {
  List rows;
  for (const Quantity& q : report.quantities()) {
    if (!q.value) continue;
    const std::optional<bool> inside = q.inside();
    rows.push_back(
        row({{"name", q.name},
             {"value", number_text(*q.value)},
             {"printed", q.printed ? number_text(*q.printed) : ""},
             {"reference", q.reference ? fmt::format("{:.4g} ± {:.2g}", q.reference->mean, q.reference->sd) : ""},
             {"window", q.reference ? window_text(q.reference->window) : ""},
             {"verdict", !inside   ? ""
                         : *inside ? "inside"
                                   : "outside"}}));
  }
  return rows;
}

List table_rows(const std::vector<TableReport>& tables) {
  List result;
  for (const TableReport& table : tables) {
    data entry = row({{"title", table.title}});
    List columns, rows;
    for (const std::string& column : table.columns) columns.push_back(row({{"column", column}}));
    for (const auto& [name, values] : table.rows) {
      List cells;
      for (double value : values) cells.push_back(row({{"value", number_text(value)}}));
      data line = row({{"name", name}});
      line.set("cells", cells);
      rows.push_back(line);
    }
    entry.set("columns", columns);
    entry.set("rows", rows);
    result.push_back(entry);
  }
  return result;
}

List fault_rows(const std::vector<FaultReport>& faults) {
  List rows;
  for (const FaultReport& fault : faults) {
    data entry = row({{"name", fault.name}, {"text", fault.text}});
    List effects;
    for (const FaultEffect& e : fault.effects)
      effects.push_back(
          row({{"what", e.what}, {"printed", number_text(e.printed)}, {"corrected", number_text(e.corrected)}}));
    put(entry, "effects", effects);
    if (fault.picture && std::filesystem::exists(fault.picture->file)) {
      entry.set("source", embedded(fault.picture->file));
      entry.set("caption", fault.picture->caption);
    }
    rows.push_back(entry);
  }
  return rows;
}

List fact_rows(const Report& report) {
  const Machine machine = this_machine();
  List rows;
  for (const auto& [name, value] : report.settings())
    rows.push_back(
        row({{"name", name}, {"value", std::visit([](const auto& held) { return fmt::format("{}", held); }, value)}}));
  for (const auto& [name, value] : report.seconds())
    rows.push_back(row({{"name", "seconds, " + name}, {"value", fmt::format("{:.2f}", value)}}));
  rows.push_back(row({{"name", "machine"},
                      {"value", fmt::format("{}, {} cores, {} threads, {}, {}", machine.cpu, machine.cores,
                                            machine.threads, machine.instruction_set, machine.compiler)}}));
  rows.push_back(row({{"name", "date"}, {"value", machine.date}}));
  rows.push_back(row({{"name", "version"}, {"value", version()}}));
  return rows;
}

std::string windows_text(const Report& report) {
  for (const Quantity& q : report.quantities())
    if (q.reference)
      return fmt::format(
          "References are mean and standard deviation over {}. A correct run leaves a given window about once in a "
          "thousand times.",
          report.windows().source);
  return "No windows apply to this run: they belong to the study's sizes and the corrected mathematics.";
}

}  // namespace

std::string page_html(const Page& page, const Report& report) {
  data values = row({{"title", page.title},
                     {"subtitle", page.subtitle},
                     {"command", page.command},
                     {"windows", windows_text(report)}});
  values.set("has_run", true);
  if (!page.notice.empty()) values.set("notice", page.notice);
  List paragraphs, figures;
  for (const std::string& text : page.paragraphs) paragraphs.push_back(row({{"text", text}}));
  for (const Picture& picture : page.pictures)
    if (std::filesystem::exists(picture.file))
      figures.push_back(
          row({{"source", embedded(picture.file)}, {"title", picture.title}, {"caption", picture.caption}}));
  put(values, "paragraphs", paragraphs);
  put(values, "figures", figures);
  put(values, "quantities", quantity_rows(report));
  put(values, "tables", table_rows(page.tables));
  put(values, "faults", fault_rows(page.faults));
  put(values, "facts", fact_rows(report));
  return filled(values);
}

std::string index_html(const std::vector<StudyLine>& studies) {
  data values = row({{"title", "Wengert: the studies"}, {"subtitle", "Version " + version()}});
  List lines;
  for (const StudyLine& study : studies) {
    data line = row({{"name", study.name}, {"text", study.text}, {"page", study.page}});
    const bool has_picture = std::filesystem::is_regular_file(study.picture);  // a run may have none
    line.set("has_picture", has_picture);
    if (has_picture) line.set("source", embedded(study.picture));
    lines.push_back(line);
  }
  put(values, "studies", lines);
  return filled(values);
}

}  // namespace wengert::experiments
