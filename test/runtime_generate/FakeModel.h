//===- FakeModel.h - a model of hand-written kernels, with and without a cache -----===//
//
// The logits after a row's tokens are a hash of all of them with their positions, so that one token that is
// missed, repeated or taken from another row shows in every bit. Programs: `logits` [R, T]; `decode` and
// `prefill`, whose cache holds what each slot was given; `encode`, whose cache holds each row's source.
//
//===----------------------------------------------------------------------===//
#ifndef R1_TEST_GENERATE_FAKEMODEL_H
#define R1_TEST_GENERATE_FAKEMODEL_H
#include "runtime/r1rt.h"
#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

namespace fake {

constexpr int V = 258;

inline uint64_t mixed(uint64_t h, uint64_t x) {
  h = (h ^ x) * 0x9E3779B97F4A7C15ull;
  return h ^ (h >> 29);
}

/// Logits and lse after tokens whose hash is `h`.
inline void answer(uint64_t h, float *logits, float *lse) {
  float top = -INFINITY, sum = 0;
  for (int v = 0; v < V; ++v) {
    logits[v] = float(mixed(h, uint64_t(v) + 7) % 4096) / 512.f;
    top = std::max(top, logits[v]);
  }
  for (int v = 0; v < V; ++v)
    sum += std::exp(logits[v] - top);
  *lse = top + std::log(sum);
}

inline uint64_t hashOf(const std::vector<int32_t> &tokens, uint64_t h = 1) {
  for (size_t i = 0; i < tokens.size(); ++i)
    h = mixed(mixed(h, uint64_t(tokens[i])), i);
  return h;
}

struct Dims {
  int32_t B, N, S;
  int32_t places = 0; // of a source; 0: rows have none
};

/// What answers begin with where rows have a source: id, pos and seg of its places, with the padding, so that it has to be
/// as training lays it out.
inline uint64_t hashOfSource(const int32_t *const x[3], int first, int places) {
  uint64_t h = 1;
  for (int i = first; i < first + places; ++i)
    for (int k : {0, 1, 2})
      h = mixed(h, uint64_t(x[k][i]));
  return h;
}

/// The same of tokens.
inline uint64_t hashOfSource(const std::vector<int32_t> &tokens, int places) {
  std::vector<int32_t> id(size_t(places), 257), pos(size_t(places), 0), seg(size_t(places), -1);
  for (size_t i = 0; i < tokens.size(); ++i)
    id[i] = tokens[i], pos[i] = int32_t(i), seg[i] = 0;
  const int32_t *x[] = {id.data(), pos.data(), seg.data()};
  return hashOfSource(x, 0, places);
}

// args: dims id pos seg at last cache logits lse, and of rows with a source its hashes; of decode `last` is a zero for
// each row
inline void cached(void *const *a, void *, int64_t tid, int64_t) {
  if (tid != 0)
    return;
  Dims d = *static_cast<Dims *>(a[0]);
  auto *id = static_cast<int32_t *>(a[1]), *pos = static_cast<int32_t *>(a[2]), *at = static_cast<int32_t *>(a[4]),
       *last = static_cast<int32_t *>(a[5]), *cache = static_cast<int32_t *>(a[6]);
  auto *logits = static_cast<float *>(a[7]), *lse = static_cast<float *>(a[8]);
  for (int b = 0; b < d.B; ++b) {
    if (at[b] < 0 || at[b] + d.N > d.S)
      abort(); // the host promised room
    for (int i = 0; i < d.N; ++i) {
      int32_t *slot = cache + 2 * (b * d.S + at[b] + i);
      slot[0] = id[b * d.N + i], slot[1] = pos[b * d.N + i];
    }
    uint64_t h = d.places ? static_cast<uint64_t *>(a[9])[b] : 1;
    for (int s = 0; s <= at[b] + last[b]; ++s)
      h = mixed(mixed(h, uint64_t(cache[2 * (b * d.S + s)])), uint64_t(cache[2 * (b * d.S + s) + 1]));
    answer(h, logits + b * V, lse + b);
  }
}

inline int encoded = 0; // sources, since a test has set it to 0
inline int encodings = 0; // runs of `encode`

// args: dims id pos seg from row hashes; B is the number of rows, N that of sources
inline void encode(void *const *a, void *, int64_t tid, int64_t) {
  if (tid != 0)
    return;
  Dims d = *static_cast<Dims *>(a[0]);
  auto *x = reinterpret_cast<int32_t *const *>(a + 1);
  auto *from = static_cast<int32_t *>(a[4]), *row = static_cast<int32_t *>(a[5]);
  ++encodings;
  for (int e = 0; e < d.N; ++e)
    encoded += std::count(from, from + d.B, e) > 0;
  for (int j = 0; j < d.B; ++j) {
    if (from[j] < 0 || from[j] >= d.N || row[j] < 0 || row[j] >= d.B)
      abort();
    static_cast<uint64_t *>(a[6])[row[j]] = hashOfSource(x, from[j] * d.places, d.places);
  }
}

// args: dims id pos seg last logits lse
inline void recomputed(void *const *a, void *, int64_t tid, int64_t) {
  if (tid != 0)
    return;
  Dims d = *static_cast<Dims *>(a[0]);
  auto *id = static_cast<int32_t *>(a[1]), *pos = static_cast<int32_t *>(a[2]), *seg = static_cast<int32_t *>(a[3]);
  for (int b = 0; b < d.B; ++b) {
    uint64_t h = 1;
    for (int i = 0; i < d.S; ++i)
      if (seg[b * d.S + i] == 0)
        h = mixed(mixed(h, uint64_t(id[b * d.S + i])), uint64_t(pos[b * d.S + i]));
    answer(h, static_cast<float *>(a[5]) + b * V, static_cast<float *>(a[6]) + b);
  }
}

// args: dims id pos seg last source.id source.pos source.seg logits lse; N is the source's length. The padding of the
// target counts, too.
inline void translated(void *const *a, void *, int64_t tid, int64_t) {
  if (tid != 0)
    return;
  Dims d = *static_cast<Dims *>(a[0]);
  auto *x = reinterpret_cast<int32_t *const *>(a + 1), *source = reinterpret_cast<int32_t *const *>(a + 5);
  for (int b = 0; b < d.B; ++b) {
    uint64_t h = hashOfSource(source, b * d.N, d.N);
    for (int i = b * d.S; i < (b + 1) * d.S; ++i)
      for (int k : {0, 1, 2})
        h = mixed(h, uint64_t(x[k][i]));
    answer(h, static_cast<float *>(a[8]) + b * V, static_cast<float *>(a[9]) + b);
  }
}

/// Programs that stand side by side in one module.
class Model {
public:
  Model() = default;
  Model(const Model &) = delete;

