// What each form of comprehension becomes. Graph functions are written by hand; the text of the
// r1 dialect is searched for the given pieces, in order.
#include "test/irgen/CompareMeaning.h"
#include "test/irgen/GraphBuilder.h"
#include <cmath>
#include <gtest/gtest.h>

using namespace r1;
using namespace r1::test;

namespace {

/// The text of the generated function, after its meaning was compared with the graph's.
std::string show(Builder &t) {
  mlir::MLIRContext ctx;
  SourceManager sources;
  mlir::OwningOpRef<mlir::ModuleOp> m = mlir::ModuleOp::create(mlir::UnknownLoc::get(&ctx));
  if (t.fn.name.empty())
    t.fn.name = "f";
  auto func = irgenFunction(t.fn, *m, "f", true, sources);
  if (!func)
    return "failed";
  bool hasGrad = false;
  for (Node &n : t.fn.nodes)
    hasGrad |= n.kind == Node::Grad;
  if (!hasGrad)
    EXPECT_EQ(compareMeaning(t.fn, func), "");
  std::string s;
  llvm::raw_string_ostream os(s);
  m->print(os);
  return s;
}

/// The pieces occur in `text` in this order; lines that start with "!" must not occur at all.
void expectPieces(const std::string &text, std::vector<std::string> pieces) {
  size_t at = 0;
  for (const std::string &p : pieces) {
    if (p[0] == '!') {
      EXPECT_EQ(text.find(p.substr(1)), std::string::npos) << "found `" << p.substr(1) << "` in\n"
                                                           << text;
      continue;
    }
    size_t found = text.find(p, at);
    ASSERT_NE(found, std::string::npos) << "no `" << p << "` after position " << at << " in\n"
                                        << text;
    at = found + p.size();
  }
}

size_t count(const std::string &text, const std::string &what) {
  size_t n = 0;
  for (size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += what.size())
    ++n;
  return n;
}

constexpr Elem F32 = Elem::F32, BF16 = Elem::BF16, I32 = Elem::I32, I64 = Elem::I64;
using S = ScalarOp;

/// x[b, i] @ w[i, o]
Node *matmul(Builder &t, Node *x, Node *w, Elem elem = F32) {
  auto *b = t.var("b", 4), *o = t.var("o", 16), *i = t.var("i", 8);
  return t.forAll(elem, {b, o},
                  t.reduce(ReduceOp::Sum, {i}, t.op(S::Mul, {t.get(x, {b, i}), t.get(w, {i, o})})));
}

} // namespace

TEST(IRGen, LinearIsOneContractionAndOneMap) {
  Builder t;
  Node *x = t.input("x", F32, {{"B", 4}, {"I", 8}});
  Node *w = t.param("w", {{"I", 8}, {"O", 16}});
  Node *bias = t.param("b", {{"O", 16}});
  Node *y = matmul(t, x, w);
  auto *b = t.var("b", 4), *o = t.var("o", 16);
  t.result("y", t.forAll(F32, {b, o}, t.op(S::Add, {t.get(y, {b, o}), t.get(bias, {o})})));
  expectPieces(
      show(t),
      {"#map = affine_map<(d0, d1, d2) -> (d0, d2)>",
       "#map1 = affine_map<(d0, d1, d2) -> (d2, d1)>",
       "#map2 = affine_map<(d0, d1, d2) -> (d0, d1)>",
       "func.func @f(%arg0: tensor<4x8xf32, #r1.ty<dims = [\"B\", \"I\"]>> {r1.name = \"x\", "
       "r1.rows}) -> (tensor<4x16xf32, #r1.ty<dims = [\"B\", \"O\"]>> {r1.name = \"y\"}) "
       "attributes {r1.entry = \"f\"}",
       "r1.param \"w\"", "r1.contract %arg0, %0 maps [#map, #map1, #map2]", "r1.param \"b\"",
       "r1.map ins(%1, %2", "arith.addf", "r1.yield", "return"});
}

