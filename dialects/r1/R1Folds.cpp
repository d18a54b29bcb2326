// Folds and canonicalisations of r1, each with its equation.
#include "dialects/r1/R1.h"

using namespace mlir;
using namespace r1::ir;

//===--- reshape, reduce ------------------------------------------------------------------===//

OpFoldResult ReshapeOp::fold(FoldAdaptor adaptor) {
  // reshape(x : S -> S) = x
  if (getInput().getType() == getType())
    return getInput();
  // reshape(constant) = constant
  if (auto c = dyn_cast_or_null<DenseElementsAttr>(adaptor.getInput()))
    return c.reshape(cast<ShapedType>(getType()));
  // reshape(reshape(x)) = reshape(x)
  if (auto inner = getInput().getDefiningOp<ReshapeOp>()) {
    getInputMutable().assign(inner.getInput());
    return getResult();
  }
  return {};
}

//===--- map ------------------------------------------------------------------------------===//

/// Encodings are metadata: a value may stand for one of the same shape and element type wherever
/// all that use it are r1 ops.
static bool canStandFor(Value value, Value old) {
  if (value.getType() == old.getType())
    return true;
  return sameTensor(value.getType(), old.getType()) &&
         llvm::all_of(old.getUsers(), [](Operation *user) {
           return isa<R1Dialect>(user->getDialect()) && !isa<YieldOp>(user);
         });
}

namespace {

/// map(x, identity, a -> a) = x
struct IdentityMap : OpRewritePattern<MapOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(MapOp op, PatternRewriter &rewriter) const override {
    int i = op.viewOf();
    if (i < 0 || !op.getMap(i).isIdentity() ||
        !sameTensor(op.getIns()[i].getType(), op.getResult().getType()) ||
        !canStandFor(op.getIns()[i], op.getResult()))
      return failure();
    rewriter.replaceOp(op, op.getIns()[i]);
    return success();
  }
};

/// map(.. view(x, v) by m ..) = map(.. x by v∘m ..)
struct MapOfView : OpRewritePattern<MapOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(MapOp op, PatternRewriter &rewriter) const override {
    SmallVector<Value> ins(op.getIns());
    SmallVector<AffineMap> maps;
    bool changed = false;
    for (auto [i, in] : llvm::enumerate(ins)) {
      maps.push_back(op.getMap(i));
      auto view = in.getDefiningOp<MapOp>();
      int j = view ? view.viewOf() : -1;
      if (j < 0)
        continue;
      in = view.getIns()[j];
      maps.back() = view.getMap(j).compose(maps.back());
      changed = true;
    }
    if (!changed)
      return failure();
    rewriter.modifyOpInPlace(op, [&] {
      op.getInsMutable().assign(ins);
      op.setMapsAttr(rewriter.getAffineMapArrayAttr(maps));
    });
    return success();
  }
};

/// Inputs and captures that the body does not use are dropped, equal ones are one, and
/// map(.. splat(c) ..) reads c in the body.
struct TrimMapInputs : OpRewritePattern<MapOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(MapOp op, PatternRewriter &rewriter) const override {
    Block &block = op.getBody().front();
    SmallVector<Value> ins, captures;
    SmallVector<AffineMap> maps;
    llvm::BitVector dead(block.getNumArguments());
    auto drop = [&](BlockArgument arg, Value with) {
      if (with)
        rewriter.replaceAllUsesWith(arg, with);
      dead.set(arg.getArgNumber());
    };
    SmallVector<BlockArgument> kept;
    for (auto [i, in] : llvm::enumerate(op.getIns())) {
      BlockArgument arg = block.getArgument(i);
      DenseElementsAttr constant;
      if (arg.use_empty()) {
        drop(arg, {});
        continue;
      }
      if (matchPattern(in, m_Constant(&constant)) && constant.isSplat()) {
        rewriter.setInsertionPointToStart(&block);
        drop(arg,
             arith::ConstantOp::create(rewriter, in.getLoc(), constant.getSplatValue<TypedAttr>()));
        continue;
      }
      AffineMap map = op.getMap(i);
      size_t same = 0;
      while (same < ins.size() && (ins[same] != in || maps[same] != map))
        ++same;
      if (same < ins.size()) {
        drop(arg, kept[same]);
        continue;
      }
      ins.push_back(in);
      maps.push_back(map);
      kept.push_back(arg);
    }
    size_t first = op.getIns().size();
    SmallVector<BlockArgument> keptCaptures;
    for (auto [i, c] : llvm::enumerate(op.getCaptures())) {
      BlockArgument arg = block.getArgument(first + i);
      auto same = llvm::find(captures, c);
      if (arg.use_empty()) {
        drop(arg, {});
      } else if (same != captures.end()) {
        drop(arg, keptCaptures[same - captures.begin()]);
      } else {
        captures.push_back(c);
        keptCaptures.push_back(arg);
      }
    }
    if (dead.none())
      return failure();
    rewriter.modifyOpInPlace(op, [&] {
      block.eraseArguments(dead);
      op.getInsMutable().assign(ins);
      op.getCapturesMutable().assign(captures);
      op.setMapsAttr(rewriter.getAffineMapArrayAttr(maps));
    });
    return success();
  }
};

