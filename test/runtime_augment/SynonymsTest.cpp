#include "runtime/augment/Augment.h"
#include "runtime/augment/Lexicon.h"
#include "runtime/augment/WordNet.h"
#include "runtime/state/Files.h"
#include <filesystem>
#include <gtest/gtest.h>
#include <set>
#include <unistd.h>

using namespace r1rt;
using namespace r1rt::augment;
using nlohmann::json;
using Strings = std::vector<std::string>;

namespace {
struct Dir {
  std::string path = testing::TempDir() + "synonyms-" + std::to_string(::getpid());
  Dir() {
    std::filesystem::remove_all(path);
    std::filesystem::create_directories(path);
  }
  ~Dir() { std::filesystem::remove_all(path); }
  std::string put(const std::string &name, std::string_view content) {
    EXPECT_TRUE(writeFileAtomic(path + "/" + name, content).isOk());
    return path + "/" + name;
  }
};

/// All that a text may become under 100 draws, everything replaced.
std::set<std::string> becomes(const std::string &lexicon, std::string_view text) {
  auto a = Augmenter::create({{"augment", "synonyms"}, {"lexicon", lexicon}, {"rate", 1.0}}, "");
  EXPECT_TRUE(a.isOk()) << a.status().message();
  std::set<std::string> all;
  std::string evidence;
  for (uint64_t draw = 0; a && draw < 100; ++draw)
    all.insert((*a)->apply(text, draw, evidence).take().value_or("(none)"));
  return all;
}
using Set = std::set<std::string>;

const std::string net = INPUTS "/wordnet";
} // namespace

TEST(WordNet, SynonymsOfTheFirstSense) {
  auto w = WordNet::read(net).take();
  EXPECT_EQ(w->synonyms("car"), (Strings{"auto", "automobile"})); // a machine is first of all another thing
  EXPECT_EQ(w->synonyms("church"), Strings{});                    // nobody says kirk in the tagged texts
  EXPECT_EQ(w->synonyms("big"), Strings{"large"});                // written big(a)
  EXPECT_EQ(w->synonyms("quickly"), (Strings{"rapidly", "speedily"}));
  EXPECT_EQ(w->synonyms("try"), Strings{"attempt"}); // to seek is first of all to look for
  EXPECT_EQ(w->synonyms("judge"), (Strings{"justice", "jurist"})); // the noun is more frequent than the verb
  EXPECT_EQ(w->synonyms("unknown"), Strings{});
  EXPECT_EQ(w->synonyms("can"), Strings{}); // a function word
  EXPECT_EQ(w->synonyms(""), Strings{});
  EXPECT_TRUE(w->isName("bush"));
  EXPECT_FALSE(w->isName("shrub"));
}

TEST(WordNet, InflectionsAreTakenOffAndPutOn) {
  auto w = WordNet::read(net).take();
  EXPECT_EQ(w->synonyms("cars"), Strings{"automobiles"}); // autos, or autoes?
  EXPECT_EQ(w->synonyms("boxes"), Strings{"cases"});
  EXPECT_EQ(w->synonyms("shrubs"), Strings{"bushes"});
  EXPECT_EQ(w->synonyms("cities"), Strings{}); // a metropolis may be a plural as well
  EXPECT_EQ(w->synonyms("commodities"), Strings{}); // goods has no further plural
  EXPECT_EQ(w->synonyms("stopped"), Strings{"halted"});
  EXPECT_EQ(w->synonyms("stopping"), Strings{"halting"});
  EXPECT_EQ(w->synonyms("halted"), Strings{"stopped"});
  EXPECT_EQ(w->synonyms("halts"), Strings{"stops"});
  EXPECT_EQ(w->synonyms("tries"), Strings{"attempts"});
  EXPECT_EQ(w->synonyms("tried"), Strings{"attempted"});
  EXPECT_EQ(w->synonyms("attempted"), Strings{"tried"});
  EXPECT_EQ(w->synonyms("purchasing"), Strings{"buying"});
  EXPECT_EQ(w->synonyms("purchased"), Strings{}); // bought is irregular
  EXPECT_EQ(w->synonyms("perishing"), Strings{"dying"});
  EXPECT_EQ(w->synonyms("perished"), Strings{"died"});
  EXPECT_EQ(w->synonyms("comprehends"), Strings{"perceives"});
  EXPECT_EQ(w->synonyms("perceiving"), Strings{"comprehending"});
  EXPECT_EQ(w->synonyms("said"), Strings{}); // of "say", not "aforesaid"
  EXPECT_EQ(w->synonyms("knives"), Strings{});
}

