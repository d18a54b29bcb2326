// With a cache: only tokens that are new to a row are computed, and a source once for all rows that begin with it.
#include "runtime/generate/Programs.h"
#include <algorithm>
#include <chrono>

namespace r1rt::generate {

namespace {

/// The fields of `decode` and `prefill`.
struct Fields {
  const r1_program *prog = nullptr;
  const r1_field *id = nullptr, *pos = nullptr, *seg = nullptr, *at = nullptr, *last = nullptr;
  const r1_field *logits = nullptr, *lse = nullptr;
  int64_t B = 0, N = 0;
  double seconds = 0; // of a run, lately; 0: never run

  static Result<Fields> of(const r1_program &p, bool hasLast);
};

Result<Fields> Fields::of(const r1_program &p, bool hasLast) {
  Fields f;
  f.prog = &p;
  f.id = findField(p.inputs, p.n_inputs, "x.id");
  if (!f.id || f.id->rank != 2)
    return Status::error("the program `" + std::string(p.name) + "` has no input x.id i32[B, N]");
  f.B = f.id->dims[0];
  f.N = f.id->dims[1];
  for (uint32_t i = 0; i < p.n_inputs; ++i) {
    const r1_field &x = p.inputs[i];
    std::string_view name = x.name;
    const r1_field **slot = name == "x.id"                ? &f.id
                            : name == "x.pos"             ? &f.pos
                            : name == "x.seg"             ? &f.seg
                            : name == "at"                ? &f.at
                            : name == "last" && hasLast   ? &f.last
                                                          : nullptr;
    bool tokens = name.starts_with("x.");
    if (!slot || !(tokens ? hasShape(x, R1_I32, {f.B, f.N}) : hasShape(x, R1_I32, {f.B})))
      return wrongField(p, x);
    *slot = &x;
  }
  f.logits = findField(p.outputs, p.n_outputs, "logits");
  f.lse = findField(p.outputs, p.n_outputs, "lse");
  if (!f.at || (hasLast && !f.last) || !f.logits || f.logits->rank != 2 || !f.lse)
    return Status::error("the program `" + std::string(p.name) + "` lacks one of at" + (hasLast ? ", last" : "") +
                         ", logits, lse");
  if (!hasShape(*f.logits, R1_F32, {f.B, f.logits->dims[1]}))
    return wrongField(p, *f.logits);
  if (!hasShape(*f.lse, R1_F32, {f.B}))
    return wrongField(p, *f.lse);
  return f;
}

/// The fields of `encode`; without that program no rows.
struct Sources {
  const r1_program *prog = nullptr;
  const r1_field *id = nullptr, *pos = nullptr, *seg = nullptr, *from = nullptr, *row = nullptr;
  int64_t E = 0, S = 0;

  static Result<Sources> of(const r1_program &p, int64_t rows);
};

Result<Sources> Sources::of(const r1_program &p, int64_t rows) {
  Sources f;
  f.prog = &p;
  f.id = findField(p.inputs, p.n_inputs, "source.id");
  if (!f.id || f.id->rank != 2 || f.id->dims[0] < 1 || f.id->dims[1] < 1)
    return Status::error("the program `" + std::string(p.name) + "` has no input source.id i32[E, S]");
  f.E = f.id->dims[0];
  f.S = f.id->dims[1];
  for (uint32_t i = 0; i < p.n_inputs; ++i) {
    const r1_field &x = p.inputs[i];
    std::string_view name = x.name;
    const r1_field **slot = name == "source.id"    ? &f.id
                            : name == "source.pos" ? &f.pos
                            : name == "source.seg" ? &f.seg
                            : name == "from"       ? &f.from
                            : name == "row"        ? &f.row
                                                   : nullptr;
    if (!slot || !(slot == &f.from || slot == &f.row ? hasShape(x, R1_I32, {rows}) : hasShape(x, R1_I32, {f.E, f.S})))
      return wrongField(p, x);
    *slot = &x;
  }
  if (!f.from || !f.row)
    return Status::error("the program `" + std::string(p.name) + "` lacks one of the inputs from, row i32[B]");
  return f;
}

class Cached final : public Decoder {
public:
  Cached(Executor &e, const Fields &decode, const Fields &prefill, const Sources &encode, int32_t filler)
      : Decoder(e, filler), decode(decode), prefill(prefill), encode(encode) {}
  Status prepare(int64_t slots);
  bool caches() const override { return true; }

private:
  Fields decode, prefill;
  Sources encode;

