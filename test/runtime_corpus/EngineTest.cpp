#include "runtime/corpus/Engine.h"
#include "runtime/corpus/Artifact.h"
#include "runtime/state/Files.h"
#include <barrier>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <set>
#include <thread>

using namespace r1rt;
using namespace r1rt::corpus;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

class Engine : public testing::Test {
protected:
  fs::path dir;
  Context ctx;

  void SetUp() override {
    dir = fs::temp_directory_path() / ("corpus-" + std::to_string(getpid()));
    fs::remove_all(dir);
    fs::create_directories(dir / "in");
    ctx.baseDir = (dir / "in").string();
    ctx.artifactDir = [this](const std::string &name) -> Result<std::string> { return (dir / name).string(); };
  }
  void TearDown() override { fs::remove_all(dir); }

  void write(const std::string &name, const std::string &text) {
    std::ofstream(dir / "in" / name, std::ios::binary) << text;
  }
  /// Files of many lines, a seventh of which all files have; numbers are spelled, since near-duplicates
  /// may differ in digits.
  void writeMany(int files = 3, int lines = 400) {
    auto word = [](int n) {
      std::string w;
      for (int i = 0; i < 3; ++i, n /= 26)
        w += char('a' + n % 26);
      return w;
    };
    for (int f = 0; f < files; ++f) {
      std::string text;
      for (int i = 0; i < lines; ++i) {
        for (int k = 0; k < 8; ++k)
          text += word((i % 7 ? f : 0) * 5000 + i * 8 + k) + " ";
        text += std::to_string(i) + "\n";
      }
      write("many" + std::to_string(f) + ".txt", text);
    }
  }
  static json lines(const std::string &path) { return {{"op", "lines"}, {"path", path}, {"by", "line"}}; }
  static json pass(json node, const json &in) {
    node["in"] = in;
    return node;
  }
  json filter(const json &in, std::function<bool(const json &)> keep) {
    ctx.rowFns.push_back([keep](const json &row) -> Result<json> { return json(keep(row)); });
    return pass({{"op", "filter"}, {"keep", {{"row_fn", ctx.rowFns.size() - 1}}}}, in);
  }

  EngineOptions options(const std::string &name, uint64_t chunk = 3000) {
    EngineOptions o;
    o.dir = (dir / name).string();
    fs::create_directories(o.dir);
    o.chunkBytes = chunk;
    return o;
  }
  json make(const json &tree, const std::string &name, uint64_t chunk = 3000) {
    auto account = makeCorpus(tree, ctx, options(name, chunk));
    EXPECT_TRUE(account) << account.status().message();
    return account ? *account : json();
  }
  std::vector<json> rows(const std::string &name) {
    std::vector<json> out;
    auto files = shardFiles((dir / name).string());
    for (const std::string &file : *files)
      EXPECT_TRUE(eachLine(file, [&](std::string_view line) -> Result<bool> {
        out.push_back(json::parse(line));
        return true;
      }));
    return out;
  }
  /// All files of an artifact, by name.
  std::map<std::string, std::string> bytes(const std::string &name) {
    std::map<std::string, std::string> out;
    for (auto &f : fs::recursive_directory_iterator(dir / name))
      if (f.is_regular_file())
        out[fs::relative(f.path(), dir / name).string()] = *readFile(f.path().string());
    return out;
  }
  json dropped(const std::string &name) {
    json out = json::object();
    auto files = ledgerFiles((dir / name).string());
    for (const std::string &file : *files)
      EXPECT_TRUE(eachLine(file, [&](std::string_view line) -> Result<bool> {
        json j = json::parse(line);
        out[j["id"]] = j;
        return true;
      }));
    return out;
  }
  void expectVerified(const std::string &name) {
    auto wrong = verify((dir / name).string());
    ASSERT_TRUE(wrong) << wrong.status().message();
    EXPECT_TRUE(wrong->empty()) << (*wrong)[0];
  }
};

} // namespace

