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
#define R1EMU_ABI 1

/** What a block may have of static shared memory. */
#define R1EMU_SHARED_BYTES 49152

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

typedef struct {
  const char *name;
  int args, blocks, threads;
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
  /** Records what is wrong (as printf does) and leaves the block. Does not return. */
  void (*fault)(r1emu_block *, r1emu_site, const char *format, ...);
} r1emu_api;

#ifdef __cplusplus
}
#endif
#endif
