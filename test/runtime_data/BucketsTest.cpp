#include "runtime/data/Buckets.h"
#include "runtime/data/Label.h"
#include "runtime/state/Files.h"
#include <filesystem>
#include <gtest/gtest.h>
#include <numeric>
#include <set>
#include <unistd.h>

using namespace r1rt;
using nlohmann::json;
using I = std::vector<int32_t>;

namespace {

/// Rows of so many letters each, padded to buckets.
PackedPtr rowsOf(const std::vector<int> &letters, I buckets) {
  auto data = std::make_shared<PackedData>();
  data->seq = buckets.back();
  data->tokenizer = bytesTokenizer();
  auto rows = DocumentRows::create(data, {{"buckets", buckets}}, /*targets=*/true);
  EXPECT_TRUE(rows) << rows.status().message();
  for (int n : letters)
    EXPECT_TRUE(rows->add(std::string(size_t(n), 'a')));
  return data;
}

/// 100 rows: 50 of 1 to 4 tokens, 30 of 5 to 8, 20 of 9 to 16; end of text is the first.
PackedPtr hundred() {
  std::vector<int> letters;
  for (int i = 0; i < 100; ++i)
    letters.push_back(i % 10 < 5 ? i % 4 : i % 10 < 8 ? 4 + i % 4 : 8 + i % 8);
  return rowsOf(letters, {4, 8, 16});
}

} // namespace

TEST(Buckets, EachRowGoesToTheShortestThatHoldsIt) {
  auto d = rowsOf({0, 3, 4, 7, 8, 15, 40}, {4, 8, 16}); // and end of text
  std::vector<size_t> found;
  for (uint32_t r = 0; r < d->rows(); ++r)
    found.push_back(d->bucketOf(r));
  EXPECT_EQ(found, (std::vector<size_t>{0, 0, 1, 1, 2, 2, 2}));
  EXPECT_EQ(d->truncated, 1u);
  // 1 + 4 of 8, 5 + 8 of 16, 9 + 16 + 16 of 48 places.
  EXPECT_DOUBLE_EQ(d->padding(), 1 - 59.0 / 72);
  EXPECT_EQ(d->shape()["buckets"].dump(), R"([{"len":4,"padding":0.375,"rows":2,"tokens":5},)"
                                          R"({"len":8,"padding":0.1875,"rows":2,"tokens":13},)"
                                          R"({"len":16,"padding":0.14583333333333337,"rows":3,"tokens":41}])");
  EXPECT_EQ(d->shapeText(), "7 rows of 4, 8 or 16 tokens, 18.1 % padding (without buckets 47.3 %; 4: 2 rows 37.5 %, "
                            "8: 2 rows 18.8 %, 16: 3 rows 14.6 %); 1 document cut (25 tokens)");
  // A row in its bucket: as in the longest, without the rest.
  I id(4), full(16);
  d->fill(1, id.data(), nullptr, nullptr, nullptr, nullptr, 0, 4);
  d->fill(1, full.data(), nullptr, nullptr, nullptr, nullptr);
  EXPECT_EQ(id, (I{256, 'a', 'a', 'a'}));
  EXPECT_EQ(full, (I{256, 'a', 'a', 'a', 257, 257, 257, 257, 257, 257, 257, 257, 257, 257, 257, 257}));
}

TEST(Buckets, LengthsAscendToLen) {
  for (I lengths : {I{}, I{4, 4, 8}, I{8, 4}, I{0, 8}, I{4, 16}}) {
    auto data = std::make_shared<PackedData>();
    data->seq = 8;
    data->tokenizer = bytesTokenizer();
    auto rows = DocumentRows::create(data, {{"buckets", lengths}}, true);
    ASSERT_FALSE(rows);
    EXPECT_EQ(rows.status().message(), "`buckets` are lengths from 1 on, each above the one before, and the last is "
                                       "`len`, 8; this is " + json(lengths).dump());
  }
}