TEST_F(Engine, EveryRowHasOneOutcome) {
  write("a.txt", "one\ntwo\nthree\n");
  write("b.txt", "four\nfive\n");
  json account = make(filter(lines("*.txt"), [](const json &r) { return r["text"] != "two"; }), "out");
  EXPECT_EQ(account["rows"], 4);
  EXPECT_EQ(account["text_bytes"], 3 + 5 + 4 + 4);
  auto all = rows("out");
  ASSERT_EQ(all.size(), 4u);
  EXPECT_EQ(all[0].dump(), R"({"_id":"a.txt@0","text":"one"})");
  EXPECT_EQ(all[1]["_id"], "a.txt@8");
  EXPECT_EQ(account["passes"][0]["in"], 5);
  EXPECT_EQ(account["passes"][1]["dropped"], json({{"filter", 1}}));
  EXPECT_EQ(dropped("out")["a.txt@4"]["reason"], "filter");
  EXPECT_FALSE(fs::exists(dir / "out/scratch"));
  expectVerified("out");
  auto history = historyOf((dir / "out").string(), "a.txt@4");
  ASSERT_TRUE(history);
  ASSERT_EQ(history->size(), 1u);
  EXPECT_EQ((*history)[0]["outcome"], "dropped");
}

TEST_F(Engine, ThreadsRanksAndInterruptionsChangeNothing) {
  writeMany();
  json tree = pass({{"op", "dedup"}, {"how", {{"dedup", "minhash"}, {"shingle", 3}, {"bands", 14}, {"rows", 8}}}},
                   filter(lines("many*.txt"), [](const json &r) { return r["text"].get<std::string>().back() != '3'; }));
  tree = pass({{"op", "sample"}, {"n", 100}}, tree);
  json one = make(tree, "one");
  auto expected = bytes("one");
  EXPECT_EQ(one["rows"], 100);
  expectVerified("one");

  EngineOptions o = options("threads");
  o.threads = 3;
  ASSERT_TRUE(makeCorpus(tree, ctx, o));
  EXPECT_EQ(bytes("threads"), expected);

  // Asked to stop after every few chunks.
  o = options("stopped");
  int stops = 0;
  for (int runs = 0; runs < 200; ++runs) {
    int asked = 0;
    o.stopAsked = [&] { return ++asked > 4; };
    auto made = makeCorpus(tree, ctx, o);
    if (made)
      break;
    ASSERT_EQ(made.status().getExitClass(), ExitClass::interrupted) << made.status().message();
    ++stops;
  }
  EXPECT_GT(stops, 3);
  EXPECT_EQ(bytes("stopped"), expected);

  // A crash leaves any chunk undone, and files of it that nobody has declared finished.
  o = options("crashed");
  o.stopAsked = nullptr;
  int asked = 0;
  o.stopAsked = [&] { return ++asked > 30; };
  ASSERT_FALSE(makeCorpus(tree, ctx, o));
  int removed = 0;
  for (auto &f : fs::recursive_directory_iterator(dir / "crashed/scratch"))
    if (f.path().extension() == ".json" && ++removed % 3 == 0)
      fs::remove(f.path());
  ASSERT_GT(removed, 5);
  o.stopAsked = nullptr;
  ASSERT_TRUE(makeCorpus(tree, ctx, o));
  EXPECT_EQ(bytes("crashed"), expected);

  for (int ranks : {2, 3}) {
    std::string name = "ranks" + std::to_string(ranks);
    EngineOptions all = options(name);
    std::barrier meeting(ranks);
    std::vector<Status> told(size_t(ranks), Status::ok());
    std::vector<std::thread> threads;
    std::vector<bool> ok(size_t(ranks), false);
    std::mutex m;
    for (int r = 0; r < ranks; ++r)
      threads.emplace_back([&, r] {
        EngineOptions mine = all;
        mine.rank = r, mine.ranks = ranks;
        mine.meet = [&, r](const Status &st) {
          told[size_t(r)] = st;
          meeting.arrive_and_wait();
          Status first;
          for (const Status &t : told)
            if (first.isOk() && !t.isOk())
              first = t;
          meeting.arrive_and_wait();
          return first;
        };
        auto made = makeCorpus(tree, ctx, mine);
        std::lock_guard lock(m);
        ok[size_t(r)] = made.isOk();
      });
    for (auto &t : threads)
      t.join();
    for (int r = 0; r < ranks; ++r)
      EXPECT_TRUE(ok[size_t(r)]);
    EXPECT_EQ(bytes(name), expected) << ranks << " ranks";
  }
}

