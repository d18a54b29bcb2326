// What has no schedule says so, at its place.
// RUN: r1-opt --kern-to-cpu --split-input-file --verify-diagnostics %s

kern.kernel @no_expansion rows [4] along "row" writes [1] {
^bb0(%r: index, %x: memref<4xf32>, %y: memref<4xf32>):
  %v = memref.load %x[%r] : memref<4xf32>
  // expected-error @below {{is not supported yet: no expansion of this function}}
  %e = math.atan %v : f32
  memref.store %e, %y[%r] : memref<4xf32>
  kern.end
}

// -----

kern.kernel @same_element rows [4] along "row" writes [1] {
^bb0(%r: index, %x: memref<4xf32>, %y: memref<f32>):
  %v = memref.load %x[%r] : memref<4xf32>
  // expected-error @below {{every lane of the vector dim would store to the same element}}
  memref.store %v, %y[] : memref<f32>
  kern.end
}

// -----

kern.kernel @half_sum rows [4] along "sweep" writes [1] {
^bb0(%r: index, %x: memref<4x8xbf16>, %y: memref<4xbf16>):
  // expected-error @below {{combines 16-bit floats; widen them to f32 first}}
  %s = kern.sweep [8] combine [0] {
  ^bb0(%d: index):
    %v = memref.load %x[%r, %d] : memref<4x8xbf16>
    kern.yield %v : bf16
  } -> bf16
  memref.store %s, %y[%r] : memref<4xbf16>
  kern.end
}

// -----

// expected-error @below {{no schedule for "fancy"}}
kern.intrinsic @unknown "fancy" [memref<4xf32>] writes [0] {}
