// What the stand-in for NVIDIA's driver pretends to be.
#pragma once
#include <cstdint>
#include <string>

namespace fake {

/// In which order work of different streams is done where nothing orders it.
enum class Order {
  eager, // at the call
  lazy,  // only when somebody waits for it, and what was asked for last first
  random // a few pieces at every call, any that may be next
};

/// Read from R1_FAKE_CUDA, a list of KEY=VALUE with commas between; README.md has the keys.
struct Options {
  Order order = Order::lazy;
  uint64_t seed = 0;
  int driver = 13000;       // as cuDriverGetVersion has it
  int devices = 1;
  int major = 9, minor = 0; // compute capability
  uint64_t memory = uint64_t(8) << 30;
  uint64_t largest = UINT64_MAX; // bytes that one allocation may have
  uint64_t refuse = 0;           // the n-th call of cuLaunchKernel is refused; 0: none
  uint64_t crash = 0;            // the n-th kernel that runs crashes; 0: none
  uint64_t interrupt = 0;        // the process gets SIGINT when the n-th kernel runs; 0: never

  /// Of this process. `wrong` says which key or value nobody knows.
  static const Options &get();
  std::string wrong;
};

} // namespace fake