TEST_F(Engine, TheOrderOfRowsIsThatOfTheFilesWhateverTheChunks) {
  writeMany();
  make(lines("many*.txt"), "small", 300);
  make(lines("many*.txt"), "large", 1 << 20);
  EXPECT_EQ(rows("small"), rows("large"));
}

TEST_F(Engine, DuplicatesNameTheRowThatIsKept) {
  write("a.txt", "The same line, twice.\nanother line\nthe SAME line twice\nthe same line twice and longer\n");
  json how = {{"dedup", "exact"}};
  json account = make(pass({{"op", "dedup"}, {"how", how}}, lines("a.txt")), "first");
  EXPECT_EQ(account["rows"], 3);
  EXPECT_EQ(dropped("first")["a.txt@35"]["of"], "a.txt@0");
  make(pass({{"op", "dedup"}, {"how", how}, {"keep", "longest"}}, lines("a.txt")), "longest");
  EXPECT_EQ(dropped("longest")["a.txt@35"]["of"], "a.txt@0");
  expectVerified("longest");
  // With shingles of one word the last line is like the first: 4 of 6 words.
  json near = {{"dedup", "minhash"}, {"shingle", 1}, {"bands", 64}, {"rows", 2}};
  make(pass({{"op", "dedup"}, {"how", near}, {"verify", true}, {"above", 0.6}, {"keep", "longest"}}, lines("a.txt")),
       "near");
  json lost = dropped("near");
  EXPECT_EQ(lost["a.txt@0"]["of"], "a.txt@55");
  EXPECT_EQ(lost["a.txt@0"]["evidence"]["similarity"], 1.0);
  EXPECT_EQ(lost["a.txt@35"]["of"], "a.txt@55");
  json sim = {{"dedup", "simhash"}, {"shingle", 1}, {"distance", 3}};
  account = make(pass({{"op", "dedup"}, {"how", sim}}, lines("a.txt")), "sim");
  EXPECT_EQ(account["passes"][1]["duplicates"], 1);
}

TEST_F(Engine, RepeatedLinesAreCut) {
  write("a.txt", "head\nunique one\n\nhead\nunique two\n\nhead\n");
  json in = {{"op", "lines"}, {"path", "a.txt"}, {"by", "paragraph"}};
  json account = make(pass({{"op", "repeats"}, {"part", "line"}, {"threshold", 2}, {"keep_first", true}}, in), "out");
  EXPECT_EQ(account["rows"], 2);
  EXPECT_EQ(account["passes"][1]["changed"], 1);
  EXPECT_EQ(account["passes"][1]["dropped"], json({{"repeated_lines", 1}}));
  auto all = rows("out");
  EXPECT_EQ(all[0]["text"], "head\nunique one");
  EXPECT_EQ(all[1]["text"], "unique two");
  expectVerified("out");
}

TEST_F(Engine, MixturesHaveTheirShares) {
  std::string a, b;
  for (int i = 0; i < 1000; ++i)
    a += "a a a a " + std::to_string(i) + "\n";
  for (int i = 0; i < 100; ++i)
    b += "b b b b " + std::to_string(i) + "\n";
  write("a.txt", a);
  write("b.txt", b);
  json tree = {{"op", "mix"}, {"sources", {{"a", lines("a.txt")}, {"b", lines("b.txt")}}}, {"by", "tokens"}};
  json plain = make(tree, "plain");
  EXPECT_EQ(plain["rows"], 1100);
  EXPECT_EQ(plain["domains"]["b"]["rows"], 100);
  // A domain has its old name until it is mixed.
  json again = {{"op", "mix"},
                {"sources", {{"old", filter({{"stage", "plain"}}, [](const json &r) { return r["_domain"] == "b"; })}}}};
  EXPECT_EQ(make(again, "again")["domains"].dump(), R"({"old":{"bytes":990,"rows":100}})");
  tree["weight"] = {{"b", 0.2}};
  json account = make(tree, "weighted");
  EXPECT_EQ(account["domains"]["b"]["rows"], 100);
  EXPECT_EQ(account["domains"]["a"]["rows"], 400);
  EXPECT_EQ(account["passes"][2]["dropped"], json({{"over_share", 600}}));
  EXPECT_EQ(account["passes"][2]["decided"]["b"]["scarcest"], true);
  expectVerified("weighted");
  tree["repeat"] = 2;
  account = make(tree, "twice");
  EXPECT_EQ(account["domains"]["b"]["rows"], 200);
  EXPECT_EQ(account["passes"][2]["added"], 100);
  expectVerified("twice");
  tree["cap"] = {{"b", 0.1}};
  auto wrong = makeCorpus(tree, ctx, options("wrong"));
  ASSERT_FALSE(wrong);
  EXPECT_NE(wrong.status().message().find("`b`"), std::string::npos) << wrong.status().message();
}

