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
  /// Where the tokens of a text go, right of it padding: pos 0, seg -1, as data/Pack.h lays rows out.
  struct Text {
    const r1_field *id = nullptr, *pos = nullptr, *seg = nullptr;
    int64_t length = 0;
  } x, source;
  const r1_field *last = nullptr, *out = nullptr, *lse = nullptr;
  int64_t R = 0; // rows of the program
  bool all_places = false;

  void put(const r1_field *f, int64_t i, int32_t v) const {
    if (f)
      reinterpret_cast<int32_t *>(exec.at(*f))[i] = v;
  }
  /// `tokens` as row b, from the place `from` on.
  void put(const Text &text, int64_t b, std::span<const int32_t> tokens, int64_t from) const {
    for (int64_t i = 0; i < text.length; ++i) {
      const bool in = i >= from && i < from + int64_t(tokens.size());
      put(text.id, b * text.length + i, in ? tokens[size_t(i - from)] : filler);
      put(text.pos, b * text.length + i, in ? int32_t(i - from) : 0);
      put(text.seg, b * text.length + i, in ? 0 : -1);
    }
  }
  Status run() override;
};

Status Recompute::prepare(int64_t rows) {
  for (uint32_t i = 0; i < prog.n_inputs; ++i) {
    const r1_field &f = prog.inputs[i];
    std::string_view name = f.name;
    Text &text = name.starts_with("source.") ? source : x;
    const r1_field **slot = name == "x.id" || name == "source.id"     ? &text.id
                            : name == "x.pos" || name == "source.pos" ? &text.pos
                            : name == "x.seg" || name == "source.seg" ? &text.seg
                            : name == "last"                          ? &last
                                                                      : nullptr;
    if (!slot || f.dtype != R1_I32)
      return wrongField(prog, f);
    *slot = &f;
    if (slot == &last)
      continue;
    if (f.rank != 2 || f.dims[1] < 1 || (R && f.dims[0] != R) || (text.length && f.dims[1] != text.length))
      return wrongField(prog, f);
    R = f.dims[0];
    text.length = f.dims[1];
  }
  most = x.length;
  mostSource = source.length;
  out = prog.n_outputs == 1 ? prog.outputs : findField(prog.outputs, prog.n_outputs, "logits");
  if (!x.id || R < 1 || !out || out->dtype != R1_F32 || out->rank < 2)
    return Status::error("the program `logits` does not take x.id i32[R, T] to logits f32[R, V]");
  if (mostSource && !source.id)
    return Status::error("the program `logits` reads where the tokens of a source stand, but not the tokens: it has no "
                         "source.id i32[R, S]");
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
    put(x, b, used ? std::span<const int32_t>(todo[size_t(b)]->tokens) : std::span<const int32_t>(), from);
    put(source, b, used ? std::span<const int32_t>(todo[size_t(b)]->source) : std::span<const int32_t>(), 0);
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
