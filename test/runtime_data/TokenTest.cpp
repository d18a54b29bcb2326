#include "runtime/data/Pack.h"
#include "runtime/state/Files.h"
#include "runtime/tokenizer/Tokenizer.h"
#include <random>
#include <sentencepiece_processor.h>
#include <algorithm>
#include <filesystem>
#include <gtest/gtest.h>
#include <set>
#include <unistd.h>

using namespace r1rt;

static Corpus corpusOf(std::vector<std::string> texts) {
  Corpus c;
  for (auto &t : texts)
    c.rows.push_back({t, {}});
  return c;
}

static std::vector<int32_t> encode(const Tokenizer &t, std::string_view s) {
  std::vector<int32_t> ids;
  t.encode(s, ids);
  return ids;
}

TEST(Tokenizer, Bytes) {
  auto t = bytesTokenizer();
  EXPECT_EQ(t->vocab(), 258);
  EXPECT_EQ(encode(*t, "a\xC3\xA9"), (std::vector<int32_t>{97, 0xC3, 0xA9}));
  EXPECT_EQ(t->decode(encode(*t, "a\xC3\xA9")), "a\xC3\xA9");
}

static Corpus english() {
  std::vector<std::string> rows;
  const char *words[] = {"the",  "quick", "brown", "fox",   "jumps",
                         "over", "lazy",  "dog",   "again", "night"};
  for (int i = 0; i < 300; ++i) {
    std::string s;
    for (int k = 0; k < 12; ++k)
      s += std::string(k ? " " : "") + words[(i * 7 + k * k * 3 + i / 5) % 10];
    rows.push_back(s + ".\n\tEnd");
  }
  return corpusOf(rows);
}

TEST(Tokenizer, BpeRoundTripsAndIsDeterministic) {
  auto t = trainBpe(english(), 320, {"<user>"}, {});
  ASSERT_TRUE(t) << t.status().message();
  EXPECT_EQ((*t)->vocab(), 320);
  for (std::string s : {"the quick  brown fox", " leading", "tabs\tand\nlines\r\n",
                        "h\xC3\xA9llo \xF0\x9F\x98\x80 zebra"})
    EXPECT_EQ((*t)->decode(encode(**t, s)), s);
  EXPECT_LT(encode(**t, "the quick brown fox").size(), 12u);
  EXPECT_EQ(encode(**t, "<user>").size(), 1u);
  std::string a = testing::TempDir() + "/r1rt_bpe_" + std::to_string(getpid());
  std::filesystem::create_directories(a);
  ASSERT_TRUE((*t)->save(a));
  auto u = openTokenizer(a);
  ASSERT_TRUE(u) << u.status().message();
  EXPECT_EQ((*u)->vocab(), 320);
  EXPECT_EQ(encode(**u, "the lazy dog"), encode(**t, "the lazy dog"));
  auto again = trainBpe(english(), 320, {"<user>"}, {});
  for (auto &r : english().rows)
    ASSERT_EQ(encode(**again, r.text), encode(**t, r.text));
  // Another byte is noticed, although the model can be read.
  std::string model = *readFile(a + "/tokenizer.model");
  model[model.rfind("lazy")] = 'L';
  ASSERT_TRUE(writeFileAtomic(a + "/tokenizer.model", model));
  auto damaged = openTokenizer(a);
  ASSERT_FALSE(damaged);
  EXPECT_NE(damaged.status().message().find("tokenizer.model` is damaged"), std::string::npos)
      << damaged.status().message();
  std::filesystem::remove_all(a);
}

