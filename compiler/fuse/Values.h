// What fuse knows about the values of one program: which buffer holds them, if any.
#pragma once
#include "dialects/kern/Kern.h"
#include "dialects/r1/R1.h"
#include "llvm/ADT/DenseMap.h"
#include <array>
#include <string>

namespace r1::fuse {

/// A place in memory. `strides` (bytes) move it with each turn of the loop around the rows
/// (micro-batches).
struct Home {
  std::string buffer;
  int64_t stride = 0;

  bool operator==(const Home &) const = default;
};

class Values {
public:
  /// The value that `v` stands for: arguments of a row loop's body are what is passed whole,
  /// `stop_grad` is its operand.
  mlir::Value resolve(mlir::Value v) const;
  void alias(mlir::Value v, mlir::Value to) { aliases[v] = to; }

  /// The value whose row-major elements are `v`'s: through reshapes.
  mlir::Value base(mlir::Value v) const;

  const Home *home(mlir::Value v) const {
    auto it = homes.find(resolve(v));
    return it == homes.end() ? nullptr : &it->second;
  }
  void setHome(mlir::Value v, Home home) { homes[resolve(v)] = std::move(home); }

private:
  llvm::DenseMap<mlir::Value, mlir::Value> aliases;
  llvm::DenseMap<mlir::Value, Home> homes;
};

inline mlir::RankedTensorType tensorOf(mlir::Value v) {
  return llvm::cast<mlir::RankedTensorType>(v.getType());
}
inline llvm::ArrayRef<int64_t> shapeOf(mlir::Value v) { return tensorOf(v).getShape(); }
inline mlir::Type elemOf(mlir::Value v) { return tensorOf(v).getElementType(); }

} // namespace r1::fuse
