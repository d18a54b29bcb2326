// Adjoints keep the place of the value they belong to, under its name with `_adj`.
// RUN: r1-opt --r1-grad -mlir-print-debuginfo %s | FileCheck %s

r1.leaf "w" : tensor<2xf32> {dist = 0 : i32, a = 0.0 : f64, b = 0.0 : f64}
// CHECK-LABEL: func.func @backward
// CHECK: math.sin
// CHECK: %[[H:.*]] = r1.map ins(%{{.*}} : tensor<2xf32>)
// CHECK: math.cos
// CHECK: r1.yield %{{.*}} loc(#[[W_ADJ:loc[0-9]+]])
// CHECK: #[[W_ADJ]] = loc("w_adj"(#loc{{[0-9]+}}))
func.func @loss() -> tensor<f32> attributes {r1.entry = "loss"} {
  %w = r1.param "w" : tensor<2xf32> loc("net.r1":7:3)
  %h = r1.map ins(%w : tensor<2xf32>) maps [affine_map<(d0) -> (d0)>] {
  ^bb0(%a: f32):
    %e = math.sin %a : f32
    r1.yield %e : f32
  } -> tensor<2xf32> loc("h"("net.r1":8:3))
  %l = r1.reduce sum %h dims [0] : tensor<2xf32> -> tensor<f32>
  return %l : tensor<f32>
}
