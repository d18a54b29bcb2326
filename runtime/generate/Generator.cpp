#include "runtime/generate/Generator.h"
#include "runtime/generate/Task.h"
#include "runtime/state/Philox.h"
#include <algorithm>
#include <cmath>
#include <utility>

namespace r1rt::generate {

Status GenerateOptions::check() const {
  auto wrong = [](const std::string &what, int64_t is) {
    return Status::error(what + ", this is " + std::to_string(is), ExitClass::program);
  };
  R1RT_TRY(sample.check());
  if (maxNew < 1)
    return wrong("`max_new` is at least 1", maxNew);
  if (minNew < 0 || minNew > maxNew)
    return wrong("`min_new` is from 0 to `max_new`, " + std::to_string(maxNew), minNew);
  if (beams < 1)
    return wrong("`beams` is at least 1", beams);
  if (best < 1 || best > beams)
    return wrong("of " + std::to_string(beams) + " beams 1 to " + std::to_string(beams) + " come out", best);
  if (beams > 1 && sample != SampleOptions())
    return Status::error("beam search draws nothing: temperature, top_k, top_p, min_p and repetition go without it",
                         ExitClass::program);
  if (!std::isfinite(lengthPenalty))
    return Status::error("`length_penalty` is a finite number", ExitClass::program);
  for (const std::string &text : stop)
    if (text.empty())
      return Status::error("a stop string is not empty", ExitClass::program);
  return Status::ok();
}

void addSpecialStops(const Tokenizer &tokenizer, GenerateOptions &options) {
  std::erase_if(options.stop, [&](const std::string &s) {
    int32_t id = tokenizer.special(s);
    if (id >= 0)
      options.stopIds.push_back(id);
    return id >= 0;
  });
}

std::vector<int32_t> promptTokens(const Tokenizer &tokenizer, std::string_view text) {
  std::vector<int32_t> out;
  if (tokenizer.beginOfText() >= 0 || text.empty())
    out.push_back(std::max(tokenizer.beginOfText(), 0));
  tokenizer.encode(text, out);
  return out;
}

bool Shared::ends(int32_t id) const {
  return (options.stopAtEnd && id == tokenizer.endOfText()) ||
         std::find(options.stopIds.begin(), options.stopIds.end(), id) != options.stopIds.end();
}

void Shared::take(Output &out, int64_t row, int32_t id) const {
  const float logprob = decoder.logits(row)[size_t(id)] - decoder.lse(row);
  out.tokens.push_back(id);
  out.logprobs.push_back(logprob);
  out.logprob += logprob;
}

std::span<float> Shared::choices(int64_t row, std::span<const int32_t> soFar, int64_t made) {
  std::span<const float> all = decoder.logits(row);
  all = all.first(std::min(all.size(), size_t(tokenizer.vocab())));
  scratch.assign(all.begin(), all.end());
  if (options.sample.repetition != 1)
    penalise(scratch, soFar, options.sample.repetition);
  auto never = [&](int32_t id) {
    if (id >= 0 && id < int32_t(scratch.size()))
      scratch[size_t(id)] = -INFINITY;
  };
  if (tokenizer.padding() != tokenizer.endOfText())
    never(tokenizer.padding());
  if (made < options.minNew) {
    if (options.stopAtEnd)
      never(tokenizer.endOfText());
    for (int32_t id : options.stopIds)
      never(id);
  }
  return scratch;
}

bool Task::waits() const {
  for (size_t i = 0; i < rows.size(); ++i)
    if (asked[i] && !s.decoder.answered(rows[i]))
      return true;
  return false;
}

namespace {

/// Draws one token after the other.
class SampleTask final : public Task {
public:
  SampleTask(Shared &s, Prompt &&p, std::vector<int64_t> rows)
      : Task(s, std::move(p), std::move(rows)), stream(s.options.stop), seen(prompt.tokens) {}

private:
  TextStream stream;
  Output out;
  std::vector<int32_t> seen; // prompt and output, for the penalty

  Status begin() override {
    asked[0] = true;
    return s.decoder.begin(rows[0], prompt.tokens, prompt.source);
  }

  void emit(const std::string &piece) {
    out.text += piece;
    if (s.onText && !piece.empty())
      s.onText(prompt.number, piece);
  }