TEST_F(Engine, RowsMadeFromOthersStayOnTheirSideOfASplit) {
  std::string text;
  for (int i = 0; i < 300; ++i)
    text += "a big house stands number " + std::to_string(i) + " in a long street\n";
  write("a.txt", text);
  json more = pass({{"op", "augment"}, {"share", 0.5}, {"seed", 1}, {"how", {{"augment", "typos"}, {"rate", 0.2}}}},
                   lines("a.txt"));
  json account = make(more, "more");
  EXPECT_GT(account["passes"][1]["added"], 100);
  EXPECT_LT(account["passes"][1]["added"], 200);
  expectVerified("more");
  json split = {{"op", "split"}, {"fractions", {{"train", 0.5}, {"test", 0.5}}}};
  std::set<std::string> parts[2];
  int derived = 0;
  for (int i = 0; i < 2; ++i) {
    split["part"] = i ? "test" : "train";
    ASSERT_TRUE(eachRow(pass(split, {{"stage", "more"}}), ctx, [&](Row &&row) {
      derived += !parentOf(row.id).empty();
      parts[i].insert(std::string(rootOf(row.id)));
      return Status::ok();
    }));
  }
  EXPECT_EQ(derived, account["passes"][1]["added"]);
  EXPECT_EQ(parts[0].size() + parts[1].size(), 300u);
  for (const std::string &id : parts[0])
    EXPECT_FALSE(parts[1].count(id)) << id;
  // Nor does what becomes of the texts later: here all get the same.
  json split2 = split;
  ctx.rowFns.push_back([](const json &) -> Result<json> { return json{{"text", "the same"}}; });
  make(pass({{"op", "map_rows"}, {"to", {{"row_fn", ctx.rowFns.size() - 1}}}}, {{"stage", "more"}}), "same");
  std::set<std::string> again[2];
  for (int i = 0; i < 2; ++i) {
    split2["part"] = i ? "test" : "train";
    (void)eachRow(pass(split2, {{"stage", "same"}}), ctx, [&](Row &&row) {
      if (!row.key.empty())
        again[i].insert(std::string(rootOf(row.id)));
      return Status::ok();
    });
  }
  EXPECT_GT(again[0].size(), 30u);
  EXPECT_GT(again[1].size(), 30u);
  for (const std::string &id : again[0])
    EXPECT_FALSE(again[1].count(id)) << id;
  // A key that reads the changed text would tear them apart.
  ctx.rowFns.push_back([](const json &row) -> Result<json> { return row["text"]; });
  split["by"] = {{"row_fn", ctx.rowFns.size() - 1}};
  Status st = eachRow(pass(split, {{"stage", "more"}}), ctx, [](Row &&) { return Status::ok(); });
  ASSERT_FALSE(st);
  EXPECT_NE(st.message().find("was made from"), std::string::npos);
}

TEST_F(Engine, PartsThatAreSplitAgainAreNotSplitAlike) {
  std::string text;
  for (int i = 0; i < 400; ++i)
    text += "number " + std::to_string(i) + " of the lines\n";
  write("a.txt", text);
  auto split = [](const char *part, const json &in) {
    return pass({{"op", "split"}, {"part", part}, {"fractions", {{"train", 0.5}, {"test", 0.5}}}}, in);
  };
  auto count = [&](const json &tree) {
    size_t n = 0;
    EXPECT_TRUE(eachRow(tree, ctx, [&](Row &&) {
      ++n;
      return Status::ok();
    }));
    return n;
  };
  json train = split("train", lines("a.txt"));
  size_t half = count(train), quarter = count(split("train", train));
  EXPECT_NEAR(double(half), 200, 40);
  EXPECT_NEAR(double(quarter), 100, 35);
  EXPECT_EQ(quarter + count(split("test", train)), half);
  // Also when a stage lies between.
  make(train, "half");
  EXPECT_EQ(count(split("train", {{"stage", "half"}})), quarter);
}

