// The structural rule of every op against central differences. Each function ends in a weighted
// sum, so that adjoints differ from element to element.
// RUN: r1-opt --test-grad-fd %s -o /dev/null

// a bias: the sum over the dims that the read does not name
func.func @map_broadcast() -> tensor<f64> {
  %x = r1.param "x" : tensor<3xf64>
  %y = r1.map ins(%x : tensor<3xf64>) maps [affine_map<(d0, d1, d2) -> (d2)>] {
  ^bb0(%a: f64):
    %s = math.sin %a : f64
    r1.yield %s : f64
  } -> tensor<2x4x3xf64>
  %weights_ = arith.constant dense<[[[-1.15, -0.15, 0.85], [-0.9, 0.1, 1.1], [-0.65, 0.35, 1.35], [-0.4, 0.6, -1.15]], [[-0.15, 0.85, -0.9], [0.1, 1.1, -0.65], [0.35, 1.35, -0.4], [0.6, -1.15, -0.15]]]> : tensor<2x4x3xf64>
  %weighted_ = r1.map ins(%y, %weights_ : tensor<2x4x3xf64>, tensor<2x4x3xf64>) maps [affine_map<(d0, d1, d2) -> (d0, d1, d2)>, affine_map<(d0, d1, d2) -> (d0, d1, d2)>] {
  ^bb0(%a: f64, %b: f64):
    %wa_ = arith.mulf %a, %b : f64
    r1.yield %wa_ : f64
  } -> tensor<2x4x3xf64>
  %sum_ = r1.reduce sum %weighted_ dims [0, 1, 2] : tensor<2x4x3xf64> -> tensor<f64>
  return %sum_ : tensor<f64>
}

// a transposition
func.func @map_permuted() -> tensor<f64> {
  %x = r1.param "x" : tensor<2x3x4xf64>
  %y = r1.map ins(%x : tensor<2x3x4xf64>) maps [affine_map<(d0, d1, d2) -> (d1, d2, d0)>] {
  ^bb0(%a: f64):
    %s = math.sin %a : f64
    r1.yield %s : f64
  } -> tensor<4x2x3xf64>
  %weights_ = arith.constant dense<[[[-1.15, -0.15, 0.85], [-0.9, 0.1, 1.1]], [[-0.65, 0.35, 1.35], [-0.4, 0.6, -1.15]], [[-0.15, 0.85, -0.9], [0.1, 1.1, -0.65]], [[0.35, 1.35, -0.4], [0.6, -1.15, -0.15]]]> : tensor<4x2x3xf64>
  %weighted_ = r1.map ins(%y, %weights_ : tensor<4x2x3xf64>, tensor<4x2x3xf64>) maps [affine_map<(d0, d1, d2) -> (d0, d1, d2)>, affine_map<(d0, d1, d2) -> (d0, d1, d2)>] {
  ^bb0(%a: f64, %b: f64):
    %wa_ = arith.mulf %a, %b : f64
    r1.yield %wa_ : f64
  } -> tensor<4x2x3xf64>
  %sum_ = r1.reduce sum %weighted_ dims [0, 1, 2] : tensor<4x2x3xf64> -> tensor<f64>
  return %sum_ : tensor<f64>
}

// a slice: what was not read has no gradient
func.func @map_slice() -> tensor<f64> {
  %x = r1.param "x" : tensor<6x3xf64>
  %y = r1.map ins(%x : tensor<6x3xf64>) maps [affine_map<(d0, d1) -> (d0 + 3, d1)>] {
  ^bb0(%a: f64):
    %s = math.sin %a : f64
    r1.yield %s : f64
  } -> tensor<2x3xf64>
  %weights_ = arith.constant dense<[[-1.15, -0.15, 0.85], [-0.9, 0.1, 1.1]]> : tensor<2x3xf64>
  %weighted_ = r1.map ins(%y, %weights_ : tensor<2x3xf64>, tensor<2x3xf64>) maps [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, d1)>] {
  ^bb0(%a: f64, %b: f64):
    %wa_ = arith.mulf %a, %b : f64
    r1.yield %wa_ : f64
  } -> tensor<2x3xf64>
  %sum_ = r1.reduce sum %weighted_ dims [0, 1] : tensor<2x3xf64> -> tensor<f64>
  return %sum_ : tensor<f64>
}

// every second element, backwards
func.func @map_strided() -> tensor<f64> {
  %x = r1.param "x" : tensor<7xf64>
  %y = r1.map ins(%x : tensor<7xf64>) maps [affine_map<(d0) -> (d0 * -2 + 5)>] {
  ^bb0(%a: f64):
    %s = math.sin %a : f64
    r1.yield %s : f64
  } -> tensor<3xf64>
  %weights_ = arith.constant dense<[-1.15, -0.15, 0.85]> : tensor<3xf64>
  %weighted_ = r1.map ins(%y, %weights_ : tensor<3xf64>, tensor<3xf64>) maps [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>] {
  ^bb0(%a: f64, %b: f64):
    %wa_ = arith.mulf %a, %b : f64
    r1.yield %wa_ : f64
  } -> tensor<3xf64>
  %sum_ = r1.reduce sum %weighted_ dims [0] : tensor<3xf64> -> tensor<f64>
  return %sum_ : tensor<f64>
}

// one row
func.func @map_constant() -> tensor<f64> {
  %x = r1.param "x" : tensor<4x3xf64>
  %y = r1.map ins(%x : tensor<4x3xf64>) maps [affine_map<(d0) -> (2, d0)>] {
  ^bb0(%a: f64):
    %s = math.sin %a : f64
    r1.yield %s : f64
  } -> tensor<3xf64>
  %weights_ = arith.constant dense<[-1.15, -0.15, 0.85]> : tensor<3xf64>
  %weighted_ = r1.map ins(%y, %weights_ : tensor<3xf64>, tensor<3xf64>) maps [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>] {
  ^bb0(%a: f64, %b: f64):
    %wa_ = arith.mulf %a, %b : f64
    r1.yield %wa_ : f64
  } -> tensor<3xf64>
  %sum_ = r1.reduce sum %weighted_ dims [0] : tensor<3xf64> -> tensor<f64>
  return %sum_ : tensor<f64>
}

