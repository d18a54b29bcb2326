// Blocks that are computed again for gradients. Each clone is the op that it repeats, with a mark and its
// place, and stands where the gradients of its block begin to read it.
// RUN: r1-opt %s --r1-grad --r1-shard=micro=2 --r1-recompute=blocks=1 -mlir-print-debuginfo -mlir-print-local-scope \
// RUN:   | FileCheck %s
// RUN: r1-opt %s --r1-grad --r1-shard=micro=2 --r1-recompute=blocks=0 | FileCheck %s --check-prefix=NONE
// RUN: r1-opt %s --r1-grad --r1-shard=micro=2 --r1-recompute | FileCheck %s --check-prefix=ALL
// Clones are not merged with what they repeat: the arena shrinks by the 4 x 32 values of h and a for each of two
// blocks, and there is one launch more for each.
// RUN: r1-opt %s --r1-grad --r1-shard=micro=2 --r1-recompute=blocks=0 --r1-fuse --kern-plan | FileCheck %s --check-prefix=KEPT
// RUN: r1-opt %s --r1-grad --r1-shard=micro=2 --r1-recompute --r1-fuse --kern-plan | FileCheck %s --check-prefix=AGAIN
// KEPT: kern.arena_bytes = 36544
// KEPT-COUNT-22: kern.launch
// KEPT-NOT: kern.launch
// AGAIN: kern.arena_bytes = 34496
// AGAIN-COUNT-24: kern.launch
// AGAIN-NOT: kern.launch

#mk = affine_map<(m, n, k) -> (m, k)>
#kn = affine_map<(m, n, k) -> (k, n)>
#mn = affine_map<(m, n, k) -> (m, n)>
#id = affine_map<(m, n) -> (m, n)>

r1.leaf "b0.up" : tensor<8x32xf32> {dist = 1 : i32, a = 0.0 : f64, b = 0.02 : f64}
r1.leaf "b0.down" : tensor<32x8xf32> {dist = 1 : i32, a = 0.0 : f64, b = 0.02 : f64}
r1.leaf "b1.up" : tensor<8x32xf32> {dist = 1 : i32, a = 0.0 : f64, b = 0.02 : f64}
r1.leaf "b1.down" : tensor<32x8xf32> {dist = 1 : i32, a = 0.0 : f64, b = 0.02 : f64}
r1.leaf "b2.up" : tensor<8x32xf32> {dist = 1 : i32, a = 0.0 : f64, b = 0.02 : f64}
r1.leaf "b2.down" : tensor<32x8xf32> {dist = 1 : i32, a = 0.0 : f64, b = 0.02 : f64}

