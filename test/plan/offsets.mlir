// Offsets: pools first, then the work region that programs share; buffers whose lives do not meet
// lie at one place; a loop is lived through as a whole.
// RUN: r1-opt %s --kern-plan | FileCheck %s

// CHECK: kern.arena_bytes = 17664
kern.buffer @params : memref<4096xf32> {pool = "param"}
// CHECK: @p_b : {{.*}}offset = 64 : i64
kern.buffer @p_b : memref<16xf32> {pool = "param", field = "b", inside = @params, at = 16 : i64, dist = 0 : i32, a = 0.0 : f64, b = 0.0 : f64, trainable = true}
// CHECK: @x : {{.*}}offset = 16384 : i64
kern.buffer @x : memref<64xf32> {pool = "input", field = "x"}
// CHECK: @y : {{.*}}offset = 16640 : i64
kern.buffer @y : memref<64xf32> {pool = "output", field = "y"}
// @a is read in the loop: it lives until the loop's end, beside @b and @c. @d comes later.
// CHECK: @a : {{.*}}offset = 16896 : i64
kern.buffer @a : memref<64xf32> {pool = "work"}
// CHECK: @b : {{.*}}offset = 17152 : i64
kern.buffer @b : memref<64xf32> {pool = "work"}
// CHECK: @c : {{.*}}offset = 17408 : i64
kern.buffer @c : memref<64xf32> {pool = "work"}
// CHECK: @d : {{.*}}offset = 16896 : i64
kern.buffer @d : memref<64xf32> {pool = "work"}
// CHECK: @e : {{.*}}offset = 16896 : i64
kern.buffer @e : memref<64xf32> {pool = "work"}

kern.program @step inputs [@x] scalars [] outputs [@y] {
  kern.launch @k [@x, @a] strides [0, 0, 0, 0]
  kern.loop 4 over "micro" {
    kern.launch @k [@a, @b] strides [0, 0, 0, 0]
    kern.launch @k [@b, @c] strides [0, 0, 0, 0]
    kern.end
  }
  kern.launch @k [@c, @d] strides [0, 0, 0, 0]
  kern.launch @k [@d, @y] strides [0, 0, 0, 0]
  kern.end
}
// Another program's work shares the region.
kern.program @eval inputs [@x] scalars [] outputs [@y] {
  kern.launch @k [@x, @e] strides [0, 0, 0, 0]
  kern.launch @k [@e, @y] strides [0, 0, 0, 0]
  kern.end
}
kern.kernel @k rows [64] along "row" writes [1] {
^bb0(%i: index, %x: memref<64xf32>, %y: memref<64xf32>):
  %v = memref.load %x[%i] : memref<64xf32>
  memref.store %v, %y[%i] : memref<64xf32>
  kern.end
}
