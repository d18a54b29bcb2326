// The layout of `r1c fmt`. It works on tokens, so it cannot change what a program means: between
// the same tokens it decides line breaks, indentation, alignment and spaces.
//
//   1. Breaks. Those of the author stay, except that operators move to where they may stand
//      (+ * / and or ?? |> then else lead a line) and closing brackets to where they belong.
//   2. Indentation. Two columns for each bracket that is broken and for each continuation.
//      Parameters, lists and records whose first item shares the line of their bracket hang
//      behind it; so do calls if the author hung them.
//   3. Alignment. The = of neighbouring lets, params, stages and named items; trailing comments.
//   4. A line that is wider than 100 columns is broken at its outermost place, and 2 to 4 are
//      done again.
#include "compiler/syntax/FormatElements.h"
#include "compiler/syntax/Printer.h"
#include <map>

namespace r1 {

namespace {

using namespace fmt;

constexpr int maxColumns = 100;

class Formatter : Elements {
public:
  using Elements::Elements;

  std::string run() {
    settle();
    // Each round breaks what is too wide; a line offers finitely many places.
    for (int round = 0; round < 200; ++round) {
      lay();
      if (!breakWideLines())
        break;
      placeClosers();
      link();
    }
    return print();
  }

private:
  // ── 2. and 3. lines ─────────────────────────────────────────────────────

  struct Line {
    int first = 0, last = 0; // elements, without the trailing comment
    int comment = -1;
    int indent = 0;
    std::string text;
    int width = 0;
  };

  /// Items of one bracket on neighbouring lines whose = has the same role.
  struct Run {
    std::vector<int> items;
    Role role = Role::None;
  };

  /// Finds the spaces that make neighbours line up.
  void align() {
    pads.clear();
    std::map<int, Run> runs; // of each bracket
    for (int i = 0; i < int(els.size()); ++i) {
      const Element &e = els[size_t(i)];
      Run &run = runs[e.parent];
      if (e.comment && e.breakBefore && startsItem(i))
        finish(run);
      bool lineStart = i == 0 || e.breakBefore;
      if (e.comment || closes(e.kind) || !lineStart || !startsItem(i))
        continue;
      int equal = equalOf(i);
      Role role = equal < 0 ? Role::None : els[size_t(equal)].role;
      // A stage over several lines ends its run.
      bool tall = role == Role::StageEqual && !run.items.empty() &&
                  std::any_of(els.begin() + run.items.back() + 1, els.begin() + i,
                              [](const Element &x) { return x.breakBefore; });
      if (role != run.role || e.blankBefore || equal < 0 || tall)
        finish(run);
      run.role = role;
      if (equal >= 0)
        run.items.push_back(i);
    }
    for (auto &[bracket, run] : runs)
      finish(run);
  }

  /// The = of the item that begins at `i`, if it takes part in alignment and stands on its line.
  int equalOf(int i) const {
    auto role = [&](int k) { return k < int(els.size()) ? els[size_t(k)].role : Role::None; };
    auto sameLine = [&](int k) {
      for (int j = i + 1; j <= k; ++j)
        if (els[size_t(j)].breakBefore || els[size_t(j)].comment)
          return -1;
      return k;
    };
    if (role(i + 1) == Role::ArgEqual)
      return sameLine(i + 1);
    if (els[size_t(i)].kind == Tok::Let && role(i + 2) == Role::LetEqual)
      return sameLine(i + 2);
    if (els[size_t(i)].text == "stage" && role(i + 2) == Role::StageEqual)
      return sameLine(i + 2);
    if (els[size_t(i)].text == "param" && role(i + 2) == Role::ParamColon)
      for (int k = i + 3; k < int(els.size()) && !els[size_t(k)].breakBefore; ++k)
        if (role(k) == Role::ParamEqual)
          return sameLine(k);
    return -1;
  }

