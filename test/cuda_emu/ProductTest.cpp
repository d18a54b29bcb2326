// Products under the emulator are bit-equal to one chain of FMAs per element.
#include "test/cuda_emu/Kernel.h"
#include <cmath>
#include <cstring>

using namespace emutest;

namespace {

enum class Type { f32, bf16, f16 };

struct Shape {
  int m, n, k;
  std::vector<int> batch;
  std::string layout = "NN"; // of A and B; T: the other dim has stride 1
  bool accumulate = false;
  Type a = Type::f32, b = Type::f32, c = Type::f32;
  std::string tile = "r1::tile<64,64,16,4,4>";
  int pad = 0;          // of each row
  bool strided = false; // A's dims both have a stride
  bool transposedC = false;
  std::string more{}; // flags
};

float fromBf16(uint16_t b) {
  uint32_t x = uint32_t(b) << 16;
  float f;
  memcpy(&f, &x, 4);
  return f;
}
uint16_t toBf16(float f) {
  uint32_t x;
  memcpy(&x, &f, 4);
  return static_cast<uint16_t>((x + 0x7FFF + (x >> 16 & 1)) >> 16);
}
// Of values whose f16 is normal and exact.
uint16_t toF16(float f) {
  uint32_t x;
  memcpy(&x, &f, 4);
  return static_cast<uint16_t>((x >> 16 & 0x8000) | ((x >> 23 & 255) - 112) << 10 |
                               (x >> 13 & 1023));
}

/// An operand in memory and as f32.
struct Operand {
  std::vector<float> value; // what the kernel sees, by element of memory
  std::vector<char> bytes;
  Operand(size_t n, Type t, uint64_t seed) : value(n), bytes(n * (t == Type::f32 ? 4 : 2)) {
    for (size_t i = 0; i < n; ++i) {
      float f = noise(seed + i);
      if (t == Type::f32) {
        memcpy(&bytes[4 * i], &f, 4);
      } else if (t == Type::bf16) {
        uint16_t h = toBf16(f);
        f = fromBf16(h);
        memcpy(&bytes[2 * i], &h, 2);
      } else {
        f = std::copysign(std::ldexp(std::floor(std::ldexp(std::fabs(f), 8)) + 1, -9), f);
        uint16_t h = toF16(f);
        memcpy(&bytes[2 * i], &h, 2);
      }
      value[i] = f;
    }
  }
};

std::string nameOf(Type t) {
  return t == Type::f32 ? "float" : t == Type::bf16 ? "r1::bf16" : "r1::f16";
}

/// An operand's tensor map as a flag: neighbours, rows, then the batch dims that it moves with.
std::string mapOf(char name, int64_t n, int boxN, int64_t rows, int boxRows, int64_t stride,
                  const std::vector<int> &batch, const std::vector<int> &strides) {
  auto dim = [](int64_t size, int64_t bytes, int box) {
    return "{" + std::to_string(size) + "," + std::to_string(bytes) + "," + std::to_string(box) + "}";
  };
  std::string text = dim(n, 2, boxN) + "," + dim(rows, stride * 2, boxRows);
  for (int i = 2; i >= 0; --i)
    if (batch[i] > 1 && strides[i])
      text += "," + dim(batch[i], strides[i] * int64_t(2), 1);
  return std::string(" '-DS_MAP") + name + "={" + text + "}'";
}

void check(const Shape &s) {
  SCOPED_TRACE(std::to_string(s.m) + "x" + std::to_string(s.n) + "x" + std::to_string(s.k) + " " +
               s.layout + " " + s.tile);
  std::vector<int> batch = s.batch;
  batch.resize(3, 1);
  bool ta = s.layout[0] == 'T', tb = s.layout[1] == 'T';
  int step = s.strided ? 2 : 1;
  int am = ta ? step : (s.k + s.pad) * step, ak = ta ? (s.m + s.pad) * step : step;
  int bk = tb ? 1 : s.n + s.pad, bn = tb ? s.k + s.pad : 1;
  int cm = s.transposedC ? 1 : s.n + s.pad, cn = s.transposedC ? s.m + s.pad : 1;
  int sizeA = (ta ? s.k * ak : s.m * am), sizeB = tb ? s.n * bn : s.k * bk;
  int sizeC = s.transposedC ? s.n * cn : s.m * cm;
  int batches = batch[0] * batch[1] * batch[2];
  // B is shared by the middle batch dim.
  std::string flags = "-DS_M=" + std::to_string(s.m) + " -DS_N=" + std::to_string(s.n) +
                      " -DS_K=" + std::to_string(s.k);
  auto set = [&](const std::string &name, int64_t v) {
    flags += " -DS_" + name + "=" + std::to_string(v);
  };
  std::vector<int> sa = {batch[1] * batch[2] * sizeA, batch[2] * sizeA, sizeA};
  std::vector<int> sb = {batch[2] * sizeB, 0, sizeB};
  std::vector<int> sc = {batch[1] * batch[2] * sizeC, batch[2] * sizeC, sizeC};
  for (int i = 0; i < 3; ++i) {
    std::string d = std::to_string(i);
    set("B" + d, batch[i]), set("AB" + d, sa[i]), set("BB" + d, sb[i]), set("CB" + d, sc[i]);
  }
  set("AM", am), set("AK", ak), set("BK", bk), set("BN", bn), set("CM", cm), set("CN", cn);
  set("ACCUMULATE", s.accumulate);
  flags += " -DS_TA=" + nameOf(s.a) + " -DS_TB=" + nameOf(s.b) + " -DS_TC=" + nameOf(s.c) +
           " '-DS_TILE=" + s.tile + "' " + s.more;
  if (s.more.find("S_WGMMA") != std::string::npos) {
    int tiles = batches * ((s.m + 127) / 128) * ((s.n + 255) / 256);
    bool wide = tiles >= 132 && ((s.n + 255) / 256 * 256 - (s.n + 127) / 128 * 128) * 8 <= s.n;
    flags += mapOf('A', ta ? s.m : s.k, 64, ta ? s.k : s.m, ta ? 64 : 128, ta ? ak : am, batch, sa) +
             mapOf('B', tb ? s.k : s.n, 64, tb ? s.n : s.k, tb ? (wide ? 256 : 128) : 64, tb ? bn : bk, batch, sb);
  }
  Library lib("product.cu", flags);

  Operand a(size_t(batches) * sizeA, s.a, 1), b(size_t(batches) * sizeB, s.b, 1u << 20);
  Operand c(size_t(batches) * sizeC, Type::f32, 1u << 21), bias(s.n, Type::f32, 1u << 22);
  if (s.accumulate) {
    for (size_t i = 0; i < c.value.size(); i += 3) { // a chain that starts from -0 keeps it
      float zero = -0.0f;
      memcpy(&c.bytes[4 * i], &zero, 4);
      c.value[i] = zero;
    }
    // Element (0, 0): a chain of -0, which one +0 too many would end.
    if (s.a == Type::f32 && s.b == Type::f32)
      for (int k = 0; k < s.k; ++k) {
        float zero = 0.0f, minus = -1.0f;
        memcpy(&a.bytes[4 * k * ak], &zero, 4), a.value[k * ak] = zero;
        memcpy(&b.bytes[4 * k * bk], &minus, 4), b.value[k * bk] = minus;
      }
  }
  std::vector<float> want = c.value;
  for (int g = 0; g < batches; ++g) {
    int g0 = g / (batch[1] * batch[2]), g1 = g / batch[2] % batch[1], g2 = g % batch[2];
    const float *A = &a.value[size_t(g0) * sa[0] + g1 * sa[1] + g2 * sa[2]];
    const float *B = &b.value[size_t(g0) * sb[0] + g1 * sb[1] + g2 * sb[2]];
    float *C = &want[size_t(g0) * sc[0] + g1 * sc[1] + g2 * sc[2]];
    for (int m = 0; m < s.m; ++m)
      for (int n = 0; n < s.n; ++n) {
        float acc = s.accumulate ? C[m * cm + n * cn] : 0.0f;
        for (int k = 0; k < s.k; ++k)
          acc = std::fma(A[m * am + k * ak], B[k * bk + n * bn], acc);
        C[m * cm + n * cn] = s.accumulate ? acc : acc + bias.value[n];
      }
  }
  // Arrays in the middle of an allocation, so that ranges are what keeps accesses in.
  std::vector<r1emu_range> ranges = {{a.bytes.data(), a.bytes.size()},
                                     {b.bytes.data(), b.bytes.size()}};
  for (int schedule = 0; schedule < 3; ++schedule) {
    std::vector<char> out = c.bytes;
    if (s.c != Type::f32)
      out.assign(want.size() * 2, 0);
    std::vector<r1emu_range> all = ranges;
    all.push_back({out.data(), out.size()});
    all.push_back({bias.bytes.data(), bias.bytes.size()});
    r1emu_ranges(all.data(), all.size());
    setSchedule(schedule);
    lib.run("product", {a.bytes.data(), b.bytes.data(), out.data(), bias.bytes.data()},
            1 + schedule);
    r1emu_ranges(nullptr, 0);
    EXPECT_EQ(takeFault(), "none");
    size_t wrong = 0;
    for (int g = 0; g < batches; ++g)
      for (int m = 0; m < s.m; ++m)
        for (int n = 0; n < s.n; ++n) {
          size_t i = size_t(g) * sizeC + m * cm + n * cn;
          if (s.c == Type::f32) {
            wrong += memcmp(&out[4 * i], &want[i], 4) != 0;
          } else {
            uint16_t h = toBf16(want[i]);
            wrong += memcmp(&out[2 * i], &h, 2) != 0;
          }
        }
    EXPECT_EQ(wrong, 0u) << "schedule " << schedule;
    if (s.c == Type::f32 && s.pad) { // what lies between the rows is left alone
      for (size_t i = 0; i < want.size(); ++i)
        ASSERT_EQ(memcmp(&out[4 * i], &want[i], 4), 0) << i;
    }
  }
}

} // namespace

