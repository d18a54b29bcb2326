// r1c inspect: an artifact by stage or fingerprint, or a safetensors file.
#include "compiler/tools/r1c/Files.h"
#include "compiler/tools/r1c/InspectCorpus.h"
#include "compiler/tools/r1c/InspectRun.h"
#include "compiler/tools/r1c/Plan.h"
#include "runtime/state/Safetensors.h"
#include <cstdio>
#include <filesystem>
#include <set>

using nlohmann::json;
namespace fs = std::filesystem;

namespace r1::tool {

namespace {

int fail(const Options &o, const r1rt::Status &st) { return Session(o).fail("inspect", st); }

int showTensors(const std::string &path, const Options &o) {
  std::error_code ec;
  if (!fs::exists(path, ec))
    return fail(o, r1rt::Status::error("there is no file `" + path + "`", r1rt::ExitClass::commandLine));
  auto file = r1rt::SafetensorsFile::open(path);
  if (!file)
    return fail(o, file.status());
  uint64_t bytes = 0;
  json list = json::array();
  for (const r1rt::TensorView &t : file->index().tensors) {
    bytes += t.data.size();
    if (o.json)
      list.push_back({{"name", t.name}, {"dtype", t.dtype}, {"shape", t.shape}});
    else
      std::printf("%-5s %-20s %s\n", t.dtype.c_str(), r1rt::shapeText(t.shape).c_str(), t.name.c_str());
  }
  if (o.json)
    printEvent("tensors", {{"file", path}, {"tensors", list}, {"metadata", file->index().metadata}});
  else {
    for (auto &[key, value] : file->index().metadata)
      std::printf("%s = %s\n", key.c_str(), value.c_str());
    std::printf("%zu tensors, %s\n", file->index().tensors.size(), r1rt::bytesText(bytes).c_str());
  }
  return Done;
}

int showArtifact(const std::string &fingerprint, r1rt::Store &store, const Options &o) {
  auto manifest = store.manifest(fingerprint);
  if (!manifest)
    return fail(o, manifest.status());
  std::string dir = store.dir(fingerprint);
  json files = json::object();
  for (const char *kind : {"model", "state"})
    if (fs::exists(dir + "/" + kind + ".safetensors"))
      files[kind] = fs::absolute(dir + "/" + kind + ".safetensors").string();
  const char *states[] = {"absent", "interrupted", "finished"};
  const char *state = states[int(store.state(fingerprint))];
  if (o.json) {
    json event = {{"stage", manifest->value("stage", "")}, {"fingerprint", fingerprint},
                  {"state", state}, {"dir", dir}, {"files", files}, {"manifest", *manifest}};
    if (std::string damage = store.damage(fingerprint); !damage.empty())
      event["damage"] = damage;
    printEvent("artifact", std::move(event));
    return Done;
  }
  std::printf("%s %s of pipeline %s: %s\n", manifest->value("kind", "").c_str(),
              manifest->value("stage", "").c_str(), manifest->value("pipeline", "").c_str(), state);
  std::printf("  %s\n", dir.c_str());
  const json reads = manifest->value("reads", json::object());
  const json spec = manifest->value("spec", json::object());
  const json listed = manifest->value("files", json::object());
  // What the stage reported stands beside what the store wrote.
  static const std::set<std::string> own = {"stage", "pipeline", "kind", "spec", "shown", "components", "reads",
                                            "overrides", "numerics", "target", "shards", "bits", "version", "time", "v",
                                            "fingerprint", "state", "files", "hashes"};
  for (auto &[name, fp] : reads.items())
    std::printf("  reads     %-12s %s\n", name.c_str(), fp.get<std::string>().c_str());
  for (auto &[key, value] : spec.items()) {
    std::printf("  argument  %-12s %s\n", key.c_str(), argumentText(manifest->value("shown", json()), key, value).c_str());
  }
  for (auto &[key, value] : manifest->items())
    if (!own.count(key))
      std::printf("  result    %-12s %s\n", key.c_str(), value.dump().c_str());
  for (auto &[file, size] : listed.items())
    std::printf("  file      %-24s %s bytes\n", file.c_str(), size.dump().c_str());
  if (r1rt::Status st = showCurves(dir); !st)
    return fail(o, st);
  if (holdsRows(*manifest) && store.state(fingerprint) == r1rt::ArtifactState::finished)
    if (r1rt::Status st = showAccount(dir); !st)
      return fail(o, st);
  if (std::string damage = store.damage(fingerprint); !damage.empty())
    std::printf("  damaged   %s; the next run makes it again\n", damage.c_str());
  return Done;
}

/// The fingerprint that FILE.r1:STAGE or the beginning of a fingerprint means. `code` is the exit code
/// after a message.
std::string artifactNamed(const std::string &what, r1rt::Store &store, const Options &o, int &code) {
  auto wrong = [&](const r1rt::Status &st) {
    code = fail(o, st);
    return std::string();
  };
  auto [file, name] = splitFileAndName(what);
  if (name.empty()) {
    std::string found;
    for (const std::string &fp : store.list())
      if (fp.starts_with(what)) {
        if (!found.empty())
          return wrong(r1rt::Status::error("`" + what + "` begins several fingerprints",
                                           r1rt::ExitClass::commandLine));
        found = fp;
      }
    if (found.empty())
      return wrong(r1rt::Status::error("`" + what + "` is neither FILE.r1:STAGE, nor a .safetensors file, "
                                       "nor a fingerprint in " + o.store, r1rt::ExitClass::commandLine));
    return found;
  }
  Session session(o);
  if (!session.load(file) || !session.elaborateFor(name)) {
    code = session.exit;
    return "";
  }
  auto plan = planStages(*session.elaboration, &store, o);
  if (!plan)
    return wrong(plan.status());
  for (const PlannedStage &p : *plan)
    if (p.stage->name == name) {
      if (p.state == r1rt::ArtifactState::absent)
        return wrong(r1rt::Status::error("stage `" + name + "` has no artifact with these settings" +
                                         (p.why.empty() ? "" : ": " + p.why)));
      return p.fingerprint;
    }
  return wrong(r1rt::Status::error("no stage `" + name + "` in " + file, r1rt::ExitClass::commandLine));
}

} // namespace

int inspectCommand(const Options &o) {
  if (o.file.ends_with(".safetensors"))
    return showTensors(o.file, o);
  auto store = r1rt::Store::look(o.store);
  if (!store)
    return fail(o, store.status());
  int code = Done;
  std::string mine = artifactNamed(o.file, **store, o, code), other;
  if (!mine.empty() && !o.other.empty())
    other = artifactNamed(o.other, **store, o, code);
  if (code != Done)
    return code;
  if (!other.empty() || !o.row.empty() || o.verify || o.clusters || !o.html.empty()) {
    r1rt::Status st = !o.html.empty()  ? writePage(mine, **store, o)
                      : !other.empty()   ? compareCorpora(mine, other, **store, o)
                      : !o.row.empty() ? showRow(mine, **store, o)
                      : o.clusters     ? showClusters(mine, **store, o)
                                       : verifyArtifact(mine, **store, o);
    return st ? Done : fail(o, st);
  }
  return showArtifact(mine, **store, o);
}

} // namespace r1::tool
