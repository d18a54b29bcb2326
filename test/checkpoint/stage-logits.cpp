// stage-logits FILE.r1:STAGE WEIGHTS IDS LOGITS: the scores that a model gives for the tokens IDS ("3,1,4") with
// the weights of an artifact, compared with the file LOGITS (f32 [tokens, vocab]). Prints the largest
// difference; fails if it is above 1e-5 of the largest score, or of 1 if that is less.
#include "compiler/Compiler.h"
#include "compiler/eval/Eval.h"
#include "runtime/device/Executor.h"
#include "runtime/stages/Weights.h"
#include "runtime/state/Files.h"
#include <cmath>
#include <cstdio>
#include <cstring>
#include <sstream>

using namespace r1;

namespace {

[[noreturn]] void die(const std::string &why) {
  std::fprintf(stderr, "stage-logits: %s\n", why.c_str());
  std::exit(1);
}

template <class T> T must(r1rt::Result<T> r) {
  if (!r)
    die(r.status().message());
  return r.take();
}
void must(const r1rt::Status &s) {
  if (!s)
    die(s.message());
}

} // namespace

int main(int argc, char **argv) {
  if (argc != 5)
    die("FILE.r1:STAGE WEIGHTS IDS LOGITS");
  std::string what = argv[1];
  size_t at = what.rfind(".r1:");
  if (at == std::string::npos)
    die("expected FILE.r1:STAGE, found " + what);
  SourceManager sources;
  DiagEngine diags;
  LoadOptions load;
  load.stdlib = STDLIB;
  auto program = loadProgram(what.substr(0, at + 3), load, sources, diags);
  std::unique_ptr<Analysis> analysis;
  std::unique_ptr<Elaboration> all;
  if (program && !diags.hasErrors()) {
    analysis = std::make_unique<Analysis>(*program, sources, diags);
    analysis->check();
    if (!diags.hasErrors())
      all = analysis->elaborate(analysis->pipeline(""));
  }
  if (!all) {
    for (const Diag &d : diags.all())
      std::fputs(render(d, sources).c_str(), stderr);
    return 1;
  }
  const Stage *stage = nullptr;
  for (const Stage &s : all->stages)
    if (s.name == what.substr(at + 4))
      stage = &s;
  if (!stage)
    die("no stage " + what.substr(at + 4));

  CompileError error;
  auto compiled = compileStage(*all, *stage, {"logits"}, sources, {}, error);
  if (!compiled)
    die(error.message);
  auto device = must(r1rt::Device::createCpu(2));
  auto exec = must(r1rt::Executor::create(*device, *compiled->module));
  (void)must(r1rt::loadLeaves(*exec, argv[2], "", /*all=*/true));
  must(r1rt::leavesWritten(*exec));

  std::vector<int32_t> ids;
  std::stringstream list(argv[3]);
  for (std::string id; std::getline(list, id, ',');)
    ids.push_back(std::stoi(id));
  const r1_program *p = exec->program("logits");
  auto *id = r1rt::findField(p->inputs, p->n_inputs, "x.id"), *pos = r1rt::findField(p->inputs, p->n_inputs, "x.pos"),
       *seg = r1rt::findField(p->inputs, p->n_inputs, "x.seg"), *out = r1rt::findField(p->outputs, p->n_outputs, "logits");
  if (!id || !out || out->rank != 3 || int64_t(ids.size()) > id->dims[1])
    die("the program takes rows of fewer tokens, or gives no logits");
  for (int64_t t = 0; t < id->dims[1]; ++t) {
    bool in = t < int64_t(ids.size());
    reinterpret_cast<int32_t *>(exec->at(*id))[t] = in ? ids[size_t(t)] : 0;
    if (pos)
      reinterpret_cast<int32_t *>(exec->at(*pos))[t] = in ? int32_t(t) : 0;
    if (seg)
      reinterpret_cast<int32_t *>(exec->at(*seg))[t] = in ? 0 : -1;
  }
  must(exec->run(*p));
  const float *mine = reinterpret_cast<const float *>(exec->at(*out));

  std::string file = must(r1rt::readFile(argv[4]));
  size_t n = ids.size() * size_t(out->dims[2]);
  if (file.size() != n * sizeof(float))
    die(std::string(argv[4]) + " has " + std::to_string(file.size()) + " bytes, not those of " + std::to_string(n) +
        " scores");
  double most = 0, largest = 1;
  for (size_t i = 0; i < n; ++i) {
    float theirs;
    std::memcpy(&theirs, file.data() + i * sizeof theirs, sizeof theirs);
    largest = std::max(largest, std::fabs(double(theirs)));
    most = std::max(most, std::isfinite(mine[i]) ? std::fabs(double(mine[i]) - double(theirs)) : INFINITY);
  }
  std::printf("%zu scores up to %.3g, the largest difference %.2g\n", n, largest, most);
  return most <= 1e-5 * largest ? 0 : 1;
}
