#include "runtime/dedup/Signature.h"
#include "runtime/state/Philox.h"
#include <algorithm>
#include <bit>
#include <cmath>
#include <fstream>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

using namespace r1rt;
using namespace r1rt::dedup;

TEST(Normalise, Rule) {
  EXPECT_EQ(normalise("  Don't\tPANIC -- it's 42%!\r\n"), "don t panic it s 42");
  EXPECT_EQ(normalise("ÉCOLE «Über» … ½ €5"), "école über ½ 5");
  EXPECT_EQ(normalise("一种“方法”，包括：\xE3\x80\x80步骤。"), "一种 方法 包括 步骤");
  EXPECT_EQ(normalise(std::string_view("a\0b\xff\xfe\xc3", 6)), "a b");
  EXPECT_EQ(normalise("Ⱥ"), "ⱥ"); // two bytes become three
  EXPECT_EQ(normalise("soft\u00ADhyphen \uFEFFmark"), "softhyphen mark");
  EXPECT_EQ(normalise("ΣΑΣ σας"), "σασ σασ"); // case folding has one small sigma
  EXPECT_EQ(normalise("!?"), "");
}

TEST(Normalise, Folding) {
  const Form form;
  EXPECT_EQ(normalise("Café naïve ÅNGSTRÖM Ἀθῆναι", form), "cafe naive angstrom αθηναι");
  EXPECT_EQ(normalise("e\u0301 = é", form), "e e");
  EXPECT_EQ(normalise("3.14, 1,234,567; v1.5b 1.2.3 x4y", form), "0 0 0 v0b 0 0 x0y");
  EXPECT_EQ(normalise("٣٫١٤ １２", form), "0 0");
  EXPECT_EQ(normalise("第12章 3。4", form), "第0章 0 0");
  EXPECT_EQ(normalise("3.14 é", {Units::words, true, false}), "0 é");
  EXPECT_EQ(normalise("3.14 é", {Units::words, false, true}), "3 14 e");
}

/// What datatrove's simplify_text made of texts that test/bench/data_simplify.py holds.
TEST(Normalise, FoldedIsSimplifyText) {
  std::ifstream file(EXPECTED "/simplify.jsonl");
  std::string line;
  ASSERT_TRUE(std::getline(file, line)); // the version
  int texts = 0;
  for (; std::getline(file, line); ++texts) {
    auto row = nlohmann::json::parse(line);
    EXPECT_EQ(normalise(row["text"].get<std::string>(), {}), row["normal"].get<std::string>())
        << row["text"];
  }
  EXPECT_GT(texts, 90);
}

/// Texts drawn from what the fast and the slow way part at: the hashes of hashUnits, the spans and the
/// units of the normal form, which is built here character by character, say the same.
TEST(Normalise, FastAndSlowWayAgree) {
  const char *pieces[] = {"a", "Zebra", "9", " ", "  ", "\t", "\n", "-", "'", "\x01", "\x7f", "É", "ß",
                          "训练", "あ", "\xE3\x80\x80", "\u00AD", "…", "\xff", "\xe4\xbd", "Ⱥ", "word", ",",
                          "internationalisation", "Supercalifragilisticexpialidocious", "😀"};
  MinHash::Scratch s;
  for (uint64_t t = 0; t < 20000; ++t) {
    std::string text;
    const uint32_t kinds = t % 3 ? uint32_t(std::size(pieces)) : 11; // every third is ASCII
    for (uint32_t i = 0; i < philox(51, t)[0] % 60; ++i)
      text += pieces[philox(52, t << 8 | i)[0] % kinds];
    const std::string_view normal = normalise(text, unfolded, s.text);
    std::string slow; // each character alone between two letters
    bool space = false;
    for (size_t i = 0; i < text.size();) {
      size_t n = 1; // of a character, by its first byte
      for (unsigned char lead = text[i]; n < 4 && lead >= 0xC0 && lead << n & 0x80 && i + n < text.size() &&
                                         (text[i + n] & 0xC0) == 0x80;)
        ++n;
      std::string_view c(text.data() + i, n);
      i += n;
      const std::string between = normalise("x" + std::string(c) + "x");
      if (between == "x x") {
        space = true;
        continue;
      }
      const std::string one = between.substr(1, between.size() - 2);
      if (one.empty())
        continue;
      if (space && !slow.empty())
        slow += ' ';
      space = false;
      slow += one;
    }
    ASSERT_EQ(normal, slow) << text;
    for (Units units : {Units::words, Units::characters}) {
      std::vector<std::string_view> list = unitsOf(normal, units);
      std::vector<UnitSpan> spans = unitSpans(text, units);
      std::vector<uint64_t> hashes, one;
      hashUnits(text, {units, false, false}, s.text, hashes);
      ASSERT_EQ(spans.size(), list.size());
      ASSERT_EQ(hashes.size(), list.size());
      for (size_t i = 0; i < list.size(); ++i) {
        ASSERT_EQ(normalise(text.substr(spans[i].begin, spans[i].end - spans[i].begin)), list[i]);
        hashUnits(list[i], {units, false, false}, s.text, one);
        ASSERT_EQ(one, std::vector<uint64_t>{hashes[i]});
      }
    }
  }
}

