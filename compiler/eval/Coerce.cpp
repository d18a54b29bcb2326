// What a value becomes when a type is asked of it.
#include "compiler/eval/Evaluator.h"
#include <cmath>

namespace r1 {

static bool isStageKind(const Value &v, const char *what) {
  return v.is(Value::Handle) && v.as<HandleObj>().type == what;
}

Value Evaluator::literal(const Value &list, const Type &t, Span span) {
  // Shape by the first element of each level; every other must agree.
  std::vector<int64_t> shape;
  for (const Value *v = &list; v->is(Value::List);) {
    auto &items = v->as<ListObj>().items;
    shape.push_back((int64_t)items.size());
    if (items.empty())
      break;
    v = &items[0];
  }
  if (!shape.empty() && shape.back() == 0)
    return fail("E0213", span, "the list has no elements; every dim is at least 1");
  std::vector<double> numbers;
  bool ragged = false, wrong = false, outside = false;
  std::function<void(const Value &, size_t)> walk = [&](const Value &v, size_t depth) {
    if (v.is(Value::List)) {
      auto &items = v.as<ListObj>().items;
      if (depth >= shape.size() || (int64_t)items.size() != shape[depth]) {
        ragged = true;
        return;
      }
      for (auto &x : items)
        walk(x, depth + 1);
      return;
    }
    if (depth != shape.size()) {
      ragged = true;
      return;
    }
    double d = 0;
    int64_t n;
    if (t.elem.isBool() ? !v.is(Value::Bool) : t.elem.isInt() ? !v.asInt(n) : !v.asFloat(d)) {
      wrong = true;
      return;
    }
    if (t.elem.isBool())
      d = v.b;
    else if (t.elem.isInt()) {
      d = (double)n;
      int64_t bound = t.elem.bounded ? t.elem.bound.size() : -1;
      if (bound >= 0 && (n < 0 || n >= bound)) {
        err("E0309", span,
            std::to_string(n) + " is not in 0.." + std::to_string(bound) + ", the bound of " +
                t.elem.str());
        outside = true;
      }
    }
    numbers.push_back(d);
  };
  walk(list, 0);
  if (ragged)
    return fail("E0302", span, "the list is ragged: its parts have different lengths");
  if (wrong)
    return fail("E0303", span, "the list holds other things than " + t.elem.str());
  if (outside)
    return {};
  std::vector<Dim> dims;
  for (auto n : shape)
    dims.push_back(Dim(n));
  std::string why;
  const char *code = "E0301";
  if (!unifyDims(t.dims, dims, why, code))
    return fail(code, span,
                "the list is " + typeText(t.elem, dims) + ", not " + typeText(t.elem, t.dims));
  if (!g)
    return fail("E0214", span, "a tensor stands only in graph functions and tests");
  dims = expand(t.dims);
  ElemType e = t.elem;
  Node *n = g->node(Node::Literal, g->type(e, dims), span);
  n->numbers = std::move(numbers);
  return tensor(n, e, dims);
}

Value Evaluator::coerce(Value v, const Type &t, Span span, const What &what) {
  if (v.isError())
    return v;
  auto wrong = [&] {
    return fail("E0206", span, what.str() + " should be " + t.str() + ", this is " + kindName(v));
  };
  if (v.is(Value::None) && t.kind != Type::Any) {
    if (t.optional)
      return v;
    err("E0310", span, what.str() + " should be " + t.str() + ", this is `none`");
    return {};
  }
  if (v.maybe && !t.optional && t.kind != Type::Any && !v.is(Value::Scalar)) {
    err("E0310", span, what.str() + " may be `none` and should be " + t.str())
        .help("give a default with ??");
    return {};
  }
  if (v.is(Value::Unknown)) {
    auto &u = *v.as<UnknownObj>().type;
    if (u.optional && !t.optional && t.kind != Type::Any) {
      err("E0310", span, what.str() + " may be `none` and should be " + t.str())
          .help("give a default with ??");
      return {};
    }
    if (t.kind == Type::DimT && (u.kind == Type::Int || u.kind == Type::Any))
      return Value::dim(*dimValue(v, span, what));
    if (u.kind == Type::Any && t.kind != Type::Any)
      return abstractOf(std::make_shared<Type>(t), "", span);
    bool ok = u.kind == t.kind || t.kind == Type::Any ||
              (t.kind == Type::Float && (u.kind == Type::Int || u.kind == Type::DimT)) ||
              (t.kind == Type::Int && u.kind == Type::DimT) ||
              (t.kind == Type::Fn && u.kind == Type::Float) ||
              (t.kind == Type::Tensor && t.dims.empty()) ||
              (t.kind == Type::Optimizer && u.kind == Type::Record) || u.kind == Type::Record;
    if (!ok)
      return fail("E0206", span, what.str() + " should be " + t.str() + ", this is " + u.str());
    return v;
  }
  int64_t n;
  double f;
  switch (t.kind) {
  case Type::Any:
    return v;
  case Type::Int:
    return v.is(Value::Int) || v.is(Value::DimV) ||
                   (v.is(Value::Scalar) && v.as<ScalarObj>().elem.isInt())
               ? v
               : wrong();
  case Type::Float:
    if (v.is(Value::Float) || v.isGraph())
      return v;
    if (v.asFloat(f))
      return Value::real(f);
    if (v.is(Value::DimV))
      return Value::unknown(std::make_shared<Type>(t));
    if (v.is(Value::Bytes) || v.is(Value::Duration) || v.is(Value::Budget)) {
      err("E0210", span, what.str() + " is a plain number, this is an amount with a unit");
      return {};
    }
    return wrong();
  case Type::Bool:
    return v.is(Value::Bool) || v.isGraph() ? v : wrong();
  case Type::Str:
    return v.is(Value::Str) ? v : wrong();
  case Type::Regex:
    return v.is(Value::Regex) ? v : wrong();
  case Type::DType:
    return v.is(Value::DType) ? v : wrong();
  case Type::Bytes:
  case Type::Duration:
    if (v.kind == (t.kind == Type::Bytes ? Value::Bytes : Value::Duration))
      return v;
    if (v.isNumber() && v.asFloat(f)) {
      std::string num = text(v);
      auto &d =
          err("E0210", span,
              what.str() +
                  (t.kind == Type::Bytes ? " is an amount of memory, and " : " is a time, and ") +
                  num + " has no unit");
      if (t.kind == Type::Bytes)
        d.help(num + "GB", span, num + "GB");
      else
        d.help(num + "s, " + num + "min or " + num + "h");
      return {};
    }
    if (v.is(Value::Bytes) || v.is(Value::Duration) || v.is(Value::Budget)) {
      err("E0210", span,
          what.str() +
              (t.kind == Type::Bytes ? " is an amount of memory, this is a "
                                     : " is a time, this is a ") +
              kindName(v));
      return {};
    }
    return wrong();
  case Type::Budget:
    if (v.is(Value::Budget))
      return v;
    if (v.is(Value::Duration)) {
      auto o = std::make_shared<BudgetObj>();
      o->amount = v.f;
      o->unit = BudgetSeconds;
      return Value::of(Value::Budget, o);
    }
    if (v.isNumber() || v.is(Value::Bytes)) {
      std::string num = text(v);
      auto &d = err("E0210", span,
                    what.str() + " is a length of training, and " + num +
                        (v.isNumber() ? " has no unit" : " is an amount of memory"));
      if (v.isNumber())
        d.help(num + "steps  (or epochs, tokens, or a time: 8h)", span, num + "steps");
      return {};
    }
    return wrong();
  case Type::DimT:
    if (v.is(Value::DimV) || v.asInt(n)) {
      auto d = dimValue(v, span, what);
      return d ? Value::dim(*d) : Value();
    }
    return wrong();
  case Type::Device:
    return isStageKind(v, "device") ? v : wrong();
  case Type::List: {
    if (!v.is(Value::List))
      return v.is(Value::Range) ? v : wrong();
    auto items = v.as<ListObj>().items;
    for (auto &x : items) {
      x = coerce(x, *t.args[0], span, "an element of the list");
      if (x.isError())
        return {};
    }
    return Value::list(std::move(items));
  }
  case Type::Record: {
    if (!v.is(Value::Record))
      return v.is(Value::Handle) ? v : wrong();
    Fields fields = v.as<RecordObj>().fields;
    for (auto &[k, ft] : t.fields) {
      bool found = false;
      for (auto &[name, x] : fields)
        if (name == k) {
          found = true;
          x = coerce(x, *ft, span, What("", k));
          if (x.isError())
            return {};
        }
      if (!found) {
        if (ft->optional) {
          fields.emplace_back(k, Value(Value::None));
          continue;
        }
        return fail("E0208", span,
                    what.str() + " should be " + t.str() + ", but has no `" + k + "`");
      }
    }
    return Value::record(std::move(fields));
  }
  case Type::Fn:
    if (v.is(Value::Fn) || v.is(Value::Model) || v.is(Value::ModelDef))
      return v;
    // A number where a schedule is expected is the constant one: the only implicit conversion.
    if (v.asFloat(f) && t.args.size() == 1 && t.result && t.result->kind == Type::Float) {
      auto fn = std::make_shared<FnObj>();
      fn->name = text(v);
      fn->constant = std::make_shared<Value>(Value::real(f));
      return Value::of(Value::Fn, fn);
    }
    return wrong();
  case Type::Model:
    if (!v.is(Value::Model))
      return wrong();
    if (t.model && v.as<ModelObj>().decl != t.model)
      return fail("E0206", span,
                  what.str() + " should be a model " + std::string(t.model->name) + ", this is " +
                      kindName(v));
    return v;
  case Type::Corpus:
    return isStageKind(v, "corpus") ? v : wrong();
  case Type::Tokenizer:
    return isStageKind(v, "tokenizer") ? v : wrong();
  case Type::Metrics:
    return isStageKind(v, "metrics") ? v : wrong();
  case Type::Optimizer:
    if (!v.is(Value::Record) || !v.as<RecordObj>().find("init") || !v.as<RecordObj>().find("step"))
      return wrong();
    return v;
  case Type::Tensor:
    break;
  }
  // Tensors.
  if (v.is(Value::Leaf))
    v = leafValue(v);
  if (v.is(Value::List))
    return literal(v, t, span);
  ElemType have;
  if (!elemOf(v, have, span))
    return wrong();
  std::vector<Dim> dims;
  if (v.is(Value::Tensor))
    dims = v.as<TensorObj>().dims;
  if (v.is(Value::Scalar) && v.maybe)
    return present(v, span);
  // The element type.
  bool realAsF32 = testMode && have.e == Elem::F32 && t.elem.real;
  if (have.weak ? !(t.elem.isFloat() || have.isInt()) : !(sameElem(have, t.elem) || realAsF32)) {
    err("E0303", span,
        what.str() + " should be " + typeText(t.elem, t.dims) + ", this is " + kindName(v))
        .help((t.elem.real ? "real" : std::string(elemName(t.elem.e))) + "(" +
              std::string(sh.sources.text(span)) + ") converts");
    return {};
  }
  std::string why;
  const char *code = "E0301";
  if (!unifyDims(t.dims, dims, why, code)) {
    std::vector<Dim> want = t.dims;
    if (outerNames) // the caller's names for what is bound
      for (auto &x : want)
        if (const DimSym *s = x.symbol(); !s || !s->pack)
          x = leaving(
              x, [&](const DimSym *y) { return y->kind == DimSym::Bound && !y->bound.isConst(); });
    auto &d = err(code, span,
                  what.str() + " should be " + typeText(t.elem, want) + ", this is " +
                      typeText(t.elem, dims));
    if (!why.empty())
      d.note(why);
    return {};
  }
  if (t.elem.bounded) {
    bool ok = have.bounded && unifyDim(t.elem.bound, have.bound);
    if (!ok && have.bounded) {
      int64_t a = have.bound.size(), b = t.elem.bound.size();
      ok = a >= 0 && b >= 0 ? a <= b : provablyNonNegative(t.elem.bound - have.bound);
      if (!ok) {
        auto size = [](const Dim &x) {
          int64_t n = x.size();
          return n >= 0 ? std::to_string(n) : x.str();
        };
        auto &d = err("E0309", span,
                      "the values go up to " + size(have.bound) + ", " + what.str() +
                          " takes those below " + size(t.elem.bound));
        for (const Dim *x : {&t.elem.bound, (const Dim *)&have.bound})
          if (const DimSym *s = x->symbol(); s && origin(s)->span.valid())
            d.also(origin(s)->span,
                   x == &have.bound
                       ? "values of " + have.str().substr(0, 4) + size(have.bound) + ">"
                       : "`" + origin(s)->name + "` is " + size(*x) + " here");
        d.note("larger ones would read past a table of " + size(t.elem.bound) + " rows");
        return {};
      }
    }
    if (!ok) {
      err("E0309", span,
          what.str() + " should be " + t.elem.str() + ", this is " + have.str() +
              " without a bound");
      return {};
    }
  }
  if (v.is(Value::Scalar)) {
    Scalar *s = toScalar(v, t.elem, span);
    if (!s)
      return {};
    Value r = scalar(s, t.elem);
    return r;
  }
  if (!v.is(Value::Tensor)) { // a host number for a scalar of the graph
    if (!g)
      return v;
    if (loopDepth) {
      Scalar *s = toScalar(v, t.elem, span);
      return s ? scalar(s, t.elem) : Value();
    }
    Scalar *s = toScalar(v, t.elem, span);
    if (!s)
      return {};
    return tensor(g->comprehension({}, s, g->type(t.elem, {}), span), t.elem, {});
  }
  auto o = std::make_shared<TensorObj>();
  o->node = v.as<TensorObj>().node;
  o->elem = t.elem.bounded || !have.bounded ? t.elem : have;
  o->dims = expand(t.dims);
  Value r = Value::of(Value::Tensor, std::move(o));
  r.maybe = v.maybe;
  return r;
}

} // namespace r1
