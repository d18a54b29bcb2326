// Reads at constant positions: the adjoint is one map over the source, with the few dims that the
// read does not name unrolled. No sum, no padding of its own.
// RUN: r1-opt --r1-grad %s | FileCheck %s

r1.leaf "x" : tensor<8x2xf32> {dist = 0 : i32, a = 0.0 : f64, b = 0.0 : f64}
// CHECK-LABEL: func.func @backward
// CHECK: %[[LOSS:.*]] = r1.reduce sum
// CHECK-NOT: r1.reduce
// CHECK-NOT: r1.read
// CHECK: %[[X_ADJ:.*]] = r1.map
// CHECK: r1.index 1
// CHECK: -> tensor<8x2xf32>
// CHECK: return %[[LOSS]], %[[X_ADJ]]
func.func @loss(%w: tensor<8x2xf32>) -> tensor<f32> attributes {r1.entry = "loss"} {
  %x = r1.param "x" : tensor<8x2xf32>
  %y = r1.map ins(%x, %w : tensor<8x2xf32>, tensor<8x2xf32>)
      maps [affine_map<(d0, d1) -> (d0, 1)>, affine_map<(d0, d1) -> (d0, d1)>] {
  ^bb0(%a: f32, %b: f32):
    %p = arith.mulf %a, %b : f32
    r1.yield %p : f32
  } -> tensor<8x2xf32>
  %l = r1.reduce sum %y dims [0, 1] : tensor<8x2xf32> -> tensor<f32>
  return %l : tensor<f32>
}
