// Functions of host values: strings, lists, higher-order functions.
#include "compiler/eval/Builtins.h"
#include "compiler/eval/Models.h"
#include <algorithm>
#include <charconv>
#include <fstream>
#include <re2/re2.h>
#include <unordered_set>

namespace r1 {

namespace {

TypeP typeOf(Type::Kind k) {
  auto t = std::make_shared<Type>();
  t->kind = k;
  return t;
}

bool unknownArg(const BuiltinCall &c) {
  for (auto &a : c.args)
    if (a.value.is(Value::Unknown))
      return true;
  return false;
}

bool isText(Evaluator &ev, const BuiltinCall &c, size_t i) {
  if (c[i].is(Value::Str))
    return true;
  ev.err("E0206", c.args[i].span,
         "`" + std::string(c.name) + "` takes a string here, this is " + kindName(c[i]));
  return false;
}

int64_t codePoints(std::string_view s) {
  int64_t n = 0;
  for (unsigned char b : s)
    n += (b & 0xC0) != 0x80;
  return n;
}

Value len(Evaluator &ev, BuiltinCall &c) {
  const Value &x = c[0];
  switch (x.kind) {
  case Value::Str:
    return Value::integer(codePoints(x.string()));
  case Value::List:
    if (x.as<ListObj>().anyLength)
      return Value::unknown(typeOf(Type::Int));
    return Value::integer((int64_t)x.as<ListObj>().items.size());
  case Value::Range: {
    Value n = Value::dim(x.as<RangeObj>().hi - x.as<RangeObj>().lo);
    int64_t k;
    return n.asInt(k) ? Value::integer(std::max<int64_t>(0, k)) : n;
  }
  case Value::Unknown:
    return Value::unknown(typeOf(Type::Int));
  default:
    return ev.fail("E0206", c.args[0].span,
                   "`len` takes a string or a list, this is " + kindName(x));
  }
}

// A pattern: a regex, or a string taken literally.
const re2::RE2 *patternOf(Evaluator &ev, const BuiltinCall &c, std::unique_ptr<re2::RE2> &own) {
  if (c[0].is(Value::Regex))
    return c[0].as<RegexObj>().re.get();
  if (c[0].is(Value::Str)) {
    own = std::make_unique<re2::RE2>(re2::RE2::QuoteMeta(c[0].string()));
    return own.get();
  }
  ev.err("E0206", c.args[0].span,
         "`" + std::string(c.name) + "` takes a regex re\"…\" or a string here, this is " +
             kindName(c[0]));
  return nullptr;
}

// Every match from left to right; `f` gets the groups and says whether to go on.
template <class F> void eachMatch(const re2::RE2 &re, std::string_view s, F f) {
  int groups = re.NumberOfCapturingGroups() + 1;
  std::vector<re2::StringPiece> g((size_t)groups);
  size_t at = 0;
  re2::StringPiece text(s.data(), s.size());
  while (at <= s.size() && re.Match(text, at, s.size(), re2::RE2::UNANCHORED, g.data(), groups)) {
    if (!f(g))
      return;
    size_t end = (size_t)(g[0].data() - s.data()) + g[0].size();
    at = g[0].empty() ? end + 1 : end;
    while (at < s.size() && (s[at] & 0xC0) == 0x80)
      ++at;
  }
}

Value count(Evaluator &ev, BuiltinCall &c) {
  if (unknownArg(c))
    return Value::unknown(typeOf(Type::Int));
  std::unique_ptr<re2::RE2> own;
  auto *re = patternOf(ev, c, own);
  if (!re || !isText(ev, c, 1))
    return {};
  int64_t n = 0;
  eachMatch(*re, c[1].string(), [&](auto &) { return ++n, true; });
  return Value::integer(n);
}

Value matches(Evaluator &ev, BuiltinCall &c) {
  if (unknownArg(c))
    return Value::unknown(typeOf(Type::Bool));
  std::unique_ptr<re2::RE2> own;
  auto *re = patternOf(ev, c, own);
  if (!re || !isText(ev, c, 1))
    return {};
  return Value::boolean(re2::RE2::PartialMatch(c[1].string(), *re));
}

// The last match's group, or none.
Value capture(Evaluator &ev, BuiltinCall &c) {
  auto optional = std::make_shared<Type>();
  optional->kind = Type::Str;
  optional->optional = true;
  if (unknownArg(c))
    return Value::unknown(optional);
  std::unique_ptr<re2::RE2> own;
  auto *re = patternOf(ev, c, own);
  if (!re || !isText(ev, c, 1))
    return {};
  int64_t group = 1;
  if (c.has(2) && !c[2].asInt(group))
    return ev.fail("E0206", c.args[2].span, "a group is an int");
  if (group < 0 || group > re->NumberOfCapturingGroups())
    return ev.fail("E0213", c.has(2) ? c.args[2].span : c.span,
                   "the pattern has " + std::to_string(re->NumberOfCapturingGroups()) +
                       " groups, not " + std::to_string(group));
  Value r(Value::None);
  eachMatch(*re, c[1].string(), [&](auto &g) {
    if (g[(size_t)group].data())
      r = Value::str(std::string(g[(size_t)group].data(), g[(size_t)group].size()));
    return true;
  });
  return r;
}

Value replace(Evaluator &ev, BuiltinCall &c) {
  if (unknownArg(c))
    return Value::unknown(typeOf(Type::Str));
  if (!isText(ev, c, 0) || !isText(ev, c, 2))
    return {};
  std::string s = c[0].string();
  if (c[1].is(Value::Regex)) {
    // Each match may become as much as `to`, and its groups may stand there many times.
    if (!ev.rowMode && uint64_t(s.size() + 1) * c[2].string().size() > uint64_t(1) << 32)
      return ev.fail("E0213", c.span, "the replacement may be a string of more than 4 GiB");
    re2::RE2::GlobalReplace(&s, *c[1].as<RegexObj>().re, c[2].string());
    return ev.bounded(std::move(s), c.span);
  }
  if (!isText(ev, c, 1))
    return {};
  const std::string &from = c[1].string(), &to = c[2].string();
  if (from.empty())
    return Value::str(std::move(s));
  std::string r;
  size_t at = 0;
  for (size_t hit; (hit = s.find(from, at)) != std::string::npos; at = hit + from.size()) {
    r.append(s, at, hit - at).append(to);
    if (r.size() > Evaluator::longestText && !ev.rowMode)
      break;
  }
  r.append(s, at, std::string::npos);
  return ev.bounded(std::move(r), c.span);
}

Value containsAny(Evaluator &ev, BuiltinCall &c) {
  if (unknownArg(c))
    return Value::unknown(typeOf(Type::Bool));
  if (!isText(ev, c, 0))
    return {};
  if (!c[1].is(Value::List))
    return ev.fail("E0206", c.args[1].span,
                   "`contains_any` takes a list of strings, this is " + kindName(c[1]));
  for (auto &x : c[1].as<ListObj>().items)
    if (x.is(Value::Str) && !x.string().empty() &&
        c[0].string().find(x.string()) != std::string::npos)
      return Value::boolean(true);
  return Value::boolean(false);
}

std::vector<std::string_view> linesOf(std::string_view s) {
  std::vector<std::string_view> r;
  while (!s.empty()) {
    size_t n = s.find('\n');
    r.push_back(s.substr(0, n));
    if (n == std::string_view::npos)
      break;
    s.remove_prefix(n + 1);
  }
  return r;
}

// The share of lines that stood in the text before.
Value repeatedLines(Evaluator &ev, BuiltinCall &c) {
  if (unknownArg(c))
    return Value::unknown(typeOf(Type::Float));
  if (!isText(ev, c, 0))
    return {};
  std::unordered_set<std::string_view> seen;
  size_t n = 0, again = 0;
  for (auto l : linesOf(c[0].string())) {
    ++n;
    again += !seen.insert(l).second;
  }
  return Value::real(n ? (double)again / (double)n : 0.0);
}

// What stands between white space.
Value words(Evaluator &ev, BuiltinCall &c) {
  if (unknownArg(c))
    return Value::unknown(typeOf(Type::List));
  if (!isText(ev, c, 0))
    return {};
  constexpr std::string_view blanks = " \t\n\v\f\r";
  const std::string &s = c[0].string();
  std::vector<Value> items;
  for (size_t at = 0; (at = s.find_first_not_of(blanks, at)) != s.npos;) {
    size_t end = std::min(s.find_first_of(blanks, at), s.size());
    items.push_back(Value::str(s.substr(at, end - at)));
    at = end;
  }
  return Value::list(std::move(items));
}

Value parseFloat(Evaluator &ev, BuiltinCall &c) {
  if (unknownArg(c)) {
    auto t = std::make_shared<Type>();
    t->kind = Type::Float;
    t->optional = true;
    return Value::unknown(t);
  }
  if (!isText(ev, c, 0))
    return {};
  std::string_view s = c[0].string();
  while (!s.empty() && std::isspace((unsigned char)s.front()))
    s.remove_prefix(1);
  while (!s.empty() && std::isspace((unsigned char)s.back()))
    s.remove_suffix(1);
  if (!s.empty() && s.front() == '+')
    s.remove_prefix(1);
  double f;
  auto r = std::from_chars(s.data(), s.data() + s.size(), f);
  if (s.empty() || r.ec != std::errc() || r.ptr != s.data() + s.size())
    return Value(Value::None);
  return Value::real(f);
}

Value readLines(Evaluator &ev, BuiltinCall &c) {
  if (unknownArg(c))
    return Value::unknown(typeOf(Type::List));
  if (!isText(ev, c, 0))
    return {};
  std::ifstream in(c[0].string());
  if (!in)
    return ev.fail("E0401", c.args[0].span, "cannot read `" + c[0].string() + "`");
  std::vector<Value> items;
  for (std::string l; std::getline(in, l);) {
    if (!l.empty() && l.back() == '\r')
      l.pop_back();
    if (!l.empty())
      items.push_back(Value::str(l));
  }
  if (!ev.rowMode)
    ev.sh.filesRead.insert(c[0].string());
  return Value::list(std::move(items));
}

// ── lists and functions ─────────────────────────────────────────────────────

// The elements of a list or a range; `any` when the number is not known.
bool itemsOf(Evaluator &ev, const BuiltinCall &c, size_t i, std::vector<Value> &out, bool &any) {
  const Value &x = c[i];
  any = false;
  if (x.is(Value::List)) {
    out = x.as<ListObj>().items;
    any = x.as<ListObj>().anyLength;
    return true;
  }
  if (x.is(Value::Range)) {
    int64_t lo, hi;
    if (!Value::dim(x.as<RangeObj>().lo).asInt(lo) || !Value::dim(x.as<RangeObj>().hi).asInt(hi)) {
      any = true;
      out = {Value::unknown(typeOf(Type::Int))};
      return true;
    }
    if (uint64_t n = (uint64_t)hi - (uint64_t)lo; n > (uint64_t)Evaluator::longestList) {
      ev.err("E0213", c.args[i].span, "a list of " + std::to_string(n) + " elements");
      return false;
    }
    for (int64_t k = lo; k < hi; ++k)
      out.push_back(Value::integer(k));
    return true;
  }
  if (x.is(Value::Unknown)) {
    any = true;
    auto &t = *x.as<UnknownObj>().type;
    out = {t.kind == Type::List && !t.args.empty() ? ev.abstractOf(t.args[0], "element", c.span)
                                                   : Value::unknown(typeOf(Type::Any))};
    return true;
  }
  ev.err("E0206", c.args[i].span,
         "`" + std::string(c.name) + "` takes a list or a range, this is " + kindName(x));
  return false;
}

Value map(Evaluator &ev, BuiltinCall &c) {
  std::vector<Value> items;
  bool any;
  if (!itemsOf(ev, c, 0, items, any))
    return {};
  for (auto &x : items) {
    x = ev.apply(c[1], {x}, c.args[1].span);
    if (x.isError())
      return {};
  }
  Value r = Value::list(std::move(items));
  if (any) {
    auto o = std::make_shared<ListObj>(r.as<ListObj>());
    o->anyLength = true;
    r = Value::of(Value::List, o);
  }
  return r;
}

Value fold(Evaluator &ev, BuiltinCall &c) {
  std::vector<Value> items;
  bool any;
  if (!itemsOf(ev, c, 0, items, any))
    return {};
  Value acc = c[1];
  for (auto &x : items) {
    acc = ev.apply(c[2], {acc, x}, c.args[2].span);
    if (acc.isError())
      return {};
  }
  return acc;
}

Value filterList(Evaluator &ev, BuiltinCall &c) {
  std::vector<Value> items, kept;
  bool any;
  if (!itemsOf(ev, c, 0, items, any))
    return {};
  for (auto &x : items) {
    Value v = ev.apply(c[1], {x}, c.args[1].span);
    bool keep;
    if (v.is(Value::Unknown))
      keep = true;
    else if (!ev.truth(v, c.args[1].span, keep))
      return {};
    if (keep)
      kept.push_back(x);
  }
  return Value::list(std::move(kept));
}

Value repeat(Evaluator &ev, BuiltinCall &c) {
  int64_t n;
  if (!c[1].asInt(n)) {
    if (!c[1].is(Value::Unknown) && !c[1].is(Value::DimV))
      return ev.fail("E0206", c.args[1].span, "`repeat` takes a count, this is " + kindName(c[1]));
    auto o = std::make_shared<ListObj>();
    o->items = {c[0]};
    o->anyLength = true;
    return Value::of(Value::List, o);
  }
  if (n < 0 || n > Evaluator::longestList)
    return ev.fail("E0213", c.args[1].span, "a list of " + std::to_string(n) + " elements");
  return Value::list(std::vector<Value>((size_t)n, c[0]));
}

// ── models ──────────────────────────────────────────────────────────────────

Value replaceAt(Evaluator &ev, BuiltinCall &c) {
  if (c[0].is(Value::Unknown))
    return c[0];
  if (!c[0].is(Value::Model))
    return ev.fail("E0206", c.args[0].span,
                   "`replace_at` takes a model, this is " + kindName(c[0]));
  if (!isText(ev, c, 1))
    return {};
  const std::string &pattern = c[1].string();
  auto m = std::static_pointer_cast<const ModelObj>(c[0].o);
  size_t hits = 0;
  bool bad = false;
  std::string why;
  auto r = rebuildModel(
      m, nullptr, [&](const std::shared_ptr<const ModelObj> &child, const Path &p) -> Value {
        if (bad || !matchPath(pattern, p, why))
          return {};
        ++hits;
        Value v = ev.apply(
            c[2],
            std::vector<Value>{Value::of(Value::Model, std::const_pointer_cast<ModelObj>(child))},
            c.args[2].span);
        bad |= v.isError();
        if (!bad && !v.is(Value::Model)) {
          ev.err("E0206", c.args[2].span,
                 "`replace_at` puts a model in place of `" + pathText(p) + "`, this is " +
                     kindName(v));
          bad = true;
        }
        return v;
      });
  if (bad)
    return {};
  if (!why.empty())
    return ev.fail("E0403", c.args[1].span, "`" + pattern + "` is not a path pattern: " + why);
  if (!hits) {
    std::string list;
    for (auto &[n, v] : m->scope->names)
      if (v.is(Value::Model) || v.is(Value::List))
        list +=
            (list.empty() ? "" : ", ") + std::string(n) +
            (v.is(Value::List) ? "[0.." + std::to_string(v.as<ListObj>().items.size()) + "]" : "");
    ev.err("E0403", c.args[1].span, "`replace_at` selects no part of the model")
        .label("`" + std::string(m->decl->name) + "` has: " + list);
    return {};
  }
  return Value::of(Value::Model, std::const_pointer_cast<ModelObj>(r));
}

// advise(["…", ""]): a warning at the user's call that led here, of all remarks that are not empty.
Value advise(Evaluator &ev, BuiltinCall &c) {
  Value none(Value::None);
  if (ev.symbolic || ev.rowMode || !ev.advises)
    return none;
  if (!c[0].is(Value::List))
    return ev.fail("E0206", c.args[0].span, "`advise` takes a list of texts, this is " + kindName(c[0]));
  std::vector<std::string> remarks;
  for (auto &x : c[0].as<ListObj>().items)
    if (x.is(Value::Str) && !x.string().empty())
      remarks.push_back(x.string());
  if (remarks.empty())
    return none;
  Diag &d = ev.sh.diags.warning("E0215", ev.userCall(c.span), remarks[0]);
  for (size_t i = 1; i < remarks.size(); ++i)
    d.note(remarks[i]);
  d.help("sizes that are meant to be so: --no-advice");
  return none;
}

} // namespace

Value hostReduction(Evaluator &ev, BuiltinCall &c, ReduceOp op, bool mean) {
  std::string name(c.name);
  std::vector<Value> items = c[0].as<ListObj>().items;
  if (c.has(1) && c[1].is(Value::Fn))
    for (auto &x : items) {
      x = ev.apply(c[1], {x}, c.args[1].span);
      if (x.isError())
        return {};
    }
  bool logical = op == ReduceOp::Any || op == ReduceOp::All;
  if (logical) {
    bool acc = op == ReduceOp::All;
    for (auto &x : items) {
      bool b;
      if (!ev.truth(x, c.args[0].span, b))
        return {};
      acc = op == ReduceOp::All ? acc && b : acc || b;
    }
    return Value::boolean(acc);
  }
  if (items.empty() && (mean || op != ReduceOp::Sum))
    return ev.fail("E0213", c.span, "`" + name + "` of an empty list");
  bool ints = true;
  double acc = op == ReduceOp::Max ? -INFINITY : op == ReduceOp::Min ? INFINITY : 0;
  for (auto &x : items) {
    double f;
    int64_t n;
    if (x.is(Value::Bool))
      f = x.b;
    else if (x.is(Value::Unknown))
      return Value::unknown(typeOf(Type::Float));
    else if (!x.asFloat(f))
      return ev.fail("E0206", c.args[0].span,
                     "`" + name + "` of a list takes numbers, one of them is " + kindName(x));
    ints &= x.asInt(n);
    acc = op == ReduceOp::Max   ? std::fmax(acc, f)
          : op == ReduceOp::Min ? std::fmin(acc, f)
                                : acc + f;
  }
  if (mean)
    return Value::real(acc / (double)items.size());
  return ints && !items.empty() && std::fabs(acc) < 9e15 ? Value::integer((int64_t)acc)
                                                         : Value::real(acc);
}

const std::vector<Builtin> &hostBuiltins() {
  static const std::vector<Builtin> table = {
      {"len", "x", len},
      {"advise", "remarks", advise},
      {"count", "pattern text", count},
      {"matches", "pattern text", matches},
      {"capture", "pattern text group?", capture},
      {"replace", "text from to", replace},
      {"contains_any", "text words", containsAny},
      {"repeated_lines", "text", repeatedLines},
      {"words", "text", words},
      {"parse_float", "text", parseFloat},
      {"read_lines", "path", readLines},
      {"map", "items f", map},
      {"fold", "items start f", fold},
      {"filter", "items keep", filterList},
      {"repeat", "value count", repeat},
      {"replace_at", "model pattern replacement", replaceAt},
  };
  return table;
}

} // namespace r1
