// A small classifier: embedding, RMSNorm, SwiGLU-like block with residual, tied head, masked cross
// entropy; its gradient by `grad`; SGD with momentum and clipping over the pools.
// RUN: fuse-run %s --micro 1,2,8 --team 1,2 --chunk-bytes 1000,100000 | FileCheck %s
// RUN: fuse-run %s --micro 1,4 --no-fuse | FileCheck %s
// CHECK: ok

#bt = affine_map<(b, t) -> (b, t)>
#btd = affine_map<(b, t, d) -> (b, t, d)>
#id1 = affine_map<(d0) -> (d0)>
r1.leaf "table" : tensor<40x24xf32> {dist = 1 : i32, a = 0.0 : f64, b = 0.02 : f64}
r1.leaf "norm.g" : tensor<24xf32> {dist = 0 : i32, a = 1.0 : f64, b = 0.0 : f64}
r1.leaf "up" : tensor<24x48xf32> {dist = 1 : i32, a = 0.0 : f64, b = 0.02 : f64}
r1.leaf "gate" : tensor<24x48xf32> {dist = 1 : i32, a = 0.0 : f64, b = 0.02 : f64}
r1.leaf "down" : tensor<48x24xf32> {dist = 1 : i32, a = 0.0 : f64, b = 0.02 : f64}
r1.leaf "bias" : tensor<24xf32> {dist = 1 : i32, a = 0.0 : f64, b = 0.02 : f64}

