#ifndef R1_OPS_TD
#define R1_OPS_TD
include "dialects/r1/R1Dialect.td"
include "mlir/IR/OpAsmInterface.td"
include "mlir/IR/RegionKindInterface.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/SideEffectInterfaces.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/ControlFlowInterfaces.td"

class R1_Op<string mnemonic, list<Trait> traits = []> : Op<R1_Dialect, mnemonic, traits>;
def R1_Tensor : StaticShapeTensorOf<[AnyFloat, AnySignlessInteger]>;

//===--- pipeline -------------------------------------------------------------------------===//

def R1_StageOp : R1_Op<"stage"> {
  let summary = "one named artifact of the pipeline";
  let description = [{
    `kind` is the built-in that makes the artifact (train, evaluate, bpe, …), `spec` its host
    arguments as canonical JSON, `module` the nested module that holds its entry functions.
    Operands are the artifacts it reads; SSA is the pipeline's DAG.

    Example:
    ```mlir
    %tok = r1.stage "tok" "bpe" () {spec = "{}"} : () -> !r1.artifact<"tokenizer">
    %gpt = r1.stage "gpt" "train" (%tok) {module = @gpt, spec = "{}"}
      : (!r1.artifact<"tokenizer">) -> !r1.artifact<"model">
    ```
  }];
  let arguments = (ins StrAttr:$stage_name, StrAttr:$kind, Variadic<R1_ArtifactType>:$inputs,
                       StrAttr:$spec, OptionalAttr<FlatSymbolRefAttr>:$module);
  let results = (outs R1_ArtifactType:$result);
  let assemblyFormat =
    "$stage_name $kind `(` $inputs `)` attr-dict `:` functional-type($inputs, $result)";
}

def R1_LeafOp : R1_Op<"leaf", [HasParent<"::mlir::ModuleOp">]> {
  let summary = "declares one parameter of the stage's model";
  let description = [{
    Leaves stand at the top of the stage's module in path order. `dist` 0 is the constant `a`,
    1 normal(mean `a`, std `b`), 2 uniform in `a`..`b`; draws are keyed (seed, path, element).
    Parameters are stored as `type` (f32) whatever the compute dtype.

    Example:
    ```mlir
    r1.leaf "norm.g" : tensor<128xf32> {dist = 0 : i32, a = 1.0 : f64, b = 0.0 : f64}
    ```
  }];
  let arguments = (ins StrAttr:$path, TypeAttr:$type, I32Attr:$dist, F64Attr:$a, F64Attr:$b,
                       DefaultValuedAttr<BoolAttr, "true">:$trainable);
  let assemblyFormat = "$path `:` $type attr-dict";
}

//===--- leaves of a graph ----------------------------------------------------------------===//

def R1_ParamOp : R1_Op<"param", [Pure]> {
  let summary = "the value of a parameter";
  let description = [{
    After `fuse` has begun, a 16-bit element type is the leaf rounded to it.

    Example: `%w = r1.param "head.w" : tensor<64x512xf32>`
  }];
  let arguments = (ins StrAttr:$path);
  let results = (outs R1_Tensor:$result);
  let assemblyFormat = "$path attr-dict `:` type($result)";
}

def R1_ScalarOp : R1_Op<"scalar", [Pure]> {
  let summary = "a host number of this step";
  let description = [{
    Example: `%lr = r1.scalar "lr" : tensor<f32>`
  }];
  let arguments = (ins StrAttr:$scalar_name);
  let results = (outs R1_Tensor:$result);
  let assemblyFormat = "$scalar_name attr-dict `:` type($result)";
}

def R1_RandomOp : R1_Op<"random", [Pure]> {
  let summary = "uniform draws in [0, 1)";
  let description = [{
    Philox-4x32-10 keyed (seed, step, site, global row). The leading dim counts rows.

    Example: `%u = r1.random "blocks[0].drop" : tensor<32x128xf32>`
  }];
  let arguments = (ins StrAttr:$site);
  let results = (outs R1_Tensor:$result);
  let assemblyFormat = "$site attr-dict `:` type($result)";
}

