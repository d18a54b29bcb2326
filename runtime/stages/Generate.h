//===- Generate.h - a trained model continues texts -------------------------===//
#ifndef R1RT_STAGES_GENERATE_H
#define R1RT_STAGES_GENERATE_H
#include "runtime/generate/Generator.h"
#include "runtime/stages/Stages.h"
#include <memory>

namespace r1rt {

/// A model with its tokenizer, ready to generate.
class TextModel {
public:
  /// The module has the programs that generate/Decoder.h names; the options are those it was compiled with.
  /// `modelDir` holds model.safetensors and the tokenizer. Module and device outlive it. `cut` is what training left
  /// out of sources that are too long: data/Pairs.h.
  static Result<std::unique_ptr<TextModel>> open(Device &device, const r1_module &module, const std::string &modelDir,
                                                 generate::Decoder::Options options,
                                                 Accelerator *accelerator = nullptr,
                                                 const std::string &cut = "tail");

  generate::Decoder &decoder() { return *dec; }
  const Tokenizer &tokenizer() const { return *tok; }
  /// Does it write for a source, instead of going on with a prompt?
  bool translates() const { return dec->sourceContext() > 0; }
  /// Tokens of a prompt or a source that it reads at most.
  int64_t reads() const { return translates() ? dec->sourceContext() : dec->context(); }

  /// Makes `p` ask about a text: as a prompt (see below), or as a source, which is laid out and cut as in training, with
  /// a target that begins as there. Returns how many tokens the text has; more than `reads` were cut.
  int64_t ask(std::string_view text, int64_t maxNew, generate::Prompt &p) const;

  /// The tokens of a prompt. One of more than the context is cut to its last tokens, so that there is room
  /// for `maxNew` new ones, or for half a context; `whole` is how many it had.
  std::vector<int32_t> prompt(std::string_view text, int64_t maxNew, int64_t &whole) const;
  /// The same of tokens.
  std::vector<int32_t> fitted(std::vector<int32_t> tokens, int64_t maxNew, int64_t &whole) const;

private:
  TextModel() = default;
  TokenizerPtr tok;
  std::unique_ptr<Executor> exec;
  std::unique_ptr<generate::Decoder> dec;
  std::string cut;
};

/// {"max_new", "min_new", "temperature", "top_k", "top_p", "min_p", "repetition", "stop": [TEXT], "beams",
/// "n", "length_penalty", "early": "once"|"worse"|"never"}, each of which may be missing: GenerateOptions. Of
/// beams the n best come out.
Result<generate::GenerateOptions> generateOptions(const nlohmann::json &spec);

/// A model writes to the rows of a corpus.
///
/// spec: {"stage": NAME, "data": tree, "prompt": {"row_fn": i}|null (the row's text; of models that translate it is the
///        source), "n": samples of each row,
///        "seed", "long": "cut"|"drop"|"stop" for prompts of more tokens than the context, and those of
///        generateOptions}
///        and, if what is written is to stand in rows beside others: {"into": tree, "augment": {"share", "seed", "how"}}
///        of an `augment` by models; `data` are then the rows that it chooses. "field": what a row without
///        a `prompt` is asked with, instead of its text.
/// Each row gets the fields output (text), output_tokens, logprob (nats), finish ("stop" or "length"), sample
/// (0, 1, …) and, of beams, score; sample 0 is the row itself, the others are added rows, made from it.
/// With "choices": {"row_fn": i} nothing is written: the function gives the texts that may follow the prompt, and the
/// row gets choice (the number of the likeliest, from 0), choice_by_length (of the one whose log-probability divided by
/// its characters is the highest), choice_logprobs (nats) and choice_tokens (how many).
/// Makes the artifact of a corpus. What has been written is kept in outputs.jsonl until then, so the
/// same call goes on where it was interrupted; neither that nor the rows at once show in the result.
/// Result: that of runCorpus, and {"outputs", "tokens" of them, "stopped"; of rows "cut", "dropped", "empty"}, which
/// stands in generated.json, too.
struct GenerateRowsJob {
  const r1_module *module = nullptr;
  nlohmann::json spec;
  std::string modelDir;
  std::string dir;
  generate::Decoder::Options decoder;
  std::string cut = "tail"; // as TextModel::open takes it
};
Result<nlohmann::json> runGenerateRows(const GenerateRowsJob &job, StageContext &ctx);

} // namespace r1rt
#endif
