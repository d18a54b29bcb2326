#include "runtime/dedup/Near.h"
#include "runtime/dedup/Runs.h"
#include "runtime/dedup/Signature.h"
#include "runtime/state/Files.h"
#include "runtime/state/Philox.h"
#include <algorithm>
#include <cmath>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <map>
#include <set>
#include <sys/wait.h>
#include <unistd.h>

using namespace r1rt;
using namespace r1rt::dedup;
namespace fs = std::filesystem;

namespace {

struct Dir {
  std::string path;
  explicit Dir(const std::string &name)
      : path(testing::TempDir() + "dedup-" + std::to_string(::getpid()) + "-" + name) {
    fs::remove_all(path);
  }
  ~Dir() { fs::remove_all(path); }
};

/// 20,000 documents: every fourth is a copy of the one three before it, with 0 to 4 of its 80 words
/// replaced; some copies are of copies. The words are drawn, so all other pairs are unlike.
struct Planted {
  static constexpr uint32_t count = 20000;
  std::vector<std::vector<uint64_t>> sets;
  std::vector<uint64_t> keys;
  static std::string text(uint32_t i) {
    std::vector<uint32_t> words(80);
    uint32_t from = i % 4 == 3 ? i - 3 : i;
    for (uint32_t w = 0; w < 80; ++w)
      words[w] = philox(21, uint64_t(from) << 16 | w)[0] % 20000;
    if (i % 4 == 3)
      for (uint32_t e = 0; e < i / 4 % 5; ++e)
        words[philox(22, uint64_t(i) << 16 | e)[0] % 80] = 30000 + i;
    std::string t;
    for (uint32_t w : words)
      t += "w" + std::to_string(w) + " ";
    return t;
  }
  Planted() {
    MinHash m = MinHash::create({}).take();
    MinHash::Scratch s;
    std::vector<uint32_t> sig(112);
    keys.resize(size_t(count) * 14);
    for (uint32_t i = 0; i < count; ++i) {
      std::string t = text(i);
      sets.push_back(shingleSet(t, Units::words, 5));
      m.sign(t, s, sig);
      m.keys(sig, std::span(keys).subspan(size_t(i) * 14, 14));
    }
  }
  static const Planted &get() {
    static Planted p;
    return p;
  }
  std::span<const uint64_t> of(uint32_t i) const {
    return std::span(keys).subspan(size_t(i) * 14, 14);
  }
  /// Every pair with a shingle in common, and its Jaccard: brute force, by an inverted index.
  std::map<DocPair, double> similar(double least) const {
    std::vector<std::pair<uint64_t, uint32_t>> index;
    for (uint32_t i = 0; i < count; ++i)
      for (uint64_t x : sets[i])
        index.push_back({x, i});
    std::sort(index.begin(), index.end());
    std::set<DocPair> pairs;
    for (size_t i = 0, j; i < index.size(); i = j) {
      for (j = i; j < index.size() && index[j].first == index[i].first; ++j)
        for (size_t k = i; k < j; ++k)
          pairs.insert({index[k].second, index[j].second});
    }
    std::map<DocPair, double> out;
    for (DocPair p : pairs)
      if (double s = jaccard(sets[p.first], sets[p.second]); s >= least)
        out[p] = s;
    return out;
  }
};

Result<Clusters> runAll(const NearOptions &o, uint32_t count = Planted::count) {
  R1RT_ASSIGN(NearDuplicates n, NearDuplicates::open(o));
  for (uint32_t i = n.next(); !n.isComplete() && i < count; ++i)
    R1RT_TRY(n.add(Planted::get().of(i)));
  return n.finish();
}

Similarity planted() {
  return [](uint32_t a, uint32_t b) -> Result<double> {
    return jaccard(Planted::get().sets[a], Planted::get().sets[b]);
  };
}

std::string bytesOf(const std::string &path) { return readFile(path).take(); }

} // namespace

/// Verified: no pair below the threshold, and of those above as many as the curve says, within
/// 4 standard deviations of the sum of the pairs' own probabilities.
TEST(Near, RecallAndPrecisionAgainstBruteForce) {
  Dir d("recall");
  auto truth = Planted::get().similar(0.6);
  ASSERT_GT(truth.size(), 4000u);
  auto c = runAll({.dir = d.path, .identity = "p", .memory = 1 << 20, .similarity = planted(),
                   .least = 0.6});
  ASSERT_TRUE(c) << c.status().message();
  // Each cluster is a pair, so joined documents are accepted pairs.
  double expected = 0, variance = 0;
  size_t found = 0;
  for (auto [pair, s] : truth) {
    double p = 1 - std::pow(1 - std::pow(s, 8), 14);
    expected += p;
    variance += p * (1 - p);
    found += c->kept[pair.second] == c->kept[pair.first];
  }
  EXPECT_NEAR(double(found), expected, 4 * std::sqrt(variance) + 1);
  EXPECT_EQ(c->duplicates.size(), found); // precision 1
  for (const Duplicate &dup : c->duplicates) {
    auto it = truth.find({dup.kept, dup.doc});
    ASSERT_NE(it, truth.end());
    EXPECT_EQ(dup.match, dup.kept);
    EXPECT_FLOAT_EQ(dup.similarity, float(it->second));
  }
  printf("similar pairs %zu, found %zu, theory %.1f\n", truth.size(), found, expected);
}

