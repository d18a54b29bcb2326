// Every row of the table of scalar derivatives against central differences. The sum is weighted,
// so that a wrong adjoint of one element cannot hide behind another's.
// RUN: r1-opt --test-grad-fd=every-scalar=true %s -o /dev/null

r1.leaf "x" : tensor<5xf64> {dist = 2 : i32, a = -1.0 : f64, b = 1.0 : f64}
r1.leaf "y" : tensor<5xf64> {dist = 2 : i32, a = -1.0 : f64, b = 1.0 : f64}
r1.leaf "p" : tensor<5xf64> {dist = 2 : i32, a = 0.5 : f64, b = 2.0 : f64}
r1.leaf "q" : tensor<5xf64> {dist = 2 : i32, a = 2.1 : f64, b = 2.9 : f64}

#id = affine_map<(d0) -> (d0)>
#none = affine_map<(d0) -> ()>

func.func @negf() -> tensor<f64> {
  %x = r1.param "x" : tensor<5xf64>
  %w = arith.constant dense<[1.0, -2.0, 0.5, 3.0, 0.25]> : tensor<5xf64>
  %r = r1.map ins(%x, %w : tensor<5xf64>, tensor<5xf64>) maps [#id, #id] {
  ^bb0(%a: f64, %we: f64):
    %o = arith.negf %a : f64
    %m = arith.mulf %o, %we : f64
    r1.yield %m : f64
  } -> tensor<5xf64>
  %s = r1.reduce sum %r dims [0] : tensor<5xf64> -> tensor<f64>
  return %s : tensor<f64>
}

func.func @absf() -> tensor<f64> {
  %x = r1.param "x" : tensor<5xf64>
  %w = arith.constant dense<[1.0, -2.0, 0.5, 3.0, 0.25]> : tensor<5xf64>
  %r = r1.map ins(%x, %w : tensor<5xf64>, tensor<5xf64>) maps [#id, #id] {
  ^bb0(%a: f64, %we: f64):
    %o = math.absf %a : f64
    %m = arith.mulf %o, %we : f64
    r1.yield %m : f64
  } -> tensor<5xf64>
  %s = r1.reduce sum %r dims [0] : tensor<5xf64> -> tensor<f64>
  return %s : tensor<f64>
}

func.func @exp() -> tensor<f64> {
  %x = r1.param "x" : tensor<5xf64>
  %w = arith.constant dense<[1.0, -2.0, 0.5, 3.0, 0.25]> : tensor<5xf64>
  %r = r1.map ins(%x, %w : tensor<5xf64>, tensor<5xf64>) maps [#id, #id] {
  ^bb0(%a: f64, %we: f64):
    %o = math.exp %a : f64
    %m = arith.mulf %o, %we : f64
    r1.yield %m : f64
  } -> tensor<5xf64>
  %s = r1.reduce sum %r dims [0] : tensor<5xf64> -> tensor<f64>
  return %s : tensor<f64>
}

func.func @exp2() -> tensor<f64> {
  %x = r1.param "x" : tensor<5xf64>
  %w = arith.constant dense<[1.0, -2.0, 0.5, 3.0, 0.25]> : tensor<5xf64>
  %r = r1.map ins(%x, %w : tensor<5xf64>, tensor<5xf64>) maps [#id, #id] {
  ^bb0(%a: f64, %we: f64):
    %o = math.exp2 %a : f64
    %m = arith.mulf %o, %we : f64
    r1.yield %m : f64
  } -> tensor<5xf64>
  %s = r1.reduce sum %r dims [0] : tensor<5xf64> -> tensor<f64>
  return %s : tensor<f64>
}

func.func @expm1() -> tensor<f64> {
  %x = r1.param "x" : tensor<5xf64>
  %w = arith.constant dense<[1.0, -2.0, 0.5, 3.0, 0.25]> : tensor<5xf64>
  %r = r1.map ins(%x, %w : tensor<5xf64>, tensor<5xf64>) maps [#id, #id] {
  ^bb0(%a: f64, %we: f64):
    %o = math.expm1 %a : f64
    %m = arith.mulf %o, %we : f64
    r1.yield %m : f64
  } -> tensor<5xf64>
  %s = r1.reduce sum %r dims [0] : tensor<5xf64> -> tensor<f64>
  return %s : tensor<f64>
}

