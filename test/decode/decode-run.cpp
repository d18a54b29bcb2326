// decode-run FILE.r1:STAGE: are the programs `decode` and `prefill` the forward pass, to the bit?
//
// Texts of random lengths, from random prompts, are sampled by `prefill` (in chunks of random sizes) and
// `decode`, several at once, each row taken over by another text as soon as it is free. Then the texts are
// packed at random places of rows of T beside others, and the logits of every position that was sampled
// must have the bits that `logits` computes there, and their log-probabilities those of `eval`.
//
// Texts of a model that writes for a source get random ones, which `encode` gives to their rows, alike ones together.
//
//   --set PATH=EXPR   --rows 1,3   --slots S   --chunk N   --team 1,2   --tokens N   --evals N   --seed N
//   --sources E: of one run of `encode`
//   --beams K: instead, random prompts of the runtime's beam search; all log-probabilities count as evals
//   --align N: texts begin at multiples of N, in caches and in packed rows
//   --target cpu|cuda-emu[:ARCH]|cuda   --cache DIR   --shift N: say to `decode` that slots are N further (then bits differ)
//   --forget N: every N-th row keeps the source of the text before (then bits differ)
//   --bench N: instead, the time of a token with `rows` texts at once, `slots` - 1 tokens long, the best of N,
//   and on the CPU what the threads read from memory meanwhile at best. The times of a GPU's kernels are of
//   launches one by one, that of a token is of one graph
#include "test/decode/Writer.h"
#include <bit>
#include <chrono>
#include <cstring>

namespace {

/// Rows of T as training packs them.
struct Packed {
  std::vector<int32_t> id, pos, seg;
  struct Part {
    const Text *text;
    int64_t at;
  };
  std::vector<Part> parts;
  Source source; // of the one text of a row, where texts have one

