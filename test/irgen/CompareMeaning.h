// Runs a graph function (compiler/eval's GraphEval) and what irgen made of it (the r1 dialect's
// evaluator) on the same draws, both in f64.
#pragma once
#include "compiler/eval/GraphEval.h"
#include "dialects/r1/R1Eval.h"
#include <string>

namespace r1::test {

/// "" if every result agrees to 1e-6, else where and by how much.
std::string compareMeaning(const GraphFn &fn, mlir::func::FuncOp func);

} // namespace r1::test
