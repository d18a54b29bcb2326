// The text that fingerprints hash.
#include "compiler/syntax/Printer.h"
#include <cstdio>
#include <set>

namespace r1 {

std::string escaped(std::string_view s) {
  std::string out;
  for (char c : s) {
    if (c == '\\' || c == '"' || c == '$')
      (out += '\\') += c;
    else if (c == '\n')
      out += "\\n";
    else if (c == '\t')
      out += "\\t";
    else if (uint8_t(c) < 0x20 || c == 0x7F) {
      char buffer[12];
      snprintf(buffer, sizeof buffer, "\\u{%X}", unsigned(uint8_t(c)));
      out += buffer;
    } else
      out += c;
  }
  return out;
}

namespace {

/// What the names of parameters must be kept for: named arguments.
void namedArguments(const Expr &e, std::set<std::string_view> &out) {
  if (e.kind == Expr::Call)
    for (const Arg &a : e.args)
      out.insert(a.name);
  forEachChild(e, [&](const Expr &k) { namedArguments(k, out); });
}

class Normal {
public:
  std::set<std::string_view> kept;

  std::string expr(const Expr &e) {
    switch (e.kind) {
    case Expr::Int:
    case Expr::Float:
      return number(e);
    case Expr::String: {
      std::string s = "\"";
      for (size_t i = 0; i < e.parts.size(); ++i) {
        s += escaped(e.parts[i]);
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
    case Expr::List:
      return "[" + list(e.kids, [&](const Expr *k) { return expr(*k); }) + "]";
    case Expr::Record:
      return "{" + args(e.args) + "}";
    case Expr::Block: {
      size_t scope = bound.size();
      std::string s = "{";
      for (const Decl *d : e.stmts)
        s += statement(*d) + "; ";
      if (!e.kids.empty())
        s += expr(*e.kids[0]);
      bound.resize(scope);
      return s + "}";
    }
    case Expr::Lambda: {
      size_t scope = bound.size();
      std::string s = "(" +
                      list(e.params,
                           [&](const Parameter &p) {
                             std::string tail = p.type   ? ": " + type(*p.type)
                                                : p.init ? " in " + expr(*p.init)
                                                         : "";
                             return bind(p.name) + tail;
                           }) +
                      ") => ";
      s += expr(*e.kids[0]);
      bound.resize(scope);
      return s;
    }
    case Expr::For: {
      size_t scope = bound.size();
      std::string s = "for " +
                      list(e.indices,
                           [&](const ForIndex &i) {
                             std::string range = i.range ? " in " + operand(*i.range) : "";
                             return (i.pack ? "..." : "") + bind(i.name) + range;
                           }) +
                      " => ";
      s += expr(*e.kids[0]);
      bound.resize(scope);
      return s;
    }
    case Expr::If:
      return "if " + expr(*e.kids[0]) + " then " + expr(*e.kids[1]) + " else " + expr(*e.kids[2]);
    case Expr::Pipe: { // x |> f(a) is f(x, a)
      const Expr &call = *e.kids[1];
      if (call.kind != Expr::Call)
        return operand(*e.kids[0]) + " |> " + expr(call);
      std::string rest = args(call.args);
      return operand(*call.kids[0]) + "(" + expr(*e.kids[0]) + (rest.empty() ? "" : ", ") + rest +
             ")";
    }
    case Expr::Binary:
      return operand(*e.kids[0]) + " " + spelling(e.op) + " " + operand(*e.kids[1]);
    case Expr::Not:
      return "not " + operand(*e.kids[0]);
    case Expr::Neg:
      return "-" + operand(*e.kids[0]);
    case Expr::Member:
      return operand(*e.kids[0]) + "." + std::string(e.name);
    case Expr::Call:
      return operand(*e.kids[0]) + "(" + args(e.args) + ")";
    case Expr::Index:
      return operand(*e.kids[0]) + "[" +
             list(e.subs,
                  [&](const Subscript &s) {
                    return s.value ? expr(*s.value) : "..." + name(s.pack);
                  }) +
             "]";
    case Expr::As:
      return operand(*e.kids[0]) + " as " + type(*e.type);
    case Expr::Paren:
      return expr(*e.kids[0]);
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
      if (t.bracketed)
        s += "[" +
             list(t.dims,
                  [&](const DimExpr &d) {
                    return d.size  ? expr(*d.size)
                           : d.row ? type(*d.row)
                                   : "..." + std::string(d.pack);
                  }) +
             "]";
      break;
    case TypeExpr::Record:
      s = "{" +
          list(t.fields,
               [&](const TypeField &f) { return std::string(f.name) + ": " + type(*f.type); }) +
          "}";
      break;
    case TypeExpr::List:
      s = "[" + type(*t.args[0]) + "]";
      break;
    case TypeExpr::Fn:
      s = "fn(" + list(t.args, [&](const TypeExpr *a) { return type(*a); }) + ") -> " +
          type(*t.result);
      break;
    }
    return s + (t.optional ? "?" : "");
  }

  std::string decl(const Decl &d) {
    static const char *words[] = {"import",   "let",  "type",  "fn",    "model",
                                  "pipeline", "test", "param", "stage", "assert"};
    std::string s;
    if (d.attr.present)
      s = "@" + std::string(d.attr.name) + "(" + args(d.attr.args) + ") ";
    s += words[d.kind] + std::string(" ");
    if (d.kind == Decl::Import) {
      s += d.path.empty() ? "\"" + escaped(d.file) + "\"" : "";
      for (size_t i = 0; i < d.path.size(); ++i)
        s += (i ? "." : "") + std::string(d.path[i]);
      if (!d.alias.empty())
        s += " as " + std::string(d.alias);
      return s + " (" + list(d.names, [](const Decl::Imported &n) { return std::string(n.name); }) +
             ")";
    }
    s += d.kind == Decl::Test ? "\"" + escaped(d.text) + "\"" : std::string(d.name);
    if (!d.dimNames.empty())
      s += "[" + list(d.dimNames, [](std::string_view n) { return std::string(n); }) + "]";
    bool callable = d.kind == Decl::Fn || d.kind == Decl::Model || d.kind == Decl::Pipeline;
    if (callable)
      s += "(" +
           list(d.params,
                [&](const Parameter &p) {
                  return std::string(p.name) + (p.type ? ": " + type(*p.type) : "") +
                         (p.init ? " = " + expr(*p.init) : "");
                }) +
           ")";
    if (d.type)
      s += (d.kind == Decl::Fn ? " -> " : d.kind == Decl::TypeAlias ? " = " : ": ") + type(*d.type);
    // `on` says where and how a stage runs, not what it makes.
    if (d.value)
      s += " = " + expr(*d.value);
    if (d.kind == Decl::Model || d.kind == Decl::Pipeline) {
      s += " {";
      for (const Decl *m : d.members)
        s += decl(*m) + "; ";
      s += "}";
    }
    return s;
  }

private:
  template <class L, class F> std::string list(const L &items, F text) {
    std::string s;
    for (auto &x : items)
      s += (s.empty() ? "" : ", ") + text(x);
    return s;
  }
  std::string args(const std::vector<Arg> &as) {
    return list(as, [&](const Arg &a) {
      return (a.spread         ? "..."
              : a.name.empty() ? ""
                               : std::string(a.name) + " = ") +
             expr(*a.value);
    });
  }

  /// An expression where only a primary may stand.
  std::string operand(const Expr &e) {
    const Expr *x = &e;
    while (x->kind == Expr::Paren)
      x = x->kids[0];
    switch (x->kind) {
    case Expr::Binary:
    case Expr::Not:
    case Expr::Neg:
    case Expr::If:
    case Expr::Lambda:
    case Expr::For:
    case Expr::As:
      return "(" + expr(*x) + ")";
    default:
      return expr(*x);
    }
  }

  static std::string number(const Expr &e) {
    char buffer[64];
    if (e.kind == Expr::Int)
      snprintf(buffer, sizeof buffer, "%lld", static_cast<long long>(e.integer));
    else
      snprintf(buffer, sizeof buffer, "%a", e.number); // its bits
    std::string unit(e.unit);
    if (e.family == UnitFamily::Length && unit.back() == 's')
      unit.pop_back();
    return buffer + unit;
  }

  std::string statement(const Decl &d) {
    if (d.kind == Decl::Assert)
      return "assert " + expr(*d.value);
    std::string value = (d.type ? ": " + type(*d.type) : "") + " = " + expr(*d.value);
    return "let " + bind(d.name) + value;
  }

  std::string bind(std::string_view n) {
    bound.emplace_back(n, kept.contains(n) ? std::string(n) : "$" + std::to_string(counter++));
    return bound.back().second;
  }
  std::string name(std::string_view n) const {
    for (size_t i = bound.size(); i-- > 0;)
      if (bound[i].first == n)
        return bound[i].second;
    return std::string(n);
  }

  int counter = 0;
  std::vector<std::pair<std::string_view, std::string>> bound;
};

} // namespace

std::string normalised(const Expr &e) {
  Normal n;
  namedArguments(e, n.kept);
  return n.expr(e);
}
std::string normalised(const TypeExpr &t) { return Normal().type(t); }
std::string normalised(const Decl &d) {
  Normal n;
  forEachChild(d, [&](const Expr &e) { namedArguments(e, n.kept); });
  return n.decl(d);
}

} // namespace r1
