// fmt's layout. An expression is printed on one line if it fits and holds no comment; otherwise it
// breaks at its outermost list or operator. A list whose first item stands on its own line in the
// source stays broken: that is the one choice an author has.
#include "compiler/syntax/Printer.h"
#include <algorithm>
#include <map>

namespace r1 {

namespace {

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

} // namespace

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
