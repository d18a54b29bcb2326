//===- Bench.cpp - text-bench: what test/bench/data_rules.py compares ------===//
//
//   text-bench words TEXTS              the words of each text, as a JSON list, one text a line
//   text-bench apply RULES TEXTS        {"kind","rule","reason","evidence","text"} for each text
//   text-bench speed RULES TEXTS SECONDS   {"bytes","seconds","result"}: CPU time, one thread; texts kept
//   text-bench words-speed TEXTS SECONDS   the same for splitting into words alone
//
// TEXTS is a file of JSON texts, one a line; RULES a file with a list of rules.
//
//===----------------------------------------------------------------------===//
#include "runtime/text/Rules.h"
#include "runtime/text/Words.h"
#include <ctime>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

using namespace r1rt::text;
using nlohmann::json;

namespace {

std::vector<std::string> readTexts(const char *path) {
  std::vector<std::string> texts;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);)
    texts.push_back(json::parse(line).get<std::string>());
  return texts;
}

/// Calls fn for each text, again and again until the time is over; prints bytes and seconds
/// of this process.
template <class Fn> void measure(const std::vector<std::string> &texts, double limit, Fn fn) {
  const std::clock_t begin = std::clock();
  auto seconds = [&] { return double(std::clock() - begin) / CLOCKS_PER_SEC; };
  uint64_t bytes = 0, result = 0;
  do {
    for (const std::string &t : texts) {
      result += fn(t);
      bytes += t.size();
    }
  } while (seconds() < limit);
  std::cout << json{{"bytes", bytes}, {"seconds", seconds()}, {"result", result}} << "\n";
}

} // namespace

int main(int argc, char **argv) {
  const std::string what = argc > 2 ? argv[1] : "";
  if (what == "words" || what == "words-speed") {
    std::vector<std::string> texts = readTexts(argv[2]);
    WordSplitter splitter;
    Words words;
    if (what == "words-speed") {
      measure(texts, std::stod(argv[3]), [&](const std::string &t) {
        splitter.split(t, words);
        return words.size();
      });
      return 0;
    }
    for (const std::string &t : texts) {
      splitter.split(t, words);
      json list = json::array();
      for (const Word &w : words.list)
        list.push_back(w.of(t));
      std::cout << list << "\n";
    }
    return 0;
  }
  if (argc < 4) {
    std::cerr << "usage: see the head of Bench.cpp\n";
    return 2;
  }
  std::ifstream in(argv[2]);
  auto rules = RuleSet::create(json::parse(in), "");
  if (!rules) {
    std::cerr << rules.status().message() << "\n";
    return 1;
  }
  std::vector<std::string> texts = readTexts(argv[3]);
  Scratch scratch;
  static const char *kinds[] = {"keep", "changed", "drop"};
  if (what == "speed") {
    std::string text;
    measure(texts, std::stod(argv[4]), [&](const std::string &t) {
      text = t;
      return rules->apply(text, scratch).kind != Verdict::drop;
    });
    return 0;
  }
  for (std::string &t : texts) {
    Verdict v = rules->apply(t, scratch);
    std::cout << json{{"kind", kinds[v.kind]}, {"rule", v.rule},         {"reason", v.reason},
                      {"text", t},             {"evidence", v.evidence}} << "\n";
  }
  return 0;
}
