// What the ops of r1 require of their operands, stated once each: verification reads like the
// definition in R1Ops.td. Types are compared by shape and element type; encodings are metadata.
#include "dialects/r1/R1.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/SmallBitVector.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace r1::ir;

#include "dialects/r1/R1Dialect.cpp.inc"
#include "dialects/r1/R1Enums.cpp.inc"
#define GET_ATTRDEF_CLASSES
#include "dialects/r1/R1Attrs.cpp.inc"
#define GET_TYPEDEF_CLASSES
#include "dialects/r1/R1Types.cpp.inc"
#define GET_OP_CLASSES
#include "dialects/r1/R1Ops.cpp.inc"

void R1Dialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialects/r1/R1Attrs.cpp.inc"
      >();
  addTypes<
#define GET_TYPEDEF_LIST
#include "dialects/r1/R1Types.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/r1/R1Ops.cpp.inc"
      >();
}

Operation *R1Dialect::materializeConstant(OpBuilder &b, Attribute value, Type type, Location loc) {
  return arith::ConstantOp::materialize(b, value, type, loc);
}

//===--- what several verifiers ask -------------------------------------------------------===//

static RankedTensorType tensorOf(Value v) { return cast<RankedTensorType>(v.getType()); }
static Type elemOf(Value v) { return tensorOf(v).getElementType(); }

bool r1::ir::sameTensor(Type a, Type b) {
  auto x = dyn_cast<RankedTensorType>(a), y = dyn_cast<RankedTensorType>(b);
  return x && y && x.getShape() == y.getShape() && x.getElementType() == y.getElementType();
}

std::string r1::ir::shapeText(ArrayRef<int64_t> shape) {
  std::string s = "[";
  for (auto [i, n] : llvm::enumerate(shape))
    s += (i ? ", " : "") + std::to_string(n);
  return s + "]";
}

static LogicalResult expectShape(Operation *op, const Twine &what, ArrayRef<int64_t> expected,
                                 ArrayRef<int64_t> found) {
  if (expected == found)
    return success();
  return op->emitOpError() << what << " has shape " << shapeText(found) << ", expected "
                           << shapeText(expected);
}

static LogicalResult expectElem(Operation *op, const Twine &what, Type expected, Type found) {
  if (expected == found)
    return success();
  return op->emitOpError() << what << " has element type " << found << ", expected " << expected;
}

/// The smallest and largest value of `e` when dim i lies in 0..sizes[i], or nothing when the
/// expression is not linear.
static std::optional<std::pair<int64_t, int64_t>> range(AffineExpr e, ArrayRef<int64_t> sizes) {
  if (auto c = dyn_cast<AffineConstantExpr>(e))
    return {{c.getValue(), c.getValue()}};
  if (auto d = dyn_cast<AffineDimExpr>(e))
    return {{0, sizes[d.getPosition()] - 1}};
  auto bin = dyn_cast<AffineBinaryOpExpr>(e);
  if (!bin)
    return std::nullopt;
  auto l = range(bin.getLHS(), sizes), r = range(bin.getRHS(), sizes);
  if (!l || !r)
    return std::nullopt;
  if (e.getKind() == AffineExprKind::Add)
    return {{l->first + r->first, l->second + r->second}};
  if (r->first != r->second)
    return std::nullopt;
  int64_t k = r->first;
  if (e.getKind() == AffineExprKind::Mul)
    return {{std::min(l->first * k, l->second * k), std::max(l->first * k, l->second * k)}};
  if (e.getKind() == AffineExprKind::FloorDiv && k > 0)
    return {{llvm::divideFloorSigned(l->first, k), llvm::divideFloorSigned(l->second, k)}};
  if (e.getKind() == AffineExprKind::Mod && k > 0)
    return {{0, std::min(k - 1, l->first < 0 ? k - 1 : l->second)}};
  return std::nullopt;
}

/// `map` over the space `space` must address every dim of `shape` inside its size; the entry
/// `skip` is not read.
static LogicalResult expectMap(Operation *op, const Twine &what, AffineMap map,
                               ArrayRef<int64_t> space, ArrayRef<int64_t> shape,
                               int64_t skip = -1) {
  if (map.getNumSymbols() != 0)
    return op->emitOpError() << what << " has " << map.getNumSymbols() << " symbols, expected 0";
  if (map.getNumDims() != space.size())
    return op->emitOpError() << what << " has " << map.getNumDims() << " dims, expected "
                             << space.size();
  if (map.getNumResults() != shape.size())
    return op->emitOpError() << what << " has " << map.getNumResults()
                             << " results, but its tensor has rank " << shape.size();
  // Where dims are correlated, division and modulo give a wider range than the real one.
  auto isLinear = [](AffineExpr e) {
    bool linear = true;
    e.walk([&](AffineExpr s) {
      linear &= s.getKind() != AffineExprKind::Mod && s.getKind() != AffineExprKind::FloorDiv &&
                s.getKind() != AffineExprKind::CeilDiv;
    });
    return linear;
  };
  for (auto [i, e] : llvm::enumerate(map.getResults()))
    if (auto r = range(e, space); r && int64_t(i) != skip && isLinear(e))
      if (r->first < 0 || r->second >= shape[i])
        return op->emitOpError() << what << " reads " << r->first << ".." << r->second
                                 << " along dim " << i << ", which has size " << shape[i];
  return success();
}

