// The schedule of attention and of its adjoint; see ScheduleAttention.cpp.
#pragma once
#include "compiler/cpu/Product.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include <limits>

namespace r1::cpu::attention {

using namespace mlir;

constexpr int64_t kRows = 8;          // queries of a register tile
constexpr int64_t kVectors = 2;       // by vectors of keys or channels
constexpr int64_t kBackwardRows = 32; // queries whose p and ds are kept at once
constexpr float kNone = -std::numeric_limits<float>::infinity();

/// q [B, T, H, K], k and v [B, S, G, K]; letters in names: b batch, t query, s key, h head, g key
/// head, c channel. Scratch memory is addressed by `at…`, in f32 elements.
class Schedule {
public:
  Schedule(OpBuilder &b, kern::IntrinsicOp op, const Target &t)
      : b(b), op(op), loc(op.getLoc()), w(t.lanes), ix{b, loc} {}
  FailureOr<func::FuncOp> forward();
  FailureOr<func::FuncOp> backward();

private:
  LogicalResult look(unsigned inputs, unsigned minResults, unsigned maxResults);
  LogicalResult begin();
  FailureOr<func::FuncOp> end();
  Value constant(float v); // in every lane
  Value loadScratch(Value at);
  void storeScratch(Value v, Value at);
  Value scalarScratch(Value at) { return memref::LoadOp::create(b, loc, k.scratch, at); }
  /// Where the channels of [x0, x1, x2] begin.
  Value element(const Mem &m, Value x0, Value x1, Value x2);
  /// Channels c … c + w of the row at `at`: f32, zero beyond K.
  Value loadRow(const Mem &m, Value at, int64_t c);
  void storeRow(const Mem &m, Value at, int64_t c, Value v);
  /// Rows first … of `head` as f32 to scratch[to + r * cols].
  void copyRows(const Mem &m, Value batch, Value first, Value head, int64_t rows, Value to);
  /// Keys that the queries before `t` of a row may see, by the capture that says where its queries stand.
  Value keysBefore(Value batch, Value t);
  /// The first `keys` keys (or values) of one head, transposed: scratch[to] as [panel][K][width].
  void packKeys(const Mem &m, Value batch, Value group, Value keys, int64_t to);
  /// Asks for the row at `at`, which will be read soon: in a cache those of a head lie apart.
  void fetchRow(const Mem &m, Value at);
  /// Evaluates the lambda for `rows` queries from t and the keys of a panel: scratch[to + r * pitch
  /// + key] becomes 0 where it holds and -inf elsewhere. Yields whether it holds anywhere, and everywhere.
  std::pair<Value, Value> allowed(Value batch, Value t, Value panel, int64_t rows, Value to);
  /// The dot products of `rows` rows at scratch[left] with the keys of a packed panel.
  SmallVector<Value> dots(Value left, int64_t packed, Value panel, int64_t rows);
  /// For each group of vectors of channels from c: chains over the keys lo … hi of weights[r][key] *
  /// m[key]; with `sums` also of the weights alone (the same in every lane).
  void overKeys(Value weights, const Mem &m, Value batch, Value group, Value lo, Value hi,
                int64_t rows, bool sums, std::optional<int64_t> whole,
                function_ref<void(int64_t c, ArrayRef<Value> acc, ArrayRef<Value> sums)> finish);
  void queryBlock(Value batch, Value head, Value group, Value t0, int64_t rows);
  /// p and ds of `rows` queries from t0, to the rows from `at` of their blocks in scratch, and dq.
  /// Yields the keys that any of them sees: [first, second).
  std::pair<Value, Value> gradientRows(Value batch, Value head, Value group, Value t0, Value at,
                                       int64_t rows);
  /// scratch[into][key] += sum over `rows` queries of weights[row][key] * values[row], for the keys
  /// lo … hi: chains that continue from what stands there.
  void gradientKeys(int64_t weights, int64_t values, int64_t into, Value rows, Value lo, Value hi);

  OpBuilder &b;
  kern::IntrinsicOp op;
  Location loc;
  int64_t w; // lanes
  Index ix;
  KernelFunc k;
  Block arguments; // stand for the intrinsic's: it has types only
  Block *lambda = nullptr;
  /// The argument of the lambda that holds, for each row of the batch, the slot of its query 0 (decode/Decode.h):
  /// query t sees keys up to `base` + t. 0: none.
  unsigned baseCapture = 0;
  int64_t B, T, H, K, S, G;
  float scale;
  int64_t width, panels, pitch, cols; // keys per panel, panels, padded keys, padded channels
  int64_t panelSize;                  // of a packed panel
  Mem Q, Ks, V, O, L, dO, dQ, dK, dV;
  int64_t atKeys = 0, atValues = 0, atQ = 0, atD = 0, atP = 0, atWhole = 0, atS = 0, atDK = 0, atDV = 0,
          size = 0;
  bool broken = false; // the lambda could not be emitted
};

} // namespace r1::cpu::attention
