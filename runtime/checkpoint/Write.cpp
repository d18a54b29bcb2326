#include "runtime/checkpoint/Assemble.h"
#include "runtime/checkpoint/Checkpoint.h"
#include "runtime/checkpoint/Config.h"
#include "runtime/checkpoint/Families.h"
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <set>

namespace r1rt::checkpoint {

using nlohmann::ordered_json;

namespace {

Status wrong(const std::string &what) { return Status::error(what, ExitClass::program); }

uint64_t bytesOf(const Assembled &t) { return uint64_t(t.rows()) * uint64_t(t.columns()) * sizeof(float); }

/// Tensors as the family calls and shapes them, in the order of the leaves.
Result<std::vector<Assembled>> theirTensors(const Export &job, const Written &as, const SafetensorsFile &weights) {
  const Family &family = familyOf(as.type);
  const std::string prefix = as.generates || job.model == "MaskedLM" ? family.prefix : "";
  std::vector<Assembled> out;
  std::map<std::string, size_t> places;
  for (const Leaf &leaf : job.leaves) {
    const auto found = ruleOf(family, leaf.path, job.model == "MaskedLM");
    if (!found || leaf.shape.empty() || leaf.shape.size() > 2)
      return wrong("the parameter `" + leaf.path + "` " + shapeText(leaf.shape) + " of `" + job.model +
                   "` has no counterpart in " + as.type);
    const TensorView *t = weights.find(leaf.path);
    if (!t || t->shape != leaf.shape || t->dtype != "F32")
      return wrong("`" + job.weights + "` has " +
                   (t ? "`" + leaf.path + "` as " + t->dtype + " " + shapeText(t->shape) + ", not as F32 " +
                            shapeText(leaf.shape)
                      : "no tensor `" + leaf.path + "`"));
    Part part{t, &weights, found->rule->layout == Layout::transposed, 0, leaf.shape.back()};
    std::vector<int64_t> shape = leaf.shape;
    if (part.transposed) {
      std::reverse(shape.begin(), shape.end());
      part.columns = shape.back();
    }
    std::string name = numbered(fullPattern(found->rule->tensor, prefix), found->layer);
    auto [at, fresh] = places.emplace(name, out.size());
    if (fresh) {
      out.push_back({name, shape, {part}});
    } else { // the second and the last third: leaves come in that order
      out[at->second].shape.back() += part.columns;
      out[at->second].parts.push_back(part);
    }
  }
  return out;
}

std::string text(const ordered_json &j) {
  return j.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

/// One file, or shards of at most `most` bytes (a larger tensor has one of its own) and their index.
Status writeWeights(const std::vector<Assembled> &tensors, uint64_t most, const std::string &dir) {
  const std::map<std::string, std::string> metadata = {{"format", "pt"}};
  std::vector<size_t> begins = {0};
  uint64_t total = 0, inShard = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    uint64_t bytes = bytesOf(tensors[i]);
    if (inShard && inShard + bytes > most) {
      begins.push_back(i);
      inShard = 0;
    }
    inShard += bytes;
    total += bytes;
  }
  begins.push_back(tensors.size());
  R1RT_TRY(requireSpace(dir, total + (1 << 20), "the weights"));
  const size_t n = begins.size() - 1;
  if (n == 1)
    return writeAssembled(dir + "/model.safetensors", tensors, metadata, /*hash=*/false);
  ordered_json index = {{"metadata", {{"total_size", total}}}, {"weight_map", ordered_json::object()}};
  for (size_t s = 0; s < n; ++s) {
    char name[64];
    std::snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", s + 1, n);
    std::span<const Assembled> part(tensors.data() + begins[s], begins[s + 1] - begins[s]);
    for (const Assembled &t : part)
      index["weight_map"][t.name] = name;
    R1RT_TRY(writeAssembled(dir + "/" + name, part, metadata, /*hash=*/false));
  }
  return writeFileAtomic(dir + "/model.safetensors.index.json", text(index));
}

} // namespace

Status canWrite(const Export &job, const std::string &dir) {
  std::error_code ec;
  for (const char *old : {"config.json", "model.safetensors", "model.safetensors.index.json"})
    if (std::filesystem::exists(dir + "/" + old, ec))
      return wrong("`" + dir + "` has a " + old + " already; give a folder without a model");
  R1RT_ASSIGN(Written as, configOf(job.model, job.args, job.positions));
  R1RT_ASSIGN(SafetensorsFile weights, SafetensorsFile::open(job.weights));
  auto tensors = theirTensors(job, as, weights);
  return tensors ? Status::ok() : tensors.status();
}

Status write(const Export &job, const std::string &dir) {
  R1RT_TRY(canWrite(job, dir));
  R1RT_ASSIGN(Written as, configOf(job.model, job.args, job.positions));
  R1RT_ASSIGN(SafetensorsFile weights, SafetensorsFile::open(job.weights));
  R1RT_TRY(checkHash(weights, job.weights));
  R1RT_ASSIGN(std::vector<Assembled> tensors, theirTensors(job, as, weights));
  R1RT_TRY(makeDirs(dir));
  R1RT_TRY(writeWeights(tensors, job.shardBytes, dir));
  ordered_json ids = ordered_json::object();
  for (auto [name, id] : {std::pair{"bos_token_id", job.bos}, {"eos_token_id", job.eos}, {"pad_token_id", job.pad}})
    ids[name] = id < 0 ? ordered_json() : ordered_json(id);
  if (as.generates) {
    ordered_json generation = {{"_from_model_config", true}};
    for (auto &[name, id] : ids.items())
      if (!id.is_null())
        generation[name] = id;
    R1RT_TRY(writeFileAtomic(dir + "/generation_config.json", text(generation)));
  }
  for (auto &[name, id] : ids.items())
    as.config[name] = id;
  as.config["torch_dtype"] = "float32";
  return writeFileAtomic(dir + "/config.json", text(as.config));
}

} // namespace r1rt::checkpoint
