//===- Csv.h - where records and fields of CSV end --------------------------===//
//
// RFC 4180, read as most programs do: a quote opens only at the beginning of a field; inside, two
// quotes are one; a quote elsewhere is a character. Lines end with \n or \r\n.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_SOURCE_CSV_H
#define R1RT_SOURCE_CSV_H
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace r1rt::source {

struct CsvField {
  size_t begin, end; // without the quotes around it
  bool doubled;      // "" inside stands for "
};

struct CsvRecord {
  enum { line, text, quotes } ended; // with its line end; where the text ends; there, inside quotes
  size_t end;                        // after the line end
  bool tail = false;                 // something follows a closing quote
};

/// The record at text[from]. fields, if wanted, gets its fields; positions are of `text`.
CsvRecord scanCsv(std::string_view text, size_t from, char delimiter,
                  std::vector<CsvField> *fields = nullptr);

/// Appends what the field means.
void appendCsvField(std::string_view text, const CsvField &field, std::string &out);

} // namespace r1rt::source
#endif
