#include "runtime/source/Records.h"
#include "runtime/state/Files.h"
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <random>
#include <unistd.h>
#include <zstd.h>

using namespace r1rt;
using namespace r1rt::source;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

struct Row {
  std::string text, more;
  uint64_t offset;
  auto operator<=>(const Row &) const = default;
};
struct Bad {
  uint64_t offset, line;
  std::string what;
  auto operator<=>(const Bad &) const = default;
};
struct All {
  std::vector<Row> rows;
  std::vector<Bad> bad;
  std::string error; // which ended it
  size_t blocks = 0;
  std::vector<std::string> texts() const {
    std::vector<std::string> t;
    for (const Row &r : rows)
      t.push_back(r.text);
    return t;
  }
};

void take(RecordParser &parser, const Block &block, All &all) {
  Status s = parser.parse(
      block,
      [&](const Record &r) {
        all.rows.push_back({std::string(r.text), std::string(r.more), r.offset});
        EXPECT_GE(r.offset, block.offset);
        EXPECT_LT(r.offset, block.end);
      },
      [&](const BadRow &b) {
        all.bad.push_back({b.offset, b.line, b.what});
        EXPECT_GE(b.line, block.firstLine);
        EXPECT_LE(b.line, block.nextLine); // equal if the last line has no end
      });
  if (!s && all.error.empty())
    all.error = s.message();
}

All readAll(const std::string &path, const SourceOptions &options, ExpansionLimits limits = {}) {
  All all;
  auto reader = BlockReader::open(path, options, limits);
  if (!reader) {
    all.error = reader.status().message();
    return all;
  }
  RecordParser parser(options);
  uint64_t offset = 0, line = 0;
  for (Block block;; ++all.blocks) {
    auto more = (*reader)->next(block);
    if (!more) {
      all.error = more.status().message();
      EXPECT_FALSE((*reader)->next(block)) << "an error stays";
      break;
    }
    if (!*more)
      break;
    if (all.blocks) {
      EXPECT_EQ(block.offset, offset);
      EXPECT_EQ(block.firstLine, line);
    }
    offset = block.end, line = block.nextLine;
    take(parser, block, all);
    if (!all.error.empty())
      break;
  }
  EXPECT_LE((*reader)->compressedOffset(), (*reader)->compressedSize());
  return all;
}

SourceOptions optionsOf(const json &j) {
  SourceOptions o;
  const std::map<std::string, Format> formats = {
      {"lines", Format::lines}, {"paragraphs", Format::paragraphs},
      {"file", Format::file},   {"jsonl", Format::jsonl},
      {"csv", Format::csv},     {"parquet", Format::parquet}};
  o.format = formats.at(j["format"].get<std::string>());
  o.text = j.value("text", o.text);
  o.delimiter = j.value("delimiter", std::string(1, o.delimiter))[0];
  o.header = j.value("header", o.header);
  o.repairUtf8 = j.value("repairUtf8", o.repairUtf8);
  o.columns = j.value("columns", o.columns);
  o.sameTypes = j.value("sameTypes", o.sameTypes);
  return o;
}

bool same(const json &a, const json &b) {
  if (a.is_number_float() && b.is_number())
    return a.get<double>() == b.get<double>();
  if (a.is_array() && b.is_array())
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), same);
  if (a.is_object() && b.is_object())
    return a.size() == b.size() && std::all_of(a.items().begin(), a.items().end(), [&](auto &kv) {
             return b.contains(kv.key()) && same(kv.value(), b[kv.key()]);
           });
  return a == b;
}

class RecordsTest : public ::testing::Test {
protected:
  std::string dir = testing::TempDir() + "/r1rt_records_" + std::to_string(getpid());
  void SetUp() override { fs::create_directories(dir); }
  void TearDown() override { fs::remove_all(dir); }
  std::string put(const std::string &bytes, const std::string &name = "file") {
    std::ofstream(dir + "/" + name, std::ios::binary) << bytes;
    return dir + "/" + name;
  }
  All of(const std::string &bytes, const SourceOptions &options) {
    return readAll(put(bytes), options);
  }
};

std::vector<std::string> inputs() {
  std::vector<std::string> names;
  for (auto &e : fs::directory_iterator(INPUTS))
    if (e.path().extension() == ".expected")
      names.push_back(e.path().string().substr(0, e.path().string().size() - 9));
  std::sort(names.begin(), names.end());
  return names;
}

json parseFile(const std::string &path) { return json::parse(*readFile(path)); }

