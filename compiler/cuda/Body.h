// Scalar code of a kernel as C++ text: straight-line operations, one or several lanes at a time.
#pragma once
#include "compiler/cuda/Text.h"
#include "dialects/kern/Kern.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/SetVector.h"
#include <map>
#include <optional>

namespace r1::cuda {

/// An argument of the kernel: a pointer in the text.
struct Arg {
  std::string name;
  mlir::Type element;
  int64_t align = 1; // bytes that every launch's address is a multiple of
  bool written = false;
  llvm::SmallVector<int64_t> shape;
};

/// "float", "r1::bf16", …: what a value of `type` is called; how it lies in memory.
std::string typeName(mlir::Type type);
std::string storedName(mlir::Type element);
/// A literal of the type of `attr`.
std::string literal(mlir::TypedAttr attr);

/// What a value is in the text. An index that grows by `stride` from lane to lane is known by its
/// first lane: accesses to neighbours need no more.
struct Term {
  std::string text;      // an expression without side effects
  bool lanes = false;    // a vec; else one number (for lane 0, if stride is not 0)
  int64_t stride = 0;    // of an index
  int64_t align = 1;     // lane 0 is a multiple of this
  bool nonneg = false;   // an index that is known not to be negative
  std::optional<int64_t> number;

  bool uniform() const { return !lanes && stride == 0; }
  static Term index(const llvm::Twine &text, int64_t stride = 0, int64_t align = 1) {
    return {text.str(), false, stride, align, true, std::nullopt};
  }
  static Term constant(int64_t n);
};

/// Functions of the math dialect that a kernel calls: printed before it. By name; 1 or 2 arguments.
using MathFunctions = std::map<std::string, mlir::OperationName>;

/// Emits operations at the end of `out`. Copies share nothing but the text and the math functions,
/// so a region's body is emitted by a copy.
class Body {
public:
  Body(Text &out, MathFunctions &math, int64_t width) : out(&out), math(&math), width(width) {}

  /// Of the same text, with the same arguments, for another number of lanes; no value is bound.
  Body sibling(int64_t width) const {
    Body other = *this;
    other.width = width;
    other.terms.clear();
    return other;
  }

  void bind(mlir::Value v, Term t) { terms[v] = std::move(t); }
  void bindArg(mlir::Value memref, Arg arg) { args[memref] = std::move(arg); }
  /// Quotients are so tame that they need no branch: see div_calm of the prelude.
  void setCalmQuotients() { calm = true; }
  /// Lanes from `live` (the name of an int) on do not exist.
  void setLive(llvm::StringRef live) { this->live = live.str(); }
  /// Stores happen only if this holds; a store of one number moreover only if `once` holds.
  void setGuards(llvm::StringRef every, llvm::StringRef once) {
    guard = every.str(), onceGuard = once.str();
  }

  llvm::LogicalResult emit(mlir::Operation *op);
  llvm::LogicalResult emitBlock(mlir::Block *block); // without its terminator

  /// The value for one lane (it must be uniform), or for all.
  std::string number(mlir::Value v);
  std::string vector(mlir::Value v);
  bool isUniform(mlir::Value v) { return get(v).uniform(); }
  std::string fresh(llvm::StringRef base);
  /// A name for an index expression that is longer than a name.
  Term named(mlir::Location loc, Term t);

  int64_t lanes() const { return width; }
  Text &text() { return *out; }

private:
  Term get(mlir::Value v);
  std::string operand(mlir::Value v); // number or vector, as it is
  void define(mlir::Operation *op, const std::string &expression, bool lanes);
  llvm::LogicalResult load(mlir::Operation *op);
  llvm::LogicalResult store(mlir::Operation *op);
  Term address(mlir::Value memref, mlir::ValueRange indices);
  bool indexOp(mlir::Operation *op);
  std::optional<std::string> expression(mlir::Operation *op, llvm::ArrayRef<std::string> v);

  Term add(const Term &x, const Term &y);
  Term scale(const Term &x, int64_t c);
  Term divide(const Term &x, int64_t c, bool remainder);
  std::optional<Term> affine(mlir::AffineExpr e, llvm::ArrayRef<Term> dims,
                             llvm::ArrayRef<Term> symbols);
  std::string asLanes(const Term &t);

  Text *out;
  MathFunctions *math;
  int64_t width;
  std::string live, guard, onceGuard;
  bool calm = false;
  llvm::DenseMap<mlir::Value, Term> terms;
  llvm::DenseMap<mlir::Value, Arg> args;
  std::shared_ptr<unsigned> names = std::make_shared<unsigned>(0);
};

/// The device functions for `functions`, each the sequence of compiler/math.
llvm::LogicalResult printMath(Text &out, const MathFunctions &functions, mlir::MLIRContext *context);

} // namespace r1::cuda
