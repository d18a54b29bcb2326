#include "runtime/cuda/TensorMap.h"

namespace r1cuda {

/// "a tensor of 768 x 16384 (strides 2, 1536 bytes) at 0x…, in boxes of 64 x 128"
static std::string describe(const r1_tensor_map &map, CUdeviceptr address) {
  std::string dims, strides, box;
  for (uint32_t i = 0; i < map.rank && i < 5; ++i) {
    dims += (i ? " x " : "") + std::to_string(map.dims[i]);
    strides += (i ? ", " : "") + std::to_string(map.strides[i]);
    box += (i ? " x " : "") + std::to_string(map.box[i]);
  }
  return "a tensor of " + dims + " (strides " + strides + " bytes) at address " + std::to_string(address) +
         ", in boxes of " + box;
}

std::string encodeTensorMap(const Driver &driver, const r1_tensor_map &map, CUdeviceptr address,
                            CUtensorMap &out) {
  if (map.rank < 1 || map.rank > 5)
    return "a tensor map has 1 to 5 dims, not " + std::to_string(map.rank);
  if (map.type != R1_F32 && map.type != R1_F16 && map.type != R1_BF16)
    return "a tensor map is of f32, f16 or bf16";
  if (map.swizzle != 0 && map.swizzle != 128)
    return "a tensor map is swizzled by 128 bytes or not at all, not by " + std::to_string(map.swizzle);
  if (address % 16)
    return describe(map, address) + ": its address is no multiple of 16";
  cuuint32_t steps[5] = {1, 1, 1, 1, 1};
  // The driver takes the strides from the second dim on.
  CUresult rc = driver.cuTensorMapEncodeTiled(
      &out,
      map.type == R1_F32   ? CU_TENSOR_MAP_DATA_TYPE_FLOAT32
      : map.type == R1_F16 ? CU_TENSOR_MAP_DATA_TYPE_FLOAT16
                           : CU_TENSOR_MAP_DATA_TYPE_BFLOAT16,
      map.rank, reinterpret_cast<void *>(address), map.dims, map.strides + 1, map.box, steps,
      CU_TENSOR_MAP_INTERLEAVE_NONE,
      map.swizzle ? CU_TENSOR_MAP_SWIZZLE_128B : CU_TENSOR_MAP_SWIZZLE_NONE,
      CU_TENSOR_MAP_L2_PROMOTION_L2_128B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (rc == CUDA_SUCCESS)
    return "";
  const char *text = nullptr;
  driver.cuGetErrorString(rc, &text);
  return "cuTensorMapEncodeTiled: " + std::string(text ? text : "unknown") + ", for " + describe(map, address);
}

} // namespace r1cuda