// several query heads read one key head
func.func @map_shared_head() -> tensor<f64> {
  %x = r1.param "x" : tensor<2x3xf64>
  %y = r1.map ins(%x : tensor<2x3xf64>) maps [affine_map<(d0, d1) -> (d0 floordiv 3, d1)>] {
  ^bb0(%a: f64):
    %s = math.sin %a : f64
    r1.yield %s : f64
  } -> tensor<6x3xf64>
  %weights_ = arith.constant dense<[[-1.15, -0.15, 0.85], [-0.9, 0.1, 1.1], [-0.65, 0.35, 1.35], [-0.4, 0.6, -1.15], [-0.15, 0.85, -0.9], [0.1, 1.1, -0.65]]> : tensor<6x3xf64>
  %weighted_ = r1.map ins(%y, %weights_ : tensor<6x3xf64>, tensor<6x3xf64>) maps [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, d1)>] {
  ^bb0(%a: f64, %b: f64):
    %wa_ = arith.mulf %a, %b : f64
    r1.yield %wa_ : f64
  } -> tensor<6x3xf64>
  %sum_ = r1.reduce sum %weighted_ dims [0, 1] : tensor<6x3xf64> -> tensor<f64>
  return %sum_ : tensor<f64>
}

// a remainder repeats the tensor
func.func @map_modulo() -> tensor<f64> {
  %x = r1.param "x" : tensor<4xf64>
  %y = r1.map ins(%x : tensor<4xf64>) maps [affine_map<(d0) -> (d0 mod 4)>] {
  ^bb0(%a: f64):
    %s = math.sin %a : f64
    r1.yield %s : f64
  } -> tensor<12xf64>
  %weights_ = arith.constant dense<[-1.15, -0.15, 0.85, -0.9, 0.1, 1.1, -0.65, 0.35, 1.35, -0.4, 0.6, -1.15]> : tensor<12xf64>
  %weighted_ = r1.map ins(%y, %weights_ : tensor<12xf64>, tensor<12xf64>) maps [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>] {
  ^bb0(%a: f64, %b: f64):
    %wa_ = arith.mulf %a, %b : f64
    r1.yield %wa_ : f64
  } -> tensor<12xf64>
  %sum_ = r1.reduce sum %weighted_ dims [0] : tensor<12xf64> -> tensor<f64>
  return %sum_ : tensor<f64>
}

// a dim read as (d0, d1)
func.func @map_split() -> tensor<f64> {
  %x = r1.param "x" : tensor<6xf64>
  %y = r1.map ins(%x : tensor<6xf64>) maps [affine_map<(d0, d1) -> (d0 * 3 + d1)>] {
  ^bb0(%a: f64):
    %s = math.sin %a : f64
    r1.yield %s : f64
  } -> tensor<2x3xf64>
  %weights_ = arith.constant dense<[[-1.15, -0.15, 0.85], [-0.9, 0.1, 1.1]]> : tensor<2x3xf64>
  %weighted_ = r1.map ins(%y, %weights_ : tensor<2x3xf64>, tensor<2x3xf64>) maps [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, d1)>] {
  ^bb0(%a: f64, %b: f64):
    %wa_ = arith.mulf %a, %b : f64
    r1.yield %wa_ : f64
  } -> tensor<2x3xf64>
  %sum_ = r1.reduce sum %weighted_ dims [0, 1] : tensor<2x3xf64> -> tensor<f64>
  return %sum_ : tensor<f64>
}

// quotient and remainder of one dim
func.func @map_merged() -> tensor<f64> {
  %x = r1.param "x" : tensor<2x3xf64>
  %y = r1.map ins(%x : tensor<2x3xf64>) maps [affine_map<(d0) -> (d0 floordiv 3, d0 mod 3)>] {
  ^bb0(%a: f64):
    %s = math.sin %a : f64
    r1.yield %s : f64
  } -> tensor<6xf64>
  %weights_ = arith.constant dense<[-1.15, -0.15, 0.85, -0.9, 0.1, 1.1]> : tensor<6xf64>
  %weighted_ = r1.map ins(%y, %weights_ : tensor<6xf64>, tensor<6xf64>) maps [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>] {
  ^bb0(%a: f64, %b: f64):
    %wa_ = arith.mulf %a, %b : f64
    r1.yield %wa_ : f64
  } -> tensor<6xf64>
  %sum_ = r1.reduce sum %weighted_ dims [0] : tensor<6xf64> -> tensor<f64>
  return %sum_ : tensor<f64>
}

// overlapping windows, as in a convolution
func.func @map_window() -> tensor<f64> {
  %x = r1.param "x" : tensor<6xf64>
  %y = r1.map ins(%x : tensor<6xf64>) maps [affine_map<(d0, d1) -> (d0 + d1)>] {
  ^bb0(%a: f64):
    %s = math.sin %a : f64
    r1.yield %s : f64
  } -> tensor<4x3xf64>
  %weights_ = arith.constant dense<[[-1.15, -0.15, 0.85], [-0.9, 0.1, 1.1], [-0.65, 0.35, 1.35], [-0.4, 0.6, -1.15]]> : tensor<4x3xf64>
  %weighted_ = r1.map ins(%y, %weights_ : tensor<4x3xf64>, tensor<4x3xf64>) maps [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, d1)>] {
  ^bb0(%a: f64, %b: f64):
    %wa_ = arith.mulf %a, %b : f64
    r1.yield %wa_ : f64
  } -> tensor<4x3xf64>
  %sum_ = r1.reduce sum %weighted_ dims [0, 1] : tensor<4x3xf64> -> tensor<f64>
  return %sum_ : tensor<f64>
}

// the diagonal
func.func @map_diagonal() -> tensor<f64> {
  %x = r1.param "x" : tensor<3x3xf64>
  %y = r1.map ins(%x : tensor<3x3xf64>) maps [affine_map<(d0) -> (d0, d0)>] {
  ^bb0(%a: f64):
    %s = math.sin %a : f64
    r1.yield %s : f64
  } -> tensor<3xf64>
  %weights_ = arith.constant dense<[-1.15, -0.15, 0.85]> : tensor<3xf64>
  %weighted_ = r1.map ins(%y, %weights_ : tensor<3xf64>, tensor<3xf64>) maps [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>] {
  ^bb0(%a: f64, %b: f64):
    %wa_ = arith.mulf %a, %b : f64
    r1.yield %wa_ : f64
  } -> tensor<3xf64>
  %sum_ = r1.reduce sum %weighted_ dims [0] : tensor<3xf64> -> tensor<f64>
  return %sum_ : tensor<f64>
}

