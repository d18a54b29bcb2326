#include "compiler/decode/Decode.h"
#include "compiler/decode/Positions.h"
#include "compiler/pch.h"
#include "dialects/r1/R1Build.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;
namespace r1 {
namespace {

using decode::Axes;
using decode::Meeting;
using decode::Positions;

/// The arguments or the results of a program under construction.
struct Fields {
  SmallVector<Type> types;
  SmallVector<std::pair<StringRef, std::string>> names; // attribute, value

  unsigned add(Type type, StringRef attribute, const Twine &name) {
    types.push_back(type);
    names.push_back({attribute, name.str()});
    return unsigned(types.size()) - 1;
  }
};

/// Copies the forward pass at other sizes: B rows of N positions, whose attention reads caches, and E sources.
class Derivation {
public:
  Derivation(func::FuncOp logits, const Positions &positions, const DecodeOptions &options)
      : logits(logits), positions(positions), options(options), b(logits.getContext()) {
    findCaches();
    findSourceCaches();
    findEarly();
  }

  /// `prefill`, or `decode` with a chunk of 1.
  void build(StringRef name, int64_t chunk);
  void buildEncode();
  bool hasSource() {
    return llvm::any_of(logits.getArguments(), [&](BlockArgument arg) { return positions.of(arg).ofSource(); });
  }

private:
  void findCaches();
  void findSourceCaches();
  void findEarly();
  func::FuncOp begin(StringRef name, const Fields &arguments);
  void finish(func::FuncOp func, const Fields &arguments, ValueRange results, const Fields &named);
  bool isOfSource(Operation *op) const {
    return llvm::any_of(op->getResults(), [&](Value v) { return positions.of(v).ofSource(); });
  }
  RankedTensorType sized(Value v, int64_t count, int64_t rows) const;
  RankedTensorType sized(Value v, int64_t count) const { return sized(v, count, rows); }
  RankedTensorType i32(ArrayRef<int64_t> shape, int64_t bound = 0) {
    auto ty = bound ? ir::TyAttr::get(b.getContext(), {}, bound) : ir::TyAttr();
    return RankedTensorType::get(shape, b.getI32Type(), ty);
  }
  bool isLate(Operation *op) const { return N > 1 && !early.contains(op); }
  Value operand(Value v, bool late);
  Value written(Value v);
  Value newestSlot(bool late);
  void copy(Operation *op);
  void copyAttention(ir::KernelOp op);

  func::FuncOp logits;
  const Positions &positions;
  DecodeOptions options;
  OpBuilder b;
  /// What is kept of every position, and the name of its cache: keys, values, what masks read.
  llvm::MapVector<Value, std::string> caches;
  /// What positions read of the source, and the name of its cache.
  llvm::MapVector<Value, std::string> sourceCaches;
  /// Ops of which a cache needs all N positions. Of the others only position `last` counts.
  llvm::DenseSet<Operation *> early;