static LogicalResult expectAxis(Operation *op, const Twine &what, int64_t axis, int64_t rank) {
  if (axis >= 0 && axis < rank)
    return success();
  return op->emitOpError() << what << " is " << axis << ", but the tensor has rank " << rank;
}

/// A sum of a narrow float may stay in f32.
static LogicalResult expectSumElem(Operation *op, Type input, Type found) {
  if (found == input ||
      (isa<FloatType>(input) && input.getIntOrFloatBitWidth() < 32 && found.isF32()))
    return success();
  return op->emitOpError() << "result has element type " << found << ", but the input has "
                           << input;
}

static SmallVector<int64_t> without(ArrayRef<int64_t> shape, ArrayRef<int64_t> dims) {
  SmallVector<int64_t> left;
  for (auto [i, n] : llvm::enumerate(shape))
    if (!llvm::is_contained(dims, int64_t(i)))
      left.push_back(n);
  return left;
}

/// The block's last arguments are the captures; `first` says where they start.
static LogicalResult expectCaptureArgs(Operation *op, Block &block, size_t first,
                                       ValueRange captures) {
  if (block.getNumArguments() != first + captures.size())
    return op->emitOpError() << "the block has " << block.getNumArguments()
                             << " arguments, expected " << first + captures.size();
  for (auto [i, c] : llvm::enumerate(captures))
    if (!sameTensor(block.getArgument(first + i).getType(), c.getType()))
      return op->emitOpError() << "block argument " << first + i << " has type "
                               << block.getArgument(first + i).getType() << ", but capture " << i
                               << " has type " << c.getType();
  return success();
}

/// The operands of the terminator, or null when the region does not end in r1.yield.
static YieldOp yieldOf(Block &block) {
  return block.empty() ? YieldOp() : dyn_cast<YieldOp>(block.back());
}

//===--- comprehensions -------------------------------------------------------------------===//

int MapOp::viewOf() {
  auto arg = dyn_cast<BlockArgument>(getBlock()->getTerminator()->getOperand(0));
  if (!arg || arg.getArgNumber() >= getIns().size())
    return -1;
  return arg.getArgNumber();
}

LogicalResult MapOp::verify() {
  auto out = tensorOf(getResult());
  if (getMaps().size() != getIns().size())
    return emitOpError() << "has " << getMaps().size() << " maps for " << getIns().size()
                         << " inputs";
  for (auto [i, in] : llvm::enumerate(getIns()))
    if (failed(expectMap(*this, "map " + Twine(i), getMap(i), out.getShape(),
                         tensorOf(in).getShape())))
      return failure();
  Block &block = getBody().front();
  if (failed(expectCaptureArgs(*this, block, getIns().size(), getCaptures())))
    return failure();
  for (auto [i, in] : llvm::enumerate(getIns()))
    if (block.getArgument(i).getType() != elemOf(in))
      return emitOpError() << "block argument " << i << " has type "
                           << block.getArgument(i).getType() << ", but input " << i
                           << " has elements " << elemOf(in);
  YieldOp yield = yieldOf(block);
  if (!yield || yield.getValues().size() != 1)
    return emitOpError("the body must end in an r1.yield of one value");
  return expectElem(*this, "result", yield.getValues()[0].getType(), out.getElementType());
}

LogicalResult IndexOp::verify() {
  auto map = (*this)->getParentOfType<MapOp>();
  if (!map)
    return emitOpError("stands inside an r1.map only");
  return expectAxis(*this, "dim", getDim(), tensorOf(map.getResult()).getRank());
}

LogicalResult ReadOp::verify() {
  auto type = tensorOf(getTensor());
  if (int64_t(getIndices().size()) != type.getRank())
    return emitOpError() << "has " << getIndices().size() << " indices into a tensor of rank "
                         << type.getRank();
  return success();
}

