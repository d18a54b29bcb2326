// One op per node: the tensors of a function, made on demand from its results.
#include "compiler/irgen/Gen.h"

using namespace mlir;
using namespace r1::ir;

namespace r1::gen {

Type elemType(Elem e, MLIRContext *ctx) {
  switch (e) {
  case Elem::F64:
    return Float64Type::get(ctx);
  case Elem::F32:
    return Float32Type::get(ctx);
  case Elem::F16:
    return Float16Type::get(ctx);
  case Elem::BF16:
    return BFloat16Type::get(ctx);
  default:
    return IntegerType::get(ctx, bitsOf(e));
  }
}

RankedTensorType tensorType(const GraphType &type, MLIRContext *ctx) {
  SmallVector<int64_t> shape;
  SmallVector<StringAttr> names;
  for (const GraphDim &d : type.dims) {
    shape.push_back(d.size);
    names.push_back(StringAttr::get(ctx, d.name));
  }
  Attribute encoding;
  if (!names.empty() || type.bound > 0)
    encoding = TyAttr::get(ctx, names, type.bound);
  return RankedTensorType::get(shape, elemType(type.elem, ctx), encoding);
}

InFlightDiagnostic FnGen::error(const Span &span, const Twine &what) {
  failed = true;
  return emitError(module.loc(span)) << what;
}

LogicalResult FnGen::run() {
  findInlined();
  for (auto [i, input] : llvm::enumerate(fn.inputs))
    values[input] = func.getArgument(i);
  SmallVector<Value> results;
  for (Node *r : fn.results) {
    Value v = get(r);
    if (!v)
      return failure();
    results.push_back(v);
  }
  func::ReturnOp::create(b, func.getLoc(), results);
  func.setFunctionType(
      FunctionType::get(ctx, func.getArgumentTypes(), ValueRange(results).getTypes()));
  return success();
}

Value FnGen::get(Node *node) {
  auto it = values.find(node);
  if (it != values.end())
    return it->second;
  Value v = emit(node);
  if (!v)
    failed = true;
  return values[node] = v;
}

/// Calls `f` on every scalar of a body once, arguments in order, with the number of elements that
/// the loops around it run over.
static void walkBody(Node *node, llvm::function_ref<void(Scalar *, int64_t)> f) {
  int64_t volume = 1;
  for (LoopVar *v : node->vars)
    volume *= v->size;
  llvm::SmallPtrSet<Scalar *, 16> seen;
  SmallVector<std::pair<Scalar *, int64_t>> work;
  if (node->body)
    work.push_back({node->body, volume});
  while (!work.empty()) {
    auto [s, around] = work.pop_back_val();
    if (!seen.insert(s).second)
      continue;
    f(s, around);
    for (LoopVar *v : s->vars)
      around *= v->size;
    if (s->otherwise)
      work.push_back({s->otherwise, around});
    for (Scalar *a : llvm::reverse(s->args))
      work.push_back({a, around});
  }
}

/// A value that is an op of its own whoever reads it: a reduction, perhaps rounded.
static bool isReduction(Scalar *s) {
  if (s->kind == Scalar::Op && s->op == ScalarOp::Cast)
    s = s->args[0];
  return s->kind == Scalar::Reduce;
}

void FnGen::findInlined() {
  struct Use {
    int count = 0;
    Scalar *read = nullptr; // the last one
    int64_t around = 0;
  };
  DenseMap<Node *, Use> uses;
  llvm::SmallPtrSet<Node *, 32> seen;
  SmallVector<Node *> work(fn.results.begin(), fn.results.end());
  auto visit = [&](Node *n) {
    ++uses[n].count;
    work.push_back(n);
  };
  for (Node *r : fn.results)
    ++uses[r].count;
  while (!work.empty()) {
    Node *n = work.pop_back_val();
    if (!seen.insert(n).second)
      continue;
    for (Node *o : n->operands)
      visit(o);
    for (Node *c : n->captures)
      visit(c);
    walkBody(n, [&](Scalar *s, int64_t around) {
      if (s->kind != Scalar::Read)
        return;
      visit(s->tensor);
      uses[s->tensor].read = s;
      uses[s->tensor].around = around;
    });
  }
  for (auto &[n, use] : uses) {
    if (n->kind != Node::For || use.count != 1 || !use.read || isReduction(n->body))
      continue;
    // Every element is read once: at plain, different indices, and by no loop besides theirs.
    int64_t volume = 1;
    bool isPlain = true;
    llvm::SmallPtrSet<LoopVar *, 4> at;
    for (auto [v, sub] : llvm::zip(n->vars, use.read->args)) {
      volume *= v->size;
      isPlain &= sub->kind == Scalar::Index && sub->var->lo == v->lo && sub->var->size == v->size &&
                 at.insert(sub->var).second;
    }
    if (isPlain && volume == use.around && n->type.elem == use.read->elem)
      inlined.insert(n);
  }
}

/// Graphs are deep (a chain of blocks), so what a node needs is made first, without recursion.
void FnGen::needs(Node *node, SmallVectorImpl<Node *> &out) {
  out.append(node->operands.begin(), node->operands.end());
  out.append(node->captures.begin(), node->captures.end());
  walkBody(node, [&](Scalar *s, int64_t) {
    if (s->kind != Scalar::Read)
      return;
    if (inlined.contains(s->tensor))
      needs(s->tensor, out);
    else
      out.push_back(s->tensor);
  });
}

Value FnGen::emit(Node *root) {
  SmallVector<Node *> stack{root};
  llvm::SmallPtrSet<Node *, 32> opened;
  while (stack.size() > 1 || !opened.contains(root)) {
    Node *node = stack.back();
    if (values.count(node)) {
      stack.pop_back();
      continue;
    }
    if (opened.insert(node).second) {
      SmallVector<Node *> first;
      needs(node, first);
      for (Node *n : llvm::reverse(first))
        if (!values.count(n))
          stack.push_back(n);
      continue;
    }
    if (node == root)
      break;
    stack.pop_back();
    if (!(values[node] = emitOne(node)))
      return {};
  }
  return emitOne(root);
}

Value FnGen::emitOne(Node *node) {
  Location loc = module.loc(node->span);
  RankedTensorType type = tensorType(node->type, ctx);
  auto operand = [&](unsigned i) { return get(node->operands[i]); };
  switch (node->kind) {
  case Node::Input:
    error(node->span, "the input `" + node->name + "` is not among the function's");
    return {};
  case Node::Param:
    return ParamOp::create(b, NameLoc::get(b.getStringAttr(node->leaf->path), loc), type,
                           node->leaf->path);
  case Node::HostScalar:
    return ir::ScalarOp::create(b, NameLoc::get(b.getStringAttr(node->name), loc), type,
                                node->name);
  case Node::Literal:
    return literal(node);
  case Node::For: {
    Expr *e = build(node->body);
    return e ? tensor(e, node->vars, loc, type) : Value();
  }
  case Node::Softmax:
    return SoftmaxOp::create(b, loc, type, operand(0), node->axis);
  case Node::LogSumExp:
    return LogSumExpOp::create(b, loc, type, operand(0), node->axis);
  case Node::Reshape:
    return ReshapeOp::create(b, loc, type, operand(0));
  case Node::Random:
    return RandomOp::create(b, loc, type, node->name);
  case Node::StopGrad:
    return StopGradOp::create(b, loc, type, operand(0));
  case Node::Kernel:
    return emitKernel(node);
  case Node::Grad:
    return emitGrad(node) ? grads[node]->getResult(0) : Value();
  case Node::GradResult: {
    Node *of = node->operands[0];
    if (!get(of))
      return {};
    return grads[of]->getResult(node->index);
  }
  }
  return {};
}

Value FnGen::literal(Node *node) {
  // Constants carry no names: an attribute's type must be its values' type.
  RankedTensorType named = tensorType(node->type, ctx);
  auto type = RankedTensorType::get(named.getShape(), named.getElementType());
  SmallVector<Attribute> numbers;
  for (double x : node->numbers)
    numbers.push_back(isFloat(node->type.elem)
                          ? Attribute(b.getFloatAttr(type.getElementType(), x))
                          : Attribute(b.getIntegerAttr(type.getElementType(), int64_t(x))));
  if (int64_t(numbers.size()) != type.getNumElements()) {
    error(node->span, "a literal of " + Twine(numbers.size()) + " numbers for " +
                          Twine(type.getNumElements()) + " elements");
    return {};
  }
  return arith::ConstantOp::create(b, module.loc(node->span), type,
                                   DenseElementsAttr::get(type, numbers));
}

Value FnGen::emitKernel(Node *node) {
  Location loc = module.loc(node->span);
  auto body =
      module.privateFunction(*node->fn, node->fn->name.empty() ? node->name : node->fn->name);
  if (mlir::failed(body))
    return {};
  SmallVector<Value> ins, captures;
  for (Node *n : node->operands)
    ins.push_back(get(n));
  for (Node *n : node->captures)
    captures.push_back(get(n));
  auto op = KernelOp::create(b, loc, TypeRange{tensorType(node->type, ctx)}, node->name, ins,
                             captures, FlatSymbolRefAttr::get(ctx, *body), node->lambdas.size());
  for (auto [i, lambda] : llvm::enumerate(node->lambdas)) {
    Block &block = op.getLambdas()[i].emplaceBlock();
    for (LoopVar *v : lambda.vars)
      block.addArgument(b.getIndexType(), NameLoc::get(b.getStringAttr(v->name), loc));
    for (Value c : captures)
      block.addArgument(c.getType(), c.getLoc());
    Expr *e = build(lambda.body);
    if (!e || !BodyGen::lambda(*this, e, lambda.vars, captures, &block))
      return {};
  }
  return op.getResult(0);
}

bool FnGen::emitGrad(Node *node) {
  auto callee = module.privateFunction(*node->fn, node->fn->name.empty() ? "f" : node->fn->name);
  if (mlir::failed(callee))
    return false;
  SmallVector<Value> ins;
  for (Node *n : node->operands)
    ins.push_back(get(n));
  SmallVector<Type> types{tensorType(node->type, ctx)};
  SmallVector<StringRef> paths;
  for (Leaf *leaf : node->wrt) {
    types.push_back(tensorType(leaf->type, ctx));
    paths.push_back(leaf->path);
  }
  grads[node] = GradOp::create(b, module.loc(node->span), types,
                               FlatSymbolRefAttr::get(ctx, *callee), ins, b.getStrArrayAttr(paths));
  return true;
}

//===--- elements -------------------------------------------------------------------------===//

Expr *FnGen::build(Scalar *s) {
  if (Expr *known = built.lookup(s))
    return known;
  SmallVector<Expr *, 3> args;
  for (Scalar *a : s->args) {
    args.push_back(build(a));
    if (!args.back())
      return nullptr;
  }
  Expr *e = nullptr;
  switch (s->kind) {
  case Scalar::Const:
    e = pool.constant(isFloat(s->elem) ? s->number
                      : s->integer     ? double(s->integer)
                                       : s->number,
                      s->elem, s->span);
    break;
  case Scalar::Index:
    e = bound.lookup(s->var);
    if (!e)
      e = pool.index(s->var, s->span);
    break;
  case Scalar::Read: {
    if (inlined.contains(s->tensor)) {
      for (auto [v, sub] : llvm::zip(s->tensor->vars, args))
        bound[v] = sub;
      e = build(s->tensor->body);
      if (!e)
        return nullptr;
      break;
    }
    Value from = get(s->tensor);
    Expr *otherwise = s->otherwise ? build(s->otherwise) : nullptr;
    if (!from || (s->otherwise && !otherwise))
      return nullptr;
    // A constant tensor of one value is that value.
    DenseElementsAttr splat;
    if (auto c = from.getDefiningOp<arith::ConstantOp>())
      splat = dyn_cast<DenseElementsAttr>(c.getValue());
    if (splat && splat.isSplat() && !otherwise) {
      double x = isFloat(s->elem) ? splat.getSplatValue<APFloat>().convertToDouble()
                                  : double(splat.getSplatValue<APInt>().getSExtValue());
      e = pool.constant(x, s->elem, s->span);
      break;
    }
    e = pool.read(from, s->elem, s->tensor->type.bound, args, otherwise, s->span);
    break;
  }
  case Scalar::Op:
    e = pool.op(s->op, s->elem, args, s->span);
    break;
  case Scalar::Reduce:
    e = pool.reduce(s->red, s->elem, s->vars, args[0], s->span);
    break;
  }
  return built[s] = e;
}

} // namespace r1::gen