// Files of other writers, see make_inputs.py; `more` must be valid JSON for another parser, too.
TEST_F(RecordsTest, FilesOfOtherWriters) {
  json table = parseFile(INPUTS "/table.json");
  ASSERT_GT(inputs().size(), 30u);
  for (const std::string &path : inputs()) {
    SCOPED_TRACE(path);
    json expected = parseFile(path + ".expected");
    json records = expected.value("records", table);
    All all = readAll(path, optionsOf(expected["options"]));
    std::string error = expected["error"];
    EXPECT_TRUE(error.empty() ? all.error.empty() : all.error.find(error) != std::string::npos)
        << all.error;
    ASSERT_EQ(all.rows.size(), records.size());
    for (size_t i = 0; i < all.rows.size(); ++i) {
      EXPECT_EQ(json(all.rows[i].text), records[i][0]) << "row " << i;
      json wanted = records[i][1], more;
      if (expected.contains("columns") && !expected["columns"].is_null()) {
        wanted = json();
        for (const json &name : expected["columns"])
          if (name != "text")
            wanted[name.get<std::string>()] = records[i][1][name.get<std::string>()];
      }
      if (!all.rows[i].more.empty())
        more = json::parse(all.rows[i].more);
      EXPECT_TRUE(same(wanted, more))
          << "row " << i << "\nexpected " << wanted.dump() << "\nfound    " << more.dump();
    }
    ASSERT_EQ(all.bad.size(), expected["bad"].size()) << (all.bad.empty() ? "" : all.bad[0].what);
    for (size_t i = 0; i < all.bad.size(); ++i) {
      EXPECT_EQ(all.bad[i].line, expected["bad"][i][0]) << all.bad[i].what;
      EXPECT_NE(all.bad[i].what.find(expected["bad"][i][1].get<std::string>()), std::string::npos)
          << all.bad[i].line << ": " << all.bad[i].what;
    }
  }
}

// The size of blocks shows in nothing, nor does it where reading was resumed.
TEST_F(RecordsTest, BlocksDoNotShow) {
  std::mt19937_64 draw(7);
  for (const std::string &path : inputs()) {
    SCOPED_TRACE(path);
    SourceOptions options = optionsOf(parseFile(path + ".expected")["options"]);
    for (uint64_t maxRecord : {uint64_t(64) << 20, uint64_t(60)}) {
      options.maxRecord = maxRecord;
      options.blockBytes = 8 << 20;
      All whole = readAll(path, options);
      size_t most = 0;
      for (uint64_t size : {1, 3, 50, 333, 4000}) {
        options.blockBytes = size;
        All parts = readAll(path, options);
        EXPECT_EQ(parts.rows, whole.rows) << size;
        EXPECT_EQ(parts.bad, whole.bad) << size;
        EXPECT_EQ(parts.error, whole.error) << size;
        most = std::max(most, parts.blocks);

        // Stop after any block; go on in a new reader and, backwards, in the old one.
        auto reader = BlockReader::open(path, options), other = BlockReader::open(path, options);
        if (!reader || !other) {
          EXPECT_FALSE(whole.error.empty());
          continue;
        }
        // Two parsers take turns, as on two threads.
        RecordParser parser(options), second(options);
        All before, after, again;
        Block block;
        size_t turn = 0;
        for (uint64_t stop = draw() % (parts.blocks + 1); stop > 0; --stop) {
          ASSERT_TRUE(*(*reader)->next(block));
          take(parser, block, before);
        }
        if (!block.file)
          continue;
        Block at = block;
        again = after = before;
        while (*(*reader)->next(block))
          take(turn++ % 2 ? parser : second, block, again);
        ASSERT_TRUE((*other)->seek(at));
        while (*(*other)->next(block))
          take(turn++ % 3 ? parser : second, block, after);
        EXPECT_EQ(after.rows, whole.rows) << size;
        EXPECT_EQ(after.bad, whole.bad) << size;
        EXPECT_EQ(again.rows, whole.rows) << size;
      }
      if (options.format != Format::file && whole.rows.size() > 5) {
        EXPECT_GT(most, 3u);
      }
    }
  }
}

TEST_F(RecordsTest, ToGoOnBehindTheEndIsAnError) {
  std::string path = put("a\nb\n");
  auto reader = BlockReader::open(path, {});
  EXPECT_TRUE((*reader)->seek(4, 3));
  Block block;
  EXPECT_FALSE(*(*reader)->next(block));
  EXPECT_EQ((*reader)->seek(5, 3).message(),
            path + ": to go on at byte 5 is not possible, there are 4; the "
                   "file is another one than before");
}

