// RUN: r1-opt --r1-fuse %s | FileCheck %s
// An update of parts of the pools: "param@16" is a view from float 16 on, "loss" what @backward gives. New values are
// written over the old ones, but not where the same kernel reads the old ones at other places.

// CHECK-DAG: kern.buffer @state_m : memref<4096xf32> {field = "m", pool = "state"}
// CHECK-DAG: kern.buffer @params_16 : memref<4x4xf32> {at = 16 : i64, inside = @params, pool = "param"}
// CHECK-DAG: kern.buffer @grads_16 : memref<4x4xf32> {at = 16 : i64, inside = @grads, pool = "grad"}
// CHECK-DAG: kern.buffer @state_m_16 : memref<4x4xf32> {at = 16 : i64, inside = @state_m, pool = "state"}
// CHECK-DAG: kern.buffer @copy_bf16_16 : memref<4x4xbf16> {at = 16 : i64, inside = @copy_bf16, pool = "copy"}
#id = affine_map<(i, j) -> (i, j)>
#t = affine_map<(i, j) -> (j, i)>
#none = affine_map<(i, j) -> ()>
r1.leaf "a" : tensor<16xf32> {a = 0.0 : f64, b = 1.0 : f64, dist = 1 : i32}
r1.leaf "w" : tensor<4x4xf32> {a = 0.0 : f64, b = 1.0 : f64, dist = 1 : i32}

func.func @loss(%x: tensor<4x4xf32> {r1.name = "x"}) -> (tensor<f32> {r1.name = "loss"}) attributes {r1.entry = "loss"} {
  %w = r1.param "w" : tensor<4x4xf32>
  %wh = r1.map ins(%w : tensor<4x4xf32>) maps [#id] {
  ^bb0(%a: f32):
    %t = arith.truncf %a : f32 to bf16
    r1.yield %t : bf16
  } -> tensor<4x4xbf16>
  %l = r1.reduce sum %x dims [0, 1] : tensor<4x4xf32> -> tensor<f32>
  return %l : tensor<f32>
}
func.func @backward(%x: tensor<4x4xf32> {r1.name = "x"})
    -> (tensor<f32> {r1.name = "loss"}, tensor<4x4xf32> {r1.name = "grad:w"}) attributes {r1.entry = "backward"} {
  %w = r1.param "w" : tensor<4x4xf32>
  %wh = r1.map ins(%w : tensor<4x4xf32>) maps [#id] {
  ^bb0(%a: f32):
    %t = arith.truncf %a : f32 to bf16
    r1.yield %t : bf16
  } -> tensor<4x4xbf16>
  %g = r1.map ins(%wh, %x : tensor<4x4xbf16>, tensor<4x4xf32>) maps [#id, #id] {
  ^bb0(%a: bf16, %b: f32):
    %e = arith.extf %a : bf16 to f32
    %m = arith.mulf %e, %b : f32
    r1.yield %m : f32
  } -> tensor<4x4xf32>
  %l = r1.reduce sum %g dims [0, 1] : tensor<4x4xf32> -> tensor<f32>
  return %l, %g : tensor<f32>, tensor<4x4xf32>
}

// The weights are replaced in place, and rounded. The momentum is read by rows and by columns: a place of its own,
// then a copy.
// CHECK: kern.program @step
// CHECK: kern.launch @{{.*}} [@grads_16, @state_m_16, @step_loss, [[NEW:@t[_0-9]*]], @step_turned]
// CHECK: kern.launch @copy{{.*}} {{\[}}[[NEW]], @state_m_16]
// CHECK: kern.end
func.func @update(%p: tensor<4x4xf32> {r1.role = "param@16"}, %g: tensor<4x4xf32> {r1.role = "grad@16"},
                  %m: tensor<4x4xf32> {r1.role = "state:m@16"}, %loss: tensor<f32> {r1.role = "loss"})
    -> (tensor<4x4xf32> {r1.role = "param@16"}, tensor<4x4xf32> {r1.role = "state:m@16"},
        tensor<4x4xf32> {r1.name = "turned"}) attributes {r1.entry = "update"} {
  %f = r1.reduce sum %g dims [0, 1] : tensor<4x4xf32> -> tensor<f32>
  %next = r1.map ins(%m, %f : tensor<4x4xf32>, tensor<f32>) maps [#id, #none] {
  ^bb0(%a: f32, %b: f32):
    %s = arith.addf %a, %b : f32
    r1.yield %s : f32
  } -> tensor<4x4xf32>
  %turned = r1.map ins(%m, %f, %loss : tensor<4x4xf32>, tensor<f32>, tensor<f32>) maps [#t, #none, #none] {
  ^bb0(%a: f32, %b: f32, %l: f32):
    %c = arith.addf %a, %b : f32
    %s = arith.mulf %c, %l : f32
    r1.yield %s : f32
  } -> tensor<4x4xf32>
  %new = r1.map ins(%p, %g : tensor<4x4xf32>, tensor<4x4xf32>) maps [#id, #id] {
  ^bb0(%a: f32, %b: f32):
    %s = arith.subf %a, %b : f32
    r1.yield %s : f32
  } -> tensor<4x4xf32>
  return %new, %next, %turned : tensor<4x4xf32>, tensor<4x4xf32>, tensor<4x4xf32>
}
