#include "compiler/eval/Elaboration.h"
#include "compiler/eval/GraphEval.h"
#include <map>

namespace r1 {

std::string typeText(const GraphType &t) {
  std::string s = elemName(t.elem);
  if (t.bound > 0)
    s += "<" + std::to_string(t.bound) + ">";
  if (t.dims.empty())
    return s;
  s += "[";
  for (size_t i = 0; i < t.dims.size(); ++i) {
    auto &d = t.dims[i];
    std::string n = std::to_string(d.size);
    s += (i ? ", " : "") + (d.name.empty() || d.name == n ? n
                            : d.size < 0                  ? d.name
                                                          : d.name + "=" + n);
  }
  return s + "]";
}

namespace {

const char *opText(ScalarOp op) {
  static const char *const names[] = {"+",       "-",      "*",   "/",    "neg", "abs",  "minimum",
                                      "maximum", "**",     "mod", "div",  "exp", "log",  "sqrt",
                                      "rsqrt",   "sin",    "cos", "tanh", "erf", "sign", "<",
                                      "<=",      ">",      ">=",  "==",   "!=",  "and",  "or",
                                      "not",     "select", "cast"};
  return names[(int)op];
}

const char *redText(ReduceOp r) {
  static const char *const names[] = {"sum", "max", "min", "any", "all"};
  return names[(int)r];
}

std::string numberText(double v) {
  nlohmann::json j = v;
  return v != v ? "nan" : v > 1e308 * 10 ? "inf" : v < -1e308 * 10 ? "-inf" : j.dump();
}

class Dump {
public:
  explicit Dump(int indent) : indent(indent) {}

  std::string run(const GraphFn &fn) {
    std::string pad(indent, ' ');
    out += pad + "fn " + fn.name + "(";
    for (size_t i = 0; i < fn.inputs.size(); ++i) {
      ids[fn.inputs[i]] = next++;
      out += (i ? ", " : "") + ref(fn.inputs[i]) + " " + fn.inputs[i]->name + ": " +
             typeText(fn.inputs[i]->type);
      if (i < fn.rows.size() && fn.rows[i])
        out += " rows";
    }
    out += ") {\n";
    for (auto *r : fn.results)
      visit(r);
    out += pad + "  return ";
    for (size_t i = 0; i < fn.results.size(); ++i)
      out += (i ? ", " : "") + (i < fn.resultNames.size() ? fn.resultNames[i] + " = " : "") +
             ref(fn.results[i]);
    return out + "\n" + pad + "}\n";
  }

private:
  int indent;
  std::string out;
  int next = 0;
  std::map<const Node *, int> ids;

  std::string ref(const Node *n) {
    auto it = ids.find(n);
    return it == ids.end() ? "%?" : "%" + std::to_string(it->second);
  }

  void visitScalar(const Scalar *s) {
    if (s->tensor)
      visit(s->tensor);
    for (auto *a : s->args)
      visitScalar(a);
    if (s->otherwise)
      visitScalar(s->otherwise);
  }

  static std::string varText(const LoopVar *v) {
    return v->name + " in " + (v->dimName.empty() ? std::to_string(v->size) : v->dimName);
  }

  std::string text(const Scalar *s) {
    switch (s->kind) {
    case Scalar::Const:
      if (s->elem == Elem::Bool)
        return s->integer ? "true" : "false";
      return s->elem >= Elem::I64 ? std::to_string(s->integer) : numberText(s->number);
    case Scalar::Index:
      return s->var->name;
    case Scalar::Read: {
      std::string r = ref(s->tensor);
      if (!s->args.empty()) {
        r += "[";
        for (size_t i = 0; i < s->args.size(); ++i)
          r += (i ? ", " : "") + text(s->args[i]);
        r += "]";
      }
      return s->otherwise ? "(" + r + " ?? " + text(s->otherwise) + ")" : r;
    }
    case Scalar::Op: {
      std::string o = opText(s->op);
      if (s->op == ScalarOp::Cast)
        return std::string(elemName(s->elem)) + "(" + text(s->args[0]) + ")";
      bool infix = s->args.size() == 2 && s->op != ScalarOp::Min && s->op != ScalarOp::Max &&
                   s->op != ScalarOp::Mod && s->op != ScalarOp::FloorDiv;
      if (infix)
        return "(" + text(s->args[0]) + " " + o + " " + text(s->args[1]) + ")";
      std::string r = o + "(";
      for (size_t i = 0; i < s->args.size(); ++i)
        r += (i ? ", " : "") + text(s->args[i]);
      return r + ")";
    }
    case Scalar::Reduce: {
      std::string r = std::string(redText(s->red)) + "(";
      for (size_t i = 0; i < s->vars.size(); ++i)
        r += (i ? ", " : "") + varText(s->vars[i]);
      return r + " => " + text(s->args[0]) + ")";
    }
    }
    return "?";
  }