// x = x + silu(x up) down, three times; the sum of squares of the last.
func.func @loss(%x: tensor<8x8xf32> {r1.name = "x", r1.rows}) -> (tensor<f32> {r1.name = "loss"})
    attributes {r1.entry = "loss"} {
  %up0 = r1.param "b0.up" : tensor<8x32xf32>
  %down0 = r1.param "b0.down" : tensor<32x8xf32>
  %h0 = r1.contract %x, %up0 maps [#mk, #kn, #mn]
    : tensor<8x8xf32>, tensor<8x32xf32> -> tensor<8x32xf32> loc("h0")
  %a0 = r1.map ins(%h0 : tensor<8x32xf32>) maps [#id] {
  ^bb0(%e: f32):
    %one = arith.constant 1.0 : f32
    %n = arith.negf %e : f32
    %p = math.exp %n : f32
    %q = arith.addf %p, %one : f32
    %s = arith.divf %e, %q : f32
    r1.yield %s : f32
  } -> tensor<8x32xf32> loc("a0")
  %d0 = r1.contract %a0, %down0 maps [#mk, #kn, #mn]
    : tensor<8x32xf32>, tensor<32x8xf32> -> tensor<8x8xf32> loc("d0")
  %x0 = r1.map ins(%x, %d0 : tensor<8x8xf32>, tensor<8x8xf32>) maps [#id, #id] {
  ^bb0(%e: f32, %f: f32):
    %s = arith.addf %e, %f : f32
    r1.yield %s : f32
  } -> tensor<8x8xf32> loc("x0")
  %up1 = r1.param "b1.up" : tensor<8x32xf32>
  %down1 = r1.param "b1.down" : tensor<32x8xf32>
  %h1 = r1.contract %x0, %up1 maps [#mk, #kn, #mn]
    : tensor<8x8xf32>, tensor<8x32xf32> -> tensor<8x32xf32> loc("h1")
  %a1 = r1.map ins(%h1 : tensor<8x32xf32>) maps [#id] {
  ^bb0(%e: f32):
    %one = arith.constant 1.0 : f32
    %n = arith.negf %e : f32
    %p = math.exp %n : f32
    %q = arith.addf %p, %one : f32
    %s = arith.divf %e, %q : f32
    r1.yield %s : f32
  } -> tensor<8x32xf32> loc("a1")
  %d1 = r1.contract %a1, %down1 maps [#mk, #kn, #mn]
    : tensor<8x32xf32>, tensor<32x8xf32> -> tensor<8x8xf32> loc("d1")
  %x1 = r1.map ins(%x0, %d1 : tensor<8x8xf32>, tensor<8x8xf32>) maps [#id, #id] {
  ^bb0(%e: f32, %f: f32):
    %s = arith.addf %e, %f : f32
    r1.yield %s : f32
  } -> tensor<8x8xf32> loc("x1")
  %up2 = r1.param "b2.up" : tensor<8x32xf32>
  %down2 = r1.param "b2.down" : tensor<32x8xf32>
  %h2 = r1.contract %x1, %up2 maps [#mk, #kn, #mn]
    : tensor<8x8xf32>, tensor<8x32xf32> -> tensor<8x32xf32> loc("h2")
  %a2 = r1.map ins(%h2 : tensor<8x32xf32>) maps [#id] {
  ^bb0(%e: f32):
    %one = arith.constant 1.0 : f32
    %n = arith.negf %e : f32
    %p = math.exp %n : f32
    %q = arith.addf %p, %one : f32
    %s = arith.divf %e, %q : f32
    r1.yield %s : f32
  } -> tensor<8x32xf32> loc("a2")
  %d2 = r1.contract %a2, %down2 maps [#mk, #kn, #mn]
    : tensor<8x32xf32>, tensor<32x8xf32> -> tensor<8x8xf32> loc("d2")
  %x2 = r1.map ins(%x1, %d2 : tensor<8x8xf32>, tensor<8x8xf32>) maps [#id, #id] {
  ^bb0(%e: f32, %f: f32):
    %s = arith.addf %e, %f : f32
    r1.yield %s : f32
  } -> tensor<8x8xf32> loc("x2")
  %q = r1.map ins(%x2 : tensor<8x8xf32>) maps [#id] {
  ^bb0(%e: f32):
    %s = arith.mulf %e, %e : f32
    r1.yield %s : f32
  } -> tensor<8x8xf32>
  %loss = r1.reduce sum %q dims [0, 1] : tensor<8x8xf32> -> tensor<f32>
  return %loss : tensor<f32>
}

// CHECK-LABEL: func.func @backward
// What crosses the cut after the first block is kept, and written down as such.
// CHECK: %[[H0:.+]] = r1.contract %[[X:.+]], %[[UP:.+]] maps {{.*}} loc("h0")
// CHECK: %[[A0:.+]] = r1.map ins(%[[H0]] :
// CHECK: %[[D0:.+]] = r1.contract %[[A0]],
// CHECK: %[[X0:.+]] = r1.map ins(%[[X]], %[[D0]] : {{.*}} attributes {r1.stored}
// The second block is not computed again.
// CHECK: %[[H1:.+]] = r1.contract %[[X0]], {{.*}} loc("h1")
// CHECK: loc("b2.up_adj"
// CHECK: r1.map ins(%[[H1]], %{{.+}} : {{.*}} {
// CHECK: } -> tensor<4x32xf32> loc("h1_adj"("h1"))
// Nor is what only x0 was made of: the second product of the first block.
// CHECK: loc("x0_adj"("x0"))
// CHECK: loc("a0_adj"("a0"))
// CHECK-NEXT: %[[H:.+]] = r1.contract %[[X]], %[[UP]] {{.*}} {r1.again = 0 : i64} {{.*}} loc("h0")
// CHECK-NEXT: %[[A:.+]] = r1.map ins(%[[H]] : {{.*}} attributes {r1.again = 0 : i64}
// CHECK-NOT: r1.again
// CHECK: r1.contract %[[A]], {{.*}} loc("b0.down_adj"
// CHECK: r1.map ins(%[[H]], %{{.+}} :
// CHECK: } -> tensor<4x32xf32> loc("h0_adj"("h0"))

// NONE-NOT: r1.again
// NONE-NOT: r1.stored

// The last block's gradients begin at once: it is none that could be computed again.
// ALL-LABEL: func.func @backward
// ALL-COUNT-2: r1.again = 1
// ALL-COUNT-2: r1.again = 0
// ALL-NOT: r1.again
