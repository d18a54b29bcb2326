#include "runtime/generate/TextStream.h"
#include "runtime/state/Philox.h"
#include <gtest/gtest.h>

using namespace r1rt;
using generate::TextStream;

TEST(TextStream, HoldsBackCutCharacters) {
  TextStream s;
  EXPECT_EQ(s.push("a\xE2"), "a");
  EXPECT_EQ(s.push("\x82"), "");
  EXPECT_EQ(s.push("\xAC!"), "\xE2\x82\xAC!");
  EXPECT_EQ(s.push("\xF0\x9F"), "");
  EXPECT_EQ(s.finish(), "\xEF\xBF\xBD\xEF\xBF\xBD");
  EXPECT_EQ(s.push("\xFFz"), "\xEF\xBF\xBDz");
}

TEST(TextStream, StopsBeforeAStringThatSpansTokens) {
  TextStream s({"\n\n", "STOP"});
  EXPECT_EQ(s.push("a\n"), "a");   // a line break may be the first of two
  EXPECT_EQ(s.push("bS"), "\nb");
  EXPECT_EQ(s.push("TO"), "");
  EXPECT_EQ(s.push("x ST"), "STOx ");
  EXPECT_FALSE(s.stopped());
  EXPECT_EQ(s.push("OPPED"), "");
  EXPECT_TRUE(s.stopped());
  EXPECT_EQ(s.push("more"), "");
  EXPECT_EQ(s.finish(), "");
}

TEST(TextStream, TheFirstOfSeveralCounts) {
  TextStream s({"bc", "b", "abcd"});
  EXPECT_EQ(s.push("xabcd"), "x");
  EXPECT_TRUE(s.stopped());
}

TEST(TextStream, WhatIsCompletedTooEarlyDoesNotCount) {
  TextStream s({"ab"});
  EXPECT_EQ(s.push("ab", false), "ab");
  EXPECT_FALSE(s.stopped());
  EXPECT_EQ(s.push("a", false), "");
  EXPECT_EQ(s.push("b!", true), "");
  EXPECT_TRUE(s.stopped());
}

// However a text is cut into pieces, it ends where the whole text has its first stop string.
TEST(TextStream, PiecesDoNotMatter) {
  for (uint64_t trial = 0; trial < 2000; ++trial) {
    PhiloxBlock b = philox(9, trial);
    auto letters = [&](uint64_t key, size_t n) {
      std::string t;
      for (size_t i = 0; i < n; ++i)
        t += char('a' + philox(key, i)[0] % 2);
      return t;
    };
    std::string text = letters(drawKey(1, trial), b[0] % 24), stop = letters(drawKey(2, trial), 1 + b[1] % 5);
    TextStream s({stop});
    std::string out;
    for (size_t at = 0, i = 0; at < text.size(); ++i) {
      size_t n = 1 + philox(drawKey(3, trial), i)[0] % 3;
      out += s.push(std::string_view(text).substr(at, n));
      at += n;
    }
    out += s.finish();
    size_t first = text.find(stop);
    ASSERT_EQ(out, text.substr(0, first)) << text << " stops before " << stop;
    ASSERT_EQ(s.stopped(), first != std::string::npos);
  }
}