func.func @sin() -> tensor<f64> {
  %x = r1.param "x" : tensor<5xf64>
  %w = arith.constant dense<[1.0, -2.0, 0.5, 3.0, 0.25]> : tensor<5xf64>
  %r = r1.map ins(%x, %w : tensor<5xf64>, tensor<5xf64>) maps [#id, #id] {
  ^bb0(%a: f64, %we: f64):
    %o = math.sin %a : f64
    %m = arith.mulf %o, %we : f64
    r1.yield %m : f64
  } -> tensor<5xf64>
  %s = r1.reduce sum %r dims [0] : tensor<5xf64> -> tensor<f64>
  return %s : tensor<f64>
}

func.func @cos() -> tensor<f64> {
  %x = r1.param "x" : tensor<5xf64>
  %w = arith.constant dense<[1.0, -2.0, 0.5, 3.0, 0.25]> : tensor<5xf64>
  %r = r1.map ins(%x, %w : tensor<5xf64>, tensor<5xf64>) maps [#id, #id] {
  ^bb0(%a: f64, %we: f64):
    %o = math.cos %a : f64
    %m = arith.mulf %o, %we : f64
    r1.yield %m : f64
  } -> tensor<5xf64>
  %s = r1.reduce sum %r dims [0] : tensor<5xf64> -> tensor<f64>
  return %s : tensor<f64>
}

func.func @tanh() -> tensor<f64> {
  %x = r1.param "x" : tensor<5xf64>
  %w = arith.constant dense<[1.0, -2.0, 0.5, 3.0, 0.25]> : tensor<5xf64>
  %r = r1.map ins(%x, %w : tensor<5xf64>, tensor<5xf64>) maps [#id, #id] {
  ^bb0(%a: f64, %we: f64):
    %o = math.tanh %a : f64
    %m = arith.mulf %o, %we : f64
    r1.yield %m : f64
  } -> tensor<5xf64>
  %s = r1.reduce sum %r dims [0] : tensor<5xf64> -> tensor<f64>
  return %s : tensor<f64>
}

func.func @erf() -> tensor<f64> {
  %x = r1.param "x" : tensor<5xf64>
  %w = arith.constant dense<[1.0, -2.0, 0.5, 3.0, 0.25]> : tensor<5xf64>
  %r = r1.map ins(%x, %w : tensor<5xf64>, tensor<5xf64>) maps [#id, #id] {
  ^bb0(%a: f64, %we: f64):
    %o = math.erf %a : f64
    %m = arith.mulf %o, %we : f64
    r1.yield %m : f64
  } -> tensor<5xf64>
  %s = r1.reduce sum %r dims [0] : tensor<5xf64> -> tensor<f64>
  return %s : tensor<f64>
}

func.func @log() -> tensor<f64> {
  %p = r1.param "p" : tensor<5xf64>
  %w = arith.constant dense<[1.0, -2.0, 0.5, 3.0, 0.25]> : tensor<5xf64>
  %r = r1.map ins(%p, %w : tensor<5xf64>, tensor<5xf64>) maps [#id, #id] {
  ^bb0(%a: f64, %we: f64):
    %o = math.log %a : f64
    %m = arith.mulf %o, %we : f64
    r1.yield %m : f64
  } -> tensor<5xf64>
  %s = r1.reduce sum %r dims [0] : tensor<5xf64> -> tensor<f64>
  return %s : tensor<f64>
}

