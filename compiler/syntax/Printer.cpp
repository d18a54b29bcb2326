// fmt's layout. An expression is printed on one line if it fits and holds no comment; otherwise it
// breaks at its outermost list or operator. A list whose first item stands on its own line in the
// source stays broken: that is the one choice an author has.
#include "compiler/syntax/Printer.h"
#include <algorithm>
#include <map>

namespace r1 {

namespace {

constexpr int columns = 100;

std::string escaped(const std::string &s, bool triple) {
  std::string out;
  for (size_t i = 0; i < s.size(); ++i) {
    char c = s[i];
    if (c == '\\')
      out += "\\\\";
    else if (c == '\n' && !triple)
      out += "\\n";
    else if (c == '\t')
      out += "\\t";
    else if (c == '"' && (!triple || (i + 1 < s.size() && s[i + 1] == '"') || i + 1 == s.size()))
      out += "\\\"";
    else if (c == '$' && i + 1 < s.size() && s[i + 1] == '{')
      out += "\\$";
    else if (uint8_t(c) < 0x20 && c != '\n') {
      char buffer[12];
      snprintf(buffer, sizeof buffer, "\\u{%x}", unsigned(uint8_t(c)));
      out += buffer;
    } else
      out += c;
  }
  return out;
}

/// Source bytes of a number and its unit, as written.
std::string numberText(const Expr &e, const SourceManager *sm) {
  if (sm)
    return std::string(sm->text(e.span));
  char buffer[64];
  if (e.kind == Expr::Int)
    snprintf(buffer, sizeof buffer, "%lld", static_cast<long long>(e.integer));
  else
    snprintf(buffer, sizeof buffer, "%.17g", e.number);
  return buffer + std::string(e.unit);
}

/// One line, no comments. With `names` set, lambda parameters are renamed in order of appearance.
class Flat {
public:
  explicit Flat(const SourceManager *sm, bool rename) : sm(sm), rename(rename) {}

  std::string expr(const Expr &e) {
    switch (e.kind) {
    case Expr::Int:
    case Expr::Float:
      return numberText(e, sm);
    case Expr::String: {
      std::string s = "\"";
      for (size_t i = 0; i < e.parts.size(); ++i) {
        s += escaped(e.parts[i], false);
        if (i < e.kids.size())
          s += "${" + expr(*e.kids[i]) + "}";
      }
      return s + "\"";
    }
    case Expr::Regex:
      return "re\"" + e.text + "\"";
    case Expr::Bool:
      return e.integer ? "true" : "false";
    case Expr::None:
      return "none";
    case Expr::Name:
      return name(e.name);
    case Expr::List: {
      std::string s = "[";
      for (size_t i = 0; i < e.kids.size(); ++i)
        s += (i ? ", " : "") + expr(*e.kids[i]);
      return s + "]";
    }
    case Expr::Record:
      return "{" + args(e.args) + "}";
    case Expr::Block: {
      std::string s = "{ ";
      size_t scope = bound.size();
      for (const Decl *d : e.stmts)
        s += stmt(*d) + "; ";
      if (!e.kids.empty())
        s += expr(*e.kids[0]) + " ";
      bound.resize(scope);
      return s + "}";
    }
    case Expr::Lambda: {
      size_t scope = bound.size();
      std::string s;
      bool bare = e.params.size() == 1 && !e.params[0].type && !e.params[0].init;
      for (size_t i = 0; i < e.params.size(); ++i) {
        const Parameter &p = e.params[i];
        std::string tail = p.type ? ": " + type(*p.type) : p.init ? " in " + expr(*p.init) : "";
        s += (i ? ", " : "") + bind(p.name) + tail;
      }
      s = bare ? s : "(" + s + ")";
      s += " => " + expr(*e.kids[0]);
      bound.resize(scope);
      return s;
    }
    case Expr::For: {
      size_t scope = bound.size();
      std::string s = "for ";
      for (size_t i = 0; i < e.indices.size(); ++i) {
        const ForIndex &x = e.indices[i];
        std::string tail = x.range ? " in " + expr(*x.range) : "";
        s += (i ? ", " : "") + std::string(x.pack ? "..." : "") + bind(x.name) + tail;
      }
      s += " => " + expr(*e.kids[0]);
      bound.resize(scope);
      return s;
    }
    case Expr::If:
      return "if " + expr(*e.kids[0]) + " then " + expr(*e.kids[1]) + " else " + expr(*e.kids[2]);
    case Expr::Pipe:
      return expr(*e.kids[0]) + " |> " + expr(*e.kids[1]);
    case Expr::Binary: {
      const char *gap = e.op == BinOp::Range ? "" : " ";
      return expr(*e.kids[0]) + gap + spelling(e.op) + gap + expr(*e.kids[1]);
    }
    case Expr::Not:
      return "not " + expr(*e.kids[0]);
    case Expr::Neg:
      return "-" + expr(*e.kids[0]);
    case Expr::Member:
      return expr(*e.kids[0]) + "." + std::string(e.name);
    case Expr::Call:
      return expr(*e.kids[0]) + "(" + args(e.args) + ")";
    case Expr::Index: {
      std::string s = expr(*e.kids[0]) + "[";
      for (size_t i = 0; i < e.subs.size(); ++i)
        s += (i ? ", " : "") +
             (e.subs[i].value ? expr(*e.subs[i].value) : "..." + name(e.subs[i].pack));
      return s + "]";
    }
    case Expr::As:
      return expr(*e.kids[0]) + " as " + type(*e.type);
    case Expr::Paren:
      return "(" + expr(*e.kids[0]) + ")";
    case Expr::Error:
      return "<error>";
    }
    return "";
  }

