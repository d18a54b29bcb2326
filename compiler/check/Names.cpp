// Everything about names that needs no types and no evaluation.
#include "compiler/check/Modules.h"
#include <algorithm>
#include <functional>
#include <re2/re2.h>
#include <set>
#include <unordered_set>

namespace r1 {

namespace {

// Names and arguments of the language that no file of the library declares yet.
bool notYet(std::string_view name) {
  static const std::set<std::string_view> names = {
      "ab", "annotate", "attack", "checkpoint",
      "grpo", "judge", "pairs",
      "ppo", "replay", "rl", "select", "task"};
  return names.count(name);
}
bool notYet(std::string_view callee, std::string_view argument) {
  static const std::set<std::pair<std::string_view, std::string_view>> pairs = {
      {"train", "balance"},      {"train", "shared"},
      {"perplexity", "predict"}, {"pack", "mask"},     {"device", "mesh"},
      {"device", "shard"},       {"device", "bits"},   {"device", "zero"},
      {"device", "remat"},       {"device", "offload"}};
  return pairs.count({callee, argument});
}

/// A name bound inside a declaration.
struct Local {
  std::string_view name;
  Span span;
  enum Kind : uint8_t { Value, Dim, Member, Let, Step } kind;
  bool used = false;
};

class NameChecker {
public:
  NameChecker(const Program &program, const Module &m, const std::vector<std::string> &builtins,
              const SourceManager &sources, DiagEngine &diags)
      : program(program), m(m), builtins(builtins.begin(), builtins.end()), sources(sources),
        diags(diags), library(&m == program.prelude.get()) {}

  void run() {
    for (auto &f : m.files)
      for (auto *d : f->decls)
        top(*d);
  }

private:
  const Program &program;
  const Module &m;
  std::unordered_set<std::string_view> builtins;
  const SourceManager &sources;
  DiagEngine &diags;
  bool library, inPipeline = false;
  std::vector<Local> locals;

  // ── scopes ──

  struct Mark {
    NameChecker &c;
    size_t n;
    explicit Mark(NameChecker &c) : c(c), n(c.locals.size()) {}
    ~Mark() { c.leave(n); }
  };

  void leave(size_t n) {
    for (size_t i = n; i < locals.size(); ++i) {
      auto &l = locals[i];
      if (l.used || l.name.empty() || l.name[0] == '_' || library || diags.hasErrors())
        continue;
      if (l.kind == Local::Let)
        diags.warning("E0205", l.span, "`" + std::string(l.name) + "` is not used")
            .help("remove it, or call it _" + std::string(l.name));
    }
    locals.resize(n);
  }

  Local *local(std::string_view name) {
    for (size_t i = locals.size(); i-- > 0;)
      if (locals[i].name == name)
        return &locals[i];
    return nullptr;
  }

  // What the file itself declares or imports. Pipelines are called from pipelines only.
  Span ownDecl(std::string_view name) const {
    if (auto *d = m.find(name))
      return d->kind == Decl::Pipeline && !inPipeline ? Span{} : d->nameSpan;
    if (auto it = m.imports.find(name); it != m.imports.end())
      return it->second.span;
    return {};
  }

  void bind(std::string_view name, Span span, Local::Kind kind) {
    if (name.empty() || name == "_")
      return;
    Span other;
    const char *what = nullptr;
    if (auto *l = local(name)) {
      other = l->span;
      what = "a name of an outer block";
    } else if (!library && (other = ownDecl(name)).valid()) {
      what = "a name of the file";
    }
    if (what)
      diags.error("E0204", span, "`" + std::string(name) + "` is declared already")
          .also(other, what)
          .note("only names of the library may be shadowed");
    locals.push_back({name, span, kind});
  }

  bool known(std::string_view name) {
    if (auto *l = local(name)) {
      l->used = true;
      return true;
    }
    return m.find(name) || m.imports.count(name) || program.prelude->find(name) ||
           builtins.count(name);
  }

