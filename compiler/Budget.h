// How a training step is cut so that it fits its memory: micro-batches, and blocks that are computed
// again (shard/Recompute.h). Knows no IR: whoever asks measures what it proposes.
#pragma once
#include "compiler/diag/Diag.h"
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace r1 {

/// device(remat = …): may blocks be computed again?
enum class Remat : uint8_t {
  automatic, // where the step does not fit otherwise, or only at a higher price
  never,
  always,    // all blocks
};

struct Cut {
  int64_t micro = 1; // micro-batches
  int64_t again = 0; // blocks computed again
  bool operator<(const Cut &o) const { return micro != o.micro ? micro < o.micro : again < o.again; }
  bool operator==(const Cut &) const = default;
};

/// A step that is cut in one way.
struct Measured {
  Cut cut;
  int64_t blocks = 0;                      // that could be computed again
  uint64_t total = 0, activations = 0;     // the arena, and of it what changes with the cut
  uint64_t workspace = 0;                  // beside it
  uint64_t bytes = 0, flops = 0;           // of a step: what its launches move and multiply at least

  uint64_t needed() const { return total + workspace; }
  uint64_t fixed() const { return total - activations; }
  /// What a step takes, in operations: a byte moved takes as long as `balance` of them. Today's CPUs and
  /// GPUs both do 15 to 20 operations in f32 in the time of a byte.
  double price() const { return double(flops) + balance * double(bytes); }
  static constexpr double balance = 16;
};

struct BudgetRequest {
  uint64_t limit = 0; // bytes; 0: none
  int64_t rows = 1;   // of a batch: the most micro-batches
  int64_t micro = 0;  // exactly so many; 0: as the search finds
  Remat remat = Remat::automatic;
  int64_t whole = 0; // > 0: so many rows of programs that run in one piece
  bool trains = true;
};

struct BudgetAnswer {
  Measured chosen; // if nothing fits, what needs the least
  Measured whole;  // the step in one piece, nothing computed again
  bool fits = false;
};

/// The cheapest cut that fits. Micro-batches come first: they add no arithmetic, each only a pass over the
/// weights. Where nothing fits that way, or where those passes cost clearly more than computing again would (rows
/// of few tokens, many weights), blocks are computed again: as few as fit. `measure` plans a step; no value: it has
/// reported an error, and so does this. It is called 17 times at most, never twice for a cut.
std::optional<BudgetAnswer> searchBudget(const BudgetRequest &request,
                                         const std::function<std::optional<Measured>(const Cut &)> &measure);

/// "memory: 1 row x 32 micro-batches, 11 of 12 blocks computed again (+31 % arithmetic): 812.0 MB -> 304.0 MB
/// of 320.0 MB"; "" if the step is in one piece. `rows` of a micro-batch.
std::string budgetText(const BudgetAnswer &answer, int64_t rows, uint64_t limit);

/// Fills in E0501 of a step that does not fit; `d` has a title, of whom. `parameters` are with gradients and optimiser.
void explainTooLarge(Diag &d, const BudgetAnswer &answer, const BudgetRequest &request, uint64_t parameters,
                     uint64_t caches, uint64_t inputs);

} // namespace r1
