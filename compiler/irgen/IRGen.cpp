// Modules, stages, leaves and functions; what is inside a function is FnGen's.
#include "compiler/irgen/IRGen.h"
#include "compiler/irgen/Gen.h"
#include "mlir/IR/Dominance.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Transforms/CSE.h"

using namespace mlir;
using namespace r1::ir;

namespace r1::gen {

Location ModuleGen::loc(const Span &span) const {
  MLIRContext *ctx = ModuleOp(module).getContext();
  if (!span.valid() || !sources.has(span.file))
    return UnknownLoc::get(ctx);
  const SourceFile &file = sources.file(span.file);
  auto place = file.place(span.begin);
  return FileLineColLoc::get(ctx, file.path, place.line, place.column);
}

std::string ModuleGen::freeSymbol(StringRef name) {
  std::string symbol = name.str();
  for (int i = 2; module.lookupSymbol(symbol); ++i)
    symbol = (name + "_" + Twine(i)).str();
  return symbol;
}

/// The pool that a value of the entry `update` is, by its name: `p` the parameters, `g` the
/// gradients, `s.m` the optimiser's state m, each perhaps with @ and the place of its first float, if it is
/// a part of the pool; or `loss`, what @backward gives. "" for anything else.
static std::string roleOf(const GraphFn &fn, StringRef name) {
  if (fn.name != "update")
    return "";
  auto [pool, at] = name.split('@');
  std::string part = at.empty() ? "" : ("@" + at).str();
  if (pool == "p")
    return "param" + part;
  if (pool == "g")
    return "grad" + part;
  if (pool == "loss")
    return "loss";
  return pool.consume_front("s.") ? ("state:" + pool).str() + part : "";
}

func::FuncOp ModuleGen::function(const GraphFn &fn, StringRef name, bool entry) {
  MLIRContext *ctx = module.getContext();
  OpBuilder b = OpBuilder::atBlockEnd(module.getBody());
  SmallVector<Type> inputs;
  SmallVector<Location> locs;
  for (Node *input : fn.inputs) {
    inputs.push_back(tensorType(input->type, ctx));
    locs.push_back(NameLoc::get(b.getStringAttr(input->name), loc(input->span)));
  }
  Location at = fn.results.empty() ? b.getUnknownLoc() : loc(fn.results[0]->span);
  auto func = func::FuncOp::create(b, at, freeSymbol(name), FunctionType::get(ctx, inputs, {}));
  func.getBody().emplaceBlock().addArguments(inputs, locs);
  if (!entry)
    func.setPrivate();
  if (failed(FnGen(*this, fn, func).run())) {
    func.erase();
    return {};
  }
  // The same angle, mask or weight is asked for in every block.
  IRRewriter rewriter(ctx);
  DominanceInfo dominance(func);
  eliminateCommonSubExpressions(rewriter, dominance, func);
  if (!entry)
    return func;
  func->setAttr("r1.entry", b.getStringAttr(fn.name));
  for (auto [i, input] : llvm::enumerate(fn.inputs)) {
    if (std::string role = roleOf(fn, input->name); !role.empty()) {
      func.setArgAttr(i, "r1.role", b.getStringAttr(role));
      continue;
    }
    func.setArgAttr(i, "r1.name", b.getStringAttr(input->name));
    if (i < fn.rows.size() && fn.rows[i])
      func.setArgAttr(i, "r1.rows", b.getUnitAttr());
  }
  for (auto [i, name] : llvm::enumerate(fn.resultNames))
    if (std::string role = roleOf(fn, name); !role.empty())
      func.setResultAttr(i, "r1.role", b.getStringAttr(role));
    else
      func.setResultAttr(i, "r1.name", b.getStringAttr(name));
  return func;
}

FailureOr<std::string> ModuleGen::privateFunction(const GraphFn &fn, StringRef name) {
  auto func = function(fn, name, false);
  if (!func)
    return failure();
  std::string symbol = func.getSymName().str();
  std::string text;
  llvm::raw_string_ostream os(text);
  func.setSymName("f");
  func.print(os, OpPrintingFlags().useLocalScope());
  func.setSymName(symbol);
  auto [it, isNew] = bodies.try_emplace(text, symbol);
  if (!isNew)
    func.erase();
  return it->second;
}

/// Fills `module` with the leaves and entries of `stage`.
static LogicalResult fillStage(const Stage &stage, ModuleOp module, const SourceManager &sources) {
  ModuleGen gen{module, sources, {}};
  MLIRContext *ctx = module.getContext();
  OpBuilder b = OpBuilder::atBlockEnd(module.getBody());
  for (const Leaf &leaf : stage.leaves)
    LeafOp::create(b, gen.loc(leaf.span), leaf.path, tensorType(leaf.type, ctx),
                   uint32_t(leaf.dist), APFloat(leaf.a), APFloat(leaf.b), leaf.trainable);
  for (const auto &fn : stage.entries)
    if (!gen.function(*fn, fn->name, true))
      return failure();
  return verify(module);
}

static bool hasModule(const Stage &stage) {
  return !stage.leaves.empty() || !stage.entries.empty();
}

static void loadDialects(MLIRContext &context) {
  context.loadDialect<R1Dialect, func::FuncDialect, arith::ArithDialect, math::MathDialect>();
}

} // namespace r1::gen

