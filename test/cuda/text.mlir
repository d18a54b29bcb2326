// The text of kernels: what a thread does, what it loads at once, where it stores.
// RUN: r1c compile %s --emit=cuda | FileCheck %s
// REQUIRES: r1c

// Element by element, four neighbours at a time; the bound of an argument is for the emulator.
// CHECK: // k_scale: kernel, {{.*}}text.mlir:[[# @LINE + 15]]; 4 rows per thread
// CHECK-NEXT: #include "r1.cuh"
// CHECK-NEXT: R1_KERNEL(k_scale, 64)(R1_ARG(const float, 1024) x0, R1_ARG(const float, 8) x1, R1_ARG(r1::bf16, 1024) y2) {
// CHECK-NEXT: #line [[# @LINE + 12]] "{{.*}}text.mlir"
// CHECK-NEXT: const int u0 = r1::block() * 64 + r1::thread();
// CHECK-SAME: const int i1 = u0 / 2;
// CHECK-NEXT: #line
// CHECK-NEXT: const int i2 = (u0 % 2) * 4;
// CHECK-NEXT: #line
// CHECK-NEXT: const auto v3 = r1::load<4>(x0 + i1 * 8 + i2);
// CHECK-NEXT: #line
// CHECK-NEXT: const auto v4 = r1::load<4>(x1 + i2);
// CHECK-NEXT: #line
// CHECK-NEXT: r1::store<4>(y2 + i1 * 8 + i2, r1::cast<r1::bf16>(v3 * v4));
// CHECK: R1_ENTRY(k_scale, 3, 4, 64, (const float *)a[0], (const float *)a[1], (r1::bf16 *)a[2])
kern.kernel @scale rows [128, 8] along "row" writes [2] {
^bb0(%r: index, %c: index, %x: memref<128x8xf32>, %s: memref<8xf32>, %y: memref<128x8xbf16>):
  %v = memref.load %x[%r, %c] : memref<128x8xf32>
  %w = memref.load %s[%c] : memref<8xf32>
  %p = arith.mulf %v, %w : f32
  %h = arith.truncf %p : f32 to bf16
  memref.store %h, %y[%r, %c] : memref<128x8xbf16>
  kern.end
}

// A row's sum: 32 threads of two lanes, since there are few rows; one thread stores it.
// CHECK-LABEL: // k_norm: kernel
// CHECK: const int lane = r1::thread() % 32;
// CHECK: auto [[S:s[0-9]+]] = r1::splat<2>(0.0f);
// CHECK: for (int [[J:j[0-9]+]] = lane * 2; [[J]] < 256; [[J]] += 64) {
// CHECK: const auto [[V:v[0-9]+]] = r1::load<2>(x0 + row * 256 + [[J]]);
// CHECK: [[S]] = [[S]] + ([[V]] * [[V]]);
// CHECK: const auto [[T:t[0-9]+]] = r1::row_sum<2>([[S]].v);
// CHECK: if (lane == 0) y1[row] = [[T]];
kern.kernel @norm rows [64] along "sweep" writes [1] {
^bb0(%r: index, %x: memref<64x256xf32>, %y: memref<64xf32>):
  %s = kern.sweep [256] combine [0] {
  ^bb0(%d: index):
    %v = memref.load %x[%r, %d] : memref<64x256xf32>
    %q = arith.mulf %v, %v : f32
    kern.yield %q : f32
  } -> f32
  memref.store %s, %y[%r] : memref<64xf32>
  kern.end
}

// A product with its epilogue as a functor.
// CHECK-LABEL: // k_p: product
// CHECK: struct k_p_shape {
// CHECK-NEXT: static constexpr int M = 512, N = 384, K = 128;
// CHECK: struct k_p_epilogue {
// CHECK-NEXT: R1_PTR(const float) x3;
// CHECK-NEXT: R1_FN float operator()(int g, int m, int n, float sum) const {
// CHECK: const auto v0 = x3[n];
// CHECK: return (sum + v0);
// CHECK: r1::product<k_p_shape>(x0, x1, y2, k_p_epilogue{x3});
kern.product @p sizes [512, 384, 128] batch [] a [128, 1] b [384, 1] c [384, 1] accumulate false {
^bb0(%g: index, %m: index, %n: index, %acc: f32, %x: memref<512x128xf32>, %w: memref<128x384xf32>, %y: memref<512x384xf32>, %bias: memref<384xf32>):
  %bv = memref.load %bias[%n] : memref<384xf32>
  %s = arith.addf %acc, %bv : f32
  kern.yield %s : f32
}

// Few columns under each other: a block writes tiles of what is added, a warp adds it in order.
// CHECK-LABEL: // k_down: kernel, {{.*}}; 8 columns per block, tiles of 1024 rows
// CHECK: const auto tile0 = r1::as<float>(memory + 0);
// CHECK: auto produce = [&](int n, int place) {
// CHECK: r1::store<4>(tile0 + place * 8 + part * 4, r1::cast<float>(
// CHECK: auto consume = [&](int place, int count) {
// CHECK: sum0 = r1::chain<8>(sum0, tile0 + (place * 8 + column), count, r1::Sum());
// CHECK: r1::in_tiles<4096, 1024, 2, 256>(produce, consume);
// CHECK: if (r1::thread() >= 256 && r1::thread() < 264) {
// CHECK: R1_ENTRY_SHARED(k_down, 2, 96, 288, 65536,
kern.kernel @down rows [768] along "row" writes [1] {
^bb0(%c: index, %x: memref<4x1024x768xbf16>, %y: memref<768xf32>):
  %s = kern.sweep [4, 1024] combine [0] {
  ^bb0(%b: index, %r: index):
    %v = memref.load %x[%b, %r, %c] : memref<4x1024x768xbf16>
    %w = arith.extf %v : bf16 to f32
    kern.yield %w : f32
  } -> f32
  memref.store %s, %y[%c] : memref<768xf32>
  kern.end
}

// Sums into rows that an index chooses: the blocks share out the indices.
// CHECK-LABEL: // k_into: kernel, {{.*}}; 64 blocks share out the indices
// CHECK: auto key = [&](int n) {
// CHECK: auto addend = [&](int n) {
// CHECK: auto get = [&](int k) {
// CHECK: r1::load<4>(y2 + k * 256 + {{.*}})
// CHECK: auto put = [&](int k, r1::vec<float, 4> v) {
// CHECK: r1::scatter_add<1024, 64, 64>(r1::block(), true, key, addend, get, put);
kern.kernel @into rows [256] along "row" writes [2] {
^bb0(%c: index, %i: memref<1024xi32>, %x: memref<1024x256xf32>, %y: memref<300x256xf32>):
  kern.sweep [1024] combine [] {
  ^bb0(%r: index):
    %k = memref.load %i[%r] : memref<1024xi32>
    %ki = arith.index_cast %k : i32 to index
    %v = memref.load %x[%r, %c] : memref<1024x256xf32>
    %o = memref.load %y[%ki, %c] : memref<300x256xf32>
    %s = arith.addf %o, %v : f32
    memref.store %s, %y[%ki, %c] : memref<300x256xf32>
    kern.yield
  }
  kern.end
}
