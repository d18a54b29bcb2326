// What is no sum over rows, with its place.
// RUN: r1-opt %s --split-input-file --verify-diagnostics --r1-shard=micro=2

// A function of a sum over rows whose gradient reaches back into the rows.
func.func @backward(%x: tensor<4x8xf32> {r1.name = "x", r1.rows}) -> (tensor<f32> {r1.name = "loss"}, tensor<8xf32> {r1.name = "grad:w"}) {
  %w = r1.param "w" : tensor<8xf32>
  %p = r1.contract %x, %w maps [affine_map<(m, k) -> (m, k)>, affine_map<(m, k) -> (k)>, affine_map<(m, k) -> (m)>]
    : tensor<4x8xf32>, tensor<8xf32> -> tensor<4xf32>
  %s = r1.reduce sum %p dims [0] : tensor<4xf32> -> tensor<f32>
  // expected-error @below {{E0314: this row's value depends on a sum over all rows that depends on parameters; a loss must be affine in such sums}}
  %c = r1.map ins(%p, %s : tensor<4xf32>, tensor<f32>) maps [affine_map<(b) -> (b)>, affine_map<(b) -> ()>] {
  ^bb0(%a: f32, %b: f32):
    %r = arith.mulf %a, %b : f32
    r1.yield %r : f32
  } -> tensor<4xf32>
  %g = r1.contract %x, %c maps [affine_map<(m, k) -> (m, k)>, affine_map<(m, k) -> (m)>, affine_map<(m, k) -> (k)>]
    : tensor<4x8xf32>, tensor<4xf32> -> tensor<8xf32>
  return %s, %g : tensor<f32>, tensor<8xf32>
}

// -----

// The largest of all rows.
func.func @backward(%x: tensor<4x8xf32> {r1.name = "x", r1.rows}) -> (tensor<f32> {r1.name = "loss"}) {
  %w = r1.param "w" : tensor<8xf32>
  %p = r1.contract %x, %w maps [affine_map<(m, k) -> (m, k)>, affine_map<(m, k) -> (k)>, affine_map<(m, k) -> (m)>]
    : tensor<4x8xf32>, tensor<8xf32> -> tensor<4xf32>
  // expected-error @below {{E0314: this combines the rows of a batch otherwise than by a sum}}
  %s = r1.reduce max %p dims [0] : tensor<4xf32> -> tensor<f32>
  return %s : tensor<f32>
}

// -----

// Every row against every other one.
func.func @backward(%x: tensor<4x8xf32> {r1.name = "x", r1.rows}) -> (tensor<f32> {r1.name = "loss"}) {
  // expected-error @below {{E0314: this mixes the rows of a batch; a loss must be a sum over rows}}
  %p = r1.contract %x, %x maps [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]
    : tensor<4x8xf32>, tensor<4x8xf32> -> tensor<4x4xf32>
  %s = r1.reduce sum %p dims [0, 1] : tensor<4x4xf32> -> tensor<f32>
  return %s : tensor<f32>
}

// -----

// expected-error @below {{a batch of 3 rows does not split into 2 equal micro-batches}}
func.func @backward(%x: tensor<3x8xf32> {r1.name = "x", r1.rows}) -> (tensor<f32> {r1.name = "loss"}) {
  %s = r1.reduce sum %x dims [0, 1] : tensor<3x8xf32> -> tensor<f32>
  return %s : tensor<f32>
}
