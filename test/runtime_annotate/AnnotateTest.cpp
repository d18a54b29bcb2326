#include "runtime/annotate/Agreement.h"
#include "runtime/annotate/Ask.h"
#include "runtime/state/Files.h"
#include <cmath>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <sstream>
#include <sys/wait.h>
#include <unistd.h>

using namespace r1rt;
using namespace r1rt::annotate;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

struct Dir {
  std::string path = testing::TempDir() + "annotate-" + std::to_string(::getpid());
  Dir() { fs::remove_all(path); }
  ~Dir() { fs::remove_all(path); }
  std::string log() const { return path + "/answers.jsonl"; }
};

Form form(const char *text) { return Form::create(json::parse(text)).take(); }
std::string whyNot(const char *text) { return Form::create(json::parse(text)).status().message(); }

std::vector<Question> questions(size_t n) {
  std::vector<Question> out;
  for (size_t i = 0; i < n; ++i)
    out.push_back({"a.txt@" + std::to_string(10 * i), "text " + std::to_string(i), {}});
  return out;
}

void expectIn(const std::string &text, const std::string &part) {
  EXPECT_NE(text.find(part), std::string::npos) << text;
}

} // namespace

TEST(Form, ReadsChoicesAndScores) {
  Form f = form(R"({"keep": ["keep", "drop", "drop later"], "logic": [1, 5]})");
  ASSERT_EQ(f.fields().size(), 2u);
  const Field &keep = f.fields()[0], &logic = f.fields()[1];
  for (const char *typed : {"keep", "k", "1"})
    EXPECT_EQ(keep.read(typed, 0).take(), "keep") << typed;
  EXPECT_EQ(keep.read("drop", 0).take(), "drop"); // whole, though another choice begins so
  EXPECT_EQ(keep.read("drop l", 0).take(), "drop later");
  EXPECT_EQ(keep.read("d", 0).status().message(),
            "`d` is more than one choice of `keep`: it is 1 keep  2 drop  3 drop later");
  for (const char *typed : {"", "0", "4", "x", "keeper"})
    EXPECT_FALSE(keep.read(typed, 0)) << typed;
  EXPECT_EQ(logic.read("5", 0).take(), 5);
  EXPECT_EQ(logic.read("6", 0).status().message(), "`6` is no score of `logic`: it is 1 … 5");
  for (const char *typed : {"", "0", "2.5", "two", "3 "})
    EXPECT_FALSE(logic.read(typed, 0)) << typed;
  EXPECT_TRUE(f.check({{"keep", "drop"}, {"logic", 1}}, 0));
  EXPECT_FALSE(f.check({{"keep", "drop"}}, 0));
  EXPECT_FALSE(f.check({{"keep", "drop"}, {"logic", 9}}, 0));
  EXPECT_FALSE(f.check({{"keep", "drop"}, {"logic", 1}, {"more", 1}}, 0));
}

TEST(Form, ReadsOrders) {
  Form f = form(R"({"order": "rank"})");
  EXPECT_TRUE(f.ranks());
  const Field &order = f.fields()[0];
  for (const char *typed : {"b a c", "B > A > C", "bac", "b,a,c"})
    EXPECT_EQ(order.read(typed, 3).take(), json({2, 1, 3})) << typed;
  EXPECT_EQ(order.read("b = c > a", 3).take(), json({3, 1, 1}));
  EXPECT_EQ(order.read("b a=c", 3).take(), json({2, 1, 2}));
  EXPECT_EQ(order.read("a=b", 2).take(), json({1, 1}));
  for (const char *typed : {"", "a", "a b", "a b d", "a b c d", "a a b", "a b c c", "= a b c", "a b c =", "a b == c", "1 2 3", "a-b-c"})
    EXPECT_FALSE(order.read(typed, 3)) << typed;
  EXPECT_EQ(order.read("b", 3).status().message(),
            "`b` does not order `order`: it is A … C from best to worst, such as B > A = C");
  EXPECT_TRUE(f.check({{"order", {1, 3, 1}}}, 3));
  for (const json &bad : {json({1, 2}), json({1, 2, 1}), json({2, 3, 4}), json({1, -2, 3}), json({1, 2.5, 3}), json("a")})
    EXPECT_FALSE(f.check({{"order", bad}}, 3)) << bad;
}