// Characters and words that mean something to SentencePiece mean nothing in a text.
TEST(Tokenizer, BpeKeepsWhatTheLibraryReserves) {
  const std::string mark = "\xE2\x96\x81"; // U+2581, the library's blank
  Corpus withMarks = english();
  for (int i = 0; i < 100; ++i)
    withMarks.rows.push_back({"the" + mark + "fox " + mark + mark, {}});
  for (const Corpus &c : {english(), withMarks}) {
    auto t = trainBpe(c, 320, {"<user>"}, {});
    ASSERT_TRUE(t) << t.status().message();
    for (std::string s :
         {mark, mark + mark, " " + mark + " ", "the" + mark + "fox", "the " + mark + "fox" + mark,
          mark + "<user>" + mark, std::string("\xE2\x96\x80\xE2\x96\x82\xE2\x96\x85"),
          std::string("\xEF\xBF\xBD"), std::string("a\0b", 3), std::string("<0xE2>"),
          std::string("<unk></s><s>")})
      EXPECT_EQ((*t)->decode(encode(**t, s)), s);
    // Beside it the text is encoded as if it stood alone.
    std::vector<int32_t> want = encode(**t, "the quick");
    std::vector<int32_t> spelt = encode(**t, mark), after = encode(**t, " fox");
    EXPECT_EQ(spelt.size(), 3u);
    want.insert(want.end(), spelt.begin(), spelt.end());
    want.insert(want.end(), after.begin(), after.end());
    EXPECT_EQ(encode(**t, "the quick" + mark + " fox"), want);
  }
  EXPECT_FALSE(trainBpe(english(), 320, {"<a" + mark + "b>"}, {}));
}

// Words are encoded one by one and remembered; the library alone, asked for the whole text, says the same.
TEST(Tokenizer, BpeEncodesAsTheLibraryDoes) {
  std::mt19937 draw(5);
  const char *parts[] = {" ",  "  ", "\n", "the", "there", " a", "is", ".", ",", "ing", "\t", "é", "数据", "🙂",
                         "re", "\xE2\x96\x81", "x", " \n ", "0", "12"};
  Corpus corpus;
  for (int i = 0; i < 400; ++i) {
    std::string text;
    for (int n = int(draw() % 60); n >= 0; --n)
      text += parts[draw() % std::size(parts)];
    corpus.rows.push_back({text, {}});
  }
  auto tok = trainBpe(corpus, 400, {}, [](const std::string &) {});
  ASSERT_TRUE(tok) << tok.status().message();
  std::string dir = testing::TempDir() + "r1rt_bpe_" + std::to_string(getpid());
  std::filesystem::create_directories(dir);
  ASSERT_TRUE((*tok)->save(dir));
  sentencepiece::SentencePieceProcessor sp;
  ASSERT_TRUE(sp.Load(dir + "/tokenizer.model").ok());
  std::filesystem::remove_all(dir);
  for (const Row &row : corpus.rows) {
    if (row.text.find("\xE2\x96\x81") != row.text.npos)
      continue; // the library takes it for a blank
    std::vector<int> expected;
    ASSERT_TRUE(sp.Encode(row.text, &expected).ok());
    for (int again = 0; again < 2; ++again) {
      std::vector<int32_t> ids;
      (*tok)->encode(row.text, ids);
      ASSERT_EQ(ids, std::vector<int32_t>(expected.begin(), expected.end())) << row.text;
    }
  }
}

TEST(Tokenizer, BpeSmallTextAndSmallVocabulary) {
  std::string warning;
  auto t = trainBpe(corpusOf({"ab ab ab"}), 500, {}, [&](const std::string &w) { warning = w; });
  ASSERT_TRUE(t) << t.status().message();
  EXPECT_EQ((*t)->vocab(), 500);
  EXPECT_NE(warning.find("fewer than the 500"), std::string::npos) << warning;
  EXPECT_EQ((*t)->decode(encode(**t, "ab xyz")), "ab xyz");
  auto bad = trainBpe(english(), 200, {}, {});
  ASSERT_FALSE(bad);
  EXPECT_NE(bad.status().message().find("a vocabulary of 200 is too small"), std::string::npos);
  for (int v : {259, 260, 262}) {
    auto tiny = trainBpe(english(), v, {}, {});
    ASSERT_TRUE(tiny) << v << ": " << tiny.status().message();
    EXPECT_EQ((*tiny)->decode(encode(**tiny, "the dog")), "the dog");
  }
}

