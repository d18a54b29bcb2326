// kern.kernel along "row" with a long sweep and few rows: whole blocks instead of one thread per row.
//
//   sums      a block owns a few neighbouring rows, which are here called columns: what is combined
//             lies under each other. 256 threads compute what is to be added, a tile at a time, into
//             shared memory; one warp per result adds the tile before (in_tiles, chain)
//   scatter   y[index(source), column] += addend(source, column): blocks share out the indices and
//             each looks through all sources for its own (scatter_add)
//
// The invariant a reader would guess wrong: every result is still one chain in increasing order of
// the sweep, from `init`; the bits are those of a thread that does it alone.
#include "compiler/cuda/Emit.h"
#include "compiler/pch.h"

using namespace mlir;
namespace r1::cuda {
namespace {

// Below this a chain is shorter than the wait for one tile.
constexpr int64_t kLongSweep = 64;
// With more columns a thread for each keeps enough loads under way.
constexpr int64_t kFewColumns = 65536;
constexpr int64_t kMultiprocessors = 132;
constexpr int64_t kWriters = 256;
constexpr int64_t kTileBytes = 98304; // of shared memory: what every processor since 8.0 gives a block
constexpr uint64_t kTurns = 8;        // rows of a tile for each writer, which are loaded together

class ColumnEmitter {
public:
  ColumnEmitter(kern::KernelOp op, Kernel &k, kern::SweepOp sweep)
      : op(op), k(k), sweep(sweep), text(k.body), columns(product(op.getRows())),
        length(product(sweep.getSizes())),
        width(!op.getRows().empty() && op.getRows().back() % 4 == 0 ? 4 : 1) {}

  bool sumsFit();
  bool scatters();
  LogicalResult sums();
  LogicalResult scatter();

private:
  /// The operations of `block` that `roots` need, without those of `stop`.
  DenseSet<Operation *> needs(Block *block, ValueRange roots, Value stop = {});
  LogicalResult emit(Body &body, Block *block, ValueRange roots, Value stop = {});
  /// The sweep's indices from n, the number of an element of the sweep.
  void bindSweep(Body &body, StringRef n);
  /// Values before the sweep that something reads which is not to be printed here.
  SmallVector<Value> outside(Block *block);
  std::string laneValue(Body &body, Value v) {
    return body.lanes() > 1 ? body.vector(v) : body.number(v);
  }

  kern::KernelOp op;
  Kernel &k;
  kern::SweepOp sweep;
  Text &text;
  int64_t columns, length, width;

  // Sums.
  int64_t owned = 0; // columns of a block
  int64_t parts = 0; // threads that a row of a tile takes
  int64_t tile = 0;  // rows of a tile

