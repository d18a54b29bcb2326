// Mixed precision: the parameter is f32, the product bf16. Its gradient is a product that yields f32
// at once; the gradient of the activations is rounded to their bf16; a bias sums in f32.
// RUN: r1-opt --r1-grad %s | FileCheck %s

r1.leaf "b" : tensor<3xf32> {dist = 0 : i32, a = 0.0 : f64, b = 0.0 : f64}
r1.leaf "w" : tensor<4x3xf32> {dist = 1 : i32, a = 0.0 : f64, b = 1.0 : f64}

// CHECK-LABEL: func.func @backward
// CHECK: arith.truncf %{{.*}} : f32 to bf16
// CHECK: -> tensor<8x3xbf16>
// CHECK: %[[B_ADJ:.*]] = r1.reduce sum %{{.*}} dims [0] : tensor<8x3xf32> -> tensor<3xf32>
// CHECK: %[[W_ADJ:.*]] = r1.contract {{.*}} : tensor<8x4xbf16>, tensor<8x3xbf16> -> tensor<4x3xf32>
// CHECK: return %{{.*}}, %[[B_ADJ]], %[[W_ADJ]] : tensor<f32>, tensor<3xf32>, tensor<4x3xf32>
func.func @loss(%x: tensor<8x4xbf16> {r1.name = "x", r1.rows}) -> tensor<f32>
    attributes {r1.entry = "loss"} {
  %w = r1.param "w" : tensor<4x3xf32>
  %b = r1.param "b" : tensor<3xf32>
  %wh = r1.map ins(%w : tensor<4x3xf32>) maps [affine_map<(d0, d1) -> (d0, d1)>] {
  ^bb0(%a: f32):
    %h = arith.truncf %a : f32 to bf16
    r1.yield %h : bf16
  } -> tensor<4x3xbf16>
  %bh = r1.map ins(%b : tensor<3xf32>) maps [affine_map<(d0) -> (d0)>] {
  ^bb0(%a: f32):
    %h = arith.truncf %a : f32 to bf16
    r1.yield %h : bf16
  } -> tensor<3xbf16>
  %z = r1.contract %x, %wh maps [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>,
                                 affine_map<(m, n, k) -> (m, n)>]
    : tensor<8x4xbf16>, tensor<4x3xbf16> -> tensor<8x3xbf16>
  %y = r1.map ins(%z, %bh : tensor<8x3xbf16>, tensor<3xbf16>)
      maps [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d1)>] {
  ^bb0(%ze: bf16, %be: bf16):
    %s = arith.addf %ze, %be : bf16
    %f = arith.extf %s : bf16 to f32
    %q = arith.mulf %f, %f : f32
    r1.yield %q : f32
  } -> tensor<8x3xf32>
  %l = r1.reduce sum %y dims [0, 1] : tensor<8x3xf32> -> tensor<f32>
  return %l : tensor<f32>
}
