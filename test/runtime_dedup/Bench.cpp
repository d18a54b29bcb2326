// dedup-bench signatures FILE            MB/s of MinHash signatures (14 x 8, 5-grams), SimHash, exact
//                                        hashes and keys of lines, one thread; a document is a line
// dedup-bench normalise                  for each JSON string of a line of the input the folded
//                                        normal form, for test/bench/data_simplify.py
// dedup-bench near DIR DOCS MEMORY_MIB THREADS [verify]
//                                        DOCS synthetic documents of about 100 words through
//                                        signatures, key files, pairs and clusters; goes on where
//                                        a killed run ended. A tenth are near-copies of earlier ones.
#include "runtime/dedup/Near.h"
#include "runtime/dedup/Repeats.h"
#include "runtime/dedup/Signature.h"
#include "runtime/state/Files.h"
#include "runtime/state/Philox.h"
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sys/resource.h>

using namespace r1rt;
using namespace r1rt::dedup;

namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

int fail(const Status &s) {
  std::fprintf(stderr, "dedup-bench: %s\n", s.message().c_str());
  return 1;
}

/// A function of the number alone. Every tenth is an earlier one with one word in its last third
/// replaced, similarity about 0.9.
void document(uint32_t i, std::string &text) {
  text.clear();
  bool copy = i % 10 == 9;
  uint32_t of = copy ? i - 9 + uint32_t(philox(7, i)[0] % 9) : i;
  for (uint32_t w = 0; w < 100; w += 4) {
    PhiloxBlock r = philox(8, uint64_t(of) << 8 | w);
    for (uint32_t k = 0; k < 4; ++k) {
      uint32_t word = r[k] % 50000;
      if (copy && w + k == 70 + i % 29)
        word = 50000 + i % 1000;
      char b[8];
      int n = 0;
      do
        b[n++] = char('a' + word % 26);
      while (word /= 26);
      text.append(b, size_t(n)) += ' ';
    }
  }
}

/// MB/s of one thread over the lines of a text, the best of five rounds.
template <class Fn> double rate(const std::string &text, Fn perLine) {
  double best = 1e30;
  for (int round = 0; round < 5; ++round) {
    double t0 = now();
    for (size_t at = 0; at < text.size();) {
      size_t end = std::min(text.find('\n', at), text.size());
      perLine(std::string_view(text).substr(at, end - at));
      at = end + 1;
    }
    best = std::min(best, now() - t0);
  }
  return double(text.size()) / best / 1e6;
}

int signatures(const char *path) {
  Result<std::string> text = readFile(path);
  if (!text)
    return fail(text.status());
  MinHash minhash = MinHash::create({}).take();
  MinHash::Scratch s;
  std::vector<uint32_t> signature(112);
  std::vector<uint64_t> parts;
  uint64_t sum = 0; // so that nothing is left out as unused
  double ofMinHash = rate(*text, [&](std::string_view t) {
    sum += minhash.sign(t, s, signature) ? signature[0] : 0;
  });
  double ofSimHash = rate(*text, [&](std::string_view t) { sum += simHash(t, {}, 3, s); });
  double ofExact = rate(*text, [&](std::string_view t) { sum += exactHash(t, s)[0]; });
  double ofParts = rate(*text, [&](std::string_view t) {
    partKeys(t, Part::line, parts);
    sum += parts.size();
  });
  std::printf("{\"bytes\": %zu, \"mb_s\": %.1f, \"simhash_mb_s\": %.1f, \"exact_mb_s\": %.1f, "
              "\"parts_mb_s\": %.1f, \"check\": %llu}\n",
              text->size(), ofMinHash, ofSimHash, ofExact, ofParts, (unsigned long long)sum);
  return 0;
}

int normaliseInput() {
  for (std::string line; std::getline(std::cin, line);) {
    auto text = nlohmann::json::parse(line, nullptr, false);
    if (!text.is_string())
      return fail(Status::error("not a JSON string: " + line));
    std::puts(nlohmann::json(normalise(text.get<std::string>(), {})).dump().c_str());
  }
  return 0;
}

constexpr uint32_t chunk = 100000; // documents of a key file

int near(const char *dir, uint32_t docs, uint64_t memory, unsigned threads, bool verified) {
  MinHash minhash = MinHash::create({}).take();
  double t0 = now();
  if (Status st = makeDirs(dir); !st)
    return fail(st);
  const uint32_t chunks = (docs + chunk - 1) / chunk;
  std::vector<std::string> files;
  for (uint32_t c = 0; c < chunks; ++c)
    files.push_back(std::string(dir) + "/keys-" + std::to_string(c));
  std::atomic<uint64_t> bytes = 0;
  Status signedAll = parallelFor(chunks, threads, [&](size_t c) -> Status {
    if (KeyFile::open(files[c]))
      return Status::ok();
    R1RT_ASSIGN(KeyWriter keysOut, KeyWriter::create(14));
    MinHash::Scratch scratch;
    std::vector<uint32_t> signature(112);
    std::vector<uint64_t> keys(14);
    std::string text;
    for (uint32_t i = uint32_t(c) * chunk; i < std::min(docs, uint32_t(c + 1) * chunk); ++i) {
      document(i, text);
      bytes += text.size();
      minhash.sign(text, scratch, signature);
      minhash.keys(signature, keys);
      R1RT_TRY(keysOut.append(keys));
    }
    return keysOut.finish(files[c]);
  });
  if (!signedAll)
    return fail(signedAll);
  double t1 = now();
  NearOptions o;
  o.dir = dir;
  o.memory = memory << 20;
  o.threads = threads;
  if (verified)
    o.similarity = [](uint32_t a, uint32_t b) -> Result<double> {
      std::string x, y;
      document(a, x);
      document(b, y);
      return jaccard(shingleSet(x, {}, 5), shingleSet(y, {}, 5));
    };
  Result<NearDuplicates> n = NearDuplicates::open(o, files);
  if (!n)
    return fail(n.status());
  if (Status st = n->pair(); !st)
    return fail(st);
  double t2 = now();
  Result<Clusters> c = n->finish();
  if (!c)
    return fail(c.status());
  double t3 = now();
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  std::printf("{\"documents\": %u, \"bytes\": %llu, \"duplicates\": %zu, \"sign_s\": %.3f, "
              "\"pair_s\": %.3f, \"join_s\": %.3f, \"docs_s\": %.0f, \"peak_mib\": %.1f}\n",
              docs, (unsigned long long)bytes, c->duplicates.size(), t1 - t0, t2 - t1, t3 - t2,
              docs / (t3 - t0), double(usage.ru_maxrss) / 1024);
  return 0;
}

} // namespace

int main(int argc, char **argv) {
  if (argc == 3 && !std::strcmp(argv[1], "signatures"))
    return signatures(argv[2]);
  if (argc == 2 && !std::strcmp(argv[1], "normalise"))
    return normaliseInput();
  if ((argc == 6 || argc == 7) && !std::strcmp(argv[1], "near"))
    return near(argv[2], uint32_t(std::stoul(argv[3])), std::stoull(argv[4]),
                unsigned(std::stoul(argv[5])), argc == 7);
  std::fprintf(stderr, "usage: dedup-bench signatures FILE | normalise | near DIR DOCS MEMORY_MIB THREADS "
                       "[verify]\n");
  return 2;
}