LogicalResult ReduceOp::verify() {
  auto in = tensorOf(getInput()), out = tensorOf(getResult());
  llvm::SmallBitVector seen(in.getRank());
  for (int64_t d : getDims()) {
    if (failed(expectAxis(*this, "dim", d, in.getRank())))
      return failure();
    if (seen.test(d))
      return emitOpError() << "reduces dim " << d << " twice";
    seen.set(d);
  }
  if (failed(expectShape(*this, "result", without(in.getShape(), getDims()), out.getShape())))
    return failure();
  Type elem = in.getElementType();
  bool logical = getKind() == ReduceKind::any || getKind() == ReduceKind::all;
  if (logical != elem.isInteger(1))
    return emitOpError() << "cannot combine " << elem << " by " << stringifyReduceKind(getKind());
  if (getKind() == ReduceKind::sum)
    return expectSumElem(*this, elem, out.getElementType());
  return expectElem(*this, "result", elem, out.getElementType());
}

SmallVector<int64_t> ContractOp::getLoopSizes() {
  SmallVector<int64_t> sizes(getMap(0).getNumDims(), 0);
  for (auto [i, value] : llvm::enumerate(getOperands())) {
    auto shape = cast<RankedTensorType>(value.getType()).getShape();
    for (auto [r, e] : llvm::enumerate(getMap(i).getResults()))
      if (auto d = dyn_cast<AffineDimExpr>(e))
        sizes[d.getPosition()] = shape[r];
  }
  return sizes;
}

LogicalResult ContractOp::verify() {
  if (getMaps().size() != 3)
    return emitOpError() << "has " << getMaps().size() << " maps, expected 3";
  unsigned dims = getMap(0).getNumDims();
  Value values[3] = {getLhs(), getRhs(), getResult()};
  const char *names[3] = {"lhs", "rhs", "result"};
  for (unsigned i = 0; i < 3; ++i) {
    AffineMap map = getMap(i);
    if (map.getNumDims() != dims)
      return emitOpError() << "map " << i << " has " << map.getNumDims() << " dims, expected "
                           << dims;
    if (!map.isProjectedPermutation())
      return emitOpError() << "map " << i << " is " << getMaps()[i] << ", expected distinct dims";
    if (map.getNumResults() != unsigned(tensorOf(values[i]).getRank()))
      return emitOpError() << "map " << i << " has " << map.getNumResults() << " results, but "
                           << names[i] << " has rank " << tensorOf(values[i]).getRank();
  }
  SmallVector<int64_t> sizes = getLoopSizes();
  for (unsigned d = 0; d < dims; ++d)
    if (!getMap(0).isFunctionOfDim(d) && !getMap(1).isFunctionOfDim(d))
      return emitOpError() << "dim d" << d << " occurs in neither lhs nor rhs";
  for (unsigned i = 0; i < 3; ++i)
    for (auto [r, e] : llvm::enumerate(getMap(i).getResults())) {
      unsigned d = cast<AffineDimExpr>(e).getPosition();
      int64_t found = tensorOf(values[i]).getDimSize(r);
      if (found != sizes[d])
        return emitOpError() << names[i] << " has size " << found << " along d" << d
                             << ", but another operand has " << sizes[d];
    }
  if (!isa<FloatType>(elemOf(getLhs())))
    return emitOpError() << "multiplies floats, found " << elemOf(getLhs());
  return expectElem(*this, "rhs", elemOf(getLhs()), elemOf(getRhs()));
}

//===--- data-dependent -------------------------------------------------------------------===//

/// What gather and scatter_add share: a table, ids, and the tensor `each` that has one element
/// per visited position.
static LogicalResult verifyIndexed(Operation *op, Value table, Value ids, Value each, int64_t axis,
                                   ArrayAttr maps) {
  if (maps.size() != 2)
    return op->emitOpError() << "has " << maps.size() << " maps, expected 2";
  if (!isa<IntegerType>(elemOf(ids)) || elemOf(ids).isInteger(1))
    return op->emitOpError() << "ids are integers, found " << elemOf(ids);
  auto map = [&](int i) { return cast<AffineMapAttr>(maps[i]).getValue(); };
  auto space = tensorOf(each).getShape();
  if (failed(expectAxis(op, "axis", axis, tensorOf(table).getRank())) ||
      failed(expectMap(op, "map 0", map(0), space, tensorOf(table).getShape(), axis)) ||
      failed(expectMap(op, "map 1", map(1), space, tensorOf(ids).getShape())))
    return failure();
  if (map(0).getResult(axis) != getAffineConstantExpr(0, op->getContext()))
    return op->emitOpError() << "map 0 is " << maps[0] << ", expected 0 for axis " << axis;
  return success();
}

