// kern.kernel -> a CUDA kernel.
//
//   along "row"    a thread has 4 neighbouring rows (1 where they do not divide); its sweeps are loops;
//                  long sweeps over few rows are in EmitColumns.cpp
//   along "sweep"  16 threads (32 where rows are few) have a row; thread r holds lanes 4r … 4r + 3 of
//                  the 64 lanes of a sum, so accesses are 16 bytes wide and the tree is shuffles
//
// The invariant a reader would guess wrong: a sum along a sweep has 64 lanes and a fixed tree whatever
// the threads are; the bits are those of every other target.
#include "compiler/cuda/Emit.h"
#include "compiler/pch.h"

using namespace mlir;
namespace r1::cuda {
namespace {

constexpr int64_t kSumLanes = 64;
// From here on a row is read faster with more loads under way.
constexpr int64_t kLongRow = 4096;
// Up to here most of a GPU waits.
constexpr int64_t kFewRows = 64;

std::string combined(kern::Combine kind, Type type, const std::string &x, const std::string &y) {
  bool real = isa<FloatType>(type);
  switch (kind) {
  case kern::Combine::sum:
    return real ? x + " + " + y : "r1::add_wrap(" + x + ", " + y + ")";
  case kern::Combine::max:
    return std::string(real ? "r1::maximum(" : "r1::max_i(") + x + ", " + y + ")";
  case kern::Combine::min:
    return std::string(real ? "r1::minimum(" : "r1::min_i(") + x + ", " + y + ")";
  case kern::Combine::any:
    return x + (type.isInteger(1) ? " || " : " | ") + y;
  case kern::Combine::all:
    return x + (type.isInteger(1) ? " && " : " & ") + y;
  }
  return "";
}

} // namespace

std::string identity(kern::Combine kind, Type type) {
  if (isa<FloatType>(type)) {
    double inf = std::numeric_limits<double>::infinity();
    return literal(cast<TypedAttr>(FloatAttr::get(type, kind == kern::Combine::sum   ? 0.0
                                                        : kind == kern::Combine::max ? -inf
                                                                                     : inf)));
  }
  unsigned bits = type.getIntOrFloatBitWidth();
  APInt v = kind == kern::Combine::max   ? APInt::getSignedMinValue(bits)
            : kind == kern::Combine::min ? APInt::getSignedMaxValue(bits)
            : kind == kern::Combine::all ? APInt::getAllOnes(bits)
                                         : APInt::getZero(bits);
  return literal(cast<TypedAttr>(IntegerAttr::get(type, v)));
}

Body begin(kern::KernelOp op, Kernel &k, int64_t width) {
  Body body(k.body, k.math, width);
  for (auto [value, arg] :
       llvm::zip(op.getBlock()->getArguments().drop_front(op.getRows().size()), k.args))
    body.bindArg(value, arg);
  return body;
}

void bindRows(kern::KernelOp op, Body &body, StringRef unit, int64_t width) {
  auto rows = op.getRows();
  SmallVector<int64_t> sizes(rows.begin(), rows.end());
  if (!sizes.empty())
    sizes.back() /= width;
  int64_t below = product(sizes);
  for (unsigned i = 0; i < sizes.size(); ++i) {
    below /= sizes[i];
    std::string text = unit.str();
    if (below > 1)
      text += " / " + std::to_string(below);
    if (i)
      text = (below > 1 ? "(" + text + ")" : text) + " % " + std::to_string(sizes[i]);
    bool last = i + 1 == sizes.size() && width > 1;
    if (sizes[i] == 1)
      text = "0";
    else if (last)
      text = (StringRef(text).contains(' ') ? "(" + text + ")" : text) + " * " +
             std::to_string(width);
    // One unit of several rows still has a row for each lane.
    Term t = sizes[i] == 1 && !last ? Term::constant(0) : Term::index(text);
    if (last) {
      t.align = width;
      t.stride = 1;
    }
    body.bind(op.getBlock()->getArgument(i),
              sizes[i] == 1 && !last ? t : body.named(op.getLoc(), t));
  }
}

namespace {

class KernelEmitter {
public:
  KernelEmitter(kern::KernelOp op, Kernel &k) : op(op), k(k) {}

  LogicalResult run() {
    for (kern::SweepOp sweep : op.getBlock()->getOps<kern::SweepOp>())
      for (Value r : sweep.getResults())
        if (r.getType().isBF16() || r.getType().isF16())
          return sweep.emitOpError("combines 16-bit floats; widen them to f32 first");
    return op.getAlong() == "row" ? alongRow() : alongSweep();
  }

private:
  LogicalResult alongRow();
  LogicalResult alongSweep();
  LogicalResult chain(kern::SweepOp sweep, Body &body);
  LogicalResult acrossLanes(kern::SweepOp sweep, Body &body);
  void syncBefore(Operation &o);
  void noteStores(Operation &o);