TEST(Form, DecidesOrdersByTheSumOfRanks) {
  Form f = form(R"({"order": "rank"})");
  std::map<std::string, json> a;
  a["ann"] = {{"order", {1, 2, 3}}};
  EXPECT_EQ(f.decide(a), a["ann"]);
  a["bob"] = {{"order", {3, 1, 2}}}; // 4, 3, 5
  EXPECT_EQ(f.decide(a), json({{"order", {2, 1, 3}}}));
  a["cid"] = {{"order", {1, 2, 2}}}; // 5, 5, 7
  EXPECT_EQ(f.decide(a), json({{"order", {1, 1, 3}}}));
}

TEST(Form, SaysWhatIsWrong) {
  expectIn(whyNot("{}"), "at least one field");
  expectIn(whyNot(R"({"a": "keep"})"), "`a` is \"keep\"; a choice is a list");
  expectIn(whyNot(R"({"a": ["keep"]})"), "at least two texts");
  expectIn(whyNot(R"({"a": ["keep", ""]})"), "not empty");
  expectIn(whyNot(R"({"a": ["keep", "keep"]})"), "twice");
  expectIn(whyNot(R"({"a": ["keep", "q"]})"), "\"q\", which is a command");
  expectIn(whyNot(R"({"a": [5, 1]})"), "scores from 5 to 1");
  expectIn(whyNot(R"({"a": [1, 5000]})"), "2 to 1000");
  expectIn(whyNot(R"({"a": [-9223372036854775808, 9223372036854775807]})"), "2 to 1000");
  expectIn(whyNot(R"({"text": ["a1", "b1"]})"), "give it another");
  expectIn(whyNot(R"({"_id": ["a1", "b1"]})"), "give it another");
}

TEST(Form, DecidesByMostAndMedian) {
  Form f = form(R"({"keep": ["keep", "drop", "later"], "logic": [1, 5]})");
  std::map<std::string, json> a;
  a["ann"] = {{"keep", "later"}, {"logic", 5}};
  EXPECT_EQ(f.decide(a), a["ann"]);
  a["bob"] = {{"keep", "drop"}, {"logic", 1}};
  EXPECT_EQ(f.decide(a), json({{"keep", "drop"}, {"logic", 1}})); // equal: named first; the lower
  a["cid"] = {{"keep", "later"}, {"logic", 4}};
  EXPECT_EQ(f.decide(a), json({{"keep", "later"}, {"logic", 4}}));
}

TEST(Answers, KeptUndoneAndResumed) {
  Dir d;
  Form f = form(R"({"keep": ["keep", "drop"]})");
  auto qs = questions(3);
  Answers a = Answers::open(d.log(), f, qs).take();
  EXPECT_EQ(a.answered(1), 0u);
  ASSERT_TRUE(a.give(0, "ann", {{"keep", "keep"}}));
  ASSERT_TRUE(a.give(2, "ann", {{"keep", "drop"}}));
  ASSERT_TRUE(a.give(2, "bob", {{"keep", "keep"}}));
  ASSERT_TRUE(a.give(0, "ann", {{"keep", "drop"}})); // a change of mind
  ASSERT_TRUE(a.undo(2, "bob"));
  EXPECT_FALSE(a.give(1, "ann", {{"keep", "maybe"}}));
  Answers b = Answers::open(d.log(), f, qs).take();
  for (const Answers *x : {&a, &b}) {
    EXPECT_EQ(x->answered(1), 2u);
    EXPECT_EQ(x->answered(2), 0u);
    EXPECT_EQ(x->of(0).at("ann"), json({{"keep", "drop"}}));
    EXPECT_EQ(x->of(2).size(), 1u);
    EXPECT_EQ(x->people(), std::vector<std::string>{"ann"});
  }
  ASSERT_TRUE(b.give(1, "bob", {{"keep", "keep"}})); // a sees it when it looks
  EXPECT_EQ(a.answered(1), 2u);
  ASSERT_TRUE(a.refresh());
  EXPECT_EQ(a.answered(1), 3u);
}