static const std::string kBig = "r1::tile<128,128,8,8,8>";

TEST(Product, WholeTiles) { check({128, 64, 32, {}}); }
TEST(Product, Layouts) {
  for (const char *layout : {"NN", "NT", "TN", "TT"})
    check({72, 68, 40, {}, layout});
}
TEST(Product, OddSizes) {
  for (const char *layout : {"NN", "NT", "TN"})
    check({67, 35, 19, {}, layout});
  check({1, 130, 3, {}});
  check({5, 1, 1, {}});
}
TEST(Product, BigTile) {
  check({130, 257, 20, {}, "NN", true, Type::f32, Type::f32, Type::f32, kBig});
  check({132, 128, 24, {}, "TN", false, Type::f32, Type::f32, Type::f32, kBig});
}
TEST(Product, Batches) {
  check({33, 20, 18, {3}, "NT"});
  check({16, 24, 32, {2, 3}, "NN", true});
  check({20, 12, 17, {2, 2, 3}, "TN"});
}
TEST(Product, Accumulates) {
  check({70, 66, 33, {}, "NN", true});
  check({64, 64, 64, {}, "TN", true});
}
TEST(Product, Halves) {
  check({72, 64, 48, {}, "NN", false, Type::bf16, Type::bf16, Type::bf16});
  check({72, 64, 48, {}, "NT", false, Type::bf16, Type::f32, Type::f32});
  check({66, 62, 30, {}, "TN", true, Type::f16, Type::bf16, Type::f32});
}
TEST(Product, Padded) {
  check(
      {64, 60, 32, {}, "NN", false, Type::f32, Type::f32, Type::f32, "r1::tile<64,64,16,4,4>", 4});
  check({64, 60, 32, {}, "NT", true, Type::f32, Type::f32, Type::f32, "r1::tile<64,64,16,4,4>", 3});
}
TEST(Product, StridedAndTransposed) {
  Shape s{40, 44, 24, {}};
  s.strided = true, s.transposedC = true, s.pad = 1;
  check(s);
}