/// map(-> c) = splat(c)
struct ConstantMap : OpRewritePattern<MapOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(MapOp op, PatternRewriter &rewriter) const override {
    TypedAttr value;
    if (!matchPattern(op.getBody().front().getTerminator()->getOperand(0), m_Constant(&value)))
      return failure();
    rewriter.replaceOpWithNewOp<arith::ConstantOp>(
        op, DenseElementsAttr::get(cast<ShapedType>(op.getType()), Attribute(value)));
    return success();
  }
};

} // namespace

void MapOp::getCanonicalizationPatterns(RewritePatternSet &patterns, MLIRContext *context) {
  patterns.add<IdentityMap, MapOfView, TrimMapInputs, ConstantMap>(context);
}

//===--- contract -------------------------------------------------------------------------===//

namespace {

/// contract(view(x, v) by m, y) = contract(x by v∘m, y), when v∘m still names distinct dims and
/// every dim that x no longer has occurs in y.
struct ContractOfView : OpRewritePattern<ContractOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(ContractOp op, PatternRewriter &rewriter) const override {
    for (unsigned side : {0u, 1u}) {
      auto view = op->getOperand(side).getDefiningOp<MapOp>();
      int j = view ? view.viewOf() : -1;
      if (j < 0 || !view.getMap(j).isProjectedPermutation())
        continue;
      AffineMap map = view.getMap(j).compose(op.getMap(side)), other = op.getMap(1 - side);
      bool covered = llvm::all_of(llvm::seq<unsigned>(0, map.getNumDims()), [&](unsigned d) {
        return map.isFunctionOfDim(d) || other.isFunctionOfDim(d);
      });
      if (!covered)
        continue;
      SmallVector<AffineMap> maps = {op.getMap(0), op.getMap(1), op.getMap(2)};
      maps[side] = map;
      rewriter.modifyOpInPlace(op, [&] {
        op->setOperand(side, view.getIns()[j]);
        op.setMapsAttr(rewriter.getAffineMapArrayAttr(maps));
      });
      return success();
    }
    return failure();
  }
};

/// view(contract(x, y) by m, p) = contract(x, y) by p⁻¹∘m, for a permutation p and a product that
/// nothing else uses.
struct ViewOfContract : OpRewritePattern<MapOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(MapOp op, PatternRewriter &rewriter) const override {
    int i = op.viewOf();
    if (i < 0 || op.getIns().size() != 1 || !op.getMap(i).isPermutation())
      return failure();
    auto contract = op.getIns()[i].getDefiningOp<ContractOp>();
    if (!contract || !contract->hasOneUse())
      return failure();
    AffineMap out = inversePermutation(op.getMap(i)).compose(contract.getMap(2));
    rewriter.replaceOpWithNewOp<ContractOp>(
        op, op.getType(), contract.getLhs(), contract.getRhs(),
        rewriter.getAffineMapArrayAttr({contract.getMap(0), contract.getMap(1), out}));
    return success();
  }
};

} // namespace

void ContractOp::getCanonicalizationPatterns(RewritePatternSet &patterns, MLIRContext *context) {
  patterns.add<ContractOfView, ViewOfContract>(context);
}

//===--- gather ---------------------------------------------------------------------------===//

namespace {

/// gather(x, view(ids, v) by m) = gather(x, ids by v∘m)
struct GatherOfView : OpRewritePattern<GatherOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(GatherOp op, PatternRewriter &rewriter) const override {
    auto view = op.getIds().getDefiningOp<MapOp>();
    int j = view ? view.viewOf() : -1;
    if (j < 0)
      return failure();
    AffineMap map = view.getMap(j).compose(op.getMap(1));
    rewriter.modifyOpInPlace(op, [&] {
      op.getIdsMutable().assign(view.getIns()[j]);
      op.setMapsAttr(rewriter.getAffineMapArrayAttr({op.getMap(0), map}));
    });
    return success();
  }
};

} // namespace

void GatherOp::getCanonicalizationPatterns(RewritePatternSet &patterns, MLIRContext *context) {
  patterns.add<GatherOfView>(context);
}