  void finish(Run &run) {
    bool param = run.role == Role::ParamEqual; // these have two columns: the type, and the =
    int widest = 0, widestType = 0;
    auto widthOf = [&](int first, int last) { return int(columnsOf(flat(first, last))); };
    auto keyOf = [&](int i) { return param ? i + 2 : equalOf(i) - 1; };
    for (int i : run.items) {
      widest = std::max(widest, widthOf(i, keyOf(i)));
      if (param)
        widestType = std::max(widestType, widthOf(i + 3, equalOf(i) - 1));
    }
    for (int i : run.items) {
      pads[keyOf(i) + 1] = widest - widthOf(i, keyOf(i));
      if (param)
        pads[equalOf(i)] = widestType - widthOf(i + 3, equalOf(i) - 1);
    }
    run.items.clear();
  }

  /// What is known about an open bracket (or the file) while lines are laid.
  struct Context {
    int open = -1;
    int indent = 0;       // of items
    int close = 0;        // of the closing bracket
    int base = 0;         // of the line that began last in it
    int continuation = 0; // of lines that continue an item
    bool group = false;   // ( ) around an expression
    std::vector<int> ifs; // indentation of the lines with an unfinished if
  };

  void lay() {
    align();
    lines.clear();
    std::vector<Context> stack(1);
    stack[0].continuation = 2;
    Line line;
    bool begun = false;
    auto finish = [&] {
      if (begun)
        lines.push_back(std::move(line));
      line = Line();
      begun = false;
    };
    for (int i = 0; i < int(els.size()); ++i) {
      const Element &e = els[size_t(i)];
      if (e.comment && !e.breakBefore && begun) {
        line.comment = i;
        continue;
      }
      bool item = startsItem(i) && !(!e.comment && closes(e.kind));
      if (e.breakBefore || !begun) {
        finish();
        begun = true;
        line.first = i;
        line.indent = indentOf(i, item, stack.back());
        line.text = std::string(size_t(line.indent), ' ');
        line.width = line.indent;
      } else {
        std::string space = gap(i);
        if (auto p = pads.find(i); p != pads.end())
          space += std::string(size_t(p->second), ' ');
        line.text += space;
        line.width += int(space.size());
        if (item && !e.comment)
          newItem(stack.back(), stack.back().indent);
      }
      line.last = i;
      int column = line.width;
      line.text += e.text;
      size_t nl = e.text.rfind('\n');
      line.width = nl == std::string::npos
                       ? line.width + int(columnsOf(e.text))
                       : int(columnsOf(std::string_view(e.text).substr(nl + 1)));
      if (e.comment)
        continue;
      if (closes(e.kind) && stack.size() > 1)
        stack.pop_back();
      else if (opens(e.kind))
        stack.push_back(enter(i, column, stack.back()));
      else if (e.kind == Tok::If)
        stack.back().ifs.push_back(std::max(line.first == i ? line.indent : 0, stack.back().base));
      else if (e.kind == Tok::Else && !stack.back().ifs.empty())
        stack.back().ifs.pop_back();
    }
    finish();
  }

  static void newItem(Context &c, int indent) {
    c.base = indent;
    c.continuation = c.group ? indent : indent + 2;
    c.ifs.clear();
  }

  int indentOf(int i, bool item, Context &c) const {
    const Element &e = els[size_t(i)];
    if (!e.comment && closes(e.kind))
      return c.close;
    if (item) {
      if (!e.comment)
        newItem(c, c.indent);
      return c.indent;
    }
    if (e.comment)
      return c.continuation;
    if ((e.kind == Tok::Then || e.kind == Tok::Else) && !c.ifs.empty()) {
      c.base = c.ifs.back() + 2;
      c.continuation = c.base + 2;
      return c.base;
    }
    int before = tokenBefore(i);
    Tok last = before < 0 ? Tok::End : els[size_t(before)].kind;
    if (last == Tok::Equal || last == Tok::FatArrow) {
      c.base += 2;
      c.continuation = c.base + 2;
      return c.base;
    }
    c.base = c.continuation;
    return c.base;
  }

