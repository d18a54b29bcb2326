#include "runtime/dedup/Near.h"
#include "runtime/dedup/Signature.h"
#include "runtime/state/Files.h"
#include "runtime/state/Philox.h"
#include <algorithm>
#include <atomic>
#include <bit>
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
    MinHash m = MinHash::create({.foldNumbers = false}).take();
    MinHash::Scratch s;
    std::vector<uint32_t> sig(112);
    keys.resize(size_t(count) * 14);
    for (uint32_t i = 0; i < count; ++i) {
      std::string t = text(i);
      sets.push_back(shingleSet(t, unfolded, 5));
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

struct Chunks {
  uint32_t count = Planted::count, each = 3000;
};

/// Key files of the planted documents, cut into chunks, in the folder.
std::vector<std::string> writeKeys(const std::string &dir, Chunks chunks = {}) {
  fs::create_directories(dir);
  std::vector<std::string> files;
  KeyWriter w = KeyWriter::create(14).take();
  for (uint32_t i = 0; i < chunks.count; ++i) {
    EXPECT_TRUE(w.append(Planted::get().of(i)));
    if (w.documents() == chunks.each || i + 1 == chunks.count) {
      files.push_back(dir + "/keys-" + std::to_string(files.size()));
      EXPECT_TRUE(w.finish(files.back()));
    }
  }
  return files;
}

/// Keys of `words` words, one document after the other, in one file.
std::string writeFile(const std::string &dir, unsigned bands, unsigned words,
                      const std::vector<std::vector<uint64_t>> &keys, const char *name = "keys") {
  fs::create_directories(dir);
  KeyWriter w = KeyWriter::create(bands, words).take();
  for (const auto &k : keys)
    EXPECT_TRUE(w.append(k));
  std::string file = dir + "/" + name;
  EXPECT_TRUE(w.finish(file));
  return file;
}

Result<Clusters> runAll(const NearOptions &o, Chunks chunks = {}, unsigned ranks = 1) {
  R1RT_ASSIGN(NearDuplicates n, NearDuplicates::open(o, writeKeys(o.dir, chunks)));
  for (unsigned r = ranks; r-- > 0;) // no order is needed
    R1RT_TRY(n.pair(r, ranks));
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

/// The same bytes whatever the chunks, the ranks, the memory and the threads. 4000 chunks of 5 documents
/// are more files than are merged at a time.
TEST(Near, IndependentOfChunksRanksMemoryAndThreads) {
  for (bool verified : {false, true}) {
    std::string first;
    auto check = [&](Chunks chunks, unsigned ranks, uint64_t memory, unsigned threads) {
      Dir d("same");
      NearOptions o{.dir = d.path, .memory = memory, .threads = threads};
      if (verified)
        o.similarity = planted();
      auto c = runAll(o, chunks, ranks);
      ASSERT_TRUE(c) << c.status().message();
      EXPECT_GT(c->duplicates.size(), 2000u);
      std::string bytes = bytesOf(d.path + "/duplicates").substr(16); // behind what it is made of
      if (first.empty())
        first = bytes;
      EXPECT_EQ(bytes, first) << ranks << " ranks, chunks of " << chunks.each;
      for (const auto &e : fs::directory_iterator(d.path)) {
        std::string name = e.path().filename();
        EXPECT_TRUE(name.starts_with("keys-") || name.starts_with("pairs-") ||
                    name.starts_with("accepted-") || name == "duplicates");
        EXPECT_EQ(name.find("merged"), std::string::npos) << name;
        EXPECT_EQ(name.find("piece"), std::string::npos) << name;
      }
    };
    check({.each = Planted::count}, 1, 64 << 20, 1);
    check({.each = 3000}, 2, 1 << 20, 2);
    check({.each = 777}, 4, 1 << 20, 1);
    if (!verified)
      check({.count = Planted::count, .each = 5}, 1, 1 << 20, 2);
  }
}

/// What is there is not made again; what was made from something else is.
TEST(Near, RestartSkipsWhatIsComplete) {
  Dir d("restart");
  std::vector<std::string> files = writeKeys(d.path);
  std::atomic<int> calls = 0;
  NearOptions o{.dir = d.path, .similarity = [&](uint32_t a, uint32_t b) -> Result<double> {
                  ++calls;
                  return planted()(a, b);
                }};
  NearDuplicates n = NearDuplicates::open(o, files).take();
  ASSERT_TRUE(n.pair(1, 2));
  auto time = [&](const char *name) { return fs::last_write_time(d.path + "/" + name); };
  auto band1 = time("pairs-1");
  EXPECT_FALSE(fs::exists(d.path + "/pairs-0"));
  Clusters first = n.finish().take(); // pairs the other bands
  EXPECT_EQ(time("pairs-1"), band1);
  const int judged = calls;
  EXPECT_GT(judged, 3000);
  Clusters again = NearDuplicates::open(o, files)->finish().take();
  EXPECT_EQ(calls, judged);
  EXPECT_EQ(again.kept, first.kept);
  ASSERT_EQ(again.duplicates.size(), first.duplicates.size());
  EXPECT_EQ(again.duplicates[7].match, first.duplicates[7].match);
  fs::remove(d.path + "/duplicates");
  NearDuplicates::open(o, files)->finish().take();
  EXPECT_EQ(calls, judged); // what was accepted is still there
  o.least = .9;
  Clusters stricter = NearDuplicates::open(o, files)->finish().take();
  EXPECT_EQ(calls, 2 * judged);
  EXPECT_LT(stricter.duplicates.size(), first.duplicates.size());
  o.identity = "another text";
  NearDuplicates::open(o, files)->finish().take();
  EXPECT_EQ(calls, 3 * judged);
  EXPECT_EQ(time("pairs-1"), band1);
  files = writeKeys(d.path, {.count = 10000, .each = 3000}); // other keys: other pairs
  EXPECT_LT(NearDuplicates::open(o, files)->finish()->duplicates.size(),
            stricter.duplicates.size());
  EXPECT_NE(time("pairs-1"), band1);
}

TEST(Near, IdenticalEmptyAndTiny) {
  Dir d("tiny");
  std::vector<uint64_t> same = {1, 2}, chained = {9, 2}, alone = {5, 6};
  std::vector<std::vector<uint64_t>> keys = {{}, alone}; // 0: empty
  keys.insert(keys.end(), 100, same); // 2 ... 101, more than are paired each with each
  keys.push_back({});                 // 102: two empty documents are not duplicates
  keys.push_back(chained);            // 103: by one band only
  std::string file = writeFile(d.path, 2, 1, keys);
  auto c = NearDuplicates::open({.dir = d.path, .memory = 1 << 20}, {file})->finish();
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
}

TEST(Near, NoDocuments) {
  Dir d("none");
  for (auto files : {std::vector<std::string>{}, {writeFile(d.path, 3, 1, {})}}) {
    auto c = NearDuplicates::open({.dir = d.path}, files)->finish();
    ASSERT_TRUE(c) << c.status().message();
    EXPECT_TRUE(c->kept.empty());
  }
}

TEST(Near, KeepsTheHighestScore) {
  Dir d("score");
  // Pairs 0-2, 2-3 and 1-4.
  std::string file = writeFile(d.path, 2, 1, {{1, 10}, {2, 20}, {1, 30}, {3, 30}, {2, 40}});
  const double score[] = {1, 5, 7, 7, 5};
  NearOptions o{.dir = d.path, .score = [&](uint32_t doc) { return score[doc]; }};
  auto c = NearDuplicates::open(o, {file})->finish();
  ASSERT_TRUE(c);
  EXPECT_EQ(c->kept, (std::vector<uint32_t>{2, 1, 2, 2, 1})); // of equal scores the first
}

/// Exact hashes: both words of a key decide, whichever of them agrees alone.
TEST(Near, ExactDuplicates) {
  Dir d("exact");
  MinHash::Scratch buffer;
  auto hash = [&](std::string_view text) {
    auto h = exactHash(text, buffer);
    return std::vector<uint64_t>(h.begin(), h.end());
  };
  std::string one = writeFile(d.path, 1, 2, {hash("Hello, world!"), {7, 1}, {7, 2}, hash("")}, "k0");
  std::string two = writeFile(d.path, 1, 2, {{8, 1}, hash("hello   WORLD"), {7, 2}, hash("...")}, "k1");
  auto c = NearDuplicates::open({.dir = d.path}, {one, two})->finish();
  ASSERT_TRUE(c) << c.status().message();
  EXPECT_EQ(c->kept, (std::vector<uint32_t>{0, 1, 2, 3, 4, 0, 2, 3}));
}

/// SimHash over the same path: of 6000 hashes every third is an earlier one with 0 to 6 bits changed.
/// All pairs within 3 bits are found, as brute force has them, and none beyond.
TEST(Near, SimHashAgainstBruteForce) {
  Dir d("simhash");
  SimHashBlocks blocks = SimHashBlocks::create(3, 3).take();
  std::vector<uint64_t> hashes(6000), keys(blocks.tables());
  for (uint32_t i = 0; i < hashes.size(); ++i) {
    PhiloxBlock r = philox(31, i);
    hashes[i] = uint64_t(r[0]) << 32 | r[1];
    if (i % 3 == 2) {
      hashes[i] = hashes[i - 2];
      for (uint32_t bit = 0; bit < i / 3 % 7; ++bit)
        hashes[i] ^= uint64_t(1) << (philox(32, uint64_t(i) << 8 | bit)[0] % 64);
    }
  }
  std::vector<std::string> keyFiles, hashFiles;
  fs::create_directories(d.path);
  KeyWriter w = KeyWriter::create(blocks.tables()).take();
  for (uint32_t from = 0; from < hashes.size(); from += 2500) {
    uint32_t to = std::min<uint32_t>(from + 2500, uint32_t(hashes.size()));
    for (uint32_t i = from; i < to; ++i) {
      blocks.keys(hashes[i], keys);
      ASSERT_TRUE(w.append(keys));
    }
    keyFiles.push_back(d.path + "/keys-" + std::to_string(from));
    hashFiles.push_back(d.path + "/hashes-" + std::to_string(from));
    ASSERT_TRUE(w.finish(keyFiles.back()));
    ASSERT_TRUE(writeHashes(hashFiles.back(), std::span(hashes).subspan(from, to - from)));
  }
  Similarity similarity = hammingSimilarity(hashFiles).take();
  EXPECT_EQ(similarity(0, 0).take(), 1);
  EXPECT_NE(similarity(0, 6000).status().message().find("document 6000 has no hash, there are 6000"),
            std::string::npos);
  NearOptions o{.dir = d.path, .similarity = similarity, .least = 1 - 3 / 64.0};
  auto c = NearDuplicates::open(o, keyFiles)->finish();
  ASSERT_TRUE(c) << c.status().message();
  std::vector<std::pair<uint32_t, uint32_t>> truth, found;
  for (uint32_t b = 0; b < hashes.size(); ++b)
    for (uint32_t a = 0; a < b; ++a)
      if (std::popcount(hashes[a] ^ hashes[b]) <= 3)
        truth.push_back({a, b});
  for (const Duplicate &dup : c->duplicates) {
    found.push_back({dup.match, dup.doc});
    EXPECT_EQ(dup.similarity, 1 - std::popcount(hashes[dup.doc] ^ hashes[dup.match]) / 64.0f);
  }
  EXPECT_GT(truth.size(), 1000u);
  EXPECT_LT(truth.size(), 1900u); // not all that are planted
  std::sort(truth.begin(), truth.end(), [](auto x, auto y) { return x.second < y.second; });
  EXPECT_EQ(found, truth);
}

TEST(Near, ChineseTexts) {
  MinHash m = MinHash::create({.units = Units::characters, .ngram = 3}).take();
  MinHash::Scratch s;
  const std::string base = "深度学习是机器学习的一个分支，它使用多层神经网络从大量数据中学习表示，"
                           "并已在图像识别、语音识别和自然语言处理中取得显著成果。";
  const std::vector<std::string> texts = {base, "今天天气很好，我们去公园散步，看见许多花和小鸟。",
                                          base + "！", base + "好"};
  Dir d("chinese");
  std::vector<std::vector<uint64_t>> all;
  std::vector<uint32_t> sig(112);
  std::vector<uint64_t> keys(14);
  for (const std::string &t : texts) {
    ASSERT_TRUE(m.sign(t, s, sig));
    m.keys(sig, keys);
    all.push_back(keys);
  }
  auto c = NearDuplicates::open({.dir = d.path}, {writeFile(d.path, 14, 1, all)})->finish();
  ASSERT_TRUE(c);
  EXPECT_EQ(c->kept, (std::vector<uint32_t>{0, 1, 0, 0}));
}

TEST(Near, DamagedFilesAreNamed) {
  auto expect = [](const Status &st, const char *file, const char *what) {
    EXPECT_FALSE(st);
    EXPECT_NE(st.message().find(file), std::string::npos) << st.message();
    EXPECT_NE(st.message().find(what), std::string::npos) << st.message();
  };
  auto change = [](const std::string &file, int at) {
    std::fstream f(file, std::ios::in | std::ios::out | std::ios::binary);
    f.seekp(at);
    f.put('\x5a'), f.put('\xa5');
  };
  Dir d("damage");
  NearOptions o{.dir = d.path};
  auto files = writeKeys(d.path);
  change(files[2], 5000);
  expect(NearDuplicates::open(o, files)->finish().status(), "keys-2: ", "damaged");
  writeKeys(d.path);
  fs::resize_file(files[3], fs::file_size(files[3]) - 7);
  expect(NearDuplicates::open(o, files).status(), "keys-3: ", "bytes, it has");
  fs::resize_file(files[3], 10);
  expect(NearDuplicates::open(o, files).status(), "keys-3: ", "not a file of keys");
  fs::remove(files[3]);
  expect(NearDuplicates::open(o, files).status(), "keys-3: ", "cannot open");
  writeKeys(d.path);
  ASSERT_TRUE(NearDuplicates::open(o, files)->pair());
  change(d.path + "/pairs-5", 5000);
  expect(NearDuplicates::open(o, files)->finish().status(), "pairs-5: ", "delete");
  fs::resize_file(d.path + "/pairs-5", 9); // a stump is made again
  EXPECT_TRUE(NearDuplicates::open(o, files)->finish());
}

TEST(Near, RefusesBadOptionsAndMixedFiles) {
  Dir d("other");
  std::string two = writeFile(d.path, 2, 1, {{1, 2}}, "two"), three = writeFile(d.path, 3, 1, {}, "three");
  EXPECT_NE(NearDuplicates::open({.dir = d.path}, {two, three}).status().message().find(
                "three: keys of 3 bands of 1 words, those of " + two + " are of 2"),
            std::string::npos);
  EXPECT_FALSE(NearDuplicates::open({.dir = d.path, .memory = 5}, {two}));
  EXPECT_FALSE(NearDuplicates::open({.dir = d.path, .least = 1.5}, {two}));
  EXPECT_FALSE(NearDuplicates::open({.dir = d.path}, {two})->pair(2, 2));
  EXPECT_FALSE(KeyWriter::create(0));
  EXPECT_FALSE(KeyWriter::create(1025));
  EXPECT_FALSE(KeyWriter::create(1, 3));
  KeyWriter w = KeyWriter::create(2, 2).take();
  EXPECT_NE(w.append(std::vector<uint64_t>(3)).message().find("document 0 has 3 words"),
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
