// r1c compile: any level of the compiler as text.
#include "compiler/syntax/Printer.h"
#include "compiler/tools/r1c/Execute.h"
#include "compiler/tools/r1c/Files.h"
#include "runtime/state/Files.h"
#include <algorithm>
#include <cstdio>
#include <filesystem>

namespace r1::tool {

namespace {

int fail(const std::string &text, int code) {
  // Diagnostics of the phases come rendered; everything else is one sentence.
  bool rendered = text.starts_with("error[") || text.starts_with("warning[");
  std::fprintf(stderr, rendered ? "%s\n" : "r1c compile: %s\n", text.c_str());
  return code;
}

/// Writes the levels: to standard output, one to the file -o, several (or those of several stages)
/// into the directory -o as [STAGE.]NN.level.ext.
int write(std::map<Phase, std::string> dumps, const Options &o, const std::string &prefix,
          bool oneStage = true) {
  std::erase_if(dumps, [](auto &d) { return d.second.empty(); }); // levels the input stands behind
  bool several = !oneStage || dumps.size() > 1 || (!o.out.empty() && std::filesystem::is_directory(o.out)) ||
                 o.out.ends_with("/");
  for (auto &[phase, text] : dumps) {
    const PhaseInfo &info = phases()[size_t(phase)];
    if (o.out.empty()) {
      if (dumps.size() > 1)
        std::printf("// ── %02d.%s%s%s\n", info.number, prefix.c_str(), prefix.empty() ? "" : ".", info.name);
      std::fwrite(text.data(), 1, text.size(), stdout);
      continue;
    }
    char file[64];
    std::snprintf(file, sizeof file, "%02d.%s.%s", info.number, info.name, info.extension);
    std::string path = o.out;
    if (several) {
      if (auto st = r1rt::makeDirs(o.out); !st)
        return fail(st.message(), CommandWrong);
      path = o.out + "/" + (prefix.empty() ? "" : prefix + ".") + file;
    }
    if (auto st = r1rt::writeFileAtomic(path, text); !st)
      return fail(st.message(), CommandWrong);
  }
  return Done;
}

/// DIR/NAME.cubin, for tools that read them.
int writeCubins(const CompiledStage &stage, const Options &o) {
  if (stage.cubins.empty())
    return Done;
  if (auto st = r1rt::makeDirs(o.out); !st)
    return fail(st.message(), CommandWrong);
  for (auto &[name, bytes] : stage.cubins)
    if (auto st = r1rt::writeFileAtomic(o.out + "/" + name + ".cubin", bytes); !st)
      return fail(st.message(), CommandWrong);
  return Done;
}

/// One line for each kernel; for CUDA with what ptxas says about it.
void printReport(const CompiledStage &stage, const Options &o) {
  bool cuda = o.target.starts_with("cuda");
  if (o.json) {
    for (const KernelReport &r : stage.report) {
      nlohmann::json event = {{"kernel", r.name}, {"kind", r.kind}, {"from", r.from},
                              {"launches", r.launches}, {"bytes", r.bytes}, {"flops", r.flops}};
      if (cuda)
        event.update({{"blocks", r.blocks}, {"threads", r.threads}, {"registers", r.registers},
                      {"spill_bytes", r.spillBytes}, {"shared_bytes", r.sharedBytes},
                      {"how", r.how}, {"seconds", r.seconds}});
      printEvent("kernel", std::move(event));
    }
    return;
  }
  // MB and GFLOP of one call, at least.
  std::printf("%-28s %-20s %-22s %6s %9s %8s", "kernel", "kind", "from", "calls", "MB", "GFLOP");
  if (cuda)
    std::printf(" %12s %5s %5s %7s  %s", "grid", "regs", "spill", "shared", "how");
  std::printf("\n");
  int spilled = 0;
  for (const KernelReport &r : stage.report) {
    std::printf("%-28s %-20s %-22s %6d %9.3f %8.3f", r.name.c_str(), r.kind.c_str(), r.from.c_str(),
                r.launches, double(r.bytes) / 1e6, double(r.flops) / 1e9);
    if (cuda && !r.blocks) { // a library's
      std::printf(" %12s %5s %5s %7s  %s", "-", "-", "-", "-", r.how.c_str());
    } else if (cuda) {
      std::string grid = std::to_string(r.blocks) + "x" + std::to_string(r.threads);
      std::printf(" %12s %5d %5d %7d  %s", grid.c_str(), r.registers, r.spillBytes, r.sharedBytes,
                  r.how.c_str());
      spilled += r.spillBytes > 0;
    }
    std::printf("\n");
  }
  int calls = 0;
  for (const KernelReport &r : stage.report)
    calls += r.launches;
  std::printf("%zu kernels, %d launches", stage.report.size(), calls);
  if (cuda)
    std::printf(", %d with spilled registers", spilled);
  std::printf("\n");
}

int writeAll(const CompiledStage &stage, const Options &o) {
  if (int code = writeCubins(stage, o))
    return code;
  if (o.report)
    printReport(stage, o);
  return write(stage.dumps, o, "");
}

} // namespace

int compileCommand(const Options &o) {
  CompileOptions co;
  co.kernel = o.onlyKernel;
  co.threads = o.threads;
  std::vector<Phase> front;
  std::vector<std::string> levels = o.emit;
  if (levels.empty() && !o.report)
    levels = {"plan"};
  for (const std::string &name : levels) {
    const PhaseInfo *p = findPhase(name);
    if (!p) {
      std::vector<std::string> names;
      std::string all;
      for (const PhaseInfo &q : phases())
        names.push_back(q.name), all += std::string(" ") + q.name;
      std::string near = nearest(name, names);
      return fail("--emit " + name + ": no such level" + (near.empty() ? "" : ", did you mean " + near + "?") +
                      "; levels are" + all, CommandWrong);
    }
    (p->phase <= Phase::check ? front : co.dump).push_back(p->phase);
  }
  co.report = o.report;
  if (o.target.starts_with("cuda")) {
    co.target = TargetKind::cuda;
    co.arch = archOf(o.target, co.arch);
  }
  // A store that is there keeps machine code; `compile` makes none.
  if (std::filesystem::is_directory(o.store))
    co.cacheDir = o.store + "/kernels";
  if (std::find(co.dump.begin(), co.dump.end(), Phase::cubin) != co.dump.end() && o.out.empty())
    return fail("cubin is not text: -o DIR writes one file for each kernel", CommandWrong);

  if (o.file.ends_with(".mlir")) {
    auto text = r1rt::readFile(o.file);
    if (!text)
      return fail(text.status().message(), CommandWrong);
    if (!front.empty())
      return fail("MLIR text has no levels syntax and check", CommandWrong);
    CompileError error;
    auto compiled = compileText(*text, o.file, co, error);
    if (!compiled)
      return fail(error.message, error.exit);
    return writeAll(*compiled, o);
  }

  auto [file, name] = splitFileAndName(o.file);
  Session session(o);
  if (!session.load(file))
    return session.exit;
  std::map<Phase, std::string> dumps;
  for (Phase p : front)
    if (p == Phase::syntax)
      dumps[p] = dump(*session.program->main->files[0], session.sources);
  bool checkToo = std::find(front.begin(), front.end(), Phase::check) != front.end();
  if (!checkToo && co.dump.empty() && !co.report)
    return write(dumps, o, "");

  // A file of tests only: what they look at, a program for each.
  const auto &decls = session.program->main->files[0]->decls;
  if (name.empty() && !session.program->main->tests.empty() &&
      std::none_of(decls.begin(), decls.end(), [](const Decl *d) { return d->kind == Decl::Pipeline; })) {
    std::vector<TestResult> tests = session.analysis->runTests();
    session.printDiags();
    std::vector<const GraphFn *> functions;
    for (const TestResult &t : tests) {
      if (!t.passed)
        return ProgramWrong;
      if (!t.graph->results.empty())
        functions.push_back(t.graph.get());
    }
    CompileError error;
    auto compiled = compileFunctions(functions, session.sources, co, error);
    return compiled ? writeAll(*compiled, o) : fail(error.message, error.exit);
  }

  // FILE:NAME is a stage here; the pipeline is the only one or main.
  if (!session.elaborateFor(name))
    return session.exit;
  const Elaboration &program = *session.elaboration;
  if (checkToo)
    dumps[Phase::check] = dumpElaboration(program);
  // Without a stage's name, irgen shows the stages themselves.
  if (auto irgen = std::find(co.dump.begin(), co.dump.end(), Phase::irgen);
      name.empty() && irgen != co.dump.end()) {
    CompileError error;
    dumps[Phase::irgen] = emitPipeline(program, session.sources, error);
    if (dumps[Phase::irgen].empty())
      return fail(error.message, error.exit);
    co.dump.erase(irgen);
  }
  if (co.dump.empty() && !co.report)
    return write(dumps, o, "");
  bool found = false;
  auto wanted = [&, &stage = name](const Stage &s) {
    return !s.entries.empty() && (stage.empty() || s.name == stage);
  };
  bool oneStage = std::count_if(program.stages.begin(), program.stages.end(), wanted) == 1;
  for (const Stage &s : program.stages) {
    if (!wanted(s))
      continue;
    CompileError error;
    CompileOptions placed = placedOptions(o, s);
    placed.target = co.target, placed.arch = co.arch;
    placed.dump = co.dump, placed.kernel = co.kernel, placed.report = co.report;
    placed.cacheDir = co.cacheDir;
    const Programs programs = programsOf(s, placed);
    auto compiled = compileStage(program, s, programs.entries, session.sources, programs.options, error);
    if (!compiled)
      return fail(error.message, error.exit);
    auto all = dumps;
    all.insert(compiled->dumps.begin(), compiled->dumps.end());
    all.erase(Phase::cubin);
    if (int code = writeCubins(*compiled, o))
      return code;
    if (o.report)
      printReport(*compiled, o);
    if (int code = write(std::move(all), o, oneStage ? "" : s.name, oneStage))
      return code;
    dumps.clear();
    found = true;
  }
  if (!found)
    return fail(name.empty() ? file + " has no stage with a model" : "no model stage `" + name + "` in " + file,
                CommandWrong);
  return Done;
}

} // namespace r1::tool
