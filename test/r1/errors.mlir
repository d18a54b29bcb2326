// What the verifiers say: the situation and both numbers.
// RUN: r1-opt -split-input-file -verify-diagnostics %s

func.func @map_outside(%x: tensor<4xf32>) {
  // expected-error @+1 {{map 0 reads 1..4 along dim 0, which has size 4}}
  %y = r1.map ins(%x : tensor<4xf32>) maps [affine_map<(d0) -> (d0 + 1)>] {
  ^bb0(%a: f32):
    r1.yield %a : f32
  } -> tensor<4xf32>
  return
}

// -----

func.func @map_rank(%x: tensor<4x2xf32>) {
  // expected-error @+1 {{map 0 has 1 results, but its tensor has rank 2}}
  %y = r1.map ins(%x : tensor<4x2xf32>) maps [affine_map<(d0) -> (d0)>] {
  ^bb0(%a: f32):
    r1.yield %a : f32
  } -> tensor<4xf32>
  return
}

// -----

func.func @map_yield(%x: tensor<4xf32>) {
  // expected-error @+1 {{result has element type 'f64', expected 'f32'}}
  %y = r1.map ins(%x : tensor<4xf32>) maps [affine_map<(d0) -> (d0)>] {
  ^bb0(%a: f32):
    r1.yield %a : f32
  } -> tensor<4xf64>
  return
}

// -----

func.func @read(%x: tensor<4x2xf32>) {
  %y = r1.map captures(%x : tensor<4x2xf32>) maps [] {
  ^bb0(%c: tensor<4x2xf32>):
    %i = r1.index 0
    %zero = arith.constant 0.0 : f32
    // expected-error @+1 {{has 1 indices into a tensor of rank 2}}
    %v = r1.read %c[%i] else %zero : tensor<4x2xf32>
    r1.yield %v : f32
  } -> tensor<4xf32>
  return
}

// -----

func.func @index(%x: tensor<4xf32>) {
  %y = r1.map maps [] {
    // expected-error @+1 {{dim is 1, but the tensor has rank 1}}
    %i = r1.index 1
    %v = arith.index_cast %i : index to i32
    r1.yield %v : i32
  } -> tensor<4xi32>
  return
}

// -----

func.func @reduce(%x: tensor<4x2xf32>) {
  // expected-error @+1 {{result has shape [4], expected [2]}}
  %y = r1.reduce sum %x dims [0] : tensor<4x2xf32> -> tensor<4xf32>
  return
}

// -----

func.func @reduce_kind(%x: tensor<4xf32>) {
  // expected-error @+1 {{cannot combine 'f32' by any}}
  %y = r1.reduce any %x dims [0] : tensor<4xf32> -> tensor<f32>
  return
}

// -----

func.func @contract(%x: tensor<4x8xf32>, %w: tensor<6x3xf32>) {
  // expected-error @+1 {{lhs has size 8 along d2, but another operand has 6}}
  %y = r1.contract %x, %w maps [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>,
                                affine_map<(m, n, k) -> (m, n)>]
    : tensor<4x8xf32>, tensor<6x3xf32> -> tensor<4x3xf32>
  return
}

// -----

func.func @gather(%x: tensor<4x8xf32>, %ids: tensor<3xf32>) {
  // expected-error @+1 {{ids are integers, found 'f32'}}
  %y = r1.gather %x[%ids] axis 0 maps [affine_map<(t, d) -> (0, d)>, affine_map<(t, d) -> (t)>]
    : tensor<4x8xf32>, tensor<3xf32> -> tensor<3x8xf32>
  return
}

// -----

func.func @softmax(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{axis is 2, but the tensor has rank 2}}
  %y = r1.softmax %x axis 2 : tensor<4x8xf32> -> tensor<4x8xf32>
  return
}

// -----

func.func @reshape(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{turns 32 elements [4, 8] into 30 [5, 6]}}
  %y = r1.reshape %x : tensor<4x8xf32> -> tensor<5x6xf32>
  return
}

// -----

func.func @row_loop(%x: tensor<6x4xf32>) {
  // expected-error @+1 {{cannot cut split operand 0 of shape [6, 4] into 4 slices}}
  %s = r1.row_loop 4 split(%x : tensor<6x4xf32>) {
  ^bb0(%xs: tensor<1x4xf32>):
    %r = r1.reduce sum %xs dims [0] : tensor<1x4xf32> -> tensor<4xf32>
    r1.yield %r : tensor<4xf32>
  } -> tensor<4xf32>
  return
}