// Whatever the rows and the batch: after e epochs a bucket of r rows has given floor(e r / batch) batches, and
// n epochs of its places are n times its rows.
TEST(BatchOrder, EachEpochMeetsEveryRowOnce) {
  auto d = hundred();
  for (int64_t batch : {1, 4, 7, 32, 150}) {
    BatchOrder order(*d, batch, 5, "m");
    const uint64_t epochs = 30;
    std::map<size_t, std::set<uint64_t>> firsts;
    std::map<size_t, uint64_t> inBucket;
    for (uint32_t r = 0; r < 100; ++r)
      ++inBucket[d->bucketOf(r)];
    uint64_t index = 0;
    for (uint64_t e = 1; e <= epochs; ++e) {
      uint64_t all = 0;
      for (auto [b, rows] : inBucket)
        all += e * rows / uint64_t(batch);
      for (; index < all; ++index) {
        BatchOrder::Batch x = order.batch(index);
        EXPECT_EQ(x.first % uint64_t(batch), 0u);
        EXPECT_TRUE(firsts[x.bucket].insert(x.first).second);
      }
      for (auto [b, rows] : inBucket) // the first ones, without a gap
        EXPECT_EQ(firsts[b].size(), e * rows / uint64_t(batch)) << "bucket " << b << ", epoch " << e;
      for (auto &[b, f] : firsts)
        EXPECT_TRUE(f.empty() || *f.rbegin() == (f.size() - 1) * uint64_t(batch));
    }
    for (auto [b, rows] : inBucket)
      for (uint64_t e = 0; e < 3; ++e) {
        std::set<uint32_t> seen;
        for (uint64_t place = e * rows; place < (e + 1) * rows; ++place) {
          uint32_t row = order.row(b, place);
          EXPECT_EQ(d->bucketOf(row), b);
          seen.insert(row);
        }
        EXPECT_EQ(seen.size(), rows);
      }
  }
}

TEST(BatchOrder, IsAFunctionOfPlaceSeedAndStage) {
  auto d = hundred();
  auto list = [&](BatchOrder &order, bool backwards) {
    std::vector<std::pair<size_t, uint64_t>> out(60);
    for (size_t i = 0; i < out.size(); ++i) {
      size_t at = backwards ? out.size() - 1 - i : i;
      auto b = order.batch(at);
      out[at] = {b.bucket, b.first};
    }
    return out;
  };
  BatchOrder a(*d, 8, 5, "m"), again(*d, 8, 5, "m"), seed(*d, 8, 6, "m"), stage(*d, 8, 5, "n");
  auto first = list(a, false);
  EXPECT_EQ(first, list(again, true)); // so a resumed run goes on with the same batches
  EXPECT_NE(first, list(seed, false));
  EXPECT_NE(first, list(stage, false));
  EXPECT_NE(a.row(0, 3) * 10000 + a.row(0, 4) * 100 + a.row(0, 5),
            seed.row(0, 3) * 10000 + seed.row(0, 4) * 100 + seed.row(0, 5));
  // Batches are not sorted by bucket.
  EXPECT_FALSE(std::is_sorted(first.begin(), first.begin() + 11,
                              [](auto &x, auto &y) { return x.first < y.first; }));
}

// Rows of one length keep the order that they had before there were buckets.
TEST(BatchOrder, OneBucketIsRowOrder) {
  auto d = rowsOf({1, 2, 3, 1, 2, 3, 1}, {4});
  BatchOrder order(*d, 3, 9, "stage");
  RowOrder rows(7, 9, "stage");
  for (uint64_t i = 0; i < 20; ++i) {
    auto b = order.batch(i);
    EXPECT_EQ(b.bucket, 0u);
    EXPECT_EQ(b.first, i * 3);
    for (uint64_t k = 0; k < 3; ++k)
      EXPECT_EQ(order.row(0, b.first + k), rows.row(i * 3 + k));
  }
}

TEST(BatchOrder, EmptyBucketsGiveNothing) {
  auto d = rowsOf({12, 13, 14, 1}, {4, 8, 16});
  BatchOrder order(*d, 2, 1, "m");
  std::map<size_t, int> given;
  for (uint64_t i = 0; i < 40; ++i) // 20 epochs of 4 rows
    ++given[order.batch(i).bucket];
  EXPECT_EQ(given, (std::map<size_t, int>{{0, 10}, {2, 30}}));
}

TEST(BatchOrder, BucketsOfFewRowsAreNamed) {
  auto d = rowsOf({12, 13, 14, 1}, {4, 8, 16});
  EXPECT_EQ(fewRows(*d, 1), "");
  EXPECT_EQ(fewRows(*d, 2), "the bucket of 4 tokens has 1 row, fewer than a batch of 2: a batch of them comes once in 2 "
                            "epochs and has rows more than once");
}
