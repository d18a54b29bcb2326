// What the schedules are made of, at the level that --emit=cpu prints.
// RUN: r1-opt --kern-to-cpu=lanes=16 %s | FileCheck %s

// A tail is one masked vector, never scalar code; the threads split blocks of 16 columns.
// CHECK-LABEL: func.func @tail
// CHECK-SAME: (%[[X:.*]]: memref<20xf32> {llvm.noalias}, %[[Y:.*]]: memref<20xf32> {llvm.noalias}, %[[TID:.*]]: index, %[[THREADS:.*]]: index)
// CHECK-SAME: r1.scratch_bytes = 0
// CHECK: vector.load %[[X]]
// CHECK: vector.store {{.*}}, %[[Y]]
// CHECK: vector.maskedload %[[X]]
// CHECK: vector.maskedstore %[[Y]]
// CHECK-NOT: memref.load
kern.kernel @tail rows [20] along "row" writes [1] {
^bb0(%r: index, %x: memref<20xf32>, %y: memref<20xf32>):
  %v = memref.load %x[%r] : memref<20xf32>
  memref.store %v, %y[%r] : memref<20xf32>
  kern.end
}

// A row sum: four vectors of 16 lanes hold the 64 lanes; the last part is selected, not added.
// CHECK-LABEL: func.func @row_sum
// CHECK: scf.for {{.*}} iter_args(%{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}) -> (vector<16xf32>, vector<16xf32>, vector<16xf32>, vector<16xf32>)
// CHECK-COUNT-4: arith.addf {{.*}} : vector<16xf32>
// CHECK: vector.maskedload
// CHECK: arith.select
// CHECK: vector.shuffle
// CHECK: vector.extract
kern.kernel @row_sum rows [3] along "sweep" writes [1] {
^bb0(%r: index, %x: memref<3x200xf32>, %y: memref<3xf32>):
  %s = kern.sweep [200] combine [0] {
  ^bb0(%d: index):
    %v = memref.load %x[%r, %d] : memref<3x200xf32>
    kern.yield %v : f32
  } -> f32
  memref.store %s, %y[%r] : memref<3xf32>
  kern.end
}

// An index that depends on the row alone stays scalar: the embedding's row is read as vectors.
// CHECK-LABEL: func.func @embedding
// CHECK: memref.load {{.*}} : memref<4xi32>
// CHECK: vector.load {{.*}} : memref<320xf32>, vector<16xf32>
// CHECK-NOT: vector.gather
kern.kernel @embedding rows [4, 32] along "row" writes [2] {
^bb0(%r: index, %d: index, %i: memref<4xi32>, %w: memref<10x32xf32>, %y: memref<4x32xf32>):
  %k = memref.load %i[%r] : memref<4xi32>
  %ki = arith.index_cast %k : i32 to index
  %v = memref.load %w[%ki, %d] : memref<10x32xf32>
  memref.store %v, %y[%r, %d] : memref<4x32xf32>
  kern.end
}

// An index that differs by lane is a gather.
// CHECK-LABEL: func.func @pick
// CHECK: vector.gather
kern.kernel @pick rows [16] along "row" writes [2] {
^bb0(%r: index, %i: memref<16xi32>, %x: memref<16x9xf32>, %y: memref<16xf32>):
  %k = memref.load %i[%r] : memref<16xi32>
  %ki = arith.index_cast %k : i32 to index
  %v = memref.load %x[%r, %ki] : memref<16x9xf32>
  memref.store %v, %y[%r] : memref<16xf32>
  kern.end
}

// Heads of 64 channels: the quotient is the same for 16 aligned lanes, so the access is a vector.
// CHECK-LABEL: func.func @heads
// CHECK: vector.load
// CHECK-NOT: vector.gather
// CHECK: return
kern.kernel @heads rows [6, 128] along "row" writes [1] {
^bb0(%r: index, %c: index, %x: memref<2x6x64xf32>, %y: memref<6x128xf32>):
  %h = affine.apply affine_map<(d0) -> (d0 floordiv 64)>(%c)
  %w = affine.apply affine_map<(d0) -> (d0 mod 64)>(%c)
  %v = memref.load %x[%h, %r, %w] : memref<2x6x64xf32>
  memref.store %v, %y[%r, %c] : memref<6x128xf32>
  kern.end
}

// exp is our own sequence: explicit FMAs, no call, no flag.
// CHECK-LABEL: func.func @exp
// CHECK-NOT: math.exp
// CHECK: math.fma {{.*}} : vector<16xf32>
// CHECK-NOT: fastmath
// CHECK: return
kern.kernel @exp rows [16] along "row" writes [1] {
^bb0(%r: index, %x: memref<16xf32>, %y: memref<16xf32>):
  %v = memref.load %x[%r] : memref<16xf32>
  %e = math.exp %v fastmath<fast> : f32
  memref.store %e, %y[%r] : memref<16xf32>
  kern.end
}

// A product of two blocks of its depth: 8 x 3 vectors in registers, which start from C (zero in the
// first block, by an empty mask) and are FMA chains.
// CHECK-LABEL: func.func @product
// CHECK: vector.maskedload
// CHECK: scf.for {{.*}} -> (vector<16xf32>
// CHECK-COUNT-3: vector.load
// CHECK-COUNT-24: math.fma {{.*}} : vector<16xf32>
// CHECK: scf.yield
// CHECK-COUNT-24: vector.store
kern.product @product sizes [24, 48, 2048] batch [] a [2048, 1] b [48, 1] c [48, 1] accumulate false {
^bb0(%g: index, %m: index, %n: index, %acc: f32, %a: memref<24x2048xf32>, %b: memref<2048x48xf32>, %c: memref<24x48xf32>):
  kern.yield %acc : f32
}

// Two rows: B is read where it lies, each vector once for both, and what comes eight rows later is asked for.
// CHECK-LABEL: func.func @few
// CHECK-SAME: %[[B:arg1]]: memref<131072xf32>
// CHECK-COUNT-8: memref.prefetch %[[B]]
// CHECK-COUNT-8: vector.load %[[B]]
// CHECK-COUNT-16: math.fma {{.*}} : vector<16xf32>
// CHECK: memref.prefetch %[[B]]
kern.product @few sizes [2, 256, 512] batch [] a [512, 1] b [256, 1] c [256, 1] accumulate false {
^bb0(%g: index, %m: index, %n: index, %acc: f32, %a: memref<2x512xf32>, %b: memref<512x256xf32>, %c: memref<2x256xf32>):
  kern.yield %acc : f32
}
