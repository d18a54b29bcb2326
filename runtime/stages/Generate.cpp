#include "runtime/stages/Sampler.h"
#include "runtime/stages/Signals.h"
#include "runtime/stages/Stages.h"
#include "runtime/stages/Weights.h"
#include "runtime/state/Philox.h"
#include "runtime/text/Utf8.h"
#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

namespace r1rt {

using nlohmann::json;

int32_t sampleToken(std::span<const float> logits, const SampleOptions &o, double u) {
  if (o.temperature <= 0)
    return int32_t(std::max_element(logits.begin(), logits.end()) - logits.begin());
  std::vector<int32_t> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  auto more = [&](int32_t a, int32_t b) {
    return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
  };
  size_t keep = o.topK > 0 ? std::min<size_t>(size_t(o.topK), ids.size()) : ids.size();
  std::partial_sort(ids.begin(), ids.begin() + keep, ids.end(), more);
  ids.resize(keep);
  std::vector<double> p(keep);
  double sum = 0;
  for (size_t i = 0; i < keep; ++i)
    sum += p[i] = std::exp((double(logits[ids[i]]) - double(logits[ids[0]])) / o.temperature);
  if (o.topP < 1) { // the fewest most likely ids that reach topP
    double reached = 0;
    size_t n = 0;
    while (n < keep && (n == 0 || reached < o.topP * sum))
      reached += p[n++];
    keep = n;
    sum = reached;
  }
  double target = u * sum, reached = 0;
  for (size_t i = 0; i + 1 < keep; ++i)
    if ((reached += p[i]) > target)
      return ids[i];
  return ids[keep - 1];
}

std::string Utf8Stream::push(std::string_view bytes) {
  pending += bytes;
  // A character may be cut at the end: keep up to three bytes that begin one.
  size_t whole = pending.size();
  for (size_t back = 1; back <= 3 && back <= pending.size(); ++back) {
    unsigned char c = static_cast<unsigned char>(pending[pending.size() - back]);
    if ((c & 0xC0) == 0x80)
      continue;
    size_t need = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : c >= 0xC0 ? 2 : 1;
    if (need > back)
      whole = pending.size() - back;
    break;
  }
  std::string out = clean(std::string_view(pending).substr(0, whole));
  pending.erase(0, whole);
  return out;
}

std::string Utf8Stream::finish() {
  std::string out = clean(pending);
  pending.clear();
  return out;
}

/// A model of bytes may produce what is not UTF-8: such bytes become U+FFFD.
std::string Utf8Stream::clean(std::string_view s) {
  std::string out;
  while (!s.empty()) {
    size_t bad = std::min(text::findBadUtf8(s), s.size());
    out += s.substr(0, bad);
    s.remove_prefix(bad);
    if (!s.empty()) {
      out += "\xEF\xBF\xBD";
      s.remove_prefix(1);
    }
  }
  return out;
}

namespace {

class Generation {
public:
  Generation(const GenerateJob &job, StageContext &ctx) : job(job), ctx(ctx) {}
  Result<json> run();

private:
  Status prepare();
  /// The logits after `context`, of which the last T tokens count.
  Result<std::span<const float>> logitsAfter(const std::vector<int32_t> &context);

