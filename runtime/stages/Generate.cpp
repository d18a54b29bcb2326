#include "runtime/stages/Generate.h"
#include "runtime/stages/Weights.h"
#include <algorithm>

namespace r1rt {

using generate::GenerateOptions;
using nlohmann::json;

Result<std::unique_ptr<TextModel>> TextModel::open(Device &device, const r1_module &module, const std::string &modelDir,
                                                   generate::Decoder::Options options, Accelerator *accelerator) {
  std::unique_ptr<TextModel> m(new TextModel);
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
  return m;
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