// two dims of the read that share one
func.func @map_tied() -> tensor<f64> {
  %x = r1.param "x" : tensor<3x4xf64>
  %y = r1.map ins(%x : tensor<3x4xf64>) maps [affine_map<(d0, d1) -> (d0, d0 + d1)>] {
  ^bb0(%a: f64):
    %s = math.sin %a : f64
    r1.yield %s : f64
  } -> tensor<3x2xf64>
  %weights_ = arith.constant dense<[[-1.15, -0.15], [0.85, -0.9], [0.1, 1.1]]> : tensor<3x2xf64>
  %weighted_ = r1.map ins(%y, %weights_ : tensor<3x2xf64>, tensor<3x2xf64>) maps [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, d1)>] {
  ^bb0(%a: f64, %b: f64):
    %wa_ = arith.mulf %a, %b : f64
    r1.yield %wa_ : f64
  } -> tensor<3x2xf64>
  %sum_ = r1.reduce sum %weighted_ dims [0, 1] : tensor<3x2xf64> -> tensor<f64>
  return %sum_ : tensor<f64>
}

// a scalar
func.func @map_rank0() -> tensor<f64> {
  %x = r1.param "x" : tensor<f64>
  %y = r1.map ins(%x : tensor<f64>) maps [affine_map<(d0, d1) -> ()>] {
  ^bb0(%a: f64):
    %s = math.sin %a : f64
    r1.yield %s : f64
  } -> tensor<2x3xf64>
  %weights_ = arith.constant dense<[[-1.15, -0.15, 0.85], [-0.9, 0.1, 1.1]]> : tensor<2x3xf64>
  %weighted_ = r1.map ins(%y, %weights_ : tensor<2x3xf64>, tensor<2x3xf64>) maps [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, d1)>] {
  ^bb0(%a: f64, %b: f64):
    %wa_ = arith.mulf %a, %b : f64
    r1.yield %wa_ : f64
  } -> tensor<2x3xf64>
  %sum_ = r1.reduce sum %weighted_ dims [0, 1] : tensor<2x3xf64> -> tensor<f64>
  return %sum_ : tensor<f64>
}

// one tensor in two places of one map
func.func @map_twice() -> tensor<f64> {
  %x = r1.param "x" : tensor<3xf64>
  %y = r1.map ins(%x, %x : tensor<3xf64>, tensor<3xf64>)
      maps [affine_map<(d0, d1) -> (d0)>, affine_map<(d0, d1) -> (d1)>] {
  ^bb0(%a: f64, %b: f64):
    %e = math.exp %a : f64
    %s = arith.mulf %e, %b : f64
    r1.yield %s : f64
  } -> tensor<3x3xf64>
  %weights_ = arith.constant dense<[[-1.15, -0.15, 0.85], [-0.9, 0.1, 1.1], [-0.65, 0.35, 1.35]]> : tensor<3x3xf64>
  %weighted_ = r1.map ins(%y, %weights_ : tensor<3x3xf64>, tensor<3x3xf64>) maps [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, d1)>] {
  ^bb0(%a: f64, %b: f64):
    %wa_ = arith.mulf %a, %b : f64
    r1.yield %wa_ : f64
  } -> tensor<3x3xf64>
  %sum_ = r1.reduce sum %weighted_ dims [0, 1] : tensor<3x3xf64> -> tensor<f64>
  return %sum_ : tensor<f64>
}

// every input of a map
func.func @map_inputs() -> tensor<f64> {
  %x = r1.param "x" : tensor<2x3xf64>
  %g = r1.param "g" : tensor<3xf64>
  %s = r1.param "s" : tensor<f64>
  %y = r1.map ins(%x, %g, %s : tensor<2x3xf64>, tensor<3xf64>, tensor<f64>)
      maps [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d1)>, affine_map<(d0, d1) -> ()>] {
  ^bb0(%a: f64, %b: f64, %c: f64):
    %e = math.exp %a : f64
    %f = arith.mulf %e, %b : f64
    %h = arith.divf %f, %c : f64
    r1.yield %h : f64
  } -> tensor<2x3xf64>
  %weights_ = arith.constant dense<[[-1.15, -0.15, 0.85], [-0.9, 0.1, 1.1]]> : tensor<2x3xf64>
  %weighted_ = r1.map ins(%y, %weights_ : tensor<2x3xf64>, tensor<2x3xf64>) maps [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, d1)>] {
  ^bb0(%a: f64, %b: f64):
    %wa_ = arith.mulf %a, %b : f64
    r1.yield %wa_ : f64
  } -> tensor<2x3xf64>
  %sum_ = r1.reduce sum %weighted_ dims [0, 1] : tensor<2x3xf64> -> tensor<f64>
  return %sum_ : tensor<f64>
}

// a guarded read: the default takes what falls outside
func.func @read_shifted() -> tensor<f64> {
  %x = r1.param "x" : tensor<2x4xf64>
  %d = r1.param "d" : tensor<2xf64>
  %y = r1.map ins(%d : tensor<2xf64>) captures(%x : tensor<2x4xf64>)
      maps [affine_map<(d0, d1) -> (d0)>] {
  ^bb0(%e: f64, %c: tensor<2x4xf64>):
    %b = r1.index 0
    %t = r1.index 1
    %one = arith.constant 1 : index
    %before = arith.subi %t, %one : index
    %v = r1.read %c[%b, %before] else %e : tensor<2x4xf64>
    %w = r1.read %c[%b, %t] else %e : tensor<2x4xf64>
    %s = arith.mulf %v, %w : f64
    %q = arith.mulf %s, %s : f64
    r1.yield %q : f64
  } -> tensor<2x5xf64>
  %weights_ = arith.constant dense<[[-1.15, -0.15, 0.85, -0.9, 0.1], [1.1, -0.65, 0.35, 1.35, -0.4]]> : tensor<2x5xf64>
  %weighted_ = r1.map ins(%y, %weights_ : tensor<2x5xf64>, tensor<2x5xf64>) maps [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, d1)>] {
  ^bb0(%a: f64, %b: f64):
    %wa_ = arith.mulf %a, %b : f64
    r1.yield %wa_ : f64
  } -> tensor<2x5xf64>
  %sum_ = r1.reduce sum %weighted_ dims [0, 1] : tensor<2x5xf64> -> tensor<f64>
  return %sum_ : tensor<f64>
}

