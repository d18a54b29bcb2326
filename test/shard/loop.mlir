// Rows go into the loop, counts before it, what is computed from sums after it.
// RUN: r1-opt %s --r1-shard=micro=4 | FileCheck %s
// RUN: r1-opt %s --r1-shard=micro=1 | FileCheck %s --check-prefix=ONE

r1.leaf "w" : tensor<8x16xf32> {dist = 1 : i32, a = 0.0 : f64, b = 0.02 : f64}

// Mean squared error over the rows that `mask` keeps, and its gradient.
// CHECK-LABEL: func.func @backward
func.func @backward(%x: tensor<32x8xf32> {r1.name = "x", r1.rows},
                    %y: tensor<32x16xf32> {r1.name = "y", r1.rows},
                    %mask: tensor<32xi1> {r1.name = "mask", r1.rows})
    -> (tensor<f32> {r1.name = "loss"}, tensor<8x16xf32> {r1.name = "grad:w"}) {
  %w = r1.param "w" : tensor<8x16xf32>
  // The prologue: how many rows count, over the whole batch.
  // CHECK: %[[ONES:.+]] = r1.map ins(%{{.*}} : tensor<32xi1>)
  // CHECK: %[[COUNT:.+]] = r1.reduce sum %[[ONES]] dims [0] {r1.chain} : tensor<32xf32> -> tensor<f32>
  // CHECK: %[[LOOP:.+]]:2 = r1.row_loop 4 split(%{{.*}}, %{{.*}}, %{{.*}} : tensor<32x8xf32>, tensor<32x16xf32>, tensor<32xi1>)
  // CHECK-SAME: whole(%[[COUNT]] : tensor<f32>)
  // ONE: r1.row_loop 1
  // CHECK: r1.contract %{{.*}} : tensor<8x8xf32>, tensor<8x16xf32> -> tensor<8x16xf32>
  %p = r1.contract %x, %w maps [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>,
                                affine_map<(m, n, k) -> (m, n)>]
    : tensor<32x8xf32>, tensor<8x16xf32> -> tensor<32x16xf32>
  %d = r1.map ins(%p, %y, %mask : tensor<32x16xf32>, tensor<32x16xf32>, tensor<32xi1>)
      maps [affine_map<(b, n) -> (b, n)>, affine_map<(b, n) -> (b, n)>,
            affine_map<(b, n) -> (b)>] {
  ^bb0(%pe: f32, %ye: f32, %m: i1):
    %zero = arith.constant 0.0 : f32
    %s = arith.subf %pe, %ye : f32
    %r = arith.select %m, %s, %zero : f32
    r1.yield %r : f32
  } -> tensor<32x16xf32>
  %q = r1.map ins(%d : tensor<32x16xf32>) maps [affine_map<(b, n) -> (b, n)>] {
  ^bb0(%e: f32):
    %s = arith.mulf %e, %e : f32
    r1.yield %s : f32
  } -> tensor<32x16xf32>
  // CHECK: r1.reduce sum %{{.*}} dims [0, 1] {r1.chain} : tensor<8x16xf32> -> tensor<f32>
  %sum = r1.reduce sum %q dims [0, 1] : tensor<32x16xf32> -> tensor<f32>
  %ones = r1.map ins(%mask : tensor<32xi1>) maps [affine_map<(b) -> (b)>] {
  ^bb0(%m: i1):
    %one = arith.uitofp %m : i1 to f32
    r1.yield %one : f32
  } -> tensor<32xf32>
  %count = r1.reduce sum %ones dims [0] : tensor<32xf32> -> tensor<f32>
  %scale = r1.map ins(%d, %count : tensor<32x16xf32>, tensor<f32>)
      maps [affine_map<(b, n) -> (b, n)>, affine_map<(b, n) -> ()>] {
  ^bb0(%e: f32, %c: f32):
    %two = arith.constant 2.0 : f32
    %t = arith.mulf %e, %two : f32
    %s = arith.divf %t, %c : f32
    r1.yield %s : f32
  } -> tensor<32x16xf32>
  %gw = r1.contract %x, %scale maps [affine_map<(k, n, b) -> (b, k)>, affine_map<(k, n, b) -> (b, n)>,
                                     affine_map<(k, n, b) -> (k, n)>]
    : tensor<32x8xf32>, tensor<32x16xf32> -> tensor<8x16xf32>
  // CHECK: r1.yield
  // CHECK: } -> tensor<f32>, tensor<8x16xf32>
  // CHECK: %[[LOSS:.+]] = r1.map ins(%[[LOOP]]#0, %[[COUNT]]
  %loss = r1.map ins(%sum, %count : tensor<f32>, tensor<f32>)
      maps [affine_map<() -> ()>, affine_map<() -> ()>] {
  ^bb0(%s: f32, %c: f32):
    %r = arith.divf %s, %c : f32
    r1.yield %r : f32
  } -> tensor<f32>
  // CHECK: return %[[LOSS]], %[[LOOP]]#1
  return %loss, %gw : tensor<f32>, tensor<8x16xf32>
}

// An entry whose results are more than a number of each row is left alone.
// CHECK-LABEL: func.func @logits
// CHECK-NOT: row_loop
func.func @logits(%x: tensor<32x8xf32> {r1.name = "x", r1.rows}) -> (tensor<32x16xf32> {r1.name = "logits"}) {
  %w = r1.param "w" : tensor<8x16xf32>
  %p = r1.contract %x, %w maps [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>,
                                affine_map<(m, n, k) -> (m, n)>]
    : tensor<32x8xf32>, tensor<8x16xf32> -> tensor<32x16xf32>
  return %p : tensor<32x16xf32>
}

// One f32 of each row: row b of a turn adds its number to element ids[b] of zeros.
// CHECK-LABEL: func.func @eval
// ONE-LABEL: func.func @eval
// ONE-NOT: row_loop
func.func @eval(%x: tensor<32x8xf32> {r1.name = "x", r1.rows}) -> (tensor<32xf32> {r1.name = "nll"}) {
  // CHECK: %[[IDS:.+]] = arith.constant dense<[0, 1, {{.*}}, 31]> : tensor<32xi32>
  // CHECK: %[[NLL:.+]] = r1.row_loop 4 split(%{{.*}}, %[[IDS]] : tensor<32x8xf32>, tensor<32xi32>)
  %w = r1.param "w" : tensor<8x16xf32>
  %p = r1.contract %x, %w maps [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>,
                                affine_map<(m, n, k) -> (m, n)>]
    : tensor<32x8xf32>, tensor<8x16xf32> -> tensor<32x16xf32>
  // CHECK: %[[S:.+]] = r1.logsumexp %{{.*}} axis 1 : tensor<8x16xf32> -> tensor<8xf32>
  // CHECK: r1.scatter_add %[[S]][%{{.*}}] axis 0 {{.*}} : tensor<8xf32>, tensor<8xi32> -> tensor<32xf32>
  %s = r1.logsumexp %p axis 1 : tensor<32x16xf32> -> tensor<32xf32>
  // CHECK: return %[[NLL]] : tensor<32xf32>
  return %s : tensor<32xf32>
}
