// Every op of the dialect, printed and parsed again.
// RUN: r1-opt %s | r1-opt | FileCheck %s

// CHECK: r1.stage "tok" "bpe"()
// CHECK: r1.stage "gpt" "train"(%{{.*}}) {module = @gpt
%tok = r1.stage "tok" "bpe" () {spec = "{}"} : () -> !r1.artifact<"tokenizer">
%gpt = r1.stage "gpt" "train" (%tok) {module = @gpt, spec = "{}"}
  : (!r1.artifact<"tokenizer">) -> !r1.artifact<"model">

module @gpt {
  // CHECK: r1.leaf "norm.g" : tensor<128xf32> {a = 1.000000e+00 : f64, b = 0.000000e+00 : f64, dist = 0 : i32}
  r1.leaf "norm.g" : tensor<128xf32> {dist = 0 : i32, a = 1.0 : f64, b = 0.0 : f64}
  // CHECK: trainable = false
  r1.leaf "norm.b" : tensor<128xf32> {dist = 0 : i32, a = 0.0 : f64, b = 0.0 : f64, trainable = false}
}

// Encodings are metadata: names of dims, and a bound.
// CHECK-LABEL: @encodings
// CHECK-SAME: tensor<4x8xi32, #r1.ty<dims = ["B", "T"], bound = 512>>
// CHECK-SAME: tensor<i32, #r1.ty<dims = [], bound = 7>>
func.func @encodings(%ids: tensor<4x8xi32, #r1.ty<dims = ["B", "T"], bound = 512>>,
                     %n: tensor<i32, #r1.ty<dims = [], bound = 7>>) {
  return
}

// CHECK-LABEL: @leaves
func.func @leaves() {
  // CHECK: r1.param "head.w" : tensor<64x512xf32>
  %w = r1.param "head.w" : tensor<64x512xf32>
  // CHECK: r1.scalar "lr" : tensor<f32>
  %lr = r1.scalar "lr" : tensor<f32>
  // CHECK: r1.random "blocks[0].drop" : tensor<32x128xf32>
  %u = r1.random "blocks[0].drop" : tensor<32x128xf32>
  return
}

// CHECK-LABEL: @comprehensions
func.func @comprehensions(%x: tensor<4x8xf32>, %b: tensor<8xf32>, %w: tensor<8x16xf32>) {
  // CHECK: r1.map ins(%{{.*}}, %{{.*}} : tensor<4x8xf32>, tensor<8xf32>)
  // CHECK-SAME: maps [#{{.*}}, #{{.*}}]
  %y = r1.map ins(%x, %b : tensor<4x8xf32>, tensor<8xf32>)
      maps [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d1)>] {
  ^bb0(%xe: f32, %be: f32):
    %s = arith.addf %xe, %be : f32
    r1.yield %s : f32
  } -> tensor<4x8xf32>
  // CHECK: r1.map captures(%{{.*}} : tensor<4x8xf32>) maps []
  %z = r1.map captures(%x : tensor<4x8xf32>) maps [] {
  ^bb0(%c: tensor<4x8xf32>):
    // CHECK: r1.index 1
    %b0 = r1.index 0
    %t = r1.index 1
    %zero = arith.constant 0.0 : f32
    // CHECK: r1.read %{{.*}}[%{{.*}}, %{{.*}}] else %{{.*}} : tensor<4x8xf32>
    %v = r1.read %c[%b0, %t] else %zero : tensor<4x8xf32>
    r1.yield %v : f32
  } -> tensor<4x8xf32>
  // CHECK: r1.reduce sum %{{.*}} dims [1] : tensor<4x8xf32> -> tensor<4xf32>
  %s = r1.reduce sum %x dims [1] : tensor<4x8xf32> -> tensor<4xf32>
  // CHECK: r1.contract %{{.*}}, %{{.*}} maps [
  %m = r1.contract %x, %w maps [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>,
                                affine_map<(m, n, k) -> (m, n)>]
    : tensor<4x8xf32>, tensor<8x16xf32> -> tensor<4x16xf32>
  return
}