// Constants and elements alike: fmax would lose the NaN.
TEST(IRGen, MaximaKeepNaN) {
  Builder t;
  Node *x = t.input("x", F32, {{"N", 4}});
  auto *n = t.var("n", 4);
  Scalar *nan = t.num(std::nan(""));
  t.result("y", t.forAll(F32, {n}, t.op(S::Max, {nan, t.num(1)})));
  t.result("z", t.forAll(F32, {n}, t.op(S::Min, {t.get(x, {n}), nan})));
  expectPieces(show(t), {"0x7FC00000", "arith.minimumf"});
}

TEST(IRGen, AnAbsentBiasCostsNothing) {
  Builder t;
  Node *y = matmul(t, t.input("x", F32, {{"B", 4}, {"I", 8}}), t.param("w", {{"I", 8}, {"O", 16}}));
  auto *b = t.var("b", 4), *o = t.var("o", 16);
  t.result("y", t.forAll(F32, {b, o}, t.op(S::Add, {t.get(y, {b, o}), t.num(0)})));
  expectPieces(show(t), {"r1.contract", "return", "!r1.map"});
}

TEST(IRGen, ContractionOfBf16RoundsOnce) {
  Builder t;
  Node *x = t.input("x", BF16, {{"B", 4}, {"I", 8}});
  Node *w = t.input("w", BF16, {{"I", 8}, {"O", 16}}, 0, false);
  auto *b = t.var("b", 4), *o = t.var("o", 16), *i = t.var("i", 8);
  auto *sum =
      t.reduce(ReduceOp::Sum, {i},
               t.op(S::Mul, {t.cast(F32, t.get(x, {b, i})), t.cast(F32, t.get(w, {i, o}))}));
  t.result("y", t.forAll(BF16, {b, o}, t.cast(BF16, sum)));
  expectPieces(show(t), {"r1.contract %arg0, %arg1", "xbf16", "-> tensor<4x16xbf16", "!r1.map"});
}

TEST(IRGen, FactorsThatDoNotVaryLeaveTheSum) {
  // sum(i => -(2 * x[b, i]) * w[i, o] / n[b])
  Builder t;
  Node *x = t.input("x", F32, {{"B", 4}, {"I", 8}});
  Node *w = t.param("w", {{"I", 8}, {"O", 16}});
  Node *n = t.input("n", F32, {{"B", 4}});
  auto *b = t.var("b", 4), *o = t.var("o", 16), *i = t.var("i", 8);
  auto *two = t.op(S::Neg, {t.op(S::Mul, {t.num(2), t.get(x, {b, i})})});
  auto *term = t.op(S::Div, {t.op(S::Mul, {two, t.get(w, {i, o})}), t.get(n, {b})});
  t.result("y", t.forAll(F32, {b, o}, t.reduce(ReduceOp::Sum, {i}, term)));
  expectPieces(show(t), {"r1.contract %arg0", "r1.map ins(", "arith.mulf", "arith.divf",
                         "arith.negf", "r1.yield"});
}

TEST(IRGen, ChainOfOperatorsIsOneMap) {
  // y = (exp(-x) + 1), read once and by the same indices at each step; z[b] is read for every d.
  Builder t;
  Node *x = t.input("x", F32, {{"B", 4}, {"D", 8}});
  Node *n = t.input("n", F32, {{"B", 4}});
  auto step = [&](Node *from, auto f) {
    auto *b = t.var("b", 4), *d = t.var("d", 8);
    return t.forAll(F32, {b, d}, f(t.get(from, {b, d})));
  };
  Node *y = step(x, [&](Scalar *s) { return t.op(S::Neg, {s}); });
  y = step(y, [&](Scalar *s) { return t.op(S::Exp, {s}); });
  y = step(y, [&](Scalar *s) { return t.op(S::Add, {s, t.num(1)}); });
  auto *b0 = t.var("b", 4), *b = t.var("b", 4), *d = t.var("d", 8);
  Node *z = t.forAll(F32, {b0}, t.op(S::Rsqrt, {t.get(n, {b0})}));
  t.result("y", t.forAll(F32, {b, d}, t.op(S::Mul, {t.get(y, {b, d}), t.get(z, {b})})));
  std::string text = show(t);
  expectPieces(text, {"math.rsqrt", "-> tensor<4xf32", "arith.negf", "math.exp", "arith.addf",
                      "arith.mulf", "-> tensor<4x8xf32"});
  EXPECT_EQ(count(text, "r1.map"), 2u) << text;
}

