// What cannot be printed says so, at its place.
// RUN: not r1c compile %s --emit=cuda 2>&1 | FileCheck %s
// REQUIRES: r1c
kern.kernel @f64 rows [4] along "row" writes [1] {
^bb0(%r: index, %x: memref<4xf64>, %y: memref<4xf64>):
  %v = memref.load %x[%r] : memref<4xf64>
  // CHECK: errors.mlir:[[# @LINE + 1]]:{{.*}}is not supported yet in a CUDA kernel
  %e = math.exp %v : f64
  memref.store %e, %y[%r] : memref<4xf64>
  kern.end
}
// CHECK: kernel @f64 cannot be printed as CUDA C++