func.func @log2() -> tensor<f64> {
  %p = r1.param "p" : tensor<5xf64>
  %w = arith.constant dense<[1.0, -2.0, 0.5, 3.0, 0.25]> : tensor<5xf64>
  %r = r1.map ins(%p, %w : tensor<5xf64>, tensor<5xf64>) maps [#id, #id] {
  ^bb0(%a: f64, %we: f64):
    %o = math.log2 %a : f64
    %m = arith.mulf %o, %we : f64
    r1.yield %m : f64
  } -> tensor<5xf64>
  %s = r1.reduce sum %r dims [0] : tensor<5xf64> -> tensor<f64>
  return %s : tensor<f64>
}

func.func @log1p() -> tensor<f64> {
  %p = r1.param "p" : tensor<5xf64>
  %w = arith.constant dense<[1.0, -2.0, 0.5, 3.0, 0.25]> : tensor<5xf64>
  %r = r1.map ins(%p, %w : tensor<5xf64>, tensor<5xf64>) maps [#id, #id] {
  ^bb0(%a: f64, %we: f64):
    %o = math.log1p %a : f64
    %m = arith.mulf %o, %we : f64
    r1.yield %m : f64
  } -> tensor<5xf64>
  %s = r1.reduce sum %r dims [0] : tensor<5xf64> -> tensor<f64>
  return %s : tensor<f64>
}

func.func @sqrt() -> tensor<f64> {
  %p = r1.param "p" : tensor<5xf64>
  %w = arith.constant dense<[1.0, -2.0, 0.5, 3.0, 0.25]> : tensor<5xf64>
  %r = r1.map ins(%p, %w : tensor<5xf64>, tensor<5xf64>) maps [#id, #id] {
  ^bb0(%a: f64, %we: f64):
    %o = math.sqrt %a : f64
    %m = arith.mulf %o, %we : f64
    r1.yield %m : f64
  } -> tensor<5xf64>
  %s = r1.reduce sum %r dims [0] : tensor<5xf64> -> tensor<f64>
  return %s : tensor<f64>
}

func.func @rsqrt() -> tensor<f64> {
  %p = r1.param "p" : tensor<5xf64>
  %w = arith.constant dense<[1.0, -2.0, 0.5, 3.0, 0.25]> : tensor<5xf64>
  %r = r1.map ins(%p, %w : tensor<5xf64>, tensor<5xf64>) maps [#id, #id] {
  ^bb0(%a: f64, %we: f64):
    %o = math.rsqrt %a : f64
    %m = arith.mulf %o, %we : f64
    r1.yield %m : f64
  } -> tensor<5xf64>
  %s = r1.reduce sum %r dims [0] : tensor<5xf64> -> tensor<f64>
  return %s : tensor<f64>
}

func.func @floor() -> tensor<f64> {
  %q = r1.param "q" : tensor<5xf64>
  %w = arith.constant dense<[1.0, -2.0, 0.5, 3.0, 0.25]> : tensor<5xf64>
  %r = r1.map ins(%q, %w : tensor<5xf64>, tensor<5xf64>) maps [#id, #id] {
  ^bb0(%a: f64, %we: f64):
    %f = math.floor %a : f64
    %o = arith.mulf %f, %a : f64
    %m = arith.mulf %o, %we : f64
    r1.yield %m : f64
  } -> tensor<5xf64>
  %s = r1.reduce sum %r dims [0] : tensor<5xf64> -> tensor<f64>
  return %s : tensor<f64>
}

func.func @ceil() -> tensor<f64> {
  %q = r1.param "q" : tensor<5xf64>
  %w = arith.constant dense<[1.0, -2.0, 0.5, 3.0, 0.25]> : tensor<5xf64>
  %r = r1.map ins(%q, %w : tensor<5xf64>, tensor<5xf64>) maps [#id, #id] {
  ^bb0(%a: f64, %we: f64):
    %f = math.ceil %a : f64
    %o = arith.mulf %f, %a : f64
    %m = arith.mulf %o, %we : f64
    r1.yield %m : f64
  } -> tensor<5xf64>
  %s = r1.reduce sum %r dims [0] : tensor<5xf64> -> tensor<f64>
  return %s : tensor<f64>
}