TEST(IRGen, MeanIsAReductionAndAProduct) {
  Builder t;
  Node *x = t.input("x", F32, {{"B", 4}, {"D", 8}});
  auto *b = t.var("b", 4), *d = t.var("d", 8);
  t.result("y",
           t.forAll(F32, {b},
                    t.op(S::Mul, {t.reduce(ReduceOp::Sum, {d}, t.get(x, {b, d})), t.num(0.125)})));
  expectPieces(show(t), {"r1.reduce", "sum %arg0 dims [1]", "-> tensor<4xf32>", "r1.map ins(%0",
                         "arith.constant 1.250000e-01", "arith.mulf"});
}

TEST(IRGen, SumOfSquaresFusesAsMapAndReduction) {
  Builder t;
  Node *x = t.input("x", F32, {{"B", 4}, {"D", 8}});
  auto *b = t.var("b", 4), *d = t.var("d", 8);
  t.result("y", t.forAll(F32, {b},
                         t.reduce(ReduceOp::Sum, {d}, t.op(S::Pow, {t.get(x, {b, d}), t.num(2)}))));
  expectPieces(show(t), {"r1.map ins(%arg0", "arith.mulf %arg1, %arg1", "r1.reduce", "!r1.contract",
                         "!math.powf"});
}

TEST(IRGen, EmbeddingIsAGather) {
  Builder t;
  Node *table = t.param("table", {{"V", 32}, {"D", 8}});
  Node *id = t.input("x.id", I32, {{"B", 2}, {"T", 4}}, 32);
  auto *b = t.var("b", 2), *tt = t.var("t", 4), *d = t.var("d", 8);
  t.result("e", t.forAll(F32, {b, tt, d}, t.read(table, {t.get(id, {b, tt}), t.at(d)})));
  expectPieces(show(t),
               {"affine_map<(d0, d1, d2) -> (0, d2)>", "affine_map<(d0, d1, d2) -> (d0, d1)>",
                "tensor<2x4xi32, #r1.ty<dims = [\"B\", \"T\"], bound = 32>>",
                "r1.gather %0[%arg0] axis 0 maps [#map, #map1]", "!r1.map"});
}

TEST(IRGen, UncheckedPositionIsClampedGatheredAndGuarded) {
  Builder t;
  Node *table = t.param("positions", {{"T", 16}, {"D", 8}});
  Node *pos = t.input("pos", I32, {{"B", 2}, {"N", 4}});
  auto *b = t.var("b", 2), *n = t.var("n", 4), *d = t.var("d", 8);
  t.result("e", t.forAll(F32, {b, n, d}, t.read(table, {t.get(pos, {b, n}), t.at(d)}, t.num(0))));
  expectPieces(show(t), {"arith.minsi", "arith.maxsi", "-> tensor<2x4xi32>", "r1.gather",
                         "arith.cmpi sge", "arith.cmpi slt", "arith.select"});
}

TEST(IRGen, ShiftReadsZeroOutside) {
  // for b, t => x[b, t - 1] ?? 0.0
  Builder t;
  Node *x = t.input("x", F32, {{"B", 2}, {"T", 4}});
  auto *b = t.var("b", 2), *tt = t.var("t", 4);
  auto *before = t.op(S::Sub, {t.at(tt), t.num(1, I64)});
  t.result("y", t.forAll(F32, {b, tt}, t.read(x, {t.at(b), before}, t.num(0))));
  expectPieces(show(t), {"r1.map captures(%arg0", "r1.index 0", "r1.index 1", "arith.subi",
                         "r1.read %arg1[", "] else %"});
}

TEST(IRGen, SliceAndTransposeAreViews) {
  // for s in 2..6, b => x[b, s]
  Builder t;
  Node *x = t.input("x", F32, {{"B", 3}, {"S", 8}});
  auto *s = t.var("s", 4, 2), *b = t.var("b", 3);
  t.result("y", t.forAll(F32, {s, b}, t.get(x, {b, s})));
  expectPieces(show(t), {"affine_map<(d0, d1) -> (d1, d0 + 2)>", "r1.map ins(%arg0",
                         "^bb0(%arg1: f32):", "r1.yield %arg1", "tensor<4x3xf32"});
}

