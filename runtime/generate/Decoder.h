//===- Decoder.h - logits after the tokens of several rows --------------------===//
//
//   rows of tokens ──begin, append──► Decoder ──step──► logits f32[V], lse of the rows that are done
//
// A row holds at most `context` tokens: T, or the slots of the cache. A row that is full
// goes on with the last half of its tokens, as if it had begun with them. What a row gets depends on its
// tokens only: not on the other rows, on their number, or on the way in which it is computed.
//
// There are two kinds, made by `create` from the programs that the module has:
//
//   decode   inputs x.id, x.pos, x.seg i32[B, 1] and at i32[B], the slot of the row's new token, below S; keys
//            and values of the slots before it are kept between runs. Outputs logits f32[B, V], lse f32[B]
//   prefill  the same for N new tokens [B, N], and last i32[B], the one whose logits are asked for
//   encode   beside these where rows are written for a source: source.id, source.pos, source.seg i32[E, S], laid out as
//            in training (data/Pairs.h), and from, row i32[B]: row row[j] is now written for source from[j]
//   logits   without a cache: x.id, x.pos, x.seg i32[R, T], perhaps last i32[R] -> logits f32[R, V] or
//            f32[R, T, V], perhaps lse f32[R] or f32[R, T]; of an encoder and a decoder also source.id, source.pos,
//            source.seg i32[R, S]
//
// lse is the logarithm of the sum of exponentials of the logits, so logits[id] - lse is the log-probability
// of a token. As an output of the module it has the bits of the training's loss; if the program `logits`
// has none, it is computed here.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_GENERATE_DECODER_H
#define R1RT_GENERATE_DECODER_H
#include "runtime/device/Executor.h"
#include <memory>
#include <span>
#include <vector>

namespace r1rt::generate {

class Decoder {
public:
  struct Options {
    int64_t rows = 1;  // of a decoder without a cache; one with a cache has the B it was compiled for
    int64_t slots = 0; // of a cache: the S it was compiled for
    int32_t filler = 0; // an id for unused places
  };
  /// The executor has the weights, and outlives the decoder.
  static Result<std::unique_ptr<Decoder>> create(Executor &e, const Options &options);
  virtual ~Decoder() = default;

  int64_t rows() const { return int64_t(all.size()); }
  int64_t context() const { return most; }
  int64_t vocab() const { return V; }
  /// S, the tokens of a source at most; 0: rows have none.
  int64_t sourceContext() const { return mostSource; }
  /// Does it keep keys and values?
  virtual bool caches() const = 0;

  /// The row holds these tokens, at least one and at most `context`, and is to be answered. A cache that
  /// begins with the same tokens is used. `source` has 1 to `sourceContext` tokens, none where that is 0.
  Status begin(int64_t row, std::span<const int32_t> tokens, std::span<const int32_t> source = {});
  /// The row is going to be written for this source; what a cache holds of another text is forgotten. Of rows that are
  /// told so together a source is computed once, when the first of them begins.
  Status setSource(int64_t row, std::span<const int32_t> source);
  /// One token more, for the same source; the row is to be answered again.
  Status append(int64_t row, int32_t token);
  /// What `append` makes of the tokens of a row.
  void extend(std::vector<int32_t> &tokens, int32_t token) const;
  /// Nobody waits for the row any more.
  void end(int64_t row) { all[size_t(row)].asked = false; }
  /// How many of `tokens`, written for `source`, need not be computed again in this row.
  int64_t shared(int64_t row, std::span<const int32_t> tokens, std::span<const int32_t> source = {}) const;

  /// One run of a program, which brings rows that are to be answered forward; an error if there are none.
  Status step();
  /// Are the logits after all tokens of the row there?
  bool answered(int64_t row) const { return all[size_t(row)].answered; }
  /// Valid until the row is answered again.
  std::span<const float> logits(int64_t row) const {
    return {answers.data() + size_t(row * V), size_t(V)};
  }
  float lse(int64_t row) const { return sums[size_t(row)]; }
  std::span<const int32_t> tokens(int64_t row) const { return all[size_t(row)].tokens; }

protected:
  struct Row {
    std::vector<int32_t> tokens, source;
    bool encoded = false;        // do the caches hold what is computed from `source`?
    std::vector<int32_t> cached; // those whose keys and values lie in the slots 0, 1, …
    size_t computed = 0;         // of `tokens`: how many of them
    bool asked = false, answered = false;
    size_t pending() const { return asked ? tokens.size() - computed : 0; }
  };

  explicit Decoder(Executor &e, int32_t filler) : exec(e), filler(filler) {}
  void reserve(int64_t rows);
  /// One run; calls `answer` for each row that is done.
  virtual Status run() = 0;
  /// `lse` may be null.
  Status answer(Row &row, const float *logits, const float *lse);

  Executor &exec;
  const int32_t filler;
  std::vector<Row> all;
  int64_t most = 0, mostSource = 0, V = 0;

private:
  Status hold(int64_t row, std::span<const int32_t> tokens);

  std::vector<float> answers, sums;
};

} // namespace r1rt::generate
#endif