LogicalResult GatherOp::verify() {
  if (failed(verifyIndexed(*this, getSrc(), getIds(), getResult(), getAxis(), getMaps())))
    return failure();
  return expectElem(*this, "result", elemOf(getSrc()), elemOf(getResult()));
}

LogicalResult ScatterAddOp::verify() {
  if (failed(verifyIndexed(*this, getResult(), getIds(), getUpdates(), getAxis(), getMaps())))
    return failure();
  return expectSumElem(*this, elemOf(getUpdates()), elemOf(getResult()));
}

//===--- stable forms, shape --------------------------------------------------------------===//

LogicalResult SoftmaxOp::verify() {
  auto in = tensorOf(getInput()), out = tensorOf(getResult());
  if (!isa<FloatType>(in.getElementType()))
    return emitOpError() << "takes floats, found " << in.getElementType();
  if (failed(expectAxis(*this, "axis", getAxis(), in.getRank())) ||
      failed(expectShape(*this, "result", in.getShape(), out.getShape())))
    return failure();
  return expectElem(*this, "result", in.getElementType(), out.getElementType());
}

LogicalResult LogSumExpOp::verify() {
  auto in = tensorOf(getInput()), out = tensorOf(getResult());
  if (!isa<FloatType>(in.getElementType()))
    return emitOpError() << "takes floats, found " << in.getElementType();
  if (failed(expectAxis(*this, "axis", getAxis(), in.getRank())) ||
      failed(expectShape(*this, "result", without(in.getShape(), {int64_t(getAxis())}),
                         out.getShape())))
    return failure();
  return expectSumElem(*this, in.getElementType(), out.getElementType());
}

LogicalResult ReshapeOp::verify() {
  auto in = tensorOf(getInput()), out = tensorOf(getResult());
  if (in.getNumElements() != out.getNumElements())
    return emitOpError() << "turns " << in.getNumElements() << " elements "
                         << shapeText(in.getShape()) << " into " << out.getNumElements() << " "
                         << shapeText(out.getShape());
  return expectElem(*this, "result", in.getElementType(), out.getElementType());
}

LogicalResult StopGradOp::verify() {
  if (failed(expectShape(*this, "result", tensorOf(getInput()).getShape(),
                         tensorOf(getResult()).getShape())))
    return failure();
  return expectElem(*this, "result", elemOf(getInput()), elemOf(getResult()));
}

//===--- regions with captures, loops, tests ----------------------------------------------===//

LogicalResult KernelOp::verify() {
  for (auto [i, region] : llvm::enumerate(getLambdas())) {
    Block &block = region.front();
    size_t indices = 0;
    while (indices < block.getNumArguments() && block.getArgument(indices).getType().isIndex())
      ++indices;
    if (failed(expectCaptureArgs(*this, block, indices, getCaptures())))
      return failure();
    YieldOp yield = yieldOf(block);
    if (!yield || yield.getValues().size() != 1)
      return emitOpError() << "lambda " << i << " must end in an r1.yield of one value";
  }
  return success();
}

LogicalResult RowLoopOp::verify() {
  int64_t count = getCount();
  if (count < 1)
    return emitOpError() << "count is " << count << ", expected at least 1";
  Block &block = getBody().front();
  if (failed(expectCaptureArgs(*this, block, getSplit().size(), getWhole())))
    return failure();
  for (auto [i, value] : llvm::enumerate(getSplit())) {
    auto type = tensorOf(value);
    if (type.getRank() == 0 || type.getDimSize(0) % count != 0)
      return emitOpError() << "cannot cut split operand " << i << " of shape "
                           << shapeText(type.getShape()) << " into " << count << " slices";
    SmallVector<int64_t> slice(type.getShape());
    slice[0] /= count;
    Type expected = RankedTensorType::get(slice, type.getElementType());
    if (!sameTensor(block.getArgument(i).getType(), expected))
      return emitOpError() << "block argument " << i << " has type "
                           << block.getArgument(i).getType() << ", expected " << expected;
  }
  YieldOp yield = yieldOf(block);
  if (!yield || yield.getValues().size() != getNumResults())
    return emitOpError() << "yields " << (yield ? yield.getValues().size() : 0) << " values for "
                         << getNumResults() << " results";
  for (auto [i, v] : llvm::enumerate(yield.getValues()))
    if (!sameTensor(v.getType(), getResult(i).getType()))
      return emitOpError() << "yields " << v.getType() << " for result " << i << " of type "
                           << getResult(i).getType();
  return success();
}

LogicalResult ExpectCloseOp::verify() {
  if (failed(expectShape(*this, "expected", tensorOf(getActual()).getShape(),
                         tensorOf(getExpected()).getShape())))
    return failure();
  return expectElem(*this, "expected", elemOf(getActual()), elemOf(getExpected()));
}
