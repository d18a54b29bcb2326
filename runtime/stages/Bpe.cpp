#include "runtime/stages/Stages.h"

namespace r1rt {

using nlohmann::json;

Result<json> runBpe(const BpeJob &job, StageContext &ctx) {
  try {
    const json &spec = job.spec;
    std::string stage = spec.value("stage", "bpe");
    R1RT_ASSIGN(CorpusPtr corpus, openCorpus(spec.value("data", json()), ctx.data));
    R1RT_ASSIGN(TokenizerPtr tok,
                trainBpe(*corpus, spec.value("vocab", 0),
                         spec.value("special", std::vector<std::string>()),
                         [&](const std::string &m) { ctx.report.warning(stage, m); }));
    R1RT_TRY(tok->save(job.dir));
    return json{{"vocab", tok->vocab()}, {"rows", corpus->rows.size()}};
  } catch (const json::exception &e) {
    return Status::error(std::string("the description of the tokenizer is not right: ") + e.what(),
                         ExitClass::program);
  }
}

} // namespace r1rt
