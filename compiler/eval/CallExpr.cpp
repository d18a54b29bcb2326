// Call expressions, and what --set replaces in them.
#include "compiler/eval/Evaluator.h"
#include "compiler/eval/Stages.h"
#include <algorithm>

namespace r1 {

Value Evaluator::evalSet(const OverrideTree &over, const ScopeP &sc, const Parameter *p) {
  size_t before = sh.diags.all().size();
  Value v = eval(*over.expr, sc);
  if (!v.isError() || !p || !takesString(*p))
    return v;
  // A text that was typed without quotes reads as names and operators.
  Diag *d = sh.diags.firstErrorFrom(before);
  std::string_view text = sh.sources.file(over.expr->span.file).text;
  if (d && d->primary.span.file == over.expr->span.file && text.find('"') == text.npos)
    d->help(quotedSet(over.text));
  return v;
}

Value Evaluator::evalWith(const Expr &e, const ScopeP &sc, const OverrideTree &over) {
  over.used = true;
  if (over.expr)
    return eval(*over.expr, sc);
  switch (e.kind) {
  case Expr::Paren:
    return evalWith(*e.kids[0], sc, over);
  case Expr::Call:
    return call(e, sc, nullptr, &over);
  case Expr::Pipe: {
    Value x = eval(*e.kids[0], sc);
    if (x.isError())
      return {};
    return call(*e.kids[1], sc, nullptr, &over, &x, e.kids[0]->span);
  }
  case Expr::Name:
    // A shared `let` is inlined for this use only.
    for (Scope *s = sc.get(); s; s = s->parent.get())
      for (auto &[n, d] : s->lets)
        if (n == e.name && d->value)
          return evalWith(*d->value, sc, over);
    break;
  case Expr::Record: {
    Value v = eval(e, sc);
    if (!v.is(Value::Record))
      return v;
    Fields f = v.as<RecordObj>().fields;
    for (auto &[name, o] : over.sub) {
      bool found = false;
      for (auto &a : e.args)
        if (a.name == name) {
          for (auto &[k, x] : f)
            if (k == name)
              x = evalWith(*a.value, sc, o);
          found = true;
        }
      if (!found) {
        std::vector<std::string> have;
        for (auto &[k, x] : f)
          have.push_back(k);
        auto &d = err("E0601", e.span, "--set " + o.text + ": the record has no `" + name + "`");
        if (auto near = nearest(name, have); !near.empty())
          d.help("`" + near + "`");
        return {};
      }
    }
    return Value::record(std::move(f));
  }
  default:
    break;
  }
  const OverrideTree *leaf = &over;
  while (leaf->text.empty() && !leaf->sub.empty())
    leaf = &leaf->sub.begin()->second;
  return fail("E0601", e.span,
              "--set " + leaf->text + ": this is not a call whose arguments could be set");
}

Value Evaluator::call(const Expr &e, const ScopeP &sc, const Type *expect, const OverrideTree *over,
                      const Value *piped, Span pipedSpan) {
  if (e.kind == Expr::Paren)
    return call(*e.kids[0], sc, expect, over, piped, pipedSpan);
  if (e.kind != Expr::Call) {
    err("E0104", e.span, "the right side of |> is a call");
    return {};
  }
  Value f = eval(*e.kids[0], sc);
  const std::vector<Parameter> *params = nullptr;
  const Decl *decl = nullptr;
  if (f.is(Value::Fn)) {
    auto &fn = f.as<FnObj>();
    decl = fn.decl;
    params = fn.decl ? &fn.decl->params : fn.lambda ? &fn.lambda->params : nullptr;
  } else if (f.is(Value::ModelDef) || f.is(Value::Pipeline)) {
    decl = f.as<ModelDefObj>().decl;
    params = &decl->params;
  }
  std::vector<ArgVal> args;
  bool bad = f.isError();
  std::set<std::string> overridden;
  size_t position = 0;
  if (piped) {
    ArgVal a;
    a.value = *piped;
    a.span = pipedSpan;
    args.push_back(std::move(a));
    ++position;
  }
  for (auto &x : e.args) {
    if (x.spread) {
      Value r = eval(*x.value, sc);
      if (!r.is(Value::Record)) {
        if (!r.isError())
          err("E0206", x.value->span, "`...` spreads a record, this is " + kindName(r));
        bad = true;
        continue;
      }
      for (auto &[k, v] : std::static_pointer_cast<const RecordObj>(r.o)->fields) {
        ArgVal a;
        a.name = k;
        a.value = v;
        a.span = a.nameSpan = x.span;
        a.keep = r.o;
        args.push_back(std::move(a));
      }
      continue;
    }
    ArgVal a;
    a.name = x.name;
    a.nameSpan = x.nameSpan;
    a.span = x.value->span;
    a.expr = x.value;
    std::string name(x.name);
    if (name.empty() && params && position < params->size())
      name = std::string((*params)[position].name);
    if (x.name.empty())
      ++position;
    const OverrideTree *o = nullptr;
    if (over)
      if (auto it = over->sub.find(name); it != over->sub.end())
        o = &it->second;
    if (o) {
      overridden.insert(name);
      const Parameter *p = nullptr;
      if (params)
        for (auto &q : *params)
          if (q.name == name)
            p = &q;
      o->used = true;
      a.value = o->expr ? evalSet(*o, sc, p) : evalWith(*x.value, sc, *o);
      if (o->expr) {
        a.expr = o->expr;
        a.span = o->expr->span;
      }
    } else {
      const Type *want = nullptr;
      a.value = eval(*x.value, sc, want);
    }
    bad |= a.value.isError();
    args.push_back(std::move(a));
  }
  if (over)
    for (auto &[name, o] : over->sub) {
      if (overridden.count(name) || (over->ofStage && name == "on"))
        continue;
      const Parameter *p = nullptr;
      std::vector<std::string> have;
      if (params)
        for (auto &q : *params) {
          have.push_back(std::string(q.name));
          if (q.name == name)
            p = &q;
        }
      if (!p) {
        const OverrideTree *leaf = &o;
        while (leaf->text.empty() && !leaf->sub.empty())
          leaf = &leaf->sub.begin()->second;
        std::string callee(sh.sources.text(e.kids[0]->span));
        auto &d = err("E0601", e.kids[0]->span,
                      "--set " + leaf->text + ": `" + callee + "` has no argument `" + name + "`");
        std::string list;
        for (auto &h : have)
          list += (list.empty() ? "" : " ") + h;
        d.note("`" + callee + "` has: " + list);
        std::string near = nearest(name, have);
        for (auto &h : have)
          if (near.empty() && h.size() >= 3 &&
              (name.substr(0, h.size()) == h || h.substr(0, name.size()) == name))
            near = h;
        if (!near.empty())
          d.help("did you mean `" + near + "`?");
        for (auto &[deeper, t] : o.sub)
          if (std::find(have.begin(), have.end(), deeper) != have.end())
            if (size_t at = leaf->text.find(name + "."); at != std::string::npos)
              d.help("--set " + std::string(leaf->text).erase(at, name.size() + 1));
        return {};
      }
      o.used = true;
      ArgVal a;
      a.name = p->name;
      if (o.expr) {
        a.value = evalSet(o, sc, p);
        a.expr = o.expr;
        a.span = a.nameSpan = o.expr->span;
      } else if (p->init) {
        frames.push_back({sh.sources.text(e.kids[0]->span), e.span, nullptr});
        a.value = evalWith(*p->init,
                           f.is(Value::Fn) ? f.as<FnObj>().scope : f.as<ModelDefObj>().scope, o);
        frames.pop_back();
        a.expr = p->init;
        a.span = a.nameSpan = p->init->span;
      } else {
        continue; // reported as missing
      }
      bad |= a.value.isError();
      args.push_back(std::move(a));
    }
  if (bad)
    return {};
  if (f.is(Value::Fn) && f.as<FnObj>().lambda && e.kids[0]->kind == Expr::Name) {
    auto named = std::make_shared<FnObj>(f.as<FnObj>());
    named->name = std::string(e.kids[0]->name);
    named->origin = f.o.get();
    f.o = named;
  }
  // `down(x)` is a call of forward; the reader knows it as `down`.
  calleeText = {};
  if (f.is(Value::Model) && (e.kids[0]->kind == Expr::Name || e.kids[0]->kind == Expr::Member))
    calleeText = sh.sources.text(e.kids[0]->span);
  return apply(f, std::move(args), e.span, expect);
}

} // namespace r1
