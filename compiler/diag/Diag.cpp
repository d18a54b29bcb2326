#include "compiler/diag/Diag.h"
#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>

namespace r1 {

namespace {

/// Code points in `text` (continuation bytes do not count).
uint32_t width(std::string_view text) {
  return uint32_t(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

size_t editDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  std::vector<size_t> prev = row, prev2 = row;
  for (size_t i = 1; i <= a.size(); ++i) {
    prev2 = prev;
    prev = row;
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      size_t cost = a[i - 1] == b[j - 1] ? 0 : 1;
      row[j] = std::min({prev[j] + 1, row[j - 1] + 1, prev[j - 1] + cost});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], prev2[j - 2] + 1);
    }
  }
  return row[b.size()];
}

} // namespace

SourceFile::Place SourceFile::place(uint32_t offset) const {
  auto it = std::upper_bound(lineStarts.begin(), lineStarts.end(), offset);
  uint32_t line = uint32_t(it - lineStarts.begin());
  uint32_t start = lineStarts[line - 1];
  offset = std::min<uint32_t>(offset, uint32_t(text.size()));
  return {line, 1 + width(std::string_view(text).substr(start, offset - start))};
}

std::string_view SourceFile::line(uint32_t number) const {
  uint32_t begin = lineStarts[number - 1];
  uint32_t end = number < lineStarts.size() ? lineStarts[number] - 1 : uint32_t(text.size());
  if (end > begin && text[end - 1] == '\r')
    --end;
  return std::string_view(text).substr(begin, end - begin);
}

uint32_t SourceManager::add(std::string path, std::string text) {
  SourceFile f{std::move(path), std::move(text), {0}};
  for (uint32_t i = 0; i < f.text.size(); ++i)
    if (f.text[i] == '\n')
      f.lineStarts.push_back(i + 1);
  files.push_back(std::move(f));
  return uint32_t(files.size());
}

std::string_view SourceManager::text(Span s) const {
  return has(s.file) ? std::string_view(file(s.file).text).substr(s.begin, s.end - s.begin)
                     : std::string_view();
}

std::string SourceManager::where(Span s) const {
  if (!has(s.file))
    return "";
  auto p = file(s.file).place(s.begin);
  return file(s.file).path + ":" + std::to_string(p.line) + ":" + std::to_string(p.column);
}

Diag &Diag::label(std::string text) {
  primary.text = std::move(text);
  return *this;
}
Diag &Diag::also(Span s, std::string text) {
  if (s.valid())
    secondary.push_back({s, std::move(text)});
  return *this;
}
Diag &Diag::note(std::string text) {
  notes.push_back(std::move(text));
  return *this;
}
Diag &Diag::help(std::string text, Span edit, std::string replacement) {
  helps.push_back({std::move(text), edit, std::move(replacement)});
  return *this;
}

Diag &DiagEngine::add(Severity severity, std::string_view code, Span where, std::string title) {
  dropped = Diag();
  if (severity == Severity::Error && full())
    return dropped;
  for (const Diag &d : diags)
    if (d.code == code && d.title == title && d.primary.span.file == where.file &&
        d.primary.span.begin == where.begin && d.primary.span.end == where.end)
      return dropped;
  errors += severity == Severity::Error;
  Diag &d = diags.emplace_back();
  d.severity = severity;
  d.code = code;
  d.title = std::move(title);
  d.primary.span = where;
  return d;
}
Diag &DiagEngine::error(std::string_view code, Span where, std::string title) {
  return add(Severity::Error, code, where, std::move(title));
}
Diag &DiagEngine::warning(std::string_view code, Span where, std::string title) {
  return add(Severity::Warning, code, where, std::move(title));
}
Diag &DiagEngine::noteAt(std::string_view code, Span where, std::string title) {
  return add(Severity::Note, code, where, std::move(title));
}

const std::vector<DiagKind> &diagKinds() {
  static const std::vector<DiagKind> kinds = {
#define R1_DIAG(code, name, explanation) {#code, name, explanation},
#include "compiler/diag/Diags.def"
  };
  return kinds;
}

const DiagKind *findDiagKind(std::string_view code) {
  for (const DiagKind &k : diagKinds())
    if (code == k.code)
      return &k;
  return nullptr;
}

std::string nearest(std::string_view word, const std::vector<std::string> &candidates) {
  std::string best;
  size_t bestDistance = std::max<size_t>(1, word.size() / 3) + 1;
  for (const std::string &c : candidates) {
    size_t d = editDistance(word, c);
    if (d < bestDistance) {
      bestDistance = d;
      best = c;
    }
  }
  return best;
}

namespace {

const char *severityName(Severity s) {
  return s == Severity::Error ? "error" : s == Severity::Warning ? "warning" : "note";
}

struct Painter {
  bool color;
  std::string paint(const char *code, const std::string &s) const {
    return color ? std::string("\033[") + code + "m" + s + "\033[0m" : s;
  }
};

/// One place to underline on one line.
struct Mark {
  uint32_t line, column, width;
  bool primary;
  std::string text;
};

} // namespace

