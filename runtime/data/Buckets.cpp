#include "runtime/data/Buckets.h"
#include "runtime/state/Philox.h"
#include <algorithm>

namespace r1rt {

Result<BucketPrograms> BucketPrograms::create(const Executor &e, const std::string &entry, PackedPtr data) {
  BucketPrograms out;
  out.data = data;
  for (size_t b = 0; b < data->bucketCount(); ++b) {
    bool longest = b + 1 == data->bucketCount();
    std::string name = longest ? entry : entry + "@" + std::to_string(data->lengthOf(b));
    const r1_program *program = e.program(name);
    if (!program)
      return Status::error("the compiled module has no program `" + name + "`");
    R1RT_ASSIGN(Batcher batcher, Batcher::create(data, *program, b));
    if (b && batcher.batch() != out.batch())
      return Status::error("program `" + name + "` takes batches of " + std::to_string(batcher.batch()) +
                           " rows, `" + out.all[0].program->name + "` of " + std::to_string(out.batch()));
    out.all.push_back({program, std::move(batcher)});
  }
  return out;
}

Status BucketPrograms::run(Executor &e, uint64_t rows, const std::function<uint32_t(uint64_t)> &rowAt,
                           const Take &take) const {
  std::vector<std::vector<uint32_t>> rowsOf(size());
  for (uint64_t i = 0; i < rows; ++i) {
    uint32_t row = rowAt(i);
    rowsOf[data->bucketOf(row)].push_back(row);
  }
  uint64_t draw = 0; // rows before this batch, those that fill up included
  for (size_t b = 0; b < size(); ++b)
    for (size_t first = 0; first < rowsOf[b].size(); first += size_t(batch()), draw += uint64_t(batch())) {
      auto there = std::span<const uint32_t>(rowsOf[b]).subspan(first);
      there = there.first(std::min(there.size(), size_t(batch())));
      batcher(b).fill(
          e.arena(), [&](int64_t r) { return size_t(r) < there.size() ? there[size_t(r)] : PackedData::noRow; }, draw);
      R1RT_TRY(e.run(program(b)));
      R1RT_TRY(take(program(b), there));
    }
  return Status::ok();
}

BatchOrder::BatchOrder(const PackedData &data, int64_t batch, uint64_t seed, const std::string &stage)
    : slotOf(data.bucketCount()), size(uint64_t(batch)), key(drawKey(seed, stage + ", order of buckets")) {
  if (data.bucketCount() == 1) {
    numbers = {0};
    buckets.push_back({{}, RowOrder(data.rows(), seed, stage), data.rows()});
    return;
  }
  std::vector<std::vector<uint32_t>> rows(data.bucketCount());
  for (uint32_t r = 0; r < data.rows(); ++r)
    rows[data.bucketOf(r)].push_back(r);
  for (size_t b = 0; b < rows.size(); ++b) {
    if (rows[b].empty())
      continue;
    uint32_t count = uint32_t(rows[b].size());
    slotOf[b] = buckets.size();
    numbers.push_back(b);
    RowOrder order(count, seed, stage + "@" + std::to_string(data.lengthOf(b)));
    buckets.push_back({std::move(rows[b]), std::move(order), count});
  }
}

uint64_t BatchOrder::given(uint64_t epochs) const {
  uint64_t n = 0;
  for (const Bucket &b : buckets)
    n += epochs * b.count / size;
  return n;
}

BatchOrder::Batch BatchOrder::batch(uint64_t index) {
  if (buckets.size() == 1)
    return {numbers[0], index * size};
  if (epoch == ~uint64_t(0) || index < begin || index - begin >= drawn.size()) {
    // By the end of so many epochs no more than `index` batches have been given, as rounding goes down.
    uint64_t rows = 0;
    for (const Bucket &b : buckets)
      rows += b.count;
    epoch = index * size / rows;
    while (given(epoch + 1) <= index)
      ++epoch;
    begin = given(epoch);
    drawn = permutation(drawKey(key, epoch), uint32_t(given(epoch + 1) - begin));
  }
  uint64_t at = drawn[index - begin]; // among the batches of the epoch, bucket by bucket
  for (size_t i = 0;; ++i) {
    uint64_t before = epoch * buckets[i].count / size, after = (epoch + 1) * buckets[i].count / size;
    if (at < after - before)
      return {numbers[i], (before + at) * size};
    at -= after - before;
  }
}

std::string fewRows(const PackedData &data, int64_t batch) {
  std::string text;
  if (data.buckets.empty())
    return text;
  for (size_t b = 0; const PackedData::Bucket &x : data.perBucket()) {
    int32_t len = data.lengthOf(b++);
    if (x.rows && x.rows < uint64_t(batch))
      text += (text.empty() ? "the bucket of " : "; the bucket of ") + std::to_string(len) + " tokens has " +
              std::to_string(x.rows) + (x.rows == 1 ? " row" : " rows") + ", fewer than a batch of " + std::to_string(batch) +
              ": a batch of them comes once in " + std::to_string((uint64_t(batch) + x.rows - 1) / x.rows) +
              " epochs and has rows more than once";
  }
  return text;
}

uint32_t BatchOrder::row(size_t bucket, uint64_t place) {
  Bucket &b = buckets[slotOf[bucket]];
  uint32_t at = b.order.row(place);
  return b.rows.empty() ? at : b.rows[at];
}

} // namespace r1rt
