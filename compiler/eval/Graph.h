// The typed core that elaboration leaves of a graph function: no names to resolve, no
// lambdas, no models, every dim a number. `irgen` turns it into the r1 dialect.
//
// Two levels: a Node is a tensor (SSA, shared freely), a Scalar is an element of one inside a
// comprehension (a tree). Nearly everything is a For: `x + y`, `mean(x, D)` and `x @ w` are
// comprehensions over the dims of their result whose bodies read x and y.
#pragma once
#include "compiler/diag/Diag.h"
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

namespace r1 {

enum class Elem : uint8_t { F64, F32, F16, BF16, I64, I32, I8, U8, Bool };
const char *elemName(Elem e); // "f32"; one of the spellings of the language

/// A dim as its scope calls it, with its number. `name` is what messages show ("B", "4 * D").
/// While definitions are checked symbolically, size is -1; graphs given to irgen have sizes >= 1.
struct GraphDim {
  std::string name;
  int64_t size = -1;
};

struct GraphType {
  Elem elem = Elem::F32;
  int64_t bound = 0; // > 0: integers in 0..bound
  std::vector<GraphDim> dims;
};

enum class ScalarOp : uint8_t {
  // float and integer arithmetic (operands and result of one element type)
  Add,
  Sub,
  Mul,
  Div,
  Neg,
  Abs,
  Min,
  Max,
  Pow,
  Mod,
  FloorDiv,
  // float only
  Exp,
  Log,
  Sqrt,
  Rsqrt,
  Sin,
  Cos,
  Tanh,
  Erf,
  Sign,
  // comparisons give Bool
  Lt,
  Le,
  Gt,
  Ge,
  Eq,
  Ne,
  // Bool
  And,
  Or,
  Not,
  Select, // cond, then, else
  Cast,   // to `elem`
};

enum class ReduceOp : uint8_t { Sum, Max, Min, Any, All };

/// A loop index: takes the values lo .. lo+size-1.
struct LoopVar {
  std::string name;
  int64_t lo = 0, size = 0;
  std::string dimName; // the dim it ranges over, for messages and encodings
};

struct Node;
struct GraphFn;

/// An element inside a comprehension.
struct Scalar {
  enum Kind : uint8_t {
    Const,  // number (or 0/1 for Bool) of type elem
    Index,  // the value of `var`, I64
    Read,   // tensor[subs...]; if `otherwise` is set: that when any subscript is out of range
    Op,     // op(args...)
    Reduce, // reduce(red, vars => args[0]); mean is a sum times a count's inverse
  } kind = Const;
  Elem elem = Elem::F32;
  Span span;
  double number = 0;           // Const
  int64_t integer = 0;         // Const of an integer type
  LoopVar *var = nullptr;      // Index
  Node *tensor = nullptr;      // Read
  ScalarOp op{};               // Op
  ReduceOp red{};              // Reduce
  std::vector<LoopVar *> vars; // Reduce
  std::vector<Scalar *> args;  // Op, Read (subscripts: I64 or an integer element), Reduce (1)
  Scalar *otherwise = nullptr; // Read
};

struct Leaf; // a parameter of a model, see Elaboration.h

/// A function of captured tensors and indices handed to a kernel (`allow`).
struct GraphLambda {
  std::vector<LoopVar *> vars;
  Scalar *body = nullptr; // reads captured nodes directly
};

/// A tensor.
struct Node {
  enum Kind : uint8_t {
    Input,      // fn->inputs[index]
    Param,      // leaf
    HostScalar, // rank 0 f32 that the host sets each step: "lr", "t" (progress), ...
    Literal,    // `numbers`, row-major
    For,        // vars (= dims of the type) => body
    Softmax,    // operands[0], axis
    LogSumExp,  // operands[0], axis
    Reshape,    // operands[0]
    Random,     // uniform [0,1), keyed by `name` (the call-site path)
    StopGrad,   // operands[0]
    Kernel,     // @kernel(name): operands are the tensor arguments in order; lambdas; body
    Grad,       // value (result 0) and gradients of `body`; see GradResult
    GradResult  // operands[0] is the Grad; index 0 the value, 1.. the gradients in `wrt` order
  } kind = For;
  GraphType type;
  Span span;
  std::string name; // Input: leaf name ("x.id"); HostScalar; Random; Kernel
  Leaf *leaf = nullptr;
  std::vector<Node *> operands;
  std::vector<LoopVar *> vars; // For
  Scalar *body = nullptr;      // For
  int64_t axis = 0, index = 0;
  std::vector<double> numbers;
  std::vector<GraphLambda> lambdas; // Kernel
  GraphFn *fn = nullptr;            // Kernel: reference body, inputs = operands then captures; Grad
  std::vector<Node *> captures;     // Kernel: tensors that lambdas read, in order of first read
  std::vector<Leaf *> wrt;          // Grad
  GraphFn *owner = nullptr;         // the function whose `nodes` holds this one
};

/// A function of tensors; owns its nodes. Also the entry of a stage ("loss", "update", "eval").
struct GraphFn {
  std::string name;
  std::vector<Node *> inputs;
  std::vector<bool> rows; // inputs[i]'s leading dim counts rows of the global batch
  std::vector<Node *> results;
  std::vector<std::string> resultNames; // "loss", "kl", ...
  std::deque<Node> nodes;
  std::deque<Scalar> scalars;
  std::deque<LoopVar> vars;
  std::deque<std::unique_ptr<GraphFn>> fns; // reference bodies of kernels
};

} // namespace r1