/// No two of 300,000 short words share a hash, not even in half of its bits more often than chance.
TEST(Units, HashesOfWordsAreSpread) {
  std::string text;
  for (int i = 0; i < 300000; ++i)
    text += "w" + std::to_string(i) + " ";
  TextScratch s;
  std::vector<uint64_t> hashes;
  hashUnits(text, unfolded, s, hashes);
  ASSERT_EQ(hashes.size(), 300000u);
  for (int shift : {0, 32}) {
    std::vector<uint32_t> half;
    for (uint64_t h : hashes)
      half.push_back(uint32_t(h >> shift));
    std::sort(half.begin(), half.end());
    long same = half.end() - std::unique(half.begin(), half.end());
    EXPECT_NEAR(double(same), 10.5, 13); // 300000^2 / 2 / 2^32, 4 standard deviations
  }
  std::sort(hashes.begin(), hashes.end());
  EXPECT_EQ(std::unique(hashes.begin(), hashes.end()), hashes.end());
}

TEST(Units, ChineseByCharacters) {
  auto text = [](std::string_view s, Units u) {
    std::string out;
    for (std::string_view unit : unitsOf(s, u))
      out.append(unit) += '|';
    return out;
  };
  EXPECT_EQ(text("用gpt4训练 the model", Units::words), "用|gpt4|训|练|the|model|");
  EXPECT_EQ(text("ab 训练", Units::characters), "a|b|训|练|");
  EXPECT_EQ(text("", Units::words), "");
}

TEST(Shingles, RollingEqualsDirect) {
  std::vector<uint64_t> units, rolled, direct;
  for (uint64_t i = 0; i < 50; ++i)
    units.push_back(philox(1, i)[0] * 0x9E3779B97F4A7C15u);
  shingleHashes(units, 5, rolled);
  ASSERT_EQ(rolled.size(), 46u);
  for (size_t i = 0; i < rolled.size(); ++i) {
    shingleHashes({units.begin() + ptrdiff_t(i), units.begin() + ptrdiff_t(i) + 5}, 5, direct);
    EXPECT_EQ(rolled[i], direct.at(0)) << i;
  }
  shingleHashes({1, 2}, 5, rolled);
  EXPECT_EQ(rolled.size(), 1u); // shorter than n: the whole is one shingle
  shingleHashes({}, 5, rolled);
  EXPECT_TRUE(rolled.empty());
}

TEST(MinHash, RefusesBadOptions) {
  EXPECT_NE(MinHash::create({.ngram = 0}).status().message().find("ngram is 0"), std::string::npos);
  EXPECT_NE(MinHash::create({.bands = 0}).status().message().find("bands is 0"), std::string::npos);
  EXPECT_FALSE(MinHash::create({.bands = 1024, .rows = 8}));
}

TEST(MinHash, EmptyTextHasNoSignature) {
  MinHash m = MinHash::create({}).take();
  MinHash::Scratch s;
  std::vector<uint32_t> sig(112, 7);
  EXPECT_FALSE(m.sign(" ... ", s, sig));
  EXPECT_EQ(sig, std::vector<uint32_t>(112, 7));
  EXPECT_TRUE(m.sign("word", s, sig));
}

/// Against the definition, one permutation at a time; bands * rows not a multiple of the lanes,
/// and more shingles than one piece.
TEST(MinHash, MinimaAreMinima) {
  MinHash m = MinHash::create({.bands = 3, .rows = 7}).take();
  MinHash::Scratch s;
  std::vector<uint64_t> shingles;
  for (uint64_t i = 0; i < 5000; ++i)
    shingles.push_back(uint64_t(philox(2, i)[0]) << 32);
  std::vector<uint32_t> all(21), least(21, ~0u), one(21);
  m.signShingles(shingles, s, all);
  for (uint64_t x : shingles) {
    m.signShingles(std::span(&x, 1), s, one);
    for (int p = 0; p < 21; ++p)
      least[p] = std::min(least[p], one[p]);
  }
  EXPECT_EQ(all, least);
}

