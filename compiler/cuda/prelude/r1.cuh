// All that an emitted kernel is written over. No toolkit header, no standard header: NVRTC gets
// these files by name and sees no other. With R1_EMU a host compiler makes the emulated kernel.
//
//   R1_KERNEL(name, threads per block)(const float *R1_RESTRICT x, …) { … }
//   R1_ENTRY(name, arguments, blocks, threads per block, (const float *)a[0], …)
//
// Index arithmetic is `int` on purpose; blocks and grids have one dimension.
#pragma once
#include "types.cuh"
#ifdef R1_EMU
#include "emu.h"
#else
#include "device.cuh"
#endif
#include "lanes.cuh"
#include "columns.cuh"
#include "product.cuh"
#include "product_few.cuh"
#include "product_mma.cuh"
#include "product_mma_few.cuh"
#include "warp.cuh"
