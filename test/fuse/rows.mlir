// Kernels over rows: what becomes one kernel, and why the next one does not.
// RUN: r1-opt %s --r1-fuse | FileCheck %s

#rd = affine_map<(r, d) -> (r, d)>
#r = affine_map<(r, d) -> (r)>
#d = affine_map<(r, d) -> (d)>

// A norm is one kernel: a sweep for the statistic, one for the result. The square is nowhere stored.
// CHECK-LABEL: kern.program @norm
// CHECK-NEXT: kern.launch @sum_mul_l{{[0-9]+}} [@norm_x, @norm_g, @norm_y]
// CHECK-NEXT: kern.end
// CHECK: kern.kernel @sum_mul_l{{[0-9]+}} rows [64] along "sweep" writes [2]
// CHECK: kern.sweep [128] combine [0]
// CHECK: math.rsqrt
// CHECK: kern.sweep [128] combine []
// CHECK: memref.store
// CHECK-NOT: kern.sweep
// CHECK: kern.end
func.func @norm(%x: tensor<64x128xf32> {r1.name = "x"}, %g: tensor<128xf32> {r1.name = "g"}) -> (tensor<64x128xf32> {r1.name = "y"}) {
  %sq = r1.map ins(%x : tensor<64x128xf32>) maps [#rd] {
  ^bb0(%a: f32):
    %p = arith.mulf %a, %a : f32
    r1.yield %p : f32
  } -> tensor<64x128xf32>
  %s = r1.reduce sum %sq dims [1] : tensor<64x128xf32> -> tensor<64xf32>
  %y = r1.map ins(%x, %s, %g : tensor<64x128xf32>, tensor<64xf32>, tensor<128xf32>) maps [#rd, #r, #d] {
  ^bb0(%a: f32, %m: f32, %w: f32):
    %i = math.rsqrt %m : f32
    %n = arith.mulf %a, %i : f32
    %o = arith.mulf %n, %w : f32
    r1.yield %o : f32
  } -> tensor<64x128xf32>
  return %y : tensor<64x128xf32>
}

// Two sums over rows that visit the same values are one kernel: chains over the rows, lanes along
// what is kept.
// CHECK-LABEL: kern.program @sums
// CHECK-NEXT: kern.launch @sum_l{{[0-9]+}} [@sums_x, @sums_y, @sums_a, @sums_b]
// CHECK-NEXT: kern.end
// CHECK: kern.kernel @sum_l{{[0-9]+}} rows [128] along "row" writes [2, 3]
// CHECK: kern.sweep [64] combine [0, 0]
func.func @sums(%x: tensor<64x128xf32> {r1.name = "x"}, %y: tensor<64x128xf32> {r1.name = "y"}) -> (tensor<128xf32> {r1.name = "a"}, tensor<128xf32> {r1.name = "b"}) {
  %a = r1.reduce sum %x dims [0] : tensor<64x128xf32> -> tensor<128xf32>
  %p = r1.map ins(%x, %y : tensor<64x128xf32>, tensor<64x128xf32>) maps [#rd, #rd] {
  ^bb0(%u: f32, %v: f32):
    %q = arith.mulf %u, %v : f32
    r1.yield %q : f32
  } -> tensor<64x128xf32>
  %b = r1.reduce sum %p dims [0] : tensor<64x128xf32> -> tensor<128xf32>
  return %a, %b : tensor<128xf32>, tensor<128xf32>
}

// A row that is read by another row is a boundary.
// CHECK-LABEL: kern.program @turned
// CHECK: kern.launch @softmax_l
// CHECK-NEXT: kern.launch @add_l{{.*}} {reason = "it reads other rows"}
func.func @turned(%x: tensor<64x64xf32> {r1.name = "x"}) -> (tensor<64x64xf32> {r1.name = "y"}) {
  %p = r1.softmax %x axis 1 : tensor<64x64xf32> -> tensor<64x64xf32>
  %y = r1.map ins(%p, %p : tensor<64x64xf32>, tensor<64x64xf32>) maps [#rd, affine_map<(r, d) -> (d, r)>] {
  ^bb0(%u: f32, %v: f32):
    %q = arith.addf %u, %v : f32
    r1.yield %q : f32
  } -> tensor<64x64xf32>
  return %y : tensor<64x64xf32>
}

// Costly work for one reader per element is not repeated for every reader of a broadcast.
// CHECK-LABEL: kern.program @broadcast
// CHECK-COUNT-2: kern.launch
// CHECK-NOT: kern.launch
// CHECK: kern.end
func.func @broadcast(%x: tensor<8xf32> {r1.name = "x"}) -> (tensor<64x8xf32> {r1.name = "y"}) {
  %e = r1.map ins(%x : tensor<8xf32>) maps [affine_map<(d) -> (d)>] {
  ^bb0(%u: f32):
    %q = math.exp %u : f32
    r1.yield %q : f32
  } -> tensor<8xf32>
  %y = r1.map ins(%e : tensor<8xf32>) maps [#d] {
  ^bb0(%u: f32):
    %q = arith.negf %u : f32
    r1.yield %q : f32
  } -> tensor<64x8xf32>
  return %y : tensor<64x8xf32>
}
