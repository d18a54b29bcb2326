// How a diagnostic looks in a terminal. The layout is tested as text: test/diag, test/*/errors.
#include "compiler/diag/Diag.h"
#include <algorithm>
#include <map>

namespace r1 {

namespace {

/// Lines of source longer than this are shown through a window of this width.
constexpr uint32_t widestLine = 120;
/// A label that would end right of this column stands left of what it labels, if there is room.
constexpr uint32_t rightEdge = 110;

/// What a terminal may be sent: control characters and bytes that are not UTF-8 are replaced.
std::string printable(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    size_t begin = i;
    uint32_t point = nextCodePoint(text, i);
    bool control = point < 0x20 || (point >= 0x7F && point < 0xA0) ||
                   (point >= 0x202A && point <= 0x202E) || (point >= 0x2066 && point <= 0x2069);
    if (point == '\n')
      out += '\n';
    else if (point == '\t')
      out += ' ';
    else if (control || point == 0xFFFD)
      out += "\uFFFD";
    else
      out += text.substr(begin, i - begin);
  }
  return out;
}

/// One line of source as it is shown, and the screen column (from 0) of each of its bytes.
struct ShownLine {
  std::string text;
  std::vector<uint32_t> columns; // one more than there are bytes

  explicit ShownLine(std::string_view line) {
    uint32_t column = 0;
    for (size_t i = 0; i < line.size();) {
      size_t begin = i;
      uint32_t point = nextCodePoint(line, i);
      columns.resize(i, column);
      if (point == '\t') {
        uint32_t stop = column + 4 - column % 4;
        text += std::string(stop - column, ' ');
        column = stop;
        continue;
      }
      std::string shown = printable(line.substr(begin, i - begin));
      text += shown;
      column += columnsOf(shown);
    }
    columns.push_back(column);
  }
  uint32_t width() const { return columns.back(); }

  /// The part in screen columns [left, right), with … where something is cut off.
  std::string window(uint32_t left, uint32_t right) const {
    if (left == 0 && right >= width())
      return text;
    std::string out;
    uint32_t column = 0;
    for (size_t i = 0; i < text.size();) {
      size_t begin = i;
      uint32_t w = columnsOf(nextCodePoint(text, i));
      if (column >= left && column + w <= right) {
        bool cut =
            w > 0 && ((column == left && left > 0) || (column + w == right && right < width()));
        out += cut ? "…" + std::string(w - 1, ' ') : text.substr(begin, i - begin);
      } else if (column < left && column + w > left) {
        out += "…"; // half of a wide character
      }
      column += w;
    }
    return out;
  }
};

/// One place to underline on one line; columns on the screen, from 0.
struct Mark {
  uint32_t begin, end;
  bool primary;
  std::string text;
};

class Renderer {
public:
  Renderer(const SourceManager &sm, bool color) : sm(sm), color(color) {}

  std::string render(const Diag &d) {
    severity = d.severity;
    const char *name = severity == Severity::Error     ? "error"
                       : severity == Severity::Warning ? "warning"
                                                       : "note";
    paint(hue(), name + (d.code.empty() ? std::string() : "[" + d.code + "]"));
    paint("1", ": " + printable(d.title));
    out += "\n";
    places(d);
    for (const std::string &n : d.notes) {
      paint("34", pad() + "= ");
      paragraph(printable(n));
    }
    // Several helps are alternatives: one `=`, and each its own line.
    for (size_t i = 0; i < d.helps.size(); ++i) {
      paint("34", pad() + (i ? "  " : "= "));
      paint("32", "help: ");
      paragraph(printable(d.helps[i].text));
    }
    return std::move(out);
  }

private:
  const char *hue() const {
    return severity == Severity::Error ? "1;31" : severity == Severity::Warning ? "1;33" : "1;36";
  }
  void paint(const char *code, const std::string &s) {
    out += color ? std::string("\033[") + code + "m" + s + "\033[0m" : s;
  }
  std::string pad() const { return std::string(gutter + 1, ' '); }
  /// The rest of a note; further lines stand under its first character.
  void paragraph(const std::string &text) {
    for (char c : text) {
      out += c;
      if (c == '\n')
        out += pad() + "  ";
    }
    out += "\n";
  }

