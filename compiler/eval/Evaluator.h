// The one interpreter: host expressions are computed, graph functions are traced.
//
//   Lookup.cpp         errors, names, members        Expr.cpp       literals, blocks, if, records
//   Host.cpp           host arithmetic               Types.cpp      type expressions
//   Coerce.cpp         values to types               Unify.cpp      dims of arguments
//   Arguments.cpp      arguments to parameters       Calls.cpp      functions, lambdas, built-ins
//   CallExpr.cpp       call expressions, --set       Kernels.cpp    @kernel calls
//   Tensors.cpp        arithmetic, casts             Align.cpp      which axes belong together
//   Shape.cpp          @, as, graph `if`             Reduce.cpp     sums, softmax
//   Comprehension.cpp  for, index ranges             Subscript.cpp  reads, bounds
//   Models.cpp         model trees, paths            Builtins*.cpp, *Builtins.cpp  C++ functions
//
// It runs in three ways. *Elaboration*: every dim has a number. *Definition check* (`symbolic`):
// dims are symbols, unknown host values are Value::Unknown, the graph is thrown away. *Row time*
// (`rowMode`): closures on any thread; nothing shared is written, errors become text.
#pragma once
#include "compiler/check/Modules.h"
#include "compiler/eval/GraphBuilder.h"
#include "compiler/eval/Value.h"
#include <optional>
#include <set>

namespace r1 {

class Evaluator;

/// One evaluated argument.
struct ArgVal {
  std::string_view name; // empty: positional
  Value value;
  Span span, nameSpan;
  const Expr *expr = nullptr;
  std::shared_ptr<const Obj> keep; // owner of `name` when it comes from a spread record
};

/// What a value is for, in messages: built only when there is one.
struct What {
  std::string_view text;         // "the value", or
  std::string_view name, callee; // `name` of `callee`; `name` alone
  What(const char *s) : text(s) {}
  What(std::string_view before, std::string_view name) : text(before), name(name) {}
  static What param(std::string_view name, std::string_view callee) {
    What w("", name);
    w.callee = callee;
    return w;
  }
  std::string str() const {
    std::string s(text);
    if (!name.empty())
      s += "`" + std::string(name) + "`";
    if (!callee.empty())
      s += " of `" + std::string(callee) + "`";
    return s;
  }
};

/// Arguments of a built-in, by the position of its parameters; `given[i]` is false where a
/// parameter got none.
struct BuiltinCall {
  Span span;
  std::string_view name;
  std::vector<ArgVal> args;
  std::vector<bool> given;
  const Decl *decl = nullptr; // for @builtin functions: the signature
  int version = 1;            // and its semantic version
  ScopeP scope;               // and its parameters
  const Type *expect = nullptr;
  bool has(size_t i) const { return i < given.size() && given[i]; }
  const Value &operator[](size_t i) const { return args[i].value; }
};

struct Builtin {
  const char *name;
  /// Parameters: "x axis? where=?"; `?` optional, `=` by name only, `*` any number more.
  const char *params;
  Value (*run)(Evaluator &, BuiltinCall &);
};
const Builtin *findBuiltin(std::string_view name);      // exp, sum, map, ...
const Builtin *findStageBuiltin(std::string_view name); // @builtin("name")
std::vector<std::string> builtinNames();                // of the first kind, and constants

/// Arguments replaced by --set: a tree of argument names.
struct OverrideTree {
  const Expr *expr = nullptr; // the replacement
  mutable bool used = false, ofStage = false;
  std::string text; // as given, for messages
  std::map<std::string, OverrideTree> sub;
  bool empty() const { return !expr && sub.empty(); }
};

/// `file=t.txt` as a shell and the language take it: --set 'file="t.txt"'.
std::string quotedSet(const std::string &set);

/// What elaboration shares. Not thread-safe; closures at row time do not write to it.
struct Shared {
  const Program &program;
  SourceManager &sources;
  DiagEngine &diags;
  DimTable dims;
  std::map<const Module *, ScopeP> moduleScopes;
  std::map<std::pair<const Module *, std::string_view>, Value> globals;
  std::set<const Decl *> evaluating; // lets, for cycles
  std::set<const Decl *> used;       // language functions, for fingerprints
  std::set<std::string> filesRead;   // by read_lines
  bool frozen = false;               // row time: `globals` is complete
  Shared(const Program &p, SourceManager &s, DiagEngine &d) : program(p), sources(s), diags(d) {}
};

/// Is this parameter a string, by its type or its default?
bool takesString(const Parameter &p);

class StageBuilder; // Stages.h

class Evaluator {
public:
  explicit Evaluator(Shared &shared) : sh(shared) {}
  Shared &sh;
  GraphBuilder *g = nullptr;
  StageBuilder *stages = nullptr; // while a pipeline is elaborated
  bool symbolic = false, rowMode = false, testMode = false;
  /// In tests: takes every tensor whose elements were asked for, with them.
  std::vector<std::pair<Node *, std::vector<double>>> *measured = nullptr;
  std::string rowError;