/// A tokenizer.json of the tests of runtime/tokenizer, as a value of the language names it.
static Result<TokenizerPtr> pretrained(const std::string &name) {
  DataContext ctx;
  return openTokenizer({{"op", "tokenizer"}, {"path", std::string(R1_TOKENIZERS) + "/" + name + ".json"}}, ctx);
}

TEST(Tokenizer, PretrainedKeepsItsFilesAndRoles) {
  auto t = pretrained("llama3");
  ASSERT_TRUE(t) << t.status().message();
  EXPECT_EQ((*t)->beginOfText(), (*t)->special("<|begin_of_text|>"));
  EXPECT_EQ((*t)->endOfText(), (*t)->special("<|end_of_text|>"));
  EXPECT_EQ((*t)->padding(), (*t)->endOfText());
  EXPECT_EQ((*t)->special("the"), -1);
  const std::string text = " The rest\n of it\xF0\x9F\x98\x80<|eot_id|>";
  std::vector<int32_t> ids = encode(**t, text);
  EXPECT_EQ(ids.back(), (*t)->special("<|eot_id|>"));
  std::string alone;
  for (int32_t id : ids)
    alone += (*t)->decode(std::span(&id, 1));
  EXPECT_EQ(alone, text.substr(0, text.find('<')));
  const std::string dir = testing::TempDir() + "r1rt_pretrained_" + std::to_string(getpid());
  std::filesystem::create_directories(dir);
  ASSERT_TRUE((*t)->save(dir));
  auto again = openTokenizer(dir);
  ASSERT_TRUE(again) << again.status().message();
  EXPECT_EQ(encode(**again, text), ids);
  EXPECT_EQ(*(*again)->tokenizerJson(), *readFile(std::string(R1_TOKENIZERS) + "/llama3.json"));
  std::string json = *readFile(dir + "/tokenizer.json");
  ASSERT_TRUE(writeFileAtomic(dir + "/tokenizer.json", json + "\n"));
  auto damaged = openTokenizer(dir);
  ASSERT_FALSE(damaged);
  EXPECT_NE(damaged.status().message().find("tokenizer.json` is damaged"), std::string::npos);
  std::filesystem::remove_all(dir);
  EXPECT_FALSE(pretrained("none"));
}

// As a tokenizer.json ours give the same ids, U+2581 and names of bytes included; the package says the same of
// more texts in test/bench/tokenizer.py.
TEST(Tokenizer, OursAsTokenizerJson) {
  auto trained = trainBpe(english(), 400, {"<user>"}, {});
  ASSERT_TRUE(trained) << trained.status().message();
  for (const TokenizerPtr &t : {*trained, bytesTokenizer({"<user>"})}) {
    auto json = t->tokenizerJson();
    ASSERT_TRUE(json) << json.status().message();
    auto encoder = tokenizer::Encoder::fromJson(*json);
    ASSERT_TRUE(encoder) << encoder.status().message();
    std::mt19937 draw(9);
    const char *parts[] = {" ", "the", "fox", "over", "\n", "jum", "ps.", "\xE2\x96\x81", "\xE6\x95\xB0", "<0x41>", "quickly", "0", "lazy"};
    for (int i = 0; i < 500; ++i) {
      std::string text;
      for (int n = int(draw() % 20); n >= 0; --n)
        text += parts[draw() % std::size(parts)];
      std::vector<int32_t> ids;
      encoder->encode(text, ids);
      ASSERT_EQ(ids, encode(*t, text)) << text;
      ASSERT_EQ(encoder->decode(ids), text);
    }
    EXPECT_TRUE(encoder->isSpecial(t->endOfText()));
    EXPECT_EQ(encoder->tokenToId("<user>"), t->special("<user>"));
  }
  EXPECT_FALSE(bytesTokenizer({"<|pad|>"})->tokenizerJson());
}