TEST_F(Engine, BranchesMayHaveBarriersOfTheirOwn) {
  write("a.txt", "one\none\ntwo\nthree\n");
  write("b.txt", "four\nfive\nfive\n");
  json exact = {{"op", "dedup"}, {"how", {{"dedup", "exact"}}}};
  json tree = {{"op", "mix"},
               {"sources", {{"a", pass(exact, lines("a.txt"))}, {"b", pass(exact, lines("b.txt"))}, {"c", lines("a.txt")}}}};
  json account = make(tree, "out");
  EXPECT_EQ(account["rows"], 3 + 2 + 4);
  EXPECT_EQ(account["domains"]["a"]["rows"], 3);
  EXPECT_EQ(account["domains"]["b"]["rows"], 2);
  expectVerified("out");
  // Without files, too.
  json sample = {{"op", "sample"}, {"n", 1}};
  json two = {{"op", "mix"}, {"sources", {{"a", pass(sample, lines("a.txt"))}, {"b", pass(sample, lines("b.txt"))}}}};
  std::vector<std::string> files;
  ASSERT_TRUE(eachRow(two, ctx, [&](Row &&row) {
    files.push_back(row.domain + " " + row.id.substr(0, 5));
    return Status::ok();
  }));
  EXPECT_EQ(files, (std::vector<std::string>{"a a.txt", "b b.txt"}));
}

TEST_F(Engine, AddedRowsHaveNamesOfTheirOwn) {
  write("a.txt", "the small house is near the river\nthe large garden behind the old wall\n");
  json typos = {{"op", "augment"}, {"share", 1.0}, {"how", {{"augment", "typos"}, {"rate", 0.5}}}};
  json twice = pass(typos, pass(typos, lines("a.txt")));
  make(twice, "one");
  make(pass(typos, {{"stage", "one"}}), "two");
  std::set<std::string> ids;
  auto all = rows("two");
  for (const json &r : all)
    ids.insert(r["_id"].get<std::string>());
  EXPECT_EQ(ids.size(), all.size());
  EXPECT_EQ(all.size(), 16u);
  expectVerified("two");
}

TEST_F(Engine, DomainsWithoutRowsCount) {
  write("a.txt", "one\n");
  write("b.txt", "\n");
  json tree = {{"op", "mix"}, {"sources", {{"a", lines("a.txt")}, {"b", lines("b.txt")}}}, {"by", "documents"},
               {"floor", {{"b", 0.2}}}};
  auto wrong = makeCorpus(tree, ctx, options("wrong"));
  ASSERT_FALSE(wrong);
  EXPECT_NE(wrong.status().message().find("`b`"), std::string::npos) << wrong.status().message();
}

TEST_F(Engine, OurNamesInASourceAreItsOwnStill) {
  write("a.jsonl", "{\"text\":\"x\",\"_id\":{\"$oid\":\"5\"},\"_domain\":7}\n");
  make({{"op", "jsonl"}, {"path", "a.jsonl"}}, "out");
  EXPECT_EQ(rows("out")[0].dump(), R"({"__domain":7,"__id":{"$oid":"5"},"_id":"a.jsonl@0","text":"x"})");
}