func.func @trunc() -> tensor<f64> {
  %q = r1.param "q" : tensor<5xf64>
  %w = arith.constant dense<[1.0, -2.0, 0.5, 3.0, 0.25]> : tensor<5xf64>
  %r = r1.map ins(%q, %w : tensor<5xf64>, tensor<5xf64>) maps [#id, #id] {
  ^bb0(%a: f64, %we: f64):
    %f = math.trunc %a : f64
    %o = arith.mulf %f, %a : f64
    %m = arith.mulf %o, %we : f64
    r1.yield %m : f64
  } -> tensor<5xf64>
  %s = r1.reduce sum %r dims [0] : tensor<5xf64> -> tensor<f64>
  return %s : tensor<f64>
}

func.func @round() -> tensor<f64> {
  %q = r1.param "q" : tensor<5xf64>
  %w = arith.constant dense<[1.0, -2.0, 0.5, 3.0, 0.25]> : tensor<5xf64>
  %r = r1.map ins(%q, %w : tensor<5xf64>, tensor<5xf64>) maps [#id, #id] {
  ^bb0(%a: f64, %we: f64):
    %f = math.round %a : f64
    %o = arith.mulf %f, %a : f64
    %m = arith.mulf %o, %we : f64
    r1.yield %m : f64
  } -> tensor<5xf64>
  %s = r1.reduce sum %r dims [0] : tensor<5xf64> -> tensor<f64>
  return %s : tensor<f64>
}

func.func @roundeven() -> tensor<f64> {
  %q = r1.param "q" : tensor<5xf64>
  %w = arith.constant dense<[1.0, -2.0, 0.5, 3.0, 0.25]> : tensor<5xf64>
  %r = r1.map ins(%q, %w : tensor<5xf64>, tensor<5xf64>) maps [#id, #id] {
  ^bb0(%a: f64, %we: f64):
    %f = math.roundeven %a : f64
    %o = arith.mulf %f, %a : f64
    %m = arith.mulf %o, %we : f64
    r1.yield %m : f64
  } -> tensor<5xf64>
  %s = r1.reduce sum %r dims [0] : tensor<5xf64> -> tensor<f64>
  return %s : tensor<f64>
}

func.func @addf() -> tensor<f64> {
  %x = r1.param "x" : tensor<5xf64>
  %y = r1.param "y" : tensor<5xf64>
  %w = arith.constant dense<[1.0, -2.0, 0.5, 3.0, 0.25]> : tensor<5xf64>
  %r = r1.map ins(%x, %y, %w : tensor<5xf64>, tensor<5xf64>, tensor<5xf64>) maps [#id, #id, #id] {
  ^bb0(%a: f64, %b: f64, %we: f64):
    %o = arith.addf %a, %b : f64
    %m = arith.mulf %o, %we : f64
    r1.yield %m : f64
  } -> tensor<5xf64>
  %s = r1.reduce sum %r dims [0] : tensor<5xf64> -> tensor<f64>
  return %s : tensor<f64>
}

func.func @subf() -> tensor<f64> {
  %x = r1.param "x" : tensor<5xf64>
  %y = r1.param "y" : tensor<5xf64>
  %w = arith.constant dense<[1.0, -2.0, 0.5, 3.0, 0.25]> : tensor<5xf64>
  %r = r1.map ins(%x, %y, %w : tensor<5xf64>, tensor<5xf64>, tensor<5xf64>) maps [#id, #id, #id] {
  ^bb0(%a: f64, %b: f64, %we: f64):
    %o = arith.subf %a, %b : f64
    %m = arith.mulf %o, %we : f64
    r1.yield %m : f64
  } -> tensor<5xf64>
  %s = r1.reduce sum %r dims [0] : tensor<5xf64> -> tensor<f64>
  return %s : tensor<f64>
}