namespace {
struct Filled {
  std::vector<int32_t> id, pos, seg, target;
  std::vector<uint8_t> mask;
  Filled(const PackedData &p, uint32_t row)
      : id(p.seq), pos(p.seq), seg(p.seq), target(p.seq), mask(p.seq) {
    p.fill(row, id.data(), pos.data(), seg.data(), target.data(), mask.data());
  }
};
} // namespace
using I = std::vector<int32_t>;
using M = std::vector<uint8_t>;

TEST(Pack, SeparateDocumentsBestFit) {
  // Inputs with end of text: 3, 11 (8 + 3), 5. Rows of 8: [8 of b], [5 of c + 3], [3].
  auto p = packDocuments(corpusOf({"xy", "0123456789", "abcd"}), bytesTokenizer(), 8, true);
  ASSERT_TRUE(p) << p.status().message();
  ASSERT_EQ((*p)->rows(), 3u);
  Filled whole(**p, 0), shared(**p, 1), last(**p, 2);
  EXPECT_EQ(whole.id, (I{256, '0', '1', '2', '3', '4', '5', '6'}));
  EXPECT_EQ(whole.target, (I{'0', '1', '2', '3', '4', '5', '6', '7'})); // the next row's first
  EXPECT_EQ(whole.mask, M(8, 1));
  EXPECT_EQ(shared.id, (I{256, 'a', 'b', 'c', 'd', 256, 'x', 'y'}));
  EXPECT_EQ(shared.target, (I{'a', 'b', 'c', 'd', 256, 'x', 'y', 256}));
  EXPECT_EQ(shared.pos, (I{0, 1, 2, 3, 4, 0, 1, 2}));
  EXPECT_EQ(shared.seg, (I{0, 0, 0, 0, 0, 1, 1, 1}));
  EXPECT_EQ(shared.mask, M(8, 1));
  EXPECT_EQ(last.id, (I{'7', '8', '9', 257, 257, 257, 257, 257}));
  EXPECT_EQ(last.target, (I{'8', '9', 256, 257, 257, 257, 257, 257}));
  EXPECT_EQ(last.seg, (I{0, 0, 0, -1, -1, -1, -1, -1}));
  EXPECT_EQ(last.mask, (M{1, 1, 1, 0, 0, 0, 0, 0}));
  // 16 bytes and 3 ends are predicted.
  EXPECT_EQ((*p)->targets(0) + (*p)->targets(1) + (*p)->targets(2), 19u);
}

// A tokenizer with a begin of text of its own: it is only a first input, and end of text only a last target.
TEST(Pack, BeginAndEndOfText) {
  auto t = pretrained("llama3");
  ASSERT_TRUE(t) << t.status().message();
  const int32_t begin = (*t)->beginOfText(), end = (*t)->endOfText(), a = encode(**t, "a")[0], b = encode(**t, "b")[0];
  auto p = packDocuments(corpusOf({"a", "b"}), *t, 4, true);
  ASSERT_TRUE(p) << p.status().message();
  ASSERT_EQ((*p)->rows(), 1u);
  Filled row(**p, 0);
  EXPECT_EQ(row.id, (I{begin, a, begin, b}));
  EXPECT_EQ(row.target, (I{a, end, b, end}));
  EXPECT_EQ(row.seg, (I{0, 0, 1, 1}));
  EXPECT_EQ(row.mask, M(4, 1));
  auto stream = packDocuments(corpusOf({"a", "b"}), *t, 8, false);
  Filled one(**stream, 0);
  EXPECT_EQ(I(one.id.begin(), one.id.begin() + 5), (I{begin, a, end, begin, b}));
  EXPECT_EQ(one.target[4], end);
}

