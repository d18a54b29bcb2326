#include "compiler/cuda/Cuda.h"

namespace r1::cuda {

// `out` may be one of the others, so what a thread loads it loads before it stores.
static const char *const text =
    "// Sums of shards and ranks: out[i] = low[i] + high[i], or high[i] where `adds` is 0.\n"
    "// 256 blocks of 256 threads, 8 elements each at a time\n"
    "#include \"r1.cuh\"\n"
    R"(R1_KERNEL(r1_sum, 256)(float *out, const float *low, const float *high, long long n, long long adds) {
  const long long threads = 256 * 256;
  for (long long i = r1::block() * 256 + r1::thread(); i < n; i += 8 * threads) {
    float a[8], b[8];
    for (int u = 0; u < 8; ++u) {
      long long k = i + u * threads;
      a[u] = k < n && adds ? low[k] : 0.0f;
      b[u] = k < n ? high[k] : 0.0f;
    }
    for (int u = 0; u < 8; ++u)
      if (i + u * threads < n)
        out[i + u * threads] = adds ? a[u] + b[u] : b[u];
  }
}
R1_ENTRY(r1_sum, 5, 256, 256, (float *)a[0], (const float *)a[1], (const float *)a[2], (long long)a[3],
         (long long)a[4])
)";

Source sumOfShards() { return {"r1_sum", "r1_sum", text, "8 elements per thread at a time", 256, 256}; }

} // namespace r1::cuda
