#include "runtime/dedup/Signature.h"
#include "runtime/state/Philox.h"
#include <algorithm>
#include <bit>
#include <cstring>
#include <xxhash.h>

namespace r1rt::dedup {

namespace {

constexpr size_t lanes = 16; // permutations at a time: one AVX-512 or two AVX2 registers
typedef uint32_t Lanes __attribute__((vector_size(4 * lanes)));

/// minima[p] = min over x of factor[p] x + shift[p], for all p; `count` a multiple of `lanes`.
/// Values are taken in pieces that stay in the first cache.
__attribute__((target_clones("avx512f", "avx2", "default"))) void
minimise(const uint32_t *values, size_t n, const uint32_t *factor, const uint32_t *shift,
         size_t count, uint32_t *minima) {
  constexpr size_t piece = 4096;
  for (size_t from = 0; from < n; from += piece) {
    size_t to = from + piece < n ? from + piece : n;
    for (size_t p = 0; p < count; p += lanes) {
      Lanes a, b, m;
      std::memcpy(&a, factor + p, sizeof a);
      std::memcpy(&b, shift + p, sizeof b);
      std::memcpy(&m, minima + p, sizeof m);
      for (size_t i = from; i < to; ++i) {
        Lanes h = a * values[i] + b;
        m = h < m ? h : m;
      }
      std::memcpy(minima + p, &m, sizeof m);
    }
  }
}

/// ones[b] = how many of the values have bit b, for all 64.
typedef uint64_t BitCounts __attribute__((vector_size(64)));
__attribute__((target_clones("avx512f", "avx2", "default"))) void
countBits(const uint64_t *values, size_t n, uint64_t *ones) {
  for (uint64_t bit = 0; bit < 64; bit += 16) {
    const BitCounts step = {0, 1, 2, 3, 4, 5, 6, 7};
    BitCounts low = {}, high = {};
    for (size_t i = 0; i < n; ++i) {
      low += (values[i] >> (step + bit)) & 1;
      high += (values[i] >> (step + bit + 8)) & 1;
    }
    std::memcpy(ones + bit, &low, sizeof low);
    std::memcpy(ones + bit + 8, &high, sizeof high);
  }
}

} // namespace

Result<MinHash> MinHash::create(const MinHashOptions &o) {
  if (o.ngram < 1 || o.ngram > 1000)
    return Status::error("minhash: ngram is " + std::to_string(o.ngram) + "; give 1 to 1000");
  if (o.bands < 1 || o.bands > 1024 || o.rows < 1 || o.rows > 1024 || o.bands * o.rows > 4096)
    return Status::error("minhash: bands is " + std::to_string(o.bands) + " and rows " +
                         std::to_string(o.rows) +
                         "; give at least 1 of each and at most 1024, 4096 in all");
  MinHash m;
  m.opts = o;
  size_t count = (size_t(o.bands) * o.rows + lanes - 1) / lanes * lanes;
  uint64_t key = drawKey(o.seed, "minhash");
  for (size_t p = 0; p < count; ++p) {
    PhiloxBlock draw = philox(key, p);
    m.factor.push_back(draw[0] | 1);
    m.shift.push_back(draw[1]);
  }
  return m;
}

void MinHash::signShingles(std::span<const uint64_t> shingles, Scratch &s,
                           std::span<uint32_t> out) const {
  s.values.resize(shingles.size());
  for (size_t i = 0; i < shingles.size(); ++i)
    s.values[i] = uint32_t(shingles[i] >> 32);
  s.minima.assign(factor.size(), ~uint32_t(0));
  minimise(s.values.data(), s.values.size(), factor.data(), shift.data(), factor.size(),
           s.minima.data());
  std::copy_n(s.minima.begin(), size_t(opts.bands) * opts.rows, out.begin());
}

bool MinHash::sign(std::string_view text, Scratch &s, std::span<uint32_t> out) const {
  hashUnits(text, opts.form(), s.text, s.units);
  if (s.units.empty())
    return false;
  shingleHashes(s.units, opts.ngram, s.shingles);
  signShingles(s.shingles, s, out);
  return true;
}

void MinHash::keys(std::span<const uint32_t> signature, std::span<uint64_t> out) const {
  for (unsigned b = 0; b < opts.bands; ++b)
    out[b] = XXH3_64bits(signature.data() + size_t(b) * opts.rows, 4 * size_t(opts.rows));
}

uint64_t simHash(std::string_view text, const Form &form, unsigned ngram, MinHash::Scratch &s) {
  hashUnits(text, form, s.text, s.units);
  shingleHashes(s.units, ngram, s.shingles);
  std::array<uint64_t, 64> ones;
  countBits(s.shingles.data(), s.shingles.size(), ones.data());
  uint64_t hash = 0;
  for (int bit = 0; bit < 64; ++bit)
    hash |= uint64_t(2 * ones[bit] > s.shingles.size()) << bit;
  return hash;
}

Result<SimHashBlocks> SimHashBlocks::create(unsigned distance, unsigned more) {
  if (distance > 7 || more < 1 || more > 4)
    return Status::error("simhash: distance is " + std::to_string(distance) + " and more " +
                         std::to_string(more) + "; give a distance of 0 to 7 and more of 1 to 4");
  SimHashBlocks t;
  t.most = distance;
  const unsigned blocks = distance + more;
  for (uint32_t choice = 0; choice < 1u << blocks; ++choice) {
    if (unsigned(std::popcount(choice)) != more)
      continue;
    uint64_t mask = 0;
    for (unsigned b = 0; b < blocks; ++b)
      if (choice >> b & 1)
        for (unsigned bit = 64 * b / blocks; bit < 64 * (b + 1) / blocks; ++bit)
          mask |= uint64_t(1) << bit;
    t.masks.push_back(mask);
  }
  return t;
}

void SimHashBlocks::keys(uint64_t hash, std::span<uint64_t> out) const {
  for (size_t t = 0; t < masks.size(); ++t)
    out[t] = hash & masks[t];
}

std::array<uint64_t, 2> exactHash(std::string_view text, MinHash::Scratch &s) {
  const std::string_view normal = normalise(text, unfolded, s.text);
  XXH128_hash_t h = XXH3_128bits(normal.data(), normal.size());
  return {h.high64, h.low64};
}

} // namespace r1rt::dedup
