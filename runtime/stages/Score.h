//===- Score.h - what a trained classifier says of texts ---------------------===//
//
// The program "score" of a compiled module: inputs x.id, x.pos, x.seg i32[B, T], output `scores`
// f32[B, C], the probability of each class.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_STAGES_SCORE_H
#define R1RT_STAGES_SCORE_H
#include "runtime/data/Label.h"
#include "runtime/device/Executor.h"
#include <span>

namespace r1rt {

class Scorer {
public:
  /// `modelDir` holds the weights and their tokenizer. `spec` says how texts become rows, as the
  /// classifier was trained, and which class is asked for: {"len", "cut", "side", "class": k}. Module and
  /// device must outlive the scorer.
  static Result<std::unique_ptr<Scorer>> create(Device &device, const r1_module &module,
                                                const std::string &modelDir, const nlohmann::json &spec,
                                                Accelerator *accelerator = nullptr);

  /// out[i] = the probability, 0..1, that texts[i] is of the class. One caller at a time. A text's score
  /// does not depend on the texts beside it, nor on how many there are.
  Status score(std::span<const std::string_view> texts, std::span<float> out);

  /// Texts that are scored at once.
  int64_t batch() const { return batcher->batch(); }
  /// Texts, and those among them that were longer than a row, so far.
  uint64_t texts() const { return counted; }
  uint64_t truncated() const { return cut; }

private:
  Scorer() = default;

  std::unique_ptr<Executor> exec;
  const r1_program *program = nullptr;
  const r1_field *scores = nullptr;
  std::shared_ptr<PackedData> rows; // of one batch
  std::unique_ptr<DocumentRows> maker;
  std::unique_ptr<Batcher> batcher;
  int64_t classes = 0, wanted = 0;
  uint64_t counted = 0, cut = 0;
};

} // namespace r1rt
#endif
