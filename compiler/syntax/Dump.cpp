// The tree as text: one node a line, children two columns in, places as @line:column.
#include "compiler/syntax/Printer.h"

namespace r1 {

namespace {

class Dumper {
public:
  Dumper(const File &file, const SourceManager &sm) : source(sm.file(file.id)), sm(sm) {}
  std::string out;

  void decl(const Decl &d, int depth) {
    static const char *words[] = {"import",   "let",  "type",  "fn",    "model",
                                  "pipeline", "test", "param", "stage", "assert"};
    std::string s = words[d.kind];
    if (d.kind == Decl::Import) {
      s += d.path.empty() ? " \"" + escaped(d.file) + "\"" : "";
      for (size_t i = 0; i < d.path.size(); ++i)
        s += (i ? "." : " ") + std::string(d.path[i]);
      s += d.alias.empty() ? "" : " as " + std::string(d.alias);
      for (size_t i = 0; i < d.names.size(); ++i)
        s += (i ? ", " : " names ") + std::string(d.names[i].name);
    } else if (d.kind == Decl::Test) {
      s += " \"" + escaped(d.text) + "\"";
    } else if (d.kind != Decl::Assert) {
      s += " " + std::string(d.name);
    }
    for (size_t i = 0; i < d.dimNames.size(); ++i)
      s += (i ? ", " : " over ") + std::string(d.dimNames[i]);
    if (d.type)
      s += (d.kind == Decl::Fn ? " -> " : ": ") + type(*d.type);
    if (d.kind == Decl::Fn && !d.value)
      s += " (signature)";
    line(depth, s, d.span);
    if (!d.doc.empty())
      line(depth + 1, "doc \"" + escaped(d.doc) + "\"", {});
    if (d.attr.present) {
      line(depth + 1, "attribute " + std::string(d.attr.name), d.attr.span);
      args(d.attr.args, depth + 2);
    }
    params(d.params, depth + 1);
    if (d.on)
      expr(*d.on, depth + 1, "on ");
    if (d.value)
      expr(*d.value, depth + 1);
    for (const Decl *m : d.members)
      decl(*m, depth + 1);
  }

private:
  void line(int depth, const std::string &s, Span at) {
    out += std::string(size_t(depth) * 2, ' ') + s;
    if (at.valid()) {
      auto p = source.place(at.begin);
      out += " @" + std::to_string(p.line) + ":" + std::to_string(p.column);
    }
    out += "\n";
  }

  /// Types are short and are shown as they are written.
  std::string type(const TypeExpr &t) const {
    std::string s;
    bool space = false;
    for (char c : sm.text(t.span)) {
      bool blank = c == ' ' || c == '\n' || c == '\t' || c == '\r';
      if (!blank)
        (s += space ? " " : "") += c;
      space = blank;
    }
    return s;
  }

  void params(const std::vector<Parameter> &ps, int depth) {
    for (const Parameter &p : ps) {
      line(depth, "parameter " + std::string(p.name) + (p.type ? ": " + type(*p.type) : ""),
           p.span);
      if (p.init)
        expr(*p.init, depth + 1);
    }
  }
  void args(const std::vector<Arg> &as, int depth) {
    for (const Arg &a : as)
      expr(*a.value, depth, a.spread ? "..." : a.name.empty() ? "" : std::string(a.name) + " = ");
  }

  void expr(const Expr &e, int depth, const std::string &label = "") {
    static const char *kinds[] = {"integer", "number", "string", "regex", "bool",   "none",
                                  "name",    "list",   "record", "block", "lambda", "for",
                                  "if",      "pipe",   "binary", "not",   "neg",    "member",
                                  "call",    "index",  "as",     "paren", "error"};
    static const char *families[] = {"", "ratio", "memory", "time", "length"};
    std::string s = kinds[e.kind];
    switch (e.kind) {
    case Expr::Int:
    case Expr::Float:
      s += " " + std::string(sm.text(e.span));
      if (e.family != UnitFamily::None)
        s += std::string(" (") + families[int(e.family)] + ")";
      break;
    case Expr::String:
      for (size_t i = 0; i < e.parts.size(); ++i)
        s += (i ? " ${} \"" : " \"") + escaped(e.parts[i]) + "\"";
      break;
    case Expr::Regex:
      s += " " + e.text;
      break;
    case Expr::Bool:
      s += e.integer ? " true" : " false";
      break;
    case Expr::Name:
    case Expr::Member:
      s += " " + std::string(e.name);
      break;
    case Expr::Binary:
      s += std::string(" ") + spelling(e.op);
      break;
    case Expr::As:
      s += " " + type(*e.type);
      break;
    case Expr::For:
      for (size_t i = 0; i < e.indices.size(); ++i)
        s += (i ? ", " : " ") + std::string(e.indices[i].pack ? "..." : "") +
             std::string(e.indices[i].name);
      break;
    default:
      break;
    }
    line(depth, label + s, e.span);
    params(e.params, depth + 1);
    for (const ForIndex &i : e.indices)
      if (i.range)
        expr(*i.range, depth + 1, std::string(i.name) + " in ");
    for (const Decl *d : e.stmts)
      decl(*d, depth + 1);
    for (const Expr *k : e.kids)
      expr(*k, depth + 1);
    args(e.args, depth + 1);
    for (const Subscript &x : e.subs) {
      if (x.value)
        expr(*x.value, depth + 1);
      else
        line(depth + 1, "..." + std::string(x.pack), x.span);
    }
  }

  const SourceFile &source;
  const SourceManager &sm;
};

} // namespace

std::string dump(const File &f, const SourceManager &sm) {
  Dumper d(f, sm);
  if (!f.doc.empty())
    d.out += "doc \"" + escaped(f.doc) + "\"\n";
  for (const Decl *x : f.decls)
    d.decl(*x, 0);
  return d.out;
}

} // namespace r1
