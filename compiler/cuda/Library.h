// Which products a library (cuBLASLt) can do, to what this compiler promises about roundings.
#pragma once
#include "dialects/kern/Kern.h"
#include "runtime/r1rt.h"
#include <optional>

namespace r1::cuda {

/// `op` as the library takes it, or none: where its epilogue is more than a bias in f32 or a rounding,
/// its strides are not those of matrices, or it is so narrow that a library's tiles are mostly empty.
std::optional<r1_product> libraryProduct(kern::ProductOp op);
/// Does a line of A, B or C, along its neighbours, not end with a whole access of 16 bytes of 16-bit elements?
bool raggedLines(kern::ProductOp op);

} // namespace r1::cuda
