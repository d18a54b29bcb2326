// dedup-bench signatures FILE            MB/s of MinHash signatures (14 x 8, 5-grams), one thread;
//                                        a document is a line of FILE
// dedup-bench near DIR DOCS MEMORY_MIB THREADS [verify]
//                                        DOCS synthetic documents of about 100 words through
//                                        signatures, bands on disk and clusters; goes on where a
//                                        killed run ended. A tenth are near-copies of earlier ones.
#include "runtime/dedup/Near.h"
#include "runtime/dedup/Signature.h"
#include "runtime/state/Files.h"
#include "runtime/state/Philox.h"
#include <chrono>
#include <cstdio>
#include <cstring>
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

int signatures(const char *path) {
  Result<std::string> text = readFile(path);
  if (!text)
    return fail(text.status());
  MinHash minhash = MinHash::create({}).take();
  MinHash::Scratch scratch;
  std::vector<uint32_t> signature(112);
  double best = 1e30;
  uint64_t sum = 0;
  for (int round = 0; round < 5; ++round) {
    double t0 = now();
    for (size_t at = 0; at < text->size();) {
      size_t end = std::min(text->find('\n', at), text->size());
      if (minhash.sign(std::string_view(*text).substr(at, end - at), scratch, signature))
        sum += signature[0];
      at = end + 1;
    }
    best = std::min(best, now() - t0);
  }
  std::printf("{\"bytes\": %zu, \"seconds\": %.6f, \"mb_s\": %.1f, \"check\": %llu}\n", text->size(),
              best, double(text->size()) / best / 1e6, (unsigned long long)sum);
  return 0;
}

int near(const char *dir, uint32_t docs, uint64_t memory, unsigned threads, bool verified) {
  MinHash minhash = MinHash::create({}).take();
  NearOptions o;
  o.dir = dir;
  o.identity = "synthetic " + std::to_string(docs);
  o.memory = memory << 20;
  o.threads = threads;
  if (verified)
    o.similarity = [](uint32_t a, uint32_t b) -> Result<double> {
      std::string x, y;
      document(a, x);
      document(b, y);
      return jaccard(shingleSet(x, Units::words, 5), shingleSet(y, Units::words, 5));
    };
  double t0 = now();
  Result<NearDuplicates> n = NearDuplicates::open(o);
  if (!n)
    return fail(n.status());
  MinHash::Scratch scratch;
  std::vector<uint32_t> signature(112);
  std::vector<uint64_t> keys(14);
  std::string text;
  uint64_t bytes = 0;
  for (uint32_t i = n->next(); !n->isComplete() && i < docs; ++i) {
    document(i, text);
    bytes += text.size();
    minhash.sign(text, scratch, signature);
    minhash.keys(signature, keys);
    if (Status st = n->add(keys); !st)
      return fail(st);
  }
  double t1 = now();
  Result<Clusters> c = n->finish();
  if (!c)
    return fail(c.status());
  double t2 = now();
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  std::printf("{\"documents\": %u, \"bytes\": %llu, \"duplicates\": %zu, \"add_s\": %.3f, "
              "\"finish_s\": %.3f, \"docs_s\": %.0f, \"peak_mib\": %.1f}\n",
              docs, (unsigned long long)bytes, c->duplicates.size(), t1 - t0, t2 - t1,
              docs / (t2 - t0), double(usage.ru_maxrss) / 1024);
  return 0;
}

} // namespace

int main(int argc, char **argv) {
  if (argc == 3 && !std::strcmp(argv[1], "signatures"))
    return signatures(argv[2]);
  if ((argc == 6 || argc == 7) && !std::strcmp(argv[1], "near"))
    return near(argv[2], uint32_t(std::stoul(argv[3])), std::stoull(argv[4]),
                unsigned(std::stoul(argv[5])), argc == 7);
  std::fprintf(stderr, "usage: dedup-bench signatures FILE | near DIR DOCS MEMORY_MIB THREADS "
                       "[verify]\n");
  return 2;
}
