// RUN: r1-opt --r1-decode="rows=3 slots=10 chunk=4 sources=2" %s | FileCheck %s

// What depends on the source alone is computed once: places of it may mix, here by attention that sees all of them. The
// rows that are named get it.
// CHECK-LABEL: func.func @encode
// CHECK-SAME: %[[ID:arg[0-9]+]]: tensor<2x5xi32> {r1.name = "source.id"}, %[[SEG:arg[0-9]+]]: tensor<2x5xi32> {r1.name = "source.seg"}
// CHECK-SAME: %[[FROM:arg[0-9]+]]: tensor<3xi32, #r1.ty<dims = [], bound = 2>> {r1.name = "from"}
// CHECK-SAME: %[[TO:arg[0-9]+]]: tensor<3xi32, #r1.ty<dims = [], bound = 3>> {r1.name = "row"}
// CHECK-SAME: %[[OLD:arg[0-9]+]]: tensor<3x5x1x4xf32> {r1.role = "cache:source.k0"}
// CHECK-SAME: tensor<3x5xi32> {r1.role = "cache:source.mask0.1"}
// CHECK-SAME: -> (tensor<3x5x1x4xf32> {r1.role = "cache:source.k0"}, tensor<3x5xi32> {r1.role = "cache:source.mask0.1"})
// CHECK: %[[H:.*]] = r1.gather %{{.*}}[%[[ID]]]
// CHECK: %[[M:.*]] = r1.kernel "flash_attention" ins({{.*}} : tensor<2x5x1x4xf32>, tensor<2x5x1x4xf32>, tensor<2x5x1x4xf32>)
// CHECK-NOT: "cache_write"
// CHECK: r1.kernel "cache_fill" ins(%[[M]], %[[OLD]], %[[FROM]], %[[TO]] : tensor<2x5x1x4xf32>, tensor<3x5x1x4xf32>, {{.*}} attributes {axis = 0 : i64}
// CHECK: r1.kernel "cache_fill" ins(%[[SEG]],

// A new position reads it; nothing of the encoder is left.
// CHECK-LABEL: func.func @decode
// CHECK-NOT: source.id
// CHECK-SAME: %[[XSEG:arg[0-9]+]]: tensor<3x1xi32> {r1.name = "x.seg"}
// CHECK-SAME: %[[K:arg[0-9]+]]: tensor<3x5x1x4xf32> {r1.role = "cache:source.k0"}
// CHECK-SAME: %[[MASK:arg[0-9]+]]: tensor<3x5xi32> {r1.role = "cache:source.mask0.1"}
// CHECK-NOT: cache:k0
// CHECK: r1.kernel "flash_attention" ins(%{{.*}}, %[[K]], %[[K]] : tensor<3x1x1x4xf32>, tensor<3x5x1x4xf32>, tensor<3x5x1x4xf32>)
// CHECK-SAME: captures(%[[XSEG]], %[[MASK]] : tensor<3x1xi32>, tensor<3x5xi32>)
// CHECK-NOT: base
// CHECK: ^bb0(%[[ROW:.*]]: index, %[[T:.*]]: index, %[[S:.*]]: index, %[[G:.*]]: tensor<3x1xi32>
// CHECK: r1.read %[[G]][%[[ROW]], %[[T]]]
// CHECK-NOT: r1.kernel
// CHECK: return

// No attention needs positions before the last: all of them but one fall away.
// CHECK-LABEL: func.func @prefill
// CHECK: %[[ONE:.*]] = r1.gather %{{.*}}[%{{.*}}] axis 1 {{.*}} -> tensor<3x1xi32>
// CHECK: r1.kernel "flash_attention" ins({{.*}} : tensor<3x1x1x4xf32>, tensor<3x5x1x4xf32>, tensor<3x5x1x4xf32>)
func.func @logits(%from: tensor<1x5xi32> {r1.name = "source.id"}, %mseg: tensor<1x5xi32> {r1.name = "source.seg"},
                  %id: tensor<1x16xi32> {r1.name = "x.id"}, %seg: tensor<1x16xi32> {r1.name = "x.seg"})
    -> (tensor<1x16x9xf32> {r1.name = "logits"}) attributes {r1.entry = "logits"} {
  %w = r1.param "table" : tensor<9x4xf32>
  %e = r1.gather %w[%from] axis 0 maps [affine_map<(b, t, d) -> (0, d)>, affine_map<(b, t, d) -> (b, t)>]
    : tensor<9x4xf32>, tensor<1x5xi32> -> tensor<1x5x4xf32>
  %k = r1.reshape %e : tensor<1x5x4xf32> -> tensor<1x5x1x4xf32>
  %memory = r1.kernel "flash_attention" ins(%k, %k, %k : tensor<1x5x1x4xf32>, tensor<1x5x1x4xf32>, tensor<1x5x1x4xf32>)
      captures(%mseg : tensor<1x5xi32>) lambdas {
  ^bb0(%b: index, %t: index, %s: index, %g: tensor<1x5xi32>):
    %zero = arith.constant 0 : i32
    %gt = r1.read %g[%b, %t] else %zero : tensor<1x5xi32>
    %gs = r1.read %g[%b, %s] else %zero : tensor<1x5xi32>
    %ok = arith.cmpi eq, %gt, %gs : i32
    r1.yield %ok : i1
  } -> tensor<1x5x1x4xf32>
  %h = r1.gather %w[%id] axis 0 maps [affine_map<(b, t, d) -> (0, d)>, affine_map<(b, t, d) -> (b, t)>]
    : tensor<9x4xf32>, tensor<1x16xi32> -> tensor<1x16x4xf32>
  %q = r1.reshape %h : tensor<1x16x4xf32> -> tensor<1x16x1x4xf32>
  %a = r1.kernel "flash_attention" ins(%q, %memory, %memory : tensor<1x16x1x4xf32>, tensor<1x5x1x4xf32>, tensor<1x5x1x4xf32>)
      captures(%seg, %mseg : tensor<1x16xi32>, tensor<1x5xi32>) lambdas {
  ^bb0(%b: index, %t: index, %s: index, %g: tensor<1x16xi32>, %mg: tensor<1x5xi32>):
    %zero = arith.constant 0 : i32
    %gt = r1.read %g[%b, %t] else %zero : tensor<1x16xi32>
    %gs = r1.read %mg[%b, %s] else %zero : tensor<1x5xi32>
    %ok = arith.cmpi eq, %gt, %gs : i32
    r1.yield %ok : i1
  } -> tensor<1x16x1x4xf32>
  %y = r1.reshape %a : tensor<1x16x1x4xf32> -> tensor<1x16x4xf32>
  %z = r1.contract %y, %w maps [affine_map<(b, t, v, d) -> (b, t, d)>, affine_map<(b, t, v, d) -> (v, d)>,
                                affine_map<(b, t, v, d) -> (b, t, v)>]
    : tensor<1x16x4xf32>, tensor<9x4xf32> -> tensor<1x16x9xf32>
  return %z : tensor<1x16x9xf32>
}
