// Row kernels of a transformer: kern-run --bench test/cpu/Inputs/rows.mlir
kern.kernel @bias_gelu_1024x3072 rows [1024, 3072] along "row" writes [2] {
^bb0(%r: index, %c: index, %x: memref<1024x3072xf32>, %b: memref<3072xf32>, %y: memref<1024x3072xf32>):
  %xv = memref.load %x[%r, %c] : memref<1024x3072xf32>
  %bv = memref.load %b[%c] : memref<3072xf32>
  %v = arith.addf %xv, %bv : f32
  %k0 = arith.constant 0.7978845608 : f32
  %k1 = arith.constant 0.044715 : f32
  %half = arith.constant 0.5 : f32
  %one = arith.constant 1.0 : f32
  %v2 = arith.mulf %v, %v : f32
  %v3 = arith.mulf %v2, %v : f32
  %t0 = arith.mulf %v3, %k1 : f32
  %t1 = arith.addf %v, %t0 : f32
  %t2 = arith.mulf %t1, %k0 : f32
  %t = math.tanh %t2 : f32
  %u = arith.addf %t, %one : f32
  %h = arith.mulf %v, %half : f32
  %o = arith.mulf %h, %u : f32
  memref.store %o, %y[%r, %c] : memref<1024x3072xf32>
  kern.end
}
kern.kernel @silu_1024x3072 rows [1024, 3072] along "row" writes [1] {
^bb0(%r: index, %c: index, %x: memref<1024x3072xf32>, %y: memref<1024x3072xf32>):
  %v = memref.load %x[%r, %c] : memref<1024x3072xf32>
  %one = arith.constant 1.0 : f32
  %n = arith.negf %v : f32
  %e = math.exp %n : f32
  %d = arith.addf %e, %one : f32
  %o = arith.divf %v, %d : f32
  memref.store %o, %y[%r, %c] : memref<1024x3072xf32>
  kern.end
}
kern.kernel @softmax_1024x1024 rows [1024] along "sweep" writes [1] {
^bb0(%r: index, %x: memref<1024x1024xf32>, %y: memref<1024x1024xf32>):
  %m = kern.sweep [1024] combine [1] {
  ^bb0(%d: index):
    %v = memref.load %x[%r, %d] : memref<1024x1024xf32>
    kern.yield %v : f32
  } -> f32
  %s = kern.sweep [1024] combine [0] {
  ^bb0(%d: index):
    %v = memref.load %x[%r, %d] : memref<1024x1024xf32>
    %c = arith.subf %v, %m : f32
    %e = math.exp %c : f32
    memref.store %e, %y[%r, %d] : memref<1024x1024xf32>
    kern.yield %e : f32
  } -> f32
  kern.sweep [1024] combine [] {
  ^bb0(%d: index):
    %e = memref.load %y[%r, %d] : memref<1024x1024xf32>
    %p = arith.divf %e, %s : f32
    memref.store %p, %y[%r, %d] : memref<1024x1024xf32>
    kern.yield
  }
  kern.end
}
kern.kernel @layernorm_1024x768 rows [1024] along "sweep" writes [3] {
^bb0(%r: index, %x: memref<1024x768xf32>, %g: memref<768xf32>, %b: memref<768xf32>, %y: memref<1024x768xf32>):
  %n = arith.constant 768.0 : f32
  %eps = arith.constant 1.0e-5 : f32
  %s = kern.sweep [768] combine [0] {
  ^bb0(%d: index):
    %v = memref.load %x[%r, %d] : memref<1024x768xf32>
    kern.yield %v : f32
  } -> f32
  %mean = arith.divf %s, %n : f32
  %q = kern.sweep [768] combine [0] {
  ^bb0(%d: index):
    %v = memref.load %x[%r, %d] : memref<1024x768xf32>
    %c = arith.subf %v, %mean : f32
    %c2 = arith.mulf %c, %c : f32
    kern.yield %c2 : f32
  } -> f32
  %var = arith.divf %q, %n : f32
  %ve = arith.addf %var, %eps : f32
  %rs = math.rsqrt %ve : f32
  kern.sweep [768] combine [] {
  ^bb0(%d: index):
    %v = memref.load %x[%r, %d] : memref<1024x768xf32>
    %gv = memref.load %g[%d] : memref<768xf32>
    %bv = memref.load %b[%d] : memref<768xf32>
    %c = arith.subf %v, %mean : f32
    %o = arith.mulf %c, %rs : f32
    %o2 = arith.mulf %o, %gv : f32
    %o3 = arith.addf %o2, %bv : f32
    memref.store %o3, %y[%r, %d] : memref<1024x768xf32>
    kern.yield
  }
  kern.end
}
kern.kernel @bias_grad_1024x3072 rows [3072] along "row" writes [1] {
^bb0(%c: index, %x: memref<1024x3072xf32>, %y: memref<3072xf32>):
  %s = kern.sweep [1024] combine [0] {
  ^bb0(%r: index):
    %v = memref.load %x[%r, %c] : memref<1024x3072xf32>
    kern.yield %v : f32
  } -> f32
  memref.store %s, %y[%c] : memref<3072xf32>
  kern.end
}
kern.kernel @adamw_16M rows [16777216] along "row" writes [0, 2, 3] {
^bb0(%i: index, %p: memref<16777216xf32>, %g: memref<16777216xf32>, %m: memref<16777216xf32>, %v: memref<16777216xf32>, %lr: memref<f32>):
  %b1 = arith.constant 0.9 : f32
  %b2 = arith.constant 0.95 : f32
  %c1 = arith.constant 0.1 : f32
  %c2 = arith.constant 0.05 : f32
  %eps = arith.constant 1.0e-8 : f32
  %pv = memref.load %p[%i] : memref<16777216xf32>
  %gv = memref.load %g[%i] : memref<16777216xf32>
  %mv = memref.load %m[%i] : memref<16777216xf32>
  %vv = memref.load %v[%i] : memref<16777216xf32>
  %l = memref.load %lr[] : memref<f32>
  %m0 = arith.mulf %mv, %b1 : f32
  %m1 = arith.mulf %gv, %c1 : f32
  %m2 = arith.addf %m0, %m1 : f32
  %g2 = arith.mulf %gv, %gv : f32
  %v0 = arith.mulf %vv, %b2 : f32
  %v1 = arith.mulf %g2, %c2 : f32
  %v2 = arith.addf %v0, %v1 : f32
  %s = math.sqrt %v2 : f32
  %d = arith.addf %s, %eps : f32
  %u = arith.divf %m2, %d : f32
  %ul = arith.mulf %u, %l : f32
  %po = arith.subf %pv, %ul : f32
  memref.store %po, %p[%i] : memref<16777216xf32>
  memref.store %m2, %m[%i] : memref<16777216xf32>
  memref.store %v2, %v[%i] : memref<16777216xf32>
  kern.end
}
kern.kernel @transpose_1024x1024 rows [1024, 1024] along "row" writes [1] {
^bb0(%r: index, %c: index, %x: memref<1024x1024xf32>, %y: memref<1024x1024xf32>):
  %v = memref.load %x[%c, %r] : memref<1024x1024xf32>
  memref.store %v, %y[%r, %c] : memref<1024x1024xf32>
  kern.end
}
kern.kernel @scatter_add_1024x768 rows [768] along "row" writes [2] {
^bb0(%d: index, %i: memref<1024xi32>, %x: memref<1024x768xf32>, %y: memref<50257x768xf32>):
  kern.sweep [1024] combine [] {
  ^bb0(%r: index):
    %k = memref.load %i[%r] : memref<1024xi32>
    %ki = arith.index_cast %k : i32 to index
    %v = memref.load %x[%r, %d] : memref<1024x768xf32>
    %o = memref.load %y[%ki, %d] : memref<50257x768xf32>
    %s = arith.addf %o, %v : f32
    memref.store %s, %y[%ki, %d] : memref<50257x768xf32>
    kern.yield
  }
  kern.end
}
