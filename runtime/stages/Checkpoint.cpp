#include "runtime/stages/Checkpoint.h"
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>

namespace r1rt {

namespace fs = std::filesystem;
static const char *const newest = "/checkpoint.safetensors";
static const char *const previous = "/checkpoint.previous.safetensors";
static const char *const bestFile = "/best.safetensors";

static Result<std::vector<TensorView>> allViews(const Executor &e) {
  std::vector<TensorView> out = leafViews(e);
  for (TensorView &t : out)
    t.name = "w." + t.name;
  R1RT_ASSIGN(std::vector<TensorView> states, stateViews(e));
  for (TensorView &t : states) {
    t.name = "s." + t.name;
    out.push_back(std::move(t));
  }
  return out;
}

Status saveCheckpoint(const Executor &e, const std::string &dir, const Progress &p) {
  R1RT_ASSIGN(std::vector<TensorView> tensors, allViews(e));
  std::error_code ec;
  if (fs::exists(dir + newest, ec)) {
    // The newest stays under its name until it is replaced, so that one is always there.
    fs::remove(dir + previous, ec);
    fs::create_hard_link(dir + newest, dir + previous, ec);
  }
  char seconds[40];
  std::snprintf(seconds, sizeof seconds, "%.6f", p.seconds);
  Status st = writeSafetensors(dir + newest, tensors,
                               {{"step", std::to_string(p.step)},
                                {"taken", std::to_string(p.taken)},
                                {"skipped", std::to_string(p.skipped)},
                                {"skipped_in_row", std::to_string(p.skippedInRow)},
                                {"policies", p.policies.dump()},
                                {"seconds", seconds},
                                {"targets", std::to_string(p.targets)},
                                {"order", p.order.dump()},
                                {"xxh64", hashOf(tensors)}});
  return st.withContext("checkpoint of step " + std::to_string(p.step));
}

static Result<Progress> load(Executor &e, const std::string &file) {
  R1RT_ASSIGN(SafetensorsFile f, SafetensorsFile::open(file));
  R1RT_ASSIGN(std::vector<TensorView> own, allViews(e));
  auto &meta = f.index().metadata;
  auto text = [&](const char *key) {
    auto it = meta.find(key);
    return it == meta.end() ? std::string() : it->second;
  };
  auto number = [&](const char *key) { return std::strtoull(text(key).c_str(), nullptr, 10); };
  Progress p;
  p.step = number("step");
  p.taken = number("taken");
  p.skipped = number("skipped");
  p.skippedInRow = uint32_t(number("skipped_in_row"));
  p.seconds = std::strtod(text("seconds").c_str(), nullptr);
  p.targets = number("targets");
  p.order = nlohmann::json::parse(text("order"), nullptr, /*allow_exceptions=*/false);
  p.policies = nlohmann::json::parse(text("policies"), nullptr, /*allow_exceptions=*/false);
  if (!p.step || f.index().tensors.size() != own.size())
    return Status::error("`" + file + "` is not a checkpoint of this stage");
  for (const TensorView &t : own) {
    const TensorView *from = f.find(t.name);
    if (!from || from->shape != t.shape || from->dtype != "F32")
      return Status::error("`" + file + "` is not a checkpoint of this stage: tensor `" + t.name +
                           "` is missing or has another shape");
  }
  if (text("xxh64").empty())
    return Status::error("`" + file + "` is damaged: it does not say which hash it has");
  R1RT_TRY(checkHash(f, file));
  for (const TensorView &t : own) {
    const TensorView *from = f.find(t.name);
    std::memcpy(const_cast<char *>(t.data.data()), from->data.data(), t.data.size());
    f.release(*from);
  }
  return p;
}

Result<Progress> loadCheckpoint(Executor &e, const std::string &dir,
                                const std::function<void(const std::string &)> &warn) {
  std::error_code ec;
  for (const char *name : {newest, previous}) {
    if (!fs::exists(dir + name, ec))
      continue;
    auto p = load(e, dir + name);
    if (p)
      return p;
    if (warn)
      warn("a checkpoint is passed over: " + p.status().message());
  }
  return Progress();
}

uint64_t checkpointBytes(const std::string &dir) {
  uint64_t bytes = 0;
  for (const char *name : {newest, previous}) {
    std::error_code ec;
    uint64_t n = fs::file_size(dir + name, ec);
    bytes += ec ? 0 : n;
  }
  return bytes;
}

Status saveBestWeights(const Executor &e, const std::string &dir, uint64_t step) {
  std::vector<TensorView> leaves = leafViews(e);
  return writeSafetensors(dir + bestFile, leaves, {{"step", std::to_string(step)}, {"xxh64", hashOf(leaves)}})
      .withContext("best weights of step " + std::to_string(step));
}

Status loadBestWeights(Executor &e, const std::string &dir) {
  auto n = loadLeaves(e, dir + bestFile, "", true);
  return n ? Status::ok() : n.status();
}

Result<uint64_t> bestStep(const std::string &dir) {
  R1RT_ASSIGN(SafetensorsFile f, SafetensorsFile::open(dir + bestFile));
  R1RT_TRY(checkHash(f, dir + bestFile));
  auto step = f.index().metadata.find("step");
  return step == f.index().metadata.end() ? 0 : uint64_t(std::strtoull(step->second.c_str(), nullptr, 10));
}

void removeCheckpoints(const std::string &dir) {
  std::error_code ec;
  fs::remove(dir + bestFile, ec);
  fs::remove(dir + newest, ec);
  fs::remove(dir + previous, ec);
}

} // namespace r1rt