  const GenerateJob &job;
  StageContext &ctx;
  TokenizerPtr tok;
  std::unique_ptr<Executor> exec;
  const r1_program *prog = nullptr;
  const r1_field *id = nullptr, *pos = nullptr, *seg = nullptr, *last = nullptr, *logits = nullptr;
  int64_t T = 0, V = 0;
};

Status Generation::prepare() {
  R1RT_ASSIGN(tok, openTokenizer(job.modelDir));
  R1RT_ASSIGN(exec, Executor::create(ctx.device, *job.module, ctx.accelerator));
  R1RT_ASSIGN([[maybe_unused]] uint32_t n,
              loadLeaves(*exec, job.modelDir + "/model.safetensors", "", /*all=*/true));
  R1RT_TRY(leavesWritten(*exec));
  prog = exec->program("logits");
  if (!prog)
    return Status::error("the compiled module has no program `logits`");
  for (uint32_t i = 0; i < prog->n_inputs; ++i) {
    const r1_field &f = prog->inputs[i];
    std::string_view name = f.name;
    const r1_field **slot = name == "x.id"    ? &id
                            : name == "x.pos" ? &pos
                            : name == "x.seg" ? &seg
                            : name == "last"  ? &last
                                              : nullptr;
    bool one = name == "last" && fieldElements(f) == 1;
    if (!slot || f.dtype != R1_I32 ||
        !(one || (f.rank == 2 && f.dims[0] == 1 && (!T || T == f.dims[1]))))
      return Status::error("the program `logits` has the input `" + std::string(name) +
                           "`, which generation cannot fill");
    *slot = &f;
    if (!one)
      T = f.dims[1];
  }
  logits =
      prog->n_outputs == 1 ? prog->outputs : findField(prog->outputs, prog->n_outputs, "logits");
  if (!id || T < 1 || !logits || logits->dtype != R1_F32 || logits->rank < 2)
    return Status::error("the program `logits` does not take x.id [1, T] to logits f32 [1, V]");
  V = logits->dims[logits->rank - 1];
  int64_t places = int64_t(fieldElements(*logits)) / std::max<int64_t>(V, 1);
  if (V < 1 || (places != 1 && places != T))
    return Status::error("the logits have neither the shape [1, V] nor [1, T, V]");
  if (id->bound > 0 && tok->vocab() > id->bound)
    return Status::error("the tokenizer has " + std::to_string(tok->vocab()) +
                         " ids, the model only " + std::to_string(id->bound));
  return Status::ok();
}

Result<std::span<const float>> Generation::logitsAfter(const std::vector<int32_t> &context) {
  int64_t n = std::min<int64_t>(T, int64_t(context.size()));
  bool perPlace = int64_t(fieldElements(*logits)) == T * V && T > 1;
  // Without a choice of place only the last one is answered: the text is moved to the end.
  int64_t from = !perPlace && !last ? T - n : 0;
  auto put = [&](const r1_field *f, int64_t i, int32_t v) {
    if (f)
      reinterpret_cast<int32_t *>(exec->at(*f))[i] = v;
  };
  for (int64_t i = 0; i < T; ++i) {
    bool in = i >= from && i < from + n;
    put(id, i, in ? context[context.size() - size_t(n) + size_t(i - from)] : tok->padding());
    put(pos, i, in ? int32_t(i - from) : 0);
    put(seg, i, in ? 0 : -1);
  }
  if (last)
    *reinterpret_cast<int32_t *>(exec->at(*last)) = int32_t(from + n - 1);
  R1RT_TRY(exec->run(*prog));
  auto *all = reinterpret_cast<const float *>(exec->at(*logits));
  return std::span<const float>(all + (perPlace ? (from + n - 1) * V : 0), size_t(V));
}

Result<json> Generation::run() {
  R1RT_TRY(prepare());
  const json &spec = job.spec;
  SampleOptions o;
  o.temperature = spec.value("temperature", 1.0);
  o.topK = spec.value("top_k", int64_t(0));
  o.topP = spec.value("top_p", 1.0);
  int64_t tokens = spec.value("tokens", int64_t(200));
  bool stopAtEnd = spec.value("stop_at_end", true);
  uint64_t key = drawKey(spec.value("seed", uint64_t(0)), "generate");
  if (!(o.temperature >= 0) || o.topK < 0 || !(o.topP > 0 && o.topP <= 1) || tokens < 0)
    return Status::error(
        "sampling needs temperature >= 0, top_k >= 0, 0 < top_p <= 1 and tokens >= 0",
        ExitClass::commandLine);
  if (size_t bad = text::findBadUtf8(job.prompt); bad != std::string::npos)
    return Status::error("the prompt is not UTF-8: byte " + std::to_string(bad),
                         ExitClass::commandLine);
  std::vector<int32_t> context;
  if (tok->endOfText() >= 0 || job.prompt.empty()) // as documents begin in training
    context.push_back(std::max(tok->endOfText(), 0));
  size_t before = context.size();
  tok->encode(job.prompt, context);
  if (size_t n = context.size() - before; int64_t(n) > T)
    ctx.report.warning(job.spec.value("stage", ""),
                       "the prompt has " + std::to_string(n) + " tokens and the model sees " +
                           std::to_string(T) + ": only the last " + std::to_string(T) + " are read");

  SignalGuard signals;
  Utf8Stream stream;
  std::string text;
  auto emit = [&](const std::string &piece) {
    text += piece;
    if (job.onText && !piece.empty())
      job.onText(piece);
  };
  int64_t made = 0;
  std::vector<float> choice;
  for (; made < tokens && !signals.stopAsked(); ++made) {
    R1RT_ASSIGN(std::span<const float> l, logitsAfter(context));
    choice.assign(l.begin(), l.begin() + std::min<int64_t>(V, tok->vocab()));
    if (tok->padding() != tok->endOfText() && tok->padding() < int32_t(choice.size()))
      choice[size_t(tok->padding())] = -INFINITY;
    for (float x : choice)
      if (std::isnan(x))
        return Status::error("the model's logits are not numbers");
    PhiloxBlock b = philox(key, uint64_t(made));
    int32_t next = sampleToken(choice, o, uniform01(b[0], b[1]));
    if (next == tok->endOfText() && stopAtEnd)
      break;
    context.push_back(next);
    emit(stream.push(tok->decode(std::span(&next, 1))));
  }
  emit(stream.finish());
  if (signals.stopAsked())
    return Status::error("interrupted", ExitClass::interrupted);
  return json{{"text", text}, {"tokens", made}};
}

} // namespace

Result<json> runGenerate(const GenerateJob &job, StageContext &ctx) {
  try {
    return Generation(job, ctx).run();
  } catch (const json::exception &e) {
    return Status::error(std::string("the description of the generation is not right: ") + e.what(),
                         ExitClass::program);
  }
}

} // namespace r1rt
