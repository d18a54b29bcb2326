// product.cuh's products on Hopper's tensor cores (sm_90a alone): A and B both bf16 or both f16, sums f32.
//
//   product_wgmma<P>(A, B, C, e)     A and B are tensor maps; P, C and e as for product<P>, if
//                                    product_mma_fits<P>(); e also takes the sums of 4 neighbours, from a
//                                    multiple of 4 on, as a vec, and then gives one
//
// A block makes 128 x 256 or 128 x 128 elements in steps of 64 k. One thread keeps a ring of stages
// filled, two warpgroups make 64 rows each of the tile:
//
//   memory ──bulk_copy──> stage ──"full"──> wgmma ──> sums ──e──> memory
//                           └────"empty"──────┘
//
// Blocks are persistent: each takes the tiles block(), block() + blocks(), …, and the ring goes on
// through them, so that the first stages of the next tile come during a tile's epilogue.
//
// Nothing multiplies during an epilogue, so it has to be short. A lane holds 2 neighbours of a row here and
// there; where rows of C allow it, a warp passes its sums through shared memory, 16 x 64 at a time,
// and e and the stores see 4 neighbours, 16 lanes of a row side by side.
//
// In shared memory a row is 128 bytes of neighbours, swizzled: 64 k of one m or n, or 64 m or n of one
// k, in boxes of 64 rows of k. Elements beyond the edges arrive as zeros.
//
// As with product_mma, bits are those of one device and one tile.
#pragma once