  // The program under construction.
  int64_t N = 1, rows = 1;
  IRMapping now;
  Value at, last, newest;
  llvm::DenseMap<Value, Value> cacheArg, cacheNow, chosen;
};

void Derivation::findCaches() {
  int layer = 0;
  auto add = [&](Value v, const Twine &name) {
    if (!caches.contains(v))
      caches.insert({v, name.str()});
  };
  for (auto op : logits.getOps<ir::KernelOp>()) {
    if (positions.meeting(op) != Meeting::own)
      continue;
    add(op.getIns()[1], "k" + Twine(layer));
    add(op.getIns()[2], "v" + Twine(layer));
    for (auto [i, v] : llvm::enumerate(op.getCaptures()))
      if (positions.of(v).position >= 0)
        add(v, "mask" + Twine(layer) + "." + Twine(i));
    ++layer;
  }
}

void Derivation::findSourceCaches() {
  int layer = 0, others = 0;
  auto add = [&](Value v, const Twine &name) {
    if (positions.of(v).ofSource() && !sourceCaches.contains(v))
      sourceCaches.insert({v, ("source." + name).str()});
  };
  for (Operation &op : logits.getBody().front().without_terminator()) {
    if (isOfSource(&op))
      continue;
    if (auto kernel = dyn_cast<ir::KernelOp>(op); kernel && positions.meeting(kernel) == Meeting::across) {
      add(kernel.getIns()[1], "k" + Twine(layer));
      add(kernel.getIns()[2], "v" + Twine(layer));
      for (auto [i, v] : llvm::enumerate(kernel.getCaptures()))
        add(v, "mask" + Twine(layer) + "." + Twine(i));
      ++layer;
    }
    for (Value v : op.getOperands())
      if (positions.of(v).ofSource() && !sourceCaches.contains(v))
        add(v, Twine(others++));
  }
}

void Derivation::findEarly() {
  SmallVector<Value> work;
  for (auto &[v, name] : caches)
    work.push_back(v);
  while (!work.empty()) {
    Operation *op = work.pop_back_val().getDefiningOp();
    if (op && early.insert(op).second)
      work.append(op->operand_begin(), op->operand_end());
  }
}

/// The type of `v` for `count` positions of each of `rows` rows.
RankedTensorType Derivation::sized(Value v, int64_t count, int64_t rows) const {
  auto type = cast<RankedTensorType>(v.getType());
  SmallVector<int64_t> shape(type.getShape());
  Axes a = positions.of(v);
  if (a.row >= 0)
    shape[a.row] = rows;
  if (a.position >= 0)
    shape[a.position] = count;
  return RankedTensorType::get(shape, type.getElementType(), type.getEncoding());
}

/// `v` in this program; for late ops, its position `last`.
Value Derivation::operand(Value v, bool late) {
  Value whole = now.lookup(v);
  Axes a = positions.of(v);
  Operation *def = v.getDefiningOp();
  if (!late || a.position < 0 || (def && isLate(def)))
    return whole;
  Value &one = chosen[v];
  if (one)
    return one;
  RankedTensorType type = sized(v, 1);
  SmallVector<AffineExpr> from;
  for (int64_t i = 0; i < type.getRank(); ++i)
    from.push_back(i == a.position ? b.getAffineConstantExpr(0) : b.getAffineDimExpr(unsigned(i)));
  AffineMap source = AffineMap::get(unsigned(type.getRank()), 0, from, b.getContext());
  AffineMap row = AffineMap::get(unsigned(type.getRank()), 0, b.getAffineDimExpr(unsigned(a.row)));
  return one = ir::GatherOp::create(b, v.getLoc(), type, whole, last, b.getI64IntegerAttr(a.position),
                                    b.getAffineMapArrayAttr({source, row}));
}

/// The cache of `v`, after the new positions have been written to it.
Value Derivation::written(Value v) {
  Value &done = cacheNow[v];
  if (!done)
    done = ir::KernelOp::create(b, v.getLoc(), TypeRange{cacheArg[v].getType()}, b.getStringAttr("cache_write"),
                                ValueRange{now.lookup(v), cacheArg[v], at}, ValueRange{},
                                FlatSymbolRefAttr(), 0u)
               .getResult(0);
  return done;
}

/// [B]: the slot of each row's first query.
Value Derivation::newestSlot(bool late) {
  if (!late)
    return at;
  if (!newest)
    newest = ir::buildElementwise(b, last.getLoc(), i32({options.rows}), {at, last},
                                  [](OpBuilder &bb, Location l, ValueRange x) -> Value {
                                    return arith::AddIOp::create(bb, l, x[0], x[1]);
                                  });
  return newest;
}

/// In a mask t counts slots: query t of a row stands in slot `base[b]` + t, and sees none behind that.
void Derivation::copyAttention(ir::KernelOp op) {
  bool late = isLate(op);
  Location loc = op.getLoc();
  SmallVector<Value> captures;
  for (Value v : op.getCaptures())
    captures.push_back(positions.of(v).position >= 0 ? written(v) : operand(v, late));
  captures.push_back(newestSlot(late));
  SmallVector<Type> types;
  for (Value v : op.getResults())
    types.push_back(sized(v, late ? 1 : N));
  Value ins[] = {operand(op.getIns()[0], late), written(op.getIns()[1]), written(op.getIns()[2])};
  auto made = ir::KernelOp::create(b, loc, types, op.getKernelNameAttr(), ins, captures,
                                   FlatSymbolRefAttr(), 1u);
  made->setDiscardableAttrs(op->getDiscardableAttrDictionary());
  made->setAttr("base", b.getI64IntegerAttr(int64_t(captures.size()) - 1));
  Region &region = made.getLambdas()[0];
  IRMapping lambdaNow;
  op.getLambdas()[0].cloneInto(&region, lambdaNow);
  Block &lambda = region.front();
  lambda.addArgument(captures.back().getType(), loc);
  for (auto [arg, v] : llvm::zip_equal(lambda.getArguments().drop_front(3), captures))
    arg.setType(v.getType());
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(&lambda);
  Value row = lambda.getArgument(0), t = lambda.getArgument(1), s = lambda.getArgument(2);
  Value zero = arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(0));
  Value base = ir::ReadOp::create(b, loc, b.getI32Type(), lambda.getArguments().back(), ValueRange{row}, zero);
  base = arith::IndexCastOp::create(b, loc, b.getIndexType(), base);
  auto slot = arith::AddIOp::create(b, loc, base, t);
  t.replaceAllUsesExcept(slot, slot);
  Operation *end = lambda.getTerminator();
  b.setInsertionPoint(end);
  Value behind = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::sle, s, slot);
  end->setOperand(0, arith::AndIOp::create(b, loc, behind, end->getOperand(0)));
  now.map(op.getResults(), made.getResults());
}

