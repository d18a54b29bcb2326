// The registry's reference of attention agrees with a body written out; a row that sees no key
// gives zeros and a log-sum-exp of -inf.
// RUN: r1-opt --r1-inline-kernels %s | FileCheck %s
// RUN: r1-opt --r1-inline-kernels --r1-eval %s -o /dev/null | FileCheck %s --check-prefix=EVAL

// CHECK-NOT: r1.kernel
// EVAL: @main lse [1, 2, 3] = {{.*}} -inf {{.*}} -inf
func.func @main() -> (tensor<1x2x3xf64> {r1.name = "lse"}) {
  %q = r1.param "q" : tensor<1x3x2x3xf64>
  %k = r1.param "k" : tensor<1x4x1x3xf64>
  %v = r1.param "v" : tensor<1x4x1x3xf64>
  %last = arith.constant dense<[1, 3, -1]> : tensor<3xi32>
  %x = r1.kernel "flash_attention"
      ins(%q, %k, %v : tensor<1x3x2x3xf64>, tensor<1x4x1x3xf64>, tensor<1x4x1x3xf64>)
      captures(%last : tensor<3xi32>) body @attention lambdas {
  ^bb0(%b: index, %t: index, %s: index, %l: tensor<3xi32>):
    %none = arith.constant -1 : i32
    %e = r1.read %l[%t] else %none : tensor<3xi32>
    %end = arith.index_cast %e : i32 to index
    %ok = arith.cmpi sle, %s, %end : index
    r1.yield %ok : i1
  } -> tensor<1x3x2x3xf64>
  %y, %n = r1.kernel "flash_attention"
      ins(%q, %k, %v : tensor<1x3x2x3xf64>, tensor<1x4x1x3xf64>, tensor<1x4x1x3xf64>)
      captures(%last : tensor<3xi32>) lambdas {
  ^bb0(%b: index, %t: index, %s: index, %l: tensor<3xi32>):
    %none = arith.constant -1 : i32
    %e = r1.read %l[%t] else %none : tensor<3xi32>
    %end = arith.index_cast %e : i32 to index
    %ok = arith.cmpi sle, %s, %end : index
    r1.yield %ok : i1
  } -> tensor<1x3x2x3xf64>, tensor<1x2x3xf64>
  r1.expect_close %x, %y {rtol = 1.0e-12 : f64, atol = 1.0e-12 : f64} : tensor<1x3x2x3xf64>, tensor<1x3x2x3xf64>
  return %n : tensor<1x2x3xf64>
}

func.func private @attention(%q: tensor<1x3x2x3xf64>, %k: tensor<1x4x1x3xf64>,
                             %v: tensor<1x4x1x3xf64>, %last: tensor<3xi32>) -> tensor<1x3x2x3xf64> {
  %dot = r1.contract %q, %k maps [affine_map<(b, h, t, s, g, c) -> (b, t, h, c)>,
                                  affine_map<(b, h, t, s, g, c) -> (b, s, g, c)>,
                                  affine_map<(b, h, t, s, g, c) -> (b, h, t, s)>]
    : tensor<1x3x2x3xf64>, tensor<1x4x1x3xf64> -> tensor<1x2x3x4xf64>
  %a = r1.map ins(%dot, %last : tensor<1x2x3x4xf64>, tensor<3xi32>)
      maps [affine_map<(b, h, t, s) -> (b, h, t, s)>, affine_map<(b, h, t, s) -> (t)>] {
  ^bb0(%x: f64, %e: i32):
    %s = r1.index 3
    %end = arith.index_cast %e : i32 to index
    %ok = arith.cmpi sle, %s, %end : index
    %scale = arith.constant 0.57735026918962576 : f64
    %lost = arith.constant 0xFFF0000000000000 : f64
    %scaled = arith.mulf %x, %scale : f64
    %r = arith.select %ok, %scaled, %lost : f64
    r1.yield %r : f64
  } -> tensor<1x2x3x4xf64>
  %p = r1.softmax %a axis 3 : tensor<1x2x3x4xf64> -> tensor<1x2x3x4xf64>
  %y = r1.contract %p, %v maps [affine_map<(b, t, h, c, s, g) -> (b, h, t, s)>,
                                affine_map<(b, t, h, c, s, g) -> (b, s, g, c)>,
                                affine_map<(b, t, h, c, s, g) -> (b, t, h, c)>]
    : tensor<1x2x3x4xf64>, tensor<1x4x1x3xf64> -> tensor<1x3x2x3xf64>
  return %y : tensor<1x3x2x3xf64>
}
