// source-bench FORMAT PATH [COLUMN...]: reads a file on one thread and prints, as JSON, the rows,
// the bytes of texts and of other fields, the seconds that blocks and parsing took.
#include "runtime/source/Records.h"
#include <chrono>
#include <cstdio>
#include <cstring>

using namespace r1rt::source;

int main(int argc, char **argv) {
  const char *names[] = {"lines", "paragraphs", "file", "jsonl", "csv", "parquet"};
  SourceOptions options;
  if (argc < 3)
    return 2;
  for (int i = 0; i < 6; ++i)
    if (!std::strcmp(argv[1], names[i]))
      options.format = Format(i);
  options.columns.assign(argv + 3, argv + argc);
  using Clock = std::chrono::steady_clock;
  auto seconds = [](Clock::time_point a, Clock::time_point b) {
    return std::chrono::duration<double>(b - a).count();
  };
  Clock::time_point begin = Clock::now();
  auto reader = BlockReader::open(argv[2], options);
  if (!reader) {
    std::fprintf(stderr, "%s\n", reader.status().message().c_str());
    return 1;
  }
  RecordParser parser(options);
  double parsing = 0;
  unsigned long rows = 0, text = 0, more = 0, bad = 0;
  for (Block block;;) {
    auto n = (*reader)->next(block);
    Clock::time_point from = Clock::now();
    r1rt::Status s = !n    ? n.status()
                     : !*n ? r1rt::Status::ok()
                           : parser.parse(
                                 block,
                                 [&](const Record &r) {
                                   ++rows, text += r.text.size(), more += r.more.size();
                                 },
                                 [&](const BadRow &) { ++bad; });
    if (!s) {
      std::fprintf(stderr, "%s\n", s.message().c_str());
      return 1;
    }
    if (!*n)
      break;
    parsing += seconds(from, Clock::now());
  }
  double all = seconds(begin, Clock::now());
  std::printf("{\"rows\": %lu, \"bad\": %lu, \"text\": %lu, \"more\": %lu, \"blocks_s\": %.4f, "
              "\"parse_s\": %.4f}\n",
              rows, bad, text, more, all - parsing, parsing);
}
