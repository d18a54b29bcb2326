//===- Buckets.h - rows of several lengths: programs and the order of batches -===//
//
// `pad` and `label` may name several lengths, "buckets". A row is padded to the shortest that holds it, and a
// batch has rows of one bucket. A module has programs of each entry for each bucket: NAME@64 for rows of 64
// tokens, NAME for the longest. They share weights, states and memory, since one runs at a time.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_DATA_BUCKETS_H
#define R1RT_DATA_BUCKETS_H
#include "runtime/data/Pack.h"
#include "runtime/device/Executor.h"
#include "runtime/state/Draws.h"

namespace r1rt {

/// The programs of one entry, by bucket, and what fills their inputs.
class BucketPrograms {
public:
  /// Errors: a program is not there, does not fit the data, or takes batches of other rows than the rest.
  static Result<BucketPrograms> create(const Executor &e, const std::string &entry, PackedPtr data);

  size_t size() const { return all.size(); }
  const r1_program &program(size_t bucket) const { return *all[bucket].program; }
  const Batcher &batcher(size_t bucket) const { return all[bucket].batcher; }
  /// Rows of a batch, in each bucket.
  int64_t batch() const { return all[0].batcher.batch(); }

  /// Runs the programs over the rows rowAt(0), …, rowAt(rows - 1), bucket by bucket, and calls
  /// take(program, rows of the batch) after each run. The last batch of a bucket is filled up with masked rows,
  /// which `take` is not told.
  using Take = std::function<Status(const r1_program &, std::span<const uint32_t> rows)>;
  Status run(Executor &e, uint64_t rows, const std::function<uint32_t(uint64_t)> &rowAt, const Take &take) const;

private:
  struct One {
    const r1_program *program;
    Batcher batcher;
  };
  std::vector<One> all;
  PackedPtr data;
};

/// The endless order of batches in training, a function of the rows, (seed, stage) and the number of the
/// batch. The rows of a bucket come in RowOrder's order: each once in an epoch, those left over open its next
/// one. By the end of epoch e a bucket of r rows has given floor(e r / batch) batches; those of an epoch come
/// in an order drawn for it. Without buckets this is RowOrder itself, cut into batches.
class BatchOrder {
public:
  BatchOrder(const PackedData &data, int64_t batch, uint64_t seed, const std::string &stage);

  struct Batch {
    size_t bucket;
    uint64_t first; // the place of its first row in the order of the bucket
  };
  /// Batch `index`, counted from the start of training.
  Batch batch(uint64_t index);
  /// The row at a place in the order of a bucket.
  uint32_t row(size_t bucket, uint64_t place);

private:
  struct Bucket {
    std::vector<uint32_t> rows; // empty where there is one bucket: all of them
    RowOrder order;
    uint64_t count;
  };
  /// Batches that the buckets have given by the end of `epochs` epochs.
  uint64_t given(uint64_t epochs) const;

  std::vector<Bucket> buckets; // those with rows, and their numbers
  std::vector<size_t> numbers;
  std::vector<size_t> slotOf;  // of a bucket's number in `buckets`
  const uint64_t size;         // rows of a batch
  const uint64_t key;
  uint64_t epoch = ~uint64_t(0), begin = 0; // the epoch that `drawn` is of, and its first batch
  std::vector<uint32_t> drawn;
};

/// What to warn of: buckets of fewer rows than a batch; empty: there are none.
std::string fewRows(const PackedData &data, int64_t batch);

} // namespace r1rt
#endif
