//===- TestRules.h - what the tests of rules share -------------------------===//
#ifndef R1_TEST_RUNTIME_TEXT_TESTRULES_H
#define R1_TEST_RUNTIME_TEXT_TESTRULES_H
#include "runtime/text/Rules.h"
#include <fstream>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

/// A rule with the library's defaults (expected/rules.json, which test/stdlib/rules.r1 compares with
/// stdlib/rules.r1), changed by `params`.
inline nlohmann::json ruleWith(const std::string &name,
                               const nlohmann::json &params = nlohmann::json::object()) {
  static const nlohmann::json all = [] {
    std::ifstream in(R1_EXPECTED "/rules.json");
    return nlohmann::json::parse(in);
  }();
  nlohmann::json rule = all.at(name);
  rule.update(params);
  return rule;
}

/// The verdict of rules on a text, and the text afterwards.
struct Outcome {
  r1rt::text::Verdict verdict;
  std::string text;

  std::string reason() const { return verdict.reason; }
  nlohmann::json evidence() const {
    return verdict.evidence.empty() ? nlohmann::json() : nlohmann::json::parse(verdict.evidence);
  }
};

inline Outcome judge(const nlohmann::json &rules, std::string text) {
  auto set = r1rt::text::RuleSet::create(rules.is_array() ? rules : nlohmann::json::array({rules}), "");
  if (!set) {
    ADD_FAILURE() << set.status().message();
    return {};
  }
  r1rt::text::Scratch scratch;
  Outcome out;
  out.verdict = set->apply(text, scratch);
  out.text = std::move(text);
  return out;
}

/// The message of rules that are wrong.
inline std::string messageOf(const nlohmann::json &rules, const std::string &baseDir = "") {
  auto set = r1rt::text::RuleSet::create(rules.is_array() ? rules : nlohmann::json::array({rules}),
                                         baseDir);
  return set ? "no error" : set.status().message();
}

#endif