  // ── errors ──
  struct Frame {
    std::string_view name; // of the source text or of a value that outlives the call
    Span call;
    const Decl *decl = nullptr;
    const ModelObj *self = nullptr; // of a method
  };
  std::vector<Frame> frames;
  Diag &err(const char *code, Span where, std::string title);
  /// Of a place in the library, the user's call that led there; else the place itself.
  Span userCall(Span where) const;
  bool advises = true; // `advise` warns: not where a file says which sizes a model has
  Value fail(const char *code, Span where, std::string title) {
    err(code, where, std::move(title));
    return {};
  }

  // ── expressions ──
  Value eval(const Expr &e, const ScopeP &sc, const Type *expect = nullptr);
  Value lookup(std::string_view name, const ScopeP &sc, Span span, bool report = true);
  Value global(const Module *m, std::string_view name, Span span);
  Value member(const Value &base, std::string_view name, Span span, const Expr *baseExpr);
  Value evalBlock(const Expr &e, const ScopeP &sc, const Type *expect);
  bool evalStmt(const Decl &d, const ScopeP &sc);
  Value join(const Value &a, const Value &b, Span span); // after `if` on an unknown condition
  Value bindLetValue(std::string_view name, Span span, const ScopeP &sc, Value v);
  void explainAssert(const Expr &e, const ScopeP &sc, Diag &d);
  Value orElse(const Value &a, const Value &b, Span span); // `a ?? b` where a may be absent

  // ── host ──
  Value binary(const Expr &e, const Value &a, const Value &b);
  Value hostBinary(BinOp op, const Value &a, const Value &b, Span span, const Expr *e);
  Value unary(const Expr &e, const Value &a);
  std::string text(const Value &v);        // as interpolation writes it; stops after `longestText`
  Value bounded(std::string s, Span span); // a string, or E0213
  static constexpr size_t longestText = 16 << 20;
  static constexpr int64_t longestList = 10'000'000;
  bool equal(const Value &a, const Value &b, Span span);
  bool truth(const Value &v, Span span, bool &out); // host bool; false if it is none

  // ── types ──
  TypeP type(const TypeExpr &t, const ScopeP &sc, bool binders);
  Value coerce(Value v, const Type &t, Span span, const What &what);
  Value abstractOf(const TypeP &t, std::string_view name, Span span);
  std::optional<Dim> dimValue(const Value &v, Span span, const What &what); // none after an error
  Value literal(const Value &list, const Type &t, Span span);
  /// Binds flexible symbols of `want` and compares the rest. False after reporting nothing:
  /// `why` says what differs.
  bool unifyDims(const std::vector<Dim> &want, const std::vector<Dim> &have, std::string &why,
                 const char *&code);
  bool unifyDim(const Dim &want, const Dim &have);
  std::vector<std::pair<Dim, Dim>> deferred;             // equations with more than one unknown
  std::vector<Dim> expand(const std::vector<Dim> &dims); // bound packs replaced

  // ── calls ──
  Value call(const Expr &e, const ScopeP &sc, const Type *expect,
             const OverrideTree *over = nullptr, const Value *piped = nullptr, Span pipedSpan = {});
  Value apply(const Value &f, std::vector<ArgVal> args, Span span, const Type *expect = nullptr);
  Value apply(const Value &f, std::vector<Value> args, Span span);
  Value applyFn(const FnObj &f, std::vector<ArgVal> &args, Span span);
  Value applyLambda(const FnObj &f, std::vector<ArgVal> &args, Span span);
  Value applyBuiltin(const Builtin &b, std::vector<ArgVal> &args, Span span, const Type *expect);
  Value applyAbstract(const FnObj &f, std::vector<ArgVal> &args, Span span);
  Value applyKernel(const Decl &d, const ScopeP &sc, const Type *result, Span span);
  /// Kernel bodies: notes over which loops a lambda argument is called.
  void watchLambda(const FnObj &f, const std::vector<ArgVal> &args);
  struct Watched {
    Value fn;
    std::vector<LoopVar *> loops;
    std::vector<Dim> values; // of the indices
    std::vector<std::string> names;
    bool called = false;
  };
  std::vector<Watched> watched;
  bool bindArgs(std::string_view callee, const Decl *decl, const std::vector<Parameter> &params,
                std::vector<ArgVal> &args, Span span, std::vector<ArgVal *> &slots);
  void missing(std::string_view callee, const Decl *decl, const Parameter &p, Span span);
  std::string_view calleeText; // of the call being bound, when it is not the declaration's name
  bool outerNames = false;     // messages name dims as the caller does
  /// Arguments and defaults, coerced, into `sc`; also into `record` for built-ins.
  bool bindParams(const Decl &d, std::vector<ArgVal> &args, Span span, const ScopeP &sc,
                  BuiltinCall *record);
  /// Evaluates an argument expression under an override.
  Value evalWith(const Expr &e, const ScopeP &sc, const OverrideTree &over);
  /// The expression of a --set that stands for the parameter `p` (null: not known).
  Value evalSet(const OverrideTree &over, const ScopeP &sc, const Parameter *p);
  /// The value as the caller sees it: dims of the callee's scopes replaced by what they are.
  uint32_t modelFrameLeft(const FnObj &f) const;
  Value leaveFrames(const Value &v, uint32_t frame, uint32_t modelFrame);

