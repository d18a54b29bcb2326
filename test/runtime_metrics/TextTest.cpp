#include "runtime/metrics/Answers.h"
#include "runtime/metrics/Characters.h"
#include "runtime/metrics/Spans.h"
#include "runtime/metrics/Summary.h"
#include <cmath>
#include <gtest/gtest.h>

using namespace r1rt::metrics;

namespace {

Texts pair(const std::string &hypothesis, const std::string &reference) { return {{hypothesis}, {{reference}}}; }

template <class Options>
double value(r1rt::Result<Measured> (*f)(const Texts &, const Options &), const Texts &t, const Options &o) {
  auto m = f(t, o);
  EXPECT_TRUE(m) << m.status().message();
  return m ? m->total() : NAN;
}

/// Precision, recall and F1 of one document.
std::vector<double> rougeOf(const Texts &t, const std::string &type, bool stemmer = false) {
  auto m = rouge(t, {type, stemmer});
  EXPECT_TRUE(m);
  std::vector<double> s = m->statistics.sums();
  s.pop_back();
  return s;
}

void expectNear(const std::vector<double> &got, const std::vector<double> &expected, double within) {
  ASSERT_EQ(got.size(), expected.size());
  for (size_t i = 0; i < got.size(); ++i)
    EXPECT_NEAR(got[i], expected[i], within) << i;
}

std::string message(const r1rt::Result<Measured> &m) { return m ? "no error" : m.status().message(); }

// The example of sacreBLEU's README.
const Texts example{{"The dog bit the man.", "It wasn't surprising.", "The man had just bitten him."},
                    {{"The dog bit the man.", "The dog had bit the man."},
                     {"It was not unexpected.", "No one was surprised."},
                     {"The man bit him first.", "The man had bitten the dog."}}};

} // namespace

TEST(Bleu, SacrebleusExample) {
  auto m = bleu(example);
  ASSERT_TRUE(m);
  EXPECT_NEAR(m->total(), 48.530827, 5e-7);
  EXPECT_EQ(m->signature, "nrefs:2|case:mixed|eff:no|tok:13a|smooth:exp");
  EXPECT_NEAR(value(bleu, example, BleuOptions{.tokenizer = "none"}), 49.1919566, 5e-7);
  EXPECT_NEAR(value(bleu, example, BleuOptions{.tokenizer = "intl"}), 43.91623493, 5e-7);
  const double byOrder[] = {77.65, 60.50, 53.93, 48.53, 46.14, 43.28};
  for (int n = 1; n <= 6; ++n)
    EXPECT_NEAR(value(bleu, example, BleuOptions{.order = n}), byOrder[n - 1], 0.005) << n;
}

TEST(Bleu, Tokens) {
  using Words = std::vector<std::string>;
  EXPECT_EQ(*bleuTokens("It costs $1,000.5, a well-known 10-20% rise.", "13a"),
            (Words{"It", "costs", "$", "1,000.5", ",", "a", "well-known", "10", "-", "20", "%", "rise", "."}));
  EXPECT_EQ(*bleuTokens("&quot;A&amp;B&quot; <skipped>end-\nof", "13a"),
            (Words{"\"", "A", "&", "B", "\"", "endof"}));
  EXPECT_EQ(*bleuTokens("我们在 2024年。OK, go", "zh"),
            (Words{"我", "们", "在", "2024", "年", "。", "OK", ",", "go"}));
  // The number at the end keeps its full stop: mteval-v14's known fault.
  EXPECT_EQ(*bleuTokens("«Да», 5 € in 1999.", "intl"),
            (Words{"«", "Да", "»", ",", "5", "€", "in", "1999."}));
  EXPECT_EQ(*bleuTokens("a é 中", "char"), (Words{"a", "é", "中"}));
  EXPECT_EQ(*bleuTokens(" a,b\xC2\xA0" "c ", "none"), (Words{"a,b", "c"}));
  EXPECT_EQ(*bleuTokens("a\xFF b", "none"), (Words{"a\xEF\xBF\xBD", "b"})); // not UTF-8
  EXPECT_TRUE(bleuTokens("", "13a")->empty());
}