/// A crash leaves part of a line: it never counted, and the next answer stands on a line of its own.
TEST(Answers, TornLineIsCutOff) {
  Dir d;
  Form f = form(R"({"keep": ["keep", "drop"]})");
  auto qs = questions(2);
  ASSERT_TRUE(Answers::open(d.log(), f, qs)->give(0, "ann", {{"keep", "keep"}}));
  std::string whole = readFile(d.log()).take();
  for (size_t n = 1; n < whole.size(); n += 7) {
    std::ofstream(d.log()) << whole << whole.substr(0, n);
    Answers a = Answers::open(d.log(), f, qs).take();
    EXPECT_EQ(a.answered(1), 1u);
    ASSERT_TRUE(a.give(1, "ann", {{"keep", "drop"}}));
    Answers b = Answers::open(d.log(), f, qs).take();
    EXPECT_EQ(b.answered(1), 2u);
    EXPECT_EQ(readFile(d.log())->substr(0, whole.size()), whole);
  }
}

TEST(Answers, BadLinesAreNamed) {
  Dir d;
  Form f = form(R"({"keep": ["keep", "drop"]})");
  auto qs = questions(1);
  fs::create_directories(d.path);
  auto open = [&](const std::string &line) {
    std::ofstream(d.log()) << R"({"id":"a.txt@0","who":"ann","answer":{"keep":"keep"}})" << "\n" << line << "\n";
    return Answers::open(d.log(), f, qs).status().message();
  };
  expectIn(open("{"), "answers.jsonl:2: not an answer");
  expectIn(open(R"({"id":"b","who":"ann","answer":{"keep":"keep"}})"), ":2: there is no question b");
  expectIn(open(R"({"id":"a.txt@0","who":"ann","answer":{"keep":"x"}})"), ":2: the answer \"x\" to `keep`");
  qs.push_back(qs[0]);
  expectIn(open(""), "two questions have the id a.txt@0");
}

/// Eight processes answer at the same time; no line is lost or mixed with another.
TEST(Answers, ManyAtOnce) {
  Dir d;
  Form f = form(R"({"keep": ["keep", "drop"]})");
  auto qs = questions(25);
  std::vector<pid_t> children;
  for (int p = 0; p < 8; ++p)
    if (pid_t pid = ::fork(); pid == 0) {
      auto a = Answers::open(d.log(), f, qs);
      bool ok = bool(a);
      for (size_t q = 0; ok && q < qs.size(); ++q)
        ok = bool(a->give(q, "person " + std::to_string(p), {{"keep", (q + size_t(p)) % 2 ? "keep" : "drop"}}));
      ::_exit(ok ? 0 : 1);
    } else {
      children.push_back(pid);
    }
  for (pid_t pid : children) {
    int status = 1;
    ::waitpid(pid, &status, 0);
    EXPECT_EQ(status, 0);
  }
  Answers a = Answers::open(d.log(), f, qs).take();
  EXPECT_EQ(a.answered(8), 25u);
  EXPECT_EQ(a.of(3).at("person 4"), json({{"keep", "keep"}}));
}

/// A process that is killed while it writes: what it had confirmed is there, and the log can be read.
TEST(Answers, KilledAtAnyMoment) {
  Dir d;
  Form f = form(R"({"keep": ["keep", "drop"]})");
  auto qs = questions(5000);
  size_t confirmed = 0;
  for (int round = 0; round < 20; ++round) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    pid_t pid = ::fork();
    if (pid == 0) {
      auto a = Answers::open(d.log(), f, qs);
      for (size_t q = confirmed; a && q < qs.size(); ++q) {
        if (!a->give(q, "ann", {{"keep", q % 2 ? "keep" : "drop"}}))
          ::_exit(1);
        if (::write(ends[1], "x", 1) != 1)
          ::_exit(1);
      }
      ::_exit(1);
    }
    ::close(ends[1]);
    ::usleep(3000 + useconds_t(round) * 1700);
    ::kill(pid, SIGKILL);
    int status = 0;
    ::waitpid(pid, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status));
    char heard[4096];
    for (ssize_t n; (n = ::read(ends[0], heard, sizeof heard)) > 0;)
      confirmed += size_t(n);
    ::close(ends[0]);
    auto a = Answers::open(d.log(), f, qs);
    ASSERT_TRUE(a) << a.status().message();
    EXPECT_GE(a->answered(1), confirmed);
    EXPECT_LE(a->answered(1), confirmed + 1); // written, not yet confirmed
    confirmed = a->answered(1);
    for (size_t q = 0; q < confirmed; ++q)
      ASSERT_EQ(a->of(q).at("ann")["keep"], q % 2 ? "keep" : "drop");
  }
  EXPECT_GT(confirmed, 20u);
}