//===--- comprehensions -------------------------------------------------------------------===//

def R1_MapOp : R1_Op<"map", [Pure, IsolatedFromAbove, SingleBlock, AttrSizedOperandSegments]> {
  let summary = "out[d...] = body(ins[maps(d...)]...), all dims parallel";
  let description = [{
    The iteration space is the result's shape. `maps[i]` (dims = result dims) says which element
    of `ins[i]` the body sees; it must stay inside. `captures` are whole tensors for `r1.read`.
    The block has one scalar argument per input, then one tensor argument per capture.
    A body that yields an argument unchanged is a view (broadcast, slice, permutation).

    Example (bias add):
    ```mlir
    %y = r1.map ins(%x, %b : tensor<4x8xf32>, tensor<8xf32>)
        maps [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d1)>] {
    ^bb0(%xe: f32, %be: f32):
      %s = arith.addf %xe, %be : f32
      r1.yield %s : f32
    } -> tensor<4x8xf32>
    ```
  }];
  let arguments = (ins Variadic<R1_Tensor>:$ins, Variadic<R1_Tensor>:$captures,
                       AffineMapArrayAttr:$maps);
  let results = (outs R1_Tensor:$result);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = [{
    (`ins` `(` $ins^ `:` type($ins) `)`)? (`captures` `(` $captures^ `:` type($captures) `)`)?
    `maps` $maps attr-dict-with-keyword $body `->` type($result)
  }];
  let hasVerifier = 1;
  let hasCanonicalizer = 1;
  let extraClassDeclaration = [{
    ::mlir::Block *getBlock() { return &getBody().front(); }
    ::mlir::AffineMap getMap(unsigned i) {
      return ::llvm::cast<::mlir::AffineMapAttr>(getMaps()[i]).getValue();
    }
    /// The index of the input that the body yields unchanged, or -1.
    int viewOf();
  }];
}

def R1_IndexOp : R1_Op<"index", [Pure]> {
  let summary = "the current position along dim `dim` of the enclosing map";
  let description = [{ Example: `%t = r1.index 1` }];
  let arguments = (ins I64Attr:$dim);
  let results = (outs Index:$result);
  let assemblyFormat = "$dim attr-dict";
  let hasVerifier = 1;
}

def R1_ReadOp : R1_Op<"read", [Pure,
    TypesMatchWith<"otherwise has the element type", "tensor", "otherwise",
                   "::llvm::cast<::mlir::TensorType>($_self).getElementType()">,
    TypesMatchWith<"the result has the element type", "tensor", "result",
                   "::llvm::cast<::mlir::TensorType>($_self).getElementType()">]> {
  let summary = "an element of a captured tensor, or a default outside of it";
  let description = [{
    `tensor[indices...]` if every index is in range, else `otherwise`.

    Example: `%v = r1.read %x[%b, %t] else %zero : tensor<4x8xf32>`
  }];
  let arguments = (ins R1_Tensor:$tensor, Variadic<Index>:$indices, AnyType:$otherwise);
  let results = (outs AnyType:$result);
  let assemblyFormat =
    "$tensor `[` $indices `]` `else` $otherwise attr-dict `:` type($tensor)";
  let hasVerifier = 1;
}

def R1_YieldOp : R1_Op<"yield", [Pure, Terminator]> {
  let summary = "the values of a region";
  let description = [{ Example: `r1.yield %s : f32` }];
  let arguments = (ins Variadic<AnyType>:$values);
  let assemblyFormat = "($values^ `:` type($values))? attr-dict";
  let builders = [OpBuilder<(ins), [{ build($_builder, $_state, ::mlir::ValueRange()); }]>];
}

