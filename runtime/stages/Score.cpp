#include "runtime/stages/Score.h"
#include "runtime/stages/Weights.h"
#include <algorithm>
#include <cmath>

namespace r1rt {

using nlohmann::json;

Result<std::unique_ptr<Scorer>> Scorer::create(Device &device, const r1_module &module,
                                               const std::string &modelDir, const json &spec,
                                               Accelerator *accelerator) {
  std::unique_ptr<Scorer> s(new Scorer);
  auto rows = std::make_shared<PackedData>();
  rows->seq = spec.value("len", 0);
  R1RT_ASSIGN(rows->tokenizer, openTokenizer(modelDir));
  R1RT_ASSIGN(DocumentRows maker, DocumentRows::create(rows, spec, /*targets=*/false));
  s->rows = rows;
  s->maker = std::make_unique<DocumentRows>(std::move(maker));
  R1RT_ASSIGN(s->exec, Executor::create(device, module, accelerator));
  auto loaded = loadLeaves(*s->exec, modelDir + "/model.safetensors", "", /*all=*/true);
  if (!loaded)
    return loaded.status().withContext("the weights to score with");
  R1RT_TRY(leavesWritten(*s->exec));
  s->program = s->exec->program("score");
  if (!s->program)
    return Status::error("the compiled module has no program `score`");
  R1RT_ASSIGN(Batcher batcher, Batcher::create(rows, *s->program));
  s->batcher = std::make_unique<Batcher>(std::move(batcher));
  s->scores = findField(s->program->outputs, s->program->n_outputs, "scores");
  if (!s->scores || s->scores->dtype != R1_F32 || s->scores->rank != 2 || s->scores->dims[0] != s->batch())
    return Status::error("the program `score` does not yield `scores`, f32 [" + std::to_string(s->batch()) +
                         ", classes]");
  s->classes = s->scores->dims[1];
  s->wanted = spec.value("class", int64_t(-1));
  if (s->wanted < 0 || s->wanted >= s->classes)
    return Status::error("the score of class " + std::to_string(s->wanted) + " is asked for; the model has 0 to " +
                             std::to_string(s->classes - 1),
                         ExitClass::program);
  return s;
}

Status Scorer::score(std::span<const std::string_view> texts, std::span<float> out) {
  if (texts.size() != out.size())
    return Status::error("scores of " + std::to_string(texts.size()) + " texts do not go into " +
                         std::to_string(out.size()) + " places");
  const size_t most = size_t(batch());
  for (size_t first = 0; first < texts.size(); first += most) {
    const size_t n = std::min(most, texts.size() - first);
    maker->clear();
    for (size_t i = 0; i < n; ++i)
      if (!maker->add(texts[first + i]))
        return Status::error("an empty text has no token that could be scored");
    batcher->fill(exec->arena(), [&](int64_t b) { return size_t(b) < n ? uint32_t(b) : PackedData::noRow; });
    R1RT_TRY(exec->run(*program));
    const float *all = reinterpret_cast<const float *>(exec->at(*scores));
    for (size_t i = 0; i < n; ++i) {
      float p = all[int64_t(i) * classes + wanted];
      if (!std::isfinite(p))
        return Status::error("the model's score of a text is not a number");
      out[first + i] = p;
    }
  }
  counted += texts.size();
  cut = rows->truncated;
  return Status::ok();
}

} // namespace r1rt