  /// Into row `b` of a program.
  void put(const Machine &m, const char *prog, int64_t b, std::mt19937_64 &random) const {
    for (auto [name, from] : {std::pair{"x.id", &id}, {"x.pos", &pos}, {"x.seg", &seg}})
      if (auto *to = m.input<int32_t>(prog, name))
        std::memcpy(to + b * int64_t(from->size()), from->data(), from->size() * 4);
    if (!source.ids.empty())
      layOut(m, prog, b, source, random);
  }
};

std::vector<Packed> pack(const std::vector<Text> &texts, int64_t T, int64_t vocab, std::mt19937_64 &random) {
  std::vector<Packed> out;
  int64_t used = T;
  int32_t segment = 0;
  auto fill = [&](Packed &p, const Text *text, int64_t n) {
    if (text) {
      p.parts.push_back({text, used});
      p.source = {text->source.ids, segment};
    }
    for (int64_t i = 0; i < n; ++i) {
      p.id.push_back(text ? text->ids[size_t(i)] : int32_t(random() % uint64_t(vocab)));
      p.pos.push_back(int32_t(i));
      p.seg.push_back(segment);
    }
    ++segment;
    used += n;
  };
  for (const Text &t : texts) {
    auto n = int64_t(t.ids.size());
    auto toPlace = [&] { return (align - used % align) % align; };
    if (int64_t gap = toPlace(); gap && used + gap + n <= T)
      fill(out.back(), nullptr, gap);
    if (used + n > T || toPlace() || !t.source.ids.empty()) {
      if (!out.empty() && used < T)
        fill(out.back(), nullptr, T - used);
      out.emplace_back();
      used = segment = 0;
    }
    if (int64_t room = T - used - n; room && random() % 2)
      if (int64_t before = (int64_t(random() % uint64_t(room)) + 1) / align * align)
        fill(out.back(), nullptr, before); // another one before it
    fill(out.back(), &t, n);
  }
  if (!out.empty())
    fill(out.back(), nullptr, T - used);
  return out;
}

struct Count {
  int64_t texts = 0, positions = 0, differ = 0, evals = 0, evalsDiffer = 0;
};

Count compare(const Machine &m, const std::vector<Text> &texts, std::mt19937_64 &random) {
  Count c;
  c.texts = int64_t(texts.size());
  const r1_field &idField = m.field("logits", "x.id"), &out = m.field("logits", "logits");
  int64_t T = idField.dims[1], V = out.dims[2];
  std::vector<Packed> rows = pack(texts, T, idField.bound, random);
  for (const Packed &p : rows) {
    p.put(m, "logits", 0, random);
    must(m.exec->run(m.program("logits")));
    const float *z = m.output("logits", "logits");
    for (auto &[text, at] : p.parts)
      for (size_t i = 0; i < text->ids.size(); ++i) {
        const Text::After &a = text->after[i];
        if (!a.known)
          continue;
        const float *row = z + (at + int64_t(i)) * V;
        ++c.positions;
        c.differ += bitsOf(row, V) != a.logits;
      }
    // The negative log-probability of one target, by the program that evaluates the training.
    const r1_field &batch = m.field("eval", "x.id");
    auto *mask = m.input<uint8_t>("eval", "mask");
    auto *want = m.input<int32_t>("eval", "target");
    auto evaluate = [&](int64_t at, int32_t target, float logprob) {
      int64_t b = int64_t(random() % uint64_t(batch.dims[0])), place = b * T + at;
      std::memset(mask, 0, size_t(batch.dims[0] * T));
      mask[place] = 1;
      want[place] = target;
      p.put(m, "eval", b, random);
      must(m.exec->run(m.program("eval")));
      ++c.evals;
      const float *nll = m.output("eval", "nll") + (m.field("eval", "nll").rank ? b : 0); // of rows, or of the batch
      c.evalsDiffer += std::bit_cast<uint32_t>(*nll) != std::bit_cast<uint32_t>(-logprob);
    };
    for (auto &[text, at] : p.parts) {
      for (size_t i = 0; i < text->ids.size() && c.evals < evals; ++i)
        if (const Text::After &a = text->after[i]; a.target >= 0)
          evaluate(at + int64_t(i), a.target, a.logprob);
      size_t i = random() % text->ids.size();
      if (!text->after[i].known || c.evals >= evals)
        continue;
      auto target = int32_t(random() % uint64_t(idField.bound));
      evaluate(at + int64_t(i), target, z[(at + int64_t(i)) * V + target] - text->after[i].lse);
    }
  }
  return c;
}

double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Bytes per second that the threads of `device` read from memory, the best of `tries`.
double readRate(r1rt::Device &device, int tries) {
  uint64_t bytes = uint64_t(1) << 30;
  r1rt::Arena arena = must(r1rt::Arena::create(bytes));
  std::memset(arena.data(), 1, bytes);
  struct Job {
    const char *data;
    uint64_t bytes;
    int threads;
    std::atomic<uint64_t> sum{0};
  } job{arena.data(), bytes, device.threads()};
  double best = 0;
  for (int i = 0; i < tries; ++i) {
    double begin = seconds();
    device.parallel(
        [](void *context, int tid) {
          auto &j = *static_cast<Job *>(context);
          uint64_t part = j.bytes / uint64_t(j.threads) / 64 * 64;
          auto *p = reinterpret_cast<const uint64_t *>(j.data + part * uint64_t(tid));
          uint64_t s[8] = {};
          for (uint64_t k = 0; k < part / 8; k += 8)
            for (int l = 0; l < 8; ++l)
              s[l] += p[k + uint64_t(l)];
          for (uint64_t x : s)
            j.sum += x;
        },
        &job);
    best = std::max(best, double(bytes) / (seconds() - begin));
  }
  return best;
}

void measure(Model &model, r1rt::Device &device, int64_t rows) {
  Machine m = model.compile({"decode", "prefill"}, rows, device);
  int64_t S = m.field("decode", "at").bound;
  double best = 1e9, rate = 0;
  uint64_t weights = 0;
  for (uint32_t i = 0; i < m.exec->module().n_leaves; ++i)
    weights += r1rt::fieldBytes(m.exec->module().leaves[i].param);
  auto run = [&](int64_t slot) {
    for (int64_t b = 0; b < rows; ++b) {
      m.input<int32_t>("decode", "x.id")[b] = int32_t(slot * 7 + b) % 50;
      m.input<int32_t>("decode", "x.pos")[b] = m.input<int32_t>("decode", "at")[b] = int32_t(slot);
      m.input<int32_t>("decode", "x.seg")[b] = 0;
    }
    must(m.exec->run(m.program("decode")));
  };
  for (int64_t slot = 0; slot < S; ++slot)
    run(slot); // fills the caches
  if (m.exec->program("encode")) {
    double encode = 1e9;
    for (int i = 0; i < bench; ++i) {
      double begin = seconds();
      must(m.exec->run(m.program("encode")));
      encode = std::min(encode, seconds() - begin);
    }
    const r1_field &f = m.field("encode", "source.id");
    std::printf("%lld sources of %lld places: %.2f ms\n", (long long)f.dims[0], (long long)f.dims[1], encode * 1e3);
  }
  const int64_t n = std::min<int64_t>(S, 8);
  for (int i = 0; i < bench; ++i) {
    if (!model.gpu)
      rate = std::max(rate, readRate(device, 1));
    double begin = seconds();
    for (int64_t slot = S - n; slot < S; ++slot)
      run(slot);
    best = std::min(best, (seconds() - begin) / double(n));
  }
  std::printf("rows %lld, %lld slots, %d threads: %.*f ms a token; f32 weights %.1f MB", (long long)rows, (long long)S,
              device.threads(), model.gpu ? 4 : 2, best * 1e3, double(weights) / 1e6);
  if (!model.gpu)
    std::printf("; memory read at %.2f GB/s", rate / 1e9);
  std::printf("\n");
  m.exec->startClocks();
  for (int64_t slot = S - n; slot < S; ++slot)
    run(slot);
  std::vector<std::pair<double, uint32_t>> order;
  for (uint32_t k = 0; k < m.exec->module().n_kernels; ++k)
    if (const auto &c = m.exec->kernelClocks()[k]; c.calls)
      order.push_back({c.seconds, k});
  std::sort(order.rbegin(), order.rend());
  double total = 0;
  for (auto &[s, k] : order)
    total += s;
  for (auto &[s, k] : order) {
    const r1_kernel &kernel = m.exec->module().kernels[k];
    const auto &c = m.exec->kernelClocks()[k];
    std::printf("  %5.1f %%  %6llu calls  %8.1f us  %7.2f GB/s  %s\n", s / total * 100, (unsigned long long)c.calls,
                s / double(c.calls) * 1e6, double(kernel.bytes) * double(c.calls) / s / 1e9, kernel.name);
  }
}

} // namespace

