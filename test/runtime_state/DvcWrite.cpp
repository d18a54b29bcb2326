// The worker of test/bench/data_dvc.py: writes DVC's files for what is in a directory.
//
//   dvc-write ROOT add PATH                          ROOT/PATH.dvc
//   dvc-write ROOT stage NAME CMD DEP… -- OUT…       ROOT/dvc.yaml, ROOT/dvc.lock
#include "runtime/state/Dvc.h"
#include "runtime/state/Files.h"
#include <cstdio>

using namespace r1rt;

static Status run(const std::vector<std::string> &args) {
  if (args.size() == 3 && args[1] == "add") {
    R1RT_ASSIGN(dvc::Item item, dvc::itemAt(args[0], args[2]));
    return writeFileAtomic(args[0] + "/" + args[2] + ".dvc", dvc::dvcFile(item));
  }
  if (args.size() < 4 || args[1] != "stage")
    return Status::error("dvc-write ROOT add PATH, or dvc-write ROOT stage NAME CMD DEP… -- OUT…");
  dvc::Stage stage{args[2], args[3], {}, {}};
  bool outs = false;
  for (size_t i = 4; i < args.size(); ++i) {
    if (args[i] == "--") {
      outs = true;
      continue;
    }
    R1RT_ASSIGN(dvc::Item item, dvc::itemAt(args[0], args[i]));
    (outs ? stage.outs : stage.deps).push_back(item);
  }
  R1RT_TRY(writeFileAtomic(args[0] + "/dvc.yaml", dvc::dvcYaml({stage})));
  return writeFileAtomic(args[0] + "/dvc.lock", dvc::dvcLock({stage}));
}

int main(int argc, char **argv) {
  Status s = run({argv + 1, argv + argc});
  if (!s.isOk())
    std::fprintf(stderr, "%s\n", s.message().c_str());
  return s.exitCode();
}
