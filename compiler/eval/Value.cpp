#include "compiler/eval/Value.h"

namespace r1 {

std::string ElemType::str() const {
  std::string s = real ? "real" : elemName(e);
  if (bounded)
    s += "<" + bound.str() + ">";
  return s;
}

bool sameElem(const ElemType &a, const ElemType &b) {
  return a.real == b.real && (a.real || a.e == b.e);
}

Value Value::boolean(bool v) {
  Value r(Bool);
  r.i = 0;
  r.b = v;
  return r;
}
Value Value::integer(int64_t v) {
  Value r(Int);
  r.i = v;
  return r;
}
Value Value::real(double v) {
  Value r(Float);
  r.f = v;
  return r;
}
Value Value::str(std::string s) {
  auto o = std::make_shared<StrObj>();
  o->s = std::move(s);
  return of(Str, std::move(o));
}
Value Value::dim(Dim d) {
  auto o = std::make_shared<DimObj>();
  o->d = std::move(d);
  return of(DimV, std::move(o));
}
Value Value::list(std::vector<Value> items) {
  auto o = std::make_shared<ListObj>();
  o->items = std::move(items);
  return of(List, std::move(o));
}
Value Value::record(Fields fields) {
  auto o = std::make_shared<RecordObj>();
  o->fields = std::move(fields);
  return of(Record, std::move(o));
}
Value Value::range(Dim lo, Dim hi) {
  auto o = std::make_shared<RangeObj>();
  o->lo = std::move(lo);
  o->hi = std::move(hi);
  return of(Range, std::move(o));
}
Value Value::unknown(TypeP t) {
  auto o = std::make_shared<UnknownObj>();
  o->type = std::move(t);
  return of(Unknown, std::move(o));
}

const std::string &Value::string() const { return as<StrObj>().s; }
const Dim &Value::dims() const { return as<DimObj>().d; }

bool Value::asInt(int64_t &out) const {
  if (kind == Int) {
    out = i;
    return true;
  }
  if (kind == DimV) {
    Dim d = resolve(dims());
    int64_t n = d.size();
    if (n >= 0) {
      out = n;
      return true;
    }
    if (d.isConst() && d.terms().size() == 1 && d.terms()[0].den == 1) { // negative
      out = d.terms()[0].num;
      return true;
    }
  }
  return false;
}

bool Value::asFloat(double &out) const {
  if (kind == Float) {
    out = f;
    return true;
  }
  int64_t n;
  if (!asInt(n))
    return false;
  out = (double)n;
  return true;
}

const Value *RecordObj::find(std::string_view name) const {
  for (auto &[k, v] : fields)
    if (k == name)
      return &v;
  return nullptr;
}

Value *Scope::find(std::string_view name) {
  for (size_t i = names.size(); i-- > 0;)
    if (names[i].first == name)
      return &names[i].second;
  return nullptr;
}

std::string typeText(const ElemType &e, const std::vector<Dim> &dims) {
  std::string s = e.str();
  if (dims.empty())
    return s;
  s += "[";
  for (size_t i = 0; i < dims.size(); ++i) {
    const DimSym *sym = dims[i].symbol();
    s += (i ? ", " : "");
    s += sym && (sym->kind == DimSym::Pack || sym->pack) ? "..." + sym->name
                                                         : nameAndNumber(dims[i]);
  }
  return s + "]";
}

std::string Type::str() const {
  auto list = [](auto &xs) {
    std::string s;
    for (auto &x : xs)
      s += (s.empty() ? "" : ", ") + (x ? x->str() : "any");
    return s;
  };
  std::string s;
  switch (kind) {
  case Any:
    s = "any";
    break;
  case Int:
    s = "int";
    break;
  case Float:
    s = "float";
    break;
  case Bool:
    s = "bool";
    break;
  case Str:
    s = "str";
    break;
  case Regex:
    s = "regex";
    break;
  case Bytes:
    s = "bytes";
    break;
  case Duration:
    s = "duration";
    break;
  case Budget:
    s = "budget";
    break;
  case DType:
    s = "dtype";
    break;
  case DimT:
    s = "dim";
    break;
  case Device:
    s = "device";
    break;
  case List:
    s = "[" + list(args) + "]";
    break;
  case Record: {
    for (auto &[k, t] : fields)
      s += (s.empty() ? "{" : ", ") + k + ": " + t->str();
    s += s.empty() ? "{}" : "}";
    break;
  }
  case Fn:
    s = "fn(" + list(args) + ") -> " + (result ? result->str() : "any");
    break;
  case Tensor:
    s = typeText(elem, dims);
    break;
  case Model:
    s = model ? std::string(model->name) : "model";
    break;
  case Corpus:
    s = "Corpus";
    break;
  case Tokenizer:
    s = "Tokenizer";
    break;
  case Metrics:
    s = "Metrics";
    break;
  case Optimizer:
    s = "Optimizer";
    break;
  }
  return optional ? s + "?" : s;
}

std::string kindName(const Value &v) {
  switch (v.kind) {
  case Value::Error:
    return "an error";
  case Value::None:
    return "none";
  case Value::Bool:
    return "bool";
  case Value::Int:
    return "int";
  case Value::Float:
    return "float";
  case Value::Str:
    return "str";
  case Value::Regex:
    return "regex";
  case Value::Bytes:
    return "bytes";
  case Value::Duration:
    return "duration";
  case Value::Budget:
    return "budget";
  case Value::DType:
    return "dtype";
  case Value::DimV:
    return "dim";
  case Value::Range:
    return "a range";
  case Value::List:
    return "a list";
  case Value::Record: {
    std::string s = "{";
    for (auto &[k, x] : v.as<RecordObj>().fields)
      s += (s.size() > 1 ? ", " : "") + k;
    return "a record " + s + "}";
  }
  case Value::Fn:
    return "a function";
  case Value::ModelDef:
    return "a model declaration";
  case Value::Pipeline:
    return "a pipeline";
  case Value::Model:
    return "a model " + std::string(v.as<ModelObj>().decl->name);
  case Value::Leaf:
    return typeText(v.as<LeafObj>().elem, v.as<LeafObj>().dims);
  case Value::Tensor:
    return typeText(v.as<TensorObj>().elem, v.as<TensorObj>().dims);
  case Value::Scalar:
    return v.as<ScalarObj>().elem.weak ? (v.as<ScalarObj>().elem.isFloat() ? "float" : "an index")
                                       : v.as<ScalarObj>().elem.str();
  case Value::IndexPack:
    return "a pack of indices";
  case Value::DimPack:
    return "a pack of dims";
  case Value::Handle:
    return "a " + v.as<HandleObj>().type;
  case Value::Module:
    return "a module";
  case Value::Unknown:
    return v.as<UnknownObj>().type->str();
  }
  return "?";
}

} // namespace r1
