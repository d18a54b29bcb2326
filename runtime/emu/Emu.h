//===- Emu.h - runs CUDA kernels on the host --------------------------------===//
//
// One fiber per CUDA thread of the running block, one block at a time per host thread.
// Kernels come as shared libraries (Abi.h) that the prelude of compiler/cuda makes of
// the emitted text. Mistakes are recorded, never fatal: the first one stays until it
// is cleared, and until then every launch does nothing.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_EMU_EMU_H
#define R1RT_EMU_EMU_H
#include "runtime/emu/Abi.h"
#include <cstddef>
#include <cstdint>

extern "C" {
/// What `r1emu_bind` of a kernel's library takes.
const r1emu_api *r1emu_get_api(void);

/// The first mistake since the last clear, one line
/// "FILE:LINE: kernel NAME, block B, thread T: what is wrong"; null if there is none.
const char *r1emu_fault(void);
void r1emu_clear(void);

/// In which order threads run between two points where they meet. Right kernels give the same bits
/// under each; asynchronous copies happen as late as allowed in R1EMU_IN_ORDER, at once in
/// R1EMU_REVERSE, either way in R1EMU_RANDOM.
enum r1emu_order { R1EMU_IN_ORDER, R1EMU_REVERSE, R1EMU_RANDOM };
/// For launches from now on. The start value comes from the environment variable
/// R1_EMU_SCHEDULE: order, reverse, random or random:SEED.
void r1emu_schedule(r1emu_order order, uint64_t seed);

/// The ranges that launches from now on may touch through raw pointers (r1::load, r1::store,
/// async copies) and that R1_ARG without a size looks up. None: not checked.
void r1emu_ranges(const r1emu_range *ranges, size_t count);
}
#endif
