// The sums over rows of a program, as executors add them over shards and ranks.
#ifndef R1RT_DEVICE_SHARDS_H
#define R1RT_DEVICE_SHARDS_H
#include "runtime/r1rt.h"
#include <vector>

namespace r1rt {

/// A part of a program's sums over rows.
struct Piece {
  uint64_t offset, bytes; // in the arena
  uint64_t at;            // where it is kept in a level of the tree over shards
};

/// Pieces that are complete once op `after` of the last turn over rows is done.
struct Bucket {
  uint32_t after;
  std::vector<Piece> pieces;
};

/// Cuts the sums over rows into buckets of `bytes` or a little more, in the order in which a turn
/// completes them. The op is one of the loop over rows itself, or the end of a loop in it.
std::vector<Bucket> bucketsOf(const r1_program &p, uint64_t bytes);

/// All sums over rows of `p`.
std::vector<Piece> piecesOf(const r1_program &p);

/// Bytes of a level of the tree: the sums of the program that has most of them.
uint64_t levelBytes(const r1_module &m);

/// Shards that each of `ranks` ranks computes, and levels of the tree in which their sums meet.
uint64_t localShards(const r1_module &m, int ranks);
unsigned treeLevels(const r1_module &m, int ranks);

} // namespace r1rt
#endif
