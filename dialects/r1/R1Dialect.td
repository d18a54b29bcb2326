// The r1 dialect: what a program means. Tensors are values: no buffers, no order.
#ifndef R1_DIALECT_TD
#define R1_DIALECT_TD

include "mlir/IR/OpBase.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"
include "mlir/IR/BuiltinAttributes.td"

def R1_Dialect : Dialect {
  let name = "r1";
  let cppNamespace = "::r1::ir";
  let summary = "what a program means: tensors as values, and the pipeline's DAG";
  let description = [{
    Values are builtin tensors with static sizes. What MLIR does not know about them
    (names of dims for messages, the bound of an integer) is an encoding, `#r1.ty`.
    Rank-0 values are `tensor<f32>`, so that every op has one kind of operand.

    Attributes of functions:
    - `r1.entry = "loss"`: the entry's name within its stage;
    - on arguments `r1.name = "x.id"`: the batch leaf; `r1.rows`: the leading dim counts rows
      of the global batch, so the value may be split over micro-batches and ranks;
    - on results `r1.name = "loss"`: the output's name, `"grad:PATH"` a gradient; `r1.of_grad`: made of what r1.grad gave.
  }];
  let useDefaultAttributePrinterParser = 1;
  let useDefaultTypePrinterParser = 1;
  let hasConstantMaterializer = 1;
  let dependentDialects = ["mlir::arith::ArithDialect", "mlir::func::FuncDialect",
                           "mlir::math::MathDialect"];
}

class R1_Attr<string name, string attrMnemonic> : AttrDef<R1_Dialect, name> {
  let mnemonic = attrMnemonic;
}

def R1_TyAttr : R1_Attr<"Ty", "ty"> {
  let summary = "names of a tensor's dims, and the bound of its integers";
  let description = [{
    The encoding of a tensor: `dims` names each axis as its scope calls it (messages only;
    no pass decides by a name), `bound = N > 0` says that integer values lie in 0..N.

    Example: `tensor<32x128xi32, #r1.ty<dims = ["B", "T"], bound = 512>>`
  }];
  let parameters = (ins OptionalArrayRefParameter<"::mlir::StringAttr">:$dims,
                        DefaultValuedParameter<"int64_t", "0">:$bound);
  let assemblyFormat = "`<` `dims` `=` `[` (`]`) : ($dims^ `]`)? (`,` `bound` `=` $bound^)? `>`";
}

def R1_ReduceKind : I32EnumAttr<"ReduceKind", "how values combine", [
    I32EnumAttrCase<"sum", 0>, I32EnumAttrCase<"max", 1>, I32EnumAttrCase<"min", 2>,
    I32EnumAttrCase<"any", 3>, I32EnumAttrCase<"all", 4>]> {
  let cppNamespace = "::r1::ir";
  let genSpecializedAttr = 0;
}
def R1_ReduceKindAttr : EnumAttr<R1_Dialect, R1_ReduceKind, "reduce_kind"> {
  let assemblyFormat = "$value";
}

class R1_Type<string name, string typeMnemonic> : TypeDef<R1_Dialect, name> {
  let mnemonic = typeMnemonic;
}
def R1_ArtifactType : R1_Type<"Artifact", "artifact"> {
  let summary = "what a stage yields: corpus, tokenizer, model or metrics";
  let description = [{ Example: `!r1.artifact<"model">` }];
  let parameters = (ins StringRefParameter<"corpus, tokenizer, model or metrics">:$kind);
  let assemblyFormat = "`<` $kind `>`";
}
#endif
