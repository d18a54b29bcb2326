/*===- Abi.h - what an emulated kernel and the emulator see of each other ---===
 *
 * CUDA text compiled for the host (R1_EMU) becomes one small shared library per
 * kernel. It links against nothing: its loader calls the library's `r1emu_bind` with
 * a table of functions, and runs `NAME_run`, a r1_kernel_fn of runtime/r1rt.h.
 *
 * The invariant a reader would guess wrong: all that belongs to a running block is
 * reached through the r1emu_block of the host thread that runs it, so several host
 * threads run different blocks of one kernel at once.
 *
 *===--------------------------------------------------------------------------===*/
#ifndef R1RT_EMU_ABI_H
#define R1RT_EMU_ABI_H

#ifdef __cplusplus
extern "C" {
#endif

/** Counts up with every change of this file. */
#define R1EMU_ABI 2

/** What a block may have of static shared memory, and of static and dynamic together (sm_90). */
#define R1EMU_SHARED_BYTES 49152
#define R1EMU_SHARED_BYTES_MOST 232448

/** What one lane may hand to the others of its warp in one exchange. */
#define R1EMU_LANE_BYTES 64

/** A place in the emitted text (as its `#line`s have it). */
typedef struct {
  const char *file;
  int line;
} r1emu_site;

/** Bytes that a kernel may touch. */
typedef struct {
  const void *begin;
  unsigned long long bytes;
} r1emu_range;

/** A tensor in global memory as bulk copies see it: innermost dim first, whose stride is an element. */
typedef struct {
  void *base;
  unsigned rank, element;       /* 1 to 5; bytes of an element */
  unsigned long long dims[5];   /* elements */
  unsigned long long strides[5]; /* bytes */
  unsigned box[5];              /* elements of one copy */
  unsigned swizzle;             /* bytes of a swizzled row: 0 (none) or 128 */
} r1emu_map;

/** wgmma m64nNk16: matrix descriptors of PTX's manual; 1 for operands that lie along m or n, not k.
 *  `fragment`: this lane's 4 registers of a, which is then not in shared memory; else null. */
typedef struct {
  unsigned long long a, b;
  int n, f16, across_a, across_b;
  const unsigned *fragment;
} r1emu_wgmma;

typedef struct {
  const char *name;
  int args, blocks, threads, shared; /* shared: dynamic bytes */
  void (*body)(void *const *args); /* one CUDA thread */
} r1emu_kernel;

/** Where the running CUDA thread stands. The emulator holds more behind it. */
typedef struct {
  int thread, block;
  int threads, blocks; /* per block, in the grid */
  int checked;         /* 1: accesses through raw pointers are held against registered ranges */
} r1emu_block;

typedef struct {
  unsigned abi;
  /** Runs the blocks tid, tid + threads, ... of the kernel. `here` is the library's own pointer to
   * the running block, one per host thread. */
  void (*launch)(const r1emu_kernel *kernel, r1emu_block **here, void *const *args, long long tid,
                 long long threads);
  /** The shared array that `key` (an address of the library) stands for in this block. */
  void *(*shared)(r1emu_block *, const void *key, const char *name, unsigned long long bytes,
                  r1emu_site);
  /** Waits for all threads of the block. */
  void (*barrier)(r1emu_block *, r1emu_site);
  /** Hands `bytes` at `mine` to the warp and waits for it; returns what all lanes gave, one every
   * R1EMU_LANE_BYTES, valid until the lane's next exchange. `what` names the operation; `needs` is
   * a mask of lanes that must exist. */
  const void *(*exchange)(r1emu_block *, const void *mine, unsigned bytes, const char *what,
                          unsigned needs, r1emu_site);
  /** The registered range or the shared array around `p`; its `begin` is null where there is
   * none. */
  r1emu_range (*range)(r1emu_block *, const void *p);
  /** A copy of `bytes`, with `zeros` zero bytes behind them, that later waits wait for. */
  void (*copy)(r1emu_block *, void *to, const void *from, unsigned bytes, unsigned zeros);
  void (*commit)(r1emu_block *);
  /** Until at most `groups` of this thread's committed groups are under way. */
  void (*wait)(r1emu_block *, int groups);
  /** The dynamic shared memory of the block, a multiple of 1024 in the window of shared memory. */
  r1emu_range (*dynamic)(r1emu_block *, r1emu_site);
  /** The address of `p` in that window. */
  unsigned (*address)(r1emu_block *, const void *p, r1emu_site);
  /** mbarriers: a phase ends when all arrivals have come and as many bytes as were expected. `wait`
   * is for the end of the phase of that parity. */
  void (*barrier_init)(r1emu_block *, void *barrier, int count, r1emu_site);
  void (*barrier_arrive)(r1emu_block *, void *barrier, unsigned expect_bytes, r1emu_site);
  void (*barrier_wait)(r1emu_block *, void *barrier, unsigned parity, r1emu_site);
  /** What this thread wrote to shared memory is seen by copies and wgmma from now on. */
  void (*fence_async)(r1emu_block *);
  /** The box at `at` (innermost first) to shared memory; its bytes then count for the barrier. */
  void (*bulk_copy)(r1emu_block *, void *to, const r1emu_map *map, const int *at, void *barrier,
                    r1emu_site);
  /** setmaxnreg: registers of each thread of this warp. */
  void (*registers)(r1emu_block *, int count, r1emu_site);
  /** `d` are the n / 2 sums of this thread, which are not to be touched before a wait. */
  void (*wgmma)(r1emu_block *, const r1emu_wgmma *, float *d, r1emu_site);
  void (*wgmma_fence)(r1emu_block *);
  void (*wgmma_commit)(r1emu_block *);
  void (*wgmma_wait)(r1emu_block *, int groups, r1emu_site);
  /** Records what is wrong (as printf does) and leaves the block. Does not return. */
  void (*fault)(r1emu_block *, r1emu_site, const char *format, ...);
} r1emu_api;

#ifdef __cplusplus
}
#endif
#endif