int main(int argc, char **argv) {
  cl::ParseCommandLineOptions(argc, argv);
  Model model(file);
  if (rowsList.empty())
    rowsList.push_back(1);
  if (teams.empty())
    teams.push_back(1);
  bool ok = true;
  for (int threads : teams) {
    auto device = must(r1rt::Device::createCpu(threads));
    if (bench) {
      for (int rows : rowsList)
        measure(model, *device, rows);
      continue;
    }
    Machine forward;
    for (int rows : rowsList) {
      std::mt19937_64 random(seed + uint64_t(rows));
      Machine m = model.compile({"decode", "prefill"}, rows, *device);
      if (!forward.exec)
        forward = model.compile({"logits", "eval"}, 1, *device);
      int64_t T = forward.field("logits", "x.id").dims[1];
      std::vector<Text> texts = beams ? search(m, tokens, random) : Writer(m, T, random).write(tokens);
      Count c = compare(forward, texts, random);
      std::printf("rows %d, threads %d: %lld texts, %lld positions, %lld differ; %lld targets, %lld differ\n",
                  rows, threads, (long long)c.texts, (long long)c.positions, (long long)c.differ,
                  (long long)c.evals, (long long)c.evalsDiffer);
      ok &= (beams || c.positions >= tokens) && !c.differ && !c.evalsDiffer && (c.evals > 0 || !evals);
    }
  }
  return ok ? 0 : 1;
}
