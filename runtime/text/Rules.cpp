#include "runtime/text/Rules.h"
#include "runtime/text/Rule.h"
#include <algorithm>
#include <limits>

namespace r1rt::text {

using nlohmann::json;

Scratch::Scratch() : impl(std::make_unique<Impl>()) {}
Scratch::~Scratch() = default;
Scratch::Scratch(Scratch &&) noexcept = default;
Scratch &Scratch::operator=(Scratch &&) noexcept = default;

namespace {

struct Maker {
  const char *name;
  RulePtr (*make)(Params &);
};
constexpr Maker makers[] = {
    {"normalise", makeNormalise}, {"gopher_quality", makeGopherQuality},
    {"gopher_repetition", makeGopherRepetition},
    {"c4", makeC4},               {"fineweb", makeFineWeb},
    {"pattern", makePattern},     {"blacklist", makeBlacklist},
    {"language", makeLanguage},   {"noise", makeNoise}};

/// Parameters that may name a file.
constexpr const char *fileParameters[] = {"lexicon", "file"};

Result<const Maker *> makerOf(const json &rule, size_t place) {
  const std::string where = "rule " + std::to_string(place);
  std::vector<std::string> names;
  for (const Maker &m : makers)
    names.push_back(m.name);
  if (!rule.is_object() || !rule.contains("rule") || !rule["rule"].is_string())
    return Status::error(where + " is not a rule; expected what a function like c4() or pattern(...) gives",
                         ExitClass::program);
  for (const Maker &m : makers)
    if (rule["rule"] == m.name)
      return &m;
  return Status::error(where + ": there is no rule \"" + rule["rule"].get<std::string>() +
                           "\", expected " + listed(names),
                       ExitClass::program);
}

Status checkList(const json &rules) {
  if (rules.is_array())
    return Status::ok();
  return Status::error("the rules are not a list; a single rule is written in brackets, too: [c4()]",
                       ExitClass::program);
}

} // namespace

Result<RuleSet> RuleSet::create(const json &rules, const std::string &baseDir) {
  R1RT_TRY(checkList(rules));
  RuleSet set;
  for (size_t i = 0; i < rules.size(); ++i) {
    R1RT_ASSIGN(const Maker *maker, makerOf(rules[i], i + 1));
    Params params(rules[i], "rule " + std::to_string(i + 1) + " (" + maker->name + ")", baseDir);
    RulePtr rule = maker->make(params);
    R1RT_TRY(params.finish());
    rule->name = maker->name;
    set.list.push_back(std::move(rule));
  }
  return set;
}

Result<std::vector<std::string>> RuleSet::files(const json &rules, const std::string &baseDir) {
  R1RT_TRY(checkList(rules));
  std::vector<std::string> paths;
  for (const json &rule : rules)
    for (const char *name : fileParameters)
      if (rule.is_object() && rule.contains(name) && rule[name].is_string())
        paths.push_back(Params(rule, "", baseDir).resolve(rule[name].get<std::string>()));
  std::sort(paths.begin(), paths.end());
  paths.erase(std::unique(paths.begin(), paths.end()), paths.end());
  return paths;
}

Verdict RuleSet::apply(std::string &text, Scratch &scratch) const {
  auto written = [](const Evidence &e) {
    return e.dump(-1, ' ', false, Evidence::error_handler_t::replace);
  };
  if (text.size() > std::numeric_limits<uint32_t>::max())
    return {Verdict::drop, "size", "too_long",
            written({{"bytes", text.size()}, {"max_bytes", std::numeric_limits<uint32_t>::max()}})};
  Scratch::Impl &s = *scratch;
  s.analysis.reset(text);
  Verdict verdict;
  Evidence changes; // null, or a list
  for (const auto &rule : list) {
    Finding found = rule->apply(text, s);
    if (found.kind == Verdict::keep)
      continue;
    verdict.kind = found.kind;
    verdict.rule = rule->name;
    verdict.reason = found.reason;
    if (found.kind == Verdict::drop) {
      if (!changes.empty())
        found.evidence["changes"] = std::move(changes);
      verdict.evidence = written(found.evidence);
      return verdict;
    }
    s.analysis.reset(text);
    Evidence change = {{"rule", rule->name}, {"reason", found.reason}};
    change.update(found.evidence);
    changes.push_back(std::move(change));
  }
  if (verdict.kind == Verdict::changed)
    verdict.evidence = written({{"changes", std::move(changes)}});
  return verdict;
}

} // namespace r1rt::text
