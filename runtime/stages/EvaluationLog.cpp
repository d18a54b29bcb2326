#include "runtime/stages/EvaluationLog.h"
#include "runtime/report/TensorBoard.h"
#include "runtime/state/Files.h"
#include <algorithm>
#include <cmath>
#include <cstring>
#include <sstream>

namespace r1rt {

using metrics::Measured;
using nlohmann::json;

static constexpr const char *statisticsFile = "/statistics.json";

Result<EvaluationLog> EvaluationLog::open(const json &spec, StageContext &ctx) {
  EvaluationLog log(ctx);
  log.stage = spec.value("stage", "evaluate");
  log.options.confidence = spec.value("confidence", log.options.confidence);
  log.options.resamples = spec.value("resamples", log.options.resamples);
  log.options.seed = spec.value("seed", log.options.seed);
  if (!(log.options.confidence > 0 && log.options.confidence < 1) || log.options.resamples < 2)
    return Status::error("an interval has a confidence between 0 and 1 and is of at least 2 resamples",
                         ExitClass::program);
  const json baseline = spec.value("baseline", json());
  if (!baseline.is_object() || !baseline.contains("metrics")) {
    log.baselineName = "the baseline's rows";
    return log;
  }
  log.baselineName = baseline["metrics"].value("stage", "");
  const std::string what = "baseline `" + log.baselineName + "`: ";
  R1RT_ASSIGN(std::string dir, ctx.data.artifactDir(log.baselineName));
  auto text = readFile(dir + statisticsFile);
  if (!text)
    return Status::error(what + text.status().message() + "; help: --fresh " + log.baselineName + " makes it again");
  json all = json::parse(*text, nullptr, false);
  if (!all.is_object())
    return Status::error(what + dir + statisticsFile + " is damaged: no JSON object; help: --fresh " +
                         log.baselineName + " makes it again");
  const json wanted = spec.value("metrics", json::object());
  for (auto &[name, m] : wanted.items()) {
    auto at = all.find(name);
    if (at == all.end()) {
      std::string has;
      for (auto &[n, x] : all.items())
        has += (has.empty() ? "`" : ", `") + n + "`";
      return Status::error(what + "it has no metric `" + name + "` to compare with, but " + has, ExitClass::program);
    }
    auto s = metrics::Statistics::fromJson(at->value("statistics", json()));
    if (!s)
      return s.status().withContext(what + "metric `" + name + "`");
    Judged j;
    j.metric.name = at->value("name", "");
    j.metric.signature = at->value("signature", "");
    j.metric.proportion = at->value("proportion", false);
    j.metric.statistics = s.take();
    j.references = at->value("references", std::vector<uint64_t>());
    if (j.references.size() != j.metric.statistics.documents())
      return Status::error(what + "metric `" + name + "` names " + std::to_string(j.references.size()) +
                           " documents and has statistics of " + std::to_string(j.metric.statistics.documents()));
    log.before.emplace(name, std::move(j));
  }
  return log;
}

void EvaluationLog::say(const std::string &name, double value, json more) {
  values[name] = value;
  for (const char *end : {"low", "high"})
    values[name + "_" + end] = more[end];
  more["confidence"] = options.confidence;
  ctx->report.metric(stage, name, value, more);
}

Status EvaluationLog::add(const std::string &name, Judged j, const Judged *baseline) {
  const Measured &m = j.metric;
  const double value = m.total();
  if (!std::isfinite(value))
    return Status::error("it is not finite, but " + std::to_string(value));
  const metrics::Interval i = metrics::interval(m, options);
  const std::string signature = m.name + (m.signature.empty() ? "" : "|" + m.signature);
  say(name, value, {{"low", i.low},
                    {"high", i.high},
                    {"interval", m.proportion ? "wilson" : "bootstrap"},
                    {"documents", m.statistics.documents()},
                    {"signature", signature}});
  if (auto at = before.find(name); at != before.end())
    baseline = &at->second;
  if (baseline)
    R1RT_TRY(difference(name, j, *baseline));
  statistics[name] = {{"name", m.name},
                      {"signature", m.signature},
                      {"proportion", m.proportion},
                      {"references", j.references},
                      {"statistics", m.statistics.toJson()}};
  return Status::ok();
}

Status EvaluationLog::difference(const std::string &name, const Judged &ours, const Judged &theirs) {
  if (ours.references.size() == theirs.references.size())
    for (size_t d = 0; d < ours.references.size(); ++d)
      if (ours.references[d] != theirs.references[d])
        return Status::error("document " + std::to_string(d) + " of " + std::to_string(ours.references.size()) +
                             " is another one in the baseline `" + baselineName +
                             "`; a difference is of the same documents in the same order");
  Measured before = theirs.metric;
  before.value = ours.metric.value; // the signatures are equal, or `compare` says that they are not
  auto d = metrics::compare(ours.metric, before, options);
  if (!d)
    return d.status();
  say(name + "_diff", d->value, {{"low", d->interval.low},
                                 {"high", d->interval.high},
                                 {"p", d->p},
                                 {"test", ours.metric.proportion ? "mcnemar" : "bootstrap"},
                                 {"against", baselineName}});
  values[name + "_p"] = d->p;
  return Status::ok();
}

void EvaluationLog::confusion(const std::string &data, std::span<const uint32_t> truths,
                              std::span<const uint32_t> predicted, const std::vector<std::string> &names,
                              size_t classes) {
  constexpr size_t mostCells = 10'000; // of an event
  if (!shown.insert(data).second)
    return;
  if (std::find(predicted.begin(), predicted.end(), metrics::noClass) != predicted.end()) { // it gets a column
    std::vector<uint32_t> all(predicted.begin(), predicted.end());
    std::replace(all.begin(), all.end(), metrics::noClass, uint32_t(classes));
    std::vector<std::string> more = names;
    for (size_t i = more.size(); i < classes; ++i)
      more.push_back(std::to_string(i));
    more.push_back("nothing");
    shown.erase(data);
    return confusion(data, truths, all, more, classes + 1);
  }
  metrics::Confusion c(classes);
  for (size_t i = 0; i < truths.size(); ++i)
    c.add(truths[i], predicted[i]);
  std::istringstream lines(c.table(names));
  for (std::string line; std::getline(lines, line);)
    ctx->report.note(stage + "  " + line);
  if (classes * classes > mostCells)
    return;
  json counts = json::array();
  for (size_t t = 0; t < classes; ++t) {
    json &row = counts.emplace_back(json::array());
    for (size_t p = 0; p < classes; ++p)
      row.push_back(c.at(t, p));
  }
  ctx->report.event("confusion", {{"stage", stage}, {"classes", names}, {"counts", std::move(counts)}});
}

void EvaluationLog::text(const std::string &hypothesis, const std::vector<std::string> &references) {
  constexpr size_t most = 20;
  if (texts.size() == most)
    return;
  std::string right;
  for (const std::string &r : references)
    right += (right.empty() ? "" : "\n") + r;
  if (std::pair one{hypothesis, right}; std::find(texts.begin(), texts.end(), one) == texts.end())
    texts.push_back(std::move(one));
}

/// A cell of a table in Markdown, whatever the text holds.
static std::string cell(const std::string &text) {
  std::string out;
  for (char c : text)
    out += c == '\n'  ? "<br>"
           : c == '<' ? "&lt;"
           : c == '&' ? "&amp;"
           : std::strchr("|\\`*_[]", c) && c ? std::string("\\") + c
                                            : std::string(1, c);
  return out;
}

Result<json> EvaluationLog::finish(const std::string &dir) {
  if (!dir.empty()) {
    R1RT_TRY(writeFileAtomic(dir + "/metrics.json", values.dump(2) + "\n"));
    R1RT_TRY(writeFileAtomic(dir + statisticsFile, statistics.dump() + "\n"));
    std::vector<std::pair<std::string, double>> series;
    for (auto &[name, value] : values.items())
      series.emplace_back(stage + "/" + name, value.get<double>());
    R1RT_ASSIGN(auto board, TensorBoardWriter::create(dir + "/tensorboard"));
    R1RT_TRY(board->scalars(0, series));
    std::string table = "| text | reference |\n|---|---|\n";
    for (auto &[text, right] : texts)
      table += "| " + cell(text) + " | " + cell(right) + " |\n";
    if (!texts.empty())
      R1RT_TRY(board->text(0, stage + "/texts", table));
    R1RT_TRY(board->flush());
  }
  return json{{"metrics", values}};
}

} // namespace r1rt
