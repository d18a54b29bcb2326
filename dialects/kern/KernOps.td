// The kern dialect: how a program executes. Buffers, kernels, launches, order.
#ifndef KERN_OPS_TD
#define KERN_OPS_TD
include "mlir/IR/OpBase.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"
include "mlir/IR/OpAsmInterface.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/IR/BuiltinAttributes.td"
include "mlir/Interfaces/SideEffectInterfaces.td"
include "mlir/Interfaces/ControlFlowInterfaces.td"

def Kern_Dialect : Dialect {
  let name = "kern";
  let cppNamespace = "::r1::kern";
  let summary = "how a program executes: buffers, kernels, launches, order";
  let description = [{
    A module of this dialect holds `kern.buffer`s (regions of the one arena), kernels
    (`kern.kernel`, `kern.product`, `kern.intrinsic`: unscheduled, each compiled once) and
    `kern.program`s (what to launch, in order). Scalar bodies are upstream `arith` and `math`;
    elements are read and written with `memref.load` and `memref.store`.
  }];
  let dependentDialects = ["mlir::arith::ArithDialect", "mlir::math::MathDialect",
                           "mlir::memref::MemRefDialect", "mlir::affine::AffineDialect"];
}
class Kern_Op<string mnemonic, list<Trait> traits = []> : Op<Kern_Dialect, mnemonic, traits>;

def Kern_Combine : I32EnumAttr<"Combine", "how a sweep's values combine", [
    I32EnumAttrCase<"sum", 0>, I32EnumAttrCase<"max", 1>, I32EnumAttrCase<"min", 2>,
    I32EnumAttrCase<"any", 3>, I32EnumAttrCase<"all", 4>]> {
  let cppNamespace = "::r1::kern";
}

