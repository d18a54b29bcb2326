// Arguments to parameters; dims on their way out of a call.
#include "compiler/eval/Evaluator.h"
#include "compiler/eval/Stages.h"
#include <algorithm>

namespace r1 {

bool takesString(const Parameter &p) {
  if (p.type)
    return p.type->kind == TypeExpr::Named && p.type->path.size() == 1 && p.type->path[0] == "str";
  return p.init && p.init->kind == Expr::String;
}

// ── arguments ───────────────────────────────────────────────────────────────

static void withSignature(Evaluator &ev, Diag &d, const Decl *decl) {
  if (decl)
    d.note(signatureText(*decl, ev.sh.sources) + "        " + ev.sh.sources.where(decl->nameSpan));
}

bool Evaluator::bindArgs(std::string_view callee, const Decl *decl,
                         const std::vector<Parameter> &params, std::vector<ArgVal> &args, Span span,
                         std::vector<ArgVal *> &slots) {
  slots.assign(params.size(), nullptr);
  std::string name(callee);
  bool ok = true;
  size_t next = 0;
  for (auto &a : args) {
    if (a.name.empty()) {
      if (next >= params.size()) {
        auto &d = err("E0203", a.span,
                      "`" + name + "` takes " + std::to_string(params.size()) +
                          (params.size() == 1 ? " argument" : " arguments") + " and is given more");
        withSignature(*this, d, decl);
        return false;
      }
      slots[next++] = &a;
      continue;
    }
    size_t i = 0;
    while (i < params.size() && params[i].name != a.name)
      ++i;
    if (i == params.size()) {
      std::vector<std::string> have;
      for (auto &p : params)
        have.push_back(std::string(p.name));
      std::string wrote(a.name);
      auto &d = err("E0201", a.nameSpan, "`" + name + "` has no argument `" + wrote + "`");
      if (auto near = nearest(wrote, have); !near.empty()) {
        d.label("did you mean `" + near + "`?");
        d.help("`" + near + "`", a.nameSpan, near);
      }
      withSignature(*this, d, decl);
      ok = false;
      continue;
    }
    if (slots[i]) {
      err("E0204", a.nameSpan, "`" + name + "` is given `" + std::string(a.name) + "` twice")
          .also(slots[i]->span, "given here first");
      ok = false;
      continue;
    }
    slots[i] = &a;
  }
  return ok;
}

void Evaluator::missing(std::string_view callee, const Decl *decl, const Parameter &p, Span span) {
  auto &d =
      err("E0202", span,
          "`" + std::string(callee) + "` needs `" + std::string(p.name) + "`, which is not given");
  withSignature(*this, d, decl);
  if (decl && decl->kind == Decl::Pipeline && frames.empty()) // asked for by the command line
    d.help(takesString(p) ? "--set '" + std::string(p.name) + "=\"…\"'"
                          : "--set " + std::string(p.name) + "=…");
}

// ── dims on the way out ─────────────────────────────────────────────────────

Value Evaluator::leaveFrames(const Value &v, uint32_t frame, uint32_t modelFrame) {
  auto out = [&](const DimSym *s) {
    if (s->kind != DimSym::Bound && s->kind != DimSym::Alias)
      return false;
    // A size of the model that is a plain number has no better name outside.
    return s->frame && (s->frame == frame || (s->frame == modelFrame && !s->bound.isConst()));
  };
  auto touches = [&](const Dim &d) { return d.anySym(out); };
  switch (v.kind) {
  case Value::Tensor: {
    auto &t = v.as<TensorObj>();
    bool any = t.elem.bounded && touches(t.elem.bound);
    for (auto &d : t.dims)
      any |= touches(d);
    if (!any)
      return v;
    auto o = std::make_shared<TensorObj>(t);
    for (auto &d : o->dims)
      d = leaving(d, out);
    if (o->elem.bounded)
      o->elem.bound = leaving(o->elem.bound, out);
    Value r = Value::of(Value::Tensor, std::move(o));
    r.maybe = v.maybe;
    return r;
  }
  case Value::DimV:
    return touches(v.dims()) ? Value::dim(leaving(v.dims(), out)) : v;
  case Value::Record: {
    Fields f = v.as<RecordObj>().fields;
    for (auto &[k, x] : f)
      x = leaveFrames(x, frame, modelFrame);
    return Value::record(std::move(f));
  }
  case Value::List: {
    if (v.as<ListObj>().items.empty() ||
        !(v.as<ListObj>().items[0].isGraph() || v.as<ListObj>().items[0].is(Value::DimV)))
      return v;
    auto o = std::make_shared<ListObj>(v.as<ListObj>());
    for (auto &x : o->items)
      x = leaveFrames(x, frame, modelFrame);
    return Value::of(Value::List, std::move(o));
  }
  default:
    return v;
  }
}

// ── functions ───────────────────────────────────────────────────────────────

bool Evaluator::bindParams(const Decl &d, std::vector<ArgVal> &args, Span span, const ScopeP &sc,
                           BuiltinCall *record) {
  std::vector<ArgVal *> slots;
  if (!bindArgs(d.name, &d, d.params, args, span, slots))
    return false;
  Saved<std::vector<std::pair<Dim, Dim>>> keep(deferred, {});
  std::string_view callee = calleeText.empty() ? d.name : calleeText;
  calleeText = {};
  bool ok = true;
  for (size_t i = 0; i < d.params.size(); ++i) {
    auto &p = d.params[i];
    TypeP t = p.type ? type(*p.type, sc, true) : nullptr;
    ok &= !p.type || t;
    Value v;
    Span at = span;
    if (slots[i]) {
      v = slots[i]->value;
      at = slots[i]->span;
    } else if (p.init) {
      v = eval(*p.init, sc, t.get());
      at = p.init->span;
    } else {
      missing(d.name, &d, p, span);
      ok = false;
      continue;
    }
    if (t) {
      Saved<bool> outer(outerNames, true);
      v = coerce(v, *t, at, What::param(p.name, callee));
    }
    ok &= !v.isError();
    if (v.is(Value::DimV) && !rowMode && t && t->kind == Type::DimT)
      v = Value::dim(
          Dim(sh.dims.bind(std::string(p.name), v.dims(), DimSym::Bound, sc->frame, at)));
    sc->set(p.name, v);
    if (record) {
      ArgVal a;
      a.name = p.name;
      a.value = v;
      a.span = at;
      a.expr = slots[i] ? slots[i]->expr : p.init;
      record->args.push_back(std::move(a));
      record->given.push_back(slots[i] != nullptr);
    }
  }
  if (!ok)
    return false;
  for (auto &[want, have] : deferred)
    if (sameSize(want, have) == Same::No) {
      err("E0301", span,
          "`" + std::string(d.name) + "` needs " + nameAndNumber(want) + " and is given " +
              nameAndNumber(have));
      return false;
    }
  return true;
}

} // namespace r1
