// Contractions: views become strides, what follows element by element becomes the epilogue.
// RUN: r1-opt %s --r1-fuse | FileCheck %s

// x @ transpose(w) + b, then a residual: one kernel, no copy of w.
// CHECK-LABEL: kern.program @linear
// CHECK-NEXT: kern.launch @product_add_l{{[0-9]+}} [@linear_x, @linear_w, @linear_y, @linear_h, @linear_b]
// CHECK-NEXT: kern.end
// CHECK: kern.product @product_add_l{{[0-9]+}} sizes [32, 16, 8] batch [] a [8, 1] b [1, 8] c [16, 1] accumulate false
// CHECK: %[[B:.+]] = memref.load %{{.*}}[%arg2] : memref<16xf32>
// CHECK: arith.addf %arg3, %[[B]]
// CHECK: kern.yield
func.func @linear(%x: tensor<4x8x8xf32> {r1.name = "x"}, %w: tensor<16x8xf32> {r1.name = "w"}, %b: tensor<16xf32> {r1.name = "b"},
                  %h: tensor<4x8x16xf32> {r1.name = "h"}) -> (tensor<4x8x16xf32> {r1.name = "y"}) {
  %wt = r1.map ins(%w : tensor<16x8xf32>) maps [affine_map<(i, o) -> (o, i)>] {
  ^bb0(%u: f32):
    r1.yield %u : f32
  } -> tensor<8x16xf32>
  %p = r1.contract %x, %wt maps [affine_map<(b, t, o, i) -> (b, t, i)>, affine_map<(b, t, o, i) -> (i, o)>, affine_map<(b, t, o, i) -> (b, t, o)>]
    : tensor<4x8x8xf32>, tensor<8x16xf32> -> tensor<4x8x16xf32>
  %q = r1.map ins(%p, %b : tensor<4x8x16xf32>, tensor<16xf32>) maps [affine_map<(b, t, o) -> (b, t, o)>, affine_map<(b, t, o) -> (o)>] {
  ^bb0(%u: f32, %v: f32):
    %s = arith.addf %u, %v : f32
    r1.yield %s : f32
  } -> tensor<4x8x16xf32>
  %y = r1.map ins(%h, %q : tensor<4x8x16xf32>, tensor<4x8x16xf32>) maps [affine_map<(b, t, o) -> (b, t, o)>, affine_map<(b, t, o) -> (b, t, o)>] {
  ^bb0(%u: f32, %v: f32):
    %s = arith.addf %u, %v : f32
    r1.yield %s : f32
  } -> tensor<4x8x16xf32>
  return %y : tensor<4x8x16xf32>
}

// Heads are batches: m, n and k need not lie next to each other.
// CHECK-LABEL: kern.program @scores
// CHECK: kern.product @product_l{{[0-9]+}} sizes [6, 6, 8] batch [2, 3] a [144, 8, 24, 1] b [144, 8, 1, 24] c [108, 36, 6, 1]
func.func @scores(%q: tensor<2x6x3x8xf32> {r1.name = "q"}, %k: tensor<2x6x3x8xf32> {r1.name = "k"}) -> (tensor<2x3x6x6xf32> {r1.name = "s"}) {
  %s = r1.contract %q, %k maps [affine_map<(b, h, t, s, c) -> (b, t, h, c)>, affine_map<(b, h, t, s, c) -> (b, s, h, c)>, affine_map<(b, h, t, s, c) -> (b, h, t, s)>]
    : tensor<2x6x3x8xf32>, tensor<2x6x3x8xf32> -> tensor<2x3x6x6xf32>
  return %s : tensor<2x3x6x6xf32>
}

// The result's innermost dim is n, whichever operand it comes from.
// CHECK-LABEL: kern.program @swapped
// CHECK: kern.launch @product_l{{[0-9]+}} [@swapped_y, @swapped_x, @swapped_z]
func.func @swapped(%x: tensor<8x16xf32> {r1.name = "x"}, %y: tensor<8x4xf32> {r1.name = "y"}) -> (tensor<4x16xf32> {r1.name = "z"}) {
  %z = r1.contract %x, %y maps [affine_map<(n, m, k) -> (k, n)>, affine_map<(n, m, k) -> (k, m)>, affine_map<(n, m, k) -> (m, n)>]
    : tensor<8x16xf32>, tensor<8x4xf32> -> tensor<4x16xf32>
  return %z : tensor<4x16xf32>
}

// Equal products are compiled once.
// CHECK-LABEL: kern.program @twice
// CHECK-NEXT: kern.launch @[[K:product_l[0-9]+]] [@twice_x, @twice_v, @twice_a]
// CHECK-NEXT: kern.launch @[[K]] [@twice_x, @twice_w, @twice_b]
func.func @twice(%x: tensor<8x16xf32> {r1.name = "x"}, %v: tensor<16x16xf32> {r1.name = "v"}, %w: tensor<16x16xf32> {r1.name = "w"})
    -> (tensor<8x16xf32> {r1.name = "a"}, tensor<8x16xf32> {r1.name = "b"}) {
  %a = r1.contract %x, %v maps [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>]
    : tensor<8x16xf32>, tensor<16x16xf32> -> tensor<8x16xf32>
  %b = r1.contract %x, %w maps [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>]
    : tensor<8x16xf32>, tensor<16x16xf32> -> tensor<8x16xf32>
  return %a, %b : tensor<8x16xf32>, tensor<8x16xf32>
}