def Kern_BufferOp : Kern_Op<"buffer", [Symbol]> {
  let summary = "a region of the arena";
  let description = [{
    `pool` says who owns it: `param` (f32 leaves, in path order), `copy` (the same rounded, for
    programs that compute in 16 bits), `grad`, `state`, `input` (the
    GLOBAL batch), `cache` (of earlier positions, kept between runs), `scalar`, `output`, `work` (lives within one program). `field` is the path,
    leaf, state or output name that the host knows it by. `offset` (bytes) is written by `plan`.
    `inside = @other, at = elements` makes it a view into another buffer (a leaf in its pool).

    Example: `kern.buffer @t3 : memref<512x128xf32> {pool = "work"}`
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, TypeAttr:$type, StrAttr:$pool,
                       OptionalAttr<StrAttr>:$field, OptionalAttr<I64Attr>:$offset,
                       OptionalAttr<FlatSymbolRefAttr>:$inside, OptionalAttr<I64Attr>:$at,
                       OptionalAttr<I64Attr>:$bound);
  let assemblyFormat = "$sym_name `:` $type attr-dict";
}

def Kern_KernelOp : Kern_Op<"kernel", [Symbol, IsolatedFromAbove, SingleBlock]> {
  let summary = "a nest of parallel rows, each doing sweeps in order";
  let description = [{
    Block arguments: one `index` per entry of `rows` (all parallel, outermost first), then one
    `memref` per entry of `arg_types`. The body is straight-line scalar code and `kern.sweep`s.
    Index arithmetic is `affine.apply`; a data-dependent index comes through `arith.index_cast`.
    `writes` numbers the memref arguments that are stored to; rows never store different
    values to one element, and never read what another row stores.

    `along` says which loop is vectorised, and with it the order of the sums:
    - "sweep": the innermost dim of each sweep, in 64 fixed lanes (element i to lane i mod 64) and
      then a fixed tree (lane i with i + 32, 16, 8, 4, 2, 1). Sums along the row.
    - "row": the innermost row dim; sweeps are sequential, so a sum is one chain in increasing
      order that starts from its `init`. Element-wise kernels and sums over rows.

    Example (y = x * rsqrt(mean(x²)) * g over 512 rows of 128):
    ```mlir
    kern.kernel @rmsnorm rows [512] along "sweep" writes [2] {
    ^bb0(%r: index, %x: memref<512x128xf32>, %g: memref<128xf32>, %y: memref<512x128xf32>):
      %s = kern.sweep [128] combine [0] {
      ^bb0(%d: index):
        %v = memref.load %x[%r, %d] : memref<512x128xf32>
        %q = arith.mulf %v, %v : f32
        kern.yield %q : f32
      } -> f32
      …
      kern.sweep [128] combine [] {
      ^bb0(%d: index):
        …
        memref.store %o, %y[%r, %d] : memref<512x128xf32>
        kern.yield
      }
      kern.end
    }
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, DenseI64ArrayAttr:$rows, StrAttr:$along,
                       DenseI64ArrayAttr:$writes);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = [{
    $sym_name `rows` $rows `along` $along `writes` $writes attr-dict-with-keyword $body
  }];
  let extraClassDeclaration = [{ ::mlir::Block *getBlock() { return &getBody().front(); } }];
  let hasVerifier = 1;
}

def Kern_SweepOp : Kern_Op<"sweep", [SingleBlock]> {
  let summary = "visits a small index space within a row; combines what it yields";
  let description = [{
    One index argument per entry of `sizes`; row-major order. It yields one value per entry of
    `combine`; the results are the combinations (`init`, when given, one per result, is where a
    chain starts: the value of C in accumulation). It may also store.

    Example (the sum of a row; 0 is `sum` of `Combine`):
    ```mlir
    %s = kern.sweep [128] combine [0] {
    ^bb0(%d: index):
      %v = memref.load %x[%r, %d] : memref<512x128xf32>
      kern.yield %v : f32
    } -> f32
    ```
  }];
  let arguments = (ins DenseI64ArrayAttr:$sizes, DenseI32ArrayAttr:$combine,
                       Variadic<AnyType>:$init);
  let results = (outs Variadic<AnyType>:$results);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = [{
    $sizes `combine` $combine (`init` `(` $init^ `:` type($init) `)`)? attr-dict-with-keyword $body (`->` type($results)^)?
  }];
  let extraClassDeclaration = [{ ::mlir::Block *getBlock() { return &getBody().front(); } }];
  let hasVerifier = 1;
}

def Kern_YieldOp : Kern_Op<"yield", [Pure, Terminator, ReturnLike]> {
  let summary = "what a sweep or an epilogue yields";
  let description = [{ Example: `kern.yield %s : f32` }];
  let arguments = (ins Variadic<AnyType>:$values);
  let assemblyFormat = "($values^ `:` type($values))? attr-dict";
  let builders = [OpBuilder<(ins), [{ build($_builder, $_state, ::mlir::ValueRange()); }]>];
}

def Kern_EndOp : Kern_Op<"end", [Pure, Terminator]> {
  let summary = "the end of a kernel, a program or a loop";
  let description = [{ Example: `kern.end` }];
  let assemblyFormat = "attr-dict";
}

def Kern_ProductOp : Kern_Op<"product", [Symbol, IsolatedFromAbove, SingleBlock]> {
  let summary = "a (batched) matrix product with an epilogue";
  let description = [{
    `C[g, m, n] = epilogue(chain over k of A[g, m, k] * B[g, k, n])`. Arguments of the block:
    `index` m-position, `index` n-position, `f32` accumulator, then the memrefs A, B, C and the
    epilogue's own. The epilogue yields the value to store (of C's element type); with
    `accumulate` the chain starts from the stored C instead of zero (then the epilogue is the
    identity). Sizes and strides in elements: `sizes = [m, n, k]`, `batch` the batch sizes,
    `a = [batch strides…, m, k]`, `b = [batch strides…, k, n]`, `c = [batch strides…, m, n]`.
    Every element is ONE FMA chain in increasing k. Batched products pass the
    linear batch index to the epilogue as one leading `index` argument, present always.

    Example (y = x @ w + bias):
    ```mlir
    kern.product @p0 sizes [512, 384, 128] batch [] a [128, 1] b [384, 1] c [384, 1]
        accumulate false {
    ^bb0(%g: index, %m: index, %n: index, %acc: f32, %x: memref<512x128xf32>,
         %w: memref<128x384xf32>, %y: memref<512x384xf32>, %bias: memref<384xf32>):
      %bv = memref.load %bias[%n] : memref<384xf32>
      %s = arith.addf %acc, %bv : f32
      kern.yield %s : f32
    }
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, DenseI64ArrayAttr:$sizes, DenseI64ArrayAttr:$batch,
                       DenseI64ArrayAttr:$a, DenseI64ArrayAttr:$b, DenseI64ArrayAttr:$c,
                       BoolAttr:$accumulate);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = [{
    $sym_name `sizes` $sizes `batch` $batch `a` $a `b` $b `c` $c `accumulate` $accumulate
    attr-dict-with-keyword $body
  }];
  let extraClassDeclaration = [{ ::mlir::Block *getBlock() { return &getBody().front(); } }];
  let hasVerifier = 1;
}

def Kern_IntrinsicOp : Kern_Op<"intrinsic", [Symbol, IsolatedFromAbove]> {
  let summary = "a registered kernel (compiler/kernels), e.g. flash_attention";
  let description = [{
    `name` names the kernel; its arguments are the memrefs of `arg_types` (inputs, captures,
    outputs), attributes carry its sizes; lambdas take indices and the captures' memrefs.

    Example (which key a query may read, by a captured tensor):
    ```mlir
    kern.intrinsic @k "name" [memref<4x8xf32>, memref<4xi32>, memref<4x8xf32>] writes [2]
        {captures = 1 : i64, inputs = 1 : i64} lambdas {
    ^bb0(%t: index, %s: index, %seg: memref<4xi32>):
      %a = memref.load %seg[%t] : memref<4xi32>
      %b = memref.load %seg[%s] : memref<4xi32>
      %ok = arith.cmpi eq, %a, %b : i32
      kern.yield %ok : i1
    }
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, StrAttr:$name, TypeArrayAttr:$arg_types,
                       DenseI64ArrayAttr:$writes, DictionaryAttr:$params);
  let regions = (region VariadicRegion<SizedRegion<1>>:$lambdas);
  let assemblyFormat = [{
    $sym_name $name $arg_types `writes` $writes $params attr-dict-with-keyword (`lambdas` $lambdas^)?
  }];
}

def Kern_ProgramOp : Kern_Op<"program", [Symbol, SingleBlock, NoRegionArguments]> {
  let summary = "one compiled entry: launches in order";
  let description = [{
    `inputs`, `scalars`, `outputs` list the buffers that the host writes and reads.

    Example:
    ```mlir
    kern.program @eval inputs [@x] scalars [] outputs [@y] {
      kern.launch @k [@x, @y] strides [0, 0, 0, 0]
      kern.end
    }
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, ArrayAttr:$inputs, ArrayAttr:$scalars,
                       ArrayAttr:$outputs);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = [{
    $sym_name `inputs` $inputs `scalars` $scalars `outputs` $outputs attr-dict-with-keyword $body
  }];
}

def Kern_LaunchOp : Kern_Op<"launch"> {
  let summary = "runs a kernel on buffers";
  let description = [{
    `args[i]` is a buffer symbol. `strides` (bytes, two per argument) move it with the enclosing
    loops, outermost first; zero outside of loops. `reason` says why this launch is not fused
    with the one before it.

    Example: `kern.launch @k3 [@t0, @t1] strides [0, 0, 0, 0]`
  }];
  let arguments = (ins FlatSymbolRefAttr:$kernel, ArrayAttr:$args, DenseI64ArrayAttr:$strides,
                       OptionalAttr<StrAttr>:$reason);
  let assemblyFormat = "$kernel $args `strides` $strides attr-dict";
}

def Kern_FillOp : Kern_Op<"fill"> {
  let summary = "zeroes a buffer";
  let description = [{ Example: `kern.fill @t7` }];
  let arguments = (ins FlatSymbolRefAttr:$buffer);
  let assemblyFormat = "$buffer attr-dict";
}

def Kern_LoopOp : Kern_Op<"loop", [SingleBlock, NoRegionArguments]> {
  let summary = "repeats its launches: micro-batches, or chunks of rows of a large intermediate";
  let description = [{
    `partials`, of a loop over micro-batches, are the buffers of its sums over rows; they are zero
    before the loop. Turns may be given to several shards, each with sums of its own, which then
    meet in a fixed tree.

    Example (each launch of the loop moves `@x` on by 1024 bytes):
    ```mlir
    kern.loop 4 over "micro" {
      kern.launch @k [@x, @t0] strides [1024, 0, 0, 0]
      kern.end
    }
    ```
  }];
  let arguments = (ins I64Attr:$count, StrAttr:$over, OptionalAttr<ArrayAttr>:$partials);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "$count `over` $over attr-dict-with-keyword $body";
}
#endif