TEST_F(RecordsTest, LongRecordsAreBadOnes) {
  SourceOptions o;
  o.maxRecord = 5;
  o.blockBytes = 1;
  All all = of("12345\n123456\n" + std::string(300000, 'x') + "\nok\n1234567", o);
  EXPECT_EQ(all.texts(), (std::vector<std::string>{"12345", "ok"}));
  ASSERT_EQ(all.bad.size(), 3u);
  EXPECT_EQ(all.bad[1], (Bad{13, 3, "the record is longer than 5 bytes, the limit"}));
  EXPECT_EQ(all.bad[2].line, 5u);

  o.format = Format::paragraphs;
  all = of("a\nb\n\n" + std::string(300000, 'x') + "\ny\nz\n\nok\n%\n123\n45", o);
  EXPECT_EQ(all.texts(), (std::vector<std::string>{"a\nb", "ok"}));
  ASSERT_EQ(all.bad.size(), 2u);
  EXPECT_EQ(all.bad[0].line, 4u);
  EXPECT_EQ(all.bad[1].line, 10u);

  o.format = Format::file;
  EXPECT_EQ(of("123\n5", o).texts(), std::vector<std::string>{"123\n5"});
  EXPECT_EQ(of("123\n56", o).bad.size(), 1u);
  EXPECT_EQ(of(std::string(300000, 'x'), o).bad.size(), 1u);

  o.format = Format::csv;
  o.maxRecord = 9;
  all = of("text\n123456789\n1234567890\n\"12\n4567\"\n\"12\n45678\"\n\"" +
               std::string(300000, 'x') + "\nok\n\"a\n" + std::string(300000, 'y') + "\nz\n",
           o);
  // A quote that is not closed in time counts as a stray one: the next line is a row.
  EXPECT_EQ(all.texts(), (std::vector<std::string>{"123456789", "12\n4567", "ok", "z"}));
  ASSERT_EQ(all.bad.size(), 5u);
  EXPECT_EQ(all.bad[0].line, 3u);
  EXPECT_NE(all.bad[3].what.find("a quote is not closed"), std::string::npos);
  EXPECT_EQ(all.bad[1].line, 6u);
  EXPECT_EQ(all.bad[2].line, 8u);
  EXPECT_EQ(all.bad[3].line, 10u);
  EXPECT_EQ(all.bad[4].line, 11u);
}

TEST_F(RecordsTest, EmptyFiles) {
  for (Format f : {Format::lines, Format::paragraphs, Format::file, Format::jsonl}) {
    SourceOptions o;
    o.format = f;
    All all = of("", o);
    EXPECT_EQ(all.rows.size() + all.bad.size(), 0u);
    EXPECT_EQ(all.error, "");
  }
  SourceOptions o;
  o.format = Format::csv;
  EXPECT_NE(of("", o).error.find("is empty"), std::string::npos);
  EXPECT_EQ(of("text\n", o).rows.size(), 0u);
  o.format = Format::parquet;
  EXPECT_NE(of("", o).error.find("is not Parquet"), std::string::npos);
}

TEST_F(RecordsTest, WhatCannotBeOpenedSaysWhy) {
  SourceOptions o;
  EXPECT_NE(readAll(dir + "/none", o).error.find("none: cannot be opened: No such file"),
            std::string::npos);
  EXPECT_NE(readAll(dir, o).error.find("is a directory"), std::string::npos);
  EXPECT_NE(of("\xff\xfeh\0i\0", o).error.find("is UTF-16"), std::string::npos);
  o.maxRecord = 0;
  EXPECT_NE(of("a", o).error.find("is 0; it can be 1 to"), std::string::npos);
  o = {};
  o.format = Format::csv;
  EXPECT_NE(of("a,b\n", o).error.find("there is no column `text`; the file has `a`, `b`"),
            std::string::npos);
  EXPECT_NE(of("text,b,b\n", o).error.find("two columns have the name `b`"), std::string::npos);
  EXPECT_NE(of("text,\"b\nc,d\n", o).error.find("a quote is not closed"), std::string::npos);
  o.columns = {"b", "x"};
  EXPECT_NE(of("text,b\n", o).error.find("no column `x`; the file has `text`, `b`"),
            std::string::npos);
  o.delimiter = '"';
  EXPECT_NE(of("text,b\n", o).error.find("delimiter"), std::string::npos);
}