TEST(Answers, QuestionsAndTheirKey) {
  Dir d;
  fs::create_directories(d.path);
  std::vector<Question> qs = {{"a@0", "one\ntwo", {}}, {"a@9", "\"三\"\x01", {"x", "y\n"}}};
  ASSERT_TRUE(writeQuestions(d.path + "/questions.jsonl", qs));
  auto again = readQuestions(d.path + "/questions.jsonl");
  ASSERT_TRUE(again) << again.status().message();
  ASSERT_EQ(again->size(), 2u);
  EXPECT_EQ(again->at(1).text, qs[1].text);
  EXPECT_EQ(again->at(1).candidates, qs[1].candidates);
  json one = {{"a", {1, 2}}}, two = {{"a", {1, 3}}};
  EXPECT_EQ(keyOf(one, qs), keyOf(one, *again));
  EXPECT_NE(keyOf(one, qs), keyOf(two, qs));
  qs[0].text += "!";
  EXPECT_NE(keyOf(one, qs), keyOf(one, *again));
  std::ofstream(d.path + "/questions.jsonl", std::ios::app) << "[]\n";
  expectIn(readQuestions(d.path + "/questions.jsonl").status().message(), "questions.jsonl:3: not a question");
}

/// What scikit-learn says of the same answers (kappa.py).
TEST(Agreement, KappaAsScikitLearn) {
  std::ifstream file(EXPECTED "/kappa.jsonl");
  std::string line;
  ASSERT_TRUE(std::getline(file, line)); // the version
  int cases = 0;
  for (; std::getline(file, line); ++cases) {
    json j = json::parse(line);
    auto a = j["a"].get<std::vector<size_t>>(), b = j["b"].get<std::vector<size_t>>();
    EXPECT_NEAR(cohenKappa(a, b, j["values"], false), j["kappa"].get<double>(), 1e-12);
    EXPECT_NEAR(cohenKappa(a, b, j["values"], true), j["quadratic"].get<double>(), 1e-12);
  }
  EXPECT_GE(cases, 6);
  std::vector<size_t> same = {1, 1, 1};
  EXPECT_TRUE(std::isnan(cohenKappa(same, same, 2, false)));
}

TEST(Agreement, OverSharedQuestions) {
  Dir d;
  Form f = form(R"({"keep": ["keep", "drop"], "logic": [1, 3]})");
  auto qs = questions(5);
  Answers a = Answers::open(d.log(), f, qs).take();
  auto give = [&](size_t q, const char *who, const char *keep, int logic) {
    ASSERT_TRUE(a.give(q, who, {{"keep", keep}, {"logic", logic}}));
  };
  give(0, "ann", "keep", 1);
  EXPECT_TRUE(agreement(f, a, 5).empty());
  give(1, "ann", "keep", 3), give(2, "ann", "drop", 2), give(3, "ann", "drop", 1);
  give(1, "bob", "keep", 3), give(2, "bob", "keep", 1), give(3, "bob", "drop", 1), give(4, "bob", "keep", 2);
  // Shared: keep/keep, drop/keep, drop/drop. Observed 2/3, expected 1/3 2/3 + 2/3 1/3 = 4/9: 0.4.
  // Scores 3/3, 2/1, 1/1: squares 1; by chance (0 + 4 + 4 + 1 + 1 + 1 + 4 + 0 + 0) / 3 = 5: 1 - 1/5.
  auto all = agreement(f, a, 5);
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].questions, 3u);
  EXPECT_NEAR(all[0].kappa, 0.4, 1e-12);
  EXPECT_NEAR(all[1].kappa, 0.8, 1e-12);
  expectIn(agreementText(all), "keep 0.40, logic ");
}