  std::string type(const TypeExpr &t) {
    std::string s;
    switch (t.kind) {
    case TypeExpr::Named:
      for (size_t i = 0; i < t.path.size(); ++i)
        s += (i ? "." : "") + std::string(t.path[i]);
      if (t.bound)
        s += "<" + expr(*t.bound) + ">";
      if (t.bracketed) {
        s += "[";
        for (size_t i = 0; i < t.dims.size(); ++i) {
          const DimExpr &d = t.dims[i];
          s += i ? ", " : "";
          s += d.size ? expr(*d.size) : d.row ? type(*d.row) : "..." + std::string(d.pack);
        }
        s += "]";
      }
      break;
    case TypeExpr::Record:
      s = "{";
      for (size_t i = 0; i < t.fields.size(); ++i)
        s += (i ? ", " : "") + std::string(t.fields[i].name) + ": " + type(*t.fields[i].type);
      s += "}";
      break;
    case TypeExpr::List:
      s = "[" + type(*t.args[0]) + "]";
      break;
    case TypeExpr::Fn:
      s = "fn(";
      for (size_t i = 0; i < t.args.size(); ++i)
        s += (i ? ", " : "") + type(*t.args[i]);
      s += ") -> " + type(*t.result);
      break;
    }
    return s + (t.optional ? "?" : "");
  }

