#include "runtime/metrics/Spans.h"
#include <algorithm>
#include <map>

namespace r1rt::metrics {

namespace {

struct Tag {
  char place; // O, B, I
  std::string type;
};

/// The type after the letter. seqeval's two modes differ in the hyphens of "B--X-".
Result<Tag> read(const std::string &tag, size_t at, bool strict) {
  if (tag == "O")
    return Tag{'O', "_"};
  if (tag.empty() || (tag[0] != 'B' && tag[0] != 'I') || (tag.size() > 1 && tag[1] != '-'))
    return Status::error("tag " + std::to_string(at) + " is \"" + tag + "\"; IOB2 has O, B-TYPE and I-TYPE");
  std::string type = tag.substr(std::min<size_t>(tag.size(), 2));
  if (strict) {
    type.erase(0, type.find_first_not_of('-'));
    type.erase(type.find_last_not_of('-') + 1);
  }
  return Tag{tag[0], type.empty() ? "_" : type};
}

} // namespace

Result<std::vector<Span>> spansOf(std::span<const std::string> tags, bool strict) {
  std::vector<Span> found;
  bool open = false;
  for (size_t i = 0; i < tags.size(); ++i) {
    R1RT_ASSIGN(Tag t, read(tags[i], i, strict));
    if (open && t.place == 'I' && t.type == found.back().type) {
      found.back().end = i + 1;
      continue;
    }
    open = t.place == 'B' || (t.place == 'I' && !strict);
    if (open)
      found.push_back({t.type, i, i + 1});
  }
  return found;
}

Result<Measured> spans(std::span<const std::vector<std::string>> truths,
                       std::span<const std::vector<std::string>> predicted, ClassMetric metric, Average average,
                       bool strict) {
  if (truths.size() != predicted.size())
    return Status::error(std::to_string(predicted.size()) + " sequences of predicted tags for " +
                         std::to_string(truths.size()) + " rows; there has to be one for each");
  std::vector<std::vector<Span>> is, found;
  std::map<std::string, uint32_t> types;
  for (size_t d = 0; d < truths.size(); ++d) {
    if (truths[d].size() != predicted[d].size())
      return Status::error("row " + std::to_string(d) + " has " + std::to_string(truths[d].size()) + " tags, and " +
                           std::to_string(predicted[d].size()) + " are predicted; there has to be one for each");
    for (auto &[from, to] : {std::pair{&truths[d], &is}, std::pair{&predicted[d], &found}}) {
      auto s = spansOf(*from, strict);
      if (!s)
        return s.status().withContext("row " + std::to_string(d) + (to == &is ? "" : ", predicted"));
      for (const Span &x : *s)
        types[x.type];
      to->push_back(s.take());
    }
  }
  uint32_t n = 0;
  for (auto &[type, column] : types)
    column = n++;
  Measured m;
  m.name = metric == ClassMetric::precision ? "span precision"
           : metric == ClassMetric::recall  ? "span recall"
                                            : "span F1";
  const char *averages[] = {"macro", "micro", "weighted"};
  m.signature = std::string("scheme:IOB2|mode:") + (strict ? "strict" : "conlleval") + "|average:" +
                averages[int(average)] + "|zero:0";
  m.statistics = Statistics(3 * n);
  std::vector<double> row(3 * n);
  for (size_t d = 0; d < is.size(); ++d) {
    std::fill(row.begin(), row.end(), 0.0);
    for (const Span &s : found[d]) {
      ++row[types[s.type]];
      // Spans of a sequence do not overlap, so each is there once, in order of its begin.
      auto at = std::lower_bound(is[d].begin(), is[d].end(), s,
                                 [](const Span &a, const Span &b) { return a.begin < b.begin; });
      if (at != is[d].end() && *at == s)
        ++row[n + types[s.type]];
    }
    for (const Span &s : is[d])
      ++row[2 * n + types[s.type]];
    m.statistics.add(row);
  }
  m.value = [metric, average](std::span<const double> s) { return ClassSums::of(s).averaged(metric, average); };
  return m;
}

} // namespace r1rt::metrics
