// What a launch moves and multiplies at least: each element once, however often it is read; a table that rows
// meet in once as a whole; two operations for each multiplication and addition of a product.
// RUN: r1c compile %s --report --json | FileCheck %s
// REQUIRES: r1c

// 64 x 256 f32 read by two sweeps, 64 f32 written.
// CHECK: "bytes":65792,{{.*}}"flops":0,{{.*}}"kernel":"norm"
kern.kernel @norm rows [64] along "sweep" writes [1] {
^bb0(%r: index, %x: memref<64x256xf32>, %y: memref<64xf32>):
  %s = kern.sweep [256] combine [0] {
  ^bb0(%d: index):
    %v = memref.load %x[%r, %d] : memref<64x256xf32>
    kern.yield %v : f32
  } -> f32
  %t = kern.sweep [256] combine [0] {
  ^bb0(%d: index):
    %v = memref.load %x[%r, %d] : memref<64x256xf32>
    %q = arith.mulf %v, %s : f32
    kern.yield %q : f32
  } -> f32
  memref.store %t, %y[%r] : memref<64xf32>
  kern.end
}

// 1024 ids, 1024 x 8 bf16 read; the table of 16 x 8 f32 read and written.
// CHECK: "bytes":21504,{{.*}}"kernel":"scatter"
kern.kernel @scatter rows [8] along "row" writes [2] {
^bb0(%c: index, %ids: memref<1024xi32>, %x: memref<8192xbf16>, %y: memref<16x8xf32>):
  kern.sweep [1024] combine [] {
  ^bb0(%r: index):
    %i = memref.load %ids[%r] : memref<1024xi32>
    %row = arith.index_cast %i : i32 to index
    %at = affine.apply affine_map<(d0, d1) -> (d0 * 8 + d1)>(%r, %c)
    %v = memref.load %x[%at] : memref<8192xbf16>
    %w = arith.extf %v : bf16 to f32
    %old = memref.load %y[%row, %c] : memref<16x8xf32>
    %s = arith.addf %old, %w : f32
    memref.store %s, %y[%row, %c] : memref<16x8xf32>
    kern.yield
  }
  kern.end
}

// A of 2 x 512 x 128, B shared by both, C and a bias: (131072 + 49152 + 393216 + 384) x 4 bytes.
// CHECK: "bytes":2295296,{{.*}}"flops":100663296,{{.*}}"kernel":"p"
kern.product @p sizes [512, 384, 128] batch [2] a [65536, 128, 1] b [0, 384, 1] c [196608, 384, 1] accumulate false {
^bb0(%g: index, %m: index, %n: index, %acc: f32, %x: memref<2x512x128xf32>, %w: memref<128x384xf32>, %y: memref<2x512x384xf32>, %b: memref<384xf32>):
  %v = memref.load %b[%n] : memref<384xf32>
  %s = arith.addf %acc, %v : f32
  kern.yield %s : f32
}
