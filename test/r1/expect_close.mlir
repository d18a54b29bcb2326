// A tensor that is not close: which element, and both numbers.
// RUN: not r1-opt --r1-eval %s -o /dev/null 2>&1 | FileCheck %s

// CHECK: error: {{.*}}expect_close.mlir{{.*}}: element 1 of [2] is 2, expected 2.5
func.func @far() {
  %x = arith.constant dense<[1.0, 2.0]> : tensor<2xf64>
  %y = arith.constant dense<[1.001, 2.5]> : tensor<2xf64>
  r1.expect_close %x, %y {rtol = 0.01 : f64, atol = 0.0 : f64} : tensor<2xf64>, tensor<2xf64>
  return
}
