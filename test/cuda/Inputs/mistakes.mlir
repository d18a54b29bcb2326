// A row whose second sweep reads what other threads of the row have written in the first.
kern.kernel @turn rows [9] along "sweep" writes [1, 2] {
^bb0(%r: index, %x: memref<9x70xf32>, %t: memref<9x70xf32>, %y: memref<9x70xf32>):
  kern.sweep [70] combine [] {
  ^bb0(%d: index):
    %v = memref.load %x[%r, %d] : memref<9x70xf32>
    memref.store %v, %t[%r, %d] : memref<9x70xf32>
    kern.yield
  }
  kern.sweep [70] combine [] {
  ^bb0(%d: index):
    %e = affine.apply affine_map<(d) -> (69 - d)>(%d)
    %v = memref.load %t[%r, %e] : memref<9x70xf32>
    memref.store %v, %y[%r, %d] : memref<9x70xf32>
    kern.yield
  }
  kern.end
}
kern.product @tiles sizes [70, 90, 50] batch [] a [50, 1] b [90, 1] c [90, 1] accumulate false {
^bb0(%g: index, %m: index, %n: index, %acc: f32, %x: memref<70x50xf32>, %w: memref<50x90xf32>, %y: memref<70x90xf32>):
  kern.yield %acc : f32
}
// Two columns of many rows, by a block; then sums into few rows, so that each comes often.
kern.kernel @under rows [2] along "row" writes [1] {
^bb0(%c: index, %x: memref<5000x2xf32>, %y: memref<2xf32>):
  %s = kern.sweep [5000] combine [0] {
  ^bb0(%r: index):
    %v = memref.load %x[%r, %c] : memref<5000x2xf32>
    kern.yield %v : f32
  } -> f32
  memref.store %s, %y[%c] : memref<2xf32>
  kern.end
}
kern.kernel @into rows [4] along "row" writes [2] attributes {bounds = array<i64: 90, 0, 0>} {
^bb0(%c: index, %i: memref<3000xi32>, %x: memref<3000x4xf32>, %y: memref<90x4xf32>):
  kern.sweep [3000] combine [] {
  ^bb0(%r: index):
    %k = memref.load %i[%r] : memref<3000xi32>
    %ki = arith.index_cast %k : i32 to index
    %v = memref.load %x[%r, %c] : memref<3000x4xf32>
    %o = memref.load %y[%ki, %c] : memref<90x4xf32>
    %s = arith.addf %o, %v : f32
    memref.store %s, %y[%ki, %c] : memref<90x4xf32>
    kern.yield
  }
  kern.end
}
