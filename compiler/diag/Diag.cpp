#include "compiler/diag/Diag.h"
#include <algorithm>
#include <numeric>
#include <tuple>

namespace r1 {

namespace {

/// Longer names are not compared: the time to do so grows with the product of the lengths.
constexpr size_t longestName = 64;

size_t editDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  std::vector<size_t> prev = row, prev2 = row;
  for (size_t i = 1; i <= a.size(); ++i) {
    prev2 = prev;
    prev = row;
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      size_t cost = a[i - 1] == b[j - 1] ? 0 : 1;
      row[j] = std::min({prev[j] + 1, row[j - 1] + 1, prev[j - 1] + cost});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], prev2[j - 2] + 1);
    }
  }
  return row[b.size()];
}

} // namespace

Diag &Diag::label(std::string text) {
  primary.text = std::move(text);
  return *this;
}
Diag &Diag::also(Span s, std::string text) {
  if (s.valid())
    secondary.push_back({s, std::move(text)});
  return *this;
}
Diag &Diag::note(std::string text) {
  notes.push_back(std::move(text));
  return *this;
}
Diag &Diag::help(std::string text, Span edit, std::string replacement) {
  helps.push_back({std::move(text), edit, std::move(replacement)});
  return *this;
}

Diag &DiagEngine::add(Severity severity, std::string_view code, Span where, std::string title) {
  dropped = Diag();
  for (const Diag &d : diags)
    if (d.code == code && d.title == title && d.primary.span.file == where.file &&
        d.primary.span.begin == where.begin && d.primary.span.end == where.end)
      return dropped;
  if (severity == Severity::Error && full()) {
    ++more;
    return dropped;
  }
  errors += severity == Severity::Error;
  Diag &d = diags.emplace_back();
  d.severity = severity;
  d.code = code;
  d.title = std::move(title);
  d.primary.span = where;
  return d;
}
void DiagEngine::sortFrom(size_t n) {
  std::vector<Diag> tail(std::make_move_iterator(diags.begin() + std::ptrdiff_t(n)),
                         std::make_move_iterator(diags.end()));
  std::vector<size_t> order(tail.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    Span x = tail[a].primary.span, y = tail[b].primary.span;
    return std::tuple(x.file, x.begin, a) < std::tuple(y.file, y.begin, b);
  });
  for (size_t i = 0; i < order.size(); ++i)
    diags[n + i] = std::move(tail[order[i]]);
}

Diag &DiagEngine::error(std::string_view code, Span where, std::string title) {
  return add(Severity::Error, code, where, std::move(title));
}
Diag *DiagEngine::firstErrorFrom(size_t n) {
  for (; n < diags.size(); ++n)
    if (diags[n].severity == Severity::Error)
      return &diags[n];
  return nullptr;
}
Diag &DiagEngine::warning(std::string_view code, Span where, std::string title) {
  return add(Severity::Warning, code, where, std::move(title));
}
Diag &DiagEngine::noteAt(std::string_view code, Span where, std::string title) {
  return add(Severity::Note, code, where, std::move(title));
}

const std::vector<DiagKind> &diagKinds() {
  static const std::vector<DiagKind> kinds = {
#define R1_DIAG(code, name, explanation) {#code, name, explanation},
#include "compiler/diag/Diags.def"
  };
  return kinds;
}

const DiagKind *findDiagKind(std::string_view code) {
  for (const DiagKind &k : diagKinds())
    if (code == k.code)
      return &k;
  return nullptr;
}

std::string nearest(std::string_view word, const std::vector<std::string> &candidates) {
  auto lower = [](std::string_view s) {
    std::string out(s);
    for (char &c : out)
      c = c >= 'A' && c <= 'Z' ? char(c + 32) : c;
    return out;
  };
  std::string small = lower(word), best, longer;
  // A third of the letters may differ, but never the only one.
  size_t bestDistance = word.size() < 2 ? 1 : std::max<size_t>(1, word.size() / 3) + 1;
  int longerCount = 0;
  if (word.size() > longestName)
    return "";
  for (const std::string &c : candidates) {
    if (c.size() > longestName)
      continue;
    size_t d = editDistance(small, lower(c));
    if (d < bestDistance) {
      bestDistance = d;
      best = c;
    }
    if (word.size() >= 3 && c.starts_with(word)) {
      longer = c;
      ++longerCount;
    }
  }
  return best.empty() && longerCount == 1 ? longer : best;
}

} // namespace r1