func.func @mulf() -> tensor<f64> {
  %x = r1.param "x" : tensor<5xf64>
  %y = r1.param "y" : tensor<5xf64>
  %w = arith.constant dense<[1.0, -2.0, 0.5, 3.0, 0.25]> : tensor<5xf64>
  %r = r1.map ins(%x, %y, %w : tensor<5xf64>, tensor<5xf64>, tensor<5xf64>) maps [#id, #id, #id] {
  ^bb0(%a: f64, %b: f64, %we: f64):
    %o = arith.mulf %a, %b : f64
    %m = arith.mulf %o, %we : f64
    r1.yield %m : f64
  } -> tensor<5xf64>
  %s = r1.reduce sum %r dims [0] : tensor<5xf64> -> tensor<f64>
  return %s : tensor<f64>
}

func.func @divf() -> tensor<f64> {
  %x = r1.param "x" : tensor<5xf64>
  %p = r1.param "p" : tensor<5xf64>
  %w = arith.constant dense<[1.0, -2.0, 0.5, 3.0, 0.25]> : tensor<5xf64>
  %r = r1.map ins(%x, %p, %w : tensor<5xf64>, tensor<5xf64>, tensor<5xf64>) maps [#id, #id, #id] {
  ^bb0(%a: f64, %b: f64, %we: f64):
    %o = arith.divf %a, %b : f64
    %m = arith.mulf %o, %we : f64
    r1.yield %m : f64
  } -> tensor<5xf64>
  %s = r1.reduce sum %r dims [0] : tensor<5xf64> -> tensor<f64>
  return %s : tensor<f64>
}

func.func @maximumf() -> tensor<f64> {
  %x = r1.param "x" : tensor<5xf64>
  %y = r1.param "y" : tensor<5xf64>
  %w = arith.constant dense<[1.0, -2.0, 0.5, 3.0, 0.25]> : tensor<5xf64>
  %r = r1.map ins(%x, %y, %w : tensor<5xf64>, tensor<5xf64>, tensor<5xf64>) maps [#id, #id, #id] {
  ^bb0(%a: f64, %b: f64, %we: f64):
    %o = arith.maximumf %a, %b : f64
    %m = arith.mulf %o, %we : f64
    r1.yield %m : f64
  } -> tensor<5xf64>
  %s = r1.reduce sum %r dims [0] : tensor<5xf64> -> tensor<f64>
  return %s : tensor<f64>
}

func.func @minimumf() -> tensor<f64> {
  %x = r1.param "x" : tensor<5xf64>
  %y = r1.param "y" : tensor<5xf64>
  %w = arith.constant dense<[1.0, -2.0, 0.5, 3.0, 0.25]> : tensor<5xf64>
  %r = r1.map ins(%x, %y, %w : tensor<5xf64>, tensor<5xf64>, tensor<5xf64>) maps [#id, #id, #id] {
  ^bb0(%a: f64, %b: f64, %we: f64):
    %o = arith.minimumf %a, %b : f64
    %m = arith.mulf %o, %we : f64
    r1.yield %m : f64
  } -> tensor<5xf64>
  %s = r1.reduce sum %r dims [0] : tensor<5xf64> -> tensor<f64>
  return %s : tensor<f64>
}

func.func @maxnumf() -> tensor<f64> {
  %x = r1.param "x" : tensor<5xf64>
  %y = r1.param "y" : tensor<5xf64>
  %w = arith.constant dense<[1.0, -2.0, 0.5, 3.0, 0.25]> : tensor<5xf64>
  %r = r1.map ins(%x, %y, %w : tensor<5xf64>, tensor<5xf64>, tensor<5xf64>) maps [#id, #id, #id] {
  ^bb0(%a: f64, %b: f64, %we: f64):
    %o = arith.maxnumf %a, %b : f64
    %m = arith.mulf %o, %we : f64
    r1.yield %m : f64
  } -> tensor<5xf64>
  %s = r1.reduce sum %r dims [0] : tensor<5xf64> -> tensor<f64>
  return %s : tensor<f64>
}

