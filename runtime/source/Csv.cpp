#include "runtime/source/Csv.h"
#include <cstring>

namespace r1rt::source {

static size_t find(std::string_view text, char c, size_t from, size_t to) {
  auto *p = static_cast<const char *>(memchr(text.data() + from, c, to - from));
  return p ? size_t(p - text.data()) : to;
}

CsvRecord scanCsv(std::string_view text, size_t from, char delimiter,
                  std::vector<CsvField> *fields) {
  if (fields)
    fields->clear();
  size_t lineEnd = find(text, '\n', from, text.size());
  if (find(text, '"', from, lineEnd) == lineEnd) { // no quotes: most records are such
    bool complete = lineEnd < text.size();
    size_t last = lineEnd - (lineEnd > from && text[lineEnd - 1] == '\r');
    for (size_t i = from; fields;) {
      size_t end = find(text, delimiter, i, last);
      fields->push_back({i, end, false});
      if (end == last)
        break;
      i = end + 1;
    }
    return {complete ? CsvRecord::line : CsvRecord::text, lineEnd + complete};
  }
  CsvRecord record{CsvRecord::text, text.size()};
  for (size_t i = from;;) {
    CsvField field{i, i, false};
    bool quoted = i < text.size() && text[i] == '"';
    if (quoted) {
      for (++i, field.begin = i;; i += 2) {
        i = find(text, '"', i, text.size());
        if (i + 1 >= text.size() || text[i + 1] != '"')
          break;
        field.doubled = true;
      }
      field.end = i;
      if (i == text.size()) {
        record.ended = CsvRecord::quotes;
        if (fields)
          fields->push_back(field);
        return record;
      }
      ++i;
    }
    size_t after = i;
    while (i < text.size() && text[i] != delimiter && text[i] != '\n')
      ++i;
    bool lineEnds = i < text.size() && text[i] == '\n';
    size_t end = i - ((lineEnds || i == text.size()) && i > after && text[i - 1] == '\r');
    if (!quoted)
      field.end = end;
    else
      record.tail |= end > after;
    if (fields)
      fields->push_back(field);
    if (i == text.size())
      return record;
    ++i;
    if (lineEnds) {
      record.ended = CsvRecord::line;
      record.end = i;
      return record;
    }
  }
}

void appendCsvField(std::string_view text, const CsvField &field, std::string &out) {
  std::string_view value = text.substr(field.begin, field.end - field.begin);
  if (!field.doubled) {
    out += value;
    return;
  }
  for (size_t i = 0; i < value.size();) {
    size_t end = find(value, '"', i, value.size());
    end += end < value.size();
    out.append(value, i, end - i);
    i = end + (end < value.size() && value[end] == '"');
  }
}

} // namespace r1rt::source