  // ── graph ──
  int loopDepth = 0;
  std::map<std::pair<const Node *, std::string>, DimSym *> readSyms; // equal reads, equal values
  std::vector<Dim> facts; // >= 0 under the enclosing guards
  Value tensor(Node *n, const ElemType &e, std::vector<Dim> dims);
  Value scalar(Scalar *s, const ElemType &e);
  Value affineScalar(Scalar *s, const ElemType &e, Dim value);
  bool elemOf(const Value &v, ElemType &e, Span span);
  bool combine(const ElemType &a, const ElemType &b, ElemType &r);
  Scalar *toScalar(const Value &v, const ElemType &want, Span span);
  Scalar *convert(Scalar *s, const ElemType &from, const ElemType &to, Span span);
  /// Element-wise over aligned operands, each first converted to `in`.
  Value pointwise(const std::vector<Value> &xs, const ElemType &in, const ElemType &out, Span span,
                  const std::function<Scalar *(std::vector<Scalar *> &)> &f, const char *what);
  Value arith(ScalarOp op, const Value &a, const Value &b, Span span, const char *what,
              Span aSpan = {}, Span bSpan = {});
  Value elementwise(ScalarOp op, const Value &x, Span span, const char *what);
  Value cast(const Value &v, ElemType to, Span span);
  Value matmul(const Value &a, const Value &b, Span span, Span aSpan, Span bSpan);
  Value reshape(const Value &v, const Type &t, Span span);
  Value select(const Value &c, const Value &a, const Value &b, Span span);
  Value graphIf(const Expr &e, const Value &cond, const ScopeP &sc, const Type *expect);
  bool align(const std::vector<const std::vector<Dim> *> &xs, std::vector<Dim> &out, size_t &bad,
             bool &ambiguous);
  bool sameAxis(const Dim &a, const Dim &b);
  /// Where each of `own` is among `dims`, in order.
  bool mapAxes(const std::vector<Dim> &own, const std::vector<Dim> &dims, std::vector<size_t> &at,
               bool &ambiguous);
  Value present(const Value &v, Span span); // reports an optional used as it is

  Value comprehension(const Expr &e, const ScopeP &sc, const Type *expect);
  Value reduceLambda(ReduceOp op, bool mean, const FnObj &f, Span span);
  Value subscript(const Expr &e, const ScopeP &sc);
  struct IndexVar {
    std::string_view name;
    const Expr *range = nullptr;
    bool pack = false;
    Span span;
    std::vector<Dim> found; // what bare subscripts say; several for a pack
    Span foundAt;
    bool known = false, conflict = false;
    Dim lo;
  };
  void inferRanges(const Expr &body, const ScopeP &sc, std::vector<IndexVar> &vars);
  Value pureValue(const Expr &e, const ScopeP &sc); // names and members only; else Error
  bool makeLoop(std::vector<IndexVar> &vars, const ScopeP &sc, const ScopeP &inner,
                std::vector<LoopVar *> &loop, std::vector<Dim> &dims);
  /// The one element that `e`, the body of a comprehension over `vars`, gives; an error (told) if it gives none.
  Value loopBody(std::vector<IndexVar> &vars, const ScopeP &sc, const Expr &e, const char *what,
                 std::vector<LoopVar *> &loop, std::vector<Dim> &dims, ElemType &elem);
  bool provable(const Dim &p);
  bool provable(const Dim &p, const std::vector<Dim> &facts);
  void addFacts(const Expr &cond, const ScopeP &sc, bool holds);
  std::string freshPath(const char *what);
  std::map<std::string, int> sites; // random draws per place

  // ── models ──
  Value instantiate(const ModelDefObj &def, std::vector<ArgVal> &args, Span span);
  Value abstractModel(const ModelDefObj &def, Span span);
  Value leafValue(const Value &leaf); // as a tensor of the graph being built
  Value modelMember(const Value &m, std::string_view name, Span span);

  // ── tensors as numbers (tests) ──
  bool evaluateTensor(const Value &v, std::vector<double> &out, Span span);
};

/// Restores a variable at the end of the block.
template <class T> struct Saved {
  T &ref;
  T old;
  Saved(T &r, T now) : ref(r), old(std::move(r)) { ref = std::move(now); }
  explicit Saved(T &r) : ref(r), old(r) {}
  ~Saved() { ref = std::move(old); }
};

} // namespace r1