TEST(WordNet, WhatIsMissingOrBroken) {
  Dir d;
  EXPECT_EQ(WordNet::read(d.path).status().message().find("no WordNet 3.0 database in " + d.path), 0u);
  EXPECT_NE(WordNet::read(d.path).status().message().find("sudo apt-get install wordnet-base"), std::string::npos);
  std::filesystem::copy(net, d.path + "/net", std::filesystem::copy_options::recursive);
  auto broken = [&](const std::string &file, std::string_view content) {
    std::string before = readFile(net + "/" + file).take();
    EXPECT_TRUE(writeFileAtomic(d.path + "/net/" + file, content).isOk());
    std::string message = WordNet::read(d.path + "/net").status().message();
    EXPECT_TRUE(writeFileAtomic(d.path + "/net/" + file, before).isOk());
    return message;
  };
  std::string place = d.path + "/net/index.noun:1: this is no line of a WordNet 3.0 database: ";
  EXPECT_EQ(broken("index.noun", "car n 1 1 @ 1 0 99999999  \n"), place + "\"car n 1 1 @ 1 0 99999999  \"");
  EXPECT_EQ(broken("index.noun", "car n 1 1 @ 1 0 00000043  \n"), place + "\"car n 1 1 @ 1 0 00000043  \"");
  EXPECT_EQ(broken("index.noun", "car n 1 9999999999999999 @\n"), place + "\"car n 1 9999999999999999 @\"");
  EXPECT_EQ(broken("index.noun", "\n"), place + "\"\"");
  EXPECT_EQ(broken("cntlist.rev", "car 1 2\n"),
            d.path + "/net/cntlist.rev:1: this is no line of a WordNet 3.0 database: \"car 1 2\"");
  EXPECT_EQ(broken("cntlist.rev", "car%9:00:00:: 1 2\n"),
            d.path + "/net/cntlist.rev:1: this is no line of a WordNet 3.0 database: \"car%9:00:00:: 1 2\"");
  EXPECT_EQ(broken("verb.exc", "dying\n"),
            d.path + "/net/verb.exc:1: this is no line of a WordNet 3.0 database: \"dying\"");
}

TEST(WordNet, AsDebianHasIt) {
  if (!std::filesystem::exists(std::string(WordNet::debianDir) + "/data.noun"))
    GTEST_SKIP() << "wordnet-base is not installed";
  auto w = WordNet::read(WordNet::debianDir).take();
  EXPECT_EQ(w->synonyms("big"), Strings{"large"});
  EXPECT_EQ(w->synonyms("cars"), (Strings{"automobiles", "motorcars"}));
  EXPECT_EQ(w->synonyms("attempted"), (Strings{"tried", "essayed"}));
  EXPECT_EQ(w->synonyms("dog"), Strings{}); // "domestic dog", "Canis familiaris"
  EXPECT_TRUE(w->isName("bush"));
}

TEST(Synonyms, KeepTheCaseAndTheRest) {
  EXPECT_EQ(becomes(net, "Big big BIG, \"big\"; big-ended big@big.org bigger"),
            Set{"Large large BIG, \"large\"; big-ended big@big.org bigger"}); // three capitals: an abbreviation
  EXPECT_EQ(becomes(net, "QUICKLY"), (Set{"RAPIDLY", "SPEEDILY"}));
  EXPECT_EQ(becomes(net, "He met Judge Quickly. Quickly he left."),
            (Set{"He met Judge Quickly. Rapidly he left.", "He met Judge Quickly. Speedily he left."}));
  EXPECT_EQ(becomes(net, "Bush spoke. The bush spoke."), Set{"Bush spoke. The shrub spoke."});
  EXPECT_EQ(becomes(net, "nothing known"), Set{"(none)"});
}

