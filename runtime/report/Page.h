//===- Page.h - one run as a page to look at -------------------------------------===//
//
// One HTML file without anything from elsewhere: no scripts or styles are fetched, and whatever comes from a
// program, its data or file names stands in it as text.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_REPORT_PAGE_H
#define R1RT_REPORT_PAGE_H
#include "runtime/report/Series.h"
#include <string_view>
#include <utility>

namespace r1rt {

class Page {
public:
  explicit Page(std::string_view title);

  void heading(std::string_view text);
  void paragraph(std::string_view text);
  /// A row for each: name and value.
  void facts(const std::vector<std::pair<std::string, std::string>> &rows);
  /// Columns whose cells are numbers are set to the right.
  void table(const std::vector<std::string> &head, const std::vector<std::vector<std::string>> &rows);
  /// A curve of its means over the band from least to largest, with a scale; the value under the pointer is shown.
  void curve(const Series &s);
  void preformatted(std::string_view text);

  /// The whole page.
  std::string html() const;

private:
  std::string title, body;
};

/// Text as it may stand in HTML.
std::string escapeHtml(std::string_view text);

} // namespace r1rt
#endif
