// The shapes that matter most, in one small graph: an embedding used again as the head, frozen
// and trainable parameters, a mask that only counts, rows that stand second.
// RUN: r1-opt --r1-grad %s | FileCheck %s
// RUN: r1-opt --test-grad-fd %s -o /dev/null

#id3 = affine_map<(d0, d1, d2) -> (d0, d1, d2)>
#id2 = affine_map<(d0, d1) -> (d0, d1)>

r1.leaf "frozen" : tensor<3x3xf32> {dist = 2 : i32, a = -1.0 : f64, b = 1.0 : f64, trainable = false}
r1.leaf "table" : tensor<6x3xf32> {dist = 2 : i32, a = -1.0 : f64, b = 1.0 : f64}
r1.leaf "w" : tensor<3x3xf32> {dist = 2 : i32, a = -1.0 : f64, b = 1.0 : f64}

// CHECK-DAG: #[[$ROWS_FIRST:.*]] = affine_map<(d0, d1, d2, d3) -> (d3, d2, d1)>
// CHECK-LABEL: func.func @backward
// CHECK-SAME: (%[[IDS:[^:]+]]:
// CHECK-SAME: "grad:table"
// CHECK-SAME: "grad:w"
// CHECK-NOT: "grad:frozen"
func.func @loss(%ids: tensor<2x4xi32, #r1.ty<dims = ["B", "T"], bound = 6>> {r1.name = "id", r1.rows},
                %target: tensor<2x4xi32, #r1.ty<dims = ["B", "T"], bound = 6>> {r1.name = "target", r1.rows},
                %mask: tensor<2x4xi1> {r1.name = "mask", r1.rows})
    -> (tensor<f32> {r1.name = "loss"}) attributes {r1.entry = "loss"} {
  %table = r1.param "table" : tensor<6x3xf32>
  %frozen = r1.param "frozen" : tensor<3x3xf32>
  %w = r1.param "w" : tensor<3x3xf32>
  %e = r1.gather %table[%ids] axis 0 maps [affine_map<(b, t, d) -> (0, d)>, affine_map<(b, t, d) -> (b, t)>]
    : tensor<6x3xf32>, tensor<2x4xi32, #r1.ty<dims = ["B", "T"], bound = 6>> -> tensor<2x4x3xf32>
  %f = r1.contract %e, %frozen maps [affine_map<(b, t, o, i) -> (b, t, i)>, affine_map<(b, t, o, i) -> (i, o)>,
                                     affine_map<(b, t, o, i) -> (b, t, o)>]
    : tensor<2x4x3xf32>, tensor<3x3xf32> -> tensor<2x4x3xf32>
  // The result stands as (t, b, o): its sums over rows still go over b first.
  %h = r1.contract %f, %w maps [affine_map<(t, b, o, i) -> (b, t, i)>, affine_map<(t, b, o, i) -> (i, o)>,
                                affine_map<(t, b, o, i) -> (t, b, o)>]
    : tensor<2x4x3xf32>, tensor<3x3xf32> -> tensor<4x2x3xf32>
  %z = r1.contract %h, %table maps [affine_map<(b, t, v, d) -> (t, b, d)>, affine_map<(b, t, v, d) -> (v, d)>,
                                    affine_map<(b, t, v, d) -> (b, t, v)>]
    : tensor<4x2x3xf32>, tensor<6x3xf32> -> tensor<2x4x6xf32>
  %n = r1.logsumexp %z axis 2 : tensor<2x4x6xf32> -> tensor<2x4xf32>
  %g = r1.gather %z[%target] axis 2 maps [affine_map<(b, t) -> (b, t, 0)>, affine_map<(b, t) -> (b, t)>]
    : tensor<2x4x6xf32>, tensor<2x4xi32, #r1.ty<dims = ["B", "T"], bound = 6>> -> tensor<2x4xf32>
  %l = r1.map ins(%n, %g, %mask : tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xi1>) maps [#id2, #id2, #id2] {
  ^bb0(%ne: f32, %ge: f32, %m: i1):
    %d = arith.subf %ne, %ge : f32
    %zero = arith.constant 0.0 : f32
    %s = arith.select %m, %d, %zero : f32
    r1.yield %s : f32
  } -> tensor<2x4xf32>
  %ones = r1.map ins(%mask : tensor<2x4xi1>) maps [#id2] {
  ^bb0(%m: i1):
    %s = arith.uitofp %m : i1 to f32
    r1.yield %s : f32
  } -> tensor<2x4xf32>
  %sum = r1.reduce sum %l dims [0, 1] : tensor<2x4xf32> -> tensor<f32>
  %count = r1.reduce sum %ones dims [0, 1] : tensor<2x4xf32> -> tensor<f32>
  %loss = r1.map ins(%sum, %count : tensor<f32>, tensor<f32>) maps [affine_map<() -> ()>, affine_map<() -> ()>] {
  ^bb0(%a: f32, %b: f32):
    %q = arith.divf %a, %b : f32
    r1.yield %q : f32
  } -> tensor<f32>
  return %loss : tensor<f32>
}
// The adjoint of the logits is maps alone: one at the target, and exp(z - n).
// CHECK-NOT: r1.scatter_add
// CHECK: r1.index 2
// CHECK: %[[EXP:.*]] = r1.map ins
// CHECK: math.exp
// CHECK: %[[Z_ADJ:.*]] = r1.map ins(%{{.*}}, %[[EXP]] : tensor<2x4x6xf32>, tensor<2x4x6xf32>)
// The table has two contributions: a product as the head, a scatter as the embedding.
// CHECK: %[[HEAD:.*]] = r1.contract %{{.*}}, %[[Z_ADJ]] maps {{.*}} -> tensor<6x3xf32>
// CHECK: %[[W_ADJ:.*]] = r1.contract %{{.*}}, %{{.*}} maps [#{{.*}}, #[[$ROWS_FIRST]], #{{.*}}] : tensor<2x4x3xf32>, tensor<4x2x3xf32> -> tensor<3x3xf32>
// CHECK: %[[EMBED:.*]] = r1.scatter_add %{{.*}}[%[[IDS]]] axis 0
// CHECK: %[[TABLE_ADJ:.*]] = r1.map ins(%[[HEAD]], %[[EMBED]] : tensor<6x3xf32>, tensor<6x3xf32>)
// CHECK: return %{{.*}}, %[[TABLE_ADJ]], %[[W_ADJ]]
