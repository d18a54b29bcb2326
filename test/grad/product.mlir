// A linear layer with a bias: two products, a sum over the rows for the bias, and a parameter
// outside of the graph whose gradient is zero.
// RUN: r1-opt --r1-grad %s | FileCheck %s

r1.leaf "b" : tensor<3xf32> {dist = 0 : i32, a = 0.0 : f64, b = 0.0 : f64}
r1.leaf "unused" : tensor<2xf32> {dist = 0 : i32, a = 0.0 : f64, b = 0.0 : f64}
r1.leaf "w" : tensor<4x3xf32> {dist = 1 : i32, a = 0.0 : f64, b = 1.0 : f64}

func.func @loss(%x: tensor<8x4xf32> {r1.name = "x", r1.rows})
    -> (tensor<f32> {r1.name = "loss"}, tensor<f32> {r1.name = "twice"})
    attributes {r1.entry = "loss"} {
  %w = r1.param "w" : tensor<4x3xf32>
  %b = r1.param "b" : tensor<3xf32>
  %z = r1.contract %x, %w maps [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>,
                                affine_map<(m, n, k) -> (m, n)>]
    : tensor<8x4xf32>, tensor<4x3xf32> -> tensor<8x3xf32>
  %y = r1.map ins(%z, %b : tensor<8x3xf32>, tensor<3xf32>)
      maps [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d1)>] {
  ^bb0(%ze: f32, %be: f32):
    %s = arith.addf %ze, %be : f32
    %q = arith.mulf %s, %s : f32
    r1.yield %q : f32
  } -> tensor<8x3xf32>
  %l = r1.reduce sum %y dims [0, 1] : tensor<8x3xf32> -> tensor<f32>
  %aux = r1.map ins(%l : tensor<f32>) maps [affine_map<() -> ()>] {
  ^bb0(%le: f32):
    %s = arith.addf %le, %le : f32
    r1.yield %s : f32
  } -> tensor<f32>
  return %l, %aux : tensor<f32>, tensor<f32>
}

// CHECK-LABEL: func.func @backward
// CHECK-SAME: (%[[X:.*]]: tensor<8x4xf32> {r1.name = "x", r1.rows}) -> (tensor<f32> {r1.name = "loss"}, tensor<f32> {r1.name = "twice"},
// CHECK-SAME: tensor<3xf32> {r1.name = "grad:b"}, tensor<2xf32> {r1.name = "grad:unused"}, tensor<4x3xf32> {r1.name = "grad:w"})
// CHECK-SAME: r1.entry = "backward"
// CHECK: %[[ZERO:.*]] = arith.constant dense<0.000000e+00> : tensor<2xf32>
// CHECK: %[[LOSS:.*]] = r1.reduce sum
// CHECK: %[[AUX:.*]] = r1.map
// CHECK: %[[Y_ADJ:.*]] = r1.map
// CHECK: arith.addf
// CHECK: arith.addf
// CHECK: %[[B_ADJ:.*]] = r1.reduce sum %[[Y_ADJ]] dims [0]
// CHECK: %[[W_ADJ:.*]] = r1.contract %[[X]], %[[Y_ADJ]] maps
// CHECK: return %[[LOSS]], %[[AUX]], %[[B_ADJ]], %[[ZERO]], %[[W_ADJ]]