  void addLogits(int R, int T) {
    Program &p = program("logits", recomputed, {R, T, T});
    input(p, "x.id", {R, T}), input(p, "x.pos", {R, T}), input(p, "x.seg", {R, T}), input(p, "last", {R});
    outputs(p, R);
  }
  /// The same for sources of S tokens.
  void addTranslation(int R, int T, int S) {
    Program &p = program("logits", translated, {R, S, T});
    input(p, "x.id", {R, T}), input(p, "x.pos", {R, T}), input(p, "x.seg", {R, T}), input(p, "last", {R});
    input(p, "source.id", {R, S}), input(p, "source.pos", {R, S}), input(p, "source.seg", {R, S});
    outputs(p, R);
  }
  /// With room for `context` tokens in each row; `sources` of as many `places` are encoded at once.
  void addCached(int B, int N, int context, int sources = 0, int places = 0) {
    int S = context + N - 1;
    uint64_t hashes = region(uint64_t(8 * B));
    if (sources) {
      Program &p = program("encode", encode, {B, sources, 0, places});
      input(p, "source.id", {sources, places}), input(p, "source.pos", {sources, places});
      input(p, "source.seg", {sources, places}), input(p, "from", {B}), input(p, "row", {B});
      p.args.push_back({hashes, 0, 0});
    }
    uint64_t cache = region(uint64_t(8 * B * S)), zeros = region(uint64_t(4 * B));
    for (bool decode : {true, false}) {
      int n = decode ? 1 : N;
      Program &p = program(decode ? "decode" : "prefill", cached, {B, n, S, places});
      input(p, "x.id", {B, n}), input(p, "x.pos", {B, n}), input(p, "x.seg", {B, n}), input(p, "at", {B});
      if (decode)
        p.args.push_back({zeros, 0, 0});
      else
        input(p, "last", {B});
      p.args.push_back({cache, 0, 0});
      outputs(p, B);
      p.args.push_back({hashes, 0, 0});
    }
  }

  const r1_module &module() {
    for (Program &p : programs) {
      p.op = {R1_OP_LAUNCH, uint32_t(&p - programs.data()), 0, uint32_t(p.args.size()), 0, 0};
      kernels.push_back({p.name.c_str(), p.kernel, 0, nullptr, nullptr, 0, 0, 0, 0, nullptr, 0, nullptr, 0, 0, nullptr});
      out.push_back({p.name.c_str(), &p.op, 1, p.args.data(), uint32_t(p.args.size()), p.in.data(),
                     uint32_t(p.in.size()), nullptr, 0, p.out.data(), uint32_t(p.out.size()), nullptr, 0, 0, 0});
      constants.push_back({p.dimsAt, sizeof(Dims), &p.dims});
    }
    m.arena_bytes = top;
    m.kernels = kernels.data(), m.n_kernels = uint32_t(kernels.size());
    m.programs = out.data(), m.n_programs = uint32_t(out.size());
    m.constants = constants.data(), m.n_constants = uint32_t(constants.size());
    return m;
  }

private:
  struct Program {
    std::string name;
    r1_kernel_fn kernel;
    Dims dims;
    uint64_t dimsAt;
    r1_op op;
    std::vector<r1_arg> args;
    std::vector<r1_field> in, out;
  };
  std::vector<Program> programs;
  std::vector<r1_kernel> kernels;
  std::vector<r1_program> out;
  std::vector<r1_constant> constants;
  r1_module m{};
  uint64_t top = 0;

  uint64_t region(uint64_t bytes) {
    uint64_t at = top;
    top += (bytes + 63) / 64 * 64;
    return at;
  }
  Program &program(const std::string &name, r1_kernel_fn kernel, Dims dims) {
    programs.reserve(8); // references stay
    programs.push_back({name, kernel, dims, region(sizeof(Dims)), {}, {}, {}, {}});
    programs.back().args.push_back({programs.back().dimsAt, 0, 0});
    return programs.back();
  }
  r1_field field(const char *name, r1_dtype t, std::vector<int> dims) {
    r1_field f{name, t, uint32_t(dims.size()), {}, 0, 0};
    uint64_t n = 4;
    for (size_t i = 0; i < dims.size(); ++i)
      f.dims[i] = dims[i], n *= uint64_t(dims[i]);
    f.offset = region(n);
    return f;
  }
  void input(Program &p, const char *name, std::vector<int> dims) {
    p.in.push_back(field(name, R1_I32, std::move(dims)));
    p.args.push_back({p.in.back().offset, 0, 0});
  }
  void outputs(Program &p, int rows) {
    p.out = {field("logits", R1_F32, {rows, V}), field("lse", R1_F32, {rows})};
    for (auto &f : p.out)
      p.args.push_back({f.offset, 0, 0});
  }
};

} // namespace fake
#endif
