//===- Draws.h - keyed draws: initialisers and the order of rows -----------===//
#ifndef R1RT_STATE_DRAWS_H
#define R1RT_STATE_DRAWS_H
#include "runtime/device/Device.h"
#include "runtime/r1rt.h"
#include <string>
#include <string_view>
#include <vector>

namespace r1rt {

/// Elements [begin, end) of a parameter, keyed (seed, path, element). `out` is element 0.
void drawInit(const r1_init &init, uint64_t seed, std::string_view path, uint64_t begin,
              uint64_t end, float *out);
/// A whole parameter, by all threads of the device; same bits for any number of them.
void drawInit(Device &device, const r1_init &init, uint64_t seed, std::string_view path,
              uint64_t elements, float *out);

/// A permutation of 0..n-1 that is a function of the key only.
std::vector<uint32_t> permutation(uint64_t key, uint32_t n);

/// The endless order in which a stage visits its rows: one permutation per epoch, keyed
/// (seed, stage, epoch); rows left over at the end of an epoch open the next batch.
class RowOrder {
public:
  RowOrder(uint32_t rows, uint64_t seed, std::string_view stage);
  /// The row at global position `index`, counted from the start of training.
  uint32_t row(uint64_t index);
  uint64_t epochOf(uint64_t index) const { return index / rows; }

private:
  const uint32_t rows;
  const uint64_t key;
  uint64_t epoch = ~uint64_t(0);
  std::vector<uint32_t> order;
};

} // namespace r1rt
#endif
