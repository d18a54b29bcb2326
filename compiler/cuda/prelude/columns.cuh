// Chains over many rows with few columns, by whole blocks: what is added may be computed by any thread,
// but each result is one chain in increasing order of the rows, so threads and tiles do not show in
// the bits.
#pragma once

namespace r1 {

/// op(… op(op(v, p[0]), p[Stride]) …) over `count` elements, in this order. An addition waits for
/// the one before it, never for memory: while half of a step is added, the other half is loaded.
template <int Stride, class T, class P, class Op>
R1_FN T chain(T v, P p, int count, Op op R1_AT) {
  constexpr int half = 16;
  T now[half] = {}, next[half];
  if (count >= 2 * half) {
    R1_UNROLL
    for (int i = 0; i < half; ++i)
      now[i] = cast<T>(read(p, i * Stride R1_PASS));
  }
  int row = 0;
  for (; row + 2 * half <= count; row += 2 * half) {
    R1_UNROLL
    for (int i = 0; i < half; ++i)
      next[i] = cast<T>(read(p, (row + half + i) * Stride R1_PASS));
    R1_UNROLL
    for (int i = 0; i < half; ++i)
      v = op(v, now[i]);
    // After the last step any elements will do: a branch would keep the loads behind the additions.
    int then = min_i(row + 2 * half, count - half);
    R1_UNROLL
    for (int i = 0; i < half; ++i)
      now[i] = cast<T>(read(p, (then + i) * Stride R1_PASS));
    R1_UNROLL
    for (int i = 0; i < half; ++i)
      v = op(v, next[i]);
  }
  for (; row < count; ++row)
    v = op(v, cast<T>(read(p, row * Stride R1_PASS)));
  return v;
}

/// Rows 0 … Rows - 1 through shared memory, with room for 2 * Tile rows there. The first Writers
/// threads put them: `produce(row, place)` puts one row's part that belongs to the thread, which is
/// part thread() mod Parts, at 0 <= place < 2 * Tile. Meanwhile all other threads take the tile
/// before, in order: `consume(place, count)`. Every thread of the block calls this.
template <int Rows, int Tile, int Parts, int Writers, class Produce, class Consume>
R1_FN void in_tiles(const Produce &produce, const Consume &consume R1_AT) {
  constexpr int tiles = (Rows + Tile - 1) / Tile;
  constexpr int high = Writers / Parts; // rows at a time
  static_assert(Tile % high == 0, "every writer has equally many rows of a tile");
  constexpr int turns = Tile / high;
  constexpr int batch = turns % 8 == 0 ? 8 : turns % 4 == 0 ? 4 : turns % 2 == 0 ? 2 : 1;
  for (int t = 0; t <= tiles; ++t) {
    int mine = thread() / Parts, first = t * Tile, place = t % 2 * Tile;
    if (thread() >= Writers) {
      if (t > 0)
        consume(Tile - place, min_i(Tile, Rows - (first - Tile)));
    } else if (mine < high) {
      // Nothing is asked between the rows of a batch, so that their loads are under way together;
      // beyond the last row it comes again, to a place that nobody reads.
      for (int i = 0; i < turns && first + i * high < Rows; i += batch) {
        R1_UNROLL
        for (int j = 0; j < batch; ++j) {
          int row = (i + j) * high + mine;
          produce(Rows % Tile ? min_i(first + row, Rows - 1) : first + row, place + row);
        }
      }
    }
    block_sync(R1_PASS0);
  }
}

/// For source = 0 … Sources - 1, in this order: put(key, get(key) + addend(source)), where key =
/// key(source) >= 0, and get and put concern elements that belong to this thread and to that key
/// alone. Each call does it for the keys that are `owner` modulo Owners, the same for all Threads
/// threads of the block; threads that are not `on` own no element and only help to look.
///
/// The sum of a key stays in registers until another key comes, and what 8 sources add and add to is
/// loaded together: a key that most sources have costs little more than reading them.
template <int Sources, int Owners, int Threads, class Key, class Addend, class Get, class Put>
R1_FN void scatter_add(int owner, bool on, const Key &key, const Addend &addend, const Get &get,
                       const Put &put R1_AT) {
  static_assert(Threads % 32 == 0 && Threads <= 256, "whole warps; 32 KiB of lists");
  constexpr int warps = Threads / 32, most = 16;
  constexpr int each = Sources < most * Threads ? (Sources + Threads - 1) / Threads : most;
  constexpr int chunk = each * Threads, batch = 8;
  R1_SHARED(int, from, chunk); // sources of this block, in order
  R1_SHARED(int, to, chunk);   // and their keys
  R1_SHARED(int, found, warps);
  int current = -1; // the key whose sum is in registers
  decltype(get(0)) sum = {};
  for (int base = 0; base < Sources; base += chunk) {
    // A warp looks at neighbours, 32 at a time.
    int first = base + warp() * (each * 32) + lane(), keys[each], count = 0;
    u32 mine[each];
    R1_UNROLL
    for (int i = 0; i < each; ++i)
      keys[i] = key(min_i(first + i * 32, Sources - 1));
    R1_UNROLL
    for (int i = 0; i < each; ++i) {
      mine[i] = ballot(first + i * 32 < Sources && rem_u(keys[i], Owners) == owner R1_PASS);
      count += popcount(static_cast<int>(mine[i]));
    }
    if (lane() == 0)
      write(found, warp(), count R1_PASS);
    block_sync(R1_PASS0); // the counts are there, and the lists of the chunk before are done with
    int place = 0, total = 0;
    R1_UNROLL
    for (int w = 0; w < warps; ++w) {
      int n = read(found, w R1_PASS);
      place += w < warp() ? n : 0;
      total += n;
    }
    R1_UNROLL
    for (int i = 0; i < each; ++i) {
      if (mine[i] >> lane() & 1) {
        int at_ = place + popcount(static_cast<int>(mine[i] & ((1u << lane()) - 1)));
        write(from, at_, first + i * 32 R1_PASS);
        write(to, at_, keys[i] R1_PASS);
      }
      place += popcount(static_cast<int>(mine[i]));
    }
    block_sync(R1_PASS0); // the lists are complete
    if (!on)
      continue;
    for (int m = 0; m < total; m += batch) {
      decltype(addend(0)) next[batch];
      decltype(get(0)) old[batch];
      int k[batch], before = current;
      R1_UNROLL
      for (int i = 0; i < batch; ++i) {
        int at_ = min_i(m + i, total - 1);
        k[i] = read(to, at_ R1_PASS);
        next[i] = addend(read(from, at_ R1_PASS));
        old[i] = get(k[i]);
      }
      R1_UNROLL
      for (int i = 0; i < batch; ++i) {
        if (m + i < total) {
          if (k[i] != current) {
            if (current >= 0)
              put(current, sum);
            // Has its sum been put since `old` was loaded?
            bool stale = k[i] == before;
            R1_UNROLL
            for (int j = 0; j < i; ++j)
              stale = stale || k[i] == k[j];
            sum = old[i];
            if (stale)
              sum = get(k[i]);
            current = k[i];
          }
          sum = sum + next[i];
        }
      }
    }
  }
  if (on && current >= 0)
    put(current, sum);
}

} // namespace r1