// Blocks of few columns: 1 to 64 rows, one step of k or more, whole or not.
static Shape few(Shape s) {
  s.more = "-DS_FEW";
  return s;
}
TEST(FewRows, Layouts) {
  for (const char *layout : {"NN", "NT", "TN", "TT"})
    for (int m : {1, 5, 16, 33, 64})
      check(few({m, 68, 270, {}, layout}));
}
TEST(FewRows, OddSizes) {
  for (const char *layout : {"NN", "NT", "TN"})
    check(few({3, 35, 259, {}, layout, true}));
  check(few({1, 1, 1, {}}));
}
TEST(FewRows, ColumnsOfABlock) { // 16 and 32 of them
  check(few({8, 1540, 36, {}, "NN"}));
  check(few({1, 3083, 37, {}, "NT", true}));
}
TEST(FewRows, Batches) {
  check(few({3, 20, 18, {3}, "NT"}));
  check(few({20, 12, 17, {2, 2, 3}, "TN", true}));
}
TEST(FewRows, Halves) {
  check(few({7, 64, 300, {}, "NN", false, Type::bf16, Type::bf16, Type::bf16}));
  check(few({1, 64, 48, {}, "NT", false, Type::bf16, Type::f32, Type::f32}));
  check(few({62, 62, 30, {}, "TN", true, Type::f16, Type::bf16, Type::f32}));
}
TEST(FewRows, StridedAndTransposed) {
  Shape s{40, 44, 24, {}};
  s.strided = true, s.transposedC = true, s.pad = 1;
  check(few(s));
}

