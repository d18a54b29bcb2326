#include "runtime/corpus/Artifact.h"
#include "runtime/corpus/Engine.h"
#include "runtime/stages/Signals.h"
#include "runtime/stages/Stages.h"
#include <chrono>

namespace r1rt {

using nlohmann::json;

static std::string format(const char *f, double v) {
  char text[48];
  std::snprintf(text, sizeof text, f, v);
  return text;
}

Result<json> runCorpus(const CorpusJob &job, StageContext &ctx) {
  std::string stage = job.spec.value("stage", "corpus");
  corpus::EngineOptions o;
  SignalGuard signals;
  o.dir = job.dir;
  o.threads = unsigned(ctx.device.threads());
  o.chunkBytes = job.spec.value("chunk_bytes", o.chunkBytes);
  if (ctx.ranks) {
    o.rank = ctx.ranks->rank();
    o.ranks = ctx.ranks->size();
    o.meet = [&](const Status &mine) { return ctx.ranks->meet(mine); };
  }
  o.stopAsked = [&] { return signals.stopAsked(); };
  auto begin = std::chrono::steady_clock::now();
  o.progress = [&](const corpus::Progress &p) {
    double s = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() + 1e-9;
    double kept = p.rows ? 100 * double(p.kept) / double(p.rows) : 100;
    double rows = double(p.rows - p.rowsFound), bytes = double(p.textBytes - p.bytesFound);
    std::string text = p.phases > 1 ? std::to_string(p.phase) + "/" + std::to_string(p.phases) + "  " : "";
    text += std::to_string(p.rows) + " documents  " + format("%.0f/s", rows / s) +
            format("  %.1f MB/s", bytes / s / 1e6) + format("  kept %.1f %%", kept);
    ctx.report.progress(stage, text, (p.phase - 1 + p.done) / p.phases,
                        {{"documents", p.rows}, {"kept", p.kept}, {"bytes", p.textBytes}, {"seconds", s}});
  };
  R1RT_ASSIGN(json account, corpus::makeCorpus(job.spec.value("data", json()), ctx.data, o));
  if (account.is_null())
    return json::object();
  json result = {{"rows", account["rows"]}, {"text_bytes", account["text_bytes"]}};
  uint64_t in = 0;
  for (const json &p : account["passes"]) {
    bool source = p.value("node", json()).contains("path") || p.value("node", json()).contains("stage");
    in += source ? p.value("in", uint64_t(0)) : 0;
  }
  result["rows_in"] = in;
  for (const json &f : account["files"])
    result["hashes"][f.value("file", "")] = {{"md5", f["md5"]}, {"sha256", f["sha256"]}};
  if (account["rows"] == 0)
    ctx.report.warning(stage, in ? "none of " + std::to_string(in) + " rows are left; r1c inspect tells why"
                                 : std::string("it has no rows, as what it reads has none"));
  return result;
}

} // namespace r1rt
