// Elements of comprehensions as a simplified DAG.
//
// Scalar trees (eval/Graph.h) are turned into Expr: equal expressions are one object, constants
// are folded, `x + 0`, `x ** 2.0` and the like are in their plain form, and every expression
// knows which loop indices it varies with. What is read is an MLIR value already.
#pragma once
#include "compiler/eval/ScalarValue.h"
#include "compiler/pch.h"

namespace r1::gen {

using VarList = llvm::SmallVector<LoopVar *, 4>;

struct Expr {
  Scalar::Kind kind;
  Elem elem;
  Span span;
  double number = 0;       // Const, of every element type
  LoopVar *var = nullptr;  // Index
  mlir::Value tensor = {}; // Read
  int64_t bound = 0;       // Read: > 0 if the values lie in 0..bound
  ScalarOp op{};           // Op
  ReduceOp red{};          // Reduce
  VarList vars = {};       // Reduce
  llvm::SmallVector<Expr *, 3> args = {};
  Expr *otherwise = nullptr; // Read

  unsigned id = 0;
  VarList free = {};    // loop indices it varies with, in order of their numbers
  bool reads = false;   // contains a Read
  bool reduces = false; // contains a Reduce
  /// The most indices that an exp, cos, division, ... in it varies with (outside reductions);
  /// -1 if there is none. Hoisting pays where this is all that the expression varies with.
  int costRank = -1;

  bool isCostly() const { return costRank == int(free.size()); }
  bool isConst() const { return kind == Scalar::Const; }
  bool isConst(double x) const { return isConst() && number == x; }
  bool variesWith(LoopVar *v) const { return llvm::is_contained(free, v); }
  bool variesWithAny(llvm::ArrayRef<LoopVar *> vs) const {
    return llvm::any_of(vs, [&](LoopVar *v) { return variesWith(v); });
  }
};

/// Width in bits; Bool is 1.
unsigned bitsOf(Elem e);
/// A float type narrower than f32.
inline bool isNarrow(Elem e) { return e == Elem::BF16 || e == Elem::F16; }

/// Makes expressions; equal ones are the same pointer.
class ExprPool {
public:
  Expr *constant(double x, Elem elem, Span span);
  Expr *index(LoopVar *var, Span span);
  Expr *op(ScalarOp op, Elem elem, llvm::ArrayRef<Expr *> args, Span span);
  Expr *cast(Elem to, Expr *x) { return op(ScalarOp::Cast, to, {x}, x->span); }
  Expr *read(mlir::Value tensor, Elem elem, int64_t bound, llvm::ArrayRef<Expr *> subs,
             Expr *otherwise, Span span);
  Expr *reduce(ReduceOp red, Elem elem, llvm::ArrayRef<LoopVar *> vars, Expr *body, Span span);
  /// `tensor` read at the plain indices `vars`.
  Expr *readAt(mlir::Value tensor, Elem elem, llvm::ArrayRef<LoopVar *> vars, Span span);

private:
  Expr *intern(Expr e);
  Expr *simplify(ScalarOp op, Elem elem, llvm::ArrayRef<Expr *> args, Span span);
  unsigned numberOf(LoopVar *v);

  std::deque<Expr> exprs;
  std::map<std::vector<int64_t>, Expr *> known;
  llvm::DenseMap<LoopVar *, unsigned> numbers;
};

/// The value of an expression without reads or reductions, with loop indices at `at`, in double.
double evaluate(const Expr *e, const llvm::DenseMap<LoopVar *, int64_t> &at);

/// The values an integer expression can take, lowest and highest, if that is known.
std::optional<std::pair<int64_t, int64_t>> rangeOf(const Expr *e);
/// `e` as an affine expression over the positions of `space` (a loop index is its position plus
/// its `lo`), or null.
mlir::AffineExpr affineOf(const Expr *e, llvm::ArrayRef<LoopVar *> space, mlir::MLIRContext *ctx);

} // namespace r1::gen
