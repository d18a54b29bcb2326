// What grad refuses, and that the comparison with difference quotients notices a wrong gradient.
// RUN: not r1-opt --r1-grad -split-input-file %s 2>&1 | FileCheck %s
// RUN: not r1-opt --test-grad-fd -split-input-file %s 2>&1 | FileCheck %s --check-prefix=FD

// FD: @stopped: the gradient of element 0 of "x" is 0, but the difference quotient is
func.func @stopped() -> tensor<f32> {
  %x = r1.param "x" : tensor<1xf32>
  %y = r1.stop_grad %x : tensor<1xf32> -> tensor<1xf32>
  %l = r1.reduce sum %y dims [0] : tensor<1xf32> -> tensor<f32>
  return %l : tensor<f32>
}

// -----

r1.leaf "x" : tensor<1xf32> {dist = 0 : i32, a = 0.0 : f64, b = 0.0 : f64}
func.func @loss() -> tensor<f32> attributes {r1.entry = "loss"} {
  %x = r1.param "x" : tensor<1xf32>
  %y = r1.map ins(%x : tensor<1xf32>) maps [affine_map<(d0) -> (d0)>] {
  ^bb0(%a: f32):
    // CHECK: error: E0311: math.cbrt is not differentiable, and a gradient is needed here
    %b = math.cbrt %a : f32
    r1.yield %b : f32
  } -> tensor<1xf32>
  %l = r1.reduce sum %y dims [0] : tensor<1xf32> -> tensor<f32>
  return %l : tensor<f32>
}

// -----

r1.leaf "x" : tensor<1xf32> {dist = 0 : i32, a = 0.0 : f64, b = 0.0 : f64}
func.func @loss() -> tensor<1xf32> attributes {r1.entry = "loss"} {
  // CHECK: error: the first result must be a float of rank 0, found 'tensor<1xf32>'
  %x = r1.param "x" : tensor<1xf32>
  return %x : tensor<1xf32>
}

// -----

r1.leaf "x" : tensor<1xf32> {dist = 0 : i32, a = 0.0 : f64, b = 0.0 : f64}
func.func @loss() -> tensor<f32> attributes {r1.entry = "loss"} {
  %x = r1.param "x" : tensor<1xf32>
  // CHECK: error: the reference body @missing does not exist
  %y = r1.kernel "unknown" ins(%x : tensor<1xf32>) body @missing -> tensor<1xf32>
  %l = r1.reduce sum %y dims [0] : tensor<1xf32> -> tensor<f32>
  return %l : tensor<f32>
}

// -----

func.func @twice(%x: tensor<f32>) -> tensor<f32> {
  // CHECK: error: gradients of gradients are not supported yet
  %l, %g = r1.grad @once(%x) wrt ["w"] : (tensor<f32>) -> (tensor<f32>, tensor<f32>)
  return %l : tensor<f32>
}
func.func @once(%x: tensor<f32>) -> tensor<f32> {
  %l, %g = r1.grad @plain(%x) wrt ["w"] : (tensor<f32>) -> (tensor<f32>, tensor<f32>)
  return %g : tensor<f32>
}
func.func @plain(%x: tensor<f32>) -> tensor<f32> {
  %w = r1.param "w" : tensor<f32>
  return %w : tensor<f32>
}
