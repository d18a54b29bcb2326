#include "runtime/stages/Generate.h"
#include "runtime/data/Label.h"
#include "runtime/stages/Weights.h"
#include <algorithm>

namespace r1rt {

using generate::GenerateOptions;
using nlohmann::json;

Result<std::unique_ptr<TextModel>> TextModel::open(Device &device, const r1_module &module, const std::string &modelDir,
                                                   generate::Decoder::Options options, Accelerator *accelerator,
                                                   const std::string &cut) {
  std::unique_ptr<TextModel> m(new TextModel);
  m->cut = cut;
  R1RT_ASSIGN(m->tok, openTokenizer(modelDir));
  R1RT_ASSIGN(m->exec, Executor::create(device, module, accelerator));
  auto loaded = loadLeaves(*m->exec, modelDir + "/model.safetensors", "", /*all=*/true);
  if (!loaded)
    return loaded.status().withContext("the weights to generate with");
  R1RT_TRY(leavesWritten(*m->exec));
  options.filler = std::max(m->tok->padding(), 0);
  R1RT_ASSIGN(m->dec, generate::Decoder::create(*m->exec, options));
  if (int64_t ids = m->tok->vocab(); ids > m->dec->vocab())
    return Status::error("the tokenizer has " + std::to_string(ids) + " ids, the model only " +
                         std::to_string(m->dec->vocab()));
  if (m->translates() && m->tok->beginOfText() < 0)
    return Status::error("nothing tells the model to begin: its tokenizer has neither a begin nor an end of text, with "
                         "which the targets of the training would begin",
                         ExitClass::program);
  return m;
}

int64_t TextModel::ask(std::string_view text, int64_t maxNew, generate::Prompt &p) const {
  int64_t whole = 0;
  if (!translates()) {
    p.tokens = prompt(text, maxNew, whole);
    return whole;
  }
  p.tokens = {tok->beginOfText()};
  p.source = generate::promptTokens(*tok, text);
  whole = int64_t(p.source.size());
  cutTokens(p.source, reads(), cut);
  return whole;
}

std::vector<int32_t> TextModel::prompt(std::string_view text, int64_t maxNew, int64_t &whole) const {
  return fitted(generate::promptTokens(*tok, text), maxNew, whole);
}

std::vector<int32_t> TextModel::fitted(std::vector<int32_t> tokens, int64_t maxNew, int64_t &whole) const {
  const int64_t most = dec->context();
  whole = int64_t(tokens.size());
  if (whole > most)
    tokens.erase(tokens.begin(), tokens.end() - std::max<int64_t>(1, most - std::min(maxNew, most / 2)));
  return tokens;
}

Result<GenerateOptions> generateOptions(const json &spec) {
  GenerateOptions o;
  try {
    o.maxNew = spec.value("max_new", o.maxNew);
    o.minNew = spec.value("min_new", o.minNew);
    o.sample.temperature = spec.value("temperature", o.sample.temperature);
    o.sample.topK = spec.value("top_k", o.sample.topK);
    o.sample.topP = spec.value("top_p", o.sample.topP);
    o.sample.minP = spec.value("min_p", o.sample.minP);
    o.sample.repetition = spec.value("repetition", o.sample.repetition);
    o.stop = spec.value("stop", o.stop);
    o.beams = spec.value("beams", o.beams);
    o.best = o.beams > 1 ? spec.value("n", o.best) : 1;
    o.lengthPenalty = spec.value("length_penalty", o.lengthPenalty);
    std::string early = spec.value("early", "worse");
    o.early = early == "once" ? GenerateOptions::atOnce : early == "never" ? GenerateOptions::never
                                                                            : GenerateOptions::whenWorse;
  } catch (const json::exception &e) {
    return Status::error(std::string("the description of the generation is not right: ") + e.what(),
                         ExitClass::program);
  }
  R1RT_TRY(o.check());
  return o;
}

} // namespace r1rt
