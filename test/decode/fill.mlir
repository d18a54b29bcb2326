// What the kernels of caches do, by their references: rows that are named get what is chosen for them, also where their
// pair comes again, numbers beyond the ends are brought inside.
// RUN: r1-opt --r1-inline-kernels --r1-eval %s -o /dev/null | FileCheck %s

// CHECK: @rows 0 [4, 2] = 1 2 31 32 5 6 21 22
func.func @rows() -> tensor<4x2xf32> {
  %x = arith.constant dense<[[11.0, 12.0], [21.0, 22.0], [31.0, 32.0]]> : tensor<3x2xf32>
  %cache = arith.constant dense<[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]]> : tensor<4x2xf32>
  %from = arith.constant dense<[2, 1, 7]> : tensor<3xi32>
  %row = arith.constant dense<[1, 9, 1]> : tensor<3xi32>
  %y = r1.kernel "cache_fill" ins(%x, %cache, %from, %row : tensor<3x2xf32>, tensor<4x2xf32>, tensor<3xi32>, tensor<3xi32>)
    attributes {axis = 0 : i64} -> tensor<4x2xf32>
  return %y : tensor<4x2xf32>
}

// CHECK: @columns 0 [2, 3] = 1 12 3 4 22 6
func.func @columns() -> tensor<2x3xf32> {
  %x = arith.constant dense<[[11.0, 12.0], [21.0, 22.0]]> : tensor<2x2xf32>
  %cache = arith.constant dense<[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]> : tensor<2x3xf32>
  %from = arith.constant dense<[1]> : tensor<1xi32>
  %row = arith.constant dense<[1]> : tensor<1xi32>
  %y = r1.kernel "cache_fill" ins(%x, %cache, %from, %row : tensor<2x2xf32>, tensor<2x3xf32>, tensor<1xi32>, tensor<1xi32>)
    attributes {axis = 1 : i64} -> tensor<2x3xf32>
  return %y : tensor<2x3xf32>
}