func.func @loss(%ids: tensor<8x6xi32, #r1.ty<dims = [], bound = 40>> {r1.name = "x.id", r1.rows},
                %target: tensor<8x6xi32, #r1.ty<dims = [], bound = 40>> {r1.name = "target", r1.rows},
                %mask: tensor<8x6xi1> {r1.name = "mask", r1.rows})
    -> (tensor<f32> {r1.name = "loss"}) attributes {r1.entry = "loss"} {
  %table = r1.param "table" : tensor<40x24xf32>
  %g = r1.param "norm.g" : tensor<24xf32>
  %wu = r1.param "up" : tensor<24x48xf32>
  %wg = r1.param "gate" : tensor<24x48xf32>
  %wd = r1.param "down" : tensor<48x24xf32>
  %bias = r1.param "bias" : tensor<24xf32>
  %h = r1.gather %table[%ids] axis 0 maps [affine_map<(b, t, d) -> (0, d)>, affine_map<(b, t, d) -> (b, t)>]
    : tensor<40x24xf32>, tensor<8x6xi32, #r1.ty<dims = [], bound = 40>> -> tensor<8x6x24xf32>
  %sq = r1.map ins(%h : tensor<8x6x24xf32>) maps [#btd] {
  ^bb0(%x: f32):
    %y = arith.mulf %x, %x : f32
    r1.yield %y : f32
  } -> tensor<8x6x24xf32>
  %ss = r1.reduce sum %sq dims [2] : tensor<8x6x24xf32> -> tensor<8x6xf32>
  %rs = r1.map ins(%ss : tensor<8x6xf32>) maps [#bt] {
  ^bb0(%x: f32):
    %n = arith.constant 24.0 : f32
    %eps = arith.constant 1.0e-5 : f32
    %m = arith.divf %x, %n : f32
    %e = arith.addf %m, %eps : f32
    %r = math.rsqrt %e : f32
    r1.yield %r : f32
  } -> tensor<8x6xf32>
  %n = r1.map ins(%h, %rs, %g : tensor<8x6x24xf32>, tensor<8x6xf32>, tensor<24xf32>)
      maps [#btd, affine_map<(b, t, d) -> (b, t)>, affine_map<(b, t, d) -> (d)>] {
  ^bb0(%x: f32, %r: f32, %ge: f32):
    %a = arith.mulf %x, %r : f32
    %c = arith.mulf %a, %ge : f32
    r1.yield %c : f32
  } -> tensor<8x6x24xf32>
  %u = r1.contract %n, %wu maps [affine_map<(b, t, f, d) -> (b, t, d)>, affine_map<(b, t, f, d) -> (d, f)>, affine_map<(b, t, f, d) -> (b, t, f)>]
    : tensor<8x6x24xf32>, tensor<24x48xf32> -> tensor<8x6x48xf32>
  %v = r1.contract %n, %wg maps [affine_map<(b, t, f, d) -> (b, t, d)>, affine_map<(b, t, f, d) -> (d, f)>, affine_map<(b, t, f, d) -> (b, t, f)>]
    : tensor<8x6x24xf32>, tensor<24x48xf32> -> tensor<8x6x48xf32>
  %s = r1.map ins(%u, %v : tensor<8x6x48xf32>, tensor<8x6x48xf32>) maps [#btd, #btd] {
  ^bb0(%a: f32, %b: f32):
    %one = arith.constant 1.0 : f32
    %neg = arith.negf %b : f32
    %e = math.exp %neg : f32
    %d = arith.addf %one, %e : f32
    %si = arith.divf %b, %d : f32
    %y = arith.mulf %si, %a : f32
    r1.yield %y : f32
  } -> tensor<8x6x48xf32>
  %o = r1.contract %s, %wd maps [affine_map<(b, t, d, f) -> (b, t, f)>, affine_map<(b, t, d, f) -> (f, d)>, affine_map<(b, t, d, f) -> (b, t, d)>]
    : tensor<8x6x48xf32>, tensor<48x24xf32> -> tensor<8x6x24xf32>
  %h2 = r1.map ins(%h, %o, %bias : tensor<8x6x24xf32>, tensor<8x6x24xf32>, tensor<24xf32>) maps [#btd, #btd, affine_map<(b, t, d) -> (d)>] {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %y = arith.addf %b, %c : f32
    %z = arith.addf %a, %y : f32
    r1.yield %z : f32
  } -> tensor<8x6x24xf32>
  %z = r1.contract %h2, %table maps [affine_map<(b, t, v, d) -> (b, t, d)>, affine_map<(b, t, v, d) -> (v, d)>, affine_map<(b, t, v, d) -> (b, t, v)>]
    : tensor<8x6x24xf32>, tensor<40x24xf32> -> tensor<8x6x40xf32>
  %lse = r1.logsumexp %z axis 2 : tensor<8x6x40xf32> -> tensor<8x6xf32>
  %zt = r1.gather %z[%target] axis 2 maps [affine_map<(b, t) -> (b, t, 0)>, #bt]
    : tensor<8x6x40xf32>, tensor<8x6xi32, #r1.ty<dims = [], bound = 40>> -> tensor<8x6xf32>
  %l = r1.map ins(%lse, %zt, %mask : tensor<8x6xf32>, tensor<8x6xf32>, tensor<8x6xi1>) maps [#bt, #bt, #bt] {
  ^bb0(%a: f32, %b: f32, %m: i1):
    %zero = arith.constant 0.0 : f32
    %d = arith.subf %a, %b : f32
    %k = arith.select %m, %d, %zero : f32
    r1.yield %k : f32
  } -> tensor<8x6xf32>
  %sum = r1.reduce sum %l dims [0, 1] : tensor<8x6xf32> -> tensor<f32>
  %ones = r1.map ins(%mask : tensor<8x6xi1>) maps [#bt] {
  ^bb0(%m: i1):
    %one = arith.uitofp %m : i1 to f32
    r1.yield %one : f32
  } -> tensor<8x6xf32>
  %count = r1.reduce sum %ones dims [0, 1] : tensor<8x6xf32> -> tensor<f32>
  %loss = r1.map ins(%sum, %count : tensor<f32>, tensor<f32>) maps [affine_map<() -> ()>, affine_map<() -> ()>] {
  ^bb0(%a: f32, %b: f32):
    %y = arith.divf %a, %b : f32
    r1.yield %y : f32
  } -> tensor<f32>
  return %loss : tensor<f32>
}

func.func @update(%p: tensor<8192xf32> {r1.role = "param"}, %g: tensor<8192xf32> {r1.role = "grad"},
                  %m: tensor<8192xf32> {r1.role = "state:m"})
    -> (tensor<8192xf32> {r1.role = "param"}, tensor<8192xf32> {r1.role = "state:m"},
        tensor<f32> {r1.name = "grad_norm"}) attributes {r1.entry = "update"} {
  %lr = r1.scalar "lr" : tensor<f32>
  %clip = r1.scalar "clip" : tensor<f32>
  %g2 = r1.reshape %g : tensor<8192xf32> -> tensor<2x4096xf32>
  %sq = r1.map ins(%g2 : tensor<2x4096xf32>) maps [#bt] {
  ^bb0(%x: f32):
    %y = arith.mulf %x, %x : f32
    r1.yield %y : f32
  } -> tensor<2x4096xf32>
  %rows = r1.reduce sum %sq dims [1] : tensor<2x4096xf32> -> tensor<2xf32>
  %ss = r1.reduce sum %rows dims [0] : tensor<2xf32> -> tensor<f32>
  %norm = r1.map ins(%ss : tensor<f32>) maps [affine_map<() -> ()>] {
  ^bb0(%x: f32):
    %y = math.sqrt %x : f32
    r1.yield %y : f32
  } -> tensor<f32>
  %scale = r1.map ins(%norm, %clip : tensor<f32>, tensor<f32>) maps [affine_map<() -> ()>, affine_map<() -> ()>] {
  ^bb0(%x: f32, %c: f32):
    %one = arith.constant 1.0 : f32
    %q = arith.divf %c, %x : f32
    %y = arith.minimumf %q, %one : f32
    r1.yield %y : f32
  } -> tensor<f32>
  %m2 = r1.map ins(%m, %g, %scale : tensor<8192xf32>, tensor<8192xf32>, tensor<f32>) maps [#id1, #id1, affine_map<(d0) -> ()>] {
  ^bb0(%a: f32, %b: f32, %s: f32):
    %k = arith.constant 0.9 : f32
    %c = arith.mulf %a, %k : f32
    %d = arith.mulf %b, %s : f32
    %y = arith.addf %c, %d : f32
    r1.yield %y : f32
  } -> tensor<8192xf32>
  %p2 = r1.map ins(%p, %m2, %lr : tensor<8192xf32>, tensor<8192xf32>, tensor<f32>) maps [#id1, #id1, affine_map<(d0) -> ()>] {
  ^bb0(%a: f32, %b: f32, %s: f32):
    %c = arith.mulf %b, %s : f32
    %y = arith.subf %a, %c : f32
    r1.yield %y : f32
  } -> tensor<8192xf32>
  return %p2, %m2, %norm : tensor<8192xf32>, tensor<8192xf32>, tensor<f32>
}