  kern::KernelOp op;
  Kernel &k;
  int64_t groupThreads = 0;     // threads of a row
  DenseSet<Value> stored;       // written since the last warp_sync
};

LogicalResult KernelEmitter::alongRow() {
  if (auto done = emitColumns(op, k))
    return *done;
  auto rows = op.getRows();
  int64_t total = product(rows);
  // Few rows with long sums want every thread they can get.
  bool sums = !op.getBlock()->getOps<kern::SweepOp>().empty();
  int64_t width = !rows.empty() && rows.back() % 4 == 0 && !(sums && total < 65536) ? 4 : 1;
  int64_t units = total / width;
  k.grid.threads = sums && units < 16384 ? 32 : units < 128 * 64 ? 64 : 256;
  k.grid.blocks = ceilDiv(units, k.grid.threads);
  k.why = std::to_string(width) + (width == 1 ? " row" : " rows") + " per thread";
  Body body = begin(op, k, width);
  std::string unit = body.fresh("u");
  body.text().line(op.getLoc(), "const int " + unit + " = r1::block() * " + Twine(k.grid.threads) +
                                    " + r1::thread();");
  if (units % k.grid.threads)
    body.text().line("if (" + unit + " >= " + Twine(units) + ") return;");
  bindRows(op, body, unit, width);
  for (Operation &o : op.getBlock()->without_terminator()) {
    auto sweep = dyn_cast<kern::SweepOp>(o);
    if (failed(sweep ? chain(sweep, body) : body.emit(&o)))
      return failure();
  }
  return success();
}

/// A sweep as loops, in order: each lane has a chain of its own.
LogicalResult KernelEmitter::chain(kern::SweepOp sweep, Body &body) {
  Text &text = body.text();
  auto yield = cast<kern::YieldOp>(sweep.getBlock()->getTerminator());
  bool lanes = body.lanes() > 1;
  std::string splat = "r1::splat<" + std::to_string(body.lanes()) + ">(";
  SmallVector<std::string> acc;
  for (auto [i, r] : llvm::enumerate(sweep.getResults())) {
    acc.push_back(body.fresh("s"));
    auto kind = kern::Combine(sweep.getCombine()[i]);
    std::string start = sweep.getInit().empty() ? identity(kind, r.getType())
                        : lanes                 ? body.vector(sweep.getInit()[i])
                                                : body.number(sweep.getInit()[i]);
    if (lanes && sweep.getInit().empty())
      start = splat + start + ")";
    text.line(sweep.getLoc(), "auto " + acc.back() + " = " + start + ";");
  }
  Body inner = body;
  for (auto [i, size] : llvm::enumerate(sweep.getSizes())) {
    std::string j = body.fresh("j");
    text.open("for (int " + j + " = 0; " + j + " < " + Twine(size) + "; ++" + j + ")");
    inner.bind(sweep.getBlock()->getArgument(i), Term::index(j));
  }
  if (failed(inner.emitBlock(sweep.getBlock())))
    return failure();
  for (auto [i, v] : llvm::enumerate(yield.getValues()))
    text.line(sweep.getLoc(),
              acc[i] + " = " +
                  combined(kern::Combine(sweep.getCombine()[i]), v.getType(), acc[i],
                           lanes ? inner.vector(v) : inner.number(v)) +
                  ";");
  for (unsigned i = 0; i < sweep.getSizes().size(); ++i)
    text.close();
  for (auto [i, r] : llvm::enumerate(sweep.getResults())) {
    Term t;
    t.text = acc[i], t.lanes = lanes;
    body.bind(r, t);
  }
  return success();
}

LogicalResult KernelEmitter::alongSweep() {
  int64_t rows = product(op.getRows());
  int64_t width = rows < 4096 ? 2 : 4;
  groupThreads = kSumLanes / width;
  k.grid.threads = 128;
  int64_t perBlock = k.grid.threads / groupThreads;
  k.grid.blocks = ceilDiv(rows, perBlock);
  k.why = std::to_string(groupThreads) + " threads per row, " + std::to_string(width) +
          " neighbours each";
  Body body = begin(op, k, width);
  Text &text = body.text();
  std::string group = "r1::thread() / " + std::to_string(groupThreads);
  text.line(op.getLoc(),
            "const int lane = r1::thread() % " + Twine(groupThreads) + ";  // of the row's threads");
  std::string row = "r1::block() * " + std::to_string(perBlock) + " + " + group;
  bool ragged = rows % perBlock != 0;
  if (ragged) {
    // Threads without a row follow the last one, since shuffles need whole warps; they store nothing.
    text.line("const bool on = " + row + " < " + Twine(rows) + ";");
    row = "on ? " + row + " : " + std::to_string(rows - 1);
  }
  text.line("const int row = " + row + ";");
  body.setGuards(ragged ? "on" : "", ragged ? "on && lane == 0" : "lane == 0");
  bindRows(op, body, "row", 1);
  for (Operation &o : op.getBlock()->without_terminator()) {
    syncBefore(o);
    auto sweep = dyn_cast<kern::SweepOp>(o);
    if (failed(sweep ? acrossLanes(sweep, body) : body.emit(&o)))
      return failure();
    noteStores(o);
  }
  return success();
}

/// What other threads of the row have stored is seen after a warp_sync.
void KernelEmitter::syncBefore(Operation &o) {
  bool reads = false;
  o.walk([&](memref::LoadOp load) { reads |= stored.contains(load.getMemRef()); });
  if (!reads)
    return;
  k.body.line("r1::warp_sync();");
  stored.clear();
}

void KernelEmitter::noteStores(Operation &o) {
  o.walk([&](memref::StoreOp store) { stored.insert(store.getMemRef()); });
}

LogicalResult KernelEmitter::acrossLanes(kern::SweepOp sweep, Body &body) {
  Text &text = body.text();
  Location loc = sweep.getLoc();
  auto sizes = sweep.getSizes();
  auto yield = cast<kern::YieldOp>(sweep.getBlock()->getTerminator());
  int64_t width = body.lanes(), inner = sizes.empty() ? 1 : sizes.back();
  std::string w = std::to_string(width), n = std::to_string(inner);
  SmallVector<std::string> acc;
  for (auto [i, r] : llvm::enumerate(sweep.getResults())) {
    acc.push_back(body.fresh("s"));
    text.line(loc, "auto " + acc.back() + " = r1::splat<" + w + ">(" +
                       identity(kern::Combine(sweep.getCombine()[i]), r.getType()) + ");");
  }
  Body outer = body;
  for (unsigned i = 0; i + 1 < sizes.size(); ++i) {
    std::string j = body.fresh("j");
    text.open("for (int " + j + " = 0; " + j + " < " + Twine(sizes[i]) + "; ++" + j + ")");
    outer.bind(sweep.getBlock()->getArgument(i), Term::index(j));
  }
  // `width` elements from j on; `live` of them where the row ends.
  auto visit = [&](const std::string &j, const std::string &live) -> LogicalResult {
    Body at = outer;
    at.setLive(live);
    if (!sizes.empty()) {
      Term index = Term::index(j, 1, width);
      at.bind(sweep.getBlock()->getArgument(sizes.size() - 1), index);
    }
    if (failed(at.emitBlock(sweep.getBlock())))
      return failure();
    for (auto [i, v] : llvm::enumerate(yield.getValues())) {
      std::string next = combined(kern::Combine(sweep.getCombine()[i]), v.getType(), acc[i],
                                  at.vector(v));
      if (!live.empty())
        next = "r1::keep(" + live + ", " + next + ", " + acc[i] + ")";
      text.line(loc, acc[i] + " = " + next + ";");
    }
    return success();
  };
  std::string j = body.fresh("j"), first = "lane * " + w;
  // The compiler unrolls by 4, which is too few loads under way for rows that come from memory, and where so few
  // rows are there that nothing else hides their latency.
  const bool few = product(op.getRows()) <= kFewRows;
  auto unroll = [&] {
    if (few || inner >= kLongRow)
      text.line(few ? "R1_UNROLL_BY(16)" : "R1_UNROLL_BY(8)");
  };
  if (inner % width == 0) {
    if (inner == kSumLanes) {
      text.line("const int " + j + " = " + first + ";");
      if (failed(visit(j, "")))
        return failure();
    } else {
      unroll();
      text.open("for (int " + j + " = " + first + "; " + j + " < " + n + "; " + j + " += 64)");
      if (failed(visit(j, "")))
        return failure();
      text.close();
    }
  } else {
    text.line("int " + j + " = " + first + ";");
    if (inner > width) {
      unroll();
      text.open("for (; " + j + " + " + w + " <= " + n + "; " + j + " += 64)");
      if (failed(visit(j, "")))
        return failure();
      text.close();
    }
    text.open("if (" + j + " < " + n + ")");
    std::string live = body.fresh("live");
    text.line("const int " + live + " = " + n + " - " + j + ";");
    if (failed(visit(j, live)))
      return failure();
    text.close();
  }
  for (unsigned i = 0; i + 1 < sizes.size(); ++i)
    text.close();
  for (auto [i, r] : llvm::enumerate(sweep.getResults())) {
    static const char *const trees[] = {"sum", "max", "min", "any", "all"};
    Term t;
    t.text = body.fresh("t");
    std::string sum =
        std::string("r1::row_") + trees[sweep.getCombine()[i]] + "<" + w + ">(" + acc[i] + ".v)";
    if (!sweep.getInit().empty())
      sum = combined(kern::Combine(sweep.getCombine()[i]), r.getType(),
                     body.number(sweep.getInit()[i]), sum);
    text.line(loc, "const auto " + t.text + " = " + sum + ";");
    body.bind(r, t);
  }
  return success();
}

} // namespace

LogicalResult emitKernel(kern::KernelOp op, Kernel &k) { return KernelEmitter(op, k).run(); }

} // namespace r1::cuda
