#include "runtime/report/Page.h"
#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdio>

namespace r1rt {

namespace {

constexpr char style[] = R"(
:root { color-scheme: light dark; --line: #2563a8; --band: #2563a833; --grid: #8884; }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2rem }
table { border-collapse: collapse; font-size: .9rem } td, th { padding: .15rem .8rem .15rem 0; text-align: left; vertical-align: top }
th { border-bottom: 1px solid var(--grid) } td.n { text-align: right; font-variant-numeric: tabular-nums }
td { overflow-wrap: anywhere } pre { overflow-x: auto; background: #8881; padding: .6rem }
figure { display: inline-block; margin: .5rem 1rem .5rem 0 } figcaption { font-size: .9rem }
svg text { font: 11px system-ui, sans-serif; fill: currentColor } output { opacity: .7; margin-left: 1rem }
@media (prefers-color-scheme: dark) { :root { --line: #7db3ef; --band: #7db3ef33 } }
)";

// What the pointer is over: the columns of a curve stand in its data-points as "step value;…".
constexpr char script[] = R"(
for (const svg of document.querySelectorAll('svg[data-points]')) {
  const points = svg.dataset.points.split(';').map(p => p.split(' ').map(Number));
  const out = svg.parentElement.querySelector('output');
  svg.addEventListener('pointermove', e => {
    const box = svg.getBoundingClientRect(), x = (e.clientX - box.left) / box.width * 460 - 70;
    const from = points[0][0], to = points[points.length - 1][0], at = from + x / 380 * (to - from);
    let best = points[0];
    for (const p of points) if (Math.abs(p[0] - at) < Math.abs(best[0] - at)) best = p;
    out.textContent = 'step ' + best[0] + ': ' + best[1];
  });
}
)";

bool isNumber(const std::string &cell) {
  return !cell.empty() && std::any_of(cell.begin(), cell.end(), [](unsigned char c) { return std::isdigit(c); }) &&
         cell.find_first_not_of("0123456789.,-+e %") == std::string::npos;
}

std::string coordinate(double v) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", v);
  return text;
}

} // namespace

std::string escapeHtml(std::string_view text) {
  std::string out;
  for (char c : text)
    switch (c) {
    case '&': out += "&amp;"; break;
    case '<': out += "&lt;"; break;
    case '>': out += "&gt;"; break;
    case '"': out += "&quot;"; break;
    case '\'': out += "&#39;"; break;
    default:
      // Controls may not stand in HTML.
      out += static_cast<unsigned char>(c) < 32 && c != '\n' && c != '\t' ? std::string("\xEF\xBF\xBD") : std::string(1, c);
    }
  return out;
}

Page::Page(std::string_view text) : title(escapeHtml(text)) {}

void Page::heading(std::string_view text) { body += "<h2>" + escapeHtml(text) + "</h2>\n"; }
void Page::paragraph(std::string_view text) { body += "<p>" + escapeHtml(text) + "</p>\n"; }
void Page::preformatted(std::string_view text) { body += "<pre>" + escapeHtml(text) + "</pre>\n"; }

void Page::facts(const std::vector<std::pair<std::string, std::string>> &rows) {
  if (rows.empty())
    return;
  body += "<table>\n";
  for (auto &[name, value] : rows)
    body += "<tr><td>" + escapeHtml(name) + "</td><td>" + escapeHtml(value) + "</td></tr>\n";
  body += "</table>\n";
}

void Page::table(const std::vector<std::string> &head, const std::vector<std::vector<std::string>> &rows) {
  body += "<table>\n<tr>";
  for (const std::string &h : head)
    body += "<th>" + escapeHtml(h) + "</th>";
  body += "</tr>\n";
  for (auto &row : rows) {
    body += "<tr>";
    for (const std::string &cell : row)
      body += (isNumber(cell) ? "<td class=\"n\">" : "<td>") + escapeHtml(cell) + "</td>";
    body += "</tr>\n";
  }
  body += "</table>\n";
}

void Page::curve(const Series &s) {
  if (s.values.empty())
    return;
  // 460 x 200: the plot lies from 70 to 450 and from 10 to 170.
  constexpr double left = 70, width = 380, top = 10, height = 160;
  auto [least, most] = std::minmax_element(s.values.begin(), s.values.end());
  double low = *least, high = *most;
  if (low == high)
    low -= 0.5, high += 0.5;
  const size_t columns = size_t(width);
  const double first = s.steps.front(), last = s.steps.back();
  auto x = [&](size_t column) { return left + (double(column) + 0.5) * width / double(columns); };
  auto y = [&](double v) { return top + (high - v) / (high - low) * height; };
  std::string line, over, under, points;
  const std::vector<Column> all = columnsOf(s, columns);
  for (size_t c = 0; c < columns; ++c) {
    if (all[c].empty)
      continue;
    const std::string at = coordinate(x(c)) + ",";
    line += at + coordinate(y(all[c].mean)) + " ";
    over += at + coordinate(y(all[c].high)) + " ";
    under = at + coordinate(y(all[c].low)) + " " + under;
    char point[64];
    std::snprintf(point, sizeof point, "%.0f %.6g", first + (double(c) + 0.5) / double(columns) * (last - first), all[c].mean);
    points += (points.empty() ? "" : ";") + std::string(point);
  }
  body += "<figure><figcaption>" + escapeHtml(s.name) + " <strong>" + shortNumber(s.values.back()) +
          "</strong><output></output></figcaption>\n<svg width=\"460\" height=\"200\" viewBox=\"0 0 460 200\" data-points=\"" +
          points + "\">\n";
  for (int i = 0; i <= 4; ++i) {
    const double v = low + (high - low) * i / 4;
    body += "<line x1=\"70\" x2=\"450\" y1=\"" + coordinate(y(v)) + "\" y2=\"" + coordinate(y(v)) +
            "\" stroke=\"var(--grid)\"/><text x=\"64\" text-anchor=\"end\" y=\"" + coordinate(y(v) + 4) + "\">" +
            shortNumber(v) + "</text>\n";
  }
  body += "<text x=\"70\" y=\"190\">" + shortNumber(first) + "</text><text x=\"450\" y=\"190\" text-anchor=\"end\">" +
          shortNumber(last) + "</text>\n<polygon fill=\"var(--band)\" points=\"" + over + under +
          "\"/>\n<polyline fill=\"none\" stroke=\"var(--line)\" stroke-width=\"1.5\" points=\"" + line + "\"/>\n";
  if (line.find(' ') == line.size() - 1) // a single value has no line
    body += "<circle r=\"3\" fill=\"var(--line)\" cx=\"" + line.substr(0, line.find(',')) + "\" cy=\"" +
            line.substr(line.find(',') + 1, line.size() - line.find(',') - 2) + "\"/>\n";
  body += "</svg></figure>\n";
}

std::string Page::html() const {
  return "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
         "<meta name=\"viewport\" content=\"width=device-width\">\n"
         "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
         "script-src 'unsafe-inline'\">\n<title>" +
         title + "</title>\n<style>" + style + "</style>\n</head>\n<body>\n<h1>" + title + "</h1>\n" + body + "<script>" +
         script + "</script>\n</body>\n</html>\n";
}

} // namespace r1rt
