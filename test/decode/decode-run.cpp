// decode-run FILE.r1:STAGE: are the programs `decode` and `prefill` the forward pass, to the bit?
//
// Texts of random lengths, from random prompts, are sampled by `prefill` (in chunks of random sizes) and
// `decode`, several at once, each row taken over by another text as soon as it is free. Then the texts are
// packed at random places of rows of T beside others, and the logits of every position that was sampled
// must have the bits that `logits` computes there, and their log-probabilities those of `eval`.
//
//   --set PATH=EXPR   --rows 1,3   --slots S   --chunk N   --team 1,2   --tokens N   --evals N   --seed N
//   --align N: texts begin at multiples of N, in caches and in packed rows
//   --target cpu|cuda-emu   --cache DIR   --shift N: say to `decode` that slots are N further (then bits differ)
//   --bench N: instead, the time of a token with `rows` texts at once, `slots` - 1 tokens long, the best of N,
//   and what the threads read from memory meanwhile at best
#include "compiler/Compiler.h"
#include "compiler/eval/Eval.h"
#include "compiler/eval/Graph.h"
#include "runtime/device/Executor.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/xxhash.h"
#include <bit>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>
#include <random>

using namespace r1;
namespace cl = llvm::cl;

static cl::opt<std::string> file(cl::Positional, cl::Required, cl::desc("FILE.r1:STAGE"));
static cl::list<std::string> sets("set");
static cl::list<int> rowsList("rows", cl::CommaSeparated), teams("team", cl::CommaSeparated);
static cl::opt<int64_t> slots("slots", cl::init(0)), chunk("chunk", cl::init(64));
static cl::opt<int64_t> tokens("tokens", cl::init(1000)), evals("evals", cl::init(50));
static cl::opt<int> shift("shift", cl::init(0));
static cl::opt<int64_t> align("align", cl::init(1));
static cl::opt<uint64_t> seed("seed", cl::init(1));
static cl::opt<std::string> target("target", cl::init("cpu")), cache("cache");
static cl::opt<int> bench("bench", cl::init(0));

namespace {

[[noreturn]] void die(const std::string &why) {
  std::fprintf(stderr, "decode-run: %s\n", why.c_str());
  std::exit(1);
}

template <class T> T must(r1rt::Result<T> r) {
  if (!r.isOk())
    die(r.status().message());
  return std::move(*r);
}
void must(const r1rt::Status &s) {
  if (!s.isOk())
    die(s.message());
}

/// A compiled module with an executor on it, its weights drawn.
struct Machine {
  std::unique_ptr<CompiledStage> stage;
  std::unique_ptr<r1rt::Executor> exec;

  const r1_program &program(const char *name) const {
    const r1_program *p = exec->program(name);
    return p ? *p : (die(std::string("no program ") + name), *p);
  }
  template <class T> T *input(const char *prog, const char *name) const {
    const r1_program &p = program(prog);
    auto *f = r1rt::findField(p.inputs, p.n_inputs, name);
    return f ? reinterpret_cast<T *>(exec->at(*f)) : nullptr;
  }
  const r1_field &field(const char *prog, const char *name) const {
    const r1_program &p = program(prog);
    for (auto [list, n] : {std::pair{p.inputs, p.n_inputs}, std::pair{p.outputs, p.n_outputs}})
      if (auto *f = r1rt::findField(list, n, name))
        return *f;
    die(std::string(prog) + " has no field " + name);
  }
  const float *output(const char *prog, const char *name) const {
    return reinterpret_cast<const float *>(exec->at(field(prog, name)));
  }
};

struct Model {
  SourceManager sources;
  DiagEngine diags;
  std::unique_ptr<Program> program;
  std::unique_ptr<Analysis> analysis;
  std::unique_ptr<Elaboration> all;
  const Stage *stage = nullptr;

