// Runs a kernel that is compiled into the test itself, on the emulator.
#pragma once
#define R1_EMU
#include "compiler/cuda/prelude/attention.cuh"
#include "runtime/emu/Emu.h"
#include <gtest/gtest.h>
#include <vector>

/// `Body` is a captureless void(void *const *): one CUDA thread. The threads of each block run in
/// the given order between two points where they meet.
template <class Body>
void emulate(const char *name, int blocks, int threads, r1emu_order order,
             std::vector<void *> arguments, Body body) {
  const r1emu_kernel kernel = {name, int(arguments.size()), blocks, threads, 0, body};
  r1emu_bind(r1emu_get_api());
  r1emu_schedule(order, 7);
  r1emu_get_api()->launch(&kernel, &r1::emu::running, arguments.data(), 0, 1);
  const char *fault = r1emu_fault();
  EXPECT_EQ(fault, nullptr) << fault;
  r1emu_clear();
}
