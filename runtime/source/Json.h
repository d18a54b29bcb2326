//===- Json.h - rows that are JSON objects ----------------------------------===//
#ifndef R1RT_SOURCE_JSON_H
#define R1RT_SOURCE_JSON_H
#include "runtime/source/Records.h"

namespace r1rt::source {

enum class Kind : uint8_t { null, string, number, boolean, object, array };

/// What a field of a file is, as told by the first row that has it and not null.
struct FieldKind {
  std::string key;
  Kind kind;
  uint64_t line;
};

/// Takes rows apart: the text, and the other fields as a compact object. Every value is checked in
/// full, also of fields that are not kept. One per thread; buffers are reused.
class JsonRows {
public:
  /// Bytes behind a row that must be readable, whatever they are.
  static constexpr size_t padding = 64;

  explicit JsonRows(const SourceOptions &options);
  ~JsonRows();

  /// False if the row is a bad one; problem() says why. The views hold until the next call.
  bool read(std::string_view row, const std::vector<FieldKind> &kinds);
  std::string_view text() const { return textView; }
  std::string_view more() const { return moreText; }
  const std::string &problem() const { return why; }

  /// Adds the fields of a valid row that are not known yet.
  void learnKinds(std::string_view row, uint64_t line, std::vector<FieldKind> &kinds);

private:
  struct Walk;
  bool walk(std::string_view row, const std::vector<FieldKind> &kinds, bool keepLayouts);
  bool fail(std::string what);

  const SourceOptions options;
  std::unique_ptr<Walk> state;
  bool keepLayouts = false; // the last row had no text of its own
  std::string_view textView;
  std::string moreText, textBuffer, repaired, why;
};

/// Appends what a valid JSON string means; `token` has its quotes. False if an escape is wrong or
/// half of a surrogate pair, which `repair` turns into U+FFFD; some of it may have been appended.
bool appendUnescaped(std::string_view token, bool repair, std::string &out);

} // namespace r1rt::source
#endif
