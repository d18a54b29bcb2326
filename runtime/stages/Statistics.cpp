#include "runtime/corpus/Engine.h"
#include "runtime/mixture/Statistics.h"
#include "runtime/mixture/Topics.h"
#include "runtime/report/TensorBoard.h"
#include "runtime/stages/Signals.h"
#include "runtime/stages/Stages.h"
#include "runtime/state/Files.h"
#include "runtime/text/Bias.h"
#include "runtime/text/Rules.h"
#include <sstream>

namespace r1rt {

using nlohmann::json;

namespace {

/// What one corpus holds.
struct Counted {
  mixture::DomainStatistics domains;
  mixture::DocumentSample sample;
  std::optional<text::BiasCounts> bias;
};

std::string percent(double v) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3f", v);
  return text;
}

} // namespace

Result<json> runStatistics(const StatisticsJob &job, StageContext &ctx) {
  const json &spec = job.spec;
  std::string stage = spec.value("stage", "statistics");
  SignalGuard signals;
  std::optional<text::BiasLexicon> lexicon;
  if (json words = spec.value("lexicon", json()); words.is_object()) {
    R1RT_ASSIGN(text::BiasLexicon made, text::BiasLexicon::create(words));
    lexicon.emplace(std::move(made));
  }
  size_t topics = spec.value("topics", size_t(0)), sampled = spec.value("sample", size_t(0));
  auto count = [&](const json &tree, Counted &c, bool all) -> Status {
    text::Scratch scratch;
    if (lexicon)
      c.bias = lexicon->zero();
    return corpus::eachRow(tree, ctx.data, [&](corpus::Row &&row) -> Status {
      if (signals.stopAsked())
        return Status::error("asked to stop", ExitClass::interrupted);
      if (lexicon)
        lexicon->count(row.text, *c.bias, scratch);
      if (all) {
        c.domains[row.domain].add(row.text);
        if (topics)
          c.sample.add(row.id, row.text);
      }
      return Status::ok();
    });
  };
  Counted now{{}, mixture::DocumentSample(sampled, spec.value("seed", uint64_t(0))), {}}, then;
  R1RT_TRY(count(spec.value("data", json()), now, true));
  json before = spec.value("before", json());
  if (!before.is_null())
    R1RT_TRY(count(before, then, false));

  json out = {{"domains", json::object()}};
  uint64_t documents = 0, words = 0, bytes = 0;
  for (auto &[name, s] : now.domains) {
    json d = {{"documents", s.documents}, {"words", s.words}, {"characters", s.characters}, {"bytes", s.bytes},
              {"frequent", json::array()}};
    for (const mixture::WordCount &w : s.frequencies.top(spec.value("words", size_t(10))))
      d["frequent"].push_back({w.word, w.count});
    out["domains"][name] = std::move(d);
    documents += s.documents, words += s.words, bytes += s.bytes;
  }
  std::string shown = mixture::table(now.domains, std::min<size_t>(spec.value("words", size_t(10)), 5));
  if (topics) {
    std::vector<mixture::DocumentSample::Document> docs = now.sample.documents();
    std::vector<std::string_view> texts;
    for (const auto &d : docs)
      texts.push_back(d.text);
    mixture::TopicOptions o;
    o.topics = topics;
    o.threads = unsigned(ctx.device.threads());
    o.seed = spec.value("seed", uint64_t(0));
    mixture::Topics found = mixture::findTopics(texts, o);
    out["topics"] = found.toJson();
    for (size_t i = 0; i < found.topics.size(); ++i) {
      out["topics"][i]["nearest"] = docs[found.topics[i].nearest].id;
      std::string terms;
      for (const std::string &t : found.topics[i].terms)
        terms += (terms.empty() ? "" : ", ") + t;
      shown += "topic " + std::to_string(i + 1) + "  " + std::to_string(found.topics[i].documents) +
               " documents  " + terms + "\n";
    }
  }
  if (lexicon) {
    out["lexicon"] = now.bias->toJson();
    if (then.bias)
      out["lexicon_before"] = then.bias->toJson();
    for (auto &[tag, t] : now.bias->tags) {
      auto rate = [&](const text::BiasCounts &c) {
        return c.words ? 1000 * double(c.tags.at(tag).words) / double(c.words) : 0.0;
      };
      shown += "lexicon " + tag + "  " + percent(rate(*now.bias)) + " per 1000 words" +
               (then.bias ? ", before " + percent(rate(*then.bias)) : "") + "\n";
    }
  }
  if (!job.dir.empty()) {
    R1RT_TRY(writeFileAtomic(job.dir + "/metrics.json", out.dump(1)));
    R1RT_ASSIGN(auto board, TensorBoardWriter::create(job.dir + "/tensorboard"));
    R1RT_TRY(board->scalars(0, mixture::scalars(now.domains, stage)));
    R1RT_TRY(board->flush());
  }
  std::istringstream lines(shown);
  for (std::string line; std::getline(lines, line);)
    ctx.report.note(line);
  ctx.report.event("statistics", {{"stage", stage}, {"statistics", out}});
  return json{{"metrics", {{"documents", documents}, {"words", words}, {"bytes", bytes}}}};
}

} // namespace r1rt
