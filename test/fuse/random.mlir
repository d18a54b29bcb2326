// Dropout: draws keyed by site, seed, step and row do not change with the number of micro-batches.
// RUN: fuse-run %s --micro 1,2,8 --team 1,2 | FileCheck %s
// CHECK: ok
r1.leaf "w" : tensor<10x12xf32> {dist = 1 : i32, a = 0.0 : f64, b = 0.02 : f64}
func.func @loss(%x: tensor<8x3x10xf32> {r1.name = "x", r1.rows}) -> (tensor<f32> {r1.name = "loss"})
    attributes {r1.entry = "loss"} {
  %w = r1.param "w" : tensor<10x12xf32>
  %y = r1.contract %x, %w maps [affine_map<(b, t, o, i) -> (b, t, i)>, affine_map<(b, t, o, i) -> (i, o)>, affine_map<(b, t, o, i) -> (b, t, o)>]
    : tensor<8x3x10xf32>, tensor<10x12xf32> -> tensor<8x3x12xf32>
  %u = r1.random "drop" : tensor<8x3x12xf32>
  %d = r1.map ins(%y, %u : tensor<8x3x12xf32>, tensor<8x3x12xf32>)
      maps [affine_map<(b, t, o) -> (b, t, o)>, affine_map<(b, t, o) -> (b, t, o)>] {
  ^bb0(%a: f32, %r: f32):
    %p = arith.constant 0.4 : f32
    %zero = arith.constant 0.0 : f32
    %keep = arith.cmpf oge, %r, %p : f32
    %q = arith.select %keep, %a, %zero : f32
    %s = arith.mulf %q, %q : f32
    r1.yield %s : f32
  } -> tensor<8x3x12xf32>
  %l = r1.reduce sum %d dims [0, 1, 2] : tensor<8x3x12xf32> -> tensor<f32>
  return %l : tensor<f32>
}
