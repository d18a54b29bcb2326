// RUN: r1-opt --r1-decode="rows=3 slots=10 chunk=4" %s | FileCheck %s

// One new position for each of three texts; caches have room for the unused end of a chunk of prefill.
// CHECK-LABEL: func.func @decode
// CHECK-SAME: %[[ID:arg[0-9]+]]: tensor<3x1xi32> {r1.name = "x.id"}, %[[POS:arg[0-9]+]]: tensor<3x1xi32> {r1.name = "x.pos"}
// CHECK-SAME: %[[AT:arg[0-9]+]]: tensor<3xi32, #r1.ty<dims = [], bound = 10>> {r1.name = "at"}
// CHECK-SAME: tensor<3x13x1x4xf32> {r1.role = "cache:k0"}
// CHECK-SAME: tensor<3x13xi32> {r1.role = "cache:mask0.0"}
// CHECK-SAME: -> (tensor<3x9xf32> {r1.name = "logits"}, tensor<3xf32> {r1.name = "lse"}
// CHECK: %[[H:.*]] = r1.gather {{.*}} -> tensor<3x1x4xf32>
// CHECK: %[[P:.*]] = r1.kernel "cache_write" ins(%[[POS]]
// CHECK: r1.kernel "flash_attention" ins({{.*}} : tensor<3x1x1x4xf32>, tensor<3x13x1x4xf32>, tensor<3x13x1x4xf32>)
// CHECK-SAME: captures(%[[P]], %[[AT]]
// CHECK-SAME: base = 1
// CHECK: ^bb0(%[[B:.*]]: index, %[[T:.*]]: index, %[[S:.*]]: index, %[[OLD:.*]]: tensor<3x13xi32>, %[[BASE:.*]]: tensor<3xi32
// CHECK: %[[FIRST:.*]] = r1.read %[[BASE]][%[[B]]]
// CHECK: %[[FIRST_I:.*]] = arith.index_cast %[[FIRST]]
// CHECK: %[[SLOT:.*]] = arith.addi %[[FIRST_I]], %[[T]]
// CHECK: r1.read %[[OLD]][%[[B]], %[[S]]]
// CHECK: r1.read %[[OLD]][%[[B]], %[[SLOT]]]
// CHECK: arith.cmpi sle, %[[S]], %[[SLOT]]
// CHECK: r1.logsumexp

// Only keys and values of all new positions are needed: of the query, and of what follows, the one that is
// asked for.
// CHECK-LABEL: func.func @prefill
// CHECK-SAME: tensor<3x4xi32> {r1.name = "x.id"}
// CHECK-SAME: %[[LAST:arg[0-9]+]]: tensor<3xi32, #r1.ty<dims = [], bound = 4>> {r1.name = "last"}
// CHECK: r1.gather {{.*}} -> tensor<3x4x4xf32>
// CHECK: %[[Q:.*]] = r1.gather %{{.*}}[%[[LAST]]] axis 1
// CHECK-SAME: -> tensor<3x1x1x4xf32>
// CHECK: r1.kernel "flash_attention" ins(%[[Q]],
func.func @logits(%id: tensor<1x16xi32> {r1.name = "x.id"}, %pos: tensor<1x16xi32> {r1.name = "x.pos"})
    -> (tensor<1x16x9xf32> {r1.name = "logits"}) attributes {r1.entry = "logits"} {
  %w = r1.param "table" : tensor<9x4xf32>
  %h = r1.gather %w[%id] axis 0 maps [affine_map<(b, t, d) -> (0, d)>, affine_map<(b, t, d) -> (b, t)>]
    : tensor<9x4xf32>, tensor<1x16xi32> -> tensor<1x16x4xf32>
  %x = r1.reshape %h : tensor<1x16x4xf32> -> tensor<1x16x1x4xf32>
  %a = r1.kernel "flash_attention" ins(%x, %x, %x : tensor<1x16x1x4xf32>, tensor<1x16x1x4xf32>, tensor<1x16x1x4xf32>)
      captures(%pos : tensor<1x16xi32>) lambdas {
  ^bb0(%b: index, %t: index, %s: index, %p: tensor<1x16xi32>):
    %zero = arith.constant 0 : i32
    %ps = r1.read %p[%b, %s] else %zero : tensor<1x16xi32>
    %pt = r1.read %p[%b, %t] else %zero : tensor<1x16xi32>
    %ok = arith.cmpi sle, %ps, %pt : i32
    r1.yield %ok : i1
  } -> tensor<1x16x1x4xf32>
  %y = r1.reshape %a : tensor<1x16x1x4xf32> -> tensor<1x16x4xf32>
  %z = r1.contract %y, %w maps [affine_map<(b, t, v, d) -> (b, t, d)>, affine_map<(b, t, v, d) -> (v, d)>,
                                affine_map<(b, t, v, d) -> (b, t, v)>]
    : tensor<1x16x4xf32>, tensor<9x4xf32> -> tensor<1x16x9xf32>
  return %z : tensor<1x16x9xf32>
}
