// Random draws become arithmetic: Philox-4x32-10 of (site, seed) and (element, row, step), so that
// a draw depends neither on micro-batches nor on threads, and nothing is stored between steps.
#include "compiler/pch.h"
#include "compiler/shard/Rows.h"
#include "llvm/Support/xxhash.h"

using namespace mlir;
namespace r1::shard {

namespace {

/// 32-bit arithmetic in a map's body.
struct Words {
  OpBuilder &b;
  Location loc;

  Type i32() { return b.getI32Type(); }
  Value word(uint32_t n) {
    return arith::ConstantOp::create(b, loc, b.getIntegerAttr(i32(), int32_t(n)));
  }
  /// The low and the high word of x * factor.
  std::pair<Value, Value> product(Value x, uint32_t factor) {
    Type i64 = b.getI64Type();
    Value wide = arith::ExtUIOp::create(b, loc, i64, x);
    Value by = arith::ConstantOp::create(b, loc, b.getIntegerAttr(i64, int64_t(factor)));
    Value p = arith::MulIOp::create(b, loc, wide, by);
    Value shift = arith::ConstantOp::create(b, loc, b.getIntegerAttr(i64, 32));
    Value high = arith::ShRUIOp::create(b, loc, p, shift);
    return {arith::TruncIOp::create(b, loc, i32(), p),
            arith::TruncIOp::create(b, loc, i32(), high)};
  }
  Value mix(Value a, Value c) { return arith::XOrIOp::create(b, loc, a, c); }
};

/// The four words of one Philox block.
SmallVector<Value> philox(Words w, SmallVector<Value> c, Value k0, Value k1) {
  uint32_t step0 = 0, step1 = 0;
  for (int round = 0; round < 10; ++round) {
    auto [low0, high0] = w.product(c[0], 0xD2511F53u);
    auto [low1, high1] = w.product(c[2], 0xCD9E8D57u);
    Value key0 = arith::AddIOp::create(w.b, w.loc, k0, w.word(step0));
    Value key1 = arith::AddIOp::create(w.b, w.loc, k1, w.word(step1));
    c = {w.mix(w.mix(high1, c[1]), key0), low1, w.mix(w.mix(high0, c[3]), key1), low0};
    step0 += 0x9E3779B9u;
    step1 += 0xBB67AE85u;
  }
  return c;
}

} // namespace

/// out[row, element…] = 24 bits of word element mod 4 of block (element / 4, row, step).
static void lower(ir::RandomOp op) {
  OpBuilder b(op);
  Location loc = op.getLoc();
  auto type = cast<RankedTensorType>(op.getResult().getType());
  MLIRContext *context = b.getContext();
  int64_t rows = type.getRank() ? type.getDimSize(0) : 1;
  SmallVector<int32_t> numbers = llvm::to_vector(llvm::seq<int32_t>(0, rows));
  Value row = arith::ConstantOp::create(
      b, loc,
      DenseElementsAttr::get(RankedTensorType::get({rows}, b.getI32Type()), ArrayRef(numbers)));
  auto scalar = RankedTensorType::get({}, b.getF32Type());
  Value step = ir::ScalarOp::create(b, loc, scalar, b.getStringAttr("t"));
  Value seed = ir::ScalarOp::create(b, loc, scalar, b.getStringAttr("seed"));

  unsigned rank = type.getRank();
  AffineExpr first = rank ? b.getAffineDimExpr(0) : b.getAffineConstantExpr(0);
  AffineMap none = AffineMap::get(rank, 0, context);
  auto map =
      ir::MapOp::create(b, loc, type, ValueRange{row, step, seed}, ValueRange{},
                        b.getAffineMapArrayAttr({AffineMap::get(rank, 0, first), none, none}));
  Block *body = new Block;
  map.getBody().push_back(body);
  body->addArguments({b.getI32Type(), b.getF32Type(), b.getF32Type()}, {loc, loc, loc});
  OpBuilder in(body, body->end());
  Words w{in, loc};
  // The element's number within its row.
  Value element = arith::ConstantIndexOp::create(in, loc, 0);
  for (unsigned d = 1; d < rank; ++d) {
    Value i = ir::IndexOp::create(in, loc, in.getIndexType(), in.getI64IntegerAttr(d));
    Value size = arith::ConstantIndexOp::create(in, loc, type.getDimSize(d));
    Value scaled = arith::MulIOp::create(in, loc, element, size);
    element = arith::AddIOp::create(in, loc, scaled, i);
  }
  Value four = arith::ConstantIndexOp::create(in, loc, 4);
  Value block = arith::DivUIOp::create(in, loc, element, four);
  Value lane = arith::RemUIOp::create(in, loc, element, four);
  block = arith::IndexCastOp::create(in, loc, w.i32(), block);
  lane = arith::IndexCastOp::create(in, loc, w.i32(), lane);
  Value stepWord = arith::FPToSIOp::create(in, loc, w.i32(), body->getArgument(1));
  Value seedWord = arith::FPToSIOp::create(in, loc, w.i32(), body->getArgument(2));

  uint64_t site = llvm::xxh3_64bits(op.getSite());
  Value k0 = w.mix(seedWord, w.word(uint32_t(site)));
  Value k1 = w.word(uint32_t(site >> 32));
  SmallVector<Value> words = philox(w, {block, body->getArgument(0), stepWord, w.word(0)}, k0, k1);
  Value chosen = words[0];
  for (uint32_t i = 1; i < 4; ++i) {
    Value is = arith::CmpIOp::create(in, loc, arith::CmpIPredicate::eq, lane, w.word(i));
    chosen = arith::SelectOp::create(in, loc, is, words[i], chosen);
  }
  Value bits = arith::ShRUIOp::create(in, loc, chosen, w.word(8));
  Value number = arith::SIToFPOp::create(in, loc, in.getF32Type(), bits);
  Value unit = arith::ConstantOp::create(in, loc, in.getF32FloatAttr(0x1p-24f));
  Value out = arith::MulFOp::create(in, loc, number, unit);
  Type elem = type.getElementType();
  if (elem.isF64())
    out = arith::ExtFOp::create(in, loc, elem, out);
  else if (!elem.isF32())
    out = arith::TruncFOp::create(in, loc, elem, out);
  ir::YieldOp::create(in, loc, ValueRange{out});
  op.getResult().replaceAllUsesWith(map.getResult());
  op.erase();
}

void lowerRandoms(func::FuncOp func) {
  SmallVector<ir::RandomOp> draws;
  func.walk([&](ir::RandomOp op) { draws.push_back(op); });
  for (ir::RandomOp op : draws)
    lower(op);
}

} // namespace r1::shard
