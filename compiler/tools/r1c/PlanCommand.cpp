// r1c plan: what would run and why, parameters, memory.
#include "compiler/tools/r1c/Execute.h"
#include "compiler/tools/r1c/Files.h"
#include "compiler/tools/r1c/Memory.h"
#include <algorithm>
#include <cstdio>

using nlohmann::json;
using r1rt::ArtifactState;

namespace r1::tool {

namespace {

int64_t parameters(const Stage &s, bool trainableOnly) {
  int64_t total = 0;
  for (const Leaf &leaf : s.leaves) {
    int64_t n = 1;
    for (auto &d : leaf.type.dims)
      n *= d.size;
    if (!trainableOnly || leaf.trainable)
      total += n;
  }
  return total;
}

std::string millions(int64_t n) {
  char b[32];
  std::snprintf(b, sizeof b, n >= 10'000'000 ? "%.1f M" : "%.3f M", double(n) * 1e-6);
  return b;
}

std::string amount(uint64_t bytes) {
  char b[48];
  if (bytes >= 1000ull * 1000 * 1000)
    std::snprintf(b, sizeof b, "%9.3f GB", double(bytes) * 1e-9);
  else
    std::snprintf(b, sizeof b, "%9.3f MB", double(bytes) * 1e-6);
  return b;
}

/// The schedule in five numbers: "lr 0, 7.5e-05, 5.05e-05, … at 0, 25, 50, 75, 100 % of the run".
std::string scheduleText(const Stage &s) {
  const json lr = s.spec.value("lr", json());
  char b[32];
  if (lr.is_number()) {
    std::snprintf(b, sizeof b, "%.4g", lr.get<double>());
    return "lr " + std::string(b);
  }
  std::string text = "lr";
  const HostFn &rate = s.hostFns.at(lr.at("fn").get<size_t>());
  for (double at : {0.0, 0.25, 0.5, 0.75, 1.0}) {
    std::snprintf(b, sizeof b, "%s %.4g", at > 0 ? "," : "", rate(at));
    text += b;
  }
  return text + " at 0, 25, 50, 75, 100 % of the run";
}

/// "12, 24 or 48", the lengths of rows that come in buckets; else empty.
std::string bucketsText(const json &data) {
  const json *t = &data;
  while (t->is_object() && t->contains("in") && !t->contains("buckets"))
    t = &t->at("in");
  std::string text;
  if (t->is_object() && t->contains("buckets"))
    for (size_t i = 0, n = t->at("buckets").size(); i < n; ++i)
      text += (i == 0 ? "" : i + 1 < n ? ", " : " or ") + t->at("buckets")[i].dump();
  return text;
}

std::string trimmed(const std::string &s) { return s.substr(std::min(s.find_first_not_of(' '), s.size())); }

/// The memory and the programs of a stage, for --json.
void addPrograms(json &js, const Foreseen &seen, const Options &o) {
  const CompiledStage &c = *seen.compiled;
  for (const MemoryLine &line : seen.memory)
    js["memory"][line.what] = line.bytes;
  js["micro"] = c.micro;
  js["blocks"] = c.blocks;
  js["again"] = c.again;
  js["kernels"] = c.distinctKernels;
  if (!c.recomputes.empty())
    js["recomputes"] = c.recomputes;
  if (o.target == "cuda")
    js["products"] = {{"cublaslt", c.libraryProducts}, {"r1c", c.products - c.libraryProducts}};
}

/// The same for people.
void printPrograms(const Stage &s, const Foreseen &seen, const Options &o) {
  const CompiledStage &c = *seen.compiled;
  for (const MemoryLine &line : seen.memory)
    std::printf("        %-28s %s\n", line.what.c_str(), amount(line.bytes).c_str());
  std::printf("        %-28s %s\n", "peak", amount(seen.peak).c_str());
  if (c.memoryLimit)
    std::printf("        %-28s %s (of the peak all but data, logs and stacks)\n", "limit", amount(c.memoryLimit).c_str());
  const long long batch = c.rows, micro = c.micro, atOnce = batch / micro, shards = placementOf(s).shards;
  if (s.kind == "train") {
    std::string parts = shards > 1 ? " x shards " + std::to_string(shards) : "";
    std::string asked = s.fit.to ? " (fit " + std::to_string(s.fit.from) + ".." + std::to_string(s.fit.to) + ")" : "";
    std::printf("        %s\n", scheduleText(s).c_str());
    std::printf("        micro-batch %lld x accumulate %lld%s = batch %lld%s;  %d launches of %d kernels\n",
                batch / micro / shards, micro, parts.c_str(), batch, asked.c_str(), c.launches, c.distinctKernels);
    if (std::string lengths = bucketsText(s.spec.value("data", json())); !lengths.empty())
      std::printf("        rows of %s tokens: programs for each, in the memory of the longest\n", lengths.c_str());
  } else {
    std::printf("        %s%d launches of %d kernels\n",
                (std::to_string(atOnce) + (s.kind == "generate" ? " text" : " row") + (atOnce == 1 ? "" : "s") + " at once;  ").c_str(),
                c.launches, c.distinctKernels);
    if (std::string why = recomputeText(s, c); !why.empty())
      std::printf("        %s\n", why.c_str());
  }
  if (!c.fitted.empty())
    std::printf("        %s\n", c.fitted.c_str());
  if (o.target == "cuda")
    std::printf("        products: %d launches of cuBLASLt, %d of r1c's kernels (bits = \"%s\")\n", c.libraryProducts,
                c.products - c.libraryProducts, programsOf(s, placedOptions(o, s)).options.exact ? "exact" : "run");
}

} // namespace

int planCommand(const Options &o) {
  auto [file, name] = splitFileAndName(o.file);
  Session session(o);
  if (!session.load(file) || !session.elaborate(name, o.seed))
    return session.exit;
  auto fail = [&](const r1rt::Status &st) { return session.fail("plan", st); };
  auto store = r1rt::Store::look(o.store);
  if (!store)
    return fail(store.status());
  auto planned = planStages(*session.elaboration, store->get(), o);
  if (!planned)
    return fail(planned.status());
  const Elaboration &program = *session.elaboration;
  r1rt::Reporter::Options ro;
  ro.json = o.json;
  r1rt::Reporter report(ro);
  Runner runner(session, **store, report);

  json out = {{"pipeline", program.pipeline},
              {"parameters", program.parameters}, {"stages", json::array()}};
  std::string head = program.pipeline;
  for (auto &[key, value] : program.parameters)
    head += "  " + key + "=" + argumentText(value);
  if (!o.json)
    std::printf("%s\n\n", head.c_str());

  int toRun = 0, cached = 0;
  for (const PlannedStage &p : *planned) {
    const Stage &s = *p.stage;
    bool runs = p.runs();
    toRun += runs;
    cached += !runs && p.selected;
    const char *state = !p.selected                              ? "skipped"
                        : !runs                                  ? "cached"
                        : p.fresh || !p.why.empty()              ? "rerun"
                        : p.state == ArtifactState::interrupted
                            ? (s.kind == "annotate" ? "waits" : "resumes")
                                                                 : "run";
    std::string detail = p.fresh ? "--fresh" : p.why;
    json js = {{"name", s.name}, {"kind", s.kind},     {"state", state},
               {"fingerprint", p.fingerprint}, {"why", detail}, {"reads", s.reads},
               {"arguments", s.spec}};
    if (!s.leaves.empty())
      js["parameters"] = parameters(s, false);
    if (!o.json) {
      const char *mark = runs ? (*state == 'w' ? "…" : *state == 'r' && state[1] == 'e' ? "~" : "+") : p.selected ? "=" : " ";
      std::printf("  %s %-10s %-8s %s%s\n", mark, s.name.c_str(), state, s.kind.c_str(),
                  detail.empty() ? "" : ("   " + detail).c_str());
      if (s.kind == "train")
        std::printf("      %s parameters%s\n", millions(parameters(s, false)).c_str(),
                    parameters(s, true) != parameters(s, false)
                        ? (", " + millions(parameters(s, true)) + " trained").c_str()
                        : "");
      if (o.verbose || o.why == s.name)
        for (auto &[key, value] : s.spec.items())
          std::printf("      %-10s = %s\n", key.c_str(), argumentText(s.shown, key, value).c_str());
    }
    // Memory of what would run, from a plan of its programs (no code is generated).
    Foreseen seen;
    if (runs) {
      auto placed = runner.compileOptions(s);
      if (!placed)
        return fail(placed.status());
      auto foreseen = foresee(session, s, *placed);
      if (!foreseen)
        return fail(foreseen.status());
      seen = foreseen.take();
      if (seen.compiled)
        addPrograms(js, seen, o);
      if (seen.compiled && !o.json)
        printPrograms(s, seen, o);
    }
    const uint64_t peak = seen.peak;
    if (uint64_t machine = machineBytes(); o.target != "cuda" && machine && peak > machine) {
      std::fflush(stdout);
      report.warning(s.name, "its peak of " + trimmed(amount(peak)) + " does not fit: this machine has " +
                                 trimmed(amount(machine)) + " of memory");
    }
    out["stages"].push_back(js);
  }
  if (!o.why.empty() && !o.json)
    for (const PlannedStage &p : *planned)
      if (p.stage->name == o.why)
        std::printf("\n%s: %s\n", o.why.c_str(),
                    !p.runs()         ? "nothing differs: its artifact is finished"
                    : p.why.empty()   ? "no earlier artifact of this stage is in the store"
                                      : p.why.c_str());
  if (o.json)
    printEvent("plan", std::move(out));
  else
    std::printf("\nPlan: %d to run, %d cached.\n", toRun, cached);
  return o.failOnChange && toRun ? WouldChange : Done;
}

} // namespace r1::tool
