// Programs: where each value lives, and the launches in order.
#include "compiler/fuse/Program.h"

using namespace mlir;
namespace r1::fuse {

std::string ModuleState::freshSymbol(StringRef base) {
  std::string clean;
  for (char c : base)
    clean += llvm::isAlnum(c) || c == '_' ? c : '_';
  std::string symbol = clean;
  // Programs have thousands of buffers of one name: the numbers that are known to be taken are not tried again.
  for (int *n = nullptr; !symbols.insert(symbol).second;) {
    n = n ? n : &numbered.try_emplace(clean, 1).first->second;
    symbol = clean + "_" + std::to_string(++*n);
  }
  return symbol;
}

kern::BufferOp ModuleState::buffer(StringRef name, RankedTensorType type, StringRef pool,
                                   Location loc) {
  auto memref = MemRefType::get(type.getShape(), type.getElementType());
  OperationState s(loc, kern::BufferOp::getOperationName());
  s.addAttribute("sym_name", builder.getStringAttr(freshSymbol(name)));
  s.addAttribute("type", TypeAttr::get(memref));
  s.addAttribute("pool", builder.getStringAttr(pool));
  if (auto ty = dyn_cast_or_null<ir::TyAttr>(type.getEncoding()); ty && ty.getBound() > 0)
    s.addAttribute("bound", builder.getI64IntegerAttr(ty.getBound()));
  return cast<kern::BufferOp>(builder.create(s));
}

std::string ModuleState::part(StringRef pool, StringRef kind, RankedTensorType type, StringRef at, Location loc) {
  int64_t place = 0;
  (void)at.getAsInteger(10, place); // irgen has written it
  kern::BufferOp b = buffer((pool + "_" + at).str(), type, kind, loc);
  b.setInside(pool);
  b.setAt(place);
  return b.getSymName().str();
}

static RankedTensorType typeOf(Value v) { return tensorOf(v); }

static int64_t bytesOf(RankedTensorType type) {
  unsigned bits = type.getElementType().isIndex() ? 64 : type.getElementTypeBitWidth();
  return type.getNumElements() * ((bits + 7) / 8);
}

LogicalResult Program::bindArguments(func::FuncOp func) {
  for (BlockArgument arg : func.getArguments()) {
    unsigned i = arg.getArgNumber();
    if (!isa<RankedTensorType>(arg.getType()))
      return emitError(arg.getLoc()) << "fuse: an entry's argument must be a tensor";
    auto role = func.getArgAttrOfType<StringAttr>(i, "r1.role");
    if (role && role.getValue() == "loss") {
      if (!loss)
        return emitError(arg.getLoc()) << "fuse: no function before this one gives a loss";
      values.alias(arg, loss);
      continue;
    }
    if (role) {
      auto [r, at] = role.getValue().split('@');
      std::string pool;
      StringRef kind = r, field;
      if (r == "param") {
        pool = state.leafBuffers[""];
      } else if (r == "frozen") {
        pool = state.frozenBuffer;
        kind = "param";
      } else if (r == "grad") {
        pool = state.gradBuffers[""];
      } else if (field = r; field.consume_front("state:")) {
        kind = "state";
        std::string &known = state.stateBuffers[field];
        if (known.empty()) {
          auto type = at.empty() ? typeOf(arg)
                                 : RankedTensorType::get({state.layout.trainableSize}, builder.getF32Type());
          kern::BufferOp b = state.buffer("state_" + field.str(), type, "state", arg.getLoc());
          b.setField(field);
          known = b.getSymName().str();
        }
        pool = known;
      } else if (r.starts_with("cache:")) {
        std::string &known = state.cacheBuffers[r];
        if (known.empty()) {
          field = r.drop_front(6);
          kern::BufferOp b = state.buffer("cache_" + field.str(), typeOf(arg), "cache", arg.getLoc());
          b.setField(field);
          known = b.getSymName().str();
        }
        pool = known;
      } else {
        return emitError(arg.getLoc()) << "fuse: no such role: " << r;
      }
      if (pool.empty())
        return emitError(arg.getLoc()) << "fuse: a pool without trainable leaves";
      values.setHome(arg, {at.empty() ? pool : state.part(pool, kind, typeOf(arg), at, arg.getLoc())});
      continue;
    }
    auto leaf = func.getArgAttrOfType<StringAttr>(i, "r1.name");
    std::string field = leaf ? leaf.getValue().str() : "arg" + std::to_string(i);
    kern::BufferOp b = state.buffer(name + "_" + field, typeOf(arg), "input", arg.getLoc());
    b.setField(field);
    values.setHome(arg, {b.getSymName().str()});
    inputs.push_back(FlatSymbolRefAttr::get(b.getSymNameAttr()));
  }
  return success();
}

/// Parameters and host numbers are values with a home already.
void Program::bindLeaves(func::FuncOp func) {
  func.walk([&](Operation *op) {
    if (auto param = dyn_cast<ir::ParamOp>(op)) {
      if (std::string buffer = state.leafBuffer(param); !buffer.empty())
        values.setHome(param, {buffer});
      else
        emitError(op->getLoc()) << "fuse: no parameter has the path '" << param.getPath() << "'";
    } else if (auto scalar = dyn_cast<ir::ScalarOp>(op)) {
      std::string &known = state.scalarBuffers[scalar.getScalarName()];
      if (known.empty()) {
        kern::BufferOp b = state.buffer("scalar_" + scalar.getScalarName().str(), typeOf(scalar),
                                        "scalar", op->getLoc());
        b.setField(scalar.getScalarName());
        known = b.getSymName().str();
      }
      values.setHome(scalar, {known});
      auto ref = FlatSymbolRefAttr::get(builder.getContext(), known);
      if (!llvm::is_contained(scalars, ref))
        scalars.push_back(ref);
    } else if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
      auto table = dyn_cast<DenseElementsAttr>(constant.getValue());
      if (!table || table.isSplat())
        return;
      std::string &known = state.constantBuffers[table];
      if (known.empty()) {
        kern::BufferOp b = state.buffer("table", typeOf(constant), "const", op->getLoc());
        b->setAttr("value", table);
        known = b.getSymName().str();
      }
      values.setHome(constant, {known});
    }
  });
}

