#include "runtime/stages/SourceOrder.h"
#include <cmath>
#include <gtest/gtest.h>
#include <map>
#include <set>

using namespace r1rt;
using nlohmann::json;

namespace {

/// Sources a, b, … of so many rows; only the order looks at them.
PackedPtr rowsOf(std::vector<uint32_t> rows) {
  auto d = std::make_shared<PackedData>();
  uint32_t first = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    d->sources.push_back({std::string(1, char('a' + i)), first, rows[i]});
    first += rows[i];
  }
  d->firstPiece.assign(first + 1, 0);
  return d;
}

std::unique_ptr<SourceOrder> orderOf(PackedPtr data, json node, uint64_t seed = 3) {
  node["op"] = "interleave";
  auto o = SourceOrder::create(std::move(data), node, seed, "net");
  EXPECT_TRUE(o) << o.status().message();
  return o ? std::move(*o) : nullptr;
}

size_t sourceOf(const PackedData &d, uint32_t row) {
  size_t i = 0;
  while (row >= d.sources[i].first + d.sources[i].rows)
    ++i;
  return i;
}

TEST(SourceOrder, EveryPrefixIsWithinOneRowOfTheShares) {
  PackedPtr data = rowsOf({7, 100, 31, 5});
  const std::map<std::string, double> weights = {{"a", 0.07}, {"b", 0.61}, {"c", 0.12}};
  auto o = orderOf(data, {{"weight", weights}});
  const double share[] = {0.07, 0.61, 0.12, 0.2};
  std::vector<uint64_t> n(4);
  for (uint64_t place = 0; place < 20000; ++place) {
    ++n[sourceOf(*data, o->row(place))];
    for (size_t i = 0; i < 4; ++i)
      ASSERT_LT(std::abs(double(n[i]) - share[i] * double(place + 1)), 1) << "source " << i << " after " << place;
  }
  EXPECT_EQ(o->taken(), n);
  EXPECT_EQ(n, (std::vector<uint64_t>{1400, 12200, 2400, 4000})); // whole multiples are met exactly
}

TEST(SourceOrder, SharesWithoutWeightsAreEqualWithinBounds) {
  auto shares = [](json node) { return orderOf(rowsOf({10, 20, 30}), std::move(node))->shares(); };
  for (double s : shares(json::object()))
    EXPECT_NEAR(s, 1.0 / 3, 1e-9);
  EXPECT_EQ(shares({{"weight", {{"a", 0.5}}}}), (std::vector<double>{0.5, 0.25, 0.25}));
  EXPECT_EQ(shares({{"cap", {{"a", 0.1}}}}), (std::vector<double>{0.1, 0.45, 0.45}));
  EXPECT_EQ(shares({{"floor", {{"c", 0.6}}}}), (std::vector<double>{0.2, 0.2, 0.6}));
  EXPECT_EQ(shares({{"weight", {{"a", 0.0}}}}), (std::vector<double>{0, 0.5, 0.5}));
  auto wrong = SourceOrder::create(rowsOf({1, 1}), {{"op", "interleave"}, {"weight", {{"a", 0.8}, {"b", 0.4}}}}, 0, "net");
  ASSERT_FALSE(wrong);
  EXPECT_NE(wrong.status().message().find("add up to 120 %"), std::string::npos);
}

TEST(SourceOrder, GoesThroughEachSourceInAnOrderOfItsOwn) {
  PackedPtr data = rowsOf({7, 40});
  auto o = orderOf(data, {{"weight", {{"a", 0.5}}}});
  std::vector<std::vector<uint32_t>> seen(2);
  for (uint64_t place = 0; place < 560; ++place) {
    uint32_t row = o->row(place);
    EXPECT_EQ(o->row(place), row); // asked for again
    size_t s = sourceOf(*data, row);
    seen[s].push_back(row - data->sources[s].first);
  }
  for (size_t s = 0; s < 2; ++s) {
    const uint32_t rows = data->sources[s].rows;
    ASSERT_EQ(seen[s].size(), 280u);
    std::set<std::vector<uint32_t>> orders;
    for (auto at = seen[s].begin(); at != seen[s].end(); at += rows) {
      orders.emplace(at, at + rows);
      EXPECT_EQ(std::set<uint32_t>(at, at + rows).size(), rows) << "each row once before any twice";
    }
    EXPECT_EQ(orders.size(), 280 / rows) << "drawn anew each time";
  }
  // Another seed, other rows; the same schedule of sources.
  auto other = orderOf(data, {{"weight", {{"a", 0.5}}}}, 4);
  auto again = orderOf(data, {{"weight", {{"a", 0.5}}}});
  int same = 0;
  for (uint64_t place = 0; place < 560; ++place) {
    uint32_t x = again->row(place), y = other->row(place);
    EXPECT_EQ(sourceOf(*data, x), sourceOf(*data, y));
    same += x == y;
  }
  EXPECT_LT(same, 120);
}

