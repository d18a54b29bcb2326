// Tensor maps: what bulk copies of a kernel read instead of an address.
#pragma once
#include "runtime/cuda/Driver.h"
#include "runtime/r1rt.h"
#include <string>

namespace r1cuda {

/// `map` for a tensor at `address`, in the form of the hardware. Empty, or what is wrong.
std::string encodeTensorMap(const Driver &driver, const r1_tensor_map &map, CUdeviceptr address,
                            CUtensorMap &out);

} // namespace r1cuda
