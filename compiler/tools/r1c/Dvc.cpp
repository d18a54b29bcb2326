#include "compiler/tools/r1c/Dvc.h"
#include "runtime/source/Globs.h"
#include "runtime/state/Dvc.h"
#include "runtime/state/Files.h"
#include <filesystem>
#include <set>

namespace r1::tool {

namespace dvc = r1rt::dvc;
namespace fs = std::filesystem;

/// As a shell reads it as one word.
static std::string quoted(const std::string &text) {
  if (text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./:,@%") == text.npos)
    return text;
  std::string out = "'";
  for (char c : text)
    out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

static const char head[] = "# Written by `r1c run --dvc`.\n";

r1rt::Status writeDvc(const std::vector<PlannedStage> &plan, const r1rt::Store &store, const Options &o) {
  std::error_code ec;
  if (fs::exists("dvc.yaml", ec)) {
    R1RT_ASSIGN(std::string there, r1rt::readFile("dvc.yaml"));
    if (!there.starts_with(head))
      return r1rt::Status::error("there is a dvc.yaml that r1c has not written; help: move it away, or run "
                                 "without --dvc",
                                 r1rt::ExitClass::commandLine);
  }
  auto artifact = [&](const PlannedStage &p) { return fs::path(store.dir(p.fingerprint)).lexically_normal().string(); };
  auto isFinished = [&](const PlannedStage &p) {
    return p.selected && store.state(p.fingerprint) == r1rt::ArtifactState::finished;
  };
  std::map<std::string, dvc::Item> seen; // many stages read the same
  auto item = [&](const std::string &path) -> r1rt::Result<dvc::Item> {
    auto it = seen.find(path);
    if (it == seen.end()) {
      R1RT_ASSIGN(dvc::Item made, dvc::itemAt("", path));
      it = seen.emplace(path, std::move(made)).first;
    }
    return it->second;
  };
  std::string sets;
  for (const std::string &set : o.sets)
    sets += " --set " + quoted(set);
  std::vector<dvc::Stage> stages;
  for (const PlannedStage &p : plan) {
    if (!isFinished(p))
      continue;
    dvc::Stage s;
    s.name = p.stage->name;
    std::replace(s.name.begin(), s.name.end(), '.', '-');
    s.cmd = "r1c run " + quoted(o.file) + " --only " + p.stage->name + sets +
            (o.store == Options().store ? "" : " --store " + quoted(o.store));
    std::set<std::string> deps;
    for (const std::string &pattern : p.stage->files) {
      R1RT_ASSIGN(std::vector<std::string> files, r1rt::source::expandGlobs({pattern}));
      deps.insert(files.begin(), files.end());
    }
    for (const std::string &r : p.stage->reads)
      for (const PlannedStage &q : plan)
        if (q.stage->name == r && isFinished(q))
          deps.insert(artifact(q));
    for (const std::string &d : deps) {
      R1RT_ASSIGN(dvc::Item made, item(d));
      s.deps.push_back(std::move(made));
    }
    R1RT_ASSIGN(dvc::Item out, item(artifact(p)));
    s.outs.push_back(std::move(out));
    stages.push_back(std::move(s));
  }
  R1RT_TRY(r1rt::writeFileAtomic("dvc.yaml", head + dvc::dvcYaml(stages)));
  return r1rt::writeFileAtomic("dvc.lock", head + dvc::dvcLock(stages));
}

} // namespace r1::tool