def R1_ReduceOp : R1_Op<"reduce", [Pure]> {
  let summary = "combines the elements along some dims";
  let description = [{
    The result has the remaining dims, in order. Sums of f32, bf16 and f16 accumulate in f32;
    the result's element type is the input's, or f32 for a sum of a narrower one.
    An empty max is -inf, an empty min inf. A sum over dims that include the row dim is one
    chain in row order.

    Example: `%s = r1.reduce sum %x dims [1] : tensor<4x8xf32> -> tensor<4xf32>`
  }];
  let arguments = (ins R1_ReduceKindAttr:$kind, R1_Tensor:$input, DenseI64ArrayAttr:$dims);
  let results = (outs R1_Tensor:$result);
  let assemblyFormat =
    "`` $kind $input `dims` $dims attr-dict `:` type($input) `->` type($result)";
  let hasVerifier = 1;
}

def R1_ContractOp : R1_Op<"contract", [Pure]> {
  let summary = "sum of products of two tensors";
  let description = [{
    `out[maps[2](d)] = sum over the other dims of lhs[maps[0](d)] * rhs[maps[1](d)]`, each element
    one FMA chain in increasing order of the summed dims (outermost first), accumulated in f32
    (f64 for f64) and rounded once to the result's element type. The maps are projected
    permutations over the same dims: every dim occurs in lhs or rhs, the result's in the result.

    Example (x @ w):
    ```mlir
    %y = r1.contract %x, %w maps [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>,
                                  affine_map<(m, n, k) -> (m, n)>]
      : tensor<4x8xf32>, tensor<8x16xf32> -> tensor<4x16xf32>
    ```
  }];
  let arguments = (ins R1_Tensor:$lhs, R1_Tensor:$rhs, AffineMapArrayAttr:$maps);
  let results = (outs R1_Tensor:$result);
  let assemblyFormat =
    "$lhs `,` $rhs `maps` $maps attr-dict `:` type($lhs) `,` type($rhs) `->` type($result)";
  let hasVerifier = 1;
  let hasCanonicalizer = 1;
  let extraClassDeclaration = [{
    ::mlir::AffineMap getMap(unsigned i) {
      return ::llvm::cast<::mlir::AffineMapAttr>(getMaps()[i]).getValue();
    }
    /// The size of each iteration dim.
    ::llvm::SmallVector<int64_t> getLoopSizes();
  }];
}

//===--- data-dependent -------------------------------------------------------------------===//

def R1_GatherOp : R1_Op<"gather", [Pure]> {
  let summary = "reads along one axis at positions that are data";
  let description = [{
    `out[d...] = src[maps[0](d...) with axis `axis` replaced by ids[maps[1](d...)]]`. The iteration
    space is the result's shape; the entry of `maps[0]` for `axis` is 0 and not read. Ids are in
    range by type.

    Example (embedding):
    ```mlir
    %e = r1.gather %table[%ids] axis 0 maps [affine_map<(b, t, d) -> (0, d)>,
                                             affine_map<(b, t, d) -> (b, t)>]
      : tensor<512x64xf32>, tensor<4x8xi32> -> tensor<4x8x64xf32>
    ```
  }];
  let arguments = (ins R1_Tensor:$src, R1_Tensor:$ids, I64Attr:$axis, AffineMapArrayAttr:$maps);
  let results = (outs R1_Tensor:$result);
  let assemblyFormat = [{
    $src `[` $ids `]` `axis` $axis `maps` $maps attr-dict
    `:` type($src) `,` type($ids) `->` type($result)
  }];
  let hasVerifier = 1;
  let hasCanonicalizer = 1;
  let extraClassDeclaration = [{
    ::mlir::AffineMap getMap(unsigned i) {
      return ::llvm::cast<::mlir::AffineMapAttr>(getMaps()[i]).getValue();
    }
  }];
}