TEST(Bleu, WhatCannotBe) {
  EXPECT_EQ(message(bleu({{"a", "b"}, {{"a"}}})),
            "2 hypotheses and references for 1 documents; there has to be one hypothesis for each");
  EXPECT_EQ(message(bleu({{"a", "b"}, {{"a"}, {}}})), "document 1 has no reference to compare with");
  EXPECT_EQ(message(bleu(example, {.tokenizer = "13b"})),
            "BLEU's tokenizer is \"13a\", \"intl\", \"zh\", \"char\" or \"none\", not \"13b\"");
  EXPECT_EQ(message(bleu(example, {.smooth = "yes"})),
            "BLEU's smoothing is \"exp\", \"floor\", \"add-k\" or \"none\", not \"yes\"");
  EXPECT_EQ(message(bleu(example, {.order = 0})), "BLEU counts n-grams of 1 to 16 tokens at most, not 0");
  EXPECT_EQ(message(bleu(example, {.smooth = "floor", .smoothValue = -1})),
            "BLEU's smoothing adds a number of at least 0, not -1");
  EXPECT_EQ(message(chrf(example, {.characters = 0})),
            "chrF counts n-grams of 1 to 32 characters and of 0 to 16 words at most, with a beta of 1 to 100; not 0, "
            "0 and 2");
  EXPECT_EQ(message(rouge(example, {.type = "LSUM"})), "ROUGE's type is \"1\" to \"9\", \"L\" or \"Lsum\", not \"LSUM\"");
  EXPECT_EQ(value(bleu, Texts{}, BleuOptions{}), 0); // of no documents
}

TEST(Chrf, NamesAndSignatures) {
  auto m = chrf(example, {.words = 2});
  EXPECT_EQ(m->name, "chrF2++");
  EXPECT_EQ(m->signature, "nrefs:2|case:mixed|eff:yes|nc:6|nw:2|space:no");
  EXPECT_EQ(value(chrf, pair("same", "same"), ChrfOptions{}), 100);
  EXPECT_EQ(value(chrf, pair("", "same"), ChrfOptions{}), 0);
}

// rouge_score's own tests; the last four lines are of ROUGE 1.5.5, on texts that its authors drew at random.
TEST(Rouge, RougeScoresTests) {
  expectNear(rougeOf(pair("testing", "testing one two"), "1"), {1, 1. / 3, 0.5}, 1e-12);
  expectNear(rougeOf(pair("testing one", "testing one two"), "2"), {1, 0.5, 2. / 3}, 1e-12);
  expectNear(rougeOf(pair("testing two", "testing one two"), "L"), {1, 2. / 3, 0.8}, 1e-12);
  expectNear(rougeOf(pair("w1 w2 w6 w7 w8\nw1 w3 w8 w9 w5", "w1 w2 w3 w4 w5"), "Lsum"), {0.4, 0.8, 1.6 / 3}, 1e-12);
  expectNear(rougeOf(pair("/", "w1"), "Lsum"), {0, 0, 0}, 0);
  const std::string is[] = {
      "ZfbCUIUuePaiLVUlCaUXxkpu XPeWing tUHfPMuZ',-Xd Y BrUgVJing M-HV.-DgdDaY.rFDJCRing Ht-LM EKBDXkME,yz'RBr q'wtion "
      "wIojNbN wL,b .a-'XdQggyFl jB-RPP'iyOIcUxer tKM L",
      "KsJdPByEtAor fE-Qg Dpdbring cw-WeFyu vC MoBL Xdn g wkvcEiGvKtion BDFhrpMtion psing sbKao Q m qiing LMmer "
      "HqqLFXe,XPY,J XsurkMer ,ed nB'wH'bWVHjWFEing tQ.saefZwJtKrTlixYpMMsJing UCAPwNHeYVjDing c T BUySKtion gMPfJpwGw "
      "p'NvxAoping eu pBwMBKV'I DNxqelhu,PHPxDEq,mtion SN"};
  const std::string said[] = {
      "rFDJCRtion Ht-LM EKtDXkME,yz'RBr q'wer wrojNbN wL,b .a-'XdQggyFl jB-RPP'iyOIcUxi",
      "n cw-WeFyu vC MoBL Xdn g wkvcEiGvKtion BDFhrpMer pstion sbKao Q m qier LMmed HqqLFXe,XPY,J XsurkMeo ,ed "
      "nB'wH'bWVHjWFEer tQ.saefZwJtKrTlixYpMMNJtion UCAPwNHeYVjD"};
  expectNear(rougeOf(pair(said[0], is[0]), "1"), {0.68750, 0.40741, 0.51163}, 5e-6);
  expectNear(rougeOf(pair(said[0], is[0]), "2"), {0.53333, 0.30769, 0.39024}, 5e-6);
  expectNear(rougeOf(pair(said[1], is[1]), "1", true), {0.69231, 0.42857, 0.52941}, 5e-6);
  const std::string moreIs =
      "NhETebUbBk'er WOvoHMTjSRizKgH'vHiing Xu,hWxfs VkNE QhgKiLHE -HidivzoM.dO anhtion jbLQiSGDTCsuhREebUaKM dv J dVN "
      "tmbOT\nvMR HDm,xOAetion D,tion HJtodT.mHl UIv-p VjWH'BdyWjnfGU-OjT aEMdFICyLWfQMtion wEMfdOKing AwkeKbO "
      "'DxqNOHBH qKtVvm OYJl mM\n",
                    moreSaid = "xfs VkJE QhgKiLHE -HidivzoM.dO anhing jbLQiSGDTCsuhREebUaKM dv J\n"
                               "VjWH'BdyWjnfGU-OjTNaEMdFICyLWfQMing wEMfdOKijg AwkeKbO 'DxqNO\n";
  expectNear(rougeOf(pair(said[0] + "\n" + said[1] + "\n" + moreSaid, is[0] + "\n" + is[1] + "\n" + moreIs), "Lsum", true),
             {0.66667, 0.36538, 0.47205}, 5e-6);
}

