#include "runtime/checkpoint/Assemble.h"
#include <algorithm>
#include <bit>
#include <cstring>
#include <xxhash.h>

namespace r1rt::checkpoint {

namespace {

/// Every f16 is an f32.
float fromF16(uint16_t h) {
  uint32_t sign = uint32_t(h & 0x8000) << 16, exponent = (h >> 10) & 31, fraction = h & 0x3ff;
  if (exponent == 31)
    return std::bit_cast<float>(sign | 0x7f800000u | fraction << 13);
  if (exponent)
    return std::bit_cast<float>(sign | (exponent + 112) << 23 | fraction << 13);
  float f = float(fraction) * 0x1p-24f; // subnormal, or zero
  return sign ? -f : f;
}

template <class Stored, class Widen>
void copyPart(const Part &p, int64_t rows, int64_t columns, int64_t from, int64_t to, float *out, int64_t stride,
              Widen widen) {
  const char *data = p.from->data.data(); // not necessarily aligned
  auto at = [&](int64_t i) {
    Stored v;
    std::memcpy(&v, data + size_t(i) * sizeof v, sizeof v);
    return widen(v);
  };
  if (!p.transposed) {
    for (int64_t r = from; r < to; ++r)
      for (int64_t c = 0; c < p.columns; ++c)
        out[(r - from) * stride + c] = at(r * columns + p.first + c);
    return;
  }
  // `from` is [its columns, rows]: squares, so that neither side walks through memory by itself.
  constexpr int64_t side = 64;
  for (int64_t c0 = 0; c0 < p.columns; c0 += side)
    for (int64_t r0 = from; r0 < to; r0 += side)
      for (int64_t c = c0; c < std::min(c0 + side, p.columns); ++c)
        for (int64_t r = r0; r < std::min(r0 + side, to); ++r)
          out[(r - from) * stride + c] = at((p.first + c) * rows + r);
}

/// The bytes of the tensors, block by block.
class Blocks {
public:
  explicit Blocks(std::span<const Assembled> tensors) : tensors(tensors) {}

  /// Valid until it is asked again; empty at the end.
  std::string_view next() {
    while (i < tensors.size() && row == tensors[i].rows()) {
      for (const Part &p : tensors[i].parts)
        p.file->release(*p.from);
      row = 0, ++i;
    }
    if (i == tensors.size())
      return {};
    const Assembled &t = tensors[i];
    constexpr int64_t elements = 1 << 20;
    int64_t to = std::min(t.rows(), row + std::max<int64_t>(1, elements / t.columns()));
    block.resize(size_t((to - row) * t.columns()));
    t.read(row, to, block.data());
    row = to;
    return {reinterpret_cast<const char *>(block.data()), block.size() * sizeof(float)};
  }

private:
  std::span<const Assembled> tensors;
  size_t i = 0;
  int64_t row = 0;
  std::vector<float> block;
};

} // namespace

bool readable(const std::string &dtype) { return dtype == "F32" || dtype == "F16" || dtype == "BF16"; }

void Assembled::read(int64_t from, int64_t to, float *out) const {
  for (const Part &p : parts) {
    const std::vector<int64_t> &s = p.from->shape;
    int64_t columns = s.back();
    if (p.from->dtype == "F32")
      copyPart<float>(p, rows(), columns, from, to, out, this->columns(), [](float v) { return v; });
    else if (p.from->dtype == "F16")
      copyPart<uint16_t>(p, rows(), columns, from, to, out, this->columns(), fromF16);
    else
      copyPart<uint16_t>(p, rows(), columns, from, to, out, this->columns(),
                         [](uint16_t v) { return std::bit_cast<float>(uint32_t(v) << 16); });
    out += p.columns;
  }
}

Status writeAssembled(const std::string &path, std::span<const Assembled> tensors,
                      std::map<std::string, std::string> metadata, bool hash) {
  std::vector<TensorView> views;
  for (const Assembled &t : tensors)
    views.push_back({t.name, "F32", t.shape, {}});
  if (hash) { // which stands before what it is of: the tensors are made twice
    XXH64_state_t *h = XXH64_createState();
    XXH64_reset(h, 0);
    Blocks blocks(tensors);
    for (std::string_view b = blocks.next(); !b.empty(); b = blocks.next())
      XXH64_update(h, b.data(), b.size());
    metadata["xxh64"] = std::to_string(XXH64_digest(h));
    XXH64_freeState(h);
  }
  R1RT_ASSIGN(std::string header, safetensorsHeader(views, metadata));
  Blocks blocks(tensors);
  bool begun = false;
  return writeFileAtomic(path, [&]() -> Result<std::string_view> {
    return std::exchange(begun, true) ? blocks.next() : std::string_view(header);
  });
}

} // namespace r1rt::checkpoint