  explicit Model(const std::string &what) {
    size_t at = what.rfind(".r1:");
    if (at == std::string::npos)
      die("expected FILE.r1:STAGE, found " + what);
    LoadOptions load;
    load.stdlib = "stdlib";
    program = loadProgram(what.substr(0, at + 3), load, sources, diags);
    if (program && !diags.hasErrors()) {
      ElaborateOptions options;
      options.checkFiles = false;
      options.sets = {sets.begin(), sets.end()};
      analysis = std::make_unique<Analysis>(*program, sources, diags);
      analysis->check();
      std::string name = diags.hasErrors() ? "" : analysis->pipeline("");
      if (!name.empty())
        all = analysis->elaborate(name, options);
    }
    for (const Diag &d : diags.all())
      if (d.severity == Severity::Error)
        std::fputs(render(d, sources).c_str(), stderr);
    if (!all)
      std::exit(1);
    for (const Stage &s : all->stages)
      if (s.name == what.substr(at + 4))
        stage = &s;
    if (!stage)
      die("no stage " + what.substr(at + 4));
  }

  Machine compile(const std::vector<std::string> &entries, int64_t rows, r1rt::Device &device) {
    CompileOptions options;
    options.cacheDir = cache;
    options.target = target == "cuda-emu" ? TargetKind::cudaEmu : TargetKind::cpu;
    if (options.target == TargetKind::cudaEmu)
      options.arch = "sm_80";
    options.exact = true;
    options.decode = {rows, slots, chunk};
    CompileError error;
    Machine m;
    m.stage = compileStage(*all, *stage, entries, sources, options, error);
    if (!m.stage) {
      std::fputs(error.message.c_str(), stderr);
      std::exit(1);
    }
    m.exec = must(r1rt::Executor::create(device, *m.stage->module));
    draw(*m.exec);
    return m;
  }

  /// Weights large enough that texts differ.
  static void draw(r1rt::Executor &e) {
    std::mt19937_64 random(seed);
    for (uint32_t i = 0; i < e.module().n_leaves; ++i) {
      const r1_leaf &leaf = e.module().leaves[i];
      const r1_field &f = leaf.param;
      auto *x = reinterpret_cast<float *>(e.at(f));
      // Gains and biases; matrices, whose sums are long.
      float scale = f.rank == 1 ? 0.2f : 2.0f / std::sqrt(float(std::min(f.dims[0], f.dims[1])));
      for (uint64_t k = 0; k < r1rt::fieldElements(f); ++k)
        x[k] = (leaf.init.dist ? 0 : float(leaf.init.a)) + scale * (float(random() >> 40) / float(1 << 23) - 1);
    }
    if (const r1_program *refresh = e.program("refresh"))
      must(e.run(*refresh));
  }
};

/// One text: what was sampled, and the bits of the logits after some of its positions.
struct Text {
  struct After {
    bool known = false;
    uint64_t logits = 0;
    float lse = 0;
  };
  std::vector<int32_t> ids;
  std::vector<After> after;
};

uint64_t bitsOf(const float *logits, int64_t n) {
  return llvm::xxh3_64bits(llvm::ArrayRef(reinterpret_cast<const uint8_t *>(logits), size_t(n) * 4));
}

/// Rows of texts that are written with caches.
class Writer {
public:
  Writer(const Machine &m, int64_t longest, std::mt19937_64 &random) : m(m), random(random), longest(longest) {
    const r1_field &out = m.field("decode", "logits");
    B = out.dims[0], V = out.dims[1];
    S = m.field("decode", "at").bound;
    N = m.field("prefill", "x.id").dims[1];
    vocab = m.field("decode", "x.id").bound;
    rows.resize(size_t(B));
  }

  std::vector<Text> write(int64_t count) {
    while (made < count || std::any_of(rows.begin(), rows.end(), [](Row &r) { return !r.done(); })) {
      for (Row &r : rows)
        if (r.done())
          begin(r, made < count);
      // Often some rows read their prompts while others wait.
      bool prompts = std::any_of(rows.begin(), rows.end(), [](Row &r) { return !r.done() && r.reading(); });
      run(prompts && (random() % 4 || std::all_of(rows.begin(), rows.end(), [](Row &r) { return r.done() || r.reading(); })));
    }
    for (Row &r : rows)
      if (r.length)
        texts.push_back(std::move(r.text));
    return std::move(texts);
  }

private:
  struct Row {
    Text text;
    int64_t prompt = 0, length = 0, read = 0, first = 0; // `first`: slot of its position 0
    int32_t seg = 0;
    bool done() const { return read >= length; }
    bool reading() const { return read < prompt; }
  };

