#include "runtime/text/Masks.h"
#include "runtime/text/Utf8.h"
#include <bit>
#include <gtest/gtest.h>
#include <unicode/ucnv.h>
#include <random>
#include <vector>

using namespace r1rt::text;

namespace {

const std::string bad = "\xEF\xBF\xBD"; // U+FFFD

std::string repaired(std::string text) {
  repairUtf8(text);
  return text;
}

/// ICU's converter, which replaces as WHATWG's decoder does.
std::string byIcu(const std::string &text) {
  UErrorCode code = U_ZERO_ERROR;
  UConverter *utf8 = ucnv_open("UTF-8", &code);
  std::u16string wide(text.size() + 8, u'\0');
  int32_t n = ucnv_toUChars(utf8, wide.data(), int32_t(wide.size()), text.data(), int32_t(text.size()), &code);
  std::string out(size_t(n) * 3 + 8, '\0');
  n = ucnv_fromUChars(utf8, out.data(), int32_t(out.size()), wide.data(), n, &code);
  ucnv_close(utf8);
  EXPECT_TRUE(U_SUCCESS(code)) << u_errorName(code);
  out.resize(size_t(n));
  return out;
}

} // namespace

// The Unicode Standard, section 3.9, tables 3-8 to 3-11.
TEST(Utf8, MaximalPartsAreReplacedOnce) {
  EXPECT_EQ(repaired("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41"), bad + bad + bad + bad + bad + bad + bad + bad + "A");
  EXPECT_EQ(repaired("\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41"), bad + bad + bad + bad + bad + bad + bad + bad + "A");
  EXPECT_EQ(repaired("\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42"), bad + bad + bad + bad + bad + "A" + bad + bad + "B");
  EXPECT_EQ(repaired("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41"), bad + bad + bad + bad + "A");
}

TEST(Utf8, WhatIsRightStays) {
  std::string text = std::string("a\0b", 3) + "é中\U0001F600\U0010FFFF\uD7FF\uE000";
  EXPECT_EQ(findBadUtf8(text), std::string::npos);
  EXPECT_EQ(repairUtf8(text), 0u);
  EXPECT_EQ(countChars(text), 9u);
}

TEST(Utf8, TheFirstBadByteIsFound) {
  EXPECT_EQ(findBadUtf8("12345678901234\xFF"), 14u);
  EXPECT_EQ(findBadUtf8("1234567\xE4\xB8\xAD\xE4\xB8"), 10u); // the character that is cut short
  EXPECT_EQ(findBadUtf8(""), std::string::npos);
}

TEST(Utf8, RepairsAsIcuDoes) {
  std::mt19937 draw(1);
  const unsigned char bytes[] = {0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0,
                                 0xE1, 0xEC, 0xED, 0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFE, 0xFF};
  for (int round = 0; round < 20000; ++round) {
    std::string text;
    for (unsigned n = draw() % 12; n; --n)
      text += char(bytes[draw() % sizeof bytes]);
    std::string mine = text;
    size_t count = repairUtf8(mine);
    ASSERT_EQ(mine, byIcu(text));
    ASSERT_EQ(findBadUtf8(mine), std::string::npos);
    ASSERT_EQ(count == 0, findBadUtf8(text) == std::string::npos);
  }
}

TEST(Masks, SeeEachByteOnce) {
  std::string text;
  for (int i = 0; i < 10000; ++i)
    text += char(i * i % 251 + i % 5);
  for (size_t from = 0; from < 70; ++from)
    for (size_t size : {0, 1, 15, 16, 17, 63, 64, 65, 127, 128, 300, 5000}) {
      const std::string_view part = std::string_view(text).substr(from, size);
      for (char byte : {'\0', ' ', '\n', char(0x80), char(0xFF)}) {
        std::vector<size_t> slow, fast;
        for (size_t i = 0; i < part.size(); ++i)
          if (part[i] == byte)
            slow.push_back(i);
        eachMask(part, [&](auto v) { return v == static_cast<signed char>(byte); }, [&](size_t at, uint64_t mask) {
          for (; mask; mask &= mask - 1)
            fast.push_back(at + size_t(std::countr_zero(mask)));
        });
        ASSERT_EQ(fast, slow) << from << " " << size;
        ASSERT_EQ(countByte(part, byte), slow.size());
      }
    }
}