namespace r1 {
namespace wgmma_ {

constexpr int M = 128, K = 64, threads = 384;
constexpr int row = 128, box = 64 * row; // bytes of a row and of 64 of them
constexpr int processors = 132;          // of an H100 or H200; with fewer, blocks take turns

constexpr int ceil_div(int x, int y) { return (x + y - 1) / y; }

template <class P> constexpr i64 tiles_of(int n) {
  return static_cast<i64>(P::B0) * P::B1 * P::B2 * ceil_div(P::M, M) * ceil_div(P::N, n);
}
/// Columns of a tile: 256 where that leaves work for every multiprocessor and few columns empty.
template <class P> constexpr int columns() {
  constexpr int more = ceil_div(P::N, 256) * 256 - ceil_div(P::N, 128) * 128;
  return tiles_of<P>(256) >= processors && more * 8 <= P::N ? 256 : 128;
}

template <int N_> struct Tile {
  static constexpr int M = wgmma_::M, N = N_;
};

/// How shared memory is divided.
template <class P> struct Ring {
  static constexpr int N = columns<P>();
  static constexpr int stages = N == 256 ? 4 : 6;
  static constexpr int sizeA = M * row, sizeB = N * row, size = sizeA + sizeB;
  static constexpr int full = stages * size, empty = full + stages * 8; // barriers
  static constexpr int sums = empty + stages * 8; // 16 x 64 of each consuming warp
  static constexpr int bytes = sums + 8 * 16 * 64 * 4;
};

/// An operand whose tile has W rows m or n. Across: its neighbours lie along them. L0 to L2: it moves
/// with a batch dim, which is then a dim of its tensor map (outermost last).
template <int W, bool Across, bool L0, bool L1, bool L2> struct Operand {
  static constexpr int rank = 2 + L0 + L1 + L2;

  template <class S, class Bar>
  R1_FN static void fetch(S to, const tensor_map &map, const product_::Place &p, int w, int k,
                          Bar full R1_AT) {
    int c[rank] = {Across ? w : k, Across ? k : w}, n = 2;
    if constexpr (L2)
      c[n++] = p.b2;
    if constexpr (L1)
      c[n++] = p.b1;
    if constexpr (L0)
      c[n++] = p.b0;
    if constexpr (Across) {
      R1_UNROLL
      for (int i = 0; i < W / 64; ++i) {
        c[0] = w + i * 64;
        bulk_copy(to + i * box, map, c, full R1_PASS);
      }
    } else {
      bulk_copy(to, map, c, full R1_PASS);
    }
  }
  /// Rows from w and 16 k from k on of the stage at `address`. Along k the hardware finds 8 rows every
  /// 1024 bytes; across it finds 8 k every 1024 and 64 rows every `box` bytes.
  R1_FN static u64 tile(u32 address, int w, int k) {
    const u32 start = address + static_cast<u32>(Across ? w / 64 * box + k * row : w * row + k * 2);
    const u64 leading = Across ? box : 16, stride = 8 * row, swizzle = 1;
    return (start & 0x3FFFFu) >> 4 | leading >> 4 << 16 | stride >> 4 << 32 | swizzle << 62;
  }
};

template <class P>
using OperandA = Operand<M, P::AK != 1, (P::B0 > 1 && P::AB0 != 0), (P::B1 > 1 && P::AB1 != 0),
                         (P::B2 > 1 && P::AB2 != 0)>;
template <class P>
using OperandB = Operand<columns<P>(), P::BK != 1, (P::B0 > 1 && P::BB0 != 0),
                         (P::B1 > 1 && P::BB1 != 0), (P::B2 > 1 && P::BB2 != 0)>;

/// Which stage of the ring is next, and the parity of its phase.
struct Turn {
  int stage = 0;
  u32 phase = 0;
  template <int Stages> R1_FN void next() {
    if (++stage == Stages)
      stage = 0, phase ^= 1;
  }
};

} // namespace wgmma_

template <class P> constexpr int product_wgmma_blocks() {
  constexpr i64 tiles = wgmma_::tiles_of<P>(wgmma_::columns<P>());
  return static_cast<int>(tiles < wgmma_::processors ? tiles : wgmma_::processors);
}
template <class P> constexpr int product_wgmma_threads() { return wgmma_::threads; }
template <class P> constexpr int product_wgmma_columns() { return wgmma_::columns<P>(); }
/// Bytes of dynamic shared memory.
template <class P> constexpr int product_wgmma_shared() { return wgmma_::Ring<P>::bytes; }

template <class P, class H, class TC, class E>
R1_FN void product_wgmma(const tensor_map &A, const tensor_map &B, TC C, E e R1_AT) {
  using namespace wgmma_;
  using EC = element<TC>;
  using R = Ring<P>;
  static_assert(product_mma_fits<P>(), "rows of A and B lie on multiples of 16 bytes");
  constexpr int N = R::N, tiles = static_cast<int>(tiles_of<P>(N)), steps = ceil_div(P::K, K);
  constexpr int align = product_::align_of<P>(0);
  constexpr bool pairs =
      P::CN == 1 && align >= 2 * static_cast<int>(sizeof(EC)) &&
      product_::width(2, P::N, 2, P::CB0, P::B0, P::CB1, P::B1, P::CB2, P::B2, P::CM) == 2;

  // Do 4 neighbours of C lie as one access, beginning with each row?
  constexpr bool fours =
      P::CN == 1 && align >= 4 * static_cast<int>(sizeof(EC)) &&
      product_::width(4, 4, 4, P::CB0, P::B0, P::CB1, P::B1, P::CB2, P::B2, P::CM) == 4;

  R1_DYNAMIC(memory);
  auto full = as<u64>(memory + R::full), empty = as<u64>(memory + R::empty);
  if (thread() == 0) {
    for (int s = 0; s < R::stages; ++s) {
      barrier_init(full + s, 1 R1_PASS);
      barrier_init(empty + s, 8 R1_PASS); // warps
    }
    fence_async();
  }
  block_sync(R1_PASS0);

  Turn turn;
  if (warp() < 4) { // the producer
    registers_down<40>();
    if (thread() == 0) {
      for (int t = block(); t < tiles; t += blocks()) {
        const auto p = product_::place<P, Tile<N>>(t);
        for (int s = 0; s < steps; ++s) {
          auto stage = memory + turn.stage * R::size;
          barrier_wait(empty + turn.stage, turn.phase ^ 1 R1_PASS);
          barrier_expect(full + turn.stage, R::size R1_PASS);
          OperandA<P>::fetch(stage, A, p, p.m, s * K, full + turn.stage R1_PASS);
          OperandB<P>::fetch(stage + R::sizeA, B, p, p.n, s * K, full + turn.stage R1_PASS);
          turn.next<R::stages>();
        }
      }
    }
  } else {
    registers_up<232>();
    const u32 window = shared_address(memory + 0 R1_PASS);
    const int wm = warp() / 4 * 64 - 64; // the rows of this warpgroup
    const int mine = wm + warp() % 4 * 16 + lane() / 4, column = lane() % 4 * 2;
    for (int t = block(); t < tiles; t += blocks()) {
      const auto p = product_::place<P, Tile<N>>(t);
      const int ms = P::M % M == 0 ? M : P::M - p.m, ns = P::N % N == 0 ? N : P::N - p.n;
      auto c = C + (p.batch(P::CB0, P::CB1, P::CB2) + static_cast<i64>(p.m) * P::CM +
                    static_cast<i64>(p.n) * P::CN);
      float acc[N / 2] = {};
      if constexpr (P::ACCUMULATE) {
        R1_UNROLL
        for (int j = 0; j < N / 2; j += 2) {
          const int m = mine + j % 4 * 4, n = j / 4 * 8 + column;
          if (m < ms && n < ns) {
            auto from = c + (static_cast<i64>(m) * P::CM + n * P::CN);
            vec<float, 2> x;
            if constexpr (pairs)
              x = cast<float>(load<2>(from R1_PASS));
            else
              x = cast<float>(load_strided<2>(from, 0, P::CN, ns - n R1_PASS));
            acc[j] = x.v[0], acc[j + 1] = x.v[1];
          }
        }
      }
      int last = 0;
      for (int s = 0; s < steps; ++s) {
        const u32 a = window + static_cast<u32>(turn.stage * R::size), b = a + R::sizeA;
        barrier_wait(full + turn.stage, turn.phase R1_PASS);
        wgmma_fence();
        R1_UNROLL
        for (int k = 0; k < K; k += 16)
          wgmma<H, P::AK != 1, P::BK != 1>(acc, OperandA<P>::tile(a, wm, k),
                                           OperandB<P>::tile(b, 0, k) R1_PASS);
        wgmma_commit();
        wgmma_wait<1>(acc R1_PASS); // of the step before: its stage is free
        if (s > 0 && lane() == 0)
          barrier_arrive(empty + last R1_PASS);
        last = turn.stage;
        turn.next<R::stages>();
      }
      wgmma_wait<0>(acc R1_PASS);
      if (lane() == 0)
        barrier_arrive(empty + last R1_PASS);
      // By 64 columns, each time from the first 32 sums: the epilogue stands 8 or 32 times in the code, not
      // N / 2 times.
      R1_ROLLED
      for (int first = 0; first < N; first += 64) {
        if constexpr (fours) {
          // Groups of 8 columns are permuted from row to row, so that neither side meets a bank twice.
          auto mineOf = as<float>(memory + R::sums) + (warp() - 4) * (16 * 64);
          auto place = [](int row, int c) { return row * 64 + (c ^ (row & 3) << 3); };
          warp_sync(); // the 64 columns before are read
          R1_UNROLL
          for (int j = 0; j < 32; j += 2)
            store<2>(mineOf + place(lane() / 4 + j % 4 * 4, j / 4 * 8 + column),
                     vec<float, 2>{{acc[j], acc[j + 1]}} R1_PASS);
          warp_sync();
          const int c4 = lane() % 16 * 4, n = first + c4, left = ns - n;
          R1_UNROLL
          for (int i = 0; i < 16; i += 2) {
            const int row = i + lane() / 16, m = wm + warp() % 4 * 16 + row;
            if ((P::M % M && m >= ms) || (P::N % N && left <= 0))
              continue;
            auto from = mineOf + place(row, c4);
            auto to = c + (static_cast<i64>(m) * P::CM + n);
            if (P::N % 4 == 0 || left >= 4) {
              store_global<4>(to, e(p.g, p.m + m, p.n + n, load<4>(from R1_PASS)) R1_PASS);
            } else {
              R1_ROLLED
              for (int k = 0; k < left; ++k)
                write(to, k, e(p.g, p.m + m, p.n + n + k, read(from, k R1_PASS)) R1_PASS);
            }
          }
        } else {
          R1_UNROLL
          for (int j = 0; j < 32; j += 2) {
            const int m = mine + j % 4 * 4, n = first + j / 4 * 8 + column;
            if (m < ms && n < ns) {
              auto to = c + (static_cast<i64>(m) * P::CM + n * P::CN);
              vec<EC, 2> x = {};
              x.v[0] = e(p.g, p.m + m, p.n + n, acc[j]);
              if (n + 1 < ns)
                x.v[1] = e(p.g, p.m + m, p.n + n + 1, acc[j + 1]);
              store_strided<2>(to, 0, P::CN, x, ns - n R1_PASS);
            }
          }
        }
        R1_UNROLL
        for (int j = 32; j < N / 2; ++j)
          acc[j - 32] = acc[j];
      }
    }
  }
}

} // namespace r1
