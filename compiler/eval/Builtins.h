// Tables of the functions that are C++: see findBuiltin in Builtins.cpp.
#pragma once
#include "compiler/eval/Evaluator.h"
#include <cmath>

namespace r1 {

const std::vector<Builtin> &reductionBuiltins(); // Reduce.cpp
const std::vector<Builtin> &elementBuiltins();   // Builtins.cpp
const std::vector<Builtin> &hostBuiltins();      // HostBuiltins.cpp
const std::vector<Builtin> &dataBuiltins();      // DataBuiltins.cpp: @builtin functions of stdlib/data.r1
const std::vector<Builtin> &annotateBuiltins();  // AnnotateBuiltins.cpp: and `annotate` of stdlib/stages.r1
const std::vector<Builtin> &interleaveBuiltins(); // InterleaveBuiltins.cpp: and `interleave`
const std::vector<Builtin> &checkpointBuiltins(); // CheckpointBuiltins.cpp: `checkpoint` of stdlib/models.r1
const std::vector<Builtin> &generateBuiltins();  // GenerateBuiltins.cpp: `generate` of stdlib/generate.r1
const std::vector<Builtin> &tokenizerBuiltins(); // TokenizerBuiltins.cpp: `tokenizer` of stdlib/stages.r1
const std::vector<Builtin> &metricBuiltins();    // MetricBuiltins.cpp: metrics and `evaluate`
const std::vector<Builtin> &translateBuiltins(); // TranslateBuiltins.cpp: `translate` of stdlib/translate.r1
const std::vector<Builtin> &stageBuiltins();     // StageBuiltins.cpp: and of stdlib/stages.r1
const std::vector<Builtin> &placementBuiltins(); // Placement.cpp: and `device`

/// augment(…) by back_translate(to = model, back = model): GenerateBuiltins.cpp.
Value augmentByModels(Evaluator &ev, BuiltinCall &c, double share);
Value gradientOf(Evaluator &ev, BuiltinCall &c); // Gradients.cpp

/// mean([1.0, 2.0]), mean(rows, r => ...), max([..]).
Value hostReduction(Evaluator &ev, BuiltinCall &c, ReduceOp op, bool mean);

} // namespace r1
