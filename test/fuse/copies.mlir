// RUN: r1-opt --r1-fuse %s | FileCheck %s
// Parameters that are read rounded lie rounded in a pool of their own; one that is read in f32 too
// is read from both.

// CHECK-DAG: kern.buffer @copy_bf16 : memref<4096xbf16> {pool = "copy"}
// CHECK-DAG: kern.buffer @frozen_copy_bf16 : memref<4096xbf16> {pool = "copy"}
// CHECK-DAG: kern.buffer @c_w : memref<4x8xbf16> {at = 0 : i64, inside = @copy_bf16, pool = "copy"}
// CHECK-DAG: kern.buffer @c_u : memref<8x4xbf16> {at = 0 : i64, inside = @frozen_copy_bf16, pool = "copy"}
#id = affine_map<(i, j) -> (i, j)>
#n = affine_map<(i) -> (i)>
r1.leaf "u" : tensor<8x4xf32> {a = 0.0 : f64, b = 1.0 : f64, dist = 1 : i32, trainable = false}
r1.leaf "w" : tensor<4x8xf32> {a = 0.0 : f64, b = 1.0 : f64, dist = 1 : i32}

// CHECK: kern.program @forward
// CHECK: kern.launch @{{.*}} [@c_w, @c_u, @forward_y]
// CHECK: kern.launch @{{.*}} [@p_w, @forward_s]
func.func @forward() -> (tensor<4x4xf32> {r1.name = "y"}, tensor<4x8xf32> {r1.name = "s"})
    attributes {r1.entry = "forward"} {
  %w = r1.param "w" : tensor<4x8xf32>
  %u = r1.param "u" : tensor<8x4xf32>
  %wh = r1.map ins(%w : tensor<4x8xf32>) maps [#id] {
  ^bb0(%a: f32):
    %t = arith.truncf %a : f32 to bf16
    r1.yield %t : bf16
  } -> tensor<4x8xbf16>
  %uh = r1.map ins(%u : tensor<8x4xf32>) maps [#id] {
  ^bb0(%a: f32):
    %t = arith.truncf %a : f32 to bf16
    r1.yield %t : bf16
  } -> tensor<8x4xbf16>
  %y = r1.contract %wh, %uh maps [affine_map<(i, j, k) -> (i, k)>, affine_map<(i, j, k) -> (k, j)>, affine_map<(i, j, k) -> (i, j)>]
    : tensor<4x8xbf16>, tensor<8x4xbf16> -> tensor<4x4xf32>
  %s = r1.map ins(%w : tensor<4x8xf32>) maps [#id] {
  ^bb0(%a: f32):
    %t = arith.mulf %a, %a : f32
    r1.yield %t : f32
  } -> tensor<4x8xf32>
  return %y, %s : tensor<4x4xf32>, tensor<4x8xf32>
}

// The update writes both pools in one sweep.
// CHECK: kern.program @update
// CHECK-NEXT: kern.launch @{{.*}} [@params, @grads, @copy_bf16]
// CHECK-NEXT: kern.end
func.func @update(%p: tensor<4096xf32> {r1.role = "param"}, %g: tensor<4096xf32> {r1.role = "grad"})
    -> (tensor<4096xf32> {r1.role = "param"}) attributes {r1.entry = "update"} {
  %next = r1.map ins(%p, %g : tensor<4096xf32>, tensor<4096xf32>) maps [#n, #n] {
  ^bb0(%a: f32, %b: f32):
    %d = arith.subf %a, %b : f32
    r1.yield %d : f32
  } -> tensor<4096xf32>
  return %next : tensor<4096xf32>
}
func.func @loss(%x: tensor<2xf32> {r1.name = "x"}) -> (tensor<4x8xf32> {r1.name = "grad:w"}) attributes {r1.entry = "loss"} {
  %w = r1.param "w" : tensor<4x8xf32>
  return %w : tensor<4x8xf32>
}

// What the host calls when it has written parameters.
// CHECK: kern.program @refresh inputs [] scalars [] outputs []
// CHECK-DAG: kern.launch @{{.*}} [@params, @copy_bf16]
// CHECK-DAG: kern.launch @{{.*}} [@frozen, @frozen_copy_bf16]
