// Texts that are written with caches: by random use of the programs, or by the runtime's beam search.
#pragma once
#include "runtime/data/Tokenizer.h"
#include "runtime/generate/Generator.h"
#include "test/decode/Machine.h"
#include "llvm/Support/xxhash.h"
#include <algorithm>

namespace {

/// What a text is written for: its tokens, and the number that marks them as its own. None where models have no source.
struct Source {
  std::vector<int32_t> ids;
  int32_t seg = 0;
};

/// Row `row` of a program with rows of sources; on the right padding.
void layOut(const Machine &m, const char *prog, int64_t row, const Source &source, std::mt19937_64 &random) {
  const r1_field &f = m.field(prog, "source.id");
  auto *id = m.input<int32_t>(prog, "source.id"), *pos = m.input<int32_t>(prog, "source.pos"),
       *seg = m.input<int32_t>(prog, "source.seg");
  for (int64_t s = 0; s < f.dims[1]; ++s) {
    const bool in = s < int64_t(source.ids.size());
    id[row * f.dims[1] + s] = in ? source.ids[size_t(s)] : int32_t(random() % uint64_t(f.bound));
    if (pos)
      pos[row * f.dims[1] + s] = in ? int32_t(s) : 0;
    if (seg)
      seg[row * f.dims[1] + s] = in ? source.seg : -1;
  }
}

/// One text: what was sampled, and what is known after some of its positions: the bits of all logits, and of the
/// log-probability of one token.
struct Text {
  struct After {
    bool known = false;
    uint64_t logits = 0;
    float lse = 0;
    int32_t target = -1;
    float logprob = 0;
  };
  Source source;
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
    if (m.exec->program("encode"))
      E = m.field("encode", "source.id").dims[0], longestSource = m.field("encode", "source.id").dims[1];
    rows.resize(size_t(B));
  }