// COCO's ROUGE-L is another number, and does not even agree on what a word is.
TEST(Rouge, CocosIsAnother) {
  auto coco = rougeCoco(pair("the cat sat", "the cat is fat"));
  ASSERT_TRUE(coco);
  const double p = 2. / 3, r = 0.5;
  EXPECT_NEAR(coco->total(), 2.44 * p * r / (r + 1.44 * p), 1e-15);
  EXPECT_NEAR(rougeOf(pair("the cat sat", "the cat is fat"), "L")[2], 2 * p * r / (p + r), 1e-15);
  EXPECT_EQ(coco->name, "ROUGE-L (COCO)");
}

// By hand: two documents of one word each, so idf is log 2 for both and only n = 1 counts: 10 / 4 each.
TEST(Cider, ByHand) {
  auto m = cider({{"cat", "dog"}, {{"cat"}, {"dog"}}});
  ASSERT_TRUE(m);
  EXPECT_NEAR(m->total(), 2.5, 1e-12);
  EXPECT_EQ(cider(pair("a b c d", "a b c d"))->total(), 0); // a single document: idf is log 1
}

TEST(ExactMatch, WhatDoesNotCount) {
  auto normal = [](const std::string &t, const MatchOptions &o) { return normalAnswer(t, o); };
  EXPECT_EQ(normal("  The  cat's\tmat. ", {}), "The cat's mat.");
  EXPECT_EQ(normal("The cat's mat.", {.lowercase = true, .punctuation = true, .articles = true}), "cats mat");
  EXPECT_EQ(normal("theatre a an anthem the", {.articles = true}), "theatre anthem");
  EXPECT_EQ(normal("$1,000.50 and 7.00, 3.10.", {.numbers = true}), "$1000.5 and 7, 3.1.");
  EXPECT_EQ(normal("1, 2,3 4.", {.numbers = true}), "1, 23 4");
  EXPECT_EQ(normal(" a ", {.whitespace = false}), " a ");
  EXPECT_EQ(normal("ÉCOLE", {.lowercase = true}), "école");
  auto m = exactMatch({{"18", "7.0", "no"}, {{"18"}, {"8", "7"}, {"yes"}}}, {.numbers = true});
  ASSERT_TRUE(m);
  EXPECT_NEAR(m->total(), 2. / 3, 1e-15);
  EXPECT_EQ(m->signature, "ignores:numbers,space");
  EXPECT_NEAR(interval(*m).low, wilson(2, 3).low, 0);
}

