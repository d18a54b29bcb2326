#pragma once
// What a scalar op of the graph gives for numbers: the one place that says it on the host, for
// `r1c test` and the checks that look at values (GraphEval) and for constants (irgen).

#include "compiler/eval/Graph.h"

namespace r1 {

bool isFloat(Elem e);

/// A number as a value of type `e` has it: integers are cut towards zero, bools are 0 or 1. Floats stay in double,
/// so that a chain of them is rounded once, where it is written down.
double valueAs(double x, Elem e);

/// `op` of `a` (as many numbers as it takes), which are of type `from`, with a result of type `elem`.
/// div and mod round down; of integers by 0 they give 0. min and max keep NaN.
double scalarValue(ScalarOp op, Elem elem, Elem from, const double *a);

} // namespace r1