// indices computed in i64, as the language's are
func.func @read_through_i64() -> tensor<f64> {
  %x = r1.param "x" : tensor<6xf64>
  %y = r1.map captures(%x : tensor<6xf64>) maps [] {
  ^bb0(%c: tensor<6xf64>):
    %t = r1.index 0
    %i = arith.index_cast %t : index to i64
    %two = arith.constant 2 : i64
    %half = arith.floordivsi %i, %two : i64
    %j = arith.addi %half, %two : i64
    %at = arith.index_cast %j : i64 to index
    %zero = arith.constant 0.0 : f64
    %v = r1.read %c[%at] else %zero : tensor<6xf64>
    %s = math.sin %v : f64
    r1.yield %s : f64
  } -> tensor<6xf64>
  %weights_ = arith.constant dense<[-1.15, -0.15, 0.85, -0.9, 0.1, 1.1]> : tensor<6xf64>
  %weighted_ = r1.map ins(%y, %weights_ : tensor<6xf64>, tensor<6xf64>) maps [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>] {
  ^bb0(%a: f64, %b: f64):
    %wa_ = arith.mulf %a, %b : f64
    r1.yield %wa_ : f64
  } -> tensor<6xf64>
  %sum_ = r1.reduce sum %weighted_ dims [0] : tensor<6xf64> -> tensor<f64>
  return %sum_ : tensor<f64>
}

// a read at positions that are data, some of them outside
func.func @read_data() -> tensor<f64> {
  %x = r1.param "x" : tensor<4x3xf64>
  %d = r1.param "d" : tensor<3xf64>
  %ids = arith.constant dense<[2, -1, 3, 2, 7]> : tensor<5xi32>
  %y = r1.map ins(%ids, %d : tensor<5xi32>, tensor<3xf64>) captures(%x : tensor<4x3xf64>)
      maps [affine_map<(d0, d1) -> (d0)>, affine_map<(d0, d1) -> (d1)>] {
  ^bb0(%id: i32, %e: f64, %c: tensor<4x3xf64>):
    %row = arith.index_cast %id : i32 to index
    %col = r1.index 1
    %v = r1.read %c[%row, %col] else %e : tensor<4x3xf64>
    %s = math.exp %v : f64
    r1.yield %s : f64
  } -> tensor<5x3xf64>
  %weights_ = arith.constant dense<[[-1.15, -0.15, 0.85], [-0.9, 0.1, 1.1], [-0.65, 0.35, 1.35], [-0.4, 0.6, -1.15], [-0.15, 0.85, -0.9]]> : tensor<5x3xf64>
  %weighted_ = r1.map ins(%y, %weights_ : tensor<5x3xf64>, tensor<5x3xf64>) maps [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, d1)>] {
  ^bb0(%a: f64, %b: f64):
    %wa_ = arith.mulf %a, %b : f64
    r1.yield %wa_ : f64
  } -> tensor<5x3xf64>
  %sum_ = r1.reduce sum %weighted_ dims [0, 1] : tensor<5x3xf64> -> tensor<f64>
  return %sum_ : tensor<f64>
}

// reduce sum over an outer and an inner dim
func.func @reduce_sum() -> tensor<f64> {
  %x = r1.param "x" : tensor<3x2x4xf64>
  %y = r1.reduce sum %x dims [0, 2] : tensor<3x2x4xf64> -> tensor<2xf64>
  %weights_ = arith.constant dense<[-1.15, -0.15]> : tensor<2xf64>
  %weighted_ = r1.map ins(%y, %weights_ : tensor<2xf64>, tensor<2xf64>) maps [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>] {
  ^bb0(%a: f64, %b: f64):
    %wa_ = arith.mulf %a, %b : f64
    r1.yield %wa_ : f64
  } -> tensor<2xf64>
  %sum_ = r1.reduce sum %weighted_ dims [0] : tensor<2xf64> -> tensor<f64>
  return %sum_ : tensor<f64>
}

// reduce max over an outer and an inner dim
func.func @reduce_max() -> tensor<f64> {
  %x = r1.param "x" : tensor<3x2x4xf64>
  %y = r1.reduce max %x dims [0, 2] : tensor<3x2x4xf64> -> tensor<2xf64>
  %weights_ = arith.constant dense<[-1.15, -0.15]> : tensor<2xf64>
  %weighted_ = r1.map ins(%y, %weights_ : tensor<2xf64>, tensor<2xf64>) maps [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>] {
  ^bb0(%a: f64, %b: f64):
    %wa_ = arith.mulf %a, %b : f64
    r1.yield %wa_ : f64
  } -> tensor<2xf64>
  %sum_ = r1.reduce sum %weighted_ dims [0] : tensor<2xf64> -> tensor<f64>
  return %sum_ : tensor<f64>
}

// reduce min over an outer and an inner dim
func.func @reduce_min() -> tensor<f64> {
  %x = r1.param "x" : tensor<3x2x4xf64>
  %y = r1.reduce min %x dims [0, 2] : tensor<3x2x4xf64> -> tensor<2xf64>
  %weights_ = arith.constant dense<[-1.15, -0.15]> : tensor<2xf64>
  %weighted_ = r1.map ins(%y, %weights_ : tensor<2xf64>, tensor<2xf64>) maps [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>] {
  ^bb0(%a: f64, %b: f64):
    %wa_ = arith.mulf %a, %b : f64
    r1.yield %wa_ : f64
  } -> tensor<2xf64>
  %sum_ = r1.reduce sum %weighted_ dims [0] : tensor<2xf64> -> tensor<f64>
  return %sum_ : tensor<f64>
}

// x @ w
func.func @contract_linear() -> tensor<f64> {
  %x = r1.param "x" : tensor<2x3xf64>
  %w = r1.param "w" : tensor<3x4xf64>
  %y = r1.contract %x, %w maps [affine_map<(d0, d1, d2) -> (d0, d2)>, affine_map<(d0, d1, d2) -> (d2, d1)>, affine_map<(d0, d1, d2) -> (d0, d1)>]
    : tensor<2x3xf64>, tensor<3x4xf64> -> tensor<2x4xf64>
  %weights_ = arith.constant dense<[[-1.15, -0.15, 0.85, -0.9], [0.1, 1.1, -0.65, 0.35]]> : tensor<2x4xf64>
  %weighted_ = r1.map ins(%y, %weights_ : tensor<2x4xf64>, tensor<2x4xf64>) maps [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, d1)>] {
  ^bb0(%a: f64, %b: f64):
    %wa_ = arith.mulf %a, %b : f64
    r1.yield %wa_ : f64
  } -> tensor<2x4xf64>
  %sum_ = r1.reduce sum %weighted_ dims [0, 1] : tensor<2x4xf64> -> tensor<f64>
  return %sum_ : tensor<f64>
}

