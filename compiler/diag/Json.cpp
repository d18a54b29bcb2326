// A diagnostic as a JSON object, for --json and editors.
#include "compiler/diag/Diag.h"
#include <nlohmann/json.hpp>

namespace r1 {

namespace {

using nlohmann::json;

/// LSP counts lines from 0 and columns in UTF-16 code units.
json position(const SourceFile &f, uint32_t offset) {
  uint32_t line = f.place(offset).line;
  std::string_view text = f.text;
  size_t end = std::min<size_t>(offset, text.size());
  uint32_t character = 0;
  for (size_t i = f.lineStarts[line - 1]; i < end;)
    character += nextCodePoint(text, i) > 0xFFFF ? 2 : 1;
  return {{"line", line - 1}, {"character", character}};
}

json range(const SourceManager &sm, Span s) {
  if (!sm.has(s.file))
    return nullptr;
  const SourceFile &f = sm.file(s.file);
  return {{"file", f.path}, {"start", position(f, s.begin)}, {"end", position(f, s.end)}};
}

} // namespace

std::string renderJson(const Diag &d, const SourceManager &sm) {
  const char *severity = d.severity == Severity::Error     ? "error"
                         : d.severity == Severity::Warning ? "warning"
                                                           : "note";
  json j = {{"event", "diagnostic"},   {"v", 1},
            {"severity", severity},    {"code", d.code},
            {"message", d.title},      {"range", range(sm, d.primary.span)},
            {"label", d.primary.text}, {"related", json::array()},
            {"notes", d.notes},        {"fixes", json::array()}};
  for (const Label &s : d.secondary)
    j["related"].push_back({{"range", range(sm, s.span)}, {"message", s.text}});
  for (const Help &h : d.helps)
    j["fixes"].push_back({{"message", h.text},
                          {"range", range(sm, h.edit)},
                          {"newText", h.edit.valid() ? json(h.replacement) : json(nullptr)}});
  return j.dump(-1, ' ', false, json::error_handler_t::replace);
}

} // namespace r1
