#include "runtime/device/Shards.h"
#include <algorithm>
#include <bit>
#include <map>

namespace r1rt {

/// An argument is the beginning of a buffer, or walks within one by strides; so what lies from one
/// argument's beginning to the next one's belongs to the first, and is complete after its last op.
std::vector<Bucket> bucketsOf(const r1_program &p, uint64_t bytes) {
  std::map<uint64_t, uint32_t> last; // by the beginning of a buffer
  int depth = 0;
  std::vector<uint32_t> open; // ops of an inner loop: complete at its end
  for (uint32_t i = p.rows_begin + 1; i < p.rows_end; ++i) {
    const r1_op &op = p.ops[i];
    depth += op.kind == R1_OP_LOOP;
    if (op.kind == R1_OP_LAUNCH || op.kind == R1_OP_FILL_ZERO)
      open.push_back(i);
    if (op.kind == R1_OP_END)
      --depth;
    if (depth)
      continue;
    for (uint32_t inner : open) {
      const r1_op &o = p.ops[inner];
      for (uint32_t a = 0, n = o.kind == R1_OP_FILL_ZERO ? 1 : o.n_args; a < n; ++a)
        last[p.args[o.first_arg + a].offset] = i;
    }
    open.clear();
  }
  std::vector<std::pair<uint32_t, Piece>> pieces;
  uint64_t at = 0;
  for (uint32_t k = 0; k < p.n_partials; ++k) {
    uint64_t begin = p.partials[k].offset, end = begin + p.partials[k].bytes;
    for (uint64_t from = begin; from < end;) {
      auto next = last.upper_bound(from);
      uint64_t to = next == last.end() ? end : std::min(end, next->first);
      auto here = last.find(from);
      // What no op has as an argument is complete when the turn is.
      pieces.push_back({here == last.end() ? p.rows_end - 1 : here->second,
                        {from, to - from, at + (from - begin)}});
      from = to;
    }
    at += end - begin;
  }
  std::sort(pieces.begin(), pieces.end(), [](const auto &x, const auto &y) {
    return std::pair(x.first, x.second.offset) < std::pair(y.first, y.second.offset);
  });
  std::vector<Bucket> buckets;
  uint64_t full = bytes; // of the last one
  for (const auto &[after, piece] : pieces) {
    if (full >= bytes) {
      buckets.emplace_back();
      full = 0;
    }
    buckets.back().after = after;
    buckets.back().pieces.push_back(piece);
    full += piece.bytes;
  }
  // Neighbours are one message.
  for (Bucket &b : buckets) {
    std::sort(b.pieces.begin(), b.pieces.end(),
              [](const Piece &x, const Piece &y) { return x.offset < y.offset; });
    std::vector<Piece> merged;
    for (const Piece &x : b.pieces)
      if (!merged.empty() && merged.back().offset + merged.back().bytes == x.offset &&
          merged.back().at + merged.back().bytes == x.at)
        merged.back().bytes += x.bytes;
      else
        merged.push_back(x);
    b.pieces = std::move(merged);
  }
  return buckets;
}

std::vector<Piece> piecesOf(const r1_program &p) {
  std::vector<Piece> pieces;
  uint64_t at = 0;
  for (uint32_t k = 0; k < p.n_partials; at += p.partials[k++].bytes)
    pieces.push_back({p.partials[k].offset, p.partials[k].bytes, at});
  return pieces;
}

uint64_t levelBytes(const r1_module &m) {
  uint64_t most = 0;
  for (uint32_t i = 0; i < m.n_programs; ++i) {
    uint64_t bytes = 0;
    for (uint32_t k = 0; k < m.programs[i].n_partials; ++k)
      bytes += m.programs[i].partials[k].bytes;
    most = std::max(most, bytes);
  }
  return most;
}

uint64_t localShards(const r1_module &m, int ranks) {
  return std::max<uint32_t>(m.shards, 1) / static_cast<uint64_t>(ranks);
}

unsigned treeLevels(const r1_module &m, int ranks) {
  return unsigned(std::bit_width(localShards(m, ranks)) - 1);
}

} // namespace r1rt