// Chen et al. 2021 by hand, and against draws: of 10 samples 3 are right, 4 are drawn.
TEST(PassAt, Estimate) {
  EXPECT_EQ(passAt(1, 1, 1), 1);
  EXPECT_EQ(passAt(5, 0, 3), 0);
  EXPECT_NEAR(passAt(10, 3, 1), 0.3, 1e-15);
  EXPECT_NEAR(passAt(10, 3, 4), 1 - 35. / 210, 1e-15);
  EXPECT_NEAR(passAt(200, 1, 100), 0.5, 1e-12);
  EXPECT_EQ(passAt(10, 8, 3), 1);
  auto m = passAt(std::vector<Samples>{{10, 3}, {10, 0}}, 4);
  ASSERT_TRUE(m);
  EXPECT_EQ(m->name, "pass@4");
  EXPECT_EQ(m->signature, "n:10");
  EXPECT_NEAR(m->total(), (1 - 35. / 210) / 2, 1e-15);
  EXPECT_EQ(message(passAt(std::vector<Samples>{{10, 3}, {2, 1}}, 4)),
            "problem 1 has 2 samples, of which 1 are right; pass@4 needs 4 at least");
  EXPECT_EQ(message(passAt(std::vector<Samples>{}, 0)), "pass@k is of 1 sample at least, this is of 0");
}

TEST(Likelihood, Units) {
  const LikelihoodSums s{std::log(2.0) * 30, 10, 5, 40};
  EXPECT_NEAR(likelihood(s, LikelihoodUnit::perplexity), 8, 1e-12);
  EXPECT_NEAR(likelihood(s, LikelihoodUnit::wordPerplexity), 64, 1e-11);
  EXPECT_NEAR(likelihood(s, LikelihoodUnit::bytePerplexity), std::pow(2, 0.75), 1e-13);
  EXPECT_NEAR(likelihood(s, LikelihoodUnit::bitsPerByte), 0.75, 1e-15);
  EXPECT_NEAR(likelihood(s, LikelihoodUnit::loss), 3 * std::log(2.0), 1e-15);
  Measured m = likelihood(std::vector<LikelihoodSums>{s, {0, 10, 5, 40}}, LikelihoodUnit::perplexity, "document");
  EXPECT_NEAR(m.total(), std::pow(2, 1.5), 1e-13);
  Interval i = interval(m);
  EXPECT_NEAR(i.low, 1, 1e-12);
  EXPECT_NEAR(i.high, 8, 1e-12);
}

TEST(Spans, HowTagsAreRead) {
  const std::vector<std::string> tags = {"I-A", "I-A", "I-B", "O", "B-A", "B-A", "I-A", "B"};
  EXPECT_EQ(*spansOf(tags, false), (std::vector<Span>{{"A", 0, 2}, {"B", 2, 3}, {"A", 4, 5}, {"A", 5, 7}, {"_", 7, 8}}));
  EXPECT_EQ(*spansOf(tags, true), (std::vector<Span>{{"A", 4, 5}, {"A", 5, 7}, {"_", 7, 8}}));
  EXPECT_EQ(message(spans(std::vector<std::vector<std::string>>{{"O", "X-A"}},
                          std::vector<std::vector<std::string>>{{"O", "O"}})),
            "row 0: tag 1 is \"X-A\"; IOB2 has O, B-TYPE and I-TYPE");
  EXPECT_EQ(message(spans(std::vector<std::vector<std::string>>{{"O"}}, std::vector<std::vector<std::string>>{{"BA"}})),
            "row 0, predicted: tag 0 is \"BA\"; IOB2 has O, B-TYPE and I-TYPE");
  EXPECT_EQ(message(spans(std::vector<std::vector<std::string>>{{"O"}}, std::vector<std::vector<std::string>>{{}})),
            "row 0 has 1 tags, and 0 are predicted; there has to be one for each");
}

TEST(Characters, AsPython) {
  EXPECT_EQ(lower("ΟΔΟΣ ΣΑΣ. İ"), "οδος σας. i\u0307");
  EXPECT_TRUE(isSpace(0x3000) && isSpace(0x85) && isSpace(0x1C) && isSpace(0xA0));
  EXPECT_FALSE(isSpace(0x200B) || isSpace(0xFEFF) || isSpace(0x180E));
}