TEST_F(Engine, RulesReachTheMessagesOfConversations) {
  write("a.jsonl", R"({"messages":[{"role":"user","content":"write to a@b.org"},{"role":"assistant","content":"done\nsee http://x.org/"}]})"
                   "\n");
  json mail = {{"rule", "pattern"}, {"name", "email"}, {"expression", nullptr}, {"action", "mask"}, {"with", nullptr}};
  json link = {{"rule", "pattern"}, {"name", "url"}, {"expression", nullptr}, {"action", "cut"}, {"with", nullptr}};
  json in = {{"op", "jsonl"}, {"path", "a.jsonl"}};
  make(pass({{"op", "apply_rules"}, {"rules", {mail}}}, in), "masked");
  json row = rows("masked")[0];
  EXPECT_EQ(row["text"], "write to <email>\ndone\nsee http://x.org/");
  EXPECT_EQ(row["messages"][0]["content"], "write to <email>");
  EXPECT_EQ(row["messages"][1]["content"], "done\nsee http://x.org/");
  make(pass({{"op", "apply_rules"}, {"rules", {mail, link}}}, in), "cut");
  row = rows("cut")[0];
  EXPECT_EQ(row["text"], "write to <email>\ndone");
  EXPECT_EQ(row["messages"][0]["content"], "write to <email>");
  EXPECT_EQ(row["messages"][1]["content"], "done");
  expectVerified("cut");
  // What cuts lines does so in each message; what drops looks at the whole. The order of fields in calls stays.
  write("b.jsonl", R"({"messages":[{"role":"user","content":"Home page\nThis line is a sentence."},{"role":"assistant","content":"Menu",)"
                   R"("tool_calls":[{"function":{"name":"f","arguments":{"z":1,"a":2}}}]},{"role":"tool","content":"So is this one. And this is one."}]})"
                   "\n");
  json c4 = {{"rule", "c4"}, {"min_sentences", 3}, {"min_words_per_line", 3}, {"max_word_length", 1000}, {"citations", true},
             {"terminal_punctuation", true}, {"javascript", true}, {"policy", true}, {"lorem_ipsum", true}, {"curly_bracket", true}};
  in = {{"op", "jsonl"}, {"path", "b.jsonl"}};
  make(pass({{"op", "apply_rules"}, {"rules", {c4}}}, in), "c4");
  row = rows("c4")[0];
  EXPECT_EQ(row["text"], "This line is a sentence.\n\nSo is this one. And this is one.");
  EXPECT_EQ(row["messages"][0]["content"], "This line is a sentence.");
  EXPECT_EQ(row["messages"][1]["content"], "");
  EXPECT_EQ(row["messages"][2]["content"], "So is this one. And this is one.");
  // Passes that change the text alone refuse conversations.
  write("c.jsonl", R"({"messages":[{"role":"user","content":"the same line\none more"}]})" "\n"
                   R"({"messages":[{"role":"user","content":"the same line\nand another"}]})" "\n");
  auto refused = makeCorpus({{"op", "repeats"}, {"part", "line"}, {"threshold", 2}, {"keep_first", true}, {"in", {{"op", "jsonl"}, {"path", "c.jsonl"}}}},
                            ctx, options("refused"));
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.status().message().find("is a conversation, and `drop_repeats` changes its text, but not its "
                                            "`messages`"), std::string::npos) << refused.status().message();
}