namespace {
struct Talk {
  Asked asked;
  std::string out, error;
};
Talk talk(const Dir &d, const Form &f, std::span<const Question> qs, const std::string &typed,
          AskOptions o = {}) {
  o.title = "audit";
  if (o.who.empty())
    o.who = "ann";
  std::istringstream in(typed);
  std::ostringstream out;
  Answers a = Answers::open(d.log(), f, qs).take();
  auto r = ask(f, qs, a, o, in, out);
  return {r ? *r : Asked{}, out.str(), r.status().message()};
}
} // namespace

TEST(Ask, SkipUndoQuitAndResume) {
  Dir d;
  Form f = form(R"({"keep": ["keep", "drop"], "logic": [1, 5]})");
  auto qs = questions(4);
  // 0 skipped; 1 answered, undone, answered anew; 2: undone in its second field, which asks 1 again
  Talk t = talk(d, f, qs, "s\nk\n1\nu\nd\n2\nk\nu\nk\n3\nk\n4\nq\n");
  EXPECT_EQ(t.error, "");
  EXPECT_EQ(t.asked.answered, 2u);
  EXPECT_EQ(t.asked.left, 2u);
  expectIn(t.out, "audit: question 1 of 4, 0 answered\n\ntext 0\n");
  Answers a = Answers::open(d.log(), f, qs).take();
  EXPECT_TRUE(a.of(0).empty());
  EXPECT_EQ(a.of(1).at("ann"), json({{"keep", "keep"}, {"logic", 3}}));
  EXPECT_EQ(a.of(2).at("ann"), json({{"keep", "keep"}, {"logic", 4}}));
  t = talk(d, f, qs, "d\n1\ns\n"); // 0 answered, 3 skipped: a pipe ends there
  EXPECT_EQ(t.asked.answered, 1u);
  EXPECT_EQ(t.asked.left, 1u);
  t = talk(d, f, qs, "u\nk\n5\nk\n5\n"); // nothing of this session to undo
  expectIn(t.out, "nothing to undo");
  EXPECT_EQ(t.asked.answered, 1u);
  EXPECT_EQ(t.asked.left, 0u);
  t = talk(d, f, qs, "k\n1\n");
  EXPECT_EQ(t.asked.answered, 0u);
  EXPECT_EQ(t.out, "");
}

/// People see the candidates in orders of their own; the answers count them as the question does.
TEST(Ask, Candidates) {
  Dir d;
  Form f = form(R"({"order": "rank"})");
  std::vector<Question> qs;
  for (int i = 0; i < 20; ++i)
    qs.push_back({"a@" + std::to_string(i), "Which?", {"two", "one", "three"}});
  std::string first; // of what each question shows as A, B, C
  for (const char *who : {"ann", "bob"}) {
    std::string shown;
    for (size_t q = 0; q < qs.size(); ++q) {
      Talk t = talk(d, f, qs, "q\n", {.who = who, .people = 2});
      std::map<std::string, char> letter;
      for (char c : {'A', 'B', 'C'})
        for (const char *text : {"one", "two", "three"})
          if (t.out.find(std::string("\n") + c + ": " + text + "\n") != std::string::npos)
            letter[text] = c, shown += text;
      ASSERT_EQ(letter.size(), 3u) << t.out;
      t = talk(d, f, qs, std::string() + letter["one"] + " " + letter["two"] + "=" + letter["three"] + "\nq\n",
               {.who = who, .people = 2});
      EXPECT_EQ(t.asked.answered, 1u) << t.error;
    }
    EXPECT_NE(shown, first);
    first = shown;
  }
  Answers a = Answers::open(d.log(), f, qs).take();
  EXPECT_EQ(a.answered(2), qs.size());
  for (size_t q = 0; q < qs.size(); ++q)
    EXPECT_EQ(a.of(q).at("bob"), json({{"order", {2, 1, 2}}}));
  auto all = agreement(f, a, qs.size());
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].questions, qs.size());
  EXPECT_NEAR(all[0].kappa, 1, 1e-12);
}

