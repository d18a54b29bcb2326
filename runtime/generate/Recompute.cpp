// Without a cache: all tokens of a row are computed for each of its answers.
#include "runtime/generate/Programs.h"
#include <algorithm>

namespace r1rt::generate {

namespace {

class Recompute final : public Decoder {
public:
  Recompute(Executor &e, const r1_program &p, int32_t filler) : Decoder(e, filler), prog(p) {}
  Status prepare(int64_t rows);
  bool caches() const override { return false; }

private:
  const r1_program &prog;
  const r1_field *id = nullptr, *pos = nullptr, *seg = nullptr, *last = nullptr, *out = nullptr, *lse = nullptr;
  int64_t R = 0; // rows of the program
  bool all_places = false;

  void put(const r1_field *f, int64_t i, int32_t v) const {
    if (f)
      reinterpret_cast<int32_t *>(exec.at(*f))[i] = v;
  }
  Status run() override;
};

Status Recompute::prepare(int64_t rows) {
  for (uint32_t i = 0; i < prog.n_inputs; ++i) {
    const r1_field &f = prog.inputs[i];
    std::string_view name = f.name;
    const r1_field **slot = name == "x.id"    ? &id
                            : name == "x.pos" ? &pos
                            : name == "x.seg" ? &seg
                            : name == "last"  ? &last
                                              : nullptr;
    if (!slot || f.dtype != R1_I32)
      return wrongField(prog, f);
    *slot = &f;
    if (slot == &last)
      continue;
    if (f.rank != 2 || (R && (f.dims[0] != R || f.dims[1] != most)))
      return wrongField(prog, f);
    R = f.dims[0];
    most = f.dims[1];
  }
  out = prog.n_outputs == 1 ? prog.outputs : findField(prog.outputs, prog.n_outputs, "logits");
  if (!id || R < 1 || most < 1 || !out || out->dtype != R1_F32 || out->rank < 2)
    return Status::error("the program `logits` does not take x.id i32[R, T] to logits f32[R, V]");
  if (last && fieldElements(*last) != uint64_t(R))
    return wrongField(prog, *last);
  V = out->dims[out->rank - 1];
  all_places = hasShape(*out, R1_F32, {R, most, V});
  if (!all_places && !hasShape(*out, R1_F32, {R, V}))
    return wrongField(prog, *out);
  lse = findField(prog.outputs, prog.n_outputs, "lse");
  if (lse && (lse->dtype != R1_F32 || int64_t(fieldElements(*lse)) != (all_places ? R * most : R)))
    return wrongField(prog, *lse);
  if (rows < 1)
    return Status::error("a decoder has at least one row, not " + std::to_string(rows));
  reserve(rows);
  return Status::ok();
}

Status Recompute::run() {
  std::vector<Row *> todo;
  for (Row &r : all)
    if (r.pending() && int64_t(todo.size()) < R)
      todo.push_back(&r);
  std::vector<int64_t> place(todo.size());
  for (int64_t b = 0; b < R; ++b) {
    bool used = b < int64_t(todo.size());
    int64_t n = used ? int64_t(todo[size_t(b)]->tokens.size()) : 0;
    // Without a choice of place only the last one is answered: the tokens stand at the end.
    int64_t from = !all_places && !last ? most - n : 0;
    for (int64_t i = 0; i < most; ++i) {
      bool in = i >= from && i < from + n;
      put(id, b * most + i, in ? todo[size_t(b)]->tokens[size_t(i - from)] : filler);
      put(pos, b * most + i, in ? int32_t(i - from) : 0);
      put(seg, b * most + i, in ? 0 : -1);
    }
    int64_t at = std::max<int64_t>(from + n - 1, 0);
    if (used)
      place[size_t(b)] = all_places ? b * most + at : b;
    put(last, b, int32_t(at));
  }
  R1RT_TRY(exec.run(prog));
  const float *logits = reinterpret_cast<const float *>(exec.at(*out));
  const float *sums = lse ? reinterpret_cast<const float *>(exec.at(*lse)) : nullptr;
  for (size_t b = 0; b < todo.size(); ++b)
    R1RT_TRY(answer(*todo[b], logits + place[b] * V, sums ? sums + place[b] : nullptr));
  return Status::ok();
}

} // namespace

Result<std::unique_ptr<Decoder>> createRecompute(Executor &e, const r1_program &logits, int64_t rows, int32_t filler) {
  auto d = std::make_unique<Recompute>(e, logits, filler);
  R1RT_TRY(d->prepare(rows));
  return std::unique_ptr<Decoder>(std::move(d));
}

} // namespace r1rt::generate