  void put(const r1_field *field, int64_t i, int32_t v) {
    if (field)
      reinterpret_cast<int32_t *>(exec.at(*field))[i] = v;
  }
  bool prefillPays() const;
  Status runEncode();
  Status run() override;
};

Status Cached::prepare(int64_t slots) {
  V = decode.logits->dims[1];
  if (decode.N != 1 || prefill.N < 1 || prefill.B != decode.B || prefill.logits->dims[1] != V)
    return Status::error("the programs `decode` and `prefill` do not belong together: x.id is " +
                         shapeText(*decode.id) + " and " + shapeText(*prefill.id));
  if (slots < 1)
    return Status::error("a cache has at least one slot, not " + std::to_string(slots));
  most = slots;
  mostSource = encode.S;
  reserve(decode.B);
  return Status::ok();
}

/// Prefill brings rows further in a run, but takes longer: all rows wait for it. The times are measured; the
/// results do not depend on the choice.
bool Cached::prefillPays() const {
  double more = 0, asked = 0;
  for (const Row &r : all) {
    asked += r.pending() > 0;
    more += double(std::min(r.pending(), size_t(prefill.N))) - double(r.pending() > 0);
  }
  double ratio = decode.seconds > 0 && prefill.seconds > 0 ? prefill.seconds / decode.seconds : double(prefill.N) / 4;
  return more > 0 && more >= (ratio - 1) * asked;
}

/// The sources of rows that wait for theirs, as many as go at once, also for other rows that will be written for them.
Status Cached::runEncode() {
  std::vector<const Row *> firsts;
  for (const Row &r : all)
    if (r.pending() && !r.encoded && int64_t(firsts.size()) < encode.E &&
        std::none_of(firsts.begin(), firsts.end(), [&](const Row *f) { return f->source == r.source; }))
      firsts.push_back(&r);
  for (int64_t e = 0; e < encode.E; ++e) {
    const size_t n = e < int64_t(firsts.size()) ? firsts[size_t(e)]->source.size() : 0;
    for (int64_t s = 0; s < encode.S; ++s) {
      const bool in = s < int64_t(n);
      put(encode.id, e * encode.S + s, in ? firsts[size_t(e)]->source[size_t(s)] : filler);
      put(encode.pos, e * encode.S + s, in ? int32_t(s) : 0);
      put(encode.seg, e * encode.S + s, in ? 0 : -1);
    }
  }
  std::vector<std::pair<int32_t, int32_t>> given; // source and row
  for (int64_t b = 0; b < rows(); ++b)
    for (size_t e = 0; e < firsts.size(); ++e)
      if (const Row &r = all[size_t(b)]; !r.encoded && r.source == firsts[e]->source)
        given.push_back({int32_t(e), int32_t(b)});
  for (int64_t j = 0; j < rows(); ++j) { // behind the last one the first again
    const auto [e, b] = given[j < int64_t(given.size()) ? size_t(j) : 0];
    put(encode.from, j, e);
    put(encode.row, j, b);
  }
  R1RT_TRY(exec.run(*encode.prog));
  for (auto [e, b] : given)
    all[size_t(b)].encoded = true;
  return Status::ok();
}

Status Cached::run() {
  if (encode.prog && std::any_of(all.begin(), all.end(), [](const Row &r) { return r.pending() && !r.encoded; }))
    return runEncode();
  Fields &f = prefillPays() ? prefill : decode;
  for (int64_t b = 0; b < f.B; ++b) {
    Row &r = all[size_t(b)];
    const int64_t n = std::min(int64_t(r.pending()), f.N);
    // A row that does not wait writes behind what it holds, or over the end of it.
    const int64_t at = n ? int64_t(r.computed) : std::min(int64_t(r.cached.size()), most - 1);
    r.cached.resize(size_t(at));
    put(f.at, b, int32_t(at));
    put(f.last, b, int32_t(std::max<int64_t>(n - 1, 0)));
    for (int64_t i = 0; i < f.N; ++i) {
      put(f.id, b * f.N + i, i < n ? r.tokens[size_t(at + i)] : filler);
      put(f.pos, b * f.N + i, i < n ? int32_t(at + i) : 0);
      put(f.seg, b * f.N + i, i < n ? 0 : -1);
    }
  }
  auto begin = std::chrono::steady_clock::now();
  R1RT_TRY(exec.run(*f.prog));
  double s = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  f.seconds = f.seconds > 0 ? 0.9 * f.seconds + 0.1 * s : s;
  const float *logits = reinterpret_cast<const float *>(exec.at(*f.logits));
  const float *sums = reinterpret_cast<const float *>(exec.at(*f.lse));
  for (int64_t b = 0; b < f.B; ++b) {
    Row &r = all[size_t(b)];
    size_t n = std::min(r.pending(), size_t(f.N));
    if (!n)
      continue;
    r.cached.insert(r.cached.end(), r.tokens.begin() + ptrdiff_t(r.computed),
                    r.tokens.begin() + ptrdiff_t(r.computed + n));
    r.computed += n;
    if (!r.pending())
      R1RT_TRY(answer(r, logits + b * V, sums + b));
  }
  return Status::ok();
}

} // namespace

Result<std::unique_ptr<Decoder>> createCached(Executor &e, const r1_program &decode, const r1_program &prefill,
                                              const r1_program *encode, int64_t slots, int32_t filler) {
  R1RT_ASSIGN(Fields d, Fields::of(decode, false));
  R1RT_ASSIGN(Fields p, Fields::of(prefill, true));
  Sources sources;
  if (encode) {
    R1RT_ASSIGN(sources, Sources::of(*encode, d.B));
  }
  auto c = std::make_unique<Cached>(e, d, p, sources, filler);
  R1RT_TRY(c->prepare(slots));
  return std::unique_ptr<Decoder>(std::move(c));
}

} // namespace r1rt::generate