/// 1 - (1 - s^8)^14 at seven similarities, 40000 pairs each of exactly that Jaccard similarity. The
/// interval holds a right implementation with 1 - 7e-5 at each (4 standard deviations).
TEST(MinHash, CollisionCurve) {
  MinHash m = MinHash::create({}).take();
  MinHash::Scratch s;
  const double curve[][2] = {{.5, .0533}, {.6, .2111}, {.7, .5645}, {.75, .7716},
                             {.8, .9235}, {.85, .9884}, {.9, .9996}};
  const int pairs = 40000;
  uint64_t draw = 0;
  for (auto [sim, expected] : curve) {
    // 200 in the union, of which 200 sim in both; the others are dealt out in turn.
    const int total = 200, common = int(std::lround(total * sim));
    int hits = 0;
    for (int p = 0; p < pairs; ++p) {
      std::vector<uint64_t> a, b;
      for (int i = 0; i < total; ++i) {
        PhiloxBlock r = philox(11, draw++);
        uint64_t x = uint64_t(r[0]) << 32 | r[1];
        if (i < common || i % 2)
          a.push_back(x);
        if (i < common || i % 2 == 0)
          b.push_back(x);
      }
      std::vector<uint32_t> sa(112), sb(112);
      std::vector<uint64_t> ka(14), kb(14);
      m.signShingles(a, s, sa);
      m.signShingles(b, s, sb);
      m.keys(sa, ka);
      m.keys(sb, kb);
      bool hit = false;
      for (int k = 0; k < 14; ++k)
        hit |= ka[k] == kb[k];
      hits += hit;
    }
    double p = 1 - std::pow(1 - std::pow(sim, 8), 14);
    EXPECT_NEAR(p, expected, 6e-5);
    double width = 4 * std::sqrt(p * (1 - p) / pairs) + 1.0 / pairs;
    EXPECT_NEAR(double(hits) / pairs, p, width) << "similarity " << sim;
    printf("similarity %.2f: measured %.4f, theory %.4f\n", sim, double(hits) / pairs, p);
  }
}

/// The same through text: words 5-grams of texts, their true Jaccard known from strings.
TEST(MinHash, PlacesAgreeAsOftenAsJaccardSays) {
  MinHash m = MinHash::create({.foldNumbers = false, .bands = 128, .rows = 8}).take();
  MinHash::Scratch s;
  double sum = 0, truth = 0;
  const int texts = 60;
  for (int t = 0; t < texts; ++t) {
    std::string a, b;
    for (int w = 0; w < 300; ++w) {
      std::string word = "w" + std::to_string(philox(13, uint64_t(t) << 16 | w)[0] % 1000) + " ";
      a += word;
      b += w % 60 == 7 ? "other " : word;
    }
    std::vector<uint32_t> sa(1024), sb(1024);
    ASSERT_TRUE(m.sign(a, s, sa));
    ASSERT_TRUE(m.sign(b, s, sb));
    int same = 0;
    for (int i = 0; i < 1024; ++i)
      same += sa[i] == sb[i];
    sum += same / 1024.0;
    truth += jaccard(shingleSet(a, unfolded, 5), shingleSet(b, unfolded, 5));
  }
  EXPECT_NEAR(truth / texts, 271.0 / 321.0, 0.01); // 5 words replaced spoil 25 of 296 shingles
  EXPECT_NEAR(sum / texts, truth / texts, 4 * std::sqrt(.25 / (1024.0 * texts)) + .002);
}

TEST(SimHash, MajorityOfBits) {
  MinHash::Scratch s;
  EXPECT_EQ(simHash("", {}, 1, s), 0u);
  uint64_t one = simHash("alpha", {}, 1, s);
  EXPECT_EQ(one, shingleSet("alpha", {}, 1).at(0)); // a majority of one
  EXPECT_EQ(simHash("alpha alpha beta", {}, 1, s), one);
  // Against the definition, bit by bit.
  std::string text;
  std::vector<uint64_t> all;
  for (int i = 0; i < 101; ++i) {
    std::string word = {char('a' + i % 26), char('a' + i / 26)};
    text += word + " ";
    all.push_back(shingleSet(word, {}, 1).at(0));
  }
  uint64_t expected = 0;
  for (int bit = 0; bit < 64; ++bit) {
    int count = 0;
    for (uint64_t h : all)
      count += h >> bit & 1;
    expected |= uint64_t(count > 50) << bit;
  }
  EXPECT_EQ(simHash(text, {}, 1, s), expected);
}

/// Every pair at a distance of at most k shares a key in some table: all 1- to 3-bit changes of a few
/// hashes; and at k + 1 some pair does not, so the tables are not trivially coarse.
TEST(SimHashBlocks, FindsAllWithinDistance) {
  SimHashBlocks t = SimHashBlocks::create(3, 3).take();
  ASSERT_EQ(t.tables(), 20u);
  std::vector<uint64_t> ka(20), kb(20);
  auto meet = [&](uint64_t a, uint64_t b) {
    t.keys(a, ka);
    t.keys(b, kb);
    for (size_t i = 0; i < 20; ++i)
      if (ka[i] == kb[i])
        return true;
    return false;
  };
  uint64_t h = 0x0123456789ABCDEF;
  for (int i = 0; i < 64; ++i)
    for (int j = i; j < 64; ++j)
      for (int k = j; k < 64; ++k)
        ASSERT_TRUE(meet(h, h ^ (1ull << i | 1ull << j | 1ull << k)));
  EXPECT_FALSE(meet(h, h ^ (1ull << 2 | 1ull << 13 | 1ull << 24 | 1ull << 35)));
  EXPECT_FALSE(SimHashBlocks::create(8));
}

TEST(Exact, NormalFormDecides) {
  MinHash::Scratch b;
  EXPECT_EQ(exactHash("Hello, World!", b), exactHash("hello   world\n", b));
  EXPECT_NE(exactHash("hello world", b), exactHash("hello worlds", b));
}