  std::string args(const std::vector<Arg> &as) {
    std::string s;
    for (size_t i = 0; i < as.size(); ++i)
      s += (i ? ", " : "") + arg(as[i]);
    return s;
  }
  std::string arg(const Arg &a) {
    return (a.spread ? "..." : a.name.empty() ? "" : std::string(a.name) + " = ") + expr(*a.value);
  }
  std::string params(const std::vector<Parameter> &ps) {
    std::string s = "(";
    for (size_t i = 0; i < ps.size(); ++i)
      s += (i ? ", " : "") + param(ps[i]);
    return s + ")";
  }
  std::string param(const Parameter &p) {
    return std::string(p.name) + (p.type ? ": " + type(*p.type) : "") +
           (p.init ? " = " + expr(*p.init) : "");
  }
  std::string stmt(const Decl &d) {
    if (d.kind == Decl::Assert)
      return "assert " + expr(*d.value);
    std::string value = expr(*d.value);
    return "let " + (rename ? bind(d.name) : std::string(d.name)) +
           (d.type ? ": " + type(*d.type) : "") + " = " + value;
  }
  std::string head(const Decl &d) {
    switch (d.kind) {
    case Decl::Import: {
      std::string s = "import ";
      if (d.path.empty())
        s += "\"" + escaped(d.file, false) + "\"";
      for (size_t i = 0; i < d.path.size(); ++i)
        s += (i ? "." : "") + std::string(d.path[i]);
      if (!d.alias.empty())
        s += " as " + std::string(d.alias);
      if (!d.names.empty()) {
        s += " (";
        for (size_t i = 0; i < d.names.size(); ++i)
          s += (i ? ", " : "") + std::string(d.names[i].name);
        s += ")";
      }
      return s;
    }
    case Decl::Let:
      return "let " + std::string(d.name) + (d.type ? ": " + type(*d.type) : "");
    case Decl::TypeAlias: {
      std::string s = "type " + std::string(d.name);
      if (!d.dimNames.empty()) {
        s += "[";
        for (size_t i = 0; i < d.dimNames.size(); ++i)
          s += (i ? ", " : "") + std::string(d.dimNames[i]);
        s += "]";
      }
      return s + " = " + type(*d.type);
    }
    case Decl::Fn:
      return "fn " + std::string(d.name) + params(d.params) +
             (d.type ? " -> " + type(*d.type) : "");
    case Decl::Model:
      return "model " + std::string(d.name) + params(d.params);
    case Decl::Pipeline:
      return "pipeline " + std::string(d.name) + params(d.params);
    case Decl::Test:
      return "test \"" + escaped(d.text, false) + "\"";
    case Decl::Param:
      return "param " + std::string(d.name) + ": " + type(*d.type);
    case Decl::Stage:
      return "stage " + std::string(d.name) + (d.on ? " on " + expr(*d.on) : "");
    case Decl::Assert:
      return "assert";
    }
    return "";
  }
  std::string decl(const Decl &d) {
    size_t scope = bound.size();
    std::string s = head(d);
    if (rename && (d.kind == Decl::Fn || d.kind == Decl::Model))
      for (auto &p : d.params)
        bind(p.name); // positions are in the head already; named arguments keep their names
    bound.resize(scope);
    if (d.attr.present)
      s = "@" + std::string(d.attr.name) +
          (d.attr.args.empty() ? "" : "(" + args(d.attr.args) + ")") + " " + s;
    if (d.value)
      s += " = " + expr(*d.value);
    if (!d.members.empty()) {
      s += " { ";
      for (auto *m : d.members)
        s += decl(*m) + "; ";
      s += "}";
    }
    return s;
  }

private:
  std::string bind(std::string_view n) {
    if (!rename)
      return std::string(n);
    bound.emplace_back(n, "$" + std::to_string(counter++));
    return bound.back().second;
  }
  std::string name(std::string_view n) {
    for (size_t i = bound.size(); i-- > 0;)
      if (bound[i].first == n)
        return bound[i].second;
    return std::string(n);
  }