/// Shares that change at 64 and 160, told again from a checkpoint at every batch.
TEST(SourceOrder, GoesOnFromAnyCheckpoint) {
  PackedPtr data = rowsOf({9, 14, 50});
  const json node = {{"weight", {{"a", 0.3}}}};
  const std::map<uint64_t, std::vector<double>> changes = {{64, {0.1, 0.7, 0.2}}, {160, {0.0, 0.25, 0.75}}};
  std::vector<uint32_t> whole;
  std::map<uint64_t, std::string> states;
  auto run = [&](SourceOrder &o, uint64_t from, auto each) {
    for (uint64_t first = from; first < 320; first += 16) {
      if (auto c = changes.find(first); c != changes.end())
        ASSERT_TRUE(o.setShares(first, c->second));
      for (uint64_t place = first; place < first + 16; ++place)
        each(place, o.row(place));
      states[first + 16] = o.state().dump();
    }
  };
  auto o = orderOf(data, node);
  run(*o, 0, [&](uint64_t, uint32_t row) { whole.push_back(row); });
  const auto taken = o->taken();
  const auto kept = states;
  for (auto &[from, state] : kept) {
    auto again = orderOf(data, node);
    ASSERT_TRUE(again->restore(json::parse(state)));
    run(*again, from, [&](uint64_t place, uint32_t row) { EXPECT_EQ(row, whole[place]) << from << " " << place; });
    if (from < 320)
      EXPECT_EQ(again->taken(), taken) << from;
  }
  // After a change, prefixes are counted from there.
  std::vector<int> n(3);
  for (uint64_t place = 64; place < 160; ++place) {
    ++n[sourceOf(*data, whole[place])];
    for (size_t i = 0; i < 3; ++i)
      EXPECT_LT(std::abs(n[i] - changes.at(64)[i] * double(place - 63)), 1);
  }
  auto other = orderOf(rowsOf({9, 14}), json::object());
  EXPECT_FALSE(other->restore(json::parse(kept.at(320))));
  EXPECT_FALSE(other->restore(json()));
  EXPECT_FALSE(other->restore({{"start", "x"}, {"units", {1, 2}}, {"used", {1, 2}}}));
}

TEST(SourceOrder, AnEpochIsAsManyRowsAsThereAre) {
  auto begins = [](uint32_t rows, int64_t batch) {
    auto o = orderOf(rowsOf({rows / 2, rows - rows / 2}), json::object());
    std::vector<uint64_t> steps;
    for (uint64_t step = 0; step < 10; ++step)
      if (o->beginsEpoch(step * uint64_t(batch), batch))
        steps.push_back(step);
    return steps;
  };
  using S = std::vector<uint64_t>;
  EXPECT_EQ(begins(48, 16), (S{3, 6, 9}));          // the first batch of an epoch
  EXPECT_EQ(begins(40, 16), (S{2, 5, 7})); // those that reach into it: places 32 to 47, 80 to 95, 112 to 127
  EXPECT_EQ(begins(10, 16), (S{1, 2, 3, 4, 5, 6, 7, 8, 9}));
  EXPECT_EQ(begins(1000, 16), S{});
}

TEST(SourceOrder, FindsTheInterleaveBelowMasks) {
  json tree = {{"op", "interleave"}, {"sources", json::object()}};
  EXPECT_EQ(SourceOrder::find(tree), &tree);
  json masked = {{"op", "masked"}, {"in", tree}};
  EXPECT_EQ(SourceOrder::find(masked), &masked["in"]);
  EXPECT_EQ(SourceOrder::find({{"op", "pack"}, {"in", tree}}), nullptr);
}

TEST(SourceOrder, AsksTheRule) {
  json answer, asked;
  DataContext ctx;
  ctx.rowFns.push_back([&](const json &seen) -> Result<json> {
    asked = seen;
    if (answer.is_string())
      return Status::error(answer.get<std::string>());
    return answer;
  });
  auto o = orderOf(rowsOf({10, 30}), {{"adapt", {{"row_fn", 0}}}, {"weight", {{"a", 0.4}}}, {"cap", {{"b", 0.8}}}});
  ASSERT_TRUE(o->adapts());
  EXPECT_FALSE(orderOf(rowsOf({1, 1}), {{"adapt", nullptr}})->adapts());
  answer = {{"a", 1}, {"b", 3.0}};
  auto r = o->adapted({2.5, 1.25}, ctx);
  ASSERT_TRUE(r) << r.status().message();
  EXPECT_EQ(*r, (std::vector<double>{0.25, 0.75}));
  EXPECT_EQ(asked, json::parse(R"({"a":{"share":0.4,"loss":2.5,"rows":10},"b":{"share":0.6,"loss":1.25,"rows":30}})"));
  answer = {{"a", 0}, {"b", 5}}; // beyond its cap
  r = o->adapted({1, 1}, ctx);
  ASSERT_TRUE(r);
  EXPECT_NEAR((*r)[1], 0.8, 1e-12);
  auto fails = [&](json what, const char *says) {
    answer = std::move(what);
    auto x = o->adapted({1, 2}, ctx);
    ASSERT_FALSE(x) << says;
    EXPECT_NE(x.status().message().find(says), std::string::npos) << x.status().message();
  };
  fails({{"a", 1}}, "`b` has none");
  fails({{"a", 1}, {"b", -1}}, "that of `b` is none");
  fails({{"a", 1}, {"b", NAN}}, "that of `b` is none");
  fails({{"a", "x"}, {"b", 1}}, "that of `a` is none");
  fails({{"a", 1}, {"b", 1}, {"c", 1}}, "`c` is no source");
  fails(json::array({1, 2}), "`a` has none");
  fails({{"a", 0}, {"b", 0}}, "at least one must be above 0");
  fails("division by zero", "division by zero");
}

} // namespace