  // Scatter: y[…] = load + addend, and what the address depends on beside the column.
  memref::LoadOp load;
  memref::StoreOp store;
  Value addend, key;
};

DenseSet<Operation *> ColumnEmitter::needs(Block *block, ValueRange roots, Value stop) {
  DenseSet<Operation *> found;
  SmallVector<Value> open(roots.begin(), roots.end());
  while (!open.empty()) {
    Value v = open.pop_back_val();
    Operation *def = v.getDefiningOp();
    if (v == stop || !def || def->getBlock() != block || !found.insert(def).second)
      continue;
    def->walk([&](Operation *o) { llvm::append_range(open, o->getOperands()); });
  }
  return found;
}

LogicalResult ColumnEmitter::emit(Body &body, Block *block, ValueRange roots, Value stop) {
  DenseSet<Operation *> wanted = needs(block, roots, stop);
  for (Operation &o : *block)
    if (wanted.contains(&o) && failed(body.emit(&o)))
      return failure();
  return success();
}

void ColumnEmitter::bindSweep(Body &body, StringRef n) {
  int64_t below = length;
  for (auto [i, size] : llvm::enumerate(sweep.getSizes())) {
    below /= size;
    std::string index = n.str();
    if (below > 1)
      index += " / " + std::to_string(below);
    if (i && size > 1)
      index = (below > 1 ? "(" + index + ")" : index) + " % " + std::to_string(size);
    body.bind(sweep.getBlock()->getArgument(i),
              size == 1 ? Term::constant(0) : body.named(sweep.getLoc(), Term::index(index)));
  }
}

SmallVector<Value> ColumnEmitter::outside(Block *block) {
  SmallVector<Value> values;
  for (Operation &o : *block)
    llvm::append_range(values, o.getOperands());
  return values;
}

/// Whether the sums are to be made by whole blocks, and if so, how the work is divided.
bool ColumnEmitter::sumsFit() {
  if (sweep.getNumResults() == 0 || sweep.getNumResults() > 4)
    return false;
  int64_t bytes = 0;
  for (Type t : sweep.getResultTypes())
    bytes += t.isInteger(1) ? 1 : t.getIntOrFloatBitWidth() / 8;
  // Few columns per block keep all multiprocessors busy; 8 of them are a whole sector of memory.
  owned = std::min<int64_t>(columns, 8);
  for (int64_t c : {16, 32})
    if (columns / c >= kMultiprocessors)
      owned = c;
  if (owned % width)
    width = 1;
  parts = owned / width;
  // Each writer has 1, 2, 4, … rows of a tile.
  uint64_t high = kWriters / parts, most = kTileBytes / (2 * owned * bytes) / high;
  tile = high * std::min({llvm::bit_floor(most), llvm::bit_ceil(uint64_t(ceilDiv(length, high))), kTurns});
  return tile > 0;
}

LogicalResult ColumnEmitter::sums() {
  Location loc = sweep.getLoc();
  Block *block = op.getBlock(), *inner = sweep.getBlock();
  auto yield = cast<kern::YieldOp>(inner->getTerminator());
  auto names = [&](StringRef base) {
    SmallVector<std::string> all;
    for (unsigned i = 0; i < sweep.getNumResults(); ++i)
      all.push_back((base + Twine(i)).str());
    return all;
  };
  SmallVector<std::string> tiles = names("tile"), sums = names("sum"), totals = names("total");
  int64_t results = sweep.getNumResults();
  std::string c = std::to_string(owned), writers = std::to_string(kWriters);
  k.grid.threads = kWriters + 32 * results;
  k.grid.blocks = ceilDiv(columns, owned);
  k.why = c + (owned == 1 ? " column" : " columns") + " per block, tiles of " +
          std::to_string(tile) + " rows";

  // What is added, by the threads that write tiles. Beyond the last column they repeat it.
  Body writer = begin(op, k, width);
  text.line("R1_DYNAMIC(memory);");
  for (auto [t, r] : llvm::zip(tiles, sweep.getResults())) {
    std::string type = storedName(r.getType());
    text.line("const auto " + t + " = r1::as<" + type + ">(memory + " + Twine(k.sharedBytes) + ");");
    k.sharedBytes += 2 * tile * owned * (r.getType().isInteger(1) ? 1 : r.getType().getIntOrFloatBitWidth() / 8);
  }
  std::string part = parts == 1 ? "0" : "part";
  if (parts > 1)
    text.line("const int part = r1::thread() % " + Twine(parts) + ";  // of a row of a tile");
  auto clamped = [](std::string index, int64_t count, int64_t step) {
    return count % step ? "r1::min_i(" + index + ", " + std::to_string(count - 1) + ")" : index;
  };
  std::string unit = writer.fresh("u");
  std::string first = "r1::block()" + (parts == 1 ? "" : " * " + std::to_string(parts) + " + part");
  text.line(loc, "const int " + unit + " = " + clamped(first, columns / width, parts) + ";");
  bindRows(op, writer, unit, width);
  if (failed(emit(writer, block, outside(inner))))
    return failure();
  Body row = writer;
  text.open("auto produce = [&](int n, int place)");
  bindSweep(row, "n");
  if (failed(row.emitBlock(inner)))
    return failure();
  std::string at = owned == 1 ? "place" : "place * " + c;
  if (parts > 1)
    at += width == 1 ? " + part" : " + part * " + std::to_string(width);
  for (auto [t, v] : llvm::zip(tiles, yield.getValues())) {
    std::string value = laneValue(row, v);
    if (v.getType().isInteger(1))
      value = "r1::cast<unsigned char>(" + value + ")";
    text.line(loc, width > 1 ? "r1::store<" + std::to_string(width) + ">(" + t + " + " + at + ", " +
                                   value + ");"
                             : "r1::write(" + t + ", " + at + ", " + value + ");");
  }
  text.close("};");

  // The chains, one warp for each result; lanes beyond the columns repeat them.
  Body column = writer.sibling(1);
  std::string own = owned == 1 ? "" : "r1::lane() % " + c;
  if (owned > 1)
    text.line("const int column = " + own + ";  // of the block, for a thread that adds");
  std::string index = "r1::block()" + (owned == 1 ? "" : " * " + c + " + column");
  std::string mine = column.fresh("u");
  text.line(loc, "const int " + mine + " = " + clamped(index, columns, owned) + ";");
  bindRows(op, column, mine, 1);
  SmallVector<Value> later(sweep.getInit());
  for (Operation *o = sweep->getNextNode(); o; o = o->getNextNode())
    llvm::append_range(later, o->getOperands());
  llvm::erase_if(later, [&](Value v) {
    Operation *def = v.getDefiningOp();
    return !def || def == sweep || !def->isBeforeInBlock(sweep);
  });
  if (failed(emit(column, block, later)))
    return failure();
  for (auto [i, r] : llvm::enumerate(sweep.getResults()))
    text.line(loc, typeName(r.getType()) + " " + sums[i] + " = " +
                       (sweep.getInit().empty()
                            ? identity(kern::Combine(sweep.getCombine()[i]), r.getType())
                            : column.number(sweep.getInit()[i])) +
                       ";");
  text.open("auto consume = [&](int place, int count)");
  for (int64_t i = 0; i < results; ++i) {
    static const char *const ops[] = {"Sum", "Max", "Min", "Any", "All"};
    std::string when = results == 1 ? ""
                                    : "if (r1::warp() == " + std::to_string(kWriters / 32 + i) + ") ";
    text.line(loc, when + sums[i] + " = r1::chain<" + c + ">(" + sums[i] + ", " + tiles[i] +
                       " + " + (owned == 1 ? "place" : "(place * " + c + " + column)") +
                       ", count, r1::" + ops[sweep.getCombine()[i]] + "());");
  }
  text.close("};");
  text.line(loc, "r1::in_tiles<" + Twine(length) + ", " + Twine(tile) + ", " + Twine(parts) + ", " +
                     writers + ">(produce, consume);");

  // Several results meet in the threads of the first.
  if (results > 1) {
    for (auto [t, r] : llvm::zip(totals, sweep.getResults()))
      text.line("R1_SHARED(" + storedName(r.getType()) + ", " + t + ", " + c + ");");
    text.open("if (r1::thread() >= " + writers + " && r1::lane() < " + c + ")");
    for (int64_t i = 0; i < results; ++i)
      text.line((i ? "else if (r1::warp() == " : "if (r1::warp() == ") +
                Twine(kWriters / 32 + i) + ") r1::write(" + totals[i] + ", r1::lane(), " + sums[i] +
                ");");
    text.close();
    text.line("r1::block_sync();");
  }
  std::string when = "if (r1::thread() >= " + writers + " && r1::thread() < " +
                     std::to_string(kWriters + owned);
  text.open(when + (columns % owned ? " && " + index + " < " + std::to_string(columns) : "") + ")");
  for (auto [i, r] : llvm::enumerate(sweep.getResults())) {
    Term t;
    t.text = sums[i];
    if (results > 1) {
      std::string value = totals[i] + "[r1::lane()]";
      if (r.getType().isInteger(1))
        value += " != 0";
      text.line(loc, sums[i] + " = " + value + ";");
    }
    column.bind(r, t);
  }
  for (Operation *o = sweep->getNextNode(); o != block->getTerminator(); o = o->getNextNode())
    if (failed(column.emit(o)))
      return failure();
  text.close();
  return success();
}

/// Whether the sweep only adds to elements of one array, at an index that is its own function of the
/// sweep: then equal keys mean equal elements of a column, and different keys different ones.
bool ColumnEmitter::scatters() {
  if (sweep.getNumResults() || op.getWrites().size() != 1)
    return false;
  for (Operation *o = sweep->getNextNode(); o; o = o->getNextNode())
    if (!isa<kern::EndOp>(o))
      return false;
  Block *inner = sweep.getBlock();
  for (auto s : inner->getOps<memref::StoreOp>()) {
    if (store)
      return false;
    store = s;
  }
  if (!store)
    return false;
  // No other load of the array, anywhere.
  Value y = store.getMemRef();
  bool others = false;
  op.walk([&](memref::LoadOp l) {
    if (l.getMemRef() != y)
      return;
    others |= load || l->getBlock() != inner;
    load = l;
  });
  if (others || !load || !load.getResult().hasOneUse() ||
      !llvm::equal(load.getIndices(), store.getIndices()))
    return false;
  auto add = store.getValue().getDefiningOp<arith::AddFOp>();
  if (!add || !(add.getType().isF32() || add.getType().isF64()) ||
      *load.getResult().user_begin() != add)
    return false;
  addend = add.getLhs() == load.getResult() ? add.getRhs() : add.getLhs();

  // What each value depends on: 1 the column, 2 the sweep.
  DenseMap<Value, unsigned> depends;
  unsigned rows = op.getRows().size();
  for (BlockArgument a : op.getBlock()->getArguments())
    depends[a] = a.getArgNumber() < rows ? 1 : 0;
  for (BlockArgument a : inner->getArguments())
    depends[a] = 2;
  for (Block *b : {op.getBlock(), inner})
    for (Operation &o : *b) {
      unsigned all = 0;
      for (Value v : o.getOperands())
        all |= depends.lookup(v);
      for (Value r : o.getResults())
        depends[r] = all;
    }
  for (Value index : store.getIndices()) {
    unsigned on = depends.lookup(index);
    if (!(on & 2))
      continue;
    if (key) // two of them: different pairs may be the same element
      return false;
    if (on == 2) {
      key = index;
      continue;
    }
    // column + key * number, summed in any way.
    auto apply = index.getDefiningOp<affine::AffineApplyOp>();
    if (!apply)
      return false;
    AffineExpr rest = apply.getAffineMap().getResult(0);
    unsigned dims = apply.getAffineMap().getNumDims();
    for (SmallVector<AffineExpr> open = {rest}; !open.empty();) {
      AffineExpr e = open.pop_back_val();
      bool holds = false;
      Value found;
      e.walk([&](AffineExpr x) {
        Value v;
        if (auto d = dyn_cast<AffineDimExpr>(x))
          v = apply.getMapOperands()[d.getPosition()];
        else if (auto s = dyn_cast<AffineSymbolExpr>(x))
          v = apply.getMapOperands()[dims + s.getPosition()];
        if (v && (depends.lookup(v) & 2))
          holds = true, found = v;
      });
      if (!holds)
        continue;
      auto bin = dyn_cast<AffineBinaryOpExpr>(e);
      if (bin && bin.getKind() == AffineExprKind::Add) {
        open.push_back(bin.getLHS());
        open.push_back(bin.getRHS());
        continue;
      }
      bool times = bin && bin.getKind() == AffineExprKind::Mul &&
                   isa<AffineDimExpr, AffineSymbolExpr>(bin.getLHS()) &&
                   isa<AffineConstantExpr>(bin.getRHS()) &&
                   cast<AffineConstantExpr>(bin.getRHS()).getValue() != 0;
      if (key || depends.lookup(found) != 2 ||
          !(times || isa<AffineDimExpr, AffineSymbolExpr>(e)))
        return false;
      key = found;
    }
  }
  return bool(key);
}

LogicalResult ColumnEmitter::scatter() {
  Location loc = sweep.getLoc();
  Block *block = op.getBlock(), *inner = sweep.getBlock();
  int64_t units = columns / width;
  k.grid.threads = std::clamp<int64_t>(ceilDiv(units, 32) * 32, 64, 256);
  int64_t across = ceilDiv(units, k.grid.threads);
  // Enough blocks for 4 on each multiprocessor, as long as each finds some 16 sources.
  int64_t owners = std::clamp<int64_t>(4 * kMultiprocessors / across, 1, ceilDiv(length, 16));
  k.grid.blocks = owners * across;
  k.why = std::to_string(owners) + (across > 1 ? " x " + std::to_string(across) : "") +
          " blocks share out the indices";
  Body body = begin(op, k, width);
  std::string b = "r1::block()", owner = owners == 1 ? "0" : across == 1 ? b : b + " % " + std::to_string(owners);
  std::string unit = body.fresh("u");
  std::string place = across == 1 ? "" : b + " / " + std::to_string(owners) + " * " +
                                             std::to_string(k.grid.threads) + " + ";
  std::string index = place + "r1::thread()", on = "true";
  if (units % k.grid.threads) { // threads beyond the last column repeat it, and add nothing
    on = index + " < " + std::to_string(units);
    index = "r1::min_i(" + index + ", " + std::to_string(units - 1) + ")";
  }
  text.line(loc, "const int " + unit + " = " + index + ";");
  bindRows(op, body, unit, width);
  if (failed(emit(body, block, outside(inner))))
    return failure();

  text.open("auto key = [&](int n)");
  Body source = body;
  bindSweep(source, "n");
  if (failed(emit(source, inner, key)))
    return failure();
  text.line(loc, "return " + source.number(key) + ";");
  text.close("};");

  text.open("auto addend = [&](int n)");
  Body added = body;
  bindSweep(added, "n");
  if (failed(emit(added, inner, addend)))
    return failure();
  text.line(loc, "return " + laneValue(added, addend) + ";");
  text.close("};");

  text.open("auto get = [&](int k)");
  Body before = body;
  before.bind(key, Term::index("k"));
  if (failed(emit(before, inner, load.getResult(), key)))
    return failure();
  text.line(loc, "return " + laneValue(before, load.getResult()) + ";");
  text.close("};");

  std::string type = typeName(store.getValue().getType());
  if (width > 1)
    type = "r1::vec<" + type + ", " + std::to_string(width) + ">";
  text.open("auto put = [&](int k, " + type + " v)");
  Body after = body;
  after.bind(key, Term::index("k"));
  Term value;
  value.text = "v", value.lanes = width > 1;
  after.bind(store.getValue(), value);
  if (failed(emit(after, inner, store.getIndices(), key)) || failed(after.emit(store)))
    return failure();
  text.close("};");
  text.line(loc, "r1::scatter_add<" + Twine(length) + ", " + Twine(owners) + ", " +
                     Twine(k.grid.threads) + ">(" + owner + ", " + on +
                     ", key, addend, get, put);");
  return success();
}

} // namespace

std::optional<LogicalResult> emitColumns(kern::KernelOp op, Kernel &k) {
  auto sweeps = llvm::to_vector(op.getBlock()->getOps<kern::SweepOp>());
  if (sweeps.size() != 1 || product(op.getRows()) >= kFewColumns)
    return std::nullopt;
  kern::SweepOp sweep = sweeps[0];
  if (product(sweep.getSizes()) < kLongSweep ||
      !sweep.getBlock()->getOps<kern::SweepOp>().empty())
    return std::nullopt;
  // Nothing is stored before the sweep: every thread of a block may then read what stands there.
  for (Operation &o : *op.getBlock())
    if (&o == sweep)
      break;
    else if (isa<memref::StoreOp>(o))
      return std::nullopt;
  ColumnEmitter emitter(op, k, sweep);
  if (emitter.scatters())
    return emitter.scatter();
  if (sweep.getBlock()->getOps<memref::StoreOp>().empty() && emitter.sumsFit())
    return emitter.sums();
  return std::nullopt;
}

} // namespace r1::cuda
