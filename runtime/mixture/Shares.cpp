#include "runtime/mixture/Shares.h"
#include "runtime/state/Philox.h"
#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <cstdio>
#include <numeric>
#include <utility>

namespace r1rt::mixture {

using Wide = unsigned __int128;

namespace {

constexpr double tolerance = 1e-9; // of sums of shares that a user has written in decimals

Status wrong(std::string message) { return Status::error(std::move(message), ExitClass::program); }

std::string percent(double share) {
  char b[32];
  std::snprintf(b, sizeof b, "%.6g %%", 100 * share);
  return b;
}

/// "`law` (20 %), `news` (30 %)"
template <class Of> std::string listed(std::span<const Domain> domains, Of shareOf) {
  std::string s;
  for (auto &d : domains)
    if (std::optional<double> share = shareOf(d))
      s += (s.empty() ? "`" : ", `") + d.name + "` (" + percent(*share) + ")";
  return s;
}

bool isShare(double x) { return x >= 0 && x <= 1; }

Status checkBounds(const Domain &d) {
  auto range = [&](const char *what, double x) {
    return wrong(std::string("the ") + what + " of `" + d.name + "` is " + percent(x) +
                 "; it must lie in 0 % to 100 %");
  };
  if (d.weight && !isShare(*d.weight))
    return range("weight", *d.weight);
  if (!isShare(d.floor))
    return range("floor", d.floor);
  if (!isShare(d.cap))
    return range("cap", d.cap);
  if (d.floor > d.cap)
    return wrong("the floor of `" + d.name + "` is " + percent(d.floor) + ", above its cap of " +
                 percent(d.cap) + "; help: raise the cap or lower the floor");
  return Status::ok();
}

/// The allocation of Shares.h: `rest` among domains with these proportions and bounds.
std::vector<double> waterFill(double rest, std::vector<double> p, const std::vector<double> &lo,
                              const std::vector<double> &hi) {
  std::vector<double> x(p.size());
  std::vector<size_t> open(p.size());
  std::iota(open.begin(), open.end(), size_t(0));
  while (!open.empty()) {
    double sum = 0, lack = 0, excess = 0;
    for (size_t i : open)
      sum += p[i];
    if (sum == 0) { // only domains that nobody asked for are left
      for (size_t i : open)
        p[i] = 1;
      sum = double(open.size());
    }
    double level = std::max(rest, 0.0) / sum;
    for (size_t i : open) {
      x[i] = level * p[i];
      lack += std::max(0.0, lo[i] - x[i]);
      excess += std::max(0.0, x[i] - hi[i]);
    }
    if (lack == 0 && excess == 0)
      break;
    std::vector<size_t> still;
    for (size_t i : open) {
      bool fix = lack >= excess ? x[i] < lo[i] : x[i] > hi[i];
      if (fix)
        rest -= x[i] = lack >= excess ? lo[i] : hi[i];
      else
        still.push_back(i);
    }
    open = std::move(still);
  }
  return x;
}

/// Floors and caps of `domains` can hold `rest`.
Status checkFeasible(std::span<const Domain> domains, double rest) {
  double floors = 0, caps = 0;
  for (auto &d : domains)
    floors += d.floor, caps += d.cap;
  std::string left = rest < 1 - tolerance ? percent(rest) + " that the weights leave" : "100 %";
  if (floors > rest + tolerance)
    return wrong("the floors of " +
                 listed(domains, [](auto &d) { return d.floor > 0 ? std::optional(d.floor) : std::nullopt; }) +
                 " add up to " + percent(floors) + ", more than the " + left + "; help: lower them");
  if (caps < rest - tolerance)
    return wrong("the caps of " + listed(domains, [](auto &d) { return std::optional(d.cap); }) +
                 " add up to " + percent(caps) + ", less than the " + left + "; help: raise one");
  return Status::ok();
}

double tempered(uint64_t size, double temper) {
  if (size == 0 || temper == 1)
    return double(size);
  return temper == 0 ? 1 : temper == 0.5 ? std::sqrt(double(size)) : std::pow(double(size), temper);
}

} // namespace

Result<std::vector<double>> shares(std::span<const Domain> domains, double temper) {
  if (domains.empty())
    return wrong("there is no domain to mix");
  if (!(temper >= 0 && temper <= 10))
    return wrong("`temper` is " + std::to_string(temper) + "; it must lie in 0 to 10");
  double weights = 0;
  std::vector<double> x(domains.size());
  std::vector<Domain> open; // those that divide what the weights leave
  std::vector<size_t> places;
  for (size_t i = 0; i < domains.size(); ++i) {
    const Domain &d = domains[i];
    R1RT_TRY(checkBounds(d));
    if (d.weight && (*d.weight < d.floor || *d.weight > d.cap))
      return wrong("the weight of `" + d.name + "` is " + percent(*d.weight) + ", outside its bounds of " +
                   percent(d.floor) + " to " + percent(d.cap) + "; help: a weight needs no bounds");
    if (double least = d.weight ? *d.weight : d.floor; d.size == 0 && least > 0)
      return wrong("`" + d.name + "` is empty, but its " + (d.weight ? "weight" : "floor") + " asks for " +
                   percent(least) + "; help: leave it out, or look at what drops its documents");
    if (d.weight) {
      weights += x[i] = *d.weight;
    } else if (d.size > 0) {
      open.push_back(d);
      places.push_back(i);
    }
  }
  auto weightOf = [](auto &d) { return d.weight; };
  if (weights > 1 + tolerance)
    return wrong("the weights of " + listed(domains, weightOf) + " add up to " + percent(weights) +
                 ", more than 100 %; help: lower them; a domain without a weight gets the rest");
  double rest = 1 - weights;
  if (open.empty()) {
    if (weights == 0)
      return wrong("all domains are empty: there is nothing to mix");
    if (rest > tolerance)
      return wrong("the weights of " + listed(domains, weightOf) + " add up to " + percent(weights) +
                   ", and no domain with documents is left for the other " + percent(rest) +
                   "; help: name 100 %, or no weight for the domain that is to get the rest");
    return x;
  }
  if (rest <= tolerance)
    return wrong("the weights of " + listed(domains, weightOf) + " add up to 100 %, and nothing is left for `" +
                 open[0].name + "`; help: weight = 0 % leaves a domain out");
  R1RT_TRY(checkFeasible(open, rest));
  std::vector<double> p, lo, hi;
  for (auto &d : open) {
    p.push_back(tempered(d.size, temper));
    lo.push_back(d.floor);
    hi.push_back(d.cap);
  }
  std::vector<double> divided = waterFill(rest, p, lo, hi);
  for (size_t i = 0; i < open.size(); ++i)
    x[places[i]] = divided[i];
  return x;
}

Result<std::vector<double>> rebalance(std::span<const Domain> domains, std::span<const double> asked) {
  if (asked.size() != domains.size())
    return wrong("a share is asked for " + std::to_string(asked.size()) + " domains, but there are " +
                 std::to_string(domains.size()));
  double sum = 0;
  std::vector<double> lo, hi;
  for (size_t i = 0; i < domains.size(); ++i) {
    R1RT_TRY(checkBounds(domains[i]));
    if (!(asked[i] >= 0) || std::isinf(asked[i]))
      return wrong("the share asked for `" + domains[i].name + "` is " + std::to_string(asked[i]) +
                   "; it must be a number of at least 0");
    sum += asked[i];
    lo.push_back(domains[i].floor);
    hi.push_back(domains[i].cap);
  }
  if (!(sum > 0) || std::isinf(sum))
    return wrong("the shares asked for add up to " + std::to_string(sum) + "; at least one must be above 0");
  R1RT_TRY(checkFeasible(domains, 1));
  return waterFill(1, {asked.begin(), asked.end()}, lo, hi);
}

Result<Takes> takes(std::span<const Domain> domains, std::span<const double> shares,
                    std::optional<uint64_t> total, double repeats) {
  assert(domains.size() == shares.size());
  if (!(repeats >= 1) || std::isinf(repeats))
    return wrong("`repeat` is " + std::to_string(repeats) + "; a unit is taken at least once");
  size_t n = domains.size();
  Takes t;
  long double bound = -1;
  std::vector<uint64_t> most(n);
  // Shares and repeats carry rounding: 20 of 20 % are 100, not 99.
  auto whole = [](long double units) { return uint64_t(std::min(units * (1 + 1e-14L), 0x1p63L)); };
  for (size_t i = 0; i < n; ++i) {
    most[i] = whole((long double)repeats * domains[i].size);
    if (shares[i] > 0 && (bound < 0 || most[i] / (long double)shares[i] < bound)) {
      bound = most[i] / (long double)shares[i];
      t.scarcest = i;
    }
  }
  if (bound < 0)
    return wrong("no domain has a share: there is nothing to take");
  uint64_t possible = whole(bound);
  if (total && *total > possible) {
    const Domain &d = domains[t.scarcest];
    long double needed = std::ceil(100 * (*total * (long double)shares[t.scarcest]) / d.size - 1e-6L) / 100;
    char least[64];
    std::snprintf(least, sizeof least, "%.2Lf", needed);
    return wrong("`total` is " + std::to_string(*total) + ", but `" + d.name + "` has a share of " +
                 percent(shares[t.scarcest]) + " and holds " + std::to_string(d.size) +
                 ", which is enough for " + std::to_string(possible) + "; help: lower `total` or the share, or allow `repeat = " +
                 least + "`");
  }
  t.total = total ? *total : possible;
  t.units.resize(n);
  std::vector<std::pair<long double, size_t>> remainders;
  uint64_t given = 0;
  for (size_t i = 0; i < n; ++i) {
    long double exact = shares[i] * (long double)t.total;
    t.units[i] = std::min(uint64_t(exact), most[i]);
    given += t.units[i];
    remainders.push_back({t.units[i] - exact, i});
  }
  // The largest remainders are rounded up; ties go to the first.
  std::sort(remainders.begin(), remainders.end());
  for (size_t r = 0; given < t.total && r < n; ++r)
    if (size_t i = remainders[r].second; shares[i] > 0 && t.units[i] < most[i])
      ++t.units[i], ++given;
  t.total = given;
  return t;
}

uint64_t documentsFor(uint64_t units, uint64_t size, uint64_t documents) {
  return size == 0 ? 0 : uint64_t((Wide(documents) * units + size / 2) / size);
}

// ── which documents ─────────────────────────────────────────────────────────

Choice::Choice(uint64_t seed, std::string_view domain, uint64_t documents, uint64_t take)
    : key(drawKey(drawKey(seed, "mix"), domain)), n(documents), every(n ? take / n : 0), rest(n ? take % n : 0),
      halfBits(n > 1 ? unsigned(std::bit_width(n - 1) + 1) / 2 : 1) {}

uint64_t Choice::rank(uint64_t index) const {
  assert(index < n);
  uint64_t mask = (uint64_t(1) << halfBits) - 1, x = index;
  do {
    uint64_t left = x >> halfBits, right = x & mask;
    for (uint32_t round = 0; round < 8; ++round) {
      uint64_t f = philox(key, right, round)[0];
      left = std::exchange(right, left ^ (f & mask));
    }
    x = left << halfBits | right;
  } while (x >= n);
  return x;
}

uint32_t Choice::copies(uint64_t index) const {
  return uint32_t(every) + (rest != 0 && rank(index) < rest);
}

// ── by units ────────────────────────────────────────────────────────────────

RankedSizes::RankedSizes(uint64_t documents)
    : n(documents), unitsOf(std::min<uint64_t>(documents, uint64_t(1) << 16)) {}

uint64_t RankedSizes::bucketOf(uint64_t rank) const { return uint64_t(Wide(rank) * unitsOf.size() / n); }

void RankedSizes::add(uint64_t rank, uint64_t units) {
  assert(rank < n);
  unitsOf[bucketOf(rank)] += units;
}

void RankedSizes::merge(const RankedSizes &other) {
  assert(n == other.n);
  for (size_t b = 0; b < unitsOf.size(); ++b)
    unitsOf[b] += other.unitsOf[b];
}

uint64_t RankedSizes::documentsFor(uint64_t units) const {
  uint64_t all = std::accumulate(unitsOf.begin(), unitsOf.end(), uint64_t(0));
  if (all == 0)
    return 0;
  uint64_t documents = units / all * n, left = units % all, buckets = unitsOf.size();
  // The first rank of a bucket.
  auto firstOf = [&](uint64_t b) { return uint64_t((Wide(b) * n + buckets - 1) / buckets); };
  for (uint64_t b = 0; b < buckets; ++b) {
    if (left < unitsOf[b])
      return documents + mixture::documentsFor(left, unitsOf[b], firstOf(b + 1) - firstOf(b)) + firstOf(b);
    left -= unitsOf[b];
  }
  return documents + n;
}

// ── in which order ──────────────────────────────────────────────────────────

Result<Interleave> Interleave::create(std::vector<uint64_t> counts) {
  Interleave x;
  constexpr uint64_t most = uint64_t(1) << 40;
  if (counts.size() >= 1 << 16)
    return wrong("there are " + std::to_string(counts.size()) + " domains to interleave, at most 65535 can be");
  for (uint64_t c : counts) {
    if (c >= most - x.total)
      return wrong("there are more than " + std::to_string(most - 1) +
                   " documents to interleave; help: divide the counts by a common factor");
    x.total += c;
    x.windows.push_back({c});
  }
  if (x.total == 0)
    return wrong("there is no document to interleave: all counts are 0");
  for (Window &w : x.windows)
    x.setWindow(w);
  return x;
}

// Document j (from 1) of a domain with the share s = count / total stands at place t only if
// s t - (j - 1) >= 1/m, and at t + 1 at the latest, t being the last place with s t - (j - 1) <= 1 - 1/m,
// where m = 2 domains - 2. Tijdeman shows that all documents fit into such windows, and earliest
// deadline first finds a way if there is one, since each takes one place.
void Interleave::setWindow(Window &w) const {
  if (w.done == w.count) {
    w.release = UINT64_MAX;
    return;
  }
  Wide m = std::max<size_t>(1, 2 * windows.size() - 2), mk = m * w.count;
  w.release = uint64_t((Wide(total) * (1 + m * w.done) + mk - 1) / mk);
  w.deadline = uint64_t(Wide(total) * (m * (w.done + 1) - 1) / mk) + 1;
}

size_t Interleave::next() {
  if (place == total) {
    place = 0;
    for (Window &w : windows) {
      w.done = 0;
      setWindow(w);
    }
  }
  ++place;
  size_t best = windows.size();
  for (size_t i = 0; i < windows.size(); ++i)
    if (windows[i].release <= place &&
        (best == windows.size() || windows[i].deadline < windows[best].deadline))
      best = i;
  assert(best < windows.size() && "Tijdeman's windows hold all documents");
  ++windows[best].done;
  setWindow(windows[best]);
  return best;
}

} // namespace r1rt::mixture
