// What an expression can be: host values, model trees, handles of artifacts, and, while a graph
// function is traced, tensors and elements of tensors.
//
// Values are immutable once made and shared by reference count, so closures may run on several
// threads at row time. Tensors and scalars point into the GraphFn being built and never escape it.
#pragma once
#include "compiler/check/Dims.h"
#include "compiler/eval/Graph.h"
#include "compiler/syntax/AST.h"
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace re2 {
class RE2;
}

namespace r1 {

using Json = nlohmann::json;

/// An element type as the language sees it. `real` is its own type whatever it is compiled to.
struct ElemType {
  Elem e = Elem::F32;
  bool real = false;
  bool weak = false; // made of indices and host numbers only: takes the type of its partner
  bool bounded = false;
  Dim bound; // values lie in 0..bound
  bool isFloat() const { return e <= Elem::BF16; }
  bool isInt() const { return e >= Elem::I64 && e <= Elem::U8; }
  bool isBool() const { return e == Elem::Bool; }
  std::string str() const;
};
/// May values of the two be combined without a cast? (Bounds do not matter; weak ones adapt.)
bool sameElem(const ElemType &a, const ElemType &b);

struct Scope;
using ScopeP = std::shared_ptr<Scope>;
struct ModelObj;
struct Type;
using TypeP = std::shared_ptr<const Type>;

/// A checked type. Tensor dims may hold flexible symbols, bound by `coerce`.
struct Type {
  enum Kind : uint8_t {
    Any,
    Int,
    Float,
    Bool,
    Str,
    Regex,
    Bytes,
    Duration,
    Budget,
    DType,
    DimT,
    Device,
    List,   // args[0]
    Record, // fields
    Fn,     // args -> result
    Tensor, // elem, dims
    Model,  // any model, or one of `model`
    Corpus,
    Tokenizer,
    Metrics,
    Optimizer, // a record {init, step}
  } kind = Any;
  bool optional = false;
  ElemType elem;
  std::vector<Dim> dims;
  std::vector<TypeP> args;
  TypeP result;
  std::vector<std::pair<std::string, TypeP>> fields;
  const Decl *model = nullptr;
  Span span;
  std::string str() const;
};

struct Obj {
  virtual ~Obj() = default;
};

class Value {
public:
  enum Kind : uint8_t {
    Error, // already reported: silences what derives from it
    None,
    Bool,
    Int,
    Float,
    Str,
    Regex,
    Bytes,
    Duration,
    Budget,
    DType,
    DimV,
    Range,
    List,
    Record,
    Fn,       // named function, lambda, method, built-in
    ModelDef, // a `model` declaration: calling it builds a Model
    Pipeline, // a `pipeline` declaration
    Model,
    Leaf,
    Tensor,
    Scalar,
    IndexPack,
    DimPack,
    Handle,  // corpus, tokenizer, metrics, metric, device and other results of built-ins
    Module,  // `import "x" as m`, `prelude`
    Unknown, // a host value of known type, while a definition is checked
  } kind = Error;
  /// An optional that may be absent: checked definitions only, and out-of-range reads.
  bool maybe = false;
  union {
    bool b;
    int64_t i = 0;
    double f;
  };
  std::shared_ptr<const Obj> o;

  Value() = default;
  Value(Kind k) : kind(k) {}
  static Value boolean(bool v);
  static Value integer(int64_t v);
  static Value real(double v);
  static Value str(std::string s);
  static Value dim(Dim d);
  static Value list(std::vector<Value> items);
  static Value record(std::vector<std::pair<std::string, Value>> fields);
  static Value range(Dim lo, Dim hi);
  static Value unknown(TypeP t);
  template <class T> static Value of(Kind k, std::shared_ptr<T> obj) {
    Value v(k);
    v.o = std::move(obj);
    return v;
  }

