// r1.grad: values and gradients by path, in the middle of another function; what they are is
// checked by evaluation.
// RUN: r1-opt --r1-grad --r1-eval=fn=main %s | FileCheck %s

// loss = sum((x * w)^2), so the gradient of w is 2 x (x w), that of the absent path zero.
func.func private @loss(%x: tensor<2xf32>) -> (tensor<f32>, tensor<f32>) {
  %w = r1.param "w" : tensor<2xf32>
  %y = r1.map ins(%x, %w : tensor<2xf32>, tensor<2xf32>)
      maps [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>] {
  ^bb0(%a: f32, %b: f32):
    %p = arith.mulf %a, %b : f32
    %q = arith.mulf %p, %p : f32
    r1.yield %q : f32
  } -> tensor<2xf32>
  %l = r1.reduce sum %y dims [0] : tensor<2xf32> -> tensor<f32>
  %m = r1.reduce max %y dims [0] : tensor<2xf32> -> tensor<f32>
  return %l, %m : tensor<f32>, tensor<f32>
}

// CHECK: @main 0 [] = 34
// CHECK: @main 1 [] = 25
// CHECK: @main 2 [2] = 18 50
// CHECK: @main 3 [3] = 0 0 0
// What is made of gradients says so.
// CHECK-LABEL: func.func @main
// CHECK-SAME: -> (tensor<f32>, tensor<f32>, tensor<2xf32> {r1.of_grad}, tensor<3xf32> {r1.of_grad})
// CHECK-NOT: r1.grad
r1.leaf "w" : tensor<2xf32> {dist = 0 : i32, a = 1.0 : f64, b = 0.0 : f64}
func.func @main() -> (tensor<f32>, tensor<f32>, tensor<2xf32>, tensor<3xf32>) {
  %x = arith.constant dense<[3.0, 5.0]> : tensor<2xf32>
  %l, %m, %g, %z = r1.grad @loss(%x) wrt ["w", "absent"]
    : (tensor<2xf32>) -> (tensor<f32>, tensor<f32>, tensor<2xf32>, tensor<3xf32>)
  return %l, %m, %g, %z : tensor<f32>, tensor<f32>, tensor<2xf32>, tensor<3xf32>
}
