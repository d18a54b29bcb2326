// Whatever the bytes are, the reader either refuses them or yields tensors that lie inside them
// and tile the part after the header.
#include "runtime/state/Safetensors.h"
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  std::string_view content(reinterpret_cast<const char *>(data), size);
  auto r = r1rt::SafetensorsIndex::parse(content);
  if (!r)
    return 0;
  uint64_t total = 0;
  for (const r1rt::TensorView &t : r->tensors) {
    if (!t.data.empty() && (t.data.data() < content.data() ||
                            t.data.data() + t.data.size() > content.data() + content.size()))
      std::abort();
    total += t.data.size();
  }
  uint64_t header = 0;
  for (int i = 0; i < 8; ++i)
    header |= uint64_t(data[i]) << (8 * i);
  if (8 + header + total != size)
    std::abort();
  return 0;
}