/// Numbers that lie in memory before the program runs.
static bool isTable(Operation *op) {
  auto constant = dyn_cast<arith::ConstantOp>(op);
  auto table = constant ? dyn_cast<DenseElementsAttr>(constant.getValue()) : nullptr;
  return table && !table.isSplat();
}

LogicalResult Program::listOps(func::FuncOp func) {
  Segment segment = list.ops.empty() ? Segment::Before : Segment::After;
  for (Operation &op : func.getBody().front()) {
    if (isa<ir::ParamOp, ir::ScalarOp, func::ReturnOp>(op) || isTable(&op))
      continue;
    if (auto random = dyn_cast<ir::RandomOp>(op))
      return emitError(op.getLoc())
             << "fuse: a random draw that shard has not replaced: '" << random.getSite() << "'";
    auto loop = dyn_cast<ir::RowLoopOp>(op);
    if (!loop) {
      list.ops.push_back({&op, segment});
      continue;
    }
    if (segment != Segment::Before)
      return emitError(op.getLoc()) << "fuse: a program has one loop over rows";
    micro = loop.getCount();
    unsigned a = 0;
    for (Value v : loop.getSplit()) {
      Value part = loop.getBlock()->getArgument(a++);
      Value outer = values.resolve(v);
      if (values.home(outer) || micro > 1) {
        // A slice of what lies in memory: each turn moves by one slice.
        list.inMemory.insert(outer);
        if (!values.home(outer)) {
          kern::BufferOp b = state.buffer("t", typeOf(outer), "work", outer.getLoc());
          values.setHome(outer, {b.getSymName().str()});
        }
        values.setHome(part, {values.home(outer)->buffer, micro > 1 ? bytesOf(typeOf(part)) : 0});
      } else {
        values.alias(part, outer);
      }
    }
    for (Value v : loop.getWhole())
      values.alias(loop.getBlock()->getArgument(a++), v);
    for (Operation &inner : *loop.getBlock()) {
      if (isa<ir::ParamOp, ir::ScalarOp>(inner) || isTable(&inner))
        continue;
      if (auto random = dyn_cast<ir::RandomOp>(inner))
        return emitError(inner.getLoc())
               << "fuse: a random draw that shard has not replaced: '" << random.getSite() << "'";
      if (isa<ir::YieldOp>(inner))
        break;
      list.ops.push_back({&inner, Segment::Loop});
    }
    for (auto [result, yielded] :
         llvm::zip(loop.getResults(), loop.getBlock()->getTerminator()->getOperands())) {
      Value partial = values.resolve(yielded);
      if (!isa_and_nonnull<ir::ReduceOp, ir::ContractOp, ir::ScatterAddOp>(partial.getDefiningOp()))
        return emitError(yielded.getLoc()) << "fuse: a row loop yields sums over rows only";
      values.alias(result, partial);
      list.inMemory.insert(partial);
      partials.push_back(partial);
      if (micro > 1)
        list.accumulated.insert(partial);
    }
    segment = Segment::After;
  }
  return success();
}