  void visit(const Node *n) {
    if (ids.count(n))
      return;
    for (auto *o : n->operands)
      visit(o);
    for (auto *c : n->captures)
      visit(c);
    if (n->body)
      visitScalar(n->body);
    for (auto &l : n->lambdas)
      visitScalar(l.body);
    ids[n] = next++;
    std::string pad(indent + 2, ' ');
    out += pad + ref(n) + ": " + typeText(n->type) + " = ";
    auto operands = [&] {
      std::string r;
      for (size_t i = 0; i < n->operands.size(); ++i)
        r += (i ? ", " : "") + ref(n->operands[i]);
      return r;
    };
    switch (n->kind) {
    case Node::Input:
      out += "capture " + n->name;
      break;
    case Node::Param:
      out += "param " + n->name;
      break;
    case Node::HostScalar:
      out += "scalar " + n->name;
      break;
    case Node::Literal: {
      out += "literal [";
      for (size_t i = 0; i < n->numbers.size() && i < 16; ++i)
        out += (i ? ", " : "") + numberText(n->numbers[i]);
      out += n->numbers.size() > 16 ? ", ...]" : "]";
      break;
    }
    case Node::For:
      if (!n->vars.empty()) {
        out += "for ";
        for (size_t i = 0; i < n->vars.size(); ++i)
          out += (i ? ", " : "") + varText(n->vars[i]);
        out += " => ";
      }
      out += text(n->body);
      break;
    case Node::Softmax:
      out += "softmax(" + operands() + ", axis " + std::to_string(n->axis) + ")";
      break;
    case Node::LogSumExp:
      out += "logsumexp(" + operands() + ", axis " + std::to_string(n->axis) + ")";
      break;
    case Node::Reshape:
      out += "reshape(" + operands() + ")";
      break;
    case Node::Random:
      out += "random \"" + n->name + "\"";
      break;
    case Node::StopGrad:
      out += "stop_grad(" + operands() + ")";
      break;
    case Node::Kernel: {
      out += "kernel " + n->name + "(" + operands();
      for (auto &l : n->lambdas) {
        out += ", (";
        for (size_t i = 0; i < l.vars.size(); ++i)
          out += (i ? ", " : "") + varText(l.vars[i]);
        out += ") => " + text(l.body);
      }
      out += ")";
      if (!n->captures.empty()) {
        out += " captures ";
        for (size_t i = 0; i < n->captures.size(); ++i)
          out += (i ? ", " : "") + ref(n->captures[i]);
      }
      out += "\n" + dumpGraph(*n->fn, indent + 4);
      return;
    }
    case Node::Grad:
      out += "grad(" + operands() + ") wrt ";
      for (size_t i = 0; i < n->wrt.size(); ++i)
        out += (i ? ", " : "") + n->wrt[i]->path;
      out += "\n" + dumpGraph(*n->fn, indent + 4);
      return;
    case Node::GradResult:
      out += "grad result " + std::to_string(n->index) + " of " + operands();
      break;
    }
    out += "\n";
  }
};

} // namespace

std::string dumpGraph(const GraphFn &fn, int indent) { return Dump(indent).run(fn); }

const char *elemName(Elem e) {
  static const char *const names[] = {"f64", "f32", "f16", "bf16", "i64",
                                      "i32", "i8",  "u8",  "bool"};
  return names[(int)e];
}

} // namespace r1