  void unknown(std::string_view name, Span span) {
    if (notYet(name)) {
      diags.error("E0299", span,
                  "`" + std::string(name) +
                      "` is not supported yet: the language has it, this version does not run it");
      return;
    }
    if (diags.full()) { // only counted: nothing is looked for
      diags.error("E0200", span, "");
      return;
    }
    std::vector<std::string> have;
    for (auto &b : builtins)
      have.push_back(std::string(b));
    for (auto &l : locals)
      have.push_back(std::string(l.name));
    for (auto *x : {&m, (const Module *)program.prelude.get()})
      for (auto &[k, d] : x->decls)
        have.push_back(std::string(k));
    for (auto &[k, i] : m.imports)
      have.push_back(std::string(k));
    std::sort(have.begin(), have.end());
    std::string n(name);
    auto &d = diags.error("E0200", span, "nothing here is called `" + n + "`");
    if (auto near = nearest(n, have); !near.empty())
      d.label("did you mean `" + near + "`?").help("`" + near + "`", span, near);
  }

  // ── declarations ──

  void top(const Decl &d) {
    switch (d.kind) {
    case Decl::Let:
      if (d.type)
        type(*d.type, true);
      expr(*d.value);
      break;
    case Decl::TypeAlias: {
      Mark mark(*this);
      for (auto n : d.dimNames)
        locals.push_back({n, d.span, Local::Dim, true});
      type(*d.type, false);
      break;
    }
    case Decl::Fn:
      fn(d);
      break;
    case Decl::Model: {
      Mark mark(*this);
      params(d);
      // Methods see each other and every member; members see those before them.
      std::vector<const Decl *> methods;
      for (auto *x : d.members) {
        if (x->kind == Decl::Fn) {
          methods.push_back(x);
          continue;
        }
        if (x->type)
          type(*x->type, false);
        expr(*x->value);
        bind(x->name, x->nameSpan, Local::Member);
      }
      for (auto *x : methods)
        bind(x->name, x->nameSpan, Local::Member);
      for (auto *x : methods)
        fn(*x);
      break;
    }
    case Decl::Pipeline: {
      Mark mark(*this);
      inPipeline = true;
      params(d);
      for (auto *x : d.members) // steps see each other in any order
        bind(x->name, x->nameSpan, x->kind == Decl::Let ? Local::Let : Local::Step);
      for (auto *x : d.members) {
        if (x->type)
          type(*x->type, true);
        if (x->on)
          expr(*x->on);
        expr(*x->value);
      }
      inPipeline = false;
      break;
    }
    case Decl::Test:
      expr(*d.value);
      break;
    default:
      break;
    }
  }

  void params(const Decl &d) {
    for (auto &p : d.params) {
      if (p.type)
        type(*p.type, true);
      if (p.init)
        expr(*p.init);
      bind(p.name, p.nameSpan, d.kind == Decl::Pipeline ? Local::Let : Local::Value);
    }
  }

  void fn(const Decl &d) {
    Mark mark(*this);
    for (auto &a : d.attr.args)
      expr(*a.value);
    params(d);
    if (d.type && d.value)
      type(*d.type, false);
    if (d.value)
      expr(*d.value);
  }

  // ── types: names of dims that are not in scope are bound by parameters and lets ──

  void dimNames(const Expr &e, bool binders) {
    if (e.kind == Expr::Name) {
      if (known(e.name))
        return;
      if (binders)
        locals.push_back({e.name, e.span, Local::Dim, true});
      else
        unknown(e.name, e.span);
      return;
    }
    if (e.kind == Expr::Member) {
      expr(e);
      return;
    }
    forEachChild(e, [&](const Expr &k) { dimNames(k, binders); });
  }

