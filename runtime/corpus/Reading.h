//===- Reading.h - from files to the rows of a branch -------------------------===//
#ifndef R1RT_CORPUS_READING_H
#define R1RT_CORPUS_READING_H
#include "runtime/corpus/Ledger.h"
#include "runtime/corpus/Plan.h"
#include "runtime/corpus/Row.h"
#include "runtime/source/Records.h"
#include <atomic>

namespace r1rt::corpus {

/// Rows that go through the passes together.
constexpr size_t batchRows = 256;

/// How the files of a branch are read, in blocks of at most `chunkBytes`.
source::SourceOptions readerOptions(const Branch &b, uint64_t chunkBytes);

/// What `mix` calls the rows of a branch before they come to the pass at `place`.
void nameDomain(const Branch &b, size_t place, std::vector<Row> &rows);

/// May files of the branch be left out?
bool skipsUnreadable(const Branch &b);

/// Turns blocks of a branch into rows, and bad rows into lines of the ledger. One per thread.
class RowReader {
public:
  RowReader(const Branch &b, const Context &ctx, uint64_t chunkBytes);

  /// `bad` counts the bad rows of the branch, those of all threads.
  Status read(const std::string &file, const source::Block &block, Ledger &ledger, std::atomic<uint64_t> &bad,
              const std::function<Status(Row &&)> &take);

private:
  const Branch &branch;
  const Context &ctx;
  source::RecordParser parser;
};

/// Were more rows of the branch bad than its source lets pass?
Status tooManyBad(const Branch &b, uint64_t bad);

/// The rows of a branch that begins with files, in order, on this thread.
Status eachSourceRow(const Branch &b, const Context &ctx, const std::function<Status(Row &&)> &take);

} // namespace r1rt::corpus
#endif
