//===- SourceOrder.h - interleaved sources: which row is next ----------------===//
//
// The schedule of an `interleave` (data/Interleave.h): which source a place belongs to is Tijdeman's
// (mixture::Interleave), so that the first n rows under the same shares hold each source's share of n to
// within one row; which of its rows, a permutation that is drawn anew each time the source has been through.
//
// Sources without a weight divide what weights leave equally, within floors and caps. A rule (`adapt`) may
// name other shares at each epoch's end, an epoch being as many rows as all sources have together; it
// sees how well the model does on each source then.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_STAGES_SOURCEORDER_H
#define R1RT_STAGES_SOURCEORDER_H
#include "runtime/data/Pack.h"
#include "runtime/device/Executor.h"
#include "runtime/mixture/Shares.h"
#include "runtime/state/Draws.h"

namespace r1rt {

class SourceOrder {
public:
  /// The "interleave" node that the rows of a tree come from, or null.
  static const nlohmann::json *find(const nlohmann::json &tree);

  /// `node` describes data->sources. Orders are keyed by (seed, stage, source). Impossible shares are
  /// errors of class `program`.
  static Result<std::unique_ptr<SourceOrder>> create(PackedPtr data, const nlohmann::json &node, uint64_t seed,
                                                     const std::string &stage);

  /// The row at a place, counted from the start of training. Places are asked for in order, the last one
  /// perhaps again; some may be left out.
  uint32_t row(uint64_t place);

  /// Of the sources, in the order of data->sources; they add up to 1.
  std::vector<double> shares() const;
  /// From the place `first` on, none of which has been asked for: shares that add up to 1.
  Status setShares(uint64_t first, const std::vector<double> &shares);
  /// Rows taken of each source so far.
  const std::vector<uint64_t> &taken() const { return used; }

  /// Where the order stands since the shares were last set, for checkpoints.
  nlohmann::json state() const;
  /// Goes back to a state; an error for that of other sources.
  Status restore(const nlohmann::json &state);

  /// Is the batch of `rows` places from `first` on the first to reach into an epoch? Not the very first.
  bool beginsEpoch(uint64_t first, int64_t rows) const;
  /// Is there a rule for the shares?
  bool adapts() const { return rule >= 0; }
  /// The mean loss (nats for each target) of each source by the program "eval": over `batches` batches of
  /// rows at most, drawn once for the whole training, so that epochs can be compared.
  Result<std::vector<double>> losses(Executor &e, int64_t batch,
                                     const std::function<bool(double progress)> &goOn = {}) const;
  /// The shares that the rule gives for these losses, within floors and caps.
  Result<std::vector<double>> adapted(const std::vector<double> &losses, const DataContext &ctx) const;
  static constexpr int64_t batches = 32;

  /// {NAME: values[i]}
  nlohmann::json named(const std::vector<double> &values) const;
  /// "new 80.0 %, old 20.0 %"
  std::string text() const;

private:
  SourceOrder() = default;
  void advance(uint64_t place); // counts the places before it

  PackedPtr data;
  std::vector<mixture::Domain> domains; // weights, floors, caps; of the sources
  std::vector<mixture::Choice> samples; // rows whose loss is measured, by rank
  std::vector<RowOrder> orders;
  int64_t rule = -1; // DataContext::rowFns
  uint64_t start = 0, next = 0; // places: where the shares were set, which comes next
  std::vector<uint64_t> units;  // shares, in parts of `whole`
  std::vector<uint64_t> usedAtStart, used;
  std::optional<mixture::Interleave> schedule;
  size_t last = 0; // the source of the place before `next`
  static constexpr uint64_t whole = 1'000'000'000; // shares in decimals are whole numbers of it
};

} // namespace r1rt
#endif
