#include "runtime/mixture/Statistics.h"
#include "runtime/dedup/Text.h"
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <unicode/uchar.h>
#include <unicode/utf8.h>
#include <xxhash.h>

namespace r1rt::mixture {

using nlohmann::json;

// ── frequencies ─────────────────────────────────────────────────────────────

/// Where the word stands in `table`, or the free place where it would.
size_t WordCounts::slotOf(uint64_t hash, std::string_view word) const {
  size_t mask = table.size() - 1, slot = hash & mask;
  for (; table[slot] != 0; slot = (slot + 1) & mask)
    if (const Entry &e = entries[table[slot] - 1]; e.hash == hash && textOf(e) == word)
      break;
  return slot;
}

void WordCounts::rebuild(size_t slots) {
  table.assign(slots, 0);
  for (uint32_t i = 0; i < entries.size(); ++i) {
    size_t slot = entries[i].hash & (slots - 1);
    while (table[slot] != 0)
      slot = (slot + 1) & (slots - 1);
    table[slot] = i + 1;
  }
}

void WordCounts::add(std::string_view word, uint64_t count) {
  total += count;
  if (word.size() > longest || count == 0)
    return;
  if (2 * entries.size() >= table.size())
    rebuild(std::max<size_t>(1024, 2 * table.size()));
  uint64_t hash = XXH3_64bits(word.data(), word.size());
  size_t slot = slotOf(hash, word);
  if (table[slot] != 0) {
    entries[table[slot] - 1].count += count;
    return;
  }
  entries.push_back({hash, count, uint32_t(bytes.size()), uint32_t(word.size())});
  bytes += word;
  table[slot] = uint32_t(entries.size());
  if (entries.size() >= 2 * limit)
    shrink();
}

/// Takes the count of the first word beyond `limit` from all and drops those that have nothing left: so
/// at least limit + 1 times what the error grows by leaves the summary.
void WordCounts::shrink() {
  if (entries.size() <= limit)
    return;
  std::vector<uint64_t> counts;
  for (const Entry &e : entries)
    counts.push_back(e.count);
  std::nth_element(counts.begin(), counts.begin() + ptrdiff_t(limit), counts.end(), std::greater<>());
  uint64_t less = counts[limit];
  std::vector<Entry> kept;
  std::string keptBytes;
  for (const Entry &e : entries)
    if (e.count > less) {
      kept.push_back({e.hash, e.count - less, uint32_t(keptBytes.size()), e.length});
      keptBytes += textOf(e);
    }
  entries = std::move(kept);
  bytes = std::move(keptBytes);
  tooLow += less;
  rebuild(table.size());
}

void WordCounts::merge(const WordCounts &other) {
  uint64_t words = total + other.total;
  for (const Entry &e : other.entries)
    add(other.textOf(e), e.count);
  tooLow += other.tooLow;
  total = words;
}

uint64_t WordCounts::countOf(std::string_view word) const {
  if (table.empty())
    return 0;
  size_t slot = slotOf(XXH3_64bits(word.data(), word.size()), word);
  return table[slot] == 0 ? 0 : entries[table[slot] - 1].count;
}

std::vector<WordCount> WordCounts::top(size_t most) const {
  std::vector<const Entry *> order;
  for (const Entry &e : entries)
    order.push_back(&e);
  auto before = [this](const Entry *a, const Entry *b) {
    return a->count != b->count ? a->count > b->count : textOf(*a) < textOf(*b);
  };
  most = std::min(most, order.size());
  std::partial_sort(order.begin(), order.begin() + ptrdiff_t(most), order.end(), before);
  std::vector<WordCount> out;
  for (size_t i = 0; i < most; ++i)
    out.push_back({std::string(textOf(*order[i])), order[i]->count});
  return out;
}

json WordCounts::toJson() const {
  json words = json::object();
  for (const Entry &e : entries)
    words[std::string(textOf(e))] = e.count;
  return {{"limit", limit}, {"words", total}, {"error", tooLow}, {"counts", std::move(words)}};
}

namespace {

Status malformed(const char *field, const std::string &found, const char *expected) {
  return Status::error("statistics: `" + std::string(field) + "` is " + found + ", expected " + expected +
                       "; help: make them again");
}

Status read(const json &j, const char *field, uint64_t &out) {
  auto it = j.is_object() ? j.find(field) : j.end();
  if (it == j.end())
    return malformed(field, "missing", "a count");
  if (!it->is_number_unsigned())
    return malformed(field, it->dump(-1, ' ', false, json::error_handler_t::replace), "a count");
  out = it->get<uint64_t>();
  return Status::ok();
}

} // namespace

Result<WordCounts> WordCounts::fromJson(const json &j) {
  uint64_t limit = 0, total = 0, tooLow = 0;
  R1RT_TRY(read(j, "limit", limit));
  R1RT_TRY(read(j, "words", total));
  R1RT_TRY(read(j, "error", tooLow));
  if (limit == 0 || limit > 1 << 30)
    return malformed("limit", std::to_string(limit), "1 to 2 ** 30");
  if (!j.contains("counts") || !j["counts"].is_object())
    return malformed("counts", "no object", "{word: count}");
  WordCounts w(limit);
  for (auto &[word, count] : j["counts"].items()) {
    if (!count.is_number_unsigned())
      return malformed("counts", "not a count for \"" + word + "\"", "{word: count}");
    w.add(word, count.get<uint64_t>());
  }
  w.tooLow += tooLow;
  w.total = total;
  return w;
}

// ── statistics ──────────────────────────────────────────────────────────────

void Statistics::add(std::string_view text) {
  ++documents;
  bytes += text.size();
  for (char c : text)
    characters += (c & 0xC0) != 0x80;
  std::string normal = dedup::normalise(text);
  std::vector<std::string_view> units = dedup::unitsOf(normal, dedup::Units::words);
  for (std::string_view word : units)
    frequencies.add(word);
  words += units.size();
  ++lengths[std::min<size_t>(std::bit_width(units.size()), lengths.size() - 1)];
}

void Statistics::merge(const Statistics &other) {
  documents += other.documents;
  bytes += other.bytes;
  characters += other.characters;
  words += other.words;
  for (size_t i = 0; i < lengths.size(); ++i)
    lengths[i] += other.lengths[i];
  frequencies.merge(other.frequencies);
}

json Statistics::toJson() const {
  return {{"documents", documents}, {"bytes", bytes},     {"characters", characters},
          {"words", words},         {"lengths", lengths}, {"frequencies", frequencies.toJson()}};
}

Result<Statistics> Statistics::fromJson(const json &j) {
  Statistics s;
  R1RT_TRY(read(j, "documents", s.documents));
  R1RT_TRY(read(j, "bytes", s.bytes));
  R1RT_TRY(read(j, "characters", s.characters));
  R1RT_TRY(read(j, "words", s.words));
  const json *lengths = j.contains("lengths") ? &j["lengths"] : nullptr;
  if (!lengths || !lengths->is_array() || lengths->size() != s.lengths.size() ||
      !std::all_of(lengths->begin(), lengths->end(), [](auto &x) { return x.is_number_unsigned(); }))
    return malformed("lengths", lengths ? lengths->dump() : "missing", "33 counts");
  for (size_t i = 0; i < s.lengths.size(); ++i)
    s.lengths[i] = (*lengths)[i].get<uint64_t>();
  R1RT_ASSIGN(s.frequencies, WordCounts::fromJson(j.value("frequencies", json())));
  return s;
}

// ── for people ──────────────────────────────────────────────────────────────

namespace {

/// Dunning's log-likelihood ratio of a word that occurs `a` times in `c` words here and `b` times in `d`
/// words elsewhere; 0 if it is not more frequent here.
double keyness(double a, double b, double c, double d) {
  if (c == 0 || a * d <= b * c)
    return 0;
  double share = (a + b) / (c + d);
  return 2 * (a * std::log(a / (c * share)) + (b == 0 ? 0 : b * std::log(b / (d * share))));
}

std::vector<std::string> keyWords(const Statistics &s, const Statistics &all, size_t most) {
  std::vector<WordCount> candidates = s.frequencies.top(all.words > s.words ? 4096 : most);
  std::vector<std::pair<double, std::string>> scored;
  for (auto &c : candidates) {
    uint64_t everywhere = std::max(all.frequencies.countOf(c.word), c.count);
    double k = all.words > s.words ? keyness(double(c.count), double(everywhere - c.count), double(s.words),
                                             double(all.words - s.words))
                                   : double(c.count);
    if (k > 0)
      scored.push_back({-k, c.word});
  }
  std::sort(scored.begin(), scored.end());
  std::vector<std::string> out;
  for (size_t i = 0; i < std::min(most, scored.size()); ++i)
    out.push_back(scored[i].second);
  return out;
}

/// Columns in a terminal: two for East Asian wide characters, none for combining ones.
size_t width(std::string_view text) {
  size_t columns = 0;
  for (int32_t i = 0, n = int32_t(text.size()); i < n;) {
    UChar32 c;
    U8_NEXT_OR_FFFD(reinterpret_cast<const uint8_t *>(text.data()), i, n, c);
    int wide = u_getIntPropertyValue(c, UCHAR_EAST_ASIAN_WIDTH);
    int type = u_charType(c);
    columns += type == U_NON_SPACING_MARK || type == U_ENCLOSING_MARK ? 0
               : wide == U_EA_WIDE || wide == U_EA_FULLWIDTH          ? 2
                                                                      : 1;
  }
  return columns;
}

/// 1,234,567
std::string grouped(uint64_t n) {
  std::string s = std::to_string(n);
  for (size_t i = s.size(); i > 3;)
    s.insert(i -= 3, ",");
  return s;
}

std::string oneDecimal(double x) {
  char b[32];
  std::snprintf(b, sizeof b, "%.1f", x);
  return b;
}

double ratio(uint64_t a, uint64_t b) { return b == 0 ? 0 : double(a) / double(b); }

Statistics sumOf(const DomainStatistics &domains) {
  size_t limit = 0;
  for (auto &[name, s] : domains)
    limit += s.frequencies.distinct();
  Statistics all(limit);
  for (auto &[name, s] : domains)
    all.merge(s);
  return all;
}

} // namespace

std::string table(const DomainStatistics &domains, size_t topWords) {
  Statistics all = sumOf(domains);
  std::vector<std::vector<std::string>> rows = {
      {"domain", "documents", "words", "share", "words/doc", "bytes/word", "distinct", "typical words"}};
  auto line = [&](const std::string &name, const Statistics &s, const std::vector<std::string> &typical) {
    std::string list;
    for (auto &w : typical)
      list += (list.empty() ? "" : ", ") + w;
    rows.push_back({name, grouped(s.documents), grouped(s.words), oneDecimal(100 * ratio(s.words, all.words)) + " %",
                    oneDecimal(ratio(s.words, s.documents)), oneDecimal(ratio(s.bytes, s.words)),
                    (s.frequencies.isExact() ? "" : "> ") + grouped(s.frequencies.distinct()), list});
  };
  for (auto &[name, s] : domains)
    line(name, s, keyWords(s, all, topWords));
  if (domains.size() > 1)
    line("all", all, {});
  size_t last = rows[0].size() - 1;
  std::vector<size_t> widths(last);
  for (auto &row : rows)
    for (size_t c = 0; c < last; ++c)
      widths[c] = std::max(widths[c], width(row[c]));
  std::string out;
  for (auto &row : rows) {
    std::string text;
    for (size_t c = 0; c < last; ++c) { // names to the left, numbers to the right
      std::string space(widths[c] - width(row[c]), ' ');
      text += (c == 0 ? row[c] + space : space + row[c]) + "  ";
    }
    text += row[last];
    text.erase(text.find_last_not_of(' ') + 1);
    out += text + "\n";
  }
  return out;
}

std::vector<std::pair<std::string, double>> scalars(const DomainStatistics &domains,
                                                    const std::string &prefix) {
  uint64_t words = 0;
  for (auto &[name, s] : domains)
    words += s.words;
  std::vector<std::pair<std::string, double>> out;
  for (auto &[name, s] : domains) {
    auto put = [&](const char *what, double value) { out.push_back({prefix + "/" + what + "/" + name, value}); };
    put("documents", double(s.documents));
    put("words", double(s.words));
    put("bytes", double(s.bytes));
    put("share", ratio(s.words, words));
    put("words_per_document", ratio(s.words, s.documents));
    if (s.frequencies.isExact())
      put("type_token_ratio", ratio(s.frequencies.distinct(), s.words));
  }
  return out;
}

} // namespace r1rt::mixture
