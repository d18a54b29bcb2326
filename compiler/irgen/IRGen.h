// From the typed core that elaboration leaves (eval/Graph.h) to the r1 dialect.
#pragma once
#include "compiler/diag/Diag.h"
#include "compiler/eval/Elaboration.h"
#include "compiler/pch.h"

namespace r1 {

/// The pipeline as a module: `func @PIPELINE` holds one r1.stage per stage (SSA is the DAG), and
/// for each stage with a model a nested module of its name holds the r1.leaf ops in path order and
/// one function per entry. In the entry `update` the input and result `p`, the input `g` and every
/// `s.NAME` are pools: they get r1.role "param", "grad", "state:NAME" in place of r1.name; `p@128` is the
/// part from float 128 on, "param@128". The input `loss`, role "loss", is what @backward gives. Every op
/// carries its place in the .r1 source. On failure returns null; the message went to the context's
/// diagnostic handler, at the op's place.
mlir::OwningOpRef<mlir::ModuleOp> irgen(const Elaboration &program, mlir::MLIRContext &context,
                                        const SourceManager &sources);

/// Only one stage's module, not nested: what the phases after irgen work on.
mlir::OwningOpRef<mlir::ModuleOp> irgenStage(const Stage &stage, mlir::MLIRContext &context,
                                             const SourceManager &sources);

/// One function, for tests of the language: appended to `into` as `@NAME`, with the attributes of
/// an entry if `entry` is set, otherwise private. Kernel bodies go beside it.
mlir::func::FuncOp irgenFunction(const GraphFn &fn, mlir::ModuleOp into, llvm::StringRef name,
                                 bool entry, const SourceManager &sources);

} // namespace r1
