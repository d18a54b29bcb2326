// Who sums which part of a piece of data, where partners share the work of a sum in a binary tree.
#ifndef R1RT_COMM_HALVING_H
#define R1RT_COMM_HALVING_H
#include <cstdint>

namespace r1rt {

/// Elements of a piece, counted from its beginning.
struct Part {
  uint64_t from, n;
};

/// The part of a piece of n elements that `rank` sums, after so many rounds: in round r the lower of the
/// two ranks that differ in bit r keeps the lower half.
inline Part partAfter(uint64_t n, int rank, unsigned rounds) {
  Part p = {0, n};
  for (unsigned r = 0; r < rounds; ++r) {
    uint64_t low = p.n / 2;
    p = rank >> r & 1 ? Part{p.from + low, p.n - low} : Part{p.from, low};
  }
  return p;
}

/// One round of a sum over a power of two of ranks: with whom, and which parts cross.
struct Exchange {
  int partner;
  Part out, in;
  bool back; // what comes in is a finished sum
};

/// Round `round` of the sum of a piece, of `rounds` = log2(ranks), or of 2 * rounds where it is halved.
///
/// In round r each rank meets the one that differs in bit r, and both form the same sum, the lower rank's
/// first. Whole pieces are exchanged (doubling), or each partner sums one half, and the halves come back
/// the same way (halving): that moves 2 (1 - 1/N) times the piece instead of log2 N times. Each element
/// is summed in the same tree either way.
inline Exchange exchangeOf(uint64_t n, int rank, unsigned rounds, unsigned round, bool halved) {
  bool back = round >= rounds;
  unsigned bit = back ? 2 * rounds - 1 - round : round;
  int partner = rank ^ (1 << bit);
  if (!halved)
    return {partner, {0, n}, {0, n}, false};
  Part mine = partAfter(n, rank, bit + 1), other = partAfter(n, partner, bit + 1);
  return back ? Exchange{partner, mine, other, true} : Exchange{partner, other, mine, false};
}

} // namespace r1rt
#endif
