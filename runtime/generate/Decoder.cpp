#include "runtime/generate/Decoder.h"
#include "runtime/generate/Programs.h"
#include <algorithm>
#include <cmath>

namespace r1rt::generate {

Result<std::unique_ptr<Decoder>> Decoder::create(Executor &e, const Options &o) {
  const r1_program *decode = e.program("decode"), *prefill = e.program("prefill");
  if (decode && prefill)
    return createCached(e, *decode, *prefill, e.program("encode"), o.slots, o.filler);
  if (const r1_program *logits = e.program("logits"))
    return createRecompute(e, *logits, o.rows, o.filler);
  return Status::error("the compiled module has no programs `decode` and `prefill`, and no program `logits`");
}

void Decoder::reserve(int64_t rows) {
  all.resize(size_t(rows));
  answers.resize(size_t(rows * V));
  sums.resize(size_t(rows));
}

int64_t Decoder::shared(int64_t row, std::span<const int32_t> tokens, std::span<const int32_t> source) const {
  const Row &r = all[size_t(row)];
  if (!std::equal(source.begin(), source.end(), r.source.begin(), r.source.end()))
    return 0;
  const std::vector<int32_t> &had = r.cached;
  return std::mismatch(had.begin(), had.end(), tokens.begin(), tokens.end()).first - had.begin();
}

Status Decoder::begin(int64_t row, std::span<const int32_t> tokens, std::span<const int32_t> source) {
  R1RT_TRY(setSource(row, source));
  return hold(row, tokens);
}

Status Decoder::setSource(int64_t row, std::span<const int32_t> source) {
  if (row < 0 || row >= rows())
    return Status::error("a decoder of " + std::to_string(rows()) + " rows has no row " + std::to_string(row));
  if (int64_t n = int64_t(source.size()); n > mostSource || (n == 0 && mostSource > 0))
    return Status::error("row " + std::to_string(row) + " cannot be written for a source of " + std::to_string(n) +
                         " tokens: the model reads " + (mostSource ? "1 to " + std::to_string(mostSource) : "none"));
  Row &r = all[size_t(row)];
  if (!std::equal(source.begin(), source.end(), r.source.begin(), r.source.end())) {
    r.source.assign(source.begin(), source.end());
    r.encoded = false;
    r.cached.clear(); // keys and values of a text depend on what it is written for
  }
  return Status::ok();
}

Status Decoder::hold(int64_t row, std::span<const int32_t> tokens) {
  if (tokens.empty() || int64_t(tokens.size()) > most)
    return Status::error("row " + std::to_string(row) + " of " + std::to_string(rows()) + " cannot hold " +
                         std::to_string(tokens.size()) + " tokens: a row has 1 to " + std::to_string(most));
  Row &r = all[size_t(row)];
  r.computed = std::min(size_t(shared(row, tokens, r.source)), tokens.size() - 1); // the last one gives the logits
  r.tokens.assign(tokens.begin(), tokens.end());
  r.asked = true;
  r.answered = false;
  return Status::ok();
}

void Decoder::extend(std::vector<int32_t> &tokens, int32_t token) const {
  tokens.push_back(token);
  if (int64_t n = int64_t(tokens.size()); n > most)
    tokens.erase(tokens.begin(), tokens.end() - std::max<int64_t>(most / 2, 1));
}

Status Decoder::append(int64_t row, int32_t token) {
  std::vector<int32_t> tokens = std::move(all[size_t(row)].tokens);
  extend(tokens, token);
  return hold(row, tokens);
}

Status Decoder::step() {
  if (std::none_of(all.begin(), all.end(), [](const Row &r) { return r.pending() > 0; }))
    return Status::error("no row of the decoder waits for an answer");
  return run();
}

Status Decoder::answer(Row &row, const float *logits, const float *lse) {
  size_t i = size_t(&row - all.data());
  float *to = answers.data() + i * size_t(V);
  std::copy(logits, logits + V, to);
  float top = -INFINITY;
  for (int64_t v = 0; v < V; ++v) {
    if (std::isnan(to[v]) || to[v] == INFINITY)
      return Status::error("the model's logits are not numbers: that of id " + std::to_string(v) + " is " +
                           (std::isnan(to[v]) ? "NaN" : "infinite"));
    top = std::max(top, to[v]);
  }
  if (lse) {
    sums[i] = *lse;
  } else {
    double sum = 0;
    for (int64_t v = 0; v < V; ++v)
      sum += std::exp(double(to[v]) - double(top));
    sums[i] = float(double(top) + std::log(sum));
  }
  if (!std::isfinite(sums[i]))
    return Status::error("the model's logits are not numbers: their exponentials do not add up to a finite sum");
  row.computed = row.tokens.size();
  row.asked = false;
  row.answered = true;
  return Status::ok();
}

} // namespace r1rt::generate
