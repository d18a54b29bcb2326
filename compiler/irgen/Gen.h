// The state of generating one function; its methods are spread over the files of this folder:
// Nodes.cpp (one op per node), Rewrite.cpp (what a comprehension's parts become), Reduce.cpp
// (contractions and reductions), Body.cpp (scalar code inside a map or lambda).
#pragma once
#include "compiler/irgen/Expr.h"
#include "compiler/irgen/IRGen.h"
#include "dialects/r1/R1.h"

namespace r1::gen {

/// What functions of one module share.
struct ModuleGen {
  mlir::ModuleOp module;
  const SourceManager &sources;
  llvm::StringMap<std::string> bodies; // text of a reference body -> its symbol

  /// Generates `fn` under a free symbol that starts with `name`.
  mlir::func::FuncOp function(const GraphFn &fn, llvm::StringRef name, bool entry);
  /// The symbol of a private function for `fn`; equal bodies share one.
  mlir::FailureOr<std::string> privateFunction(const GraphFn &fn, llvm::StringRef name);
  std::string freeSymbol(llvm::StringRef name);
  mlir::Location loc(const Span &span) const;
};

mlir::Type elemType(Elem e, mlir::MLIRContext *ctx);
/// A tensor type with its names and bound as encoding.
mlir::RankedTensorType tensorType(const GraphType &type, mlir::MLIRContext *ctx);

class FnGen {
public:
  FnGen(ModuleGen &module, const GraphFn &fn, mlir::func::FuncOp func)
      : module(module), fn(fn), func(func), b(func.getBody()), ctx(func.getContext()) {}

  /// Fills the function's body.
  mlir::LogicalResult run();

private:
  // Nodes.cpp
  mlir::Value get(Node *node); // null after an error
  mlir::Value emit(Node *root);
  mlir::Value emitOne(Node *node);
  mlir::Value emitKernel(Node *node);
  bool emitGrad(Node *node);
  mlir::Value literal(Node *node);
  Expr *build(Scalar *s); // null after an error
  /// Finds the comprehensions that are read once, element by element, by another: they become
  /// part of its map.
  void findInlined();
  void needs(Node *node, llvm::SmallVectorImpl<Node *> &out);

  // Rewrite.cpp. `space` is the list of loop indices that the result's dims range over.
  /// The tensor of `e` over `space`, as `type` if that is given.
  mlir::Value tensor(Expr *e, llvm::ArrayRef<LoopVar *> space, mlir::Location loc,
                     mlir::RankedTensorType type = {});
  /// `e` with everything that needs a tensor of its own (reductions, data-dependent reads, costly
  /// parts that vary with fewer indices) replaced by a read of that tensor.
  Expr *rewrite(Expr *e, llvm::ArrayRef<LoopVar *> space);
  Expr *lowerGather(Expr *read, llvm::ArrayRef<LoopVar *> space);
  /// A table of `e` over the indices it varies with, as a constant.
  Expr *table(Expr *e, llvm::ArrayRef<LoopVar *> over);
  /// The map of a read whose subscripts are affine over `space` and in range.
  std::optional<mlir::AffineMap> directMap(Expr *read, llvm::ArrayRef<LoopVar *> space);
  VarList freeIn(Expr *e, llvm::ArrayRef<LoopVar *> space);
  mlir::RankedTensorType typeOver(Elem elem, llvm::ArrayRef<LoopVar *> space);

  // Reduce.cpp
  /// A reduction as an expression over `space`; its sum is rounded to `elem`.
  Expr *lowerReduce(Expr *r, llvm::ArrayRef<LoopVar *> space, Elem elem);
  Expr *lowerContract(Expr *r, llvm::ArrayRef<LoopVar *> space, Elem elem);

  // Body.cpp
  mlir::Value emitMap(Expr *e, llvm::ArrayRef<LoopVar *> space, mlir::Location loc,
                      mlir::RankedTensorType type);
  friend class BodyGen;

  mlir::InFlightDiagnostic error(const Span &span, const llvm::Twine &what);

  ModuleGen &module;
  const GraphFn &fn;
  mlir::func::FuncOp func;
  mlir::OpBuilder b;
  mlir::MLIRContext *ctx;
  ExprPool pool;
  llvm::DenseMap<Node *, mlir::Value> values;
  llvm::DenseMap<Node *, mlir::Operation *> grads;
  llvm::DenseMap<Scalar *, Expr *> built;
  llvm::DenseSet<Node *> inlined;
  llvm::DenseMap<LoopVar *, Expr *> bound; // indices of inlined comprehensions
  // Tensors of parts, so that each is computed once: by expression and space.
  std::map<std::pair<unsigned, std::vector<LoopVar *>>, Expr *> parts;
  bool failed = false;
};

/// Emits scalar code into a block: the body of a map, or a kernel's lambda.
class BodyGen {
public:
  /// For a map over `space`: affine reads become inputs.
  static mlir::Value map(FnGen &gen, Expr *e, llvm::ArrayRef<LoopVar *> space, mlir::Location loc,
                         mlir::RankedTensorType type);
  /// For a lambda: `block` has an index argument for each of `vars`, then one per capture.
  static bool lambda(FnGen &gen, Expr *e, llvm::ArrayRef<LoopVar *> vars,
                     llvm::ArrayRef<mlir::Value> captures, mlir::Block *block);

private:
  BodyGen(FnGen &gen, llvm::ArrayRef<LoopVar *> space, mlir::Block *block, bool isMap)
      : gen(gen), space(space.begin(), space.end()), block(block), isMap(isMap), b(gen.ctx) {
    b.setInsertionPointToEnd(block);
  }

  mlir::Value emit(Expr *e);
  mlir::Value emitOp(Expr *e, mlir::Location loc);
  mlir::Value emitRead(Expr *e, mlir::Location loc);
  mlir::Value emitCast(Expr *e, mlir::Value x, mlir::Location loc);
  mlir::Value input(mlir::Value tensor, mlir::AffineMap map);
  mlir::Value capture(mlir::Value tensor);
  mlir::Value position(LoopVar *var, mlir::Location loc); // index type, without `lo`
  mlir::Value indexOf(Expr *e);                           // index type, with `lo`
  mlir::Value affineIndex(mlir::AffineExpr e, mlir::Location loc);
  mlir::Value constant(double x, Elem elem, mlir::Location loc);
  mlir::Value constantIndex(int64_t x, mlir::Location loc);

  FnGen &gen;
  VarList space;
  mlir::Block *block;
  bool isMap;
  mlir::OpBuilder b;
  llvm::SmallVector<mlir::Value> ins, captures;
  llvm::SmallVector<mlir::AffineMap> maps;
  llvm::DenseMap<Expr *, mlir::Value> known;
  llvm::DenseMap<LoopVar *, mlir::Value> positions;
  llvm::DenseMap<std::pair<mlir::Attribute, mlir::Type>, mlir::Value> constants;
};

} // namespace r1::gen
