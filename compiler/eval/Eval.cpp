#include "compiler/eval/Eval.h"
#include "compiler/eval/GraphEval.h"
#include "compiler/eval/Stages.h"
#include "compiler/syntax/Parser.h"
#include <algorithm>

namespace r1 {

struct Analysis::Impl {
  Shared shared;
  std::vector<std::unique_ptr<File>> overrides; // parsed --set expressions
  Impl(const Program &p, SourceManager &s, DiagEngine &d) : shared(p, s, d) {
    for (auto *m : modules())
      if (!shared.moduleScopes[m]) {
        auto sc = std::make_shared<Scope>();
        sc->module = m;
        shared.moduleScopes[m] = sc;
      }
  }
  std::vector<const Module *> modules() const {
    std::vector<const Module *> r = {shared.program.prelude.get()};
    for (auto &m : shared.program.modules)
      r.push_back(m.get());
    return r;
  }
  // Top-level lets are values; evaluating them all makes row time read-only.
  void forceGlobals() {
    Evaluator ev(shared);
    for (auto *m : modules())
      for (auto &f : m->files)
        for (auto *d : f->decls)
          if (d->kind == Decl::Let || d->kind == Decl::Fn || d->kind == Decl::Model)
            ev.global(m, d->name, d->nameSpan);
  }
};

Analysis::Analysis(const Program &program, SourceManager &sources, DiagEngine &diags)
    : impl(std::make_unique<Impl>(program, sources, diags)) {}
Analysis::~Analysis() = default;

// ── definitions ─────────────────────────────────────────────────────────────

namespace {

// A scratch graph for definitions: built and thrown away.
struct Scratch {
  GraphFn fn;
  GraphBuilder g{fn};
};

bool typed(const std::vector<Parameter> &ps) {
  return std::all_of(ps.begin(), ps.end(), [](const Parameter &p) { return p.type != nullptr; });
}

// Runs a function once with arguments that stand for any value of their types.
void checkFn(Evaluator &ev, const Decl &d, const ScopeP &parent,
             std::shared_ptr<const ModelObj> self) {
  if (!typed(d.params) || !d.value) // a template: checked where it is used
    return;
  Scratch scratch;
  scratch.g.training = true;
  Saved<GraphBuilder *> now(ev.g, &scratch.g);
  auto sc = std::make_shared<Scope>();
  sc->parent = parent;
  sc->self = self;
  sc->frame = ev.sh.dims.newFrame();
  for (auto &p : d.params) {
    TypeP t = ev.type(*p.type, sc, true);
    if (!t)
      return;
    if (p.init) {
      Value v = ev.eval(*p.init, sc, t.get());
      ev.coerce(v, *t, p.init->span, What("the default of ", p.name));
    }
    sc->set(p.name, ev.abstractOf(t, p.name, p.nameSpan));
  }
  TypeP rt = d.type ? ev.type(*d.type, sc, false) : nullptr;
  if (d.type && !rt)
    return;
  Value r = ev.eval(*d.value, sc, rt.get());
  if (rt && !r.isError()) {
    Span at = d.value->span;
    if (d.value->kind == Expr::Block && !d.value->kids.empty())
      at = d.value->kids[0]->span;
    ev.coerce(r, *rt, at, What("the result of ", d.name));
  }
}

void checkModel(Evaluator &ev, const Decl &d, const ScopeP &parent) {
  if (!typed(d.params))
    return;
  Scratch scratch;
  Saved<GraphBuilder *> now(ev.g, &scratch.g);
  ModelDefObj def;
  def.decl = &d;
  def.scope = parent;
  Value m = ev.abstractModel(def, d.nameSpan);
  if (!m.is(Value::Model))
    return;
  auto self = std::static_pointer_cast<const ModelObj>(m.o);
  for (auto *x : d.members)
    if (x->kind == Decl::Fn)
      checkFn(ev, *x, self->scope, self);
}

} // namespace

void Analysis::check(bool library) {
  Shared &sh = impl->shared;
  size_t before = sh.diags.all().size();
  if (!checkNames(sh.program, builtinNames(), sh.sources, sh.diags, library))
    return;
  impl->forceGlobals();
  checkDefinitions(library);
  sh.diags.sortFrom(before);
}

void Analysis::checkDefinitions(bool library) {
  Shared &sh = impl->shared;
  for (auto *m : impl->modules()) {
    if (m == sh.program.prelude.get() && !library)
      continue;
    for (auto &f : m->files)
      for (auto *d : f->decls) {
        if (sh.diags.full())
          return;
        Evaluator ev(sh);
        ev.symbolic = true;
        if (d->kind == Decl::Fn)
          checkFn(ev, *d, sh.moduleScopes[m], nullptr);
        else if (d->kind == Decl::Model)
          checkModel(ev, *d, sh.moduleScopes[m]);
      }
  }
}

// ── pipelines ───────────────────────────────────────────────────────────────

std::string Analysis::pipeline(const std::string &name) {
  Shared &sh = impl->shared;
  const Module *m = sh.program.main;
  std::vector<std::string> have;
  for (auto *d : m->files[0]->decls)
    if (d->kind == Decl::Pipeline)
      have.push_back(std::string(d->name));
  std::string want = name;
  if (want.empty()) {
    if (have.size() == 1)
      return have[0];
    want = "main";
  }
  if (std::find(have.begin(), have.end(), want) != have.end())
    return want;
  std::string list;
  for (auto &h : have)
    list += (list.empty() ? "" : " ") + h;
  if (have.empty()) {
    sh.diags.error("E0405", {}, "`" + m->path + "` has no pipeline");
  } else {
    auto &d =
        sh.diags.error("E0405", {},
                       name.empty() ? "`" + m->path + "` has several pipelines, none called `main`"
                                    : "`" + m->path + "` has no pipeline `" + name + "`");
    d.note("it has: " + list);
    std::string near = name.empty() ? have[0] : nearest(name, have);
    if (!near.empty())
      d.help("say which: " + m->path + ":" + near);
  }
  return "";
}

std::string quotedSet(const std::string &set) {
  size_t eq = set.find('=');
  return "--set '" + set.substr(0, eq) + "=\"" + set.substr(eq + 1) + "\"'";
}

/// What the parser says about the value of --set `set`, as a mistake of the command line.
static void setError(const std::string &set, const Diag &found, const Decl *pipeline, Shared &sh) {
  Diag &d = sh.diags.error("E0602", found.primary.span, "--set " + set + ": " + found.title);
  d.primary.text = found.primary.text;
  d.secondary = found.secondary;
  d.notes = found.notes;
  d.helps = found.helps;
  size_t eq = set.find('=');
  std::string value = set.substr(eq + 1);
  bool isString = value.starts_with('/') || value.starts_with('.') || value.starts_with('~');
  if (pipeline)
    for (auto &p : pipeline->params)
      isString |= p.name == std::string_view(set).substr(0, eq) && takesString(p);
  if (isString && !value.empty() && value.find('"') == value.npos)
    d.help("a string needs its quotes: " + quotedSet(set));
}

std::unique_ptr<Elaboration> Analysis::elaborate(const std::string &name,
                                                 const ElaborateOptions &options) {
  setIsWrong = false;
  Shared &sh = impl->shared;
  if (sh.diags.hasErrors())
    return nullptr;
  size_t before = sh.diags.all().size();
  auto out = elaborateOnce(name, options);
  if (!out && !options.sets.empty())
    blameSets(name, options, before);
  return out;
}

/// Whose mistake are the errors from the `before`-th diagnostic on? If the program elaborates
/// without the values of --set, theirs.
void Analysis::blameSets(const std::string &name, const ElaborateOptions &options, size_t before) {
  Shared &sh = impl->shared;
  Diag *first = sh.diags.firstErrorFrom(before);
  if (!first)
    return;
  auto inSet = [&](Span s) {
    return sh.sources.has(s.file) && sh.sources.file(s.file).path.starts_with("--set ");
  };
  for (size_t i = before; i < sh.diags.all().size(); ++i) {
    const Diag &d = sh.diags.all()[i];
    setIsWrong |= d.severity == Severity::Error &&
                  (d.code == "E0601" || d.code == "E0602" || inSet(d.primary.span));
  }
  if (setIsWrong) // and the message says so
    return;
  auto succeeds = [&](std::vector<std::string> sets) {
    DiagEngine found;
    ElaborateOptions without = options;
    without.sets = std::move(sets);
    return Analysis(sh.program, sh.sources, found).elaborateOnce(name, without) != nullptr;
  };
  // Those of which each alone makes the difference; else all.
  std::vector<std::string> wrong;
  size_t n = options.sets.size();
  for (size_t i = 0; i < n && n > 1 && n <= 8; ++i) {
    std::vector<std::string> others = options.sets;
    others.erase(others.begin() + (std::ptrdiff_t)i);
    if (succeeds(others))
      wrong.push_back(options.sets[i]);
  }
  if (wrong.empty() && succeeds({}))
    wrong = options.sets;
  if (wrong.empty())
    return;
  setIsWrong = true;
  std::string note = "with";
  for (auto &s : wrong)
    note += " --set " + s;
  first->note(note);
}

std::unique_ptr<Elaboration> Analysis::elaborateOnce(const std::string &name,
                                                     const ElaborateOptions &options) {
  Shared &sh = impl->shared;
  impl->forceGlobals();
  const Decl *pipeline = sh.program.main->find(name);
  OverrideTree sets;
  for (auto &s : options.sets) {
    size_t eq = s.find('=');
    std::vector<std::string> path =
        eq == std::string::npos ? std::vector<std::string>{} : parseSetPath(s.substr(0, eq));
    uint32_t id =
        sh.sources.add("--set " + s.substr(0, eq), eq == std::string::npos ? s : s.substr(eq + 1));
    if (path.empty()) {
      sh.diags
          .error("E0601", {id, 0, (uint32_t)sh.sources.file(id).text.size()},
                 "--set " + s + ": it is PATH=EXPR")
          .help("--set sft.lr=3e-4");
      return nullptr;
    }
    Expr *e = nullptr;
    DiagEngine found;
    impl->overrides.push_back(parseExpr(id, sh.sources, found, e));
    for (const Diag &f : found.all())
      if (f.severity == Severity::Error)
        setError(s, f, pipeline, sh);
    if (!e || sh.diags.hasErrors())
      return nullptr;
    OverrideTree *t = &sets;
    for (auto &p : path)
      t = &t->sub[p];
    t->expr = e;
    t->sub.clear();
    t->text = s;
  }
  auto out = std::make_unique<Elaboration>();
  out->pipeline = name;
  out->seed = options.seed;
  Evaluator ev(sh);
  Value p = ev.global(sh.program.main, name, {});
  if (!p.is(Value::Pipeline)) {
    sh.diags.error("E0405", {}, "`" + name + "` is not a pipeline");
    return nullptr;
  }
  StageBuilder builder(ev, *out, sets, options.checkFiles);
  builder.batches = options.batches;
  sh.frozen = false;
  bool ok = builder.run(p.as<ModelDefObj>());
  std::function<void(const OverrideTree &)> unused = [&](const OverrideTree &t) {
    if (t.expr && !t.used)
      sh.diags.error("E0601", t.expr->span,
                     "--set " + t.text + " changes nothing: no such argument was evaluated");
    for (auto &[k, x] : t.sub)
      unused(x);
  };
  if (ok)
    unused(sets);
  sh.frozen = true; // host and row functions may run from now on
  return ok && !sh.diags.hasErrors() ? std::move(out) : nullptr;
}

// ── tests ───────────────────────────────────────────────────────────────────

std::vector<TestResult> Analysis::runTests(bool library) {
  Shared &sh = impl->shared;
  std::vector<TestResult> results;
  impl->forceGlobals();
  const Module *m = library ? sh.program.prelude.get() : sh.program.main;
  for (auto *t : m->tests) {
    TestResult r;
    r.graph = std::make_shared<GraphFn>();
    r.graph->name = "test" + std::to_string(results.size());
    GraphBuilder g(*r.graph);
    Evaluator ev(sh);
    std::vector<std::pair<Node *, std::vector<double>>> measured;
    ev.g = &g;
    ev.testMode = true;
    ev.measured = &measured;
    size_t before = sh.diags.all().size();
    auto sc = std::make_shared<Scope>();
    sc->parent = sh.moduleScopes[m];
    sc->frame = sh.dims.newFrame();
    ev.eval(*t->value, sc);
    r.name = t->text;
    r.span = t->span;
    r.passed = sh.diags.all().size() == before;
    for (auto &[node, elements] : measured) {
      auto &results = r.graph->results;
      if (std::find(results.begin(), results.end(), node) != results.end())
        continue;
      r.graph->resultNames.push_back("result" + std::to_string(results.size()));
      results.push_back(node);
      r.elements.push_back(elements);
    }
    results.push_back(std::move(r));
  }
  return results;
}

// ── text ────────────────────────────────────────────────────────────────────

std::string dumpElaboration(const Elaboration &e) {
  std::string s = "pipeline " + e.pipeline + "\n";
  for (auto &[k, v] : e.parameters)
    s += "  " + k + " = " + v.dump() + "\n";
  for (auto &st : e.stages) {
    s += "\nstage " + st.name + " = " + st.kind + " -> " + st.result + "\n";
    if (!st.on.is_null())
      s += "  on " + st.on.dump() + "\n";
    for (auto &[k, v] : st.spec.items())
      s += "  " + k + " = " + v.dump() + "\n";
    auto list = [&](const char *what, const std::vector<std::string> &xs) {
      if (xs.empty())
        return;
      s += std::string("  ") + what + ":";
      for (auto &x : xs)
        s += " " + x;
      s += "\n";
    };
    list("reads", st.reads);
    list("files", st.files);
    for (auto &l : st.leaves) {
      static const char *const dists[] = {"constant", "normal", "uniform"};
      s += "  leaf " + l.path + ": " + typeText(l.type);
      if (l.from.empty())
        s += std::string(" = ") + dists[l.dist] + "(" + nlohmann::json(l.a).dump() + ", " +
             nlohmann::json(l.b).dump() + ")";
      else
        s += " from " + l.from + ":" + l.fromPath;
      s += l.trainable ? "\n" : " frozen\n";
    }
    for (auto &fn : st.entries)
      s += dumpGraph(*fn, 2);
  }
  return s;
}

} // namespace r1