TEST_F(Engine, RulesStopWhereTextAndMessagesDiffer) {
  const json mask = {{"rule", "pattern"}, {"name", "email"}, {"expression", nullptr}, {"action", "mask"}, {"with", nullptr}};
  json drop = mask;
  drop["action"] = "drop";
  const json in = {{"op", "jsonl"}, {"path", "a.jsonl"}, {"text", "text"}};
  auto refused = [&](const std::string &row, const char *what) {
    write("a.jsonl", row + "\n");
    auto made = makeCorpus(pass({{"op", "apply_rules"}, {"rules", {mask}}}, in), ctx, options("refused"));
    ASSERT_FALSE(made) << row;
    EXPECT_NE(made.status().message().find("row a.jsonl@0"), std::string::npos) << made.status().message();
    EXPECT_NE(made.status().message().find(what), std::string::npos) << made.status().message();
    EXPECT_NE(made.status().message().find("; help: "), std::string::npos) << made.status().message();
  };
  refused(R"({"text":"q a@b.com","prompt":"q","chosen":"a@b.com","rejected":"c@d.com"})",
          " is a preference, and `apply_rules` changes its text, but not `chosen` and `rejected`");
  refused(R"({"text":"mail me a@b.com now","messages":[1,2]})", "element 1 of its `messages` is no object with a text as its `content`");
  refused(R"({"text":"x","messages":[{"content":"x"},{"content":["a@b.com"]}]})", "element 2 of its `messages` is no object");
  refused(R"({"text":"see a@b.com and more text","messages":[{"role":"user","content":"other a@b.com"}]})",
          "its text (25 bytes) is not the contents of its `messages`, joined by newlines (13 bytes), so `apply_rules` cannot");
  // Nothing of the text is changed, but something of the messages would have to be.
  refused(R"({"text":"nothing","messages":[{"role":"user","content":"to a@b.com"}]})", "its text (7 bytes) is not the contents");
  // Rules that change no text look at the text alone; a row that is dropped loses nothing.
  write("a.jsonl", R"({"text":"nothing","messages":[{"role":"user","content":"to a@b.com"}]})" "\n"
                   R"({"text":"to a@b.com","messages":[{"role":"user","content":"nothing"}]})" "\n");
  make(pass({{"op", "apply_rules"}, {"rules", {drop}}}, in), "dropped");
  EXPECT_EQ(rows("dropped").size(), 1u);
  write("a.jsonl", R"({"text":"to a@b.com","messages":[{"role":"user","content":"nothing"}]})" "\n");
  make(pass({{"op", "apply_rules"}, {"rules", {drop, mask}}}, in), "both");
  EXPECT_EQ(rows("both").size(), 0u);
  // Where they agree both follow; a message without a text, as of a call, stays without; lists further down are no matter.
  write("a.jsonl", R"({"text":"a@b.com\n\nok","messages":[{"role":"user","content":"a@b.com"},{"role":"assistant","content":null},{"content":"ok"}]})" "\n"
                   R"({"text":"a@b.com","messages":[],"meta":{"messages":["a@b.com"]}})" "\n");
  make(pass({{"op", "apply_rules"}, {"rules", {mask}}}, in), "agree");
  auto out = rows("agree");
  ASSERT_EQ(out.size(), 2u);
  EXPECT_EQ(out[0]["text"], "<email>\n\nok");
  EXPECT_EQ(out[0]["messages"][0]["content"], "<email>");
  EXPECT_TRUE(out[0]["messages"][1]["content"].is_null());
  EXPECT_EQ(out[1]["text"], "<email>");
  EXPECT_EQ(out[1]["meta"]["messages"][0], "a@b.com");
  expectVerified("agree");
}

TEST_F(Engine, MessagesFurtherDownMakeNoConversation) {
  write("a.jsonl", R"({"text":"the same line\none more","meta":{"messages":["a"]}})" "\n"
                   R"({"text":"the same line\nand another","meta":{"messages":["b"]}})" "\n");
  make(pass({{"op", "repeats"}, {"part", "line"}, {"threshold", 2}, {"keep_first", true}},
            {{"op", "jsonl"}, {"path", "a.jsonl"}, {"text", "text"}}), "cut");
  auto out = rows("cut");
  ASSERT_EQ(out.size(), 2u);
  EXPECT_EQ(out[1]["text"], "and another");
  EXPECT_EQ(out[1]["meta"]["messages"][0], "b");
}

TEST_F(Engine, ADamagedShardIsMadeAgain) {
  writeMany(1);
  make(lines("many0.txt"), "out");
  auto expected = bytes("out");
  std::string shard = (dir / "out/rows-00000.jsonl.zst").string();
  fs::resize_file(shard, 10);
  fs::create_directories(dir / "out/scratch/0"); // as after a kill behind the account
  make(lines("many0.txt"), "out");
  EXPECT_EQ(bytes("out"), expected);
}

TEST_F(Engine, BadRowsAreCountedForEachSourceAndOverInterruptions) {
  write("a.jsonl", "{\"text\":\"good\"}\n{\"text\": broken\n");
  write("b.jsonl", "{\"text\": broken\n{\"text\":\"good\"}\n");
  auto source = [](const char *path) { return json{{"op", "jsonl"}, {"path", path}, {"bad_rows", 1}}; };
  make({{"op", "mix"}, {"sources", {{"a", source("a.jsonl")}, {"b", source("b.jsonl")}}}}, "out");
  EXPECT_EQ(rows("out").size(), 2u);
  expectVerified("out");
  // Small chunks: the first bad row is in one that is finished.
  std::string text;
  for (int i = 0; i < 100; ++i)
    text += "{\"text\":\"a line of text that is good, number " + std::to_string(i) + "\"}\n" +
            (i == 10 || i == 90 ? "{broken\n" : "");
  write("c.jsonl", text);
  for (int runs = 0; runs < 2; ++runs)
    EXPECT_FALSE(makeCorpus(source("c.jsonl"), ctx, options("again", 500)));
}

