// Beam search. The rules are those of the transformers package, which the tests run beside it.
#include "runtime/generate/Task.h"
#include <algorithm>
#include <cmath>

namespace r1rt::generate {

namespace {

/// A text that is still going on, or a hypothesis.
struct Beam {
  std::vector<int32_t> context; // as the decoder's row holds it
  size_t row;                   // of the task's
  TextStream stream;
  Output out; // score: the sum of what the search adds up
};

/// A beam with one token more.
struct Candidate {
  size_t beam;
  int32_t id;
  double score;
};

class BeamTask final : public Task {
public:
  BeamTask(Shared &s, Prompt &&p, std::vector<int64_t> rows) : Task(s, std::move(p), std::move(rows)) {}

private:
  std::vector<Beam> running;  // the best first
  std::vector<Output> done;   // hypotheses, the best first
  size_t width() const { return rows.size(); }

  Status begin() override {
    running.push_back({prompt.tokens, 0, TextStream(s.options.stop), {}});
    for (int64_t row : rows)
      R1RT_TRY(s.decoder.setSource(row, prompt.source));
    return ask();
  }

  /// Each beam a row of its own: that of its parent, whose cache it goes on with, or of the others the one that holds the
  /// most of it.
  void spread() {
    std::vector<bool> taken(rows.size());
    std::vector<Beam *> others;
    for (Beam &b : running)
      if (taken[b.row])
        others.push_back(&b);
      else
        taken[b.row] = true;
    for (Beam *b : others) {
      int64_t most = -1;
      for (size_t i = 0; i < rows.size(); ++i)
        if (int64_t n = taken[i] ? -1 : s.decoder.shared(rows[i], b->context, prompt.source); n > most)
          most = n, b->row = i;
      taken[b->row] = true;
    }
  }

  Status ask() {
    spread();
    std::fill(asked.begin(), asked.end(), false);
    for (const Beam &b : running) {
      asked[b.row] = true;
      R1RT_TRY(s.decoder.begin(rows[b.row], b.context, prompt.source));
    }
    return Status::ok();
  }

  /// The likeliest continuations of all beams, the best first; at least `width` of them do not end.
  std::vector<Candidate> continuations(int64_t made) {
    const size_t ends = s.options.stopIds.size() + (s.options.stopAtEnd && s.tokenizer.endOfText() >= 0);
    const size_t keep = std::max<size_t>(2, 1 + ends) * width();
    auto more = [](const Candidate &a, const Candidate &b) {
      return a.score != b.score ? a.score > b.score : a.beam != b.beam ? a.beam < b.beam : a.id < b.id;
    };
    std::vector<Candidate> all, some;
    for (size_t b = 0; b < running.size(); ++b) {
      const int64_t row = rows[running[b].row];
      std::span<float> logits = s.choices(row, {}, made);
      const float lse = s.decoder.lse(row);
      some.clear();
      for (size_t i = 0; i < logits.size(); ++i)
        if (logits[i] != -INFINITY)
          some.push_back({b, int32_t(i), running[b].out.score + double(logits[i] - lse)});
      auto end = some.begin() + ptrdiff_t(std::min(keep, some.size()));
      std::partial_sort(some.begin(), end, some.end(), more);
      all.insert(all.end(), some.begin(), end);
    }
    std::sort(all.begin(), all.end(), more);
    if (all.size() > keep)
      all.resize(keep);
    return all;
  }

  Beam extended(const Candidate &c, int64_t made, bool &ends) {
    Beam b = running[c.beam];
    s.decoder.extend(b.context, c.id);
    s.take(b.out, rows[b.row], c.id);
    b.out.score = c.score;
    b.out.stopped = s.ends(c.id);
    if (!b.out.stopped) {
      b.out.text += b.stream.push(s.tokenizer.decode(std::span(&c.id, 1)), made >= s.options.minNew);
      b.out.stopped = b.stream.stopped();
    }
    ends = b.out.stopped || made + 1 >= s.options.maxNew;
    return b;
  }

  double normal(double score, int64_t length) const {
    return score / std::pow(double(length), s.options.lengthPenalty);
  }

  Result<bool> advance() override {
    const int64_t made = int64_t(running[0].out.tokens.size());
    std::vector<Candidate> best = continuations(made);
    if (best.empty())
      return Status::error("no token may come next: all that are allowed have the probability 0");
    drawn += running.size();
    std::vector<Beam> next;
    for (size_t i = 0; i < best.size() && (next.size() < width() || i < width()); ++i) {
      bool ends = false;
      Beam b = extended(best[i], made, ends);
      if (!ends) {
        if (next.size() < width())
          next.push_back(std::move(b));
        continue;
      }
      if (i >= width()) // the others are there so that enough beams go on
        continue;
      b.out.text += b.stream.finish();
      b.out.score = normal(b.out.score, made + 1);
      auto place = std::find_if(done.begin(), done.end(), [&](const Output &o) { return o.score < b.out.score; });
      done.insert(place, std::move(b.out));
    }
    if (done.size() > width())
      done.resize(width());
    running = std::move(next);
    bool stop = running.empty();
    if (!stop && done.size() >= width()) {
      bool far = s.options.early == GenerateOptions::never && s.options.lengthPenalty > 0;
      stop = s.options.early == GenerateOptions::atOnce ||
             normal(running[0].out.score, far ? s.options.maxNew : made + 1) <= done.back().score;
    }
    if (!stop) {
      R1RT_TRY(ask());
      return false;
    }
    if (int64_t(done.size()) > s.options.best)
      done.resize(size_t(s.options.best));
    outputs = std::move(done);
    return true;
  }
};

} // namespace

std::unique_ptr<Task> beamTask(Shared &s, Prompt &&p, std::vector<int64_t> rows) {
  return std::make_unique<BeamTask>(s, std::move(p), std::move(rows));
}

} // namespace r1rt::generate