TEST(IRGen, RotationIsComputedOncePerPositionAndFrequency) {
  Builder t;
  Node *y = t.input("y", F32, {{"B", 2}, {"T", 4}, {"H", 2}, {"2", 2}, {"K / 2", 3}});
  Node *pos = t.input("pos", I32, {{"B", 2}, {"T", 4}});
  auto *b = t.var("b", 2), *tt = t.var("t", 4), *h = t.var("h", 2), *half = t.var("half", 2),
       *i = t.var("i", 3);
  auto *power = t.op(S::Div, {t.op(S::Mul, {t.num(-2), t.cast(F32, t.at(i))}), t.num(6)});
  auto *a = t.op(S::Mul, {t.cast(F32, t.get(pos, {b, tt})), t.op(S::Pow, {t.num(10000), power})});
  auto part = [&](int k) {
    return t.read(y, {t.at(b), t.at(tt), t.at(h), t.num(k, I64), t.at(i)});
  };
  auto *c = t.op(S::Cos, {a}), *s = t.op(S::Sin, {a});
  auto *first = t.op(S::Sub, {t.op(S::Mul, {part(0), c}), t.op(S::Mul, {part(1), s})});
  auto *second = t.op(S::Add, {t.op(S::Mul, {part(1), c}), t.op(S::Mul, {part(0), s})});
  auto *isFirst = t.op(S::Eq, {t.at(half), t.num(0, I64)});
  t.result("z", t.forAll(F32, {b, tt, h, half, i}, t.op(S::Select, {isFirst, first, second})));
  std::string text = show(t);
  expectPieces(text, {"arith.constant dense<[1.000000e+00, 0.0464158878, 0.0021544348]>",
                      "math.cos", "-> tensor<2x4x3xf32>", "math.sin", "-> tensor<2x4x3xf32>",
                      "arith.select", "-> tensor<2x4x2x2x3xf32"});
  EXPECT_EQ(count(text, "r1.map"), 3u) << text;
}

TEST(IRGen, AttentionBody) {
  Builder t;
  Node *q = t.input("q", BF16, {{"B", 2}, {"T", 4}, {"H", 4}, {"K", 8}});
  Node *k = t.input("k", BF16, {{"B", 2}, {"S", 4}, {"G", 2}, {"K", 8}});
  Node *v = t.input("v", BF16, {{"B", 2}, {"S", 4}, {"G", 2}, {"K", 8}});
  Node *seg = t.input("seg", I32, {{"B", 2}, {"T", 4}});
  auto *b = t.var("b", 2), *h = t.var("h", 4), *tt = t.var("t", 4), *s = t.var("s", 4),
       *c = t.var("c", 8);
  auto group = [&](LoopVar *x) { return t.op(S::FloorDiv, {t.at(x), t.num(2, I64)}); };
  auto *allow = t.op(S::And, {t.op(S::Eq, {t.get(seg, {b, tt}), t.get(seg, {b, s})}),
                              t.op(S::Le, {t.at(s), t.at(tt)})});
  auto *dot =
      t.reduce(ReduceOp::Sum, {c},
               t.op(S::Mul, {t.cast(F32, t.get(q, {b, tt, h, c})),
                             t.cast(F32, t.read(k, {t.at(b), t.at(s), group(h), t.at(c)}))}));
  Node *a = t.forAll(F32, {b, h, tt, s},
                     t.op(S::Select, {allow, t.op(S::Mul, {dot, t.num(0.5)}), t.num(-INFINITY)}));
  Node *p = t.node(Node::Softmax, F32, a->type.dims);
  p->operands = {a};
  p->axis = 3;
  auto *b2 = t.var("b", 2), *h2 = t.var("h", 4), *t2 = t.var("t", 4), *s2 = t.var("s", 4),
       *c2 = t.var("c", 8);
  auto *mix = t.op(S::Mul, {t.get(p, {b2, h2, t2, s2}),
                            t.cast(F32, t.read(v, {t.at(b2), t.at(s2), group(h2), t.at(c2)}))});
  t.result("o", t.forAll(BF16, {b2, t2, h2, c2}, t.cast(BF16, t.reduce(ReduceOp::Sum, {s2}, mix))));
  expectPieces(show(t),
               {"r1.map ins(%arg1", "-> tensor<2x4x4x8xbf16>", // key heads, one per query head
                "r1.contract %arg0", "-> tensor<2x4x4x4xf32>", // scores
                "arith.cmpi eq", "arith.select",               // masked
                "r1.softmax", "axis 3", "r1.contract", "-> tensor<2x4x4x8xbf16"});
}

