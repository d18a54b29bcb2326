#include "compiler/tools/r1c/Foresee.h"
#include "compiler/tools/r1c/Execute.h"
#include "compiler/tools/r1c/Memory.h"
#include <algorithm>

using r1rt::Result;
using r1rt::Status;

namespace r1::tool {

namespace {

/// Bytes of the weights that an average of them takes.
uint64_t trainedBytes(const Stage &s) {
  uint64_t floats = 0;
  for (const Leaf &leaf : s.leaves) {
    uint64_t n = leaf.trainable;
    for (auto &d : leaf.type.dims)
      n *= uint64_t(d.size);
    floats += n;
  }
  return 4 * floats;
}

} // namespace

CompileOptions placedOptions(const Options &options, const Stage &stage) {
  CompileOptions o;
  const Placement placed = placementOf(stage);
  o.threads = options.threads ? options.threads : placed.threads;
  o.micro = options.micro;
  o.exact = placed.bits == "exact";
  o.remat = placed.remat;
  o.shards = stage.kind == "train" ? placed.shards : 1;
  if (emulates(options.target)) {
    o.target = TargetKind::cudaEmu;
    o.arch = archOf(options.target, "sm_80");
  }
  if (options.target == "cuda")
    o.target = TargetKind::cuda;
  return o;
}

int64_t contextOf(const Stage &s, std::string_view input) {
  for (const auto &e : s.entries)
    if (e->name == "logits")
      for (const Node *in : e->inputs)
        if (in->name == input)
          return in->type.dims.back().size;
  return 0;
}

Programs writerOf(const Stage &stage, int64_t rows, CompileOptions placed) {
  Programs p{{"decode", "prefill"}, std::move(placed)};
  // Whether `prefill` or `decode` reads a token, and beside how many others, depends on the clock: a GPU's
  // products must have the same bits in both.
  p.options.exact = true;
  p.options.decode.rows = rows;
  p.options.decode.slots = contextOf(stage);
  p.options.decode.chunk = std::min(p.options.decode.chunk, p.options.decode.slots);
  // A CPU is busy with one source, and so computes none for nothing; a GPU takes about as long for several.
  if (const int64_t source = contextOf(stage, "source.id"); source && p.options.target == TargetKind::cuda)
    p.options.decode.sources = std::max<int64_t>(1, 1024 / source);
  p.options.decode.orRecompute = true;
  return p;
}

Programs programsOf(const Stage &stage, CompileOptions placed) {
  if (stage.kind == "generate")
    return writerOf(stage, stage.spec.value("batch", int64_t(1)), std::move(placed));
  // Of a training what its steps and measures run, for each bucket of rows: "loss", "loss@64" …
  Programs p{{}, std::move(placed)};
  for (const auto &e : stage.entries) {
    std::string name = e->name.substr(0, e->name.find('@'));
    if (stage.kind != "train" || name == "loss" || name == "update" || (name == "eval" && stage.measures))
      p.entries.push_back(e->name);
  }
  return p;
}

std::string recomputeText(const Stage &stage, const CompiledStage &compiled) {
  if (compiled.recomputes.empty())
    return "";
  return stage.name + "  each token is computed with " + (contextOf(stage, "source.id") ? "its source and " : "") +
         "all before it: " + compiled.recomputes;
}

Result<Foreseen> foresee(const Session &session, const Stage &stage, const CompileOptions &placed) {
  Foreseen f;
  if (stage.entries.empty() || stage.kind == "checkpoint") // whoever uses its model compiles that
    return f;
  Programs p = programsOf(stage, placed);
  p.options.dump = {Phase::plan};
  p.options.workspace = true;
  CompileError error;
  f.compiled = compileStage(*session.elaboration, stage, p.entries, session.sources, p.options, error);
  if (!f.compiled)
    return Status::error(error.message, exitClass(error.exit));
  const auto threads = uint64_t(placed.threads ? placed.threads : r1rt::Device::cores());
  f.memory = f.compiled->memory;
  std::erase_if(f.memory, [&](const MemoryLine &l) { // of gradients there is nothing to say where nothing trains
    return stage.kind != "train" && !l.bytes && (l.what == "gradients" || l.what == "optimiser state");
  });
  f.memory.push_back({"workspace of " + std::to_string(threads) + (threads == 1 ? " thread" : " threads"),
                      f.compiled->scratchBytes * threads});
  if (stage.spec.contains("ema"))
    f.memory.push_back({"weights aside of averages", trainedBytes(stage)});
  if (stage.kind == "train")
    f.memory.push_back({"data, about", MemoryWatch::estimateData(fileBytes(stage))});
  f.memory.push_back({"logs and stacks", MemoryWatch::reserve});
  for (const MemoryLine &line : f.memory)
    f.peak += line.bytes;
  return f;
}

} // namespace r1::tool
