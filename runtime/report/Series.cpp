#include "runtime/report/Series.h"
#include "runtime/state/Files.h"
#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

namespace r1rt {

using nlohmann::json;

static Status readInto(std::map<std::string, Series> &byName, const std::string &path) {
  auto content = readFile(path);
  if (!content)
    return Status::ok();
  size_t number = 1;
  for (size_t at = 0, end; (end = content->find('\n', at)) != std::string::npos; at = end + 1, ++number) {
    const json j = json::parse(content->begin() + ptrdiff_t(at), content->begin() + ptrdiff_t(end), nullptr, false);
    const auto step = j.is_object() ? j.find("step") : j.end();
    if (!j.is_object() || step == j.end() || !step->is_number())
      return Status::error(path + ":" + std::to_string(number) + ": not a step {\"step\", …}");
    for (auto &[name, value] : j.items()) {
      if (name == "step" || !value.is_number())
        continue;
      Series &s = byName[name];
      s.name = name;
      const double x = step->get<double>(), y = value.get<double>();
      if (!s.steps.empty() && x < s.steps.back())
        return Status::error(path + ":" + std::to_string(number) + ": step " + step->dump() + " after step " +
                             shortNumber(s.steps.back()));
      if (!std::isfinite(y))
        continue;
      s.steps.push_back(x);
      s.values.push_back(y);
    }
  }
  return Status::ok();
}

Result<std::vector<Series>> readSeries(const std::vector<std::string> &paths) {
  std::map<std::string, Series> byName;
  for (const std::string &path : paths)
    R1RT_TRY(readInto(byName, path));
  std::vector<Series> out;
  for (auto &[name, s] : byName)
    if (!s.values.empty())
      out.insert(name == "loss" ? out.begin() : out.end(), std::move(s));
  return out;
}

std::vector<Column> columnsOf(const Series &s, size_t columns) {
  std::vector<Column> out(columns);
  std::vector<size_t> counts(columns);
  if (s.values.empty())
    return out;
  const double first = s.steps.front(), span = std::max(s.steps.back() - first, 1e-300);
  for (size_t i = 0; i < s.values.size(); ++i) {
    const size_t c = std::min(columns - 1, size_t((s.steps[i] - first) / span * double(columns)));
    Column &col = out[c];
    col.low = col.empty ? s.values[i] : std::min(col.low, s.values[i]);
    col.high = col.empty ? s.values[i] : std::max(col.high, s.values[i]);
    col.mean += (s.values[i] - col.mean) / double(++counts[c]);
    col.empty = false;
  }
  return out;
}

std::string shortNumber(double v) {
  char text[32];
  const double a = std::fabs(v);
  if (a != 0 && (a < 1e-4 || a >= 1e15))
    std::snprintf(text, sizeof text, "%.2g", v);
  else if (a >= 1000 || v == std::round(v))
    std::snprintf(text, sizeof text, "%.0f", v);
  else
    std::snprintf(text, sizeof text, "%.4g", v);
  std::string out = text;
  if (a >= 1000 && a < 1e15) // thousands
    for (size_t i = out.size(); i > (v < 0 ? 4u : 3u);)
      out.insert(i -= 3, ",");
  return out;
}

std::vector<std::string> plotText(const Series &s, size_t columns, size_t rows) {
  columns = std::max<size_t>(columns, 2), rows = std::max<size_t>(rows, 2);
  std::vector<std::string> out;
  if (s.values.empty())
    return out;
  auto [least, most] = std::minmax_element(s.values.begin(), s.values.end());
  double low = *least, high = *most;
  if (low == high)
    low -= 0.5, high += 0.5;
  // Dots: 2 x 4 in a character. A column's line goes on from that of the column before.
  const size_t dotsX = 2 * columns, dotsY = 4 * rows;
  std::vector<uint8_t> cells(columns * rows);
  auto dot = [&](size_t x, size_t y) {
    static const uint8_t bits[4][2] = {{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
    cells[(y / 4) * columns + x / 2] |= bits[y % 4][x % 2];
  };
  auto place = [&](double v) { return size_t(std::lround((high - v) / (high - low) * double(dotsY - 1))); };
  const std::vector<Column> dots = columnsOf(s, dotsX);
  const Column *before = nullptr;
  for (size_t x = 0; x < dotsX; ++x) {
    if (dots[x].empty)
      continue;
    size_t top = place(dots[x].high), bottom = place(dots[x].low);
    if (before) { // up to the line of the column before
      top = std::min(top, place(before->low) + 1);
      bottom = std::max(bottom, std::max<size_t>(place(before->high), 1) - 1);
    }
    for (size_t y = top; y <= bottom; ++y)
      dot(x, y);
    before = &dots[x];
  }
  const std::string upper = shortNumber(high), lower = shortNumber(low);
  const size_t width = std::max(upper.size(), lower.size());
  for (size_t r = 0; r < rows; ++r) {
    const std::string &label = r == 0 ? upper : r + 1 == rows ? lower : std::string();
    std::string line = std::string(width - label.size(), ' ') + label + " │";
    for (size_t c = 0; c < columns; ++c) {
      const unsigned u = 0x2800u + cells[r * columns + c];
      line += {char(0xE0 | u >> 12), char(0x80 | (u >> 6 & 63)), char(0x80 | (u & 63))};
    }
    out.push_back(std::move(line));
  }
  const std::string from = shortNumber(s.steps.front()), to = shortNumber(s.steps.back());
  const size_t between = columns > from.size() + to.size() ? columns - from.size() - to.size() : 1;
  out.push_back(std::string(width + 2, ' ') + from + std::string(between, ' ') + to);
  return out;
}

std::string sparkline(const Series &s, size_t columns) {
  const std::vector<Column> all = columnsOf(s, std::max<size_t>(columns, 1));
  double low = INFINITY, high = -INFINITY;
  for (const Column &c : all)
    if (!c.empty)
      low = std::min(low, c.mean), high = std::max(high, c.mean);
  std::string out;
  for (const Column &c : all) {
    if (c.empty) {
      out += ' ';
      continue;
    }
    const int level = high > low ? int(std::min(7.0, (c.mean - low) / (high - low) * 8)) : 3;
    out += {char(0xE2), char(0x96), char(0x81 + level)};
  }
  return out;
}

} // namespace r1rt
