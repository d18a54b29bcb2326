// The published rules against datatrove's verdicts (expected/edges.jsonl, written by
// test/bench/data_rules.py --write) on texts just below, at and just above each threshold.
#include "TestRules.h"
#include <map>
#include <set>

using namespace r1rt::text;
using nlohmann::json;

TEST(Datatrove, VerdictsReasonsAndTextsAreEqual) {
  std::ifstream in(R1_EXPECTED "/edges.jsonl");
  std::string line;
  ASSERT_TRUE(std::getline(in, line)) << "no expected verdicts";
  ASSERT_TRUE(json::parse(line).contains("datatrove"));
  std::map<std::string, RuleSet> sets;
  Scratch scratch; // one for all: what a text leaves in it must not show in the next
  std::set<std::string> reasons;
  int count = 0;
  while (std::getline(in, line)) {
    const json v = json::parse(line);
    const json rule = ruleWith(v["rule"], v["params"]);
    auto at = sets.find(rule.dump());
    if (at == sets.end()) {
      auto set = RuleSet::create(json::array({rule}), "");
      ASSERT_TRUE(set) << set.status().message();
      at = sets.emplace(rule.dump(), set.take()).first;
    }
    const std::string before = v["text"];
    std::string text = before;
    Verdict mine = at->second.apply(text, scratch);
    const bool keep = mine.kind != Verdict::drop;
    EXPECT_EQ(keep, v["keep"].get<bool>()) << v << "\nours: " << mine.reason << " " << mine.evidence;
    if (keep) {
      EXPECT_EQ(text, v.value("after", before)) << v;
      EXPECT_EQ(mine.kind == Verdict::changed, v.contains("after")) << v;
    } else {
      EXPECT_EQ(mine.reason, v["reason"].get<std::string>()) << v << "\nours: " << mine.evidence;
      EXPECT_EQ(mine.rule, v["rule"].get<std::string>());
      EXPECT_TRUE(json::parse(mine.evidence).is_object());
    }
    reasons.insert(v["reason"]);
    ++count;
  }
  EXPECT_GE(count, 500);
  EXPECT_EQ(reasons.size(), 32u); // all that the four filters have, and "" for kept
}
