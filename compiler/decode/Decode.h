// decode: programs that produce the tokens of a text one after the other, derived from the model's
// forward pass. Reads and leaves r1.
//
// The entry `logits` computes every position of rows [1, T]. A model is causal if the positions of a row
// meet in attention only, and there a query sees no key behind it. Then what an earlier position has
// computed stays right, and a new one needs of the earlier ones only their keys and values, which lie in
// caches. This phase proves that and writes
//
//   @decode    x.id, x.pos, x.seg i32 [B, 1], at i32 [B]                   -> logits f32 [B, V], lse f32 [B]
//   @prefill   x.id, x.pos, x.seg i32 [B, N], at i32 [B], last i32 [B]     -> the same of position last[b]
//
// The new positions of row b get the slots at[b], at[b] + 1, …; all slots before them are valid. No slot
// behind a position has any influence on it, so the host may give a row to another text at any time, by
// starting at slot 0 again. `lse` is the logsumexp of the logits: logits[id] - lse is the log-probability
// of a token, the one of the forward pass to the bit.
//
// A model that writes for a source (source.id, source.pos, source.seg [1, S]) computes what depends on the source alone,
// as an encoder and the keys and values of attention to it, once for each text:
//
//   @encode    source.id, source.pos, source.seg i32 [E, S], from, row i32 [B]
//
// Row row[j] is then written for source from[j] of these; the same pair may come again, and what no pair names stays as it
// is. `decode` and `prefill` read what their rows are written for, and take no source.
#pragma once
#include "mlir/IR/BuiltinOps.h"
#include <cstdint>

namespace r1 {

struct DecodeOptions {
  int64_t rows = 1;    // B: texts at once
  int64_t slots = 0;   // positions of a text that are kept; 0: the T of `logits`
  int64_t chunk = 64;  // N: new positions of one run of `prefill`
  int64_t sources = 1; // E: sources of one run of `encode`
};

/// Adds @decode and @prefill, and @encode where the model has a source, to a module with the entry `logits`. Caches
/// are arguments and results of one role, which the programs share: "cache:k0" of positions, [B, slots + N - 1, …], so
/// that a chunk's unused end has slots; "cache:source.k0" of what `encode` gives, [B, …] as in the forward pass.
/// `at` is below `slots`. On failure an error (E0313: not causal) was emitted at the op's location.
mlir::LogicalResult deriveDecoding(mlir::ModuleOp module, const DecodeOptions &options = {});

/// --r1-decode{rows=B slots=S chunk=N sources=E}
void registerDecodePasses();

} // namespace r1
