//===- Philox.h - counter-based random numbers -----------------------------===//
//
// Philox-4x32-10 (Salmon et al., 2011). Every random draw of the runtime is a pure
// function of a key (what is drawn: seed, path, epoch) and a counter (which element),
// so that it does not depend on threads, order or where a run was interrupted.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_STATE_PHILOX_H
#define R1RT_STATE_PHILOX_H
#include <array>
#include <cstdint>
#include <string_view>

namespace r1rt {

using PhiloxBlock = std::array<uint32_t, 4>;

inline PhiloxBlock philox(PhiloxBlock c, uint32_t k0, uint32_t k1) {
  for (int round = 0; round < 10; ++round) {
    uint64_t p0 = uint64_t(0xD2511F53u) * c[0], p1 = uint64_t(0xCD9E8D57u) * c[2];
    c = {uint32_t(p1 >> 32) ^ c[1] ^ k0, uint32_t(p1), uint32_t(p0 >> 32) ^ c[3] ^ k1,
         uint32_t(p0)};
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return c;
}

/// A 64-bit key made from a seed and a name, stable for ever.
uint64_t drawKey(uint64_t seed, std::string_view name);
/// Derives a key from another: for numbered things such as epochs.
uint64_t drawKey(uint64_t key, uint64_t number);

inline PhiloxBlock philox(uint64_t key, uint64_t index, uint32_t purpose = 0) {
  return philox({uint32_t(index), uint32_t(index >> 32), purpose, 0}, uint32_t(key),
                uint32_t(key >> 32));
}

/// In [0, 1), 53 bits.
inline double uniform01(uint32_t hi, uint32_t lo) {
  return double((uint64_t(hi) << 32 | lo) >> 11) * 0x1p-53;
}

} // namespace r1rt
#endif