  void type(const TypeExpr &t, bool binders) {
    if (t.kind == TypeExpr::Named) {
      static const std::unordered_set<std::string_view> basic = {
          "int",    "float",  "bool",      "str",     "regex",  "bytes",    "duration",
          "budget", "dtype",  "dim",       "device",  "Corpus", "real",     "f64",
          "f32",    "f16",    "bf16",      "i64",     "i32",    "i8",       "u8",
          "f8e4m3", "f8e5m2", "Tokenizer", "Metrics", "Model",  "Optimizer"};
      std::string_view n = t.path.back();
      if (t.path.size() == 1 && !basic.count(n)) {
        const Decl *d = m.find(n);
        if (!d)
          if (auto it = m.imports.find(n); it != m.imports.end())
            d = it->second.decl;
        if (!d)
          d = program.prelude->find(n);
        if (!d || (d->kind != Decl::TypeAlias && d->kind != Decl::Model)) {
          std::vector<std::string> have(basic.begin(), basic.end());
          for (auto *x : {&m, (const Module *)program.prelude.get()})
            for (auto &[k, y] : x->decls)
              if (y->kind == Decl::TypeAlias || y->kind == Decl::Model)
                have.push_back(std::string(k));
          std::sort(have.begin(), have.end());
          std::string name(n);
          auto &x =
              diags.error("E0200", t.span,
                          d ? "`" + name + "` is not a type" : "no type is called `" + name + "`");
          if (auto near = nearest(name, have); !near.empty())
            x.label("did you mean `" + near + "`?");
        }
      }
      if (t.bound)
        dimNames(*t.bound, binders);
      for (auto &d : t.dims) {
        if (d.size)
          dimNames(*d.size, binders);
        if (d.row)
          type(*d.row, binders);
        if (!d.pack.empty() && !known(d.pack)) {
          if (binders)
            locals.push_back({d.pack, d.span, Local::Dim, true});
          else
            unknown(d.pack, d.span);
        }
      }
      return;
    }
    if (t.kind == TypeExpr::Fn) { // its dims are its own
      Mark mark(*this);
      for (auto *a : t.args)
        type(*a, true);
      type(*t.result, true);
      return;
    }
    for (auto &f : t.fields)
      type(*f.type, binders);
    for (auto *a : t.args)
      type(*a, binders);
  }

  // ── expressions ──

  void block(const Expr &e) {
    for (auto *s : e.stmts) {
      if (s->type)
        type(*s->type, true);
      expr(*s->value);
      if (s->kind == Decl::Let)
        bind(s->name, s->nameSpan, Local::Let);
    }
    for (auto *k : e.kids)
      expr(*k);
  }

  void expr(const Expr &e) {
    switch (e.kind) {
    case Expr::Regex:
      compileRegex(e, diags);
      return;
    case Expr::Name:
      if (!known(e.name))
        unknown(e.name, e.span);
      return;
    case Expr::Block: {
      Mark mark(*this);
      block(e);
      return;
    }
    case Expr::Lambda: {
      Mark mark(*this);
      for (auto &p : e.params) {
        if (p.type)
          type(*p.type, true);
        if (p.init)
          expr(*p.init);
        bind(p.name, p.nameSpan, Local::Value);
      }
      expr(*e.kids[0]);
      return;
    }
    case Expr::For: {
      Mark mark(*this);
      for (auto &i : e.indices) {
        if (i.range)
          expr(*i.range);
      }
      for (auto &i : e.indices) {
        // `for ...s` may be called like the pack S it ranges over, not like another index.
        bind(i.name, i.span, Local::Value);
      }
      expr(*e.kids[0]);
      return;
    }
    case Expr::Index:
      expr(*e.kids[0]);
      for (auto &s : e.subs) {
        if (s.value)
          expr(*s.value);
        else if (!known(s.pack))
          unknown(s.pack, s.span);
      }
      return;
    case Expr::As:
      expr(*e.kids[0]);
      type(*e.type, true);
      return;
    case Expr::Call:
      callArgs(e, false);
      forEachChild(e, [&](const Expr &k) { expr(k); });
      return;
    case Expr::Pipe:
      expr(*e.kids[0]);
      callArgs(*e.kids[1], true);
      forEachChild(*e.kids[1], [&](const Expr &k) { expr(k); });
      return;
    default:
      forEachChild(e, [&](const Expr &k) { expr(k); });
    }
  }

