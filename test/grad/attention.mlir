// Attention as a registered kernel: its adjoint against central differences of the body. Two
// queries heads share a key head; the third query sees no key.
// RUN: r1-opt --test-grad-fd %s -o /dev/null
// RUN: r1-opt --r1-grad %s | FileCheck %s

r1.leaf "k" : tensor<1x4x1x3xf64> {dist = 2 : i32, a = -1.0 : f64, b = 1.0 : f64}
r1.leaf "q" : tensor<1x3x2x3xf64> {dist = 2 : i32, a = -1.0 : f64, b = 1.0 : f64}
r1.leaf "v" : tensor<1x4x1x3xf64> {dist = 2 : i32, a = -1.0 : f64, b = 1.0 : f64}

// The forward kernel keeps the log-sum-exp; the backward one reads it.
// CHECK-LABEL: func.func @backward
// CHECK: %[[OUT:[^ :]+]]:2 = r1.kernel "flash_attention" ins(%[[Q:[^ ,]+]], %[[K:[^ ,]+]], %[[V:[^ ,]+]] :
// CHECK-SAME: body @attention lambdas
// CHECK: -> tensor<1x3x2x3xf64>, tensor<1x2x3xf64>
// CHECK: %[[BACK:.*]]:3 = r1.kernel "flash_attention_bwd" ins(%[[Q]], %[[K]], %[[V]], %[[OUT]]#0, %[[OUT]]#1, %{{[^ ]+}} :
// CHECK-SAME: captures(%{{.*}} : tensor<3xi32>) lambdas
// CHECK: return %{{.*}}, %[[BACK]]#1, %[[BACK]]#0, %[[BACK]]#2
func.func @loss() -> tensor<f64> attributes {r1.entry = "loss"} {
  %q = r1.param "q" : tensor<1x3x2x3xf64>
  %k = r1.param "k" : tensor<1x4x1x3xf64>
  %v = r1.param "v" : tensor<1x4x1x3xf64>
  %last = arith.constant dense<[1, 3, -1]> : tensor<3xi32>
  %y = r1.kernel "flash_attention"
      ins(%q, %k, %v : tensor<1x3x2x3xf64>, tensor<1x4x1x3xf64>, tensor<1x4x1x3xf64>)
      captures(%last : tensor<3xi32>) body @attention lambdas {
  ^bb0(%b: index, %t: index, %s: index, %l: tensor<3xi32>):
    %none = arith.constant -1 : i32
    %e = r1.read %l[%t] else %none : tensor<3xi32>
    %end = arith.index_cast %e : i32 to index
    %ok = arith.cmpi sle, %s, %end : index
    r1.yield %ok : i1
  } -> tensor<1x3x2x3xf64>
  %z = r1.map ins(%y : tensor<1x3x2x3xf64>) maps [affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>] {
  ^bb0(%a: f64):
    %c = r1.index 3
    %i = arith.index_cast %c : index to i32
    %w = arith.sitofp %i : i32 to f64
    %sin = math.sin %a : f64
    %p = arith.mulf %sin, %w : f64
    r1.yield %p : f64
  } -> tensor<1x3x2x3xf64>
  %loss = r1.reduce sum %z dims [0, 1, 2, 3] : tensor<1x3x2x3xf64> -> tensor<f64>
  return %loss : tensor<f64>
}

func.func private @attention(%q: tensor<1x3x2x3xf64>, %k: tensor<1x4x1x3xf64>,
                             %v: tensor<1x4x1x3xf64>, %last: tensor<3xi32>) -> tensor<1x3x2x3xf64> {
  %dot = r1.contract %q, %k maps [affine_map<(b, h, t, s, g, c) -> (b, t, h, c)>,
                                  affine_map<(b, h, t, s, g, c) -> (b, s, g, c)>,
                                  affine_map<(b, h, t, s, g, c) -> (b, h, t, s)>]
    : tensor<1x3x2x3xf64>, tensor<1x4x1x3xf64> -> tensor<1x2x3x4xf64>
  %a = r1.map ins(%dot, %last : tensor<1x2x3x4xf64>, tensor<3xi32>)
      maps [affine_map<(b, h, t, s) -> (b, h, t, s)>, affine_map<(b, h, t, s) -> (t)>] {
  ^bb0(%x: f64, %e: i32):
    %s = r1.index 3
    %end = arith.index_cast %e : i32 to index
    %ok = arith.cmpi sle, %s, %end : index
    %scale = arith.constant 0.57735026918962576 : f64
    %lost = arith.constant 0xFFF0000000000000 : f64
    %scaled = arith.mulf %x, %scale : f64
    %r = arith.select %ok, %scaled, %lost : f64
    r1.yield %r : f64
  } -> tensor<1x2x3x4xf64>
  %p = r1.softmax %a axis 3 : tensor<1x2x3x4xf64> -> tensor<1x2x3x4xf64>
  %y = r1.contract %p, %v maps [affine_map<(b, t, h, c, s, g) -> (b, h, t, s)>,
                                affine_map<(b, t, h, c, s, g) -> (b, s, g, c)>,
                                affine_map<(b, t, h, c, s, g) -> (b, t, h, c)>]
    : tensor<1x2x3x4xf64>, tensor<1x4x1x3xf64> -> tensor<1x3x2x3xf64>
  return %y : tensor<1x3x2x3xf64>
}