  Context enter(int i, int column, const Context &outer) const {
    const Element &e = els[size_t(i)];
    Context c;
    c.open = i;
    c.close = outer.base;
    c.group = e.kind == Tok::LParen && e.role == Role::None;
    bool direct = false; // is it broken between its own items?
    for (int k = i + 1; k < e.match && !direct; ++k)
      direct =
          els[size_t(k)].parent == i && els[size_t(k)].breakBefore && !closes(els[size_t(k)].kind);
    if (!direct) {
      c.indent = outer.base; // whatever breaks inside of it counts alone
    } else if (hangs(i)) {
      c.indent = column + 1;
      c.close = column;
    } else {
      c.indent = outer.base + 2;
    }
    newItem(c, c.indent);
    return c;
  }

  /// Do the items of this bracket stand behind it rather than two columns in?
  bool hangs(int open) const {
    const Element &e = els[size_t(open)];
    const Element &first = els[size_t(open) + 1];
    if (first.breakBefore || first.comment || e.role == Role::Braces)
      return false;
    if (e.role != Role::CallParen)
      return true;
    for (int k = open + 2; k < e.match; ++k) {
      const Element &x = els[size_t(k)];
      if (x.parent == open && x.breakBefore && !x.comment && startsItem(k))
        return sourceColumn(x.begin) == sourceColumn(e.begin) + 1;
    }
    return true;
  }

  // ── 4. wide lines ───────────────────────────────────────────────────────

  bool breakWideLines() {
    bool any = false;
    for (const Line &l : lines)
      if (l.width > maxColumns && !els[size_t(l.first)].comment &&
          l.text.find('\n') == std::string::npos)
        any = breakLine(l) || any;
    return any;
  }

  bool breakAt(int i) {
    Element &e = els[size_t(i)];
    if (e.breakBefore || e.comment)
      return false;
    return e.breakBefore = true;
  }