// A file that is cut at any byte yields its first rows, then an error that names it.
TEST_F(RecordsTest, CutFiles) {
  for (const char *name : {"utf8.jsonl.gz", "utf8.jsonl.zst", "whole.txt.gz", "zstd_2.0.parquet",
                           "gzip_1.0.parquet"}) {
    SCOPED_TRACE(name);
    std::string path = std::string(INPUTS "/") + name, bytes = *readFile(path);
    SourceOptions o = optionsOf(parseFile(path + ".expected")["options"]);
    All whole = readAll(path, o);
    size_t most = 0;
    for (size_t cut = 20; cut < bytes.size(); cut += 37) {
      std::string at = put(bytes.substr(0, cut));
      All part = readAll(at, o);
      bool frame =
          std::string(name).ends_with("zst") && part.error.empty(); // cut between two frames
      EXPECT_TRUE(part.error.starts_with(at + ": ") || frame) << part.error;
      ASSERT_LE(part.rows.size(), whole.rows.size());
      EXPECT_TRUE(std::equal(part.rows.begin(), part.rows.end(), whole.rows.begin()));
      most = std::max(most, part.rows.size());
    }
    if (o.format == Format::jsonl)
      EXPECT_GT(most, 5u);
  }
}

// The same for long streams and every format: nothing but whole records is delivered.
TEST_F(RecordsTest, CutStreams) {
  std::mt19937 draw(11);
  std::string text = "n,text\n";
  while (text.size() < 700000) {
    text += std::to_string(draw()) + (draw() % 3 ? ",\"" : ",\"x\n\n\"\"");
    for (int i = int(draw() % 60); i > 0; --i)
      text += std::to_string(draw()) + (draw() % 9 ? " " : "\n");
    text += "\"\n";
  }
  std::string packed(ZSTD_compressBound(text.size()), 0);
  packed.resize(ZSTD_compress(packed.data(), packed.size(), text.data(), text.size(), 3));
  for (Format format : {Format::lines, Format::paragraphs, Format::csv, Format::file}) {
    SourceOptions o;
    o.format = format;
    o.blockBytes = 10000;
    All whole = of(packed, o);
    EXPECT_EQ(whole.rows, of(text, o).rows);
    EXPECT_EQ(whole.error, "");
    for (size_t tenth = 1; tenth < 10; ++tenth) {
      All part = of(packed.substr(0, packed.size() * tenth / 10), o);
      EXPECT_NE(part.error.find("cut short"), std::string::npos) << part.error;
      ASSERT_LE(part.rows.size(), whole.rows.size());
      EXPECT_TRUE(std::equal(part.rows.begin(), part.rows.end(), whole.rows.begin()));
      EXPECT_TRUE(part.bad.empty());
      EXPECT_GE(double(part.rows.size()),
                double(whole.rows.size() - 1) * (double(tenth) / 10 - .3));
    }
  }
}

// Any byte of a Parquet file may be wrong: no crash, and most rows before the place are right.
TEST_F(RecordsTest, DamagedParquet) {
  for (const char *name :
       {"zstd_2.0.parquet", "none_1.0.parquet", "delta_byte_array_2.0.parquet"}) {
    std::string bytes = *readFile(std::string(INPUTS "/") + name);
    SourceOptions o;
    o.format = Format::parquet;
    size_t errors = 0, partial = 0, tried = 0;
    for (size_t i = 4; i < bytes.size(); i += 11) {
      std::string damaged = bytes;
      damaged[i] ^= char(1 << i % 8);
      All all = of(damaged, o);
      ++tried;
      errors += !all.error.empty();
      partial += !all.error.empty() && !all.rows.empty();
    }
    EXPECT_GT(errors, tried / 4) << name;
    EXPECT_GT(partial, 10u) << name;
  }
}

TEST_F(RecordsTest, UnsupportedParquetSaysSo) {
  SourceOptions o;
  o.format = Format::parquet;
  o.text = "i32";
  EXPECT_NE(readAll(INPUTS "/none_1.0.parquet", o).error.find("column `i32` is not of strings"),
            std::string::npos);
  o.text = "body";
  EXPECT_NE(readAll(INPUTS "/none_1.0.parquet", o)
                .error.find("no column `body`; the file has `id`, `text`"),
            std::string::npos);
  EXPECT_NE(of("PARE" + std::string(20, 0) + "PARE", o).error.find("encrypted"), std::string::npos);
}

TEST_F(RecordsTest, BombsAreRefused) {
  SourceOptions o;
  o.format = Format::parquet;
  // Each of the pages is small; what a dictionary or equal levels stand for is not.
  All all = readAll(INPUTS "/zstd_1.0.parquet", o, {.ratio = 1, .ratioFrom = 3000});
  EXPECT_NE(all.error.find("as a decompression bomb does"), std::string::npos) << all.error;
}

} // namespace
