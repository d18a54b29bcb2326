// Which products a library does on a GPU: those whose epilogue it rounds as r1 does. The others, and all
// without a GPU or with bits = "exact", are r1c's own kernels.
// RUN: r1c compile %s --emit=cuda --target cuda:sm_90a | FileCheck %s
// RUN: r1c compile %s --emit=cuda | FileCheck %s --check-prefix=OWN
// REQUIRES: r1c
// OWN-NOT: cuBLASLt

// CHECK: // k_plain: product, {{.*}}library.mlir:[[# @LINE + 1]]; cuBLASLt, f32 to f32: 64 x 48, sums of 32
kern.product @plain sizes [64, 48, 32] batch [] a [32, 1] b [48, 1] c [48, 1] accumulate false {
^bb0(%g: index, %m: index, %n: index, %acc: f32, %x: memref<64x32xf32>, %w: memref<32x48xf32>, %y: memref<64x48xf32>):
  kern.yield %acc : f32
}

// CHECK: // k_bias: product, {{.*}}; cuBLASLt, f32 to f32, with its bias: 64 x 48
kern.product @bias sizes [64, 48, 32] batch [] a [1, 64] b [1, 32] c [48, 1] accumulate false {
^bb0(%g: index, %m: index, %n: index, %acc: f32, %x: memref<32x64xf32>, %w: memref<48x32xf32>, %y: memref<64x48xf32>, %b: memref<48xf32>):
  %v = memref.load %b[%n] : memref<48xf32>
  %s = arith.addf %v, %acc : f32
  kern.yield %s : f32
}

// CHECK: // k_adds: product, {{.*}}; cuBLASLt, bf16 to f32, added to the result: 64 x 48
kern.product @adds sizes [64, 48, 32] batch [] a [32, 1] b [48, 1] c [48, 1] accumulate true {
^bb0(%g: index, %m: index, %n: index, %acc: f32, %x: memref<64x32xbf16>, %w: memref<32x48xbf16>, %y: memref<64x48xf32>):
  kern.yield %acc : f32
}

// CHECK: // k_rounds: product, {{.*}}; cuBLASLt, f16 to f16: 64 x 48, sums of 32, 6 times
kern.product @rounds sizes [64, 48, 32] batch [2, 3] a [6144, 2048, 32, 1] b [4608, 1536, 48, 1] c [9216, 3072, 48, 1] accumulate false {
^bb0(%g: index, %m: index, %n: index, %acc: f32, %x: memref<2x3x64x32xf16>, %w: memref<2x3x32x48xf16>, %y: memref<2x3x64x48xf16>):
  %h = arith.truncf %acc : f32 to f16
  kern.yield %h : f16
}

// A rounding before the bias is not what the library does.
// CHECK: // k_twice: product, {{.*}}; {{.*}}tiles of
kern.product @twice sizes [64, 48, 32] batch [] a [32, 1] b [48, 1] c [48, 1] accumulate false {
^bb0(%g: index, %m: index, %n: index, %acc: f32, %x: memref<64x32xbf16>, %w: memref<32x48xbf16>, %y: memref<64x48xbf16>, %b: memref<48xbf16>):
  %h = arith.truncf %acc : f32 to bf16
  %v = memref.load %b[%n] : memref<48xbf16>
  %s = arith.addf %h, %v : bf16
  kern.yield %s : bf16
}

// A bias of the rows, not of the columns.
// CHECK: // k_rowwise: product, {{.*}}; {{.*}}tiles of
kern.product @rowwise sizes [64, 48, 32] batch [] a [32, 1] b [48, 1] c [48, 1] accumulate false {
^bb0(%g: index, %m: index, %n: index, %acc: f32, %x: memref<64x32xf32>, %w: memref<32x48xf32>, %y: memref<64x48xf32>, %b: memref<64xf32>):
  %v = memref.load %b[%m] : memref<64xf32>
  %s = arith.addf %acc, %v : f32
  kern.yield %s : f32
}

// Batches that share an operand do not step evenly.
// CHECK: // k_shared: product, {{.*}}; {{.*}}tiles of
kern.product @shared sizes [64, 48, 32] batch [2, 3] a [6144, 2048, 32, 1] b [1536, 0, 48, 1] c [9216, 3072, 48, 1] accumulate false {
^bb0(%g: index, %m: index, %n: index, %acc: f32, %x: memref<2x3x64x32xf32>, %w: memref<2x32x48xf32>, %y: memref<2x3x64x48xf32>):
  kern.yield %acc : f32
}

// Too narrow for a library's tiles.
// CHECK: // k_narrow: product, {{.*}}; {{.*}}tiles of
kern.product @narrow sizes [64, 8, 32] batch [] a [32, 1] b [8, 1] c [8, 1] accumulate false {
^bb0(%g: index, %m: index, %n: index, %acc: f32, %x: memref<64x32xf32>, %w: memref<32x8xf32>, %y: memref<64x8xf32>):
  kern.yield %acc : f32
}

// A line of 250 sums is no whole number of accesses of 16 bytes: on Hopper our own are faster, if rows are padded.
// CHECK: // k_ragged: product, {{.*}}; wgmma, tiles of
kern.product @ragged sizes [128, 64, 250] batch [] a [256, 1] b [64, 1] c [64, 1] accumulate false {
^bb0(%g: index, %m: index, %n: index, %acc: f32, %x: memref<128x256xbf16>, %w: memref<250x64xbf16>, %y: memref<128x64xbf16>):
  %h = arith.truncf %acc : f32 to bf16
  kern.yield %h : bf16
}

// Not padded, only cuBLASLt has tensor cores for it.
// CHECK: // k_odd: product, {{.*}}; cuBLASLt, bf16 to bf16: 64 x 64, sums of 250
kern.product @odd sizes [64, 64, 250] batch [] a [250, 1] b [64, 1] c [64, 1] accumulate false {
^bb0(%g: index, %m: index, %n: index, %acc: f32, %x: memref<64x250xbf16>, %w: memref<250x64xbf16>, %y: memref<64x64xbf16>):
  %h = arith.truncf %acc : f32 to bf16
  kern.yield %h : bf16
}
