// Tensors put together from parts of others, while they are written: blocks of rows, in f32.
#ifndef R1RT_CHECKPOINT_ASSEMBLE_H
#define R1RT_CHECKPOINT_ASSEMBLE_H
#include "runtime/state/Safetensors.h"
#include <span>

namespace r1rt::checkpoint {

/// Can elements of this type be read? F32, F16, BF16.
bool readable(const std::string &dtype);

/// Columns of the matrix that a tensor is (a vector is one row of them).
struct Part {
  const TensorView *from = nullptr;
  const SafetensorsFile *file = nullptr; // gives the memory back that reading took
  bool transposed = false;               // of the transpose of `from`
  int64_t first = 0, columns = 0;        // of `from`, or of its transpose
};

/// A tensor of rank 1 or 2: its parts stand side by side.
struct Assembled {
  std::string name;
  std::vector<int64_t> shape;
  std::vector<Part> parts; // whose rows are as many as the tensor's, and whose columns add up to its own

  int64_t rows() const { return shape.size() == 2 ? shape[0] : 1; }
  int64_t columns() const { return shape.back(); }
  /// Rows [from, to) into `out`, row-major.
  void read(int64_t from, int64_t to, float *out) const;
};

/// Writes a file of these tensors, F32 in this order. `hash`: with the metadata "xxh64" of hashOf.
Status writeAssembled(const std::string &path, std::span<const Assembled> tensors,
                      std::map<std::string, std::string> metadata, bool hash);

} // namespace r1rt::checkpoint
#endif
