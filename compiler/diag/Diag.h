// One diagnostic, where it points, and how it is shown.
//
// A message says, in this order: what is wrong (title, lower case), the user's own line with the
// place underlined, what else matters (secondary places), notes, and an edit that mends it.
#pragma once
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace r1 {

/// The code point at byte `at` of `text`, which moves behind it. A byte that is not UTF-8 counts as
/// U+FFFD.
uint32_t nextCodePoint(std::string_view text, size_t &at);
/// Columns that a code point or a text takes on a screen: 0, 1 or 2 each.
uint32_t columnsOf(uint32_t point);
uint32_t columnsOf(std::string_view text);

/// Bytes begin..end of a file; file 0 is "nowhere" (values from --set carry their own file).
struct Span {
  uint32_t file = 0, begin = 0, end = 0;
  bool valid() const { return file != 0; }
};

/// A source text and its line table. Lines and columns count from 1; columns count code points.
struct SourceFile {
  std::string path; // as shown
  std::string text;
  std::vector<uint32_t> lineStarts;

  struct Place {
    uint32_t line, column;
  };
  Place place(uint32_t offset) const;
  std::string_view line(uint32_t number) const; // without its newline
};

/// Owns all source texts. Ids and references stay valid for its lifetime.
class SourceManager {
public:
  uint32_t add(std::string path, std::string text);
  const SourceFile &file(uint32_t id) const { return files[id - 1]; }
  bool has(uint32_t id) const { return id >= 1 && id <= files.size(); }
  std::string_view text(Span s) const;
  /// "path:line:column"
  std::string where(Span s) const;

private:
  std::deque<SourceFile> files;
};

enum class Severity : uint8_t { Error, Warning, Note };

struct Label {
  Span span;
  std::string text;
};

/// A `help:` line. If `edit` is valid, replacing it by `replacement` is the mend.
struct Help {
  std::string text;
  Span edit;
  std::string replacement;
};

struct Diag {
  Severity severity = Severity::Error;
  std::string code; // "E0301"
  std::string title;
  Label primary; // label may be empty
  std::vector<Label> secondary;
  std::vector<std::string> notes;
  std::vector<Help> helps;

  Diag &label(std::string text);
  Diag &also(Span s, std::string text);
  Diag &note(std::string text);
  Diag &help(std::string text, Span edit = {}, std::string replacement = "");
};

/// Collects diagnostics: at most 20 errors, each place and code once.
class DiagEngine {
public:
  /// Returned reference is valid until the next call.
  Diag &error(std::string_view code, Span where, std::string title);
  Diag &warning(std::string_view code, Span where, std::string title);
  Diag &noteAt(std::string_view code, Span where, std::string title);
  bool hasErrors() const { return errors > 0; }
  bool full() const { return errors >= maxErrors; }
  /// Errors beyond the first 20, which are counted and not kept.
  int suppressed() const { return more; }
  const std::deque<Diag> &all() const { return diags; }
  /// The first error from the n-th diagnostic on, or null.
  Diag *firstErrorFrom(size_t n);
  /// Puts those from the n-th on in the order of their places.
  void sortFrom(size_t n);
  static constexpr int maxErrors = 20;

private:
  Diag &add(Severity, std::string_view code, Span where, std::string title);
  std::deque<Diag> diags;
  Diag dropped;
  int errors = 0, more = 0;
};

/// The text of one diagnostic, ending in a newline.
std::string render(const Diag &, const SourceManager &, bool color = false);
/// One JSON object on one line: severity, code, message, range (LSP: zero-based), related, notes,
/// fixes.
std::string renderJson(const Diag &, const SourceManager &);

/// A kind of diagnostic: its code, a short name and the long text of --explain. See Diags.def.
struct DiagKind {
  const char *code, *name, *explanation;
};
const std::vector<DiagKind> &diagKinds();
const DiagKind *findDiagKind(std::string_view code);

/// The candidate nearest to `word` by edit distance (or the only one that begins with it), or "" if
/// none is near enough to suggest. Names of more than 64 bytes are near to nothing.
std::string nearest(std::string_view word, const std::vector<std::string> &candidates);

} // namespace r1
