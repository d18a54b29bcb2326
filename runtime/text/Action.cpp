#include "runtime/text/Action.h"
#include "runtime/text/Utf8.h"
#include <algorithm>

namespace r1rt::text {

Action Action::read(Params &p, const std::string &byDefault) {
  Action a;
  std::string kind = p.oneOf("action", {"drop", "cut", "mask"});
  a.kind = kind == "cut" ? cut : kind == "mask" ? mask : drop;
  std::optional<std::string> with = p.optionalText("with");
  if (with && a.kind != mask)
    p.fail("with", "is \"" + *with + "\", but `action` is \"" + kind +
                       "\", which puts nothing in; write action = \"mask\" or leave `with` out");
  a.with = with.value_or(byDefault);
  return a;
}

Finding Action::apply(const std::string &reason, const std::vector<Match> &matches,
                      std::string &text) const {
  if (matches.empty())
    return {};
  // Evidence shows where, not what: a masked address must not turn up again in a ledger.
  if (kind == drop)
    return {Verdict::drop, reason, {{"found", matches.size()}, {"offset", matches[0].begin}}};

  std::string out;
  out.reserve(text.size());
  size_t from = 0;
  if (kind == mask) {
    for (const Match &m : matches) {
      out.append(text, from, m.begin - from);
      out += with;
      from = m.end;
    }
    out.append(text, from);
    bool same = out == text;
    text = std::move(out);
    if (same)
      return {};
    return {Verdict::changed, reason, {{"masked", matches.size()}}};
  }
  uint64_t lines = 0, bytes = 0;
  for (size_t i = 0; i < matches.size();) {
    size_t begin = matches[i].begin ? text.rfind('\n', matches[i].begin - 1) : text.npos;
    begin = begin == text.npos ? 0 : begin + 1;
    size_t end = text.find('\n', matches[i].end - 1);
    end = end == text.npos ? text.size() : end + 1;
    lines += uint64_t(std::count(text.begin() + long(begin), text.begin() + long(end), '\n')) +
             (end == text.size() && text.back() != '\n');
    bytes += end - begin;
    out.append(text, from, begin - from);
    from = end;
    while (i < matches.size() && matches[i].begin < end)
      ++i;
  }
  out.append(text, from);
  if (text.back() != '\n' && !out.empty() && out.back() == '\n')
    out.pop_back(); // the last line went; the one before it becomes the last
  text = std::move(out);
  return {Verdict::changed, reason, {{"lines_cut", lines}, {"bytes_cut", bytes}}};
}

} // namespace r1rt::text