/// The same result whatever the memory, the threads and the ranks.
TEST(Near, IndependentOfMemoryThreadsAndRanks) {
  Dir a("one"), b("two");
  auto one = runAll({.dir = a.path, .identity = "p", .memory = 64 << 20});
  auto two = runAll({.dir = b.path, .identity = "p", .memory = 1 << 20, .threads = 2});
  ASSERT_TRUE(one) << one.status().message();
  ASSERT_TRUE(two) << two.status().message();
  EXPECT_GT(one->duplicates.size(), 3000u);
  EXPECT_EQ(one->kept, two->kept);
  EXPECT_EQ(bytesOf(a.path + "/duplicates"), bytesOf(b.path + "/duplicates"));

  const Planted &p = Planted::get();
  for (unsigned ranks : {1u, 2u, 4u}) {
    std::vector<std::vector<std::vector<BandEntry>>> sent; // [from][to]
    for (unsigned r = 0; r < ranks; ++r) {
      uint32_t from = Planted::count * r / ranks, to = Planted::count * (r + 1) / ranks;
      sent.push_back(shareBands(std::span(p.keys).subspan(size_t(from) * 14, size_t(to - from) * 14),
                                14, from, {}, ranks));
    }
    std::vector<std::vector<DocPair>> pairs;
    for (unsigned owner = 0; owner < ranks; ++owner) {
      std::vector<std::vector<BandEntry>> got;
      for (unsigned r = 0; r < ranks; ++r)
        got.push_back(sent[r][owner]);
      pairs.push_back(pairsOf(got, 16));
    }
    EXPECT_EQ(clustersOf(Planted::count, pairs).kept, one->kept) << ranks << " ranks";
  }
}

TEST(Near, VerifiedIndependentOfMemoryAndThreads) {
  Dir a("vone"), b("vtwo");
  auto one = runAll({.dir = a.path, .memory = 64 << 20, .similarity = planted()});
  auto two = runAll({.dir = b.path, .memory = 1 << 20, .threads = 2, .similarity = planted()});
  ASSERT_TRUE(one) << one.status().message();
  ASSERT_TRUE(two) << two.status().message();
  EXPECT_EQ(one->kept, two->kept);
  EXPECT_EQ(bytesOf(a.path + "/duplicates"), bytesOf(b.path + "/duplicates"));
}

TEST(Near, IdenticalEmptyAndTiny) {
  Dir d("tiny");
  auto n = NearDuplicates::open({.dir = d.path, .bands = 2, .memory = 1 << 20});
  ASSERT_TRUE(n);
  std::vector<uint64_t> same = {1, 2}, chained = {9, 2}, alone = {5, 6};
  ASSERT_TRUE(n->add({}));      // 0: empty
  ASSERT_TRUE(n->add(alone));   // 1
  for (int i = 0; i < 100; ++i) // 2 ... 101, more than are paired each with each
    ASSERT_TRUE(n->add(same));
  ASSERT_TRUE(n->add({}));      // 102: two empty documents are not duplicates
  ASSERT_TRUE(n->add(chained)); // 103: by one band only
  EXPECT_NE(n->add(std::vector<uint64_t>(3)).message().find("3 keys"), std::string::npos);
  auto c = n->finish();
  ASSERT_TRUE(c) << c.status().message();
  EXPECT_EQ(c->duplicates.size(), 100u);
  for (uint32_t kept : {0u, 1u, 2u, 102u})
    EXPECT_TRUE(c->isKept(kept)) << kept;
  EXPECT_EQ(c->kept[103], 2u);
  int clusters = 0;
  c->forEach([&](uint32_t kept, std::span<const uint32_t> members) {
    ++clusters;
    EXPECT_EQ(kept, 2u);
    EXPECT_EQ(members.size(), 101u);
    EXPECT_EQ(members.back(), 103u);
  });
  EXPECT_EQ(clusters, 1);
  EXPECT_FALSE(n->add(alone)); // after finish
}

TEST(Near, NoDocuments) {
  Dir d("none");
  auto c = NearDuplicates::open({.dir = d.path})->finish();
  ASSERT_TRUE(c) << c.status().message();
  EXPECT_TRUE(c->kept.empty());
}

TEST(Near, KeepsTheHighestScore) {
  std::vector<std::vector<DocPair>> pairs = {{{0, 2}, {2, 3}, {1, 4}}};
  const double score[] = {1, 5, 7, 7, 5};
  Clusters c = clustersOf(5, pairs, [&](uint32_t d) { return score[d]; });
  EXPECT_EQ(c.kept, (std::vector<uint32_t>{2, 1, 2, 2, 1})); // of equal scores the first
}