LogicalResult Program::bindResults(func::FuncOp func) {
  Operation *ret = func.getBody().front().getTerminator();
  for (auto [i, v] : llvm::enumerate(ret->getOperands())) {
    Home to;
    Value base = values.base(v);
    auto role = func.getResultAttrOfType<StringAttr>(i, "r1.role");
    auto copyPool = role ? state.copyBuffers.find(role.getValue().split('@').first) : state.copyBuffers.end();
    if (role && copyPool == state.copyBuffers.end()) {
      // The pool that the argument of this role lives in.
      for (BlockArgument arg : func.getArguments())
        if (func.getArgAttr(arg.getArgNumber(), "r1.role") == role) {
          to = *values.home(arg);
          inPlace.push_back({arg, base});
        }
      if (to.buffer.empty())
        return emitError(func.getLoc()) << "fuse: no argument has the role of result " << i;
      continue;
    }
    auto leaf = func.getResultAttrOfType<StringAttr>(i, "r1.name");
    std::string field = leaf ? leaf.getValue().str() : "result" + std::to_string(i);
    StringRef path = field;
    if (field == "loss" && !role)
      loss = v;
    if (role) {
      StringRef at = role.getValue().split('@').second;
      to = {at.empty() ? copyPool->second : state.part(copyPool->second, "copy", typeOf(v), at, v.getLoc())};
    } else if (path.consume_front("grad:")) {
      auto it = state.gradBuffers.find(path);
      if (it == state.gradBuffers.end())
        return emitError(func.getLoc())
               << "fuse: a gradient of '" << path << "', which is no trainable parameter";
      to = {it->second};
    } else {
      kern::BufferOp b = state.buffer(name + "_" + field, typeOf(v), "output", v.getLoc());
      b.setField(field);
      to = {b.getSymName().str()};
      outputs.push_back(FlatSymbolRefAttr::get(b.getSymNameAttr()));
    }
    // Computed straight into its place, unless it lies somewhere already.
    Operation *def = base.getDefiningOp();
    if (def && !values.home(base) && !isa<arith::ConstantOp>(def)) {
      values.setHome(base, to);
      list.inMemory.insert(base);
    } else {
      copies.push_back({v, to});
      if (def)
        list.inMemory.insert(base);
    }
  }
  return success();
}

static bool isKernel(const Group &g, StringRef name) {
  auto op = dyn_cast<ir::KernelOp>(g.ops.front());
  return op && op.getKernelName() == name;
}

/// New values of pools are written over the old ones, if nothing reads those later, nor elsewhere than where the new
/// ones are written (a transpose of one would meet elements of the other).
LogicalResult Program::bindInPlace() {
  for (auto &[before, after] : inPlace) {
    if (values.resolve(after) == before)
      continue;
    Group *writer = grouping->groupOf(after);
    Home pool = *values.home(before);
    bool safe = writer && !values.home(after) &&
                (isKernel(*writer, "cache_write") || isKernel(*writer, "cache_fill") ||
                 (writer->kind == Group::Rows && !writer->alongSweep && !writer->chain &&
                  (!grouping->readsOf(*writer).contains(before) || grouping->readsInPlace(*writer, before))));
    bool past = false;
    for (auto &g : grouping->groups) {
      if (past && grouping->readsOf(*g).contains(before))
        safe = false;
      past |= g.get() == writer;
    }
    if (safe)
      values.setHome(after, pool);
    else
      copies.push_back({after, pool});
  }
  return success();
}

void Program::homeStored() {
  auto place = [&](Value v) {
    if (values.home(v))
      return;
    RankedTensorType type = typeOf(v);
    if (auto chunk = grouping->temps.find(v); chunk != grouping->temps.end()) {
      Group *g = grouping->groupOf(v);
      type = RankedTensorType::get({chunk->second, type.getNumElements() / g->chunkRows},
                                   type.getElementType());
    }
    kern::BufferOp b = state.buffer("t", type, "work", v.getLoc());
    values.setHome(v, {b.getSymName().str()});
  };
  for (auto &g : grouping->groups)
    for (Operation *op : g->ops)
      for (Value v : op->getResults())
        if (grouping->stored.contains(v) || list.inMemory.contains(v) ||
            llvm::any_of(inPlace, [&](InPlace &p) { return p.after == v; }) ||
            isa<ir::KernelOp>(op))
          place(v);
}