using namespace r1::gen;

OwningOpRef<ModuleOp> r1::irgenStage(const Stage &stage, MLIRContext &context,
                                     const SourceManager &sources) {
  loadDialects(context);
  OwningOpRef<ModuleOp> module = ModuleOp::create(UnknownLoc::get(&context), stage.name);
  if (failed(fillStage(stage, *module, sources)))
    return {};
  return module;
}

OwningOpRef<ModuleOp> r1::irgen(const Elaboration &program, MLIRContext &context,
                                const SourceManager &sources) {
  loadDialects(context);
  OwningOpRef<ModuleOp> top = ModuleOp::create(UnknownLoc::get(&context));
  ModuleGen gen{*top, sources, {}};
  OpBuilder b = OpBuilder::atBlockEnd(top->getBody());
  std::string name = program.pipeline.empty() ? "main" : program.pipeline;
  Location at = program.stages.empty() ? b.getUnknownLoc() : gen.loc(program.stages[0].span);
  auto func = func::FuncOp::create(b, at, name, FunctionType::get(&context, {}, {}));
  OpBuilder body = OpBuilder::atBlockEnd(&func.getBody().emplaceBlock());

  llvm::StringMap<Value> artifacts;
  for (const Stage &stage : program.stages) {
    SmallVector<Value> reads;
    for (const std::string &r : stage.reads) {
      if (!artifacts.contains(r)) {
        emitError(gen.loc(stage.span))
            << "stage `" << stage.name << "` reads `" << r << "`, which does not come before it";
        return {};
      }
      reads.push_back(artifacts[r]);
    }
    FlatSymbolRefAttr module;
    if (hasModule(stage)) {
      auto nested = ModuleOp::create(b, gen.loc(stage.span), stage.name);
      if (failed(fillStage(stage, nested, sources)))
        return {};
      module = FlatSymbolRefAttr::get(&context, stage.name);
    }
    Location loc = NameLoc::get(b.getStringAttr(stage.name), gen.loc(stage.span));
    artifacts[stage.name] =
        StageOp::create(body, loc, ArtifactType::get(&context, stage.result), stage.name,
                        stage.kind, reads, stage.spec.dump(), module);
  }
  func::ReturnOp::create(body, at);
  if (failed(verify(*top)))
    return {};
  return top;
}

func::FuncOp r1::irgenFunction(const GraphFn &fn, ModuleOp into, StringRef name, bool entry,
                               const SourceManager &sources) {
  loadDialects(*into.getContext());
  ModuleGen gen{into, sources, {}};
  return gen.function(fn, name, entry);
}