// w read transposed, rows in two dims
func.func @contract_transposed() -> tensor<f64> {
  %x = r1.param "x" : tensor<2x2x3xf64>
  %w = r1.param "w" : tensor<4x3xf64>
  %y = r1.contract %x, %w maps [affine_map<(d0, d1, d2, d3) -> (d0, d1, d3)>, affine_map<(d0, d1, d2, d3) -> (d2, d3)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2)>]
    : tensor<2x2x3xf64>, tensor<4x3xf64> -> tensor<2x2x4xf64>
  %weights_ = arith.constant dense<[[[-1.15, -0.15, 0.85, -0.9], [0.1, 1.1, -0.65, 0.35]], [[1.35, -0.4, 0.6, -1.15], [-0.15, 0.85, -0.9, 0.1]]]> : tensor<2x2x4xf64>
  %weighted_ = r1.map ins(%y, %weights_ : tensor<2x2x4xf64>, tensor<2x2x4xf64>) maps [affine_map<(d0, d1, d2) -> (d0, d1, d2)>, affine_map<(d0, d1, d2) -> (d0, d1, d2)>] {
  ^bb0(%a: f64, %b: f64):
    %wa_ = arith.mulf %a, %b : f64
    r1.yield %wa_ : f64
  } -> tensor<2x2x4xf64>
  %sum_ = r1.reduce sum %weighted_ dims [0, 1, 2] : tensor<2x2x4xf64> -> tensor<f64>
  return %sum_ : tensor<f64>
}

// a batch of products with permuted dims
func.func @contract_batch() -> tensor<f64> {
  %x = r1.param "x" : tensor<2x3x2x2xf64>
  %w = r1.param "w" : tensor<2x4x2x2xf64>
  %y = r1.contract %x, %w maps [affine_map<(d0, d1, d2, d3, d4) -> (d0, d2, d1, d4)>, affine_map<(d0, d1, d2, d3, d4) -> (d0, d3, d1, d4)>, affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2, d3)>]
    : tensor<2x3x2x2xf64>, tensor<2x4x2x2xf64> -> tensor<2x2x3x4xf64>
  %weights_ = arith.constant dense<[[[[-1.15, -0.15, 0.85, -0.9], [0.1, 1.1, -0.65, 0.35], [1.35, -0.4, 0.6, -1.15]], [[-0.15, 0.85, -0.9, 0.1], [1.1, -0.65, 0.35, 1.35], [-0.4, 0.6, -1.15, -0.15]]], [[[0.85, -0.9, 0.1, 1.1], [-0.65, 0.35, 1.35, -0.4], [0.6, -1.15, -0.15, 0.85]], [[-0.9, 0.1, 1.1, -0.65], [0.35, 1.35, -0.4, 0.6], [-1.15, -0.15, 0.85, -0.9]]]]> : tensor<2x2x3x4xf64>
  %weighted_ = r1.map ins(%y, %weights_ : tensor<2x2x3x4xf64>, tensor<2x2x3x4xf64>) maps [affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>] {
  ^bb0(%a: f64, %b: f64):
    %wa_ = arith.mulf %a, %b : f64
    r1.yield %wa_ : f64
  } -> tensor<2x2x3x4xf64>
  %sum_ = r1.reduce sum %weighted_ dims [0, 1, 2, 3] : tensor<2x2x3x4xf64> -> tensor<f64>
  return %sum_ : tensor<f64>
}

// a summed dim that only one operand has
func.func @contract_alone() -> tensor<f64> {
  %x = r1.param "x" : tensor<2x3xf64>
  %w = r1.param "w" : tensor<4xf64>
  %y = r1.contract %x, %w maps [affine_map<(d0, d1, d2) -> (d0, d2)>, affine_map<(d0, d1, d2) -> (d1)>, affine_map<(d0, d1, d2) -> (d0, d1)>]
    : tensor<2x3xf64>, tensor<4xf64> -> tensor<2x4xf64>
  %weights_ = arith.constant dense<[[-1.15, -0.15, 0.85, -0.9], [0.1, 1.1, -0.65, 0.35]]> : tensor<2x4xf64>
  %weighted_ = r1.map ins(%y, %weights_ : tensor<2x4xf64>, tensor<2x4xf64>) maps [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, d1)>] {
  ^bb0(%a: f64, %b: f64):
    %wa_ = arith.mulf %a, %b : f64
    r1.yield %wa_ : f64
  } -> tensor<2x4xf64>
  %sum_ = r1.reduce sum %weighted_ dims [0, 1] : tensor<2x4xf64> -> tensor<f64>
  return %sum_ : tensor<f64>
}

// no summed dim
func.func @contract_outer() -> tensor<f64> {
  %x = r1.param "x" : tensor<2xf64>
  %w = r1.param "w" : tensor<3xf64>
  %y = r1.contract %x, %w maps [affine_map<(d0, d1) -> (d0)>, affine_map<(d0, d1) -> (d1)>, affine_map<(d0, d1) -> (d0, d1)>]
    : tensor<2xf64>, tensor<3xf64> -> tensor<2x3xf64>
  %weights_ = arith.constant dense<[[-1.15, -0.15, 0.85], [-0.9, 0.1, 1.1]]> : tensor<2x3xf64>
  %weighted_ = r1.map ins(%y, %weights_ : tensor<2x3xf64>, tensor<2x3xf64>) maps [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, d1)>] {
  ^bb0(%a: f64, %b: f64):
    %wa_ = arith.mulf %a, %b : f64
    r1.yield %wa_ : f64
  } -> tensor<2x3xf64>
  %sum_ = r1.reduce sum %weighted_ dims [0, 1] : tensor<2x3xf64> -> tensor<f64>
  return %sum_ : tensor<f64>
}