func.func @minnumf() -> tensor<f64> {
  %x = r1.param "x" : tensor<5xf64>
  %y = r1.param "y" : tensor<5xf64>
  %w = arith.constant dense<[1.0, -2.0, 0.5, 3.0, 0.25]> : tensor<5xf64>
  %r = r1.map ins(%x, %y, %w : tensor<5xf64>, tensor<5xf64>, tensor<5xf64>) maps [#id, #id, #id] {
  ^bb0(%a: f64, %b: f64, %we: f64):
    %o = arith.minnumf %a, %b : f64
    %m = arith.mulf %o, %we : f64
    r1.yield %m : f64
  } -> tensor<5xf64>
  %s = r1.reduce sum %r dims [0] : tensor<5xf64> -> tensor<f64>
  return %s : tensor<f64>
}

func.func @powf() -> tensor<f64> {
  %p = r1.param "p" : tensor<5xf64>
  %y = r1.param "y" : tensor<5xf64>
  %w = arith.constant dense<[1.0, -2.0, 0.5, 3.0, 0.25]> : tensor<5xf64>
  %r = r1.map ins(%p, %y, %w : tensor<5xf64>, tensor<5xf64>, tensor<5xf64>) maps [#id, #id, #id] {
  ^bb0(%a: f64, %b: f64, %we: f64):
    %o = math.powf %a, %b : f64
    %m = arith.mulf %o, %we : f64
    r1.yield %m : f64
  } -> tensor<5xf64>
  %s = r1.reduce sum %r dims [0] : tensor<5xf64> -> tensor<f64>
  return %s : tensor<f64>
}

func.func @remf() -> tensor<f64> {
  %q = r1.param "q" : tensor<5xf64>
  %p = r1.param "p" : tensor<5xf64>
  %w = arith.constant dense<[1.0, -2.0, 0.5, 3.0, 0.25]> : tensor<5xf64>
  %r = r1.map ins(%q, %p, %w : tensor<5xf64>, tensor<5xf64>, tensor<5xf64>) maps [#id, #id, #id] {
  ^bb0(%a: f64, %b: f64, %we: f64):
    %o = arith.remf %a, %b : f64
    %m = arith.mulf %o, %we : f64
    r1.yield %m : f64
  } -> tensor<5xf64>
  %s = r1.reduce sum %r dims [0] : tensor<5xf64> -> tensor<f64>
  return %s : tensor<f64>
}

func.func @powf_base() -> tensor<f64> {
  %p = r1.param "p" : tensor<5xf64>
  %w = arith.constant dense<[1.0, -2.0, 0.5, 3.0, 0.25]> : tensor<5xf64>
  %r = r1.map ins(%p, %w : tensor<5xf64>, tensor<5xf64>) maps [#id, #id] {
  ^bb0(%a: f64, %we: f64):
    %n = arith.constant 3.0 : f64
    %o = math.powf %a, %n : f64
    %m = arith.mulf %o, %we : f64
    r1.yield %m : f64
  } -> tensor<5xf64>
  %s = r1.reduce sum %r dims [0] : tensor<5xf64> -> tensor<f64>
  return %s : tensor<f64>
}

func.func @square_of_negative() -> tensor<f64> {
  %x = r1.param "x" : tensor<5xf64>
  %w = arith.constant dense<[1.0, -2.0, 0.5, 3.0, 0.25]> : tensor<5xf64>
  %r = r1.map ins(%x, %w : tensor<5xf64>, tensor<5xf64>) maps [#id, #id] {
  ^bb0(%a: f64, %we: f64):
    %n = arith.constant 2.0 : f64
    %o = math.powf %a, %n : f64
    %m = arith.mulf %o, %we : f64
    r1.yield %m : f64
  } -> tensor<5xf64>
  %s = r1.reduce sum %r dims [0] : tensor<5xf64> -> tensor<f64>
  return %s : tensor<f64>
}