TEST(IRGen, KernelKeepsItsBodyAndItsMask) {
  Builder t;
  Node *q = t.input("q", F32, {{"B", 2}, {"T", 4}});
  Node *seg = t.input("seg", I32, {{"B", 2}, {"T", 4}});
  std::vector<Node *> kernels;
  for (int copy = 0; copy < 2; ++copy) {
    Node *n = t.node(Node::Kernel, F32, {{"B", 2}, {"T", 4}});
    n->name = "twice";
    n->operands = {copy ? kernels[0] : q};
    n->captures = {seg};
    auto *b = t.var("b", 2), *s = t.var("s", 4);
    n->lambdas.push_back({{b, s}, t.op(S::Ge, {t.get(seg, {b, s}), t.num(0, I32)})});
    Builder body;
    body.fn.name = "double";
    Node *x = body.input("x", F32, {{"B", 2}, {"T", 4}});
    body.input("seg", I32, {{"B", 2}, {"T", 4}});
    auto *i = body.var("b", 2), *j = body.var("t", 4);
    body.result("y", body.forAll(F32, {i, j}, body.op(S::Mul, {body.get(x, {i, j}), body.num(2)})));
    t.fn.fns.push_back(std::make_unique<GraphFn>(std::move(body.fn)));
    n->fn = t.fn.fns.back().get();
    kernels.push_back(n);
  }
  t.result("y", kernels[1]);
  std::string text = show(t);
  expectPieces(text,
               {"r1.kernel \"twice\" ins(%arg0", "captures(%arg1", "body @double lambdas {",
                "^bb0(%arg2: index, %arg3: index, %arg4: tensor<2x4xi32",
                "r1.read %arg4[%arg2, %arg3] else", "arith.cmpi sge", "r1.yield",
                "r1.kernel \"twice\" ins(%0", "body @double lambdas", "func.func private @double"});
  EXPECT_EQ(count(text, "func.func private"), 1u) << text; // equal bodies are one function
}

TEST(IRGen, MaskedMeanReadsWell) {
  // sum(b, t => if mask then -x else 0) / max(sum(f32(mask)), 1)
  Builder t;
  Node *x = t.input("x", F32, {{"B", 2}, {"T", 4}});
  Node *mask = t.input("mask", Elem::Bool, {{"B", 2}, {"T", 4}});
  auto *b = t.var("b", 2), *s = t.var("t", 4), *b2 = t.var("b", 2), *s2 = t.var("t", 4);
  auto *total =
      t.reduce(ReduceOp::Sum, {b, s},
               t.op(S::Select, {t.get(mask, {b, s}), t.op(S::Neg, {t.get(x, {b, s})}), t.num(0)}));
  auto *kept = t.reduce(ReduceOp::Sum, {b2, s2}, t.cast(F32, t.get(mask, {b2, s2})));
  t.result("loss", t.forAll(F32, {}, t.op(S::Div, {total, t.op(S::Max, {kept, t.num(1)})})));
  expectPieces(show(t), {"arith.negf", "arith.select", "r1.reduce", "dims [0, 1]", "-> tensor<f32>",
                         "arith.uitofp", "r1.reduce", "-> tensor<f32>", "arith.maximumf",
                         "arith.divf", "-> tensor<f32>"});
}

TEST(IRGen, PowerOfAConstantIsAnExponential) {
  Builder t;
  Node *n = t.node(Node::HostScalar, F32, {});
  n->name = "t";
  t.result("y",
           t.forAll(F32, {}, t.op(S::Sub, {t.num(1), t.op(S::Pow, {t.num(0.9), t.read(n, {})})})));
  expectPieces(show(t), {"r1.scalar \"t\"", "-0.105360515", "arith.mulf", "math.exp", "arith.subf",
                         "!math.powf"});
}