void Derivation::copy(Operation *op) {
  if (auto kernel = dyn_cast<ir::KernelOp>(op); kernel && positions.meeting(kernel) == Meeting::own)
    return copyAttention(kernel);
  bool late = isLate(op);
  IRMapping operands;
  for (Value v : op->getOperands())
    operands.map(v, operand(v, late));
  // Numbers that are everywhere the same have the shape of what they meet.
  if (auto map = dyn_cast<ir::MapOp>(op))
    for (auto [i, v] : llvm::enumerate(map.getIns()))
      if (Positions::isUniform(v)) {
        RankedTensorType space = sized(map.getResult(), late ? 1 : N);
        SmallVector<int64_t> shape(cast<RankedTensorType>(v.getType()).getShape());
        for (auto [size, e] : llvm::zip(shape, map.getMap(i).getResults()))
          if (auto d = dyn_cast<AffineDimExpr>(e))
            size = space.getDimSize(d.getPosition());
        Operation *def = b.clone(*v.getDefiningOp());
        auto type = RankedTensorType::get(shape, cast<RankedTensorType>(v.getType()).getElementType());
        if (auto constant = dyn_cast<arith::ConstantOp>(def))
          constant.setValueAttr(cast<DenseElementsAttr>(constant.getValue()).resizeSplat(type));
        def->getResult(0).setType(type);
        operands.map(v, def->getResult(0));
      }
  Operation *made = b.clone(*op, operands);
  for (auto [was, is] : llvm::zip(op->getResults(), made->getResults())) {
    is.setType(sized(was, late ? 1 : N));
    now.map(was, is);
  }
  auto retype = [](Region &region, OperandRange captures) {
    for (auto [arg, v] : llvm::zip(region.getArguments().take_back(captures.size()), captures))
      arg.setType(v.getType());
  };
  if (auto map = dyn_cast<ir::MapOp>(made))
    retype(map.getBody(), map.getCaptures());
  if (auto kernel = dyn_cast<ir::KernelOp>(made)) {
    kernel.removeBodyAttr(); // of other sizes
    for (Region &lambda : kernel.getLambdas())
      retype(lambda, kernel.getCaptures());
  }
}

