// One prompt at work in rows of a decoder.
#ifndef R1RT_GENERATE_TASK_H
#define R1RT_GENERATE_TASK_H
#include "runtime/generate/Generator.h"
#include "runtime/generate/TextStream.h"
#include <memory>

namespace r1rt::generate {

/// What all tasks of a generator share.
struct Shared {
  Decoder &decoder;
  const Tokenizer &tokenizer;
  const GenerateOptions &options;
  Sampler sampler;
  std::vector<float> scratch; // logits of a row
  std::function<void(uint64_t number, const std::string &piece)> onText;

  bool ends(int32_t id) const;
  /// A token of the row's text, with its log-probability.
  void take(Output &out, int64_t row, int32_t id) const;
  /// The logits of a row as they are chosen from: penalised, without ids that may not come.
  std::span<float> choices(int64_t row, std::span<const int32_t> soFar, int64_t made);
};

class Task {
public:
  Task(Shared &s, Prompt &&p, std::vector<int64_t> rows) : rows(std::move(rows)), s(s), prompt(std::move(p)) {}
  virtual ~Task() = default;
  virtual Status begin() = 0;
  /// To call when all rows that were asked are answered; true when the outputs are there.
  virtual Result<bool> advance() = 0;
  bool waits() const;

  const std::vector<int64_t> rows;
  std::vector<Output> outputs;
  uint64_t number() const { return prompt.number; }
  uint64_t drawn = 0; // tokens since the last call

protected:
  Shared &s;
  Prompt prompt;
  std::vector<bool> asked = std::vector<bool>(rows.size());
};

std::unique_ptr<Task> beamTask(Shared &s, Prompt &&p, std::vector<int64_t> rows);   // Beams.cpp
std::unique_ptr<Task> choiceTask(Shared &s, Prompt &&p, std::vector<int64_t> rows); // Choices.cpp

} // namespace r1rt::generate
#endif