def R1_ScatterAddOp : R1_Op<"scatter_add", [Pure]> {
  let summary = "adds updates along one axis at positions that are data (gather's adjoint)";
  let description = [{
    A zero tensor of the result's shape, to which `updates[d...]` is added at
    `maps[0](d...)` with axis `axis` replaced by `ids[maps[1](d...)]`, in increasing row-major
    order of `d`. The iteration space is the shape of `updates`.

    Example:
    ```mlir
    %g = r1.scatter_add %u[%ids] axis 0 maps [affine_map<(b, t, d) -> (0, d)>,
                                              affine_map<(b, t, d) -> (b, t)>]
      : tensor<4x8x64xf32>, tensor<4x8xi32> -> tensor<512x64xf32>
    ```
  }];
  let arguments = (ins R1_Tensor:$updates, R1_Tensor:$ids, I64Attr:$axis, AffineMapArrayAttr:$maps);
  let results = (outs R1_Tensor:$result);
  let assemblyFormat = [{
    $updates `[` $ids `]` `axis` $axis `maps` $maps attr-dict
    `:` type($updates) `,` type($ids) `->` type($result)
  }];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    ::mlir::AffineMap getMap(unsigned i) {
      return ::llvm::cast<::mlir::AffineMapAttr>(getMaps()[i]).getValue();
    }
  }];
}

//===--- stable forms ---------------------------------------------------------------------===//

def R1_SoftmaxOp : R1_Op<"softmax", [Pure]> {
  let summary = "exp(x - max) / sum(exp(x - max)) along an axis; all zeros where every x is -inf";
  let description = [{ Example: `%p = r1.softmax %x axis 1 : tensor<4x8xf32> -> tensor<4x8xf32>` }];
  let arguments = (ins R1_Tensor:$input, I64Attr:$axis);
  let results = (outs R1_Tensor:$result);
  let assemblyFormat = "$input `axis` $axis attr-dict `:` type($input) `->` type($result)";
  let hasVerifier = 1;
}

def R1_LogSumExpOp : R1_Op<"logsumexp", [Pure]> {
  let summary = "log(sum(exp(x))) along an axis; -inf where every x is -inf";
  let description = [{ Example: `%n = r1.logsumexp %x axis 1 : tensor<4x8xf32> -> tensor<4xf32>` }];
  let arguments = (ins R1_Tensor:$input, I64Attr:$axis);
  let results = (outs R1_Tensor:$result);
  let assemblyFormat = "$input `axis` $axis attr-dict `:` type($input) `->` type($result)";
  let hasVerifier = 1;
}

//===--- shape ----------------------------------------------------------------------------===//

def R1_ReshapeOp : R1_Op<"reshape", [Pure]> {
  let summary = "the same elements in row-major order under another shape";
  let description = [{ Example: `%y = r1.reshape %x : tensor<4x8xf32> -> tensor<4x2x4xf32>` }];
  let arguments = (ins R1_Tensor:$input);
  let results = (outs R1_Tensor:$result);
  let assemblyFormat = "$input attr-dict `:` type($input) `->` type($result)";
  let hasVerifier = 1;
  let hasFolder = 1;
}

//===--- intrinsics -----------------------------------------------------------------------===//

def R1_KernelOp : R1_Op<"kernel", [Pure, IsolatedFromAbove, AttrSizedOperandSegments]> {
  let summary = "a registered kernel with a reference body";
  let description = [{
    `name` is looked up in compiler/kernels; `body` is a function over (inputs, captures) that
    defines the first result. Each region is a lambda: index arguments, then one tensor argument
    per capture; it may use `r1.read` on those.

    Example: attention with out and log-sum-exp, the mask a lambda over (b, t, s):
    ```mlir
    %y, %l = r1.kernel "flash_attention" ins(%q, %k, %v : …) captures(%seg, %pos : …)
        body @attention attributes {scale = 0.125 : f64} lambdas {
    ^bb0(%b: index, %t: index, %s: index, %seg_: tensor<…>, %pos_: tensor<…>):
      …
      r1.yield %ok : i1
    } -> tensor<…>, tensor<…>
    ```
  }];
  let arguments = (ins StrAttr:$kernel_name, Variadic<R1_Tensor>:$ins, Variadic<R1_Tensor>:$captures,
                       OptionalAttr<FlatSymbolRefAttr>:$body);
  let results = (outs Variadic<R1_Tensor>:$results);
  let regions = (region VariadicRegion<SizedRegion<1>>:$lambdas);
  let assemblyFormat = [{
    $kernel_name `ins` `(` $ins `:` type($ins) `)` (`captures` `(` $captures^ `:` type($captures) `)`)?
    (`body` $body^)? attr-dict-with-keyword (`lambdas` $lambdas^)? `->` type($results)
  }];
  let hasVerifier = 1;
}