// a dot product
func.func @contract_dot() -> tensor<f64> {
  %x = r1.param "x" : tensor<3xf64>
  %w = r1.param "w" : tensor<3xf64>
  %y = r1.contract %x, %w maps [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>, affine_map<(d0) -> ()>]
    : tensor<3xf64>, tensor<3xf64> -> tensor<f64>
  %weights_ = arith.constant dense<-1.15> : tensor<f64>
  %weighted_ = r1.map ins(%y, %weights_ : tensor<f64>, tensor<f64>) maps [affine_map<() -> ()>, affine_map<() -> ()>] {
  ^bb0(%a: f64, %b: f64):
    %wa_ = arith.mulf %a, %b : f64
    r1.yield %wa_ : f64
  } -> tensor<f64>
  %sum_ = r1.reduce sum %weighted_ dims [] : tensor<f64> -> tensor<f64>
  return %sum_ : tensor<f64>
}

// a tensor times itself
func.func @contract_self() -> tensor<f64> {
  %x = r1.param "x" : tensor<3x2xf64>
  %y = r1.contract %x, %x maps [affine_map<(d0, d1, d2) -> (d0, d2)>, affine_map<(d0, d1, d2) -> (d1, d2)>,
                                affine_map<(d0, d1, d2) -> (d0, d1)>]
    : tensor<3x2xf64>, tensor<3x2xf64> -> tensor<3x3xf64>
  %weights_ = arith.constant dense<[[-1.15, -0.15, 0.85], [-0.9, 0.1, 1.1], [-0.65, 0.35, 1.35]]> : tensor<3x3xf64>
  %weighted_ = r1.map ins(%y, %weights_ : tensor<3x3xf64>, tensor<3x3xf64>) maps [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, d1)>] {
  ^bb0(%a: f64, %b: f64):
    %wa_ = arith.mulf %a, %b : f64
    r1.yield %wa_ : f64
  } -> tensor<3x3xf64>
  %sum_ = r1.reduce sum %weighted_ dims [0, 1] : tensor<3x3xf64> -> tensor<f64>
  return %sum_ : tensor<f64>
}

// an embedding; an id that occurs twice adds up
func.func @gather() -> tensor<f64> {
  %x = r1.param "x" : tensor<4x2xf64>
  %ids = arith.constant dense<[[2, 0], [2, 3]]> : tensor<2x2xi32>
  %y = r1.gather %x[%ids] axis 0 maps [affine_map<(b, t, d) -> (0, d)>, affine_map<(b, t, d) -> (b, t)>]
    : tensor<4x2xf64>, tensor<2x2xi32> -> tensor<2x2x2xf64>
  %weights_ = arith.constant dense<[[[-1.15, -0.15], [0.85, -0.9]], [[0.1, 1.1], [-0.65, 0.35]]]> : tensor<2x2x2xf64>
  %weighted_ = r1.map ins(%y, %weights_ : tensor<2x2x2xf64>, tensor<2x2x2xf64>) maps [affine_map<(d0, d1, d2) -> (d0, d1, d2)>, affine_map<(d0, d1, d2) -> (d0, d1, d2)>] {
  ^bb0(%a: f64, %b: f64):
    %wa_ = arith.mulf %a, %b : f64
    r1.yield %wa_ : f64
  } -> tensor<2x2x2xf64>
  %sum_ = r1.reduce sum %weighted_ dims [0, 1, 2] : tensor<2x2x2xf64> -> tensor<f64>
  return %sum_ : tensor<f64>
}

// the log-probability of a target: an axis of its own per row
func.func @gather_inner() -> tensor<f64> {
  %x = r1.param "x" : tensor<2x4xf64>
  %ids = arith.constant dense<[3, 1]> : tensor<2xi32>
  %y = r1.gather %x[%ids] axis 1 maps [affine_map<(b) -> (b, 0)>, affine_map<(b) -> (b)>]
    : tensor<2x4xf64>, tensor<2xi32> -> tensor<2xf64>
  %weights_ = arith.constant dense<[-1.15, -0.15]> : tensor<2xf64>
  %weighted_ = r1.map ins(%y, %weights_ : tensor<2xf64>, tensor<2xf64>) maps [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>] {
  ^bb0(%a: f64, %b: f64):
    %wa_ = arith.mulf %a, %b : f64
    r1.yield %wa_ : f64
  } -> tensor<2xf64>
  %sum_ = r1.reduce sum %weighted_ dims [0] : tensor<2xf64> -> tensor<f64>
  return %sum_ : tensor<f64>
}

// gather's adjoint has an adjoint: gather
func.func @scatter_add() -> tensor<f64> {
  %x = r1.param "x" : tensor<3x2xf64>
  %ids = arith.constant dense<[2, 0, 2]> : tensor<3xi32>
  %y = r1.scatter_add %x[%ids] axis 0 maps [affine_map<(t, d) -> (0, d)>, affine_map<(t, d) -> (t)>]
    : tensor<3x2xf64>, tensor<3xi32> -> tensor<4x2xf64>
  %weights_ = arith.constant dense<[[-1.15, -0.15], [0.85, -0.9], [0.1, 1.1], [-0.65, 0.35]]> : tensor<4x2xf64>
  %weighted_ = r1.map ins(%y, %weights_ : tensor<4x2xf64>, tensor<4x2xf64>) maps [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, d1)>] {
  ^bb0(%a: f64, %b: f64):
    %wa_ = arith.mulf %a, %b : f64
    r1.yield %wa_ : f64
  } -> tensor<4x2xf64>
  %sum_ = r1.reduce sum %weighted_ dims [0, 1] : tensor<4x2xf64> -> tensor<f64>
  return %sum_ : tensor<f64>
}

// softmax along an inner dim that is not the last
func.func @softmax() -> tensor<f64> {
  %x = r1.param "x" : tensor<2x4x3xf64>
  %y = r1.softmax %x axis 1 : tensor<2x4x3xf64> -> tensor<2x4x3xf64>
  %weights_ = arith.constant dense<[[[-1.15, -0.15, 0.85], [-0.9, 0.1, 1.1], [-0.65, 0.35, 1.35], [-0.4, 0.6, -1.15]], [[-0.15, 0.85, -0.9], [0.1, 1.1, -0.65], [0.35, 1.35, -0.4], [0.6, -1.15, -0.15]]]> : tensor<2x4x3xf64>
  %weighted_ = r1.map ins(%y, %weights_ : tensor<2x4x3xf64>, tensor<2x4x3xf64>) maps [affine_map<(d0, d1, d2) -> (d0, d1, d2)>, affine_map<(d0, d1, d2) -> (d0, d1, d2)>] {
  ^bb0(%a: f64, %b: f64):
    %wa_ = arith.mulf %a, %b : f64
    r1.yield %wa_ : f64
  } -> tensor<2x4x3xf64>
  %sum_ = r1.reduce sum %weighted_ dims [0, 1, 2] : tensor<2x4x3xf64> -> tensor<f64>
  return %sum_ : tensor<f64>
}

