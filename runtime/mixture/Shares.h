//===- Shares.h - how much of each domain, which documents, in which order ---===//
//
// The law of shares. A domain with a weight has the share it asks for. The others divide the rest R in
// proportion to p = size ** temper, within their bounds: the share of domain i is
//
//     x_i = clamp(level * p_i, floor_i, cap_i)   with the level for which they add up to R.
//
// The sum does not fall as the level rises, from the sum of the floors to that of the caps, and is
// continuous: so a level exists exactly if R lies between the two. Two levels with the same sum give the
// same shares, since no share falls as the level rises: the allocation is unique. It is that nearest to
// the proportions, in Kullback-Leibler divergence, of all within the bounds (its optimality conditions
// are the formula above). A domain that grows never loses share by it, and one never gets less than a
// smaller one with the same bounds.
//
// It is found by water-filling: scale the free domains to what is left; if those below their floors
// lack more than those above their caps have too much, fix the former at their floors, else the latter
// at their caps; repeat. What is fixed in a round is so in the solution, as the level then only
// moves away from the bound: at most as many rounds as domains.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_MIXTURE_SHARES_H
#define R1RT_MIXTURE_SHARES_H
#include "runtime/Status.h"
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace r1rt::mixture {

struct Domain {
  std::string name;
  uint64_t size = 0;            // tokens, bytes or documents: one unit for all domains
  std::optional<double> weight; // the share asked for, 0..1; 0 leaves the domain out
  double floor = 0, cap = 1;    // 0..1
};

/// The share of each domain; they add up to 1 within rounding. `temper` 0..10: 1 in proportion to size,
/// 0 equal shares. A domain without documents has no share. Errors (class `program`) name domains and both
/// numbers: weights above 100 %, or below it with no domain for the rest; floors or caps that the rest
/// cannot meet; a floor above its cap; a weight outside floor and cap; an empty domain that must have
/// a share.
Result<std::vector<double>> shares(std::span<const Domain> domains, double temper = 1);

/// The shares for the next epoch out of what a user's rule asks for: one number >= 0 for each domain,
/// scaled to a sum of 1 and brought within floors and caps. What caps leave to domains for which 0 is
/// asked, these divide equally. Sizes and weights are not looked at.
Result<std::vector<double>> rebalance(std::span<const Domain> domains, std::span<const double> asked);

struct Takes {
  uint64_t total = 0;          // units of all domains
  std::vector<uint64_t> units; // of each; they add up to `total`
  size_t scarcest = 0;         // the domain that bounds the total
};

/// How many units to take of each domain, within one of share * total. Without `total` as much as the
/// scarcest domain allows: the least repeats * size / share. `repeats` >= 1 is how often a unit may be
/// taken on average. A `total` beyond that is an error that names the domain.
Result<Takes> takes(std::span<const Domain> domains, std::span<const double> shares,
                    std::optional<uint64_t> total = std::nullopt, double repeats = 1);

/// How many of a domain's `documents` to take so that about `units` of its `size` units are taken:
/// documents * units / size, rounded to the nearest. The documents are chosen whatever their lengths, so
/// the units taken are right on average; RankedSizes is exact.
uint64_t documentsFor(uint64_t units, uint64_t size, uint64_t documents);

/// Which documents of a domain are taken, and how often: a random choice of exactly `take` out of
/// `documents`, without replacement; if `take` is more, every document take / documents times and
/// the remainder chosen. A function of (seed, domain, index): nothing is stored, any thread may ask
/// in any order. A choice of less is a part of a choice of more.
class Choice {
public:
  Choice(uint64_t seed, std::string_view domain, uint64_t documents, uint64_t take);
  /// How often the document is taken; index < documents.
  uint32_t copies(uint64_t index) const;
  /// Its place in a random order of the domain, 0..documents - 1, no two the same: a Feistel network
  /// over Philox, walked until it lands within range (Black and Rogaway, 2002).
  uint64_t rank(uint64_t index) const;
  uint64_t documents() const { return n; }

private:
  uint64_t key, n, every, rest;
  unsigned halfBits;
};

/// Finds how many documents, in the order of their ranks, hold a number of units: for shares by tokens
/// that are exact to within a document for domains of up to 65,536 documents, and to 1/65,536 of the
/// domain beyond. 512 KiB whatever the number of documents; parts may be counted apart and merged.
class RankedSizes {
public:
  explicit RankedSizes(uint64_t documents);
  /// A document of rank `rank` (Choice::rank) has `units`; ranks in any order.
  void add(uint64_t rank, uint64_t units);
  void merge(const RankedSizes &other);
  /// The number of documents that hold nearest to `units`, whole rounds through the domain included.
  uint64_t documentsFor(uint64_t units) const;

private:
  uint64_t bucketOf(uint64_t rank) const;
  uint64_t n;
  std::vector<uint64_t> unitsOf; // by buckets of consecutive ranks
};

/// An order of domains in which the first n documents hold each domain's share of n, to within one
/// document, for every n: Tijdeman's chairman assignment (1980), by earliest deadlines. After the sum of
/// the counts it begins again.
class Interleave {
public:
  /// Documents of each domain, at least one in all; below 2 ** 40 in all, below 2 ** 16 domains.
  static Result<Interleave> create(std::vector<uint64_t> counts);
  /// The domain of the next document.
  size_t next();

private:
  struct Window {
    uint64_t count, done = 0;
    uint64_t release = 0, deadline = 0; // of its next document: the places, from 1, where it may stand
  };
  void setWindow(Window &w) const;
  uint64_t total = 0, place = 0;
  std::vector<Window> windows;
};

} // namespace r1rt::mixture
#endif