  template <class T> const T &as() const { return static_cast<const T &>(*o); }
  bool is(Kind k) const { return kind == k; }
  bool isError() const { return kind == Error; }
  bool isNumber() const { return kind == Int || kind == Float || kind == DimV; }
  bool isGraph() const { return kind == Tensor || kind == Scalar; }
  const std::string &string() const;
  const Dim &dims() const;
  /// The value of an int or of a dim whose number is known; false otherwise.
  bool asInt(int64_t &out) const;
  /// The same for any number, as a float.
  bool asFloat(double &out) const;
};

using Fields = std::vector<std::pair<std::string, Value>>;

struct StrObj : Obj {
  std::string s;
};
struct RegexObj : Obj {
  std::string text;
  std::shared_ptr<const re2::RE2> re;
};
struct DimObj : Obj {
  Dim d;
};
struct RangeObj : Obj {
  Dim lo, hi;
};
struct ListObj : Obj {
  std::vector<Value> items;
  bool anyLength = false; // items[0] stands for each of an unknown number
};
struct RecordObj : Obj {
  Fields fields;
  std::string made; // the call that gave it, for people: "adamw(b1 = 0.9, …)"; empty: none
  const Value *find(std::string_view name) const;
};
struct UnknownObj : Obj {
  TypeP type;
};
struct DimPackObj : Obj {
  std::vector<Dim> dims;
};
struct IndexPackObj : Obj {
  std::vector<Value> indices; // Scalars
};

enum BudgetUnit : uint8_t { BudgetSteps, BudgetEpochs, BudgetTokens, BudgetSeconds };
struct BudgetObj : Obj {
  double amount = 0;
  BudgetUnit unit = BudgetSteps;
};

struct FnObj : Obj {
  const Decl *decl = nullptr;              // a named function or a method
  const Expr *lambda = nullptr;            // or a lambda
  const struct Builtin *builtin = nullptr; // or C++
  TypeP abstract;                          // or unknown, of this type (checked definitions)
  std::shared_ptr<const Value> constant;   // or always this (a number lifted to a schedule)
  ScopeP scope;                            // where it was defined
  std::shared_ptr<const ModelObj> self;    // methods
  std::string name;
  std::string made;            // as of records: "cosine(from = 0.001, …)"
  const Obj *origin = nullptr; // the function this one is a renamed copy of
};

/// A `model` declaration in its scope.
struct ModelDefObj : Obj {
  const Decl *decl = nullptr;
  ScopeP scope;
};

/// One parameter. Identity is the object: mentioning it twice ties.
struct LeafObj : Obj {
  std::string name;
  ElemType elem;
  std::vector<Dim> dims;
  int dist = 0;
  double a = 0, b = 0;
  std::string from, fromPath; // the stage and the path in it that give the start value
  Span span;
};

struct ModelObj : Obj {
  const Decl *decl = nullptr;
  ScopeP scope; // parameters and members, in order; what methods see
  uint32_t frame = 0;
  std::string from; // the stage that trained it
  Value tokenizer;  // a Handle: what it was trained with
  Value precision;  // and the compute type
  Value batch;      // a Handle: the corpus it was trained on, for the layout of its batches
  std::vector<std::string> gates; // stages that pass before it is used: `given`
  Span span;
};

struct TensorObj : Obj {
  Node *node = nullptr;
  ElemType elem;
  std::vector<Dim> dims;
};

struct ScalarObj : Obj {
  Scalar *s = nullptr;
  ElemType elem;
  bool affine = false;
  Dim value; // if affine: in Index symbols
};

/// A corpus, tokenizer, metrics, metric, device: what a built-in gave, as the spec of its stage.
struct HandleObj : Obj {
  std::string type; // "corpus", "tokenizer", "metrics", "metric", "device", "stage:train", ...
  Json spec;
  Fields fields; // what `.name` gives: tok.vocab
  std::vector<std::string> files;
  Json batch;      // corpora of tokens: {"layout": "lm", "seq": T, "vocab": V}; metrics: {"metrics": [NAME, …]}
  Value tokenizer; // and what made them
  std::map<std::string, Json> builtins;
  std::shared_ptr<const struct StageCall> call; // a stage not yet named
  Span span;
};

struct ModuleObj : Obj {
  const struct Module *module = nullptr;
};

/// Names of one block, function or file.
struct Scope {
  ScopeP parent;
  std::vector<std::pair<std::string_view, Value>> names;
  std::vector<std::pair<std::string_view, const Decl *>> lets; // of a pipeline, for --set
  std::function<bool(std::string_view)> lazy; // runs the step of that name first, if there is one
  uint32_t frame = 0;                         // owner of the dims that are bound here
  std::shared_ptr<const ModelObj> self;  // of the method being run; weak enough: see Models.cpp
  const struct Module *module = nullptr; // set in a file's own scope
  Value *find(std::string_view name);
  void set(std::string_view name, Value v) { names.emplace_back(name, std::move(v)); }
};

/// "int", "float", "real[B, T, D]", "a model Linear": for messages.
std::string kindName(const Value &v);
/// "real[B, T, F = 4096]"
std::string typeText(const ElemType &e, const std::vector<Dim> &dims);

} // namespace r1
