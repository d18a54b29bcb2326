#include "runtime/augment/Augment.h"
#include <chrono>
#include <cstdlib>
#include <gtest/gtest.h>

using namespace r1rt;
using nlohmann::json;

namespace {
const std::string fake = INPUTS "/translator.py";

json spec(const std::string &via = "en-xx", const std::string &back = "xx-en", double seconds = 20) {
  return {{"augment", "back_translate"}, {"via", via}, {"back", back}, {"program", fake}, {"seconds", seconds}};
}
} // namespace

TEST(BackTranslate, ThereAndBack) {
  auto made = Augmenter::create(spec(), "");
  ASSERT_TRUE(made.isOk()) << made.status().message();
  auto a = made.take();
  EXPECT_TRUE(a->isExternal());
  std::string evidence;
  EXPECT_EQ(**a->apply("the dog sat", 0, evidence), "the hound sat");
  EXPECT_EQ(json::parse(evidence), (json{{"via", "en-xx"}, {"back", "xx-en"}, {"program", fake}}));
  // Paragraphs, lines and characters of the stream format stay what they are.
  std::string text = "\n\n  a dog\n  of [two] {x} ^y$ /z\\ @ <b>.\n \t\n\n\tdogs\r\n";
  std::string hounds = "\n\n  a hound\n  of [two] {x} ^y$ /z\\ @ <b>.\n \t\n\n\thounds\r\n";
  EXPECT_EQ(**a->apply(text, 0, evidence), hounds);
  EXPECT_FALSE(a->apply("a cat", 0, evidence).take().has_value());
  EXPECT_FALSE(a->apply("", 0, evidence).take().has_value());
  EXPECT_FALSE(a->apply("\n \n", 0, evidence).take().has_value());
  EXPECT_FALSE(a->apply(std::string_view("dog\0dog", 7), 0, evidence).take().has_value());
  // More than a pipe holds, both ways.
  std::string large, largeHounds;
  for (int i = 0; i < 50'000; ++i)
    large += "dog of ", largeHounds += "hound of ";
  EXPECT_EQ(**a->apply(large + "end", 0, evidence), largeHounds + "end");
}

TEST(BackTranslate, CodesOfTwoLettersAreTriedWithThree) {
  auto made = Augmenter::create(spec("en-fr", "fr-en"), "");
  ASSERT_TRUE(made.isOk()) << made.status().message();
  std::string evidence;
  EXPECT_EQ(**(*made)->apply("dog", 0, evidence), "hound");
  EXPECT_EQ(Augmenter::create(spec("en-zz"), "").status().message(),
            "`" + fake + "` does not translate \"en-zz\": `" + fake +
                "` ended with exit code 1: Error: Mode en-zz does not exist.");
}

TEST(BackTranslate, AProgramThatDies) {
  auto a = Augmenter::create(spec(), "").take();
  std::string evidence;
  Status s = a->apply("we all die", 0, evidence).status();
  EXPECT_EQ(s.message(), "`" + fake + "` ended with exit code 7: no such word");
  EXPECT_FALSE(a->apply("dog", 0, evidence).isOk()); // and stays dead
}

TEST(BackTranslate, AProgramThatHangs) {
  auto a = Augmenter::create(spec("en-xx", "xx-en", 4), "").take();
  std::string evidence;
  auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(a->apply("sleep", 0, evidence).status().message(),
            "`" + fake + "` has not answered for 4 s; help: allow more `seconds`, or look at what it does with such a text");
  a.reset(); // kills it
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(30));
}

TEST(BackTranslate, WhatIsMissing) {
  json s = spec();
  s["program"] = "no-such-translator";
  Status none = Augmenter::create(s, "").status();
  EXPECT_EQ(none.message(), "there is no translator `no-such-translator` on this machine; help: install it, or name the "
                            "path of another");
  EXPECT_EQ(none.getExitClass(), ExitClass::program);
  s = spec();
  s["via"] = {{"stage", "m"}};
  EXPECT_EQ(Augmenter::create(s, "").status().message(),
            "back_translate: `via` is a model of the pipeline; translation by one is not supported yet, only by an "
            "installed program: via = \"en-es\", back = \"es-en\", program = \"apertium\"");
  s = spec();
  s["seconds"] = 0;
  EXPECT_EQ(Augmenter::create(s, "").status().message(),
            "back_translate: `seconds` is 0; it must be a number from 0.001 to 86400");
}

TEST(BackTranslate, Apertium) {
  json s = {{"augment", "back_translate"}, {"via", "en-es"}, {"back", "es-en"}, {"program", "apertium"}, {"seconds", 60}};
  auto made = Augmenter::create(s, "");
  if (!made && std::system("apertium -l 2>/dev/null | grep -q eng-spa") != 0) {
    EXPECT_NE(made.status().message().find("sudo apt-get install apertium apertium-eng-spa"), std::string::npos)
        << made.status().message();
    GTEST_SKIP() << "apertium-eng-spa is not installed";
  }
  ASSERT_TRUE(made.isOk()) << made.status().message();
  std::string evidence;
  std::optional<std::string> out =
      (*made)->apply("The dog is big.\n\nIt was raining yesterday, and the judges accepted the appeal [1].", 0, evidence).take();
  ASSERT_TRUE(out.has_value());
  EXPECT_TRUE(out->starts_with("The dog is big.\n\n")) << *out;
  EXPECT_NE(out->find("judges accepted the appeal [1]."), std::string::npos) << *out;
}
