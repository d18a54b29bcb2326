// exp, log, tanh, erf, sin, cos, … as the same sequence of arith operations on every target.
#pragma once
#include "mlir/IR/Builders.h"
#include "mlir/IR/Operation.h"

namespace r1 {

/// Expands `op`, an operation of the math dialect, on `operands`: f32, or vectors of f32. The
/// sequence is the same for both, every FMA is explicit and no flag allows another order, so the
/// bits do not depend on the vector width, on tails or on the machine.
///
/// Errors against the exact value, over all finite inputs (measured by test/cpu/math-accuracy):
///   exp, exp2, expm1, log, log1p, log2, log10, tanh, erf, rsqrt, powf  <= 2 ulp
///   sin, cos  <= 2 ulp for |x| <= 2^30 (beyond, the reduction runs out of digits)
/// Infinities and NaN give what C's libm gives; exp(-inf) is exactly 0.
///
/// Returns null where `op` needs no expansion (sqrt, fma, floor, …: one instruction each) and for
/// functions that have none.
mlir::Value expandMath(mlir::OpBuilder &b, mlir::Operation *op, mlir::ValueRange operands);

/// e^x and log x of f32 or vectors of f32, as expandMath writes them.
mlir::Value emitExp(mlir::OpBuilder &b, mlir::Location loc, mlir::Value x);
mlir::Value emitLog(mlir::OpBuilder &b, mlir::Location loc, mlir::Value x);

} // namespace r1
