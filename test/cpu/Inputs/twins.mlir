kern.kernel @one rows [20] along "row" writes [1] {
^bb0(%r: index, %x: memref<20xf32>, %y: memref<20xf32>):
  %v = memref.load %x[%r] : memref<20xf32>
  memref.store %v, %y[%r] : memref<20xf32>
  kern.end
}
kern.kernel @two rows [20] along "row" writes [1] {
^bb0(%r: index, %x: memref<20xf32>, %y: memref<20xf32>):
  %v = memref.load %x[%r] : memref<20xf32>
  memref.store %v, %y[%r] : memref<20xf32>
  kern.end
}