  Result<bool> advance() override {
    const int64_t row = rows[0], made = int64_t(out.tokens.size());
    std::span<float> choices = s.choices(row, seen, made);
    PhiloxBlock b = philox(prompt.key, uint64_t(made));
    int32_t next = s.sampler.choose(choices, uniform01(b[0], b[1]));
    if (next < 0)
      return Status::error("no token may come next: all that are allowed have the probability 0");
    ++drawn;
    s.take(out, row, next);
    if (s.options.sample.repetition != 1)
      seen.push_back(next);
    out.stopped = s.ends(next);
    if (!out.stopped) {
      emit(stream.push(s.tokenizer.decode(std::span(&next, 1)), made >= s.options.minNew));
      out.stopped = stream.stopped();
    }
    if (!out.stopped && made + 1 < s.options.maxNew) {
      R1RT_TRY(s.decoder.append(row, next));
      return false;
    }
    emit(stream.finish());
    out.score = out.logprob;
    outputs.push_back(std::move(out));
    return true;
  }
};

} // namespace

Result<Generator> Generator::create(Decoder &decoder, const Tokenizer &tokenizer, const GenerateOptions &options) {
  R1RT_TRY(options.check());
  if (options.beams > decoder.rows())
    return Status::error(std::to_string(options.beams) + " beams need as many rows at once, not " +
                             std::to_string(decoder.rows()),
                         ExitClass::program);
  for (int32_t id : options.stopIds)
    if (id < 0 || id >= tokenizer.vocab())
      return Status::error("a stop id is from 0 to " + std::to_string(tokenizer.vocab() - 1) + ", this is " +
                               std::to_string(id),
                           ExitClass::program);
  GenerateOptions fitted = options;
  if (decoder.sourceContext() > 0) {
    if (options.minNew > decoder.context())
      return Status::error("a target has at most " + std::to_string(decoder.context()) + " tokens, `min_new` is " +
                               std::to_string(options.minNew),
                           ExitClass::program);
    fitted.maxNew = std::min(options.maxNew, decoder.context());
  }
  return Generator(decoder, tokenizer, fitted);
}

Status Generator::run(const std::function<Result<Next>(Prompt &, bool)> &next,
                      const std::function<Status(uint64_t, std::vector<Output> &&)> &take,
                      const std::function<bool()> &goOn,
                      const std::function<void(uint64_t, const std::string &)> &onText) {
  Shared shared{decoder, tokenizer, options, Sampler(options.sample), {}, onText};
  std::vector<int64_t> free;
  for (int64_t r = decoder.rows(); r-- > 0;)
    free.push_back(r);
  std::vector<std::unique_ptr<Task>> tasks;
  const size_t need = size_t(options.beams);
  bool more = true;
  while (true) {
    while (more && free.size() >= need) {
      Prompt p;
      R1RT_ASSIGN(Next what, next(p, tasks.empty()));
      more = what != Next::end;
      if (what != Next::prompt)
        break;
      if (int64_t over = int64_t(p.tokens.size()) - decoder.context(); over > 0)
        p.tokens.erase(p.tokens.begin(), p.tokens.begin() + over);
      // The row whose cache begins with the most of the prompt: samples of one prompt come one after the other.
      auto best = std::max_element(free.begin(), free.end(), [&](int64_t a, int64_t b) {
        return decoder.shared(a, p.tokens, p.source) < decoder.shared(b, p.tokens, p.source);
      });
      std::iter_swap(best, free.end() - 1);
      std::vector<int64_t> rows(free.end() - ptrdiff_t(need), free.end());
      std::reverse(rows.begin(), rows.end());
      free.resize(free.size() - need);
      tasks.push_back(!p.choices.empty() ? choiceTask(shared, std::move(p), std::move(rows))
                      : need > 1         ? beamTask(shared, std::move(p), std::move(rows))
                               : std::make_unique<SampleTask>(shared, std::move(p), std::move(rows)));
      R1RT_TRY(tasks.back()->begin());
    }
    if (tasks.empty() && !more)
      return Status::ok();
    if (goOn && !goOn())
      return Status::error("interrupted", ExitClass::interrupted);
    if (tasks.empty())
      continue;
    R1RT_TRY(decoder.step());
    for (size_t i = 0; i < tasks.size();) {
      Task &t = *tasks[i];
      if (t.waits()) {
        ++i;
        continue;
      }
      R1RT_ASSIGN(bool done, t.advance());
      drawn += std::exchange(t.drawn, 0);
      if (!done) {
        ++i;
        continue;
      }
      for (size_t r = t.rows.size(); r-- > 0;) {
        decoder.end(t.rows[r]);
        free.push_back(t.rows[r]);
      }
      uint64_t number = t.number();
      std::vector<Output> outputs = std::move(t.outputs);
      tasks.erase(tasks.begin() + ptrdiff_t(i));
      R1RT_TRY(take(number, std::move(outputs)));
    }
  }
}

} // namespace r1rt::generate