/// An element-wise kernel writes its result over an operand that nothing reads later.
void Program::reuseInPlace() {
  auto isWork = [&](Value v) {
    return state.module.lookupSymbol<kern::BufferOp>(values.home(v)->buffer).getPool() == "work";
  };
  auto &groups = grouping->groups;
  llvm::DenseMap<Value, size_t> lastRead;
  llvm::StringSet<> shared;
  for (auto [i, g] : llvm::enumerate(groups))
    for (Value v : grouping->readsOf(*g))
      lastRead[v] = i;
  for (auto [i, g] : llvm::enumerate(groups)) {
    if (g->kind != Group::Rows || g->alongSweep || g->chain || g->chunk >= 0)
      continue;
    for (Operation *op : g->ops) {
      Value result = op->getResult(0);
      const Home *to = values.home(result);
      if (!to || to->stride || shared.contains(to->buffer))
        continue;
      StringRef pool = state.module.lookupSymbol<kern::BufferOp>(to->buffer).getPool();
      if (pool != "work" && pool != "grad")
        continue;
      for (Value v : grouping->readsOf(*g)) {
        Group *from = grouping->groupOf(v);
        const Home *home = values.home(v);
        if (!from || lastRead[v] != i || home->stride || !isWork(v) ||
            grouping->temps.contains(v) || shared.contains(home->buffer) ||
            elemOf(v) != elemOf(result) || shapeOf(v) != shapeOf(result) ||
            !grouping->readsInPlace(*g, v) || (from->segment != g->segment && pool == "work"))
          continue;
        // Both names are taken: one buffer serves one pair.
        shared.insert(to->buffer);
        shared.insert(home->buffer);
        if (pool == "work")
          values.setHome(result, Home(*home));
        else
          values.setHome(v, Home(*to));
        break;
      }
    }
  }
}

LogicalResult Program::run(ArrayRef<func::FuncOp> functions) {
  for (func::FuncOp func : llvm::to_vector(functions)) {
    bindLeaves(func);
    if (failed(bindArguments(func)) || failed(listOps(func)) || failed(bindResults(func)))
      return failure();
  }
  for (auto &[before, after] : inPlace)
    if (after.getDefiningOp())
      list.inMemory.insert(after);
  list.values = &values;
  grouping =
      std::make_unique<Grouping>(list, GroupOptions{state.options.fuse, state.options.chunkBytes});
  if (failed(grouping->run()) || failed(bindInPlace()))
    return failure();
  homeStored();
  if (state.options.fuse)
    reuseInPlace();

  // The runtime asks for "step@64": the mark of a bucket is no character to replace.
  std::string symbol = name.find('@') == std::string::npos ? state.freshSymbol(name) : name;
  auto program = kern::ProgramOp::create(
      state.builder, func::FuncOp(functions.front()).getLoc(),
      state.builder.getStringAttr(symbol), state.builder.getArrayAttr(inputs),
      state.builder.getArrayAttr(scalars), state.builder.getArrayAttr({}));
  Block *body = new Block;
  program.getBody().push_back(body);
  builder.setInsertionPointToEnd(body);
  if (failed(emitAll()))
    return failure();
  for (auto &[v, to] : copies)
    copy(v, to, v.getLoc());
  program.setOutputsAttr(state.builder.getArrayAttr(outputs));
  builder.setInsertionPointToEnd(body);
  kern::EndOp::create(builder, program.getLoc());
  return success();
}