//===--- differentiation ------------------------------------------------------------------===//

def R1_StopGradOp : R1_Op<"stop_grad", [Pure]> {
  let summary = "its operand; no gradient passes";
  let description = [{ Example: `%y = r1.stop_grad %x : tensor<4xf32> -> tensor<4xf32>` }];
  let arguments = (ins R1_Tensor:$input);
  let results = (outs R1_Tensor:$result);
  let assemblyFormat = "$input attr-dict `:` type($input) `->` type($result)";
  let hasVerifier = 1;
}

def R1_GradOp : R1_Op<"grad"> {
  let summary = "values and gradients of a function";
  let description = [{
    Calls `callee` (whose first result is a rank-0 float) and also yields the gradient of that
    result with respect to each parameter path in `wrt`, in order. Gone after `grad`.

    Example:
    ```mlir
    %l, %g = r1.grad @loss(%x) wrt ["w"] : (tensor<4x8xf32>) -> (tensor<f32>, tensor<8x8xf32>)
    ```
  }];
  let arguments = (ins FlatSymbolRefAttr:$callee, Variadic<R1_Tensor>:$inputs, StrArrayAttr:$wrt);
  let results = (outs Variadic<R1_Tensor>:$results);
  let assemblyFormat =
    "$callee `(` $inputs `)` `wrt` $wrt attr-dict `:` functional-type($inputs, $results)";
}

//===--- rows -----------------------------------------------------------------------------===//

def R1_RowLoopOp : R1_Op<"row_loop", [IsolatedFromAbove, SingleBlock, AttrSizedOperandSegments]> {
  let summary = "runs its body on consecutive slices of rows and adds up what it yields";
  let description = [{
    `split` operands have their leading dim cut into `count` equal slices, taken in order;
    `whole` operands are seen whole. The block has one argument for each. Every yielded value must
    be a sum over the slice's rows; the results are the sums over all rows, and each yielding
    op continues the chain of the slice before it, so that `count` never shows in the bits.
    Written by `shard`.

    Example (a sum over 8 rows, 2 at a time):
    ```mlir
    %s = r1.row_loop 4 split(%x : tensor<8x4xf32>) {
    ^bb0(%xs: tensor<2x4xf32>):
      %r = r1.reduce sum %xs dims [0] : tensor<2x4xf32> -> tensor<4xf32>
      r1.yield %r : tensor<4xf32>
    } -> tensor<4xf32>
    ```
  }];
  let arguments = (ins I64Attr:$count, Variadic<R1_Tensor>:$split, Variadic<R1_Tensor>:$whole);
  let results = (outs Variadic<R1_Tensor>:$results);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = [{
    $count (`split` `(` $split^ `:` type($split) `)`)? (`whole` `(` $whole^ `:` type($whole) `)`)?
    attr-dict-with-keyword $body `->` type($results)
  }];
  let hasVerifier = 1;
  let extraClassDeclaration = [{ ::mlir::Block *getBlock() { return &getBody().front(); } }];
}

//===--- tests ----------------------------------------------------------------------------===//

def R1_ExpectCloseOp : R1_Op<"expect_close"> {
  let summary = "fails the test unless two tensors agree";
  let description = [{
    |a - b| <= atol + rtol * |b| for every element.

    Example: `r1.expect_close %a, %b {rtol = 1.0e-5 : f64, atol = 1.0e-6 : f64} : tensor<4xf32>, tensor<4xf32>`
  }];
  let arguments = (ins R1_Tensor:$actual, R1_Tensor:$expected, F64Attr:$rtol, F64Attr:$atol);
  let assemblyFormat =
    "$actual `,` $expected attr-dict `:` type($actual) `,` type($expected)";
  let hasVerifier = 1;
}
#endif
