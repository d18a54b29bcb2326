// What MLIR reports while a stage is compiled, shown as every other diagnostic: at the innermost .r1
// place, with its line. A text that begins "E0314: " carries its code.
#pragma once
#include "compiler/diag/Diag.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/MLIRContext.h"
#include <string>

namespace r1 {

/// Collects from its construction on. `sources` may be null: then places have no lines.
class Messages {
public:
  Messages(mlir::MLIRContext &context, const SourceManager *sources);

  /// All of it; errors as no more than `most`.
  std::string text(Severity most = Severity::Error) const;
  /// Forgets what has been said.
  void clear();
  std::string extra; // what did not come through MLIR

  /// "std/layers.r1:29:3", or "".
  static std::string place(mlir::Location loc);

private:
  /// The word at a location, if its file is one of the sources.
  Span span(mlir::Location loc) const;

  const SourceManager *sources;
  DiagEngine diags;
  mlir::ScopedDiagnosticHandler handler;
};

} // namespace r1