  void places(const Diag &d) {
    if (!sm.has(d.primary.span.file))
      return;
    // Places of the primary's file are shown together, others after them under their own header.
    std::vector<Label> labels = {d.primary};
    for (const Label &l : d.secondary)
      if (sm.has(l.span.file))
        labels.push_back(l);
    std::vector<uint32_t> files;
    for (const Label &l : labels) {
      if (std::find(files.begin(), files.end(), l.span.file) == files.end())
        files.push_back(l.span.file);
      gutter =
          std::max(gutter, std::to_string(sm.file(l.span.file).place(l.span.begin).line).size());
    }
    for (uint32_t id : files) {
      const SourceFile &f = sm.file(id);
      std::map<uint32_t, std::vector<size_t>> lines; // line -> labels on it
      size_t first = labels.size();
      for (size_t i = 0; i < labels.size(); ++i)
        if (labels[i].span.file == id) {
          lines[f.place(labels[i].span.begin).line].push_back(i);
          first = std::min(first, i);
        }
      paint("34", pad() + "┌─ ");
      out += printable(sm.where(labels[first].span)) + "\n";
      uint32_t last = 0;
      for (auto &[number, which] : lines) {
        if (last && number > last + 1) {
          paint("34", pad() + "·");
          out += "\n";
        }
        last = number;
        line(f, number, labels, which);
      }
    }
  }

  void line(const SourceFile &f, uint32_t number, const std::vector<Label> &labels,
            const std::vector<size_t> &which) {
    std::string_view raw = f.line(number);
    ShownLine shown(raw);
    uint32_t start = f.lineStarts[number - 1];
    std::vector<Mark> marks;
    for (size_t i : which) {
      // A place over several lines is underlined to the end of its first.
      size_t b = std::min<size_t>(labels[i].span.begin - start, raw.size());
      size_t e = std::clamp<size_t>(labels[i].span.end - std::min(labels[i].span.end, start), b,
                                    raw.size());
      while (e > b && (raw[e - 1] == ' ' || raw[e - 1] == '\t'))
        --e;
      uint32_t column = shown.columns[b];
      marks.push_back(
          {column, std::max(column + 1, shown.columns[e]), i == 0, printable(labels[i].text)});
    }
    uint32_t left = 0, right = shown.width();
    if (shown.width() > widestLine) {
      uint32_t from = UINT32_MAX;
      for (const Mark &m : marks)
        from = std::min(from, m.begin);
      left = from > widestLine / 2 ? from - widestLine / 2 : 0;
      right = left + widestLine;
    }
    for (Mark &m : marks) {
      m.begin = std::clamp(m.begin, left, right) - left;
      m.end = std::max(m.begin + 1, std::clamp(m.end, left, right) - left);
    }
    std::string digits = std::to_string(number);
    paint("34", std::string(gutter - digits.size(), ' ') + digits + " │ ");
    out += shown.window(left, right) + "\n";
    underline(std::move(marks));
  }

  /// Rows of underlines with their labels. From the right, each mark goes to the first row in
  /// which nothing would touch it.
  void underline(std::vector<Mark> marks) {
    std::sort(marks.begin(), marks.end(), [](const Mark &a, const Mark &b) {
      return a.begin != b.begin ? a.begin > b.begin : a.primary > b.primary;
    });
    struct Piece {
      uint32_t at;
      std::string text;
      const char *paint;
    };
    struct Row {
      uint32_t left = UINT32_MAX; // where its leftmost piece begins
      std::vector<Piece> pieces;  // from right to left
    };
    std::vector<Row> rows;
    for (size_t i = 0; i < marks.size(); ++i) {
      const Mark &m = marks[i];
      uint32_t label = columnsOf(std::string_view(m.text).substr(0, m.text.find('\n')));
      uint32_t end = m.end + (label ? 1 + label : 0);
      uint32_t nextEnd = i + 1 < marks.size() ? marks[i + 1].end : 0; // of the mark to the left
      bool before = label && end > rightEdge && m.begin >= nextEnd + label + 3;
      size_t r = 0;
      while (r < rows.size() && (before ? m.end : end) + 1 > rows[r].left)
        ++r;
      if (r == rows.size())
        rows.emplace_back();
      Row &row = rows[r];
      const char *paint = m.primary ? hue() : "34";
      std::string line(m.end - m.begin, m.primary ? '^' : '-');
      if (before) {
        row.left = m.begin - label - 1;
        row.pieces.push_back({row.left, m.text + " " + line, paint});
      } else {
        row.left = m.begin;
        row.pieces.push_back({m.begin, line + (label ? " " + m.text : ""), paint});
      }
    }
    for (Row &row : rows) {
      paint("34", pad() + "│ ");
      uint32_t column = 0;
      for (auto p = row.pieces.rbegin(); p != row.pieces.rend(); ++p) {
        out += std::string(p->at - column, ' ');
        paint(p->paint, p->text);
        column = p->at + columnsOf(p->text);
      }
      out += "\n";
    }
  }

  const SourceManager &sm;
  bool color;
  Severity severity{};
  size_t gutter = 2;
  std::string out;
};

} // namespace

std::string render(const Diag &d, const SourceManager &sm, bool color) {
  return Renderer(sm, color).render(d);
}

} // namespace r1