LogicalResult Program::emitAll() {
  kern::LoopOp microLoop, chunkLoop;
  int chunk = -1;
  auto open = [&](Location loc, int64_t count, StringRef over) {
    auto loop = kern::LoopOp::create(builder, loc, count, over, ArrayAttr());
    loop.getBody().push_back(new Block);
    builder.setInsertionPointToEnd(&loop.getBody().front());
    return loop;
  };
  auto close = [&](kern::LoopOp &loop) {
    if (!loop)
      return;
    kern::EndOp::create(builder, loop.getLoc());
    builder.setInsertionPointAfter(loop);
    loop = {};
  };
  for (auto &g : grouping->groups) {
    Location loc = g->ops.front()->getLoc();
    if (chunk >= 0 && g->chunk != chunk)
      close(chunkLoop);
    if (g->segment != Segment::Loop)
      close(microLoop);
    inLoop = bool(microLoop);
    if (g->segment == Segment::Loop && micro > 1 && !microLoop) {
      for (Value partial : partials)
        fill(values.home(partial)->buffer, partial.getLoc());
      SmallVector<Attribute> sums;
      for (Value partial : partials)
        sums.push_back(FlatSymbolRefAttr::get(builder.getContext(), values.home(partial)->buffer));
      microLoop = open(loc, micro, "micro");
      microLoop.setPartialsAttr(builder.getArrayAttr(sums));
      inLoop = true;
    }
    if (g->chunk >= 0 && g->chunk != chunk) {
      // Sums over the rows of all chunks start from zero.
      for (auto &member : grouping->groups)
        if (member->chunk == g->chunk && member->chunkSums && !member->accumulate) {
          for (Operation *op : member->ops)
            fill(values.home(op->getResult(0))->buffer, op->getLoc());
          member->accumulate = true;
        }
      chunkLoop = open(loc, g->chunkRows / g->chunkSize, "rows");
    }
    chunk = g->chunk;
    if (failed(emitGroup(*g)))
      return failure();
  }
  close(chunkLoop);
  close(microLoop);
  inLoop = false;
  return success();
}

LogicalResult Program::emitGroup(Group &g) {
  switch (g.kind) {
  case Group::Rows:
    return emitRows(g);
  case Group::Product:
    return emitProduct(g);
  case Group::Scatter:
    return emitScatter(g);
  case Group::Intrinsic:
    return isKernel(g, "cache_write")  ? emitCacheWrite(g)
           : isKernel(g, "cache_fill") ? emitCacheFill(g)
                                       : emitIntrinsic(g);
  }
  return failure();
}

/// Does a kernel store only what it has loaded from the same place? A copy whose source was computed
/// where it belongs is such a kernel.
static bool doesNothing(Operation *op) {
  auto kernel = dyn_cast<kern::KernelOp>(op);
  if (!kernel || !kernel.getBlock()->getOps<kern::SweepOp>().empty())
    return false;
  return llvm::all_of(kernel.getBlock()->getOps<memref::StoreOp>(), [](memref::StoreOp store) {
    auto load = store.getValue().getDefiningOp<memref::LoadOp>();
    return load && load.getMemRef() == store.getMemRef() &&
           load.getIndices() == store.getIndices();
  });
}

void Program::launch(Operation *kernel, const Group &g, ArrayRef<Value> args,
                     ArrayRef<int64_t> chunkSteps) {
  if (doesNothing(kernel)) {
    kernel->erase();
    return;
  }
  Location loc = g.ops.back()->getLoc();
  StringAttr symbol = state.uniqueKernel(kernel, kernelName(g));
  SmallVector<Attribute> buffers;
  SmallVector<int64_t> strides;
  for (auto [i, v] : llvm::enumerate(args)) {
    const Home *home = values.home(v);
    buffers.push_back(FlatSymbolRefAttr::get(builder.getContext(), home->buffer));
    int64_t chunk = 0;
    if (!chunkSteps.empty() && !grouping->temps.contains(v))
      chunk = chunkSteps[i] * g.chunkSize * (bytesOf(typeOf(v)) / typeOf(v).getNumElements());
    // One stride per enclosing loop, outermost first.
    strides.push_back(inLoop ? home->stride : chunk);
    strides.push_back(inLoop ? chunk : 0);
  }
  kern::LaunchOp::create(builder, loc, FlatSymbolRefAttr::get(symbol),
                         builder.getArrayAttr(buffers), builder.getDenseI64ArrayAttr(strides),
                         g.reason.empty() ? StringAttr() : builder.getStringAttr(g.reason));
}

void Program::fill(StringRef buffer, Location loc) {
  kern::FillOp::create(builder, loc, FlatSymbolRefAttr::get(builder.getContext(), buffer));
}

