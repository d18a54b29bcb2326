// Ids, places and texts of strings that are hard, as the package `tokenizers` has them (Inputs/*.jsonl, written by
// test/bench/tokenizer.py --write, which also compares 100,000 drawn ones where the package is installed).
#include "runtime/tokenizer/Tokenizer.h"
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

using namespace r1rt::tokenizer;
using nlohmann::json;

namespace {

Encoder input(const std::string &name) {
  auto t = Encoder::open(std::string(R1_INPUTS) + "/" + name + ".json");
  EXPECT_TRUE(t) << t.status().message();
  return t.take();
}

std::vector<int32_t> encode(const Encoder &t, std::string_view text, bool addSpecial = false,
                            bool specialIsText = false) {
  std::vector<int32_t> ids;
  t.encode(text, ids, addSpecial, specialIsText);
  return ids;
}

class Expected : public testing::TestWithParam<std::string> {};

TEST_P(Expected, IdsPlacesAndTextsAreThePackages) {
  const Encoder t = input(GetParam());
  std::ifstream in(std::string(R1_INPUTS) + "/" + GetParam() + ".jsonl");
  std::string line;
  ASSERT_TRUE(std::getline(in, line)) << "no expected lines";
  int count = 0;
  for (; std::getline(in, line); ++count) {
    const json want = json::parse(line);
    const std::string text = want["of"];
    std::vector<Piece> pieces;
    t.encode(text, pieces);
    json ids = json::array(), places = json::array();
    for (const Piece &p : pieces) {
      ids.push_back(p.id);
      places.push_back({p.begin, p.end});
    }
    EXPECT_EQ(ids, want["ids"]) << text;
    EXPECT_EQ(places, want["places"]) << text;
    EXPECT_EQ(json(encode(t, text)), want["ids"]) << text;
    const std::vector<int32_t> with = encode(t, text, true);
    EXPECT_EQ(json(with), want["with"]) << text;
    EXPECT_EQ(json(encode(t, text, false, true)), want["as_text"]) << text;
    EXPECT_EQ(t.decode(with), want["text"].get<std::string>());
    EXPECT_EQ(t.decode(with, false), want["all"].get<std::string>());
  }
  EXPECT_EQ(count, 24);
}

std::vector<std::string> names() {
  std::vector<std::string> out;
  for (auto &entry : std::filesystem::directory_iterator(R1_INPUTS))
    if (entry.path().extension() == ".jsonl")
      out.push_back(entry.path().stem().string());
  std::sort(out.begin(), out.end());
  return out;
}
INSTANTIATE_TEST_SUITE_P(All, Expected, testing::ValuesIn(names()), [](auto &info) { return info.param; });

TEST(Encoder, KindsAreThere) { EXPECT_EQ(names().size(), 17u); }

// The alphabet of a byte-level vocabulary is whole, so that any text comes back.
TEST(Encoder, ByteLevelComesBack) {
  for (const char *name : {"gpt2", "llama3", "gpt4o", "deepseek", "starcoder"}) {
    const Encoder t = input(name);
    std::mt19937 draw(3);
    for (int i = 0; i < 300; ++i) {
      std::string text;
      for (int n = int(draw() % 40); n >= 0; --n)
        text += i % 2 ? std::string(1, char(draw() % 128)) : std::string("\xF0\x9F\x98\x80 \xC3\xA9\xE6\x95\xB0\n", draw() % 2 ? 5 : 11);
      std::string alone;
      const std::vector<int32_t> ids = encode(t, text, false, true);
      for (int32_t id : ids)
        alone += t.bytesOf(id);
      EXPECT_EQ(t.decode(ids, false), text);
      EXPECT_EQ(alone, text);
    }
  }
}

TEST(Encoder, WhatIsNotUtf8IsReplaced) {
  const Encoder t = input("gpt2");
  // "E2 82" is one, "ED A0 80" three, as text::repairUtf8 has it.
  const std::string bad = "a\xE2\x82z\xED\xA0\x80\xFF", good = "a\uFFFDz\uFFFD\uFFFD\uFFFD\uFFFD";
  EXPECT_EQ(encode(t, bad), encode(t, good));
  std::vector<Piece> pieces;
  t.encode(bad, pieces);
  ASSERT_EQ(pieces.front(), (Piece{t.tokenToId("a"), 0, 1}));
  EXPECT_EQ(pieces[1].begin, 1u);
  EXPECT_EQ(pieces[1].end, 3u);
  EXPECT_EQ(pieces.back().begin, 7u);
  EXPECT_EQ(pieces.back().end, 8u);
}

// A quadratic one would not end: a megabyte as one piece, of letters with many merges and with few.
TEST(Encoder, LongPieces) {
  std::string mixed;
  std::mt19937 draw(1);
  while (mixed.size() < (1 << 20))
    mixed += "etaoin"[draw() % 6];
  for (const char *name : {"gpt2", "llama3", "bert", "llama2", "words"}) {
    const Encoder t = input(name);
    for (const std::string &text : {std::string(1 << 20, 'a'), mixed, std::string(1 << 20, ' '), std::string(1 << 20, '\n')}) {
      const std::vector<int32_t> ids = encode(t, text);
      if (std::string_view(name) == "gpt2" || std::string_view(name) == "llama3")
        EXPECT_EQ(t.decode(ids), text);
    }
  }
}

// A short piece is merged by looking at all pairs, a long one by a heap: a word within many others has the tokens
// that it has alone, if nothing merges over its ends.
TEST(Encoder, LongPiecesMergeLikeShortOnes) {
  const Encoder t = input("gpt2");
  std::mt19937 draw(2);
  for (int i = 0; i < 200; ++i) {
    std::string part;
    for (int n = int(draw() % 30) + 2; n > 0; --n)
      part += "etaoinshr"[draw() % 9];
    // Q follows nothing in the merges of this vocabulary, and nothing follows it.
    std::string text;
    std::vector<int32_t> want;
    for (int n = 0; n < 8; ++n) {
      text += "Q" + part;
      want.push_back(t.tokenToId("Q"));
      for (int32_t id : encode(t, part))
        want.push_back(id);
    }
    EXPECT_EQ(encode(t, text), want) << part;
  }
}

// What a thread remembers does not show: other tokenizers, other threads, more words than are kept.
TEST(Encoder, ThreadsAndWhatCameBeforeDoNotMatter) {
  const Encoder gpt2 = input("gpt2"), bert = input("bert"), llama2 = input("llama2");
  auto all = [&] {
    std::vector<int32_t> ids;
    std::mt19937 draw(4);
    for (int i = 0; i < 60000; ++i) {
      std::string word = " " + std::to_string(draw());
      (i % 3 == 0 ? gpt2 : i % 3 == 1 ? bert : llama2).encode(word + "abcdefghijklmnopq" + word, ids);
    }
    return ids;
  };
  const std::vector<int32_t> once = all();
  std::vector<int32_t> others[3];
  std::vector<std::thread> threads;
  for (auto &ids : others)
    threads.emplace_back([&] { ids = all(); });
  for (std::thread &thread : threads)
    thread.join();
  for (auto &ids : others)
    EXPECT_EQ(ids, once);
  EXPECT_EQ(all(), once);
}

TEST(Encoder, Roles) {
  const Encoder t = input("bert");
  EXPECT_EQ(t.roles().pad, t.tokenToId("[PAD]"));
  EXPECT_EQ(t.roles().mask, t.tokenToId("[MASK]"));
  EXPECT_EQ(t.roles().cls, t.tokenToId("[CLS]"));
  EXPECT_EQ(t.roles().sep, t.tokenToId("[SEP]"));
  EXPECT_EQ(t.roles().unk, t.tokenToId("[UNK]"));
  EXPECT_EQ(t.roles().eos, -1);
  EXPECT_TRUE(t.isSpecial(t.roles().mask));
  EXPECT_FALSE(t.isSpecial(t.tokenToId("a")));
  EXPECT_EQ(t.tokenToId("no such token"), -1);
  EXPECT_EQ(t.idToToken(t.roles().mask), "[MASK]");
  EXPECT_EQ(t.idToToken(t.vocabSize()), "");
  EXPECT_EQ(t.idToToken(-1), "");
  EXPECT_EQ(t.decode(std::vector<int32_t>{-5, 1 << 30}), "");
}

} // namespace