// CHECK-LABEL: @indexed
func.func @indexed(%table: tensor<512x64xf32>, %ids: tensor<4x8xi32>) -> tensor<512x64xf32> {
  // CHECK: r1.gather %{{.*}}[%{{.*}}] axis 0 maps
  %e = r1.gather %table[%ids] axis 0 maps [affine_map<(b, t, d) -> (0, d)>,
                                           affine_map<(b, t, d) -> (b, t)>]
    : tensor<512x64xf32>, tensor<4x8xi32> -> tensor<4x8x64xf32>
  // CHECK: r1.scatter_add %{{.*}}[%{{.*}}] axis 0 maps
  %g = r1.scatter_add %e[%ids] axis 0 maps [affine_map<(b, t, d) -> (0, d)>,
                                            affine_map<(b, t, d) -> (b, t)>]
    : tensor<4x8x64xf32>, tensor<4x8xi32> -> tensor<512x64xf32>
  return %g : tensor<512x64xf32>
}

// CHECK-LABEL: @forms
func.func @forms(%x: tensor<4x8xf32>) {
  // CHECK: r1.softmax %{{.*}} axis 1
  %p = r1.softmax %x axis 1 : tensor<4x8xf32> -> tensor<4x8xf32>
  // CHECK: r1.logsumexp %{{.*}} axis 1
  %n = r1.logsumexp %x axis 1 : tensor<4x8xf32> -> tensor<4xf32>
  // CHECK: r1.reshape
  %y = r1.reshape %x : tensor<4x8xf32> -> tensor<4x2x4xf32>
  // CHECK: r1.stop_grad
  %s = r1.stop_grad %x : tensor<4x8xf32> -> tensor<4x8xf32>
  // CHECK: r1.expect_close
  r1.expect_close %p, %s {rtol = 1.0e-5 : f64, atol = 1.0e-6 : f64} : tensor<4x8xf32>, tensor<4x8xf32>
  return
}

// CHECK-LABEL: @kernel
func.func @kernel(%q: tensor<2x4x1x8xf32>, %seg: tensor<2x4xi32>) -> tensor<2x4x1x8xf32> {
  // CHECK: r1.kernel "flash_attention" ins({{.*}}) captures({{.*}}) body @attention lambdas {
  %y, %l = r1.kernel "flash_attention"
      ins(%q, %q, %q : tensor<2x4x1x8xf32>, tensor<2x4x1x8xf32>, tensor<2x4x1x8xf32>)
      captures(%seg : tensor<2x4xi32>) body @attention lambdas {
  ^bb0(%b: index, %t: index, %s: index, %seg_: tensor<2x4xi32>):
    %none = arith.constant -1 : i32
    %x = r1.read %seg_[%b, %t] else %none : tensor<2x4xi32>
    %z = r1.read %seg_[%b, %s] else %none : tensor<2x4xi32>
    %ok = arith.cmpi eq, %x, %z : i32
    r1.yield %ok : i1
  } -> tensor<2x4x1x8xf32>, tensor<2x1x4xf32>
  return %y : tensor<2x4x1x8xf32>
}

// CHECK-LABEL: @structure
func.func @structure(%x: tensor<8x4xf32>, %w: tensor<4x4xf32>) -> tensor<4xf32> {
  // CHECK: r1.grad @loss(%{{.*}}) wrt ["w"]
  %l, %g = r1.grad @loss(%x) wrt ["w"] : (tensor<8x4xf32>) -> (tensor<f32>, tensor<4x4xf32>)
  // CHECK: r1.row_loop 4 split(%{{.*}} : tensor<8x4xf32>) whole(%{{.*}} : tensor<4x4xf32>) {
  %s = r1.row_loop 4 split(%x : tensor<8x4xf32>) whole(%w : tensor<4x4xf32>) {
  ^bb0(%xs: tensor<2x4xf32>, %ws: tensor<4x4xf32>):
    %r = r1.reduce sum %xs dims [0] : tensor<2x4xf32> -> tensor<4xf32>
    r1.yield %r : tensor<4xf32>
  } -> tensor<4xf32>
  return %s : tensor<4xf32>
}