TEST_F(Engine, BadRowsAreCountedAndLocated) {
  write("a.jsonl", "{\"text\":\"good\",\"n\":1}\n{\"text\": broken\n{\"n\":2}\n{\"text\":\"fine\"}\n");
  json tree = {{"op", "jsonl"}, {"path", "a.jsonl"}, {"bad_rows", 2}};
  json account = make(tree, "out");
  EXPECT_EQ(account["rows"], 2);
  EXPECT_EQ(account["passes"][0]["in"], 4);
  EXPECT_EQ(account["passes"][0]["dropped"], json({{"bad_row", 2}}));
  EXPECT_EQ(dropped("out")["a.jsonl@22"]["evidence"]["line"], 2);
  expectVerified("out");
  tree["bad_rows"] = 1;
  auto wrong = makeCorpus(tree, ctx, options("wrong"));
  ASSERT_FALSE(wrong);
  EXPECT_NE(wrong.status().message().find("line 3"), std::string::npos) << wrong.status().message();
  EXPECT_NE(wrong.status().message().find("more than 1"), std::string::npos);
}

TEST_F(Engine, UnreadableFilesStopOrAreLeftOut) {
  write("a.txt", "one\ntwo\n");
  write("b.txt", std::string("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03", 10) + "this is no deflate stream");
  write("c.txt", "three\n");
  auto wrong = makeCorpus(lines("*.txt"), ctx, options("wrong"));
  ASSERT_FALSE(wrong);
  EXPECT_NE(wrong.status().message().find("b.txt"), std::string::npos) << wrong.status().message();
  json tree = lines("*.txt");
  tree["unreadable"] = "skip";
  std::vector<std::string> warned;
  ctx.warn = [&](const std::string &w) { warned.push_back(w); };
  json account = make(tree, "out");
  EXPECT_EQ(account["rows"], 3);
  EXPECT_EQ(account["passes"][0]["dropped"], json({{"unreadable", 1}}));
  EXPECT_EQ(dropped("out")["b.txt"]["reason"], "unreadable");
  EXPECT_EQ(warned.size(), 1u);
  expectVerified("out");
  // Found while it was looked for the end of a chunk, and counted once for all that.
  EngineOptions o = options("stopped", 4);
  for (int runs = 0; runs < 20; ++runs) {
    int asked = 0;
    o.stopAsked = [&] { return ++asked > 1; };
    if (auto made = makeCorpus(tree, ctx, o)) {
      EXPECT_EQ((*made)["passes"][0]["dropped"], json({{"unreadable", 1}}));
      return;
    }
  }
  FAIL() << "never finished";
}

TEST_F(Engine, DamageIsFound) {
  writeMany(1);
  make(lines("many0.txt"), "out");
  std::string shard = (*shardFiles((dir / "out").string()))[0], text = *readFile(shard);
  text[text.size() / 2] ^= 1;
  ASSERT_TRUE(writeFileAtomic(shard, text));
  auto wrong = verify((dir / "out").string());
  ASSERT_TRUE(wrong);
  ASSERT_FALSE(wrong->empty());
  EXPECT_NE((*wrong)[0].find("SHA-256"), std::string::npos);
}

TEST_F(Engine, LazyTreesRefuseWhatNeedsAStage) {
  write("a.txt", "one\ntwo\n");
  Status st = eachRow(pass({{"op", "dedup"}, {"how", {{"dedup", "exact"}}}}, lines("a.txt")), ctx,
                      [](Row &&) { return Status::ok(); });
  ASSERT_FALSE(st);
  EXPECT_NE(st.message().find("needs a stage of its own"), std::string::npos) << st.message();
}