void Program::copy(Value from, const Home &to, Location loc) {
  // A kernel of one load and one store; the target is a value of its own for the emitter.
  OpBuilder scratch(builder.getContext());
  OwningOpRef<ModuleOp> holder = ModuleOp::create(loc);
  scratch.setInsertionPointToEnd(holder->getBody());
  RankedTensorType type = typeOf(from);
  auto identity = AffineMap::getMultiDimIdentityMap(type.getRank(), builder.getContext());
  auto map = ir::MapOp::create(scratch, loc, type, ValueRange{from}, ValueRange{},
                               scratch.getAffineMapArrayAttr({identity}));
  Block *block = new Block;
  map.getBody().push_back(block);
  block->addArgument(type.getElementType(), loc);
  scratch.setInsertionPointToEnd(block);
  ir::YieldOp::create(scratch, loc, ValueRange{block->getArgument(0)});
  values.setHome(map.getResult(), to);
  Group g;
  g.ops.push_back(map);
  g.rows.assign(type.getShape().begin(), type.getShape().end());
  if (g.rows.empty())
    g.rows.push_back(1);
  g.reason = "an output that is computed elsewhere";
  (void)emitRows(g);
}

LogicalResult Program::emitRows(Group &g) {
  RowKernel what;
  what.rows = g.rows;
  what.alongSweep = g.alongSweep;
  what.accumulate = g.accumulate;
  bool chunked = g.chunk >= 0;
  if (chunked && g.chunkSums)
    what.flatSweeps = true;
  else if (chunked)
    what.rows = {g.chunkRows};
  if (int64_t rest = countOf(g.rows) / std::max<int64_t>(g.chunkRows, 1);
      chunked && !g.chunkSums && rest > 1)
    what.rows.push_back(rest);
  for (Operation *op : g.ops)
    for (Value v : op->getResults()) {
      what.inside.insert(v);
      if (!values.home(v))
        continue;
      what.roots.push_back(v);
      what.sweepAxes.push_back(grouping->sweepAxes(g, v));
    }
  Location loc = g.ops.back()->getLoc();
  auto kernel = kern::KernelOp::create(state.builder, loc, "kernel", what.rows,
                                       g.alongSweep ? "sweep" : "row", ArrayRef<int64_t>());
  Block *body = new Block;
  kernel.getBody().push_back(body);
  Emitter emitter(values, builder.getContext());
  if (failed(emitter.emitRows(what, body)))
    return failure();
  llvm::sort(emitter.writes);
  kernel.setWrites(emitter.writes);
  SmallVector<int64_t> steps;
  if (chunked) {
    // The kernel of one chunk: fewer rows, and arguments that move with the loop.
    Value row = body->getArgument(0);
    if (g.chunkSums) {
      auto sweep = *body->getOps<kern::SweepOp>().begin();
      row = sweep.getBlock()->getArgument(0);
      sweep.setSizes({g.chunkSize});
    } else {
      SmallVector<int64_t> rows(what.rows);
      rows[0] = g.chunkSize;
      kernel.setRows(rows);
    }
    for (unsigned i = 0; i < emitter.args.size(); ++i) {
      BlockArgument arg = body->getArgument(what.rows.size() + i);
      auto step = stepOf(arg, row);
      if (!step)
        return emitError(loc) << "fuse: a kernel over chunks of rows steps unevenly";
      steps.push_back(*step);
      auto type = cast<MemRefType>(arg.getType());
      if (*step)
        arg.setType(MemRefType::get({*step * g.chunkSize}, type.getElementType()));
    }
  }
  tidyKernel(kernel);
  launch(kernel, g, emitter.args, steps);
  return success();
}

LogicalResult Program::emitScatter(Group &g) {
  auto op = cast<ir::ScatterAddOp>(g.ops.front());
  if (elemOf(op.getResult()).isBF16() || elemOf(op.getResult()).isF16())
    return emitError(op.getLoc()) << "scatter_add into a table narrower than f32 is not supported "
                                     "yet";
  if (!g.accumulate)
    fill(values.home(op.getResult())->buffer, op.getLoc());
  auto kernel = kern::KernelOp::create(state.builder, op.getLoc(), "kernel", ArrayRef<int64_t>{1},
                                       "row", ArrayRef<int64_t>());
  Block *body = new Block;
  kernel.getBody().push_back(body);
  Emitter emitter(values, builder.getContext());
  SmallVector<int64_t> rows;
  if (failed(emitter.emitScatter(op, {}, body, rows)))
    return failure();
  kernel.setRows(rows);
  kernel.setWrites(emitter.writes);
  tidyKernel(kernel);
  launch(kernel, g, emitter.args);
  return success();
}

} // namespace r1::fuse
