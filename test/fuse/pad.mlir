// RUN: r1-opt %s --r1-fuse --mlir-print-local-scope | FileCheck %s
// RUN: fuse-run %s --tolerance 1e-2
// The evaluator does not round to 16 bits, so it agrees to some thousandths of the largest value.
// Rows of 70 bf16 that products read are 128 elements apart, whole cache lines: wherever they are written and read. Rows
// that no product reads, f32, and rows of 72, which are whole accesses of 16 bytes, stay as they are.

// CHECK: kern.buffer @t : memref<32x128xbf16> {pool = "work"}
// CHECK: kern.buffer @t_2 : memref<32x72xbf16> {pool = "work"}
// CHECK: affine_map<(d0, d1) -> (d0 * 128 + d1)>
// CHECK: kern.product @{{.*}} sizes [32, 24, 70] batch [] a [128, 1]
// CHECK: kern.product @{{.*}} sizes [70, 24, 32] batch [] a [1, 128]
// CHECK: kern.product @{{.*}} sizes [32, 24, 72] batch [] a [72, 1]
#rv = affine_map<(r, v) -> (r, v)>
#r = affine_map<(r, v) -> (r)>
func.func @head(%z: tensor<32x70xf32> {r1.name = "z"}, %w: tensor<70x24xbf16> {r1.name = "w"},
                %h: tensor<32x24xbf16> {r1.name = "h"}, %y: tensor<32x72xf32> {r1.name = "y"},
                %u: tensor<72x24xbf16> {r1.name = "u"})
    -> (tensor<32x24xf32> {r1.name = "dh"}, tensor<70x24xf32> {r1.name = "dw"}, tensor<32x24xf32> {r1.name = "e"}) {
  %n = r1.logsumexp %z axis 1 : tensor<32x70xf32> -> tensor<32xf32>
  %p = r1.map ins(%z, %n : tensor<32x70xf32>, tensor<32xf32>) maps [#rv, #r] {
  ^bb0(%a: f32, %b: f32):
    %s = arith.subf %a, %b : f32
    %x = math.exp %s : f32
    %t = arith.truncf %x : f32 to bf16
    r1.yield %t : bf16
  } -> tensor<32x70xbf16>
  %q = r1.map ins(%y : tensor<32x72xf32>) maps [#rv] {
  ^bb0(%a: f32):
    %x = math.tanh %a : f32
    %t = arith.truncf %x : f32 to bf16
    r1.yield %t : bf16
  } -> tensor<32x72xbf16>
  %dh = r1.contract %p, %w maps [affine_map<(r, d, v) -> (r, v)>, affine_map<(r, d, v) -> (v, d)>, affine_map<(r, d, v) -> (r, d)>]
    : tensor<32x70xbf16>, tensor<70x24xbf16> -> tensor<32x24xf32>
  %dw = r1.contract %p, %h maps [affine_map<(v, d, r) -> (r, v)>, affine_map<(v, d, r) -> (r, d)>, affine_map<(v, d, r) -> (v, d)>]
    : tensor<32x70xbf16>, tensor<32x24xbf16> -> tensor<70x24xf32>
  %e = r1.contract %q, %u maps [affine_map<(r, d, v) -> (r, v)>, affine_map<(r, d, v) -> (v, d)>, affine_map<(r, d, v) -> (r, d)>]
    : tensor<32x72xbf16>, tensor<72x24xbf16> -> tensor<32x24xf32>
  return %dh, %dw, %e : tensor<32x24xf32>, tensor<70x24xf32>, tensor<32x24xf32>
}

// A product writes [r, h, k] with h and k as one dim of 210 in one run: rows of 70 cannot be moved apart.
// CHECK: kern.buffer @t_3 : memref<32x3x70xbf16> {pool = "work"}
func.func @heads(%h: tensor<32x24xbf16> {r1.name = "h"}, %w: tensor<24x3x70xbf16> {r1.name = "w"},
                 %u: tensor<70x8xbf16> {r1.name = "u"}) -> (tensor<32x3x8xf32> {r1.name = "y"}) {
  %q = r1.contract %h, %w maps [affine_map<(r, h, k, d) -> (r, d)>, affine_map<(r, h, k, d) -> (d, h, k)>, affine_map<(r, h, k, d) -> (r, h, k)>]
    : tensor<32x24xbf16>, tensor<24x3x70xbf16> -> tensor<32x3x70xbf16>
  %y = r1.contract %q, %u maps [affine_map<(r, h, e, k) -> (r, h, k)>, affine_map<(r, h, e, k) -> (k, e)>, affine_map<(r, h, e, k) -> (r, h, e)>]
    : tensor<32x3x70xbf16>, tensor<70x8xbf16> -> tensor<32x3x8xf32>
  return %y : tensor<32x3x8xf32>
}

// A gather reads one element of each row: the index that it was given is a column.
// CHECK: kern.buffer @t_{{[0-9]+}} : memref<32x128xbf16> {pool = "work"}
// CHECK: affine_map<(d0, d1) -> (d0 * 128 + d1)>(%{{.*}}, %{{.*}})
func.func @chosen(%h: tensor<32x24xbf16> {r1.name = "h"}, %w: tensor<24x70xbf16> {r1.name = "w"},
                  %t: tensor<32xi32> {r1.name = "t"}) -> (tensor<32xbf16> {r1.name = "y"}) {
  %z = r1.contract %h, %w maps [affine_map<(r, v, d) -> (r, d)>, affine_map<(r, v, d) -> (d, v)>, affine_map<(r, v, d) -> (r, v)>]
    : tensor<32x24xbf16>, tensor<24x70xbf16> -> tensor<32x70xbf16>
  %y = r1.gather %z[%t] axis 1 maps [affine_map<(r) -> (r, 0)>, affine_map<(r) -> (r)>] : tensor<32x70xbf16>, tensor<32xi32> -> tensor<32xbf16>
  return %y : tensor<32xbf16>
}
