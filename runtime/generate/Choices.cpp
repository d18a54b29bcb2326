// How likely each of several continuations is.
#include "runtime/generate/Task.h"

namespace r1rt::generate {

namespace {

/// One choice after the other in one row: what they begin with alike is computed once.
class ChoiceTask final : public Task {
public:
  ChoiceTask(Shared &s, Prompt &&p, std::vector<int64_t> rows) : Task(s, std::move(p), std::move(rows)) {}

private:
  size_t place = 0; // of the next token, in the choice at work
  Output current;   // of that choice

  const Prompt::Choice &choice() const { return prompt.choices[outputs.size()]; }

  Status beginChoice() {
    place = 0;
    outputs.reserve(prompt.choices.size());
    current = Output();
    return s.decoder.begin(rows[0], choice().context);
  }

  Status begin() override {
    asked[0] = true;
    return beginChoice();
  }

  Result<bool> advance() override {
    const int32_t id = choice().tokens[place];
    ++drawn;
    s.take(current, rows[0], id);
    if (++place < choice().tokens.size()) {
      R1RT_TRY(s.decoder.append(rows[0], id));
      return false;
    }
    current.score = current.logprob;
    outputs.push_back(std::move(current));
    if (outputs.size() == prompt.choices.size())
      return true;
    R1RT_TRY(beginChoice());
    return false;
  }
};

} // namespace

std::unique_ptr<Task> choiceTask(Shared &s, Prompt &&p, std::vector<int64_t> rows) {
  return std::make_unique<ChoiceTask>(s, std::move(p), std::move(rows));
}

Prompt::Choice choiceOf(const Tokenizer &tokenizer, std::string_view prompt, std::string_view choice) {
  // Blanks at the end of the prompt belong to the choice: tokens begin with them.
  const size_t last = prompt.find_last_not_of(" \n\t");
  const size_t cut = last == prompt.npos ? 0 : last + 1;
  const std::string whole = std::string(prompt) + std::string(choice);
  Prompt::Choice out;
  out.context = promptTokens(tokenizer, prompt.substr(0, cut));
  std::vector<int32_t> all = promptTokens(tokenizer, whole);
  const size_t n = std::min(out.context.size(), all.size());
  if (out.context.empty()) { // neither a begin of text nor a prompt: something has to stand before the first token
    out.context.push_back(std::max(tokenizer.beginOfText(), 0));
    out.tokens = std::move(all);
  } else {
    out.tokens.assign(all.begin() + ptrdiff_t(n), all.end());
    out.context.assign(all.begin(), all.begin() + ptrdiff_t(n));
  }
  return out;
}

} // namespace r1rt::generate