// The emulator's mma is a chain in increasing k as well.
static Shape mma(Shape s) {
  s.more = "-DS_MMA";
  if (s.a == Type::f32)
    s.a = s.b = Type::bf16;
  return s;
}
TEST(TensorCores, Layouts) {
  for (const char *layout : {"NN", "NT", "TN", "TT"})
    check(mma({136, 144, 72, {}, layout}));
}
TEST(TensorCores, OneStep) { check(mma({128, 128, 32, {}})); }
TEST(TensorCores, Halves) {
  check(mma({64, 40, 200, {}, "NN", false, Type::f16, Type::f16, Type::f32}));
  check(mma({64, 40, 96, {}, "NT", false, Type::bf16, Type::bf16, Type::bf16}));
}
TEST(TensorCores, OddRowsAndColumns) {
  check(mma({131, 129, 40, {}, "NT"}));
  check(mma({16, 8, 16, {2, 3}, "NN", true}));
}
TEST(TensorCores, RaggedRows) { // no size is a multiple of 8, each row's place is
  for (const char *layout : {"NN", "NT", "TN", "TT"})
    check(mma({133, 133, 69, {}, layout, false, Type::bf16, Type::bf16, Type::f32,
               "r1::tile<64,64,16,4,4>", 3}));
}

static Shape mmaFew(Shape s) {
  s = mma(s);
  s.more = "-DS_MMA_FEW";
  return s;
}
TEST(TensorCores, FewRows) {
  for (const char *layout : {"NN", "NT"})
    for (int m : {1, 16, 24, 64})
      check(mmaFew({m, 72, 584, {}, layout}));
}
TEST(TensorCores, FewRowsOfManyColumns) { // 16 and 32 in a block
  check(mmaFew({8, 1544, 48, {}, "NN", true}));
  check(mmaFew({33, 3083, 200, {}, "NT"}));
  check(mmaFew({16, 3080, 160, {}, "NN"}));
}
TEST(TensorCores, FewRowsBatchesAndHalves) {
  check(mmaFew({20, 16, 16, {2, 3}, "NN", true}));
  check(mmaFew({5, 40, 96, {3}, "NT", false, Type::f16, Type::f16, Type::f32}));
  check(mmaFew({5, 33, 69, {}, "NT", false, Type::bf16, Type::bf16, Type::bf16, "r1::tile<64,64,16,4,4>", 3}));
}

// So is its wgmma; a tile that ends in the middle of a box is filled with zeros.
static Shape wgmma(Shape s) {
  s.more = "-DS_WGMMA";
  if (s.a == Type::f32)
    s.a = s.b = Type::bf16;
  return s;
}
TEST(Wgmma, OneTile) { check(wgmma({128, 128, 64, {}, "NT"})); }
TEST(Wgmma, Layouts) {
  for (const char *layout : {"NN", "NT", "TN", "TT"})
    check(wgmma({136, 144, 584, {}, layout}));
}
TEST(Wgmma, Halves) {
  check(wgmma({64, 72, 200, {}, "NN", false, Type::f16, Type::f16, Type::f32}));
  check(wgmma({200, 64, 96, {}, "NT", false, Type::bf16, Type::bf16, Type::bf16}));
}
TEST(Wgmma, Batches) {
  check(wgmma({136, 72, 72, {2, 3}, "NN", true}));
  check(wgmma({64, 64, 64, {2, 2, 3}, "TN"}));
}
TEST(Wgmma, RaggedRows) {
  for (const char *layout : {"NN", "NT", "TN", "TT"})
    check(wgmma({133, 133, 69, {}, layout, layout[0] == 'T', Type::bf16, Type::bf16, Type::f32,
                 "r1::tile<64,64,16,4,4>", 3}));
}
TEST(Wgmma, WideTilesTakeTurns) { // 2 x 72 tiles of 128 x 256
  for (const char *layout : {"NN", "TT"})
    check(wgmma({72 * 128 - 8, 504, 72, {}, layout}));
}
