// Rows of a cache along its first axis and along another, with pairs that come again; and new places of each row. What a
// row gets follows from its number, as pairs of one row must have one `from`.
// RUN: fuse-run %s --team 1,2 | FileCheck %s --check-prefix=SAME
// RUN: r1-opt --r1-fuse %s | FileCheck %s
// SAME: ok

// Each lies over the cache that was there.
// CHECK: kern.program @fill
// CHECK: kern.launch {{.*}} [@fill_row, @[[FROM:[a-z0-9_]+]]]
// CHECK: kern.launch {{.*}} [@fill_x, @[[FROM]], @fill_row, @cache_a]
// CHECK-NOT: kern.launch
// CHECK: kern.program @inner
// CHECK: kern.launch {{.*}} [@inner_row, @[[FROM:[a-z0-9_]+]]]
// CHECK: kern.launch {{.*}} [@inner_x, @[[FROM]], @inner_row, @cache_b]
// CHECK-NOT: kern.launch
// CHECK: kern.program @write
// CHECK: kern.launch {{.*}} [@write_x, @write_at, @cache_c]
func.func @fill(%x: tensor<3x5x4xf32> {r1.name = "x"}, %row: tensor<6xi32, #r1.ty<dims = [], bound = 7>> {r1.name = "row"}, %old: tensor<7x5x4xf32> {r1.role = "cache:a"})
    -> (tensor<7x5x4xf32> {r1.role = "cache:a"}) attributes {r1.entry = "fill"} {
  %from = r1.map ins(%row : tensor<6xi32, #r1.ty<dims = [], bound = 7>>) maps [affine_map<(j) -> (j)>] {
  ^bb0(%r: i32):
    %n = arith.constant 3 : i32
    %f = arith.remsi %r, %n : i32
    r1.yield %f : i32
  } -> tensor<6xi32, #r1.ty<dims = [], bound = 3>>
  %y = r1.kernel "cache_fill" ins(%x, %old, %from, %row : tensor<3x5x4xf32>, tensor<7x5x4xf32>,
    tensor<6xi32, #r1.ty<dims = [], bound = 3>>, tensor<6xi32, #r1.ty<dims = [], bound = 7>>)
    attributes {axis = 0 : i64} -> tensor<7x5x4xf32>
  return %y : tensor<7x5x4xf32>
}
func.func @inner(%x: tensor<3x5x4xf32> {r1.name = "x"}, %row: tensor<6xi32, #r1.ty<dims = [], bound = 7>> {r1.name = "row"}, %old: tensor<3x7x4xf32> {r1.role = "cache:b"})
    -> (tensor<3x7x4xf32> {r1.role = "cache:b"}) attributes {r1.entry = "inner"} {
  %from = r1.map ins(%row : tensor<6xi32, #r1.ty<dims = [], bound = 7>>) maps [affine_map<(j) -> (j)>] {
  ^bb0(%r: i32):
    %n = arith.constant 5 : i32
    %f = arith.remsi %r, %n : i32
    r1.yield %f : i32
  } -> tensor<6xi32, #r1.ty<dims = [], bound = 5>>
  %y = r1.kernel "cache_fill" ins(%x, %old, %from, %row : tensor<3x5x4xf32>, tensor<3x7x4xf32>,
    tensor<6xi32, #r1.ty<dims = [], bound = 5>>, tensor<6xi32, #r1.ty<dims = [], bound = 7>>)
    attributes {axis = 1 : i64} -> tensor<3x7x4xf32>
  return %y : tensor<3x7x4xf32>
}
func.func @write(%x: tensor<3x2x4xf32> {r1.name = "x"}, %at: tensor<3xi32, #r1.ty<dims = [], bound = 6>> {r1.name = "at"},
                 %old: tensor<3x7x4xf32> {r1.role = "cache:c"}) -> (tensor<3x7x4xf32> {r1.role = "cache:c"})
    attributes {r1.entry = "write"} {
  %y = r1.kernel "cache_write" ins(%x, %old, %at : tensor<3x2x4xf32>, tensor<3x7x4xf32>, tensor<3xi32, #r1.ty<dims = [], bound = 6>>)
    -> tensor<3x7x4xf32>
  return %y : tensor<3x7x4xf32>
}