  int64_t upTo(int64_t n) { return int64_t(random() % uint64_t(n)) + 1; }

  void begin(Row &r, bool more) {
    int64_t used = r.first + r.length;
    if (r.length)
      texts.push_back(std::move(r.text));
    r.text = {}, r.prompt = r.length = r.read = 0;
    if (!more)
      return;
    // Behind the text before, as another segment, or from the first slot again.
    used = (used + align - 1) / align * align;
    bool behind = used && S - used >= 8 && random() % 3 == 0;
    r.first = behind ? used : 0;
    r.seg = behind ? r.seg + 1 : int32_t(random() % 3);
    r.length = upTo(std::min(longest, S - r.first));
    r.prompt = upTo(r.length);
    for (int64_t i = 0; i < r.prompt; ++i)
      r.text.ids.push_back(int32_t(random() % uint64_t(vocab)));
    r.text.after.resize(size_t(r.length));
  }

  void run(bool prefill) {
    const char *name = prefill ? "prefill" : "decode";
    int64_t width = prefill ? N : 1;
    auto *id = m.input<int32_t>(name, "x.id"), *pos = m.input<int32_t>(name, "x.pos");
    auto *seg = m.input<int32_t>(name, "x.seg"), *at = m.input<int32_t>(name, "at");
    auto *last = m.input<int32_t>(name, "last");
    std::vector<int64_t> n(rows.size());
    for (size_t b = 0; b < rows.size(); ++b) {
      Row &r = rows[b];
      bool takesPart = !r.done() && (r.reading() ? prefill || random() % 2 : !prefill);
      n[b] = takesPart ? r.reading() ? std::min(upTo(width), r.prompt - r.read) : 1 : 0;
      at[b] = int32_t(std::min(r.first + r.read + (prefill ? 0 : shift), S - 1));
      for (int64_t i = 0; i < width; ++i) {
        bool live = i < n[b];
        // What a row does not use holds anything.
        id[b * width + i] = live ? r.text.ids[size_t(r.read + i)] : int32_t(random() % uint64_t(vocab));
        pos[b * width + i] = live ? int32_t(r.read + i) : 0;
        seg[b * width + i] = live ? r.seg : -1;
      }
      if (last)
        last[b] = int32_t(std::max<int64_t>(n[b] - 1, 0));
    }
    must(m.exec->run(m.program(name)));
    const float *logits = m.output(name, "logits"), *lse = m.output(name, "lse");
    for (size_t b = 0; b < rows.size(); ++b) {
      Row &r = rows[b];
      if (!n[b])
        continue;
      r.read += n[b];
      const float *z = logits + int64_t(b) * V;
      r.text.after[size_t(r.read - 1)] = {true, bitsOf(z, V), lse[b]};
      ++made;
      if (r.read >= r.prompt && r.read < r.length)
        r.text.ids.push_back(sample(z, lse[b]));
    }
  }

  int32_t sample(const float *z, float lse) {
    double u = double(random() >> 11) / double(1ull << 53);
    for (int64_t v = 0; v < std::min(V, vocab); ++v)
      if ((u -= std::exp(double(z[v]) - lse)) < 0)
        return int32_t(v);
    return 0;
  }

