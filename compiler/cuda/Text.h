// CUDA C++ text under construction: lines, indented, each with the .r1 line that it came from.
#pragma once
#include "mlir/IR/Location.h"
#include "llvm/ADT/StringRef.h"
#include <string>

namespace r1::cuda {

/// "std/layers.r1" and 29, of the innermost place of `loc` that is in a file; line 0: none.
std::pair<std::string, unsigned> placeOf(mlir::Location loc);

class Text {
public:
  explicit Text(unsigned depth = 0) : depth(depth) {}
  /// A statement with its place: a #line directive precedes it, unless the line before it has the
  /// same place and room for it.
  void line(mlir::Location loc, const llvm::Twine &s);
  /// A line without a place.
  void line(const llvm::Twine &s);
  void open(const llvm::Twine &s);
  void close(const llvm::Twine &s = "}");
  const std::string &str() const { return text; }

private:
  std::string text, file;
  unsigned depth;
  unsigned at = 0;      // the .r1 line of the last line, 0: none
  size_t lineBegin = 0; // where the last line begins
};

} // namespace r1::cuda
