#include "compiler/grad/RowAxis.h"

using namespace mlir;
using namespace r1;
using namespace r1::ir;

namespace {

struct Finder {
  DenseMap<Value, unsigned> axes;

  std::optional<unsigned> of(Value v) const {
    auto it = axes.find(v);
    return it == axes.end() ? std::nullopt : std::optional<unsigned>(it->second);
  }

  /// The dim of the iteration space that walks v's rows when v is read by `map`.
  std::optional<unsigned> dimOf(Value v, AffineMap map) const {
    auto axis = of(v);
    if (!axis)
      return std::nullopt;
    auto d = dyn_cast<AffineDimExpr>(map.getResult(*axis));
    return d ? std::optional<unsigned>(d.getPosition()) : std::nullopt;
  }

  /// The axis left at `axis` when `dims` are dropped.
  static std::optional<unsigned> without(std::optional<unsigned> axis, ArrayRef<int64_t> dims) {
    if (!axis || llvm::is_contained(dims, int64_t(*axis)))
      return std::nullopt;
    return *axis - llvm::count_if(dims, [&](int64_t d) { return d < int64_t(*axis); });
  }

  /// The axis of the result that starts at the same place in row-major order.
  std::optional<unsigned> reshaped(ReshapeOp op) const {
    auto axis = of(op.getInput());
    if (!axis)
      return std::nullopt;
    auto before = [](Value v, unsigned axis) {
      auto shape = cast<RankedTensorType>(v.getType()).getShape();
      int64_t n = 1;
      for (int64_t s : shape.take_front(axis))
        n *= s;
      return n;
    };
    int64_t rank = cast<RankedTensorType>(op.getType()).getRank();
    for (int64_t r = 0; r < rank; ++r)
      if (before(op.getResult(), r) == before(op.getInput(), *axis))
        return r;
    return std::nullopt;
  }

  std::optional<unsigned> visit(Operation *op) const {
    return TypeSwitch<Operation *, std::optional<unsigned>>(op)
        .Case([&](MapOp map) -> std::optional<unsigned> {
          for (auto [i, in] : llvm::enumerate(map.getIns()))
            if (auto d = dimOf(in, map.getMap(i)))
              return d;
          return std::nullopt;
        })
        .Case([&](ReduceOp r) { return without(of(r.getInput()), r.getDims()); })
        .Case([&](LogSumExpOp l) { return without(of(l.getInput()), int64_t(l.getAxis())); })
        .Case<SoftmaxOp, StopGradOp>([&](Operation *o) { return of(o->getOperand(0)); })
        .Case([&](ContractOp c) -> std::optional<unsigned> {
          for (unsigned side : {0u, 1u})
            if (auto d = dimOf(c->getOperand(side), c.getMap(side)))
              if (auto r = c.getMap(2).getResultPosition(getAffineDimExpr(*d, c.getContext())))
                return *r;
          return std::nullopt;
        })
        .Case([&](GatherOp g) -> std::optional<unsigned> {
          auto d = dimOf(g.getIds(), g.getMap(1));
          return d ? d : dimOf(g.getSrc(), g.getMap(0));
        })
        .Case([&](ReshapeOp r) { return reshaped(r); })
        .Case([&](KernelOp k) { return k.getIns().empty() ? std::nullopt : of(k.getIns()[0]); })
        .Default(std::nullopt);
  }
};

} // namespace

DenseMap<Value, unsigned> r1::findRowAxes(Block &block) {
  Finder finder;
  if (auto fn = dyn_cast<func::FuncOp>(block.getParentOp()))
    for (BlockArgument arg : block.getArguments())
      if (fn.getArgAttr(arg.getArgNumber(), "r1.rows"))
        finder.axes[arg] = 0;
  for (Operation &op : block)
    if (auto axis = finder.visit(&op))
      for (Value r : op.getResults())
        finder.axes[r] = *axis;
  return std::move(finder.axes);
}