  const Machine &m;
  std::mt19937_64 &random;
  int64_t longest, B, V, S, N, vocab, made = 0;
  std::vector<Row> rows;
  std::vector<Text> texts;
};

/// Rows of T as training packs them.
struct Packed {
  std::vector<int32_t> id, pos, seg;
  struct Part {
    const Text *text;
    int64_t at;
  };
  std::vector<Part> parts;
};

std::vector<Packed> pack(const std::vector<Text> &texts, int64_t T, int64_t vocab, std::mt19937_64 &random) {
  std::vector<Packed> out;
  int64_t used = T;
  int32_t segment = 0;
  auto fill = [&](Packed &p, const Text *text, int64_t n) {
    if (text)
      p.parts.push_back({text, used});
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
    if (used + n > T || toPlace()) {
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
    std::memcpy(m.input<int32_t>("logits", "x.id"), p.id.data(), size_t(T) * 4);
    if (auto *pos = m.input<int32_t>("logits", "x.pos"))
      std::memcpy(pos, p.pos.data(), size_t(T) * 4);
    if (auto *seg = m.input<int32_t>("logits", "x.seg"))
      std::memcpy(seg, p.seg.data(), size_t(T) * 4);
    must(m.exec->run(m.program("logits")));
    const float *z = m.output("logits", "logits");
    bool evaluate = c.evals < evals;
    for (auto &[text, at] : p.parts)
      for (size_t i = 0; i < text->ids.size(); ++i) {
        const Text::After &a = text->after[i];
        if (!a.known)
          continue;
        const float *row = z + (at + int64_t(i)) * V;
        ++c.positions;
        c.differ += bitsOf(row, V) != a.logits;
      }
    if (!evaluate)
      continue;
    // The negative log-probability of one target, by the program that evaluates the training.
    const r1_field &batch = m.field("eval", "x.id");
    auto *mask = m.input<uint8_t>("eval", "mask");
    auto *want = m.input<int32_t>("eval", "target");
    for (auto &[text, at] : p.parts) {
      size_t i = random() % text->ids.size();
      if (!text->after[i].known)
        continue;
      int64_t b = int64_t(random() % uint64_t(batch.dims[0])), place = b * T + at + int64_t(i);
      std::memset(mask, 0, size_t(batch.dims[0] * T));
      mask[place] = 1;
      want[place] = int32_t(random() % uint64_t(idField.bound));
      std::memcpy(m.input<int32_t>("eval", "x.id") + b * T, p.id.data(), size_t(T) * 4);
      std::memcpy(m.input<int32_t>("eval", "x.pos") + b * T, p.pos.data(), size_t(T) * 4);
      std::memcpy(m.input<int32_t>("eval", "x.seg") + b * T, p.seg.data(), size_t(T) * 4);
      float logit = z[(at + int64_t(i)) * V + want[place]];
      must(m.exec->run(m.program("eval")));
      float nll = *m.output("eval", "nll"), expected = -(logit - text->after[i].lse);
      ++c.evals;
      c.evalsDiffer += std::bit_cast<uint32_t>(nll) != std::bit_cast<uint32_t>(expected);
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
  m.exec->startClocks();
  for (int i = 0; i < bench; ++i) {
    rate = std::max(rate, readRate(device, 1));
    double begin = seconds();
    int64_t n = std::min<int64_t>(S, 8);
    for (int64_t slot = S - n; slot < S; ++slot)
      run(slot);
    best = std::min(best, (seconds() - begin) / double(n));
  }
  std::printf("rows %lld, %lld slots, %d threads: %.2f ms a token; f32 weights %.1f MB; memory read at %.2f GB/s\n",
              (long long)rows, (long long)S, device.threads(), best * 1e3, double(weights) / 1e6, rate / 1e9);
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
      std::vector<Text> texts = Writer(m, T, random).write(tokens);
      Count c = compare(forward, texts, random);
      std::printf("rows %d, threads %d: %lld texts, %lld positions, %lld differ; %lld targets, %lld differ\n",
                  rows, threads, (long long)c.texts, (long long)c.positions, (long long)c.differ,
                  (long long)c.evals, (long long)c.evalsDiffer);
      ok &= c.positions >= tokens && !c.differ && !c.evalsDiffer && (c.evals > 0 || !evals);
    }
  }
  return ok ? 0 : 1;
}