TEST(Agreement, OfOrdersByPairs) {
  Dir d;
  Form f = form(R"({"order": "rank"})");
  std::vector<Question> qs = {{"a@0", "", {"x", "y", "z"}}};
  Answers a = Answers::open(d.log(), f, qs).take();
  ASSERT_TRUE(a.give(0, "ann", {{"order", {1, 2, 3}}}));
  ASSERT_TRUE(a.give(0, "bob", {{"order", {1, 3, 2}}}));
  ASSERT_FALSE(a.give(0, "cid", {{"order", {1, 2}}}));
  // Pairs xy, xz, yz: ann first, first, first; bob first, first, second. Observed 2/3, by chance 2/3: 0.
  EXPECT_NEAR(agreement(f, a, 1)[0].kappa, 0, 1e-12);
}

TEST(Ask, SeveralPeople) {
  Dir d;
  Form f = form(R"({"keep": ["keep", "drop"]})");
  auto qs = questions(2);
  EXPECT_EQ(talk(d, f, qs, "k\nk\n", {.who = "ann", .people = 2}).asked.answered, 2u);
  EXPECT_EQ(talk(d, f, qs, "k\nk\n", {.who = "ann", .people = 2}).asked.answered, 0u);
  EXPECT_EQ(talk(d, f, qs, "d\nk\n", {.who = "bob", .people = 2}).asked.answered, 2u);
  EXPECT_EQ(talk(d, f, qs, "d\nk\n", {.who = "cid", .people = 2}).asked.answered, 0u);
}

TEST(Ask, WrongAnswers) {
  Dir d;
  Form f = form(R"({"keep": ["keep", "drop"]})");
  auto qs = questions(2);
  Talk t = talk(d, f, qs, "k\nmaybe\nk\n");
  EXPECT_EQ(t.error, "question 2: `maybe` is no choice of `keep`: it is 1 keep  2 drop");
  EXPECT_EQ(Answers::open(d.log(), f, qs)->answered(1), 1u); // what came before is kept
  t = talk(d, f, qs, "maybe\n2\n", {.terminal = true}); // on a terminal it is asked again
  EXPECT_EQ(t.error, "");
  expectIn(t.out, "`maybe` is no choice");
  EXPECT_EQ(t.asked.answered, 1u);
}

TEST(Ask, LongTextsInPages) {
  Dir d;
  Form f = form(R"({"keep": ["keep", "drop"]})");
  std::vector<Question> qs = {{"a@0", "", {}}};
  for (int i = 0; i < 40; ++i)
    qs[0].text += "line " + std::to_string(i) + ".\n";
  Talk t = talk(d, f, qs, "\nm\nk\n", {.terminal = true, .rows = 25});
  EXPECT_EQ(t.asked.answered, 1u);
  size_t second = t.out.find("line 20.");
  expectIn(t.out.substr(0, second), "line 19.\n… 20 more lines: Enter");
  expectIn(t.out.substr(second), "line 39.\n\nkeep");
  expectIn(t.out.substr(second), "line 0."); // from the begin again
}

TEST(Ask, NothingSteersTheTerminal) {
  auto joined = [](std::string_view text, unsigned columns) {
    std::string out;
    for (const std::string &line : wrapText(text, columns))
      out += line + "|";
    return out;
  };
  EXPECT_EQ(joined("one two three", 8), "one two |three|");
  EXPECT_EQ(joined("abcdefghij", 4), "abcd|efgh|ij|");
  EXPECT_EQ(joined("机器学习", 5), "机器|学习|"); // two columns each
  EXPECT_EQ(joined("e\u0301e\u0301e\u0301", 2), "e\u0301e\u0301|e\u0301|");
  EXPECT_EQ(joined("a\tb\r\nc\n\n", 20), "a       b|c|");
  EXPECT_EQ(joined("\x1b[2J\x07\u009b\u202e\xff", 20), "\uFFFD[2J\uFFFD\uFFFD\uFFFD\uFFFD|");
  EXPECT_EQ(joined("", 20), "|");
}
