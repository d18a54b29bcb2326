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
