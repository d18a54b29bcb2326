// Logits, their loss and their gradient in chunks of rows: the [48, 40] results of the head exist
// for 8 rows at a time, the table's gradient chains over the chunks.
// RUN: r1-opt %s --r1-fuse=chunk-bytes=1280 | FileCheck %s

// CHECK: kern.buffer @[[Z:.+]] : memref<8x40xf32> {pool = "work"}
// CHECK: kern.buffer @[[DZ:.+]] : memref<8x40xf32> {pool = "work"}
// CHECK-LABEL: kern.program @head
// CHECK-NEXT: kern.fill @head_dw
// CHECK-NEXT: kern.loop 6 over "rows" {
// CHECK-NEXT: kern.launch @{{.*}} [@head_h, @head_w, @[[Z]]] strides [768, 0, 0, 0, 0, 0]
// CHECK-NEXT: kern.launch @{{.*}} [@[[Z]], @head_c, @head_t, @[[DZ]], @head_loss] strides [0, 0, 32, 0, 32, 0, 0, 0, 32, 0]
// CHECK-NEXT: kern.launch @{{.*}} [@[[DZ]], @head_w, @head_dh] strides [0, 0, 0, 0, 768, 0]
// CHECK-NEXT: kern.launch @{{.*}} [@[[DZ]], @head_h, @head_dw] strides [0, 0, 768, 0, 0, 0]
// CHECK-NEXT: kern.end
// CHECK: kern.product @{{.*}} sizes [40, 24, 8] {{.*}} accumulate true
func.func @head(%h: tensor<48x24xf32> {r1.name = "h"}, %w: tensor<40x24xf32> {r1.name = "w"},
                %t: tensor<48xi32> {r1.name = "t"}, %c: tensor<48xf32> {r1.name = "c"})
    -> (tensor<48xf32> {r1.name = "loss"}, tensor<48x24xf32> {r1.name = "dh"}, tensor<40x24xf32> {r1.name = "dw"}) {
  %z = r1.contract %h, %w maps [affine_map<(r, v, d) -> (r, d)>, affine_map<(r, v, d) -> (v, d)>, affine_map<(r, v, d) -> (r, v)>]
    : tensor<48x24xf32>, tensor<40x24xf32> -> tensor<48x40xf32>
  %n = r1.logsumexp %z axis 1 : tensor<48x40xf32> -> tensor<48xf32>
  %zt = r1.gather %z[%t] axis 1 maps [affine_map<(r) -> (r, 0)>, affine_map<(r) -> (r)>] : tensor<48x40xf32>, tensor<48xi32> -> tensor<48xf32>
  %l = r1.map ins(%n, %zt : tensor<48xf32>, tensor<48xf32>) maps [affine_map<(r) -> (r)>, affine_map<(r) -> (r)>] {
  ^bb0(%a: f32, %b: f32):
    %y = arith.subf %a, %b : f32
    r1.yield %y : f32
  } -> tensor<48xf32>
  %p = r1.map ins(%z, %n, %c : tensor<48x40xf32>, tensor<48xf32>, tensor<48xf32>)
      maps [affine_map<(r, v) -> (r, v)>, affine_map<(r, v) -> (r)>, affine_map<(r, v) -> (r)>] {
  ^bb0(%a: f32, %b: f32, %e: f32):
    %s = arith.subf %a, %b : f32
    %x = math.exp %s : f32
    %y = arith.mulf %x, %e : f32
    r1.yield %y : f32
  } -> tensor<48x40xf32>
  %m = r1.scatter_add %c[%t] axis 1 maps [affine_map<(r) -> (r, 0)>, affine_map<(r) -> (r)>] : tensor<48xf32>, tensor<48xi32> -> tensor<48x40xf32>
  %dz = r1.map ins(%p, %m : tensor<48x40xf32>, tensor<48x40xf32>) maps [affine_map<(r, v) -> (r, v)>, affine_map<(r, v) -> (r, v)>] {
  ^bb0(%a: f32, %b: f32):
    %y = arith.subf %a, %b : f32
    r1.yield %y : f32
  } -> tensor<48x40xf32>
  %dh = r1.contract %dz, %w maps [affine_map<(r, d, v) -> (r, v)>, affine_map<(r, d, v) -> (v, d)>, affine_map<(r, d, v) -> (r, d)>]
    : tensor<48x40xf32>, tensor<40x24xf32> -> tensor<48x24xf32>
  %dw = r1.contract %dz, %h maps [affine_map<(v, d, r) -> (r, v)>, affine_map<(v, d, r) -> (r, d)>, affine_map<(v, d, r) -> (v, d)>]
    : tensor<48x40xf32>, tensor<48x24xf32> -> tensor<40x24xf32>
  return %l, %dh, %dw : tensor<48xf32>, tensor<48x24xf32>, tensor<40x24xf32>
}