TEST(IRGen, GradientIsACall) {
  Builder t;
  Node *x = t.input("x", F32, {{"B", 4}, {"I", 8}});
  Builder f;
  f.fn.name = "loss";
  Node *y = matmul(f, f.input("x", F32, {{"B", 4}, {"I", 8}}), f.param("w", {{"I", 8}, {"O", 16}}));
  auto *b = f.var("b", 4), *o = f.var("o", 16);
  f.result("loss", f.forAll(F32, {}, f.reduce(ReduceOp::Sum, {b, o}, f.get(y, {b, o}))));
  t.fn.fns.push_back(std::make_unique<GraphFn>(std::move(f.fn)));
  Node *g = t.node(Node::Grad, F32, {});
  g->fn = t.fn.fns.back().get();
  g->operands = {x};
  g->wrt = {&f.leaves[0]};
  Node *value = t.node(Node::GradResult, F32, {});
  value->operands = {g};
  Node *grad = t.node(Node::GradResult, F32, {{"I", 8}, {"O", 16}});
  grad->operands = {g};
  grad->index = 1;
  t.result("loss", value);
  t.result("g", grad);
  expectPieces(show(t), {"%0:2 = r1.grad @loss(%arg0) wrt [\"w\"]", "return %0#0, %0#1",
                         "func.func private @loss"});
}

TEST(IRGen, UpdateWorksOnPools) {
  Builder t;
  t.fn.name = "update";
  Node *p = t.input("p", F32, {{"N", 4096}}, 0, false);
  Node *g = t.input("g", F32, {{"N", 4096}}, 0, false);
  Node *m = t.input("s.m", F32, {{"N", 4096}}, 0, false);
  Node *lr = t.node(Node::HostScalar, F32, {});
  lr->name = "lr";
  auto *i = t.var("n", 4096), *j = t.var("n", 4096);
  Node *next = t.forAll(F32, {i}, t.op(S::Add, {t.get(m, {i}), t.get(g, {i})}));
  t.result("p", t.forAll(F32, {j},
                         t.op(S::Sub,
                              {t.get(p, {j}), t.op(S::Mul, {t.read(lr, {}), t.get(next, {j})})})));
  t.result("s.m", next);
  expectPieces(show(t), {"%arg0: tensor<4096xf32", "{r1.role = \"param\"}", "{r1.role = \"grad\"}",
                         "{r1.role = \"state:m\"}", "-> (", "{r1.role = \"param\"}",
                         "{r1.role = \"state:m\"}", "r1.entry = \"update\"", "!r1.rows"});
}

TEST(IRGen, StagesAreTheDag) {
  Elaboration e;
  e.pipeline = "hello";
  auto stage = [&](std::string name, std::string kind, std::string result,
                   std::vector<std::string> reads) -> Stage & {
    e.stages.emplace_back();
    Stage &s = e.stages.back();
    s.name = name, s.kind = kind, s.result = result, s.reads = reads;
    s.spec = nlohmann::json::object();
    return s;
  };
  stage("tok", "bpe", "tokenizer", {}).spec["vocab"] = 512;
  Stage &gpt = stage("gpt", "train", "model", {"tok"});
  Leaf g = leaf("norm.g", {{"D", 8}}), w = leaf("w", {{"D", 8}, {"V", 16}});
  g.a = 1;
  w.dist = 1;
  w.b = 0.02;
  w.trainable = false;
  gpt.leaves = {g, w};
  stage("eval", "evaluate", "metrics", {"gpt", "tok"});
  mlir::MLIRContext ctx;
  SourceManager sources;
  auto m = irgen(e, ctx, sources);
  ASSERT_TRUE(m);
  std::string s;
  llvm::raw_string_ostream os(s);
  m->print(os);
  expectPieces(
      s, {"func.func @hello()",
          "%0 = r1.stage \"tok\" \"bpe\"() {spec = \"{\\22vocab\\22:512}\"} : () -> "
          "!r1.artifact<\"tokenizer\">",
          "%1 = r1.stage \"gpt\" \"train\"(%0) {module = @gpt",
          "%2 = r1.stage \"eval\" \"evaluate\"(%1, %0)", "module @gpt {",
          "r1.leaf \"norm.g\" : tensor<8xf32, #r1.ty<dims = [\"D\"]>> {a = 1.000000e+00 : f64",
          "r1.leaf \"w\"", "trainable = false"});
}