std::string render(const Diag &d, const SourceManager &sm, bool color) {
  Painter p{color};
  const char *hue = d.severity == Severity::Error ? "1;31" : d.severity == Severity::Warning ? "1;33" : "1;36";
  std::string out = p.paint(hue, severityName(d.severity) +
                                     (d.code.empty() ? std::string() : "[" + d.code + "]")) +
                    p.paint("1", ": " + d.title) + "\n";
  if (!sm.has(d.primary.span.file)) {
    for (auto &n : d.notes)
      out += "   = " + n + "\n";
    for (auto &h : d.helps)
      out += "   = help: " + h.text + "\n";
    return out;
  }

  // Places of the primary's file are shown together, others after them under their own header.
  std::vector<uint32_t> order = {d.primary.span.file};
  for (auto &s : d.secondary)
    if (sm.has(s.span.file) && std::find(order.begin(), order.end(), s.span.file) == order.end())
      order.push_back(s.span.file);
  size_t gutter = 2;
  std::vector<std::vector<Mark>> marks(order.size());
  auto mark = [&](const Label &l, bool primary) {
    if (!sm.has(l.span.file))
      return;
    const SourceFile &f = sm.file(l.span.file);
    auto at = f.place(l.span.begin);
    std::string_view line = f.line(at.line);
    uint32_t room = width(line) + 1 - std::min(at.column, width(line) + 1);
    uint32_t w = width(sm.text({l.span.file, l.span.begin,
                                std::min<uint32_t>(l.span.end, f.lineStarts[at.line - 1] + uint32_t(line.size()))}));
    w = std::max<uint32_t>(1, std::min(w, std::max<uint32_t>(room, 1)));
    gutter = std::max(gutter, std::to_string(at.line).size());
    size_t file = size_t(std::find(order.begin(), order.end(), l.span.file) - order.begin());
    marks[file].push_back({at.line, at.column, w, primary, l.text});
  };
  mark(d.primary, true);
  for (auto &s : d.secondary)
    mark(s, false);

  std::string pad(gutter + 1, ' ');
  for (size_t i = 0; i < order.size(); ++i) {
    auto &ms = marks[i];
    Span head = d.primary.span;
    if (i > 0)
      for (auto &s : d.secondary)
        if (s.span.file == order[i]) {
          head = s.span;
          break;
        }
    out += pad + p.paint("34", "┌─ ") + sm.where(head) + "\n";
    std::sort(ms.begin(), ms.end(), [](const Mark &a, const Mark &b) {
      return a.line != b.line ? a.line < b.line : a.column < b.column;
    });
    const SourceFile &f = sm.file(order[i]);
    uint32_t last = 0;
    for (const Mark &m : ms) {
      if (m.line != last) {
        if (last && m.line > last + 1)
          out += pad + p.paint("34", "·") + "\n";
        std::string number = std::to_string(m.line);
        out += std::string(gutter - number.size(), ' ') + p.paint("34", number + " │ ") +
               std::string(f.line(m.line)) + "\n";
      }
      last = m.line;
      // Tabs keep their width under the caret.
      std::string lead;
      std::string_view line = f.line(m.line);
      uint32_t columns = 1;
      for (size_t b = 0; b < line.size() && columns < m.column; ++b) {
        if ((line[b] & 0xC0) == 0x80)
          continue;
        lead += line[b] == '\t' ? '\t' : ' ';
        ++columns;
      }
      out += pad + p.paint("34", "│ ") + lead +
             p.paint(m.primary ? hue : "34",
                     std::string(m.width, m.primary ? '^' : '-') + (m.text.empty() ? "" : " " + m.text)) +
             "\n";
    }
  }
  auto block = [&](const std::string &lead, const std::string &text) {
    std::string indent(gutter + 3, ' ');
    out += pad + p.paint("34", "= ") + lead;
    for (char c : text) {
      out += c;
      if (c == '\n')
        out += indent;
    }
    out += "\n";
  };
  for (auto &n : d.notes)
    block("", n);
  for (auto &h : d.helps)
    block("help: ", h.text);
  return out;
}

std::string renderJson(const Diag &d, const SourceManager &sm) {
  using nlohmann::json;
  auto range = [&](Span s) -> json {
    if (!sm.has(s.file))
      return nullptr;
    const SourceFile &f = sm.file(s.file);
    auto a = f.place(s.begin), b = f.place(s.end);
    return {{"file", f.path},
            {"start", {{"line", a.line - 1}, {"character", a.column - 1}}},
            {"end", {{"line", b.line - 1}, {"character", b.column - 1}}}};
  };
  json j = {{"event", "diagnostic"}, {"v", 1},
            {"severity", severityName(d.severity)},
            {"code", d.code},
            {"message", d.title},
            {"range", range(d.primary.span)},
            {"label", d.primary.text},
            {"related", json::array()},
            {"notes", d.notes},
            {"fixes", json::array()}};
  for (auto &s : d.secondary)
    j["related"].push_back({{"range", range(s.span)}, {"message", s.text}});
  for (auto &h : d.helps)
    j["fixes"].push_back({{"message", h.text},
                          {"range", range(h.edit)},
                          {"newText", h.edit.valid() ? json(h.replacement) : json(nullptr)}});
  return j.dump(-1, ' ', false, json::error_handler_t::replace);
}

} // namespace r1
