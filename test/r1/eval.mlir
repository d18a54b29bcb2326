// The reference evaluator on each op, with numbers small enough to check by hand.
// RUN: r1-opt --r1-eval %s -o /dev/null | FileCheck %s

// CHECK: @map 0 [2, 3] = 11 22 33 14 25 36
func.func @map() -> tensor<2x3xf32> {
  %x = arith.constant dense<[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]> : tensor<2x3xf32>
  %b = arith.constant dense<[10.0, 20.0, 30.0]> : tensor<3xf32>
  %y = r1.map ins(%x, %b : tensor<2x3xf32>, tensor<3xf32>)
      maps [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d1)>] {
  ^bb0(%xe: f32, %be: f32):
    %s = arith.addf %xe, %be : f32
    r1.yield %s : f32
  } -> tensor<2x3xf32>
  return %y : tensor<2x3xf32>
}

// CHECK: @read 0 [4] = 7 1 2 3
func.func @read() -> tensor<4xi32> {
  %x = arith.constant dense<[1, 2, 3]> : tensor<3xi32>
  %y = r1.map captures(%x : tensor<3xi32>) maps [] {
  ^bb0(%c: tensor<3xi32>):
    %t = r1.index 0
    %one = arith.constant 1 : index
    %at = arith.subi %t, %one : index
    %seven = arith.constant 7 : i32
    %v = r1.read %c[%at] else %seven : tensor<3xi32>
    r1.yield %v : i32
  } -> tensor<4xi32>
  return %y : tensor<4xi32>
}

// CHECK: @reduce 0 [3] = 5 7 9
// CHECK: @reduce 1 [2] = 3 6
// CHECK: @reduce 2 [2] = 1 4
// CHECK: @reduce 3 [2] = 1 0
// CHECK: @reduce 4 [2] = 0 0
func.func @reduce() -> (tensor<3xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xi1>, tensor<2xi1>) {
  %x = arith.constant dense<[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]> : tensor<2x3xf32>
  %p = arith.constant dense<[[true, false], [false, false]]> : tensor<2x2xi1>
  %a = r1.reduce sum %x dims [0] : tensor<2x3xf32> -> tensor<3xf32>
  %b = r1.reduce max %x dims [1] : tensor<2x3xf32> -> tensor<2xf32>
  %c = r1.reduce min %x dims [1] : tensor<2x3xf32> -> tensor<2xf32>
  %d = r1.reduce any %p dims [1] : tensor<2x2xi1> -> tensor<2xi1>
  %e = r1.reduce all %p dims [1] : tensor<2x2xi1> -> tensor<2xi1>
  return %a, %b, %c, %d, %e : tensor<3xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xi1>, tensor<2xi1>
}

// CHECK: @contract 0 [2, 2] = 4 5 10 11
func.func @contract() -> tensor<2x2xf32> {
  %x = arith.constant dense<[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]> : tensor<2x3xf32>
  %w = arith.constant dense<[[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]> : tensor<3x2xf32>
  %y = r1.contract %x, %w maps [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>,
                                affine_map<(m, n, k) -> (m, n)>]
    : tensor<2x3xf32>, tensor<3x2xf32> -> tensor<2x2xf32>
  return %y : tensor<2x2xf32>
}

// CHECK: @indexed 0 [3, 2] = 5 6 1 2 5 6
// CHECK: @indexed 1 [3, 2] = 1 2 0 0 10 12
func.func @indexed() -> (tensor<3x2xf32>, tensor<3x2xf32>) {
  %t = arith.constant dense<[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]> : tensor<3x2xf32>
  %ids = arith.constant dense<[2, 0, 2]> : tensor<3xi32>
  %e = r1.gather %t[%ids] axis 0 maps [affine_map<(t, d) -> (0, d)>, affine_map<(t, d) -> (t)>]
    : tensor<3x2xf32>, tensor<3xi32> -> tensor<3x2xf32>
  %s = r1.scatter_add %e[%ids] axis 0 maps [affine_map<(t, d) -> (0, d)>, affine_map<(t, d) -> (t)>]
    : tensor<3x2xf32>, tensor<3xi32> -> tensor<3x2xf32>
  return %e, %s : tensor<3x2xf32>, tensor<3x2xf32>
}

// A row of -inf: probabilities zero, the log-sum-exp -inf.
// CHECK: @stable 0 [2, 2] = 0.25 0.75 0 0
// CHECK: @stable 1 [2] = 1.38629 -inf
func.func @stable() -> (tensor<2x2xf32>, tensor<2xf32>) {
  %x = arith.constant dense<[[0.0, 1.09861228866811], [0xFF800000, 0xFF800000]]> : tensor<2x2xf32>
  %p = r1.softmax %x axis 1 : tensor<2x2xf32> -> tensor<2x2xf32>
  %n = r1.logsumexp %x axis 1 : tensor<2x2xf32> -> tensor<2xf32>
  return %p, %n : tensor<2x2xf32>, tensor<2xf32>
}

// CHECK: @shape 0 [3, 2] = 1 2 3 4 5 6
func.func @shape() -> tensor<3x2xf32> {
  %x = arith.constant dense<[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]> : tensor<2x3xf32>
  %y = r1.reshape %x : tensor<2x3xf32> -> tensor<3x2xf32>
  %z = r1.stop_grad %y : tensor<3x2xf32> -> tensor<3x2xf32>
  return %z : tensor<3x2xf32>
}

// CHECK: @rows sums [2] = 9 12
func.func @rows() -> (tensor<2xf32> {r1.name = "sums"}) {
  %x = arith.constant dense<[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]> : tensor<3x2xf32>
  %s = r1.row_loop 3 split(%x : tensor<3x2xf32>) {
  ^bb0(%xs: tensor<1x2xf32>):
    %r = r1.reduce sum %xs dims [0] : tensor<1x2xf32> -> tensor<2xf32>
    r1.yield %r : tensor<2xf32>
  } -> tensor<2xf32>
  return %s : tensor<2xf32>
}

// CHECK: @kernel 0 [2] = 2 4
func.func @kernel() -> tensor<2xf32> {
  %x = arith.constant dense<[1.0, 2.0]> : tensor<2xf32>
  %y = r1.kernel "twice" ins(%x : tensor<2xf32>) body @twice -> tensor<2xf32>
  return %y : tensor<2xf32>
}
func.func private @twice(%x: tensor<2xf32>) -> tensor<2xf32> {
  %y = r1.map ins(%x : tensor<2xf32>) maps [affine_map<(d0) -> (d0)>] {
  ^bb0(%a: f32):
    %b = arith.addf %a, %a : f32
    r1.yield %b : f32
  } -> tensor<2xf32>
  return %y : tensor<2xf32>
}

// CHECK: @leaves 0 [2] = 0.5 0.5
r1.leaf "w" : tensor<2xf32> {dist = 0 : i32, a = 0.5 : f64, b = 0.0 : f64}
func.func @leaves() -> (tensor<2xf32>) {
  %w = r1.param "w" : tensor<2xf32>
  %s = r1.scalar "lr" : tensor<f32>
  %u = r1.random "drop" : tensor<2xf32>
  r1.expect_close %u, %u {rtol = 0.0 : f64, atol = 0.0 : f64} : tensor<2xf32>, tensor<2xf32>
  return %w : tensor<2xf32>
}
