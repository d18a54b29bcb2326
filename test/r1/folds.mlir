// Each canonicalisation once; the equation is beside its pattern in R1Folds.cpp.
// RUN: r1-opt -canonicalize %s | FileCheck %s

// CHECK-DAG: #[[$X:.*]] = affine_map<(d0, d1, d2) -> (d2, d0)>
// CHECK-DAG: #[[$W:.*]] = affine_map<(d0, d1, d2) -> (d2, d1)>
// CHECK-DAG: #[[$OUT:.*]] = affine_map<(d0, d1, d2) -> (d1, d0)>

// CHECK-LABEL: @reshapes
// CHECK-SAME: (%[[X:.*]]: tensor<4x6xf32>)
func.func @reshapes(%x: tensor<4x6xf32>) -> (tensor<2x12xf32>, tensor<4x6xf32>, tensor<4xf32>) {
  %a = r1.reshape %x : tensor<4x6xf32> -> tensor<24xf32>
  // CHECK: %[[C:.*]] = arith.constant dense<1.000000e+00> : tensor<4xf32>
  // CHECK: %[[B:.*]] = r1.reshape %[[X]] : tensor<4x6xf32> -> tensor<2x12xf32>
  %b = r1.reshape %a : tensor<24xf32> -> tensor<2x12xf32>
  %c = r1.reshape %b : tensor<2x12xf32> -> tensor<4x6xf32>
  %one = arith.constant dense<1.0> : tensor<2x2xf32>
  %d = r1.reshape %one : tensor<2x2xf32> -> tensor<4xf32>
  // CHECK: return %[[B]], %[[X]], %[[C]]
  return %b, %c, %d : tensor<2x12xf32>, tensor<4x6xf32>, tensor<4xf32>
}

// Two transpositions are none; the identity goes.
// CHECK-LABEL: @views
// CHECK-SAME: (%[[X:.*]]: tensor<4x6xf32>)
func.func @views(%x: tensor<4x6xf32>) -> tensor<4x6xf32> {
  %t = r1.map ins(%x : tensor<4x6xf32>) maps [affine_map<(a, b) -> (b, a)>] {
  ^bb0(%e: f32):
    r1.yield %e : f32
  } -> tensor<6x4xf32>
  %u = r1.map ins(%t : tensor<6x4xf32>) maps [affine_map<(a, b) -> (b, a)>] {
  ^bb0(%e: f32):
    r1.yield %e : f32
  } -> tensor<4x6xf32>
  // CHECK-NEXT: return %[[X]]
  return %u : tensor<4x6xf32>
}

// An unused input, an equal one and a constant leave the list.
// CHECK-LABEL: @inputs
// CHECK-SAME: (%[[X:.*]]: tensor<4xf32>, %{{.*}}: tensor<4xf32>)
func.func @inputs(%x: tensor<4xf32>, %y: tensor<4xf32>) -> tensor<4xf32> {
  %two = arith.constant dense<2.0> : tensor<4xf32>
  // CHECK: r1.map ins(%[[X]] : tensor<4xf32>)
  // CHECK: ^bb0(%[[E:.*]]: f32):
  // CHECK: %[[TWO:.*]] = arith.constant 2.000000e+00 : f32
  // CHECK: %[[M:.*]] = arith.mulf %[[E]], %[[TWO]] : f32
  // CHECK: arith.addf %[[M]], %[[E]] : f32
  %r = r1.map ins(%x, %y, %two, %x : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>)
      maps [affine_map<(a) -> (a)>, affine_map<(a) -> (a)>, affine_map<(a) -> (a)>, affine_map<(a) -> (a)>] {
  ^bb0(%e: f32, %f: f32, %g: f32, %h: f32):
    %m = arith.mulf %e, %g : f32
    %s = arith.addf %m, %h : f32
    r1.yield %s : f32
  } -> tensor<4xf32>
  return %r : tensor<4xf32>
}

// A product reads and writes permuted tensors itself.
// CHECK-LABEL: @products
func.func @products(%x: tensor<8x4xf32>, %w: tensor<8x3xf32>) -> tensor<3x4xf32> {
  %t = r1.map ins(%x : tensor<8x4xf32>) maps [affine_map<(a, b) -> (b, a)>] {
  ^bb0(%e: f32):
    r1.yield %e : f32
  } -> tensor<4x8xf32>
  // CHECK-NEXT: r1.contract %{{.*}}, %{{.*}} maps [#[[$X]], #[[$W]], #[[$OUT]]] : tensor<8x4xf32>, tensor<8x3xf32> -> tensor<3x4xf32>
  // CHECK-NEXT: return
  %y = r1.contract %t, %w maps [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>,
                                affine_map<(m, n, k) -> (m, n)>]
    : tensor<4x8xf32>, tensor<8x3xf32> -> tensor<4x3xf32>
  %u = r1.map ins(%y : tensor<4x3xf32>) maps [affine_map<(a, b) -> (b, a)>] {
  ^bb0(%e: f32):
    r1.yield %e : f32
  } -> tensor<3x4xf32>
  return %u : tensor<3x4xf32>
}