  bool breakLine(const Line &l) {
    // Columns of the elements on this line.
    std::vector<int> begin, end;
    int column = l.indent;
    for (int i = l.first; i <= l.last; ++i) {
      if (i > l.first)
        column += int(gap(i).size()) + (pads.contains(i) ? pads.at(i) : 0);
      begin.push_back(column);
      column += int(columnsOf(els[size_t(i)].text));
      end.push_back(column);
    }
    auto endOf = [&](int i) { return i > l.last ? column : end[size_t(i - l.first)]; };
    auto beginOf = [&](int i) { return begin[size_t(i - l.first)]; };
    int home = els[size_t(l.first)].parent;
    if (closes(els[size_t(l.first)].kind))
      home =
          els[size_t(l.first)].match >= 0 ? els[size_t(els[size_t(l.first)].match)].parent : home;

    // Pipes at the level of the line.
    bool any = false;
    for (int i = l.first + 1; i <= l.last; ++i)
      if (els[size_t(i)].kind == Tok::PipeRight && els[size_t(i)].parent == home)
        any = breakAt(i) || any;
    if (any)
      return true;
    // The body of a function goes to its own line.
    if (els[size_t(l.first)].kind == Tok::Fn)
      for (int i = l.first + 1; i < l.last; ++i)
        if (els[size_t(i)].kind == Tok::Equal && els[size_t(i)].parent == home)
          return breakAt(i + 1);
    // Items that hang fill their lines: one that crosses the edge begins the next.
    int filled = -2, shift = 0;
    for (int i = l.first + 1; i <= l.last; ++i) {
      const Element &e = els[size_t(i)];
      if (e.comment || e.parent < 0 || (filled != -2 && e.parent != filled) || !startsItem(i) ||
          tokenBefore(i) == e.parent)
        continue;
      const Element &b = els[size_t(e.parent)];
      bool here = e.parent >= l.first;
      if (here && b.role != Role::ParamsParen && b.role != Role::ListBracket)
        continue;
      int stop = i; // the last element of the item
      while (stop + 1 < b.match &&
             !(els[size_t(stop) + 1].parent == e.parent && startsItem(stop + 1)))
        ++stop;
      int home = here ? beginOf(e.parent) + 1 : l.indent;
      bool fits = home + endOf(stop) - beginOf(i) < maxColumns;
      if (beginOf(i) - shift > maxColumns || endOf(stop) - shift <= maxColumns || !fits)
        continue;
      any = breakAt(i) || any;
      filled = e.parent;
      shift = beginOf(i) - home;
    }
    if (any)
      return true;
    // The outermost bracket that crosses the edge: one item per line.
    for (int i = l.first; i <= l.last; ++i) {
      const Element &e = els[size_t(i)];
      if (e.comment || !opens(e.kind) || e.match == i + 1 || e.role == Role::Subscript ||
          e.role == Role::None || els[size_t(i) + 1].breakBefore)
        continue;
      if (beginOf(i) >= maxColumns || endOf(e.match) <= maxColumns)
        continue;
      // A single item that is itself a list takes the breaks: f({...}).
      bool single = true;
      for (int k = i + 2; k < e.match && single; ++k)
        single = !(els[size_t(k)].parent == i && startsItem(k));
      if (single && opens(els[size_t(i) + 1].kind) && els[size_t(i) + 1].match == e.match - 1 &&
          els[size_t(i) + 1].role != Role::None)
        continue;
      for (int k = i + 1; k < e.match; ++k)
        if (els[size_t(k)].parent == i && startsItem(k))
          any = breakAt(k) || any;
      if (any)
        return true;
    }
    // The loosest operator at the level of the line.
    static const std::vector<std::vector<Tok>> loosest = {
        {Tok::Then, Tok::Else}, {Tok::QuestionQuestion}, {Tok::Or}, {Tok::And}, {Tok::Plus},
        {Tok::Star, Tok::Slash}};
    for (int level : {home, -2})
      for (auto &ops : loosest) {
        for (int i = l.first + 1; i <= l.last; ++i)
          if (std::find(ops.begin(), ops.end(), els[size_t(i)].kind) != ops.end() &&
              (els[size_t(i)].parent == level || level == -2))
            any = breakAt(i) || any;
        if (any)
          return true;
      }
    for (int i = l.first; i < l.last; ++i)
      if ((els[size_t(i)].kind == Tok::FatArrow || els[size_t(i)].kind == Tok::Equal) &&
          endOf(i) <= maxColumns)
        any = breakAt(i + 1) || any;
    return any;
  }

  // ── text ────────────────────────────────────────────────────────────────

  std::string print() {
    // Trailing comments of neighbouring lines share a column: the author's, if it is free.
    std::vector<int> column(lines.size(), 0);
    for (size_t i = 0; i < lines.size();) {
      size_t j = i;
      int free = 0, wanted = 0, longest = 0;
      for (; j < lines.size() && lines[j].comment >= 0 &&
             (j == i || !els[size_t(lines[j].first)].blankBefore);
           ++j) {
        const Element &c = els[size_t(lines[j].comment)];
        free = std::max(free, lines[j].width + 2);
        wanted = std::max(wanted, sourceColumn(c.begin));
        longest = std::max(longest, int(columnsOf(c.text)));
      }
      if (wanted < free || wanted + longest > maxColumns)
        wanted = free;
      for (; i < j; ++i)
        column[i] = wanted;
      if (j < lines.size() && lines[j].comment < 0)
        i = j + 1;
    }
    std::string out;
    for (size_t i = 0; i < lines.size(); ++i) {
      if (els[size_t(lines[i].first)].blankBefore)
        out += "\n";
      out += lines[i].text;
      if (lines[i].comment >= 0)
        out += std::string(size_t(std::max(2, column[i] - lines[i].width)), ' ') +
               els[size_t(lines[i].comment)].text;
      out += "\n";
    }
    return out;
  }

  std::vector<Line> lines;
  std::map<int, int> pads; // element -> spaces before it
};

} // namespace

std::string format(const File &f, const SourceManager &sm) { return Formatter(f.id, sm).run(); }

} // namespace r1
