// Functions, models and lets that mention themselves.
#include "compiler/check/Modules.h"
#include <algorithm>
#include <set>

namespace r1 {

namespace {

/// Depth-first over "mentions": functions, models and types of all files, and methods.
class Recursion {
public:
  Recursion(const Program &program, DiagEngine &diags) : program(program), diags(diags) {}

  bool recursive = false;
  void run(const Module &m) {
    for (auto &f : m.files)
      for (auto *d : f->decls)
        if (d->kind != Decl::Import && d->kind != Decl::Test)
          visit(m, *d, nullptr);
  }

private:
  const Program &program;
  DiagEngine &diags;
  std::set<const Decl *> done;
  std::vector<std::pair<const Decl *, Span>> path; // with where the next one is mentioned

  void visit(const Module &m, const Decl &d, const Decl *model) {
    if (done.count(&d))
      return;
    for (size_t i = 0; i < path.size(); ++i)
      if (path[i].first == &d) {
        std::string name(d.name);
        std::string what = d.kind == Decl::Let     ? "` is defined by itself"
                           : d.kind == Decl::Model ? "` contains itself"
                                                   : "` calls itself";
        if (path.size() - i > 1)
          what += ", through `" + std::string(path.back().first->name) + "`";
        auto &x = diags.error("E0209", path.back().second, "`" + name + what);
        recursive = true;
        x.also(d.nameSpan, "declared here")
            .note("elaboration always ends: iterate with map, fold, repeat or for");
        return;
      }
    path.emplace_back(&d, d.nameSpan);
    std::vector<std::string_view> hidden;
    for (auto &p : d.params)
      hidden.push_back(p.name);
    if (d.kind == Decl::Model || d.kind == Decl::Pipeline)
      for (auto *x : d.members)
        hidden.push_back(x->name);
    forEachChild(d, [&](const Expr &e) { mentions(m, e, model, hidden); });
    if (d.kind == Decl::Model)
      for (auto *x : d.members)
        if (x->kind == Decl::Fn)
          visit(m, *x, &d);
    path.pop_back();
    done.insert(&d);
  }

  void mentions(const Module &m, const Expr &e, const Decl *model,
                std::vector<std::string_view> &hidden) {
    size_t mark = hidden.size();
    for (auto &p : e.params)
      hidden.push_back(p.name);
    for (auto &i : e.indices)
      hidden.push_back(i.name);
    for (auto *s : e.stmts)
      if (s->kind == Decl::Let)
        hidden.push_back(s->name);
    if (e.kind == Expr::Name) {
      path.back().second = e.span;
      const Decl *d = nullptr;
      bool isHidden = std::find(hidden.begin(), hidden.end(), e.name) != hidden.end();
      if (model && !isHidden)
        for (auto *x : model->members)
          if (x->name == e.name) {
            isHidden = true;
            if (x->kind == Decl::Fn)
              visit(m, *x, model);
          }
      if (!isHidden) {
        const Module *home = &m;
        d = m.find(e.name);
        if (!d)
          if (auto it = m.imports.find(e.name); it != m.imports.end() && it->second.decl) {
            d = it->second.decl;
            home = it->second.module;
          }
        if (!d) {
          d = program.prelude->find(e.name);
          home = program.prelude.get();
        }
        if (d)
          visit(*home, *d, nullptr);
      }
    }
    forEachChild(e, [&](const Expr &k) { mentions(m, k, model, hidden); });
    hidden.resize(mark);
  }
};

} // namespace

bool checkRecursion(const Program &program, DiagEngine &diags, bool library) {
  Recursion r(program, diags);
  for (auto &m : program.modules)
    r.run(*m);
  if (library)
    r.run(*program.prelude);
  return !r.recursive;
}

} // namespace r1