/// The program `name`, open at the begin of its body.
func::FuncOp Derivation::begin(StringRef name, const Fields &arguments) {
  now = {};
  last = newest = {};
  cacheArg.clear(), cacheNow.clear(), chosen.clear();
  auto func = func::FuncOp::create(b, logits.getLoc(), name, b.getFunctionType(arguments.types, {}));
  func->setAttr("r1.entry", b.getStringAttr(name));
  Block *block = &func.getBody().emplaceBlock();
  block->addArguments(arguments.types, SmallVector<Location>(arguments.types.size(), logits.getLoc()));
  b.setInsertionPointToEnd(block);
  return func;
}

void Derivation::finish(func::FuncOp func, const Fields &arguments, ValueRange results, const Fields &named) {
  func::ReturnOp::create(b, func.getLoc(), results);
  func.setFunctionType(b.getFunctionType(arguments.types, results.getTypes()));
  for (auto [i, name] : llvm::enumerate(arguments.names))
    func.setArgAttr(unsigned(i), name.first, b.getStringAttr(name.second));
  for (auto [i, name] : llvm::enumerate(named.names))
    func.setResultAttr(unsigned(i), name.first, b.getStringAttr(name.second));
}

/// "x.id" of an argument of the model.
static StringRef nameOf(BlockArgument arg) {
  auto func = cast<func::FuncOp>(arg.getOwner()->getParentOp());
  return func.getArgAttrOfType<StringAttr>(arg.getArgNumber(), "r1.name").getValue();
}

void Derivation::build(StringRef name, int64_t chunk) {
  N = chunk;
  rows = options.rows;

  // Arguments: those of the model but the source, the slots, the caches.
  Fields arguments, named;
  llvm::MapVector<Value, unsigned> place;
  for (BlockArgument arg : logits.getArguments())
    if (!positions.of(arg).ofSource())
      place.insert({arg, arguments.add(sized(arg, N), "r1.name", nameOf(arg))});
  unsigned first = arguments.add(i32({rows}, options.slots), "r1.name", "at");
  if (N > 1)
    arguments.add(i32({rows}, N), "r1.name", "last");
  for (auto &[v, cache] : sourceCaches)
    place.insert({v, arguments.add(sized(v, N), "r1.role", "cache:" + cache)});
  unsigned firstCache = unsigned(arguments.types.size());
  for (auto &[v, cache] : caches)
    arguments.add(sized(v, options.slots + options.chunk - 1), "r1.role", "cache:" + cache);

  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointAfter(logits);
  func::FuncOp func = begin(name, arguments);
  for (auto [v, i] : place)
    now.map(v, func.getArgument(i));
  at = func.getArgument(first);
  if (N > 1)
    last = func.getArgument(first + 1);
  for (auto [i, entry] : llvm::enumerate(caches))
    cacheArg[entry.first] = func.getArgument(unsigned(firstCache + i));

  Block &body = logits.getBody().front();
  for (Operation &op : body.without_terminator())
    if (!isOfSource(&op))
      copy(&op);
  Value scores = now.lookup(body.getTerminator()->getOperand(0));
  int64_t V = cast<RankedTensorType>(scores.getType()).getShape().back();
  Location loc = logits.getLoc();
  scores = ir::ReshapeOp::create(b, loc, RankedTensorType::get({rows, V}, b.getF32Type()), scores);
  Value lse = ir::LogSumExpOp::create(b, loc, RankedTensorType::get({rows}, b.getF32Type()), scores, 1);
  SmallVector<Value> results = {scores, lse};
  named.add(scores.getType(), "r1.name", "logits");
  named.add(lse.getType(), "r1.name", "lse");
  for (auto &[v, cache] : caches) {
    results.push_back(written(v));
    named.add(results.back().getType(), "r1.role", "cache:" + cache);
  }
  finish(func, arguments, results, named);
}