TEST(Near, ChineseTexts) {
  MinHash m = MinHash::create({.units = Units::characters, .ngram = 3}).take();
  MinHash::Scratch s;
  const std::string base = "深度学习是机器学习的一个分支，它使用多层神经网络从大量数据中学习表示，"
                           "并已在图像识别、语音识别和自然语言处理中取得显著成果。";
  const std::vector<std::string> texts = {base, "今天天气很好，我们去公园散步，看见许多花和小鸟。",
                                          base + "！", base + "好"};
  Dir d("chinese");
  auto n = NearDuplicates::open({.dir = d.path}).take();
  std::vector<uint32_t> sig(112);
  std::vector<uint64_t> keys(14);
  for (const std::string &t : texts) {
    ASSERT_TRUE(m.sign(t, s, sig));
    m.keys(sig, keys);
    ASSERT_TRUE(n.add(keys));
  }
  auto c = n.finish();
  ASSERT_TRUE(c);
  EXPECT_EQ(c->kept, (std::vector<uint32_t>{0, 1, 0, 0}));
}

TEST(Near, DamagedRunsAreNamed) {
  for (int how = 0; how < 3; ++how) {
    Dir d("damage" + std::to_string(how));
    {
      NearDuplicates n =
          NearDuplicates::open({.dir = d.path, .identity = "p", .memory = 1 << 20}).take();
      for (uint32_t i = 0; i < 10000; ++i)
        ASSERT_TRUE(n.add(Planted::get().of(i)));
    }
    std::string file = d.path + "/band-3-run-0";
    ASSERT_TRUE(fs::exists(file));
    if (how == 0) {
      std::fstream f(file, std::ios::in | std::ios::out | std::ios::binary);
      f.seekp(5000);
      f.put('\x5a'), f.put('\xa5');
    } else if (how == 1) {
      fs::resize_file(file, fs::file_size(file) - 7);
    } else {
      fs::resize_file(file, 10);
    }
    auto c = runAll({.dir = d.path, .identity = "p", .memory = 1 << 20});
    ASSERT_FALSE(c);
    EXPECT_NE(c.status().message().find("band-3-run-0: "), std::string::npos)
        << c.status().message();
    EXPECT_NE(c.status().message().find("damaged"), std::string::npos);
  }
}

TEST(Near, RefusesAnotherFolderAndBadOptions) {
  Dir d("other");
  ASSERT_TRUE(NearDuplicates::open({.dir = d.path, .identity = "a"}));
  auto b = NearDuplicates::open({.dir = d.path, .identity = "b"});
  ASSERT_FALSE(b);
  EXPECT_NE(b.status().message().find("holds another deduplication (a;"), std::string::npos);
  EXPECT_FALSE(NearDuplicates::open({.dir = d.path, .bands = 0}));
  EXPECT_FALSE(NearDuplicates::open({.dir = d.path, .memory = 5}));
  EXPECT_FALSE(NearDuplicates::open({.dir = d.path, .least = 1.5}));
  std::ofstream(d.path + "/manifest.json") << "{";
  EXPECT_NE(NearDuplicates::open({.dir = d.path, .identity = "a"})
                .status().message().find("manifest.json: not the manifest"),
            std::string::npos);
}

/// A process that is killed at moments drawn anew each time ends with the same bytes.
TEST(Near, KilledAndResumed) {
  for (const char *verify : {"", "verify"}) {
    Dir a(std::string("whole") + verify), b(std::string("killed") + verify);
    auto start = [&](const std::string &dir) {
      std::fflush(stdout); // or the child prints what waits in the buffer, too
      pid_t pid = ::fork();
      if (pid == 0) {
        std::freopen("/dev/null", "w", stdout);
        ::execl(DEDUP_BENCH, "dedup-bench", "near", dir.c_str(), "60000", "2", "2",
                *verify ? verify : nullptr, nullptr);
        ::_exit(127);
      }
      return pid;
    };
    int status = 0;
    ASSERT_GT(::waitpid(start(a.path), &status, 0), 0);
    ASSERT_EQ(status, 0);
    int kills = 0;
    for (uint64_t round = 0;; ++round) {
      pid_t pid = start(b.path);
      // Later rounds live longer, so that it ends whatever the machine's speed.
      ::usleep(20000 + philox(uint64_t(::getpid()), round)[0] % 60000 + uint32_t(round) * 10000);
      ::kill(pid, SIGKILL);
      ASSERT_GT(::waitpid(pid, &status, 0), 0);
      if (WIFEXITED(status)) {
        ASSERT_EQ(WEXITSTATUS(status), 0);
        break;
      }
      ++kills;
    }
    EXPECT_GE(kills, 1);
    EXPECT_EQ(bytesOf(a.path + "/duplicates"), bytesOf(b.path + "/duplicates"));
    EXPECT_GT(fs::file_size(a.path + "/duplicates"), 60000u);
    printf("killed %d times\n", kills);
  }
}