  std::vector<Text> write(int64_t count) {
    while (made < count || std::any_of(rows.begin(), rows.end(), [](Row &r) { return !r.done(); })) {
      for (Row &r : rows)
        if (r.done())
          begin(r, made < count);
      // Others go on while a row waits for its source.
      auto waits = [](Row &r) { return !r.done() && !r.encoded; };
      if (std::any_of(rows.begin(), rows.end(), waits) &&
          (random() % 2 || std::all_of(rows.begin(), rows.end(), [&](Row &r) { return r.done() || waits(r); }))) {
        encode();
        continue;
      }
      // Often some rows read their prompts while others wait.
      bool prompts = std::any_of(rows.begin(), rows.end(), [](Row &r) { return r.ready() && r.reading(); });
      run(prompts && (random() % 4 || std::all_of(rows.begin(), rows.end(), [](Row &r) { return !r.ready() || r.reading(); })));
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
    int32_t seg = 0, highest = 0; // of the segments in its slots
    bool encoded = false; // is its source there?
    bool done() const { return read >= length; }
    bool ready() const { return !done() && encoded; }
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
    r.seg = behind ? r.highest + 1 : int32_t(random() % 3); // slots between them may hold any of the row's
    r.encoded = !E;
    if (E) {
      for (int64_t n = upTo(longestSource); n > 0; --n)
        r.text.source.ids.push_back(int32_t(random() % uint64_t(vocab)));
      r.text.source.seg = r.seg;
      // Often the source of another row, as beams have one.
      if (const Row &other = rows[random() % rows.size()]; !behind && &other != &r && other.length && random() % 2)
        r.text.source = other.text.source, r.seg = other.seg;
    }
    r.highest = std::max(r.highest, r.seg);
    r.length = upTo(std::min(longest, S - r.first));
    r.prompt = upTo(r.length);
    for (int64_t i = 0; i < r.prompt; ++i)
      r.text.ids.push_back(int32_t(random() % uint64_t(vocab)));
    r.text.after.resize(size_t(r.length));
  }

  /// Some of the sources that rows wait for, each once for all rows that have it.
  void encode() {
    std::vector<const Source *> given;
    auto numberOf = [&](const Row &r) {
      return std::find_if(given.begin(), given.end(), [&](const Source *s) {
               return s->ids == r.text.source.ids && s->seg == r.text.source.seg;
             }) - given.begin();
    };
    auto *from = m.input<int32_t>("encode", "from"), *row = m.input<int32_t>("encode", "row");
    const size_t shuffled = random();
    for (size_t i = 0; i < rows.size(); ++i) {
      Row &r = rows[(i + shuffled) % rows.size()];
      if (!r.done() && !r.encoded && int64_t(given.size()) < E && numberOf(r) == int64_t(given.size()))
        given.push_back(&r.text.source);
    }
    for (int64_t e = 0; e < E; ++e)
      layOut(m, "encode", e, e < int64_t(given.size()) ? *given[size_t(e)] : Source(), random);
    std::vector<std::pair<int64_t, size_t>> pairs;
    for (size_t b = 0; b < rows.size(); ++b) {
      Row &r = rows[b];
      const int64_t e = numberOf(r);
      if (r.done() || r.encoded || e == int64_t(given.size()))
        continue;
      r.encoded = true;
      if (!forget || ++encodings % forget)
        pairs.push_back({e, b});
    }
    if (pairs.empty())
      return; // all were to be forgotten
    for (size_t j = 0; j < rows.size(); ++j) { // some again, in any order
      auto [e, b] = pairs[j < pairs.size() ? j : random() % pairs.size()];
      from[j] = int32_t(e), row[j] = int32_t(b);
    }
    must(m.exec->run(m.program("encode")));
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
      bool takesPart = r.ready() && (r.reading() ? prefill || random() % 2 : !prefill);
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
  int64_t E = 0, longestSource = 0, encodings = 0;
  std::vector<Row> rows;
  std::vector<Text> texts;
};

/// The same by the runtime's beam search: texts with the log-probabilities of their tokens.
std::vector<Text> search(const Machine &m, int64_t count, std::mt19937_64 &random) {
  using namespace r1rt::generate;
  r1rt::TokenizerPtr tok = r1rt::bytesTokenizer();
  const int64_t most = m.field("decode", "at").bound, vocab = m.field("decode", "x.id").bound;
  auto decoder = must(Decoder::create(*m.exec, {m.field("decode", "at").dims[0], most, tok->padding()}));
  std::vector<Text> texts;
  std::vector<Text> asked; // by the number of the prompt
  int64_t made = 0;
  GenerateOptions options;
  options.beams = options.best = beams;
  options.maxNew = std::max<int64_t>(most / 2, 1);
  auto generator = must(Generator::create(*decoder, *tok, options));
  auto some = [&](int64_t n) {
    std::vector<int32_t> ids;
    for (n = int64_t(random() % uint64_t(n)) + 1; n > 0; --n)
      ids.push_back(int32_t(random() % uint64_t(vocab)));
    return ids;
  };
  must(generator.run(
      [&](Prompt &p, bool) -> r1rt::Result<Next> {
        if (made >= count)
          return Next::end;
        p = {};
        p.number = asked.size();
        p.tokens = some(most - options.maxNew);
        if (decoder->sourceContext())
          p.source = some(decoder->sourceContext());
        asked.push_back({{p.source, 0}, p.tokens, {}});
        return Next::prompt;
      },
      [&](uint64_t number, std::vector<Output> &&outputs) {
        for (const Output &out : outputs) {
          Text t = asked[number];
          t.after.resize(t.ids.size() + out.tokens.size() - 1);
          for (size_t i = 0; i < out.tokens.size(); ++i) {
            t.after[t.ids.size() - 1].target = out.tokens[i];
            t.after[t.ids.size() - 1].logprob = out.logprobs[i];
            if (i + 1 < out.tokens.size())
              t.ids.push_back(out.tokens[i]);
          }
          made += int64_t(out.tokens.size());
          texts.push_back(std::move(t));
        }
        return r1rt::Status::ok();
      }));
  return texts;
}

} // namespace