// logsumexp
func.func @logsumexp() -> tensor<f64> {
  %x = r1.param "x" : tensor<2x4xf64>
  %y = r1.logsumexp %x axis 1 : tensor<2x4xf64> -> tensor<2xf64>
  %weights_ = arith.constant dense<[-1.15, -0.15]> : tensor<2xf64>
  %weighted_ = r1.map ins(%y, %weights_ : tensor<2xf64>, tensor<2xf64>) maps [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>] {
  ^bb0(%a: f64, %b: f64):
    %wa_ = arith.mulf %a, %b : f64
    r1.yield %wa_ : f64
  } -> tensor<2xf64>
  %sum_ = r1.reduce sum %weighted_ dims [0] : tensor<2xf64> -> tensor<f64>
  return %sum_ : tensor<f64>
}

// a row that is masked wholly has no gradient, and no NaN
func.func @softmax_masked() -> tensor<f64> {
  %x = r1.param "x" : tensor<3x4xf64>
  %m = r1.map ins(%x : tensor<3x4xf64>) maps [affine_map<(d0, d1) -> (d0, d1)>] {
  ^bb0(%a: f64):
    %r = r1.index 0
    %one = arith.constant 1 : index
    %ok = arith.cmpi ne, %r, %one : index
    %lost = arith.constant 0xFFF0000000000000 : f64
    %v = arith.select %ok, %a, %lost : f64
    r1.yield %v : f64
  } -> tensor<3x4xf64>
  %y = r1.softmax %m axis 1 : tensor<3x4xf64> -> tensor<3x4xf64>
  %weights_ = arith.constant dense<[[-1.15, -0.15, 0.85, -0.9], [0.1, 1.1, -0.65, 0.35], [1.35, -0.4, 0.6, -1.15]]> : tensor<3x4xf64>
  %weighted_ = r1.map ins(%y, %weights_ : tensor<3x4xf64>, tensor<3x4xf64>) maps [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, d1)>] {
  ^bb0(%a: f64, %b: f64):
    %wa_ = arith.mulf %a, %b : f64
    r1.yield %wa_ : f64
  } -> tensor<3x4xf64>
  %sum_ = r1.reduce sum %weighted_ dims [0, 1] : tensor<3x4xf64> -> tensor<f64>
  return %sum_ : tensor<f64>
}

// the same for logsumexp: -inf is replaced before the sum
func.func @logsumexp_masked() -> tensor<f64> {
  %x = r1.param "x" : tensor<3x4xf64>
  %m = r1.map ins(%x : tensor<3x4xf64>) maps [affine_map<(d0, d1) -> (d0, d1)>] {
  ^bb0(%a: f64):
    %r = r1.index 0
    %one = arith.constant 1 : index
    %ok = arith.cmpi ne, %r, %one : index
    %lost = arith.constant 0xFFF0000000000000 : f64
    %v = arith.select %ok, %a, %lost : f64
    r1.yield %v : f64
  } -> tensor<3x4xf64>
  %n = r1.logsumexp %m axis 1 : tensor<3x4xf64> -> tensor<3xf64>
  %y = r1.map ins(%n : tensor<3xf64>) maps [affine_map<(d0) -> (d0)>] {
  ^bb0(%a: f64):
    %low = arith.constant -50.0 : f64
    %v = arith.maximumf %a, %low : f64
    r1.yield %v : f64
  } -> tensor<3xf64>
  %weights_ = arith.constant dense<[-1.15, -0.15, 0.85]> : tensor<3xf64>
  %weighted_ = r1.map ins(%y, %weights_ : tensor<3xf64>, tensor<3xf64>) maps [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>] {
  ^bb0(%a: f64, %b: f64):
    %wa_ = arith.mulf %a, %b : f64
    r1.yield %wa_ : f64
  } -> tensor<3xf64>
  %sum_ = r1.reduce sum %weighted_ dims [0] : tensor<3xf64> -> tensor<f64>
  return %sum_ : tensor<f64>
}

// reshape, its result used in two places
func.func @reshape() -> tensor<f64> {
  %x = r1.param "x" : tensor<2x6xf64>
  %r = r1.reshape %x : tensor<2x6xf64> -> tensor<2x2x3xf64>
  %q = r1.reshape %x : tensor<2x6xf64> -> tensor<2x2x3xf64>
  %y = r1.map ins(%r, %q : tensor<2x2x3xf64>, tensor<2x2x3xf64>)
      maps [affine_map<(d0, d1, d2) -> (d0, d1, d2)>, affine_map<(d0, d1, d2) -> (d0, d1, d2)>] {
  ^bb0(%a: f64, %b: f64):
    %e = math.exp %b : f64
    %v = arith.mulf %a, %e : f64
    r1.yield %v : f64
  } -> tensor<2x2x3xf64>
  %weights_ = arith.constant dense<[[[-1.15, -0.15, 0.85], [-0.9, 0.1, 1.1]], [[-0.65, 0.35, 1.35], [-0.4, 0.6, -1.15]]]> : tensor<2x2x3xf64>
  %weighted_ = r1.map ins(%y, %weights_ : tensor<2x2x3xf64>, tensor<2x2x3xf64>) maps [affine_map<(d0, d1, d2) -> (d0, d1, d2)>, affine_map<(d0, d1, d2) -> (d0, d1, d2)>] {
  ^bb0(%a: f64, %b: f64):
    %wa_ = arith.mulf %a, %b : f64
    r1.yield %wa_ : f64
  } -> tensor<2x2x3xf64>
  %sum_ = r1.reduce sum %weighted_ dims [0, 1, 2] : tensor<2x2x3xf64> -> tensor<f64>
  return %sum_ : tensor<f64>
}