  const SourceManager *sm;
  bool rename;
  int counter = 0;
  std::vector<std::pair<std::string_view, std::string>> bound;
};

int displayWidth(const std::string &s) {
  return int(std::count_if(s.begin(), s.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

class Formatter {
public:
  Formatter(const File &f, const SourceManager &sm)
      : file(f), sm(sm), text(sm.file(f.id).text), comments(f.comments) {}

  std::string run() {
    if (!file.doc.empty())
      docLines(file.doc, "//!", 0);
    uint32_t last = 0;
    for (const Decl *d : file.decls)
      item(*d, 0, last, [&] { decl(*d, 0); });
    flushComments(UINT32_MAX, 0, last);
    while (!out.empty() && (out.back() == '\n' || out.back() == ' '))
      out.pop_back();
    return out + "\n";
  }

private:
  // ── lines, comments, blank lines ────────────────────────────────────────
  static std::string pad(int indent) { return std::string(size_t(indent), ' '); }

  void newline() {
    while (!out.empty() && out.back() == ' ')
      out.pop_back();
    out += '\n';
  }
  int column() const {
    size_t nl = out.rfind('\n');
    return displayWidth(out.substr(nl == std::string::npos ? 0 : nl + 1));
  }
  /// Is there an empty line in the source between `from` and `to`?
  bool blankBetween(uint32_t from, uint32_t to) const {
    int newlines = 0;
    for (uint32_t i = from; i < to && i < text.size(); ++i) {
      if (text[i] == '\n')
        ++newlines;
      else if (text[i] != ' ' && text[i] != '\t' && text[i] != '\r')
        newlines = 0;
      if (newlines == 2)
        return true;
    }
    return false;
  }
  bool hasComment(Span s) const {
    for (size_t i = nextComment; i < comments.size(); ++i)
      if (comments[i].span.begin >= s.begin && comments[i].span.end <= s.end)
        return true;
    return false;
  }
  void blankIfWanted(uint32_t last, uint32_t begin) {
    if (last && blankBetween(last, begin) && !out.empty()) {
      if (out.size() < 2 || out[out.size() - 2] != '\n' || out.back() != '\n')
        out += '\n';
    }
  }
  /// Own-line comments before byte `before`.
  void flushComments(uint32_t before, int indent, uint32_t &last) {
    while (nextComment < comments.size() && comments[nextComment].span.begin < before) {
      Span s = comments[nextComment++].span;
      if (!out.empty() && out.back() != '\n')
        newline();
      blankIfWanted(last, s.begin);
      out += pad(indent) + std::string(sm.text(s)) + "\n";
      last = s.end;
    }
  }
  /// A comment that ends the source line on which byte `at` lies goes to the end of this line.
  void trailingComment(uint32_t at, uint32_t &last, uint32_t limit = UINT32_MAX) {
    if (nextComment >= comments.size() || comments[nextComment].ownLine)
      return;
    Span s = comments[nextComment].span;
    if (s.begin >= limit)
      return;
    for (uint32_t i = at; i < s.begin; ++i)
      if (text[i] == '\n')
        return;
    if (s.begin < at)
      return;
    ++nextComment;
    out += "  " + std::string(sm.text(s));
    last = s.end;
  }
  void docLines(const std::string &doc, const char *lead, int indent) {
    size_t i = 0;
    while (i <= doc.size()) {
      size_t nl = std::min(doc.find('\n', i), doc.size());
      std::string line = doc.substr(i, nl - i);
      out += pad(indent) + lead + (line.empty() ? "" : " " + line) + "\n";
      i = nl + 1;
    }
  }
  uint32_t beginOf(const Decl &d) const {
    uint32_t b = d.span.begin;
    if (d.doc.empty())
      return b;
    // The doc comment stands on the lines just above.
    for (size_t lines = 1 + size_t(std::count(d.doc.begin(), d.doc.end(), '\n')); lines--;) {
      size_t nl = text.rfind('\n', b ? b - 1 : 0);
      size_t slash = text.rfind("///", b ? b - 1 : 0);
      if (slash == std::string::npos)
        break;
      b = uint32_t(slash);
      (void)nl;
    }
    return b;
  }

  template <class F> void item(const Decl &d, int indent, uint32_t &last, F print) {
    uint32_t begin = beginOf(d);
    flushComments(begin, indent, last);
    bool big =
        indent == 0 && d.kind != Decl::Let && d.kind != Decl::Import && d.kind != Decl::TypeAlias;
    blankIfWanted(last, begin);
    if (big && last && !out.empty() && !out.ends_with("\n\n") && lastWasDecl)
      out += '\n';
    if (!d.doc.empty())
      docLines(d.doc, "///", indent);
    out += pad(indent);
    print();
    last = d.span.end;
    trailingComment(d.span.end, last);
    newline();
    lastWasDecl = true;
  }

  // ── declarations ────────────────────────────────────────────────────────
  void decl(const Decl &d, int indent) {
    if (d.attr.present) {
      out += "@" + std::string(d.attr.name);
      if (!d.attr.args.empty())
        out += "(" + flat().args(d.attr.args) + ")";
      out += "\n" + pad(indent);
    }
    switch (d.kind) {
    case Decl::Fn:
      head(d, indent);
      if (!d.value)
        return;
      out += d.block ? " " : " = ";
      return bodyAfterEqual(*d.value, indent);
    case Decl::Model:
    case Decl::Pipeline: {
      head(d, indent);
      out += " {";
      uint32_t last = 0;
      trailingComment(bodyBegin(d), last);
      newline();
      last = bodyBegin(d);
      for (const Decl *m : d.members)
        item(*m, indent + 2, last, [&] { decl(*m, indent + 2); });
      flushComments(d.span.end, indent + 2, last);
      out += pad(indent) + "}";
      return;
    }
    case Decl::Test:
      out += flat().head(d) + " ";
      return block(*d.value, indent);
    case Decl::Import:
    case Decl::TypeAlias:
      out += flat().head(d);
      return;
    case Decl::Assert:
      out += "assert ";
      return expr(*d.value, indent + 2);
    case Decl::Let:
    case Decl::Param:
    case Decl::Stage:
      out += flat().head(d) + " = ";
      return bodyAfterEqual(*d.value, indent);
    }
  }

  uint32_t bodyBegin(const Decl &d) const {
    uint32_t from = d.nameSpan.end;
    for (auto &p : d.params)
      from = std::max(from, p.span.end);
    size_t brace = text.find('{', from);
    return brace == std::string::npos ? from : uint32_t(brace) + 1;
  }

  void head(const Decl &d, int indent) {
    std::string one = flat().head(d);
    if (column() + displayWidth(one) + 2 <= columns) {
      out += one;
      return;
    }
    out += d.kind == Decl::Fn ? "fn " : d.kind == Decl::Model ? "model " : "pipeline ";
    out += std::string(d.name) + "(";
    int hang = column();
    for (size_t i = 0; i < d.params.size(); ++i) {
      std::string p = flat().param(d.params[i]) + (i + 1 < d.params.size() ? "," : ")");
      if (i && column() + 1 + displayWidth(p) > columns)
        out += "\n" + pad(hang);
      else if (i)
        out += " ";
      out += p;
    }
    if (d.params.empty())
      out += ")";
    if (d.type)
      out += " -> " + flat().type(*d.type);
    (void)indent;
  }

  Flat flat() const { return Flat(&sm, false); }

  static bool breaksInside(const Expr &e) {
    switch (e.kind) {
    case Expr::Block:
    case Expr::Record:
    case Expr::List:
    case Expr::Call:
    case Expr::Paren:
    case Expr::Lambda:
    case Expr::String:
      return true;
    case Expr::Pipe:
      return true;
    default:
      return false;
    }
  }

  /// After `=`: on this line if it fits or can break inside itself, else on the next.
  void bodyAfterEqual(const Expr &e, int indent) {
    if (fits(e, 0) || breaksInside(e))
      return expr(e, indent);
    while (out.back() == ' ')
      out.pop_back();
    out += "\n" + pad(indent + 2);
    expr(e, indent + 2);
  }

  // ── expressions ─────────────────────────────────────────────────────────
  /// Must this stay over several lines (blocks, triple strings, comments, a list kept broken)?
  bool mustBreak(const Expr &e) const {
    if (hasComment(e.span))
      return true;
    if (e.kind == Expr::Block && !(e.stmts.empty() && !e.kids.empty() && oneLine(e.span)))
      return true;
    if (e.kind == Expr::String && e.triple)
      return true;
    if ((e.kind == Expr::Call || e.kind == Expr::Record) && !e.args.empty() && keptBroken(e))
      return true;
    if (e.kind == Expr::List && !e.kids.empty() && keptBroken(e))
      return true;
    if (e.kind == Expr::Pipe && pipeBroken(e))
      return true;
    bool any = false;
    forEachChild(e, [&](const Expr &k) { any = any || mustBreak(k); });
    return any;
  }
  bool oneLine(Span s) const { return sm.text(s).find('\n') == std::string_view::npos; }
  /// The first item stands on another line than the opening bracket.
  bool keptBroken(const Expr &e) const {
    uint32_t open = e.kind == Expr::Call ? e.kids[0]->span.end : e.span.begin;
    uint32_t first = e.kind == Expr::List ? e.kids[0]->span.begin : e.args[0].span.begin;
    return std::string_view(text).substr(open, first - open).find('\n') != std::string_view::npos;
  }
  bool pipeBroken(const Expr &e) const {
    uint32_t a = e.kids[0]->span.end, b = e.kids[1]->span.begin;
    return std::string_view(text).substr(a, b - a).find('\n') != std::string_view::npos;
  }
  bool fits(const Expr &e, int extra) const {
    return !mustBreak(e) && column() + displayWidth(flat().expr(e)) + extra <= columns;
  }

  void expr(const Expr &e, int indent, int extra = 0) {
    if (fits(e, extra)) {
      if (e.kind == Expr::Block)
        return blockLine(e);
      out += flat().expr(e);
      return;
    }
    switch (e.kind) {
    case Expr::Block:
      return block(e, indent);
    case Expr::String:
      if (e.triple)
        return tripleString(e, indent);
      out += flat().expr(e);
      return;
    case Expr::Record:
      return argList(e.args, "{", "}", e.span, indent);
    case Expr::List:
      return exprList(e, indent);
    case Expr::Call:
      expr(*e.kids[0], indent);
      // A single argument that breaks by itself hugs the parentheses.
      if (e.args.size() == 1 && !keptBroken(e) && breaksInside(*e.args[0].value) &&
          e.args[0].value->kind != Expr::Call) {
        out += "(" + (e.args[0].spread         ? "..."
                      : e.args[0].name.empty() ? std::string()
                                               : std::string(e.args[0].name) + " = ");
        expr(*e.args[0].value, indent, 1);
        out += ")";
        return;
      }
      return argList(e.args, "(", ")", {e.span.file, e.kids[0]->span.end, e.span.end}, indent);
    case Expr::Lambda: {
      std::string head;
      bool bare = e.params.size() == 1 && !e.params[0].type && !e.params[0].init;
      for (size_t i = 0; i < e.params.size(); ++i) {
        const Parameter &p = e.params[i];
        head += (i ? ", " : "") + std::string(p.name) +
                (p.type   ? ": " + flat().type(*p.type)
                 : p.init ? " in " + flat().expr(*p.init)
                          : "");
      }
      out += (bare ? head : "(" + head + ")") + " => ";
      return bodyAfterArrow(*e.kids[0], indent, extra);
    }
    case Expr::For: {
      std::string s = "for ";
      for (size_t i = 0; i < e.indices.size(); ++i) {
        const ForIndex &x = e.indices[i];
        s += (i ? ", " : "") + std::string(x.pack ? "..." : "") + std::string(x.name) +
             (x.range ? " in " + flat().expr(*x.range) : "");
      }
      out += s + " => ";
      return bodyAfterArrow(*e.kids[0], indent, extra);
    }
    case Expr::If: {
      out += "if ";
      expr(*e.kids[0], indent + 2);
      out += "\n" + pad(indent + 2) + "then ";
      expr(*e.kids[1], indent + 4);
      out += "\n" + pad(indent + 2) + "else ";
      return expr(*e.kids[2], indent + 2, extra);
    }
    case Expr::Pipe: {
      expr(*e.kids[0], indent);
      bool lineBreak =
          pipeBroken(e) || e.kids[0]->kind == Expr::Pipe || !fits(*e.kids[1], 4 + extra);
      out += lineBreak ? "\n" + pad(indent + 2) + "|> " : " |> ";
      return expr(*e.kids[1], indent + 2, extra);
    }
    case Expr::Binary: {
      expr(*e.kids[0], indent);
      std::string gap = e.op == BinOp::Range ? "" : " ";
      // `-`, `@` and comparisons end a line; what may lead a line leads it.
      bool leads = e.op == BinOp::Coalesce || e.op == BinOp::Or || e.op == BinOp::And ||
                   e.op == BinOp::Add || e.op == BinOp::Mul || e.op == BinOp::Div;
      std::string op = spelling(e.op);
      if (fits(*e.kids[1], int(op.size()) + 2 + extra)) {
        out += gap + op + gap;
        return expr(*e.kids[1], indent, extra);
      }
      if (leads)
        out += "\n" + pad(indent + 2) + op + " ";
      else
        out += gap + op + gap;
      return expr(*e.kids[1], indent + 2, extra);
    }
    case Expr::Not:
      out += "not ";
      return expr(*e.kids[0], indent, extra);
    case Expr::Neg:
      out += "-";
      return expr(*e.kids[0], indent, extra);
    case Expr::Member:
      expr(*e.kids[0], indent);
      out += "." + std::string(e.name);
      return;
    case Expr::Index: {
      expr(*e.kids[0], indent);
      out += "[";
      for (size_t i = 0; i < e.subs.size(); ++i) {
        out += i ? ", " : "";
        if (e.subs[i].value)
          expr(*e.subs[i].value, indent + 2);
        else
          out += "..." + std::string(e.subs[i].pack);
      }
      out += "]";
      return;
    }
    case Expr::As:
      expr(*e.kids[0], indent);
      out += " as " + flat().type(*e.type);
      return;
    case Expr::Paren:
      out += "(";
      expr(*e.kids[0], indent + 1, 1);
      out += ")";
      return;
    default:
      out += flat().expr(e);
      return;
    }
  }

  void bodyAfterArrow(const Expr &body, int indent, int extra) {
    if (fits(body, extra) || breaksInside(body))
      return expr(body, indent, extra);
    while (out.back() == ' ')
      out.pop_back();
    out += "\n" + pad(indent + 2);
    expr(body, indent + 2, extra);
  }

  void blockLine(const Expr &e) { out += "{ " + flat().expr(*e.kids[0]) + " }"; }

  void block(const Expr &e, int indent) {
    out += "{";
    uint32_t last = e.span.begin + 1;
    trailingComment(e.span.begin, last);
    newline();
    for (const Decl *d : e.stmts)
      item(*d, indent + 2, last, [&] { decl(*d, indent + 2); });
    if (!e.kids.empty()) {
      const Expr &v = *e.kids[0];
      flushComments(v.span.begin, indent + 2, last);
      blankIfWanted(last, v.span.begin);
      out += pad(indent + 2);
      expr(v, indent + 2);
      last = v.span.end;
      trailingComment(v.span.end, last);
      newline();
    }
    flushComments(e.span.end, indent + 2, last);
    out += pad(indent) + "}";
  }

  /// One item per line, with comments; a comma after each but the last. The closing bracket follows
  /// the last item of a call, and stands on its own line after that of a record.
  template <class Item, class Begin, class Print>
  void broken(const std::vector<Item> &items, const char *open, const char *close, Span span,
              int indent, Begin spanOf, Print print) {
    out += open;
    uint32_t last = span.begin + 1;
    trailingComment(span.begin, last);
    newline();
    for (size_t i = 0; i < items.size(); ++i) {
      Span s = spanOf(items[i]);
      flushComments(s.begin, indent + 2, last);
      blankIfWanted(last, s.begin);
      out += pad(indent + 2);
      print(items[i]);
      bool final = i + 1 == items.size();
      bool own = *close != ')' || commentBefore(span.end);
      if (!final || own)
        out += ",";
      last = s.end;
      uint32_t after = s.end;
      while (after < text.size() && (text[after] == ' ' || text[after] == ','))
        ++after;
      trailingComment(after, last, span.end);
      if (final && !own && column() <= columns) {
        // A comment after the last argument needs the bracket on its own line.
        if (last == s.end) {
          out += close;
          return;
        }
      }
      newline();
    }
    flushComments(span.end, indent + 2, last);
    out += pad(indent) + close;
  }
  bool commentBefore(uint32_t end) const {
    return nextComment < comments.size() && comments[nextComment].span.begin < end;
  }

  void argList(const std::vector<Arg> &as, const char *open, const char *close, Span span,
               int indent) {
    if (as.empty()) {
      out += std::string(open) + close;
      return;
    }
    broken(
        as, open, close, span, indent, [](const Arg &a) { return a.span; },
        [&](const Arg &a) {
          out += a.spread ? "..." : a.name.empty() ? "" : std::string(a.name) + " = ";
          expr(*a.value, indent + 2, 1);
        });
  }
  void exprList(const Expr &e, int indent) {
    broken(
        e.kids, "[", "]", e.span, indent, [](Expr *k) { return k->span; },
        [&](Expr *k) { expr(*k, indent + 2, 1); });
  }

  void tripleString(const Expr &e, int indent) {
    std::string content;
    for (size_t i = 0; i < e.parts.size(); ++i) {
      content += escaped(e.parts[i], true);
      if (i < e.kids.size())
        content += "${" + flat().expr(*e.kids[i]) + "}";
    }
    out += "\"\"\"\n";
    size_t i = 0;
    while (i <= content.size()) {
      size_t nl = std::min(content.find('\n', i), content.size());
      std::string line = content.substr(i, nl - i);
      out += (line.empty() ? "" : pad(indent + 2) + line) + "\n";
      i = nl + 1;
    }
    out += pad(indent + 2) + "\"\"\"";
  }

  const File &file;
  const SourceManager &sm;
  const std::string &text;
  std::string out;
  std::vector<Comment> comments;
  size_t nextComment = 0;
  bool lastWasDecl = false;
};

} // namespace

std::string format(const File &f, const SourceManager &sm) { return Formatter(f, sm).run(); }
std::string normalised(const Expr &e) { return Flat(nullptr, true).expr(e); }
std::string normalised(const Decl &d) { return Flat(nullptr, true).decl(d); }

std::string dump(const File &f, const SourceManager &sm) {
  std::string out;
  Flat flat(&sm, false);
  static const char *kinds[] = {"import",   "let",  "type",  "fn",    "model",
                                "pipeline", "test", "param", "stage", "assert"};
  auto walk = [&](auto &&self, const Decl &d, int indent) -> void {
    auto p = sm.file(f.id).place(d.span.begin);
    out += std::string(size_t(indent), ' ') + std::to_string(p.line) + ":" +
           std::to_string(p.column) + " " + kinds[d.kind] + " | " + flat.head(d) +
           (d.value ? " = " + flat.expr(*d.value) : "") + "\n";
    for (auto *m : d.members)
      self(self, *m, indent + 2);
  };
  for (auto *d : f.decls)
    walk(walk, *d, 0);
  return out;
}

} // namespace r1
