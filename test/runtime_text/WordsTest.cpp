// Words against spaCy's (expected/words.jsonl, written by test/bench/data_rules.py --write); Chinese.
#include "TestRules.h"
#include "runtime/text/Analysis.h"
#include "runtime/text/Utf8.h"
#include "runtime/text/Words.h"

using namespace r1rt::text;
using nlohmann::json;

namespace {

std::vector<std::string> wordsOf(const std::string &text) {
  WordSplitter splitter;
  Words words;
  splitter.split(text, words);
  std::vector<std::string> out;
  for (const Word &w : words.list)
    out.emplace_back(w.of(text));
  return out;
}

using List = std::vector<std::string>;

} // namespace

TEST(Words, AreThoseOfSpacy) {
  std::ifstream in(R1_EXPECTED "/words.jsonl");
  std::string line;
  ASSERT_TRUE(std::getline(in, line));
  int count = 0;
  WordSplitter splitter;
  Words words;
  for (; std::getline(in, line); ++count) {
    json expected = json::parse(line);
    std::string text = expected["text"];
    for (int again = 0; again < 2; ++again) { // the second time from memory
      splitter.split(text, words);
      json mine = json::array();
      for (const Word &w : words.list)
        mine.push_back(w.of(text));
      EXPECT_EQ(mine, expected["words"]) << text;
    }
  }
  EXPECT_GE(count, 1000);
}

TEST(Words, ChineseIsSplitByCharacters) {
  EXPECT_EQ(wordsOf("我们用C++写。Hello世界!"), (List{"我", "们", "用", "C++", "写", "。", "Hello", "世", "界", "!"}));
  EXPECT_EQ(wordsOf("カタカナ　ひら"), (List{"カ", "タ", "カ", "ナ", "ひ", "ら"}));
}

TEST(Words, WhiteSpaceIsUnicodes) {
  EXPECT_EQ(wordsOf("a\u00a0b\u2003c\u3000d\u0085e\x1c" "f\ng"), (List{"a", "b", "c", "d", "e", "f", "g"}));
  EXPECT_EQ(wordsOf("\u200bz"), (List{"\u200bz"})); // not white space
}

TEST(Words, MeasuresAreOfTheWords) {
  WordSplitter splitter;
  Words words;
  splitter.split("Don't — 3 naïve … 中", words); // Do n't — 3 naïve … 中
  ASSERT_EQ(words.size(), 7u);
  EXPECT_EQ(words.plain, 5u);                  // without — and …
  EXPECT_EQ(words.plainChars, 2u + 3 + 1 + 5 + 1);
  EXPECT_EQ(words.alpha, 4u);
}

TEST(Words, WhatIsNotUtf8IsASymbol) {
  EXPECT_EQ(wordsOf("a \xE4\xB8 \xFF\xFE b"), (List{"a", "\xE4\xB8", "\xFF", "\xFE", "b"}));
  for (std::string end : {"\xC2", "\xE3\x80", "\xF0\x9F\x98", "\xE2"}) // the text ends inside of a character
    EXPECT_EQ(wordsOf("x" + end), (List{"x", end}));
}

TEST(Words, NeitherPlaceNorMemoryShows) {
  // Pieces of each number of words and length that is remembered, or is not; ends of blocks of 64 bytes fall anywhere.
  const List pieces = {"a", "word", "word,", "(word),", "\"(don't)\";", "internationalisation", std::string(63, 'x'),
                       std::string(64, 'x'), std::string(200, 'y'), "naïve", "Ωμέγα.", "中", "http://x.org/a?b", "...",
                       "12%"};
  WordSplitter splitter;
  Words words;
  uint64_t draw = 1;
  for (int t = 0; t < 500; ++t) {
    std::string text;
    List expected;
    for (int i = 0; i < t % 40; ++i) {
      draw = draw * 6364136223846793005u + 1442695040888963407u;
      const std::string &piece = pieces[(draw >> 33) % pieces.size()];
      text += piece + (draw >> 60 ? " " : " \n ");
      for (std::string &w : wordsOf(piece))
        expected.push_back(std::move(w));
    }
    if (t % 2 && !text.empty())
      text.pop_back();
    splitter.split(text, words);
    ASSERT_EQ(words.size(), expected.size()) << text;
    for (size_t i = 0; i < words.size(); ++i) {
      const Word &w = words.list[i];
      ASSERT_EQ(w.of(text), expected[i]) << text;
      EXPECT_EQ(w.hash, hashOfWord(expected[i]));
      EXPECT_EQ(w.chars, countChars(expected[i]));
    }
  }
}

TEST(Words, HashesThatWereMadeEqualDoNotShow) {
  // Pairs of one hash: of two lengths, and of one length (found by inverting the finalizer).
  const std::pair<std::string, std::string> pairs[] = {{"CFUyRYQbchzjukc,", "AAADADAA"},
                                                       {"ZwceccAtaaqmnuf,", "DABAAAAAfczecodi"}};
  for (auto &[a, b] : pairs) {
    ASSERT_EQ(hashOfWord(a), hashOfWord(b));
    for (auto &[before, now] : {std::pair{a, b}, std::pair{b, a}}) {
      const List expected = wordsOf(now);
      WordSplitter splitter;
      Words words;
      splitter.split("This is " + before + " the text of", words);
      const std::string text = "This is the text of " + now;
      splitter.split(text, words);
      List mine;
      for (const Word &w : words.list)
        mine.emplace_back(w.of(text));
      mine.erase(mine.begin(), mine.begin() + 5);
      EXPECT_EQ(mine, expected) << "after " << before;
    }
  }
}

TEST(Words, SentencesAreCounted) {
  auto sentences = [](const std::string &text) {
    WordSplitter splitter;
    Words words;
    splitter.split(text, words);
    return countSentences(words.list.data(), words.size());
  };
  EXPECT_EQ(sentences(""), 1u);
  EXPECT_EQ(sentences("no end"), 1u);
  EXPECT_EQ(sentences("One. Two? Three!"), 3u);
  EXPECT_EQ(sentences("\"One.\" Two?! (Three.)"), 3u);
  EXPECT_EQ(sentences("Mr. Smith went."), 1u);
  EXPECT_EQ(sentences("第一。第二！"), 2u);
}

TEST(Analysis, LinesAndParagraphs) {
  using Views = std::vector<std::string_view>;
  Analysis a;
  a.reset("a\n\nb\r\nc\u2028d\n");
  EXPECT_EQ(a.lines(), (Views{"a", "", "b\r", "c\u2028d", ""}));
  EXPECT_EQ(a.unicodeLines(), (Views{"a", "", "b", "c", "d"}));
  EXPECT_EQ(a.chars(), 10u);
  a.reset("“a”\x1D" "b\u0085c…\r\n"); // other characters that begin with the bytes of line ends
  EXPECT_EQ(a.unicodeLines(), (Views{"“a”", "b", "c…"}));
  a.reset(" \n\na\nb\n\n\n\nc\n\n");
  EXPECT_EQ(a.paragraphs(), (Views{"a\nb", "c"}));
  a.reset("");
  EXPECT_EQ(a.lines(), Views{""});
  EXPECT_EQ(a.unicodeLines(), Views{});
  EXPECT_EQ(a.paragraphs(), Views{""});
}