// a value with three uses
func.func @reuse() -> tensor<f64> {
  %x = r1.param "x" : tensor<3xf64>
  %e = r1.map ins(%x : tensor<3xf64>) maps [affine_map<(d0) -> (d0)>] {
  ^bb0(%a: f64):
    %v = math.exp %a : f64
    r1.yield %v : f64
  } -> tensor<3xf64>
  %s = r1.reduce sum %e dims [0] : tensor<3xf64> -> tensor<f64>
  %p = r1.softmax %e axis 0 : tensor<3xf64> -> tensor<3xf64>
  %y = r1.map ins(%e, %s, %p : tensor<3xf64>, tensor<f64>, tensor<3xf64>)
      maps [affine_map<(d0) -> (d0)>, affine_map<(d0) -> ()>, affine_map<(d0) -> (d0)>] {
  ^bb0(%a: f64, %b: f64, %c: f64):
    %v = arith.divf %a, %b : f64
    %w = arith.mulf %v, %c : f64
    r1.yield %w : f64
  } -> tensor<3xf64>
  %weights_ = arith.constant dense<[-1.15, -0.15, 0.85]> : tensor<3xf64>
  %weighted_ = r1.map ins(%y, %weights_ : tensor<3xf64>, tensor<3xf64>) maps [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>] {
  ^bb0(%a: f64, %b: f64):
    %wa_ = arith.mulf %a, %b : f64
    r1.yield %wa_ : f64
  } -> tensor<3xf64>
  %sum_ = r1.reduce sum %weighted_ dims [0] : tensor<3xf64> -> tensor<f64>
  return %sum_ : tensor<f64>
}

// a rounded copy of a parameter: its gradient stays in the parameter's type
func.func @rounded() -> tensor<f64> {
  %x = r1.param "x" : tensor<2x3xf64>
  %h = r1.map ins(%x : tensor<2x3xf64>) maps [affine_map<(d0, d1) -> (d0, d1)>] {
  ^bb0(%a: f64):
    %v = arith.truncf %a : f64 to bf16
    r1.yield %v : bf16
  } -> tensor<2x3xbf16>
  %c = r1.contract %h, %h maps [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>,
                                affine_map<(m, n, k) -> (m, n)>]
    : tensor<2x3xbf16>, tensor<2x3xbf16> -> tensor<2x2xf32>
  %y = r1.map ins(%c : tensor<2x2xf32>) maps [affine_map<(d0, d1) -> (d0, d1)>] {
  ^bb0(%a: f32):
    %v = arith.extf %a : f32 to f64
    r1.yield %v : f64
  } -> tensor<2x2xf64>
  %weights_ = arith.constant dense<[[-1.15, -0.15], [0.85, -0.9]]> : tensor<2x2xf64>
  %weighted_ = r1.map ins(%y, %weights_ : tensor<2x2xf64>, tensor<2x2xf64>) maps [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, d1)>] {
  ^bb0(%a: f64, %b: f64):
    %wa_ = arith.mulf %a, %b : f64
    r1.yield %wa_ : f64
  } -> tensor<2x2xf64>
  %sum_ = r1.reduce sum %weighted_ dims [0, 1] : tensor<2x2xf64> -> tensor<f64>
  return %sum_ : tensor<f64>
}

// a kernel that the registry does not know: its body is differentiated
func.func @kernel_body() -> tensor<f64> {
  %x = r1.param "x" : tensor<3xf64>
  %y = r1.kernel "cube" ins(%x : tensor<3xf64>) body @cube -> tensor<3xf64>
  %weights_ = arith.constant dense<[-1.15, -0.15, 0.85]> : tensor<3xf64>
  %weighted_ = r1.map ins(%y, %weights_ : tensor<3xf64>, tensor<3xf64>) maps [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>] {
  ^bb0(%a: f64, %b: f64):
    %wa_ = arith.mulf %a, %b : f64
    r1.yield %wa_ : f64
  } -> tensor<3xf64>
  %sum_ = r1.reduce sum %weighted_ dims [0] : tensor<3xf64> -> tensor<f64>
  return %sum_ : tensor<f64>
}

// a rotation: constant positions of a small dim, which the adjoint unrolls
func.func @map_halves() -> tensor<f64> {
  %x = r1.param "x" : tensor<3x2x2xf64>
  %y = r1.map ins(%x, %x : tensor<3x2x2xf64>, tensor<3x2x2xf64>)
      maps [affine_map<(d0, d1, d2) -> (d0, 0, d2)>, affine_map<(d0, d1, d2) -> (d0, 1, d2)>] {
  ^bb0(%a: f64, %b: f64):
    %half = r1.index 1
    %zero = arith.constant 0 : index
    %first = arith.cmpi eq, %half, %zero : index
    %t = r1.index 0
    %i = arith.index_cast %t : index to i32
    %angle = arith.sitofp %i : i32 to f64
    %c = math.cos %angle : f64
    %s = math.sin %angle : f64
    %ac = arith.mulf %a, %c : f64
    %bs = arith.mulf %b, %s : f64
    %as = arith.mulf %a, %s : f64
    %bc = arith.mulf %b, %c : f64
    %u = arith.subf %ac, %bs : f64
    %v = arith.addf %as, %bc : f64
    %r = arith.select %first, %u, %v : f64
    %q = arith.mulf %r, %r : f64
    r1.yield %q : f64
  } -> tensor<3x2x2xf64>
  %weights_ = arith.constant dense<[[[-1.15, -0.15], [0.85, -0.9]], [[0.1, 1.1], [-0.65, 0.35]], [[1.35, -0.4], [0.6, -1.15]]]> : tensor<3x2x2xf64>
  %weighted_ = r1.map ins(%y, %weights_ : tensor<3x2x2xf64>, tensor<3x2x2xf64>) maps [affine_map<(d0, d1, d2) -> (d0, d1, d2)>, affine_map<(d0, d1, d2) -> (d0, d1, d2)>] {
  ^bb0(%a: f64, %b: f64):
    %wa_ = arith.mulf %a, %b : f64
    r1.yield %wa_ : f64
  } -> tensor<3x2x2xf64>
  %sum_ = r1.reduce sum %weighted_ dims [0, 1, 2] : tensor<3x2x2xf64> -> tensor<f64>
  return %sum_ : tensor<f64>
}

func.func private @cube(%x: tensor<3xf64>) -> tensor<3xf64> {
  %y = r1.map ins(%x : tensor<3xf64>) maps [affine_map<(d0) -> (d0)>] {
  ^bb0(%a: f64):
    %b = arith.mulf %a, %a : f64
    %v = arith.mulf %b, %a : f64
    r1.yield %v : f64
  } -> tensor<3xf64>
  return %y : tensor<3xf64>
}