void Derivation::buildEncode() {
  N = 1;
  rows = options.sources;
  Fields arguments, named;
  SmallVector<std::pair<Value, unsigned>> place;
  for (BlockArgument arg : logits.getArguments())
    if (positions.of(arg).ofSource())
      place.push_back({arg, arguments.add(sized(arg, N), "r1.name", nameOf(arg))});
  unsigned from = arguments.add(i32({options.rows}, rows), "r1.name", "from");
  unsigned row = arguments.add(i32({options.rows}, options.rows), "r1.name", "row");
  for (auto &[v, cache] : sourceCaches)
    arguments.add(sized(v, N, options.rows), "r1.role", "cache:" + cache);

  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointAfter(logits);
  func::FuncOp func = begin("encode", arguments);
  for (auto [v, i] : place)
    now.map(v, func.getArgument(i));
  for (Operation &op : logits.getBody().front().without_terminator())
    if (llvm::all_of(op.getResults(), [&](Value v) { return positions.of(v).position < 0; }))
      copy(&op);
  SmallVector<Value> results;
  for (auto [i, entry] : llvm::enumerate(sourceCaches)) {
    auto &[v, cache] = entry;
    Value old = func.getArgument(unsigned(row + 1 + i));
    auto fill = ir::KernelOp::create(b, v.getLoc(), TypeRange{old.getType()}, b.getStringAttr("cache_fill"),
                                     ValueRange{now.lookup(v), old, func.getArgument(from), func.getArgument(row)},
                                     ValueRange{}, FlatSymbolRefAttr(), 0u);
    fill->setAttr("axis", b.getI64IntegerAttr(positions.of(v).row));
    results.push_back(fill.getResult(0));
    named.add(old.getType(), "r1.role", "cache:" + cache);
  }
  finish(func, arguments, results, named);
}

} // namespace

LogicalResult deriveDecoding(ModuleOp module, const DecodeOptions &given) {
  func::FuncOp logits = module.lookupSymbol<func::FuncOp>("logits");
  if (!logits)
    return module.emitError("decode: the module has no entry `logits`");
  DecodeOptions options = given;
  Positions positions(logits);
  if (failed(positions.run()))
    return failure();
  Value scores = logits.getBody().front().getTerminator()->getOperand(0);
  auto type = cast<RankedTensorType>(scores.getType());
  if (positions.of(scores) != Axes{0, 1} || type.getRank() != 3 || !type.getElementType().isF32())
    return emitError(logits.getLoc()) << "decode: `logits` gives " << type << ", expected f32 [B, T, V]";
  if (!options.slots)
    options.slots = type.getDimSize(1);
  if (options.rows < 1 || options.slots < 1 || options.chunk < 2 || options.sources < 1)
    return emitError(logits.getLoc()) << "decode: " << options.rows << " rows of " << options.slots
                                      << " slots in chunks of " << options.chunk << ", " << options.sources
                                      << " sources at once; expected at least 1, 1, 2 and 1";
  Derivation derivation(logits, positions, options);
  derivation.build("prefill", options.chunk);
  derivation.build("decode", 1);
  if (derivation.hasSource())
    derivation.buildEncode();
  return success();
}

namespace {
struct DecodePass : PassWrapper<DecodePass, OperationPass<ModuleOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(DecodePass)
  DecodePass() = default;
  DecodePass(const DecodePass &other) : PassWrapper(other) {}
  StringRef getArgument() const final { return "r1-decode"; }
  StringRef getDescription() const final { return "programs with caches, from the entry `logits`"; }
  void runOnOperation() final {
    if (failed(deriveDecoding(getOperation(), {rows, slots, chunk, sources})))
      signalPassFailure();
  }
  Option<int64_t> rows{*this, "rows", llvm::cl::desc("texts at once"), llvm::cl::init(1)};
  Option<int64_t> slots{*this, "slots", llvm::cl::desc("positions of a text that are kept"), llvm::cl::init(0)};
  Option<int64_t> chunk{*this, "chunk", llvm::cl::desc("new positions of a prefill"), llvm::cl::init(64)};
  Option<int64_t> sources{*this, "sources", llvm::cl::desc("sources of one run of encode"), llvm::cl::init(1)};
};
} // namespace

void registerDecodePasses() { PassRegistration<DecodePass>(); }

} // namespace r1