TEST(Synonyms, TheArticleMustStillBeRight) {
  EXPECT_EQ(becomes(net, "a car"), Set{"(none)"});
  EXPECT_EQ(becomes(net, "the car"), (Set{"the auto", "the automobile"}));
  EXPECT_EQ(becomes(net, "An automobile"), Set{"An auto"});
  EXPECT_EQ(becomes(net, "an idle hand"), Set{"an unused hand"});
}

TEST(Synonyms, Rate) {
  std::string text, evidence;
  for (int i = 0; i < 1000; ++i)
    text += "big ";
  auto a = Augmenter::create({{"augment", "synonyms"}, {"lexicon", net}, {"rate", 0.15}}, "").take();
  std::string first = **a->apply(text, 3, evidence);
  json e = json::parse(evidence);
  EXPECT_NEAR(e["changed"].get<double>(), 150, 4 * 11.3);
  EXPECT_EQ(e["first"][0], (json{"big", "large"}));
  EXPECT_EQ(**a->apply(text, 3, evidence), first);
  EXPECT_NE(**a->apply(text, 4, evidence), first);
  EXPECT_FALSE(a->isExternal());
}

TEST(Lexicon, LongestMatch) {
  Dir d;
  std::string zh = d.put("zh.tsv", "# a comment\n法律\t法规\n法\t规\n法律责任\t义务, 职责\r\n\n责任\t担子\n");
  EXPECT_EQ(becomes(zh, "他负法律责任。"), (Set{"他负义务。", "他负职责。"}));
  EXPECT_EQ(becomes(zh, "法律和责任"), Set{"法规和担子"});
  EXPECT_EQ(becomes(zh, "法律责"), Set{"法规责"}); // back to the longest that is complete
  EXPECT_EQ(becomes(zh, "合同"), Set{"(none)"});
  std::string en = d.put("en.tsv", "\xEF\xBB\xBFhot dog\tsausage\ndog\thound\nÉcole\tschool\nx\ty\ndog\tcur\n");
  EXPECT_EQ(becomes(en, "A Hot dog, hotdog dogs"), Set{"A Sausage, hotdog dogs"});
  EXPECT_EQ(becomes(en, "DOG"), (Set{"HOUND", "CUR"}));
  EXPECT_EQ(becomes(en, "x-ray http://dog.org/x dog@x ÉCOLE école"), Set{"y-ray http://dog.org/x dog@x SCHOOL school"});
  EXPECT_EQ(becomes(en, "法x律"), Set{"法y律"});
  EXPECT_EQ(becomes(en, ""), Set{"(none)"});
  EXPECT_EQ(becomes(en, "\xFF" "dog\xFF"), (Set{"\xFFhound\xFF", "\xFF" "cur\xFF"}));
}

TEST(Lexicon, PathsAreRelativeToTheBase) {
  Dir d;
  d.put("en.tsv", "dog\thound\n");
  json spec = {{"augment", "synonyms"}, {"lexicon", "en.tsv"}, {"rate", 1.0}};
  EXPECT_TRUE(Augmenter::create(spec, d.path).isOk());
  Status s = Augmenter::create(spec, d.path + "/other").status();
  EXPECT_NE(s.message().find(d.path + "/other/en.tsv"), std::string::npos) << s.message();
}

TEST(Lexicon, BrokenLinesAreNamed) {
  Dir d;
  auto message = [&](std::string_view content) {
    std::string path = d.put("x.tsv", content);
    Status s = Lexicon::read(path).status();
    EXPECT_EQ(s.getExitClass(), ExitClass::program);
    return s.message().substr(8 + path.size());
  };
  std::string expected = "; expected WORD<TAB>SYNONYM,SYNONYM,…";
  EXPECT_EQ(message("a\tb\ndog hound\n"), ":2: there is no tab in \"dog hound\"" + expected);
  EXPECT_EQ(message("\tb\n"), ":1: there is no word before the tab" + expected);
  EXPECT_EQ(message("dog\t, dog ,\n"), ":1: \"dog\" has no synonym" + expected);
  EXPECT_EQ(message("dog\th\xFFund\n"), ":1: the line is not UTF-8" + expected);
  EXPECT_EQ(message("# nothing\n"), " holds no word; expected lines WORD<TAB>SYNONYM,SYNONYM,…");
}