// Whatever the lengths: each document is predicted in full, once, in order.
TEST(Pack, EveryTokenIsPredictedOnce) {
  for (bool separate : {true, false})
    for (int32_t seq : {1, 2, 7, 16, 64}) {
      std::vector<std::string> texts;
      std::multiset<std::string> want;
      for (int i = 0; i < 40; ++i) {
        texts.push_back(std::string(size_t(1 + i * 13 % 37), char('a' + i % 26)));
        want.insert(texts.back());
      }
      auto p = packDocuments(corpusOf(texts), bytesTokenizer(), seq, separate);
      ASSERT_TRUE(p) << p.status().message();
      // Pieces in the order of the stream give the texts back.
      auto pieces = (*p)->pieces;
      std::sort(pieces.begin(), pieces.end(), [](auto &a, auto &b) { return a.begin < b.begin; });
      std::multiset<std::string> got;
      std::string text;
      uint64_t next = 0;
      for (auto &x : pieces) {
        ASSERT_EQ(x.begin, next); // neither gap nor overlap
        next += x.length;
        for (uint64_t k = x.begin + 1; k <= x.begin + x.length; ++k) {
          int32_t target = (*p)->ids[k];
          if (target == 256) {
            got.insert(text);
            text.clear();
          } else {
            text += char(target);
          }
        }
      }
      EXPECT_EQ(got, want) << seq;
      EXPECT_EQ(next + 1, (*p)->ids.size());
      for (uint32_t r = 0; r < (*p)->rows(); ++r) {
        uint32_t n = 0;
        for (uint32_t k = (*p)->firstPiece[r]; k < (*p)->firstPiece[r + 1]; ++k)
          n += (*p)->pieces[k].length;
        ASSERT_LE(n, uint32_t(seq));
        ASSERT_GE(n, 1u);
      }
    }
}

TEST(Pack, OneStream) {
  auto p = packDocuments(corpusOf({"ab", "cd"}), bytesTokenizer(), 4, false);
  ASSERT_EQ((*p)->rows(), 2u);
  Filled a(**p, 0), b(**p, 1);
  EXPECT_EQ(a.id, (I{256, 'a', 'b', 256}));
  EXPECT_EQ(a.target, (I{'a', 'b', 256, 'c'}));
  EXPECT_EQ(a.seg, I(4, 0));
  EXPECT_EQ(a.mask, M(4, 1));
  EXPECT_EQ(b.id, (I{'c', 'd', 257, 257}));
  EXPECT_EQ(b.target, (I{'d', 256, 257, 257}));
  EXPECT_EQ(b.mask, (M{1, 1, 0, 0}));
}

TEST(Batcher, FillsAndChecks) {
  auto p = packDocuments(corpusOf({"abcdefg"}), bytesTokenizer(), 4, false).take();
  auto f = [](const char *n, r1_dtype t, int64_t T, uint64_t at, int64_t bound) {
    return r1_field{n, t, 2, {2, T}, at, bound};
  };
  std::vector<r1_field> in = {f("x.id", R1_I32, 4, 0, 258), f("x.pos", R1_I32, 4, 64, 4),
                              f("target", R1_I32, 4, 128, 258), f("mask", R1_BOOL, 4, 192, 0)};
  r1_program prog{};
  prog.name = "step";
  prog.inputs = in.data();
  prog.n_inputs = 4;
  auto b = Batcher::create(p, prog);
  ASSERT_TRUE(b) << b.status().message();
  EXPECT_EQ(b->batch(), 2);
  std::vector<char> arena(256);
  EXPECT_EQ(b->fill(arena.data(), [](int64_t r) { return r ? PackedData::noRow : 1u; }), 4u);
  auto *id = reinterpret_cast<int32_t *>(arena.data());
  EXPECT_EQ(I(id, id + 8), (I{'d', 'e', 'f', 'g', 257, 257, 257, 257}));
  auto refuses = [&](const char *what) {
    auto bad = Batcher::create(p, prog);
    ASSERT_FALSE(bad);
    EXPECT_NE(bad.status().message().find(what), std::string::npos) << bad.status().message();
  };
  in[0].bound = 100;
  refuses("values up to 257");
  in[0].bound = 0;
  in[1].bound = 3;
  refuses("longer than the model's positions");
  in[1] = f("x.row", R1_I32, 4, 64, 0);
  refuses("no leaf `x.row`");
  in[1] = f("x.pos", R1_F32, 4, 64, 0);
  refuses("is f32");
  in[1] = f("x.pos", R1_I32, 5, 64, 0);
  refuses("shape [batch, 4]");
}