func.func @select() -> tensor<f64> {
  %x = r1.param "x" : tensor<5xf64>
  %y = r1.param "y" : tensor<5xf64>
  %w = arith.constant dense<[1.0, -2.0, 0.5, 3.0, 0.25]> : tensor<5xf64>
  %r = r1.map ins(%x, %y, %w : tensor<5xf64>, tensor<5xf64>, tensor<5xf64>) maps [#id, #id, #id] {
  ^bb0(%a: f64, %b: f64, %we: f64):
    %c = arith.cmpf olt, %a, %b : f64
    %d = arith.mulf %a, %a : f64
    %o = arith.select %c, %d, %b : f64
    %m = arith.mulf %o, %we : f64
    r1.yield %m : f64
  } -> tensor<5xf64>
  %s = r1.reduce sum %r dims [0] : tensor<5xf64> -> tensor<f64>
  return %s : tensor<f64>
}

func.func @fma() -> tensor<f64> {
  %x = r1.param "x" : tensor<5xf64>
  %y = r1.param "y" : tensor<5xf64>
  %p = r1.param "p" : tensor<5xf64>
  %w = arith.constant dense<[1.0, -2.0, 0.5, 3.0, 0.25]> : tensor<5xf64>
  %r = r1.map ins(%x, %y, %p, %w : tensor<5xf64>, tensor<5xf64>, tensor<5xf64>, tensor<5xf64>) maps [#id, #id, #id, #id] {
  ^bb0(%a: f64, %b: f64, %c: f64, %we: f64):
    %o = math.fma %a, %b, %c : f64
    %m = arith.mulf %o, %we : f64
    r1.yield %m : f64
  } -> tensor<5xf64>
  %s = r1.reduce sum %r dims [0] : tensor<5xf64> -> tensor<f64>
  return %s : tensor<f64>
}

func.func @copysign() -> tensor<f64> {
  %x = r1.param "x" : tensor<5xf64>
  %y = r1.param "y" : tensor<5xf64>
  %w = arith.constant dense<[1.0, -2.0, 0.5, 3.0, 0.25]> : tensor<5xf64>
  %r = r1.map ins(%x, %y, %w : tensor<5xf64>, tensor<5xf64>, tensor<5xf64>) maps [#id, #id, #id] {
  ^bb0(%a: f64, %b: f64, %we: f64):
    %o = math.copysign %a, %b : f64
    %m = arith.mulf %o, %we : f64
    r1.yield %m : f64
  } -> tensor<5xf64>
  %s = r1.reduce sum %r dims [0] : tensor<5xf64> -> tensor<f64>
  return %s : tensor<f64>
}

func.func @casts() -> tensor<f64> {
  %x = r1.param "x" : tensor<5xf64>
  %w = arith.constant dense<[1.0, -2.0, 0.5, 3.0, 0.25]> : tensor<5xf64>
  %r = r1.map ins(%x, %w : tensor<5xf64>, tensor<5xf64>) maps [#id, #id] {
  ^bb0(%a: f64, %we: f64):
    %t = arith.truncf %a : f64 to f32
    %u = arith.mulf %t, %t : f32
    %o = arith.extf %u : f32 to f64
    %m = arith.mulf %o, %we : f64
    r1.yield %m : f64
  } -> tensor<5xf64>
  %s = r1.reduce sum %r dims [0] : tensor<5xf64> -> tensor<f64>
  return %s : tensor<f64>
}

func.func @chain() -> tensor<f64> {
  %x = r1.param "x" : tensor<5xf64>
  %y = r1.param "y" : tensor<5xf64>
  %w = arith.constant dense<[1.0, -2.0, 0.5, 3.0, 0.25]> : tensor<5xf64>
  %r = r1.map ins(%x, %y, %w : tensor<5xf64>, tensor<5xf64>, tensor<5xf64>) maps [#id, #id, #id] {
  ^bb0(%a: f64, %b: f64, %we: f64):
    %c = math.exp %a : f64
    %d = arith.mulf %c, %b : f64
    %e = arith.addf %d, %c : f64
    %g = math.tanh %e : f64
    %o = arith.mulf %g, %c : f64
    %m = arith.mulf %o, %we : f64
    r1.yield %m : f64
  } -> tensor<5xf64>
  %s = r1.reduce sum %r dims [0] : tensor<5xf64> -> tensor<f64>
  return %s : tensor<f64>
}