  // Arguments of a call whose callee is a declaration known by name.
  void callArgs(const Expr &e, bool piped) {
    if (e.kind != Expr::Call || e.kids[0]->kind != Expr::Name || local(e.kids[0]->name))
      return;
    std::string_view n = e.kids[0]->name;
    const Decl *d = m.find(n);
    if (!d)
      if (auto it = m.imports.find(n); it != m.imports.end())
        d = it->second.decl;
    if (!d)
      d = program.prelude->find(n);
    if (!d || (d->kind != Decl::Fn && d->kind != Decl::Model && d->kind != Decl::Pipeline))
      return;
    std::string callee(n);
    auto signature = [&](Diag &x) {
      x.note(signatureText(*d, sources) + "        " + sources.where(d->nameSpan));
    };
    std::vector<bool> given(d->params.size(), false);
    size_t next = 0;
    bool spread = false;
    auto positional = [&](Span at) {
      if (next >= d->params.size()) {
        if (next++ == d->params.size())
          signature(diags.error("E0203", at,
                                "`" + callee + "` takes " + std::to_string(d->params.size()) +
                                    (d->params.size() == 1 ? " argument" : " arguments") +
                                    " and is given more"));
        return;
      }
      given[next++] = true;
    };
    if (piped)
      positional(e.span);
    for (auto &a : e.args) {
      if (a.spread) {
        spread = true;
        continue;
      }
      if (a.name.empty()) {
        positional(a.value->span);
        continue;
      }
      size_t i = 0;
      while (i < d->params.size() && d->params[i].name != a.name)
        ++i;
      std::string name(a.name);
      if (i == d->params.size() && !gathersNamed(*d).empty())
        continue;
      if (i == d->params.size() && notYet(callee, name)) {
        diags.error(
            "E0299", a.nameSpan,
            "`" + name + "` of `" + callee +
                "` is not supported yet: the language has it, this version does not run it");
      } else if (i == d->params.size()) {
        std::vector<std::string> have;
        for (auto &p : d->params)
          have.push_back(std::string(p.name));
        auto &x =
            diags.error("E0201", a.nameSpan, "`" + callee + "` has no argument `" + name + "`");
        if (auto near = nearest(name, have); !near.empty())
          x.label("did you mean `" + near + "`?").help("`" + near + "`", a.nameSpan, near);
        signature(x);
      } else if (given[i]) {
        diags.error("E0204", a.nameSpan, "`" + callee + "` is given `" + name + "` twice");
      } else {
        given[i] = true;
      }
    }
    if (spread || next > d->params.size())
      return;
    for (size_t i = 0; i < d->params.size(); ++i)
      if (!given[i] && !d->params[i].init) {
        signature(diags.error("E0202", e.span,
                              "`" + callee + "` needs `" + std::string(d->params[i].name) +
                                  "`, which is not given"));
        return;
      }
  }
};

} // namespace

std::shared_ptr<const re2::RE2> compileRegex(const Expr &e, DiagEngine &diags) {
  using re2::RE2;
  RE2::Options options;
  options.set_log_errors(false);
  auto re = std::make_shared<RE2>(re2::StringPiece(e.text.data(), e.text.size()), options);
  if (re->ok())
    return re;
  auto &d = diags.error("E0108", e.span, "this regex does not compile: " + re->error());
  if (re->error_code() == RE2::ErrorBadPerlOp || re->error_code() == RE2::ErrorBadEscape)
    d.note("patterns are RE2's, without look-around and back-references");
  return nullptr;
}

bool checkNames(const Program &program, const std::vector<std::string> &builtins,
                const SourceManager &sources, DiagEngine &diags, bool library) {
  for (auto &m : program.modules)
    NameChecker(program, *m, builtins, sources, diags).run();
  if (library)
    NameChecker(program, *program.prelude, builtins, sources, diags).run();
  return checkRecursion(program, diags, library);
}

} // namespace r1
