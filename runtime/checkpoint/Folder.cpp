#include "runtime/checkpoint/Assemble.h"
#include "runtime/checkpoint/Checkpoint.h"
#include "runtime/checkpoint/Config.h"
#include "runtime/checkpoint/Families.h"
#include <algorithm>
#include <cstring>
#include <filesystem>
#include <set>

namespace fs = std::filesystem;

namespace r1rt::checkpoint {

using nlohmann::json;

namespace {

Status wrong(const std::string &what) { return Status::error(what, ExitClass::program); }

bool isFile(const std::string &path) {
  std::error_code ec;
  return fs::is_regular_file(path, ec);
}

std::string inFile(const std::string &path) { return fs::path(path).filename().string(); }

/// What to do where there is no file of tensors.
std::string pickledHint(const std::string &dir) {
  for (const char *name : {"pytorch_model.bin", "pytorch_model.bin.index.json", "model.bin", "pytorch_model.pt"})
    if (isFile(dir + "/" + name))
      return "; `" + std::string(name) +
             "` is pickled, which can run code and is not read: save the model again with safetensors "
             "(model.save_pretrained in `transformers`)";
  return "";
}

} // namespace

/// Finds the tensor of each leaf, and what no leaf asks for.
class Matcher {
public:
  explicit Matcher(const Folder &f) : f(f), family(familyOf(f.about.type)) {
    if (f.tensors.contains(family.prefix + std::string(family.anchor)))
      prefix = family.prefix;
  }
  Result<std::vector<Assembled>> run(const std::vector<Leaf> &leaves);
  /// Tensors that are said to be copies are: of the same bytes.
  Status checkCopies() const;

private:
  Result<Part> find(const Leaf &leaf, const Rule &rule, int64_t layer);
  Status missing(const std::string &name, const Rule &rule, int64_t layer) const;
  const Spare *spareOf(const std::string &name) const;
  Status surplus() const;
  /// Layers that the tensors of a rule have: one more than the highest number.
  int64_t layersOf(const Rule &rule) const;

  const Folder &f;
  const Family &family;
  std::string prefix;
  std::set<std::string> used;
};

const Spare *Matcher::spareOf(const std::string &name) const {
  for (const Spare &s : family.spares)
    if (layerOf(fullPattern(s.tensor, prefix), name))
      return &s;
  return nullptr;
}

int64_t Matcher::layersOf(const Rule &rule) const {
  int64_t most = 0;
  for (auto &[name, found] : f.tensors)
    if (auto n = layerOf(fullPattern(rule.tensor, prefix), name))
      most = std::max(most, *n + 1);
  return most;
}

Status Matcher::missing(const std::string &name, const Rule &rule, int64_t layer) const {
  if (int64_t have = layer < 0 ? 0 : layersOf(rule); layer > 0 && have && have <= layer)
    return wrong("config.json describes more layers than the " + std::to_string(have) + " that the tensors have: " +
                 shownName(name) + " is missing");
  std::string hint;
  if (const Spare *s = spareOf(name); s && s->copyOf)
    hint = "; if it is to be " + shownName(fullPattern(s->copyOf, prefix)) + ", config.json needs \"tie_word_embeddings\": true";
  return wrong("the tensor " + shownName(name) + " is missing, which config.json asks for" + hint);
}

Result<Part> Matcher::find(const Leaf &leaf, const Rule &rule, int64_t layer) {
  std::string name = numbered(fullPattern(rule.tensor, prefix), layer);
  auto at = f.tensors.find(name);
  if (at == f.tensors.end())
    return missing(name, rule, layer);
  auto &[tensor, shard] = at->second;
  used.insert(name);
  std::vector<int64_t> want = leaf.shape;
  Part p{tensor, &shard->file};
  if (rule.layout == Layout::transposed) {
    std::reverse(want.begin(), want.end());
    p.transposed = true;
  } else if (rule.layout != Layout::same) {
    p.first = (int64_t(rule.layout) - int64_t(Layout::first)) * want.back();
    want.back() *= 3;
  }
  p.columns = leaf.shape.back();
  if (tensor->shape != want)
    return wrong("the tensor " + shownName(name) + " of " + inFile(shard->path) + " is " + shapeText(tensor->shape) +
                 "; by config.json it is " + shapeText(want));
  if (!readable(tensor->dtype))
    return wrong("the tensor " + shownName(name) + " of " + inFile(shard->path) + " is of " + tensor->dtype +
                 "; F32, F16 and BF16 are read");
  return p;
}

Status Matcher::surplus() const {
  std::string first;
  size_t n = 0;
  for (auto &[name, found] : f.tensors) {
    if (used.contains(name) || spareOf(name))
      continue;
    if (!n++)
      first = shownName(name) + ", " + shapeText(found.tensor->shape) + " in " + inFile(found.shard->path);
  }
  if (!n)
    return Status::ok();
  for (const Rule &r : family.rules) // the rest of a deeper model is told as such
    if (int64_t most = layersOf(r); used.contains(numbered(fullPattern(r.tensor, prefix), 0)) && most &&
                                    !used.contains(numbered(fullPattern(r.tensor, prefix), most - 1)))
      return wrong("config.json describes fewer layers than the " + std::to_string(most) + " that the tensors have: " +
                   first + ", is not asked for");
  return wrong("config.json asks for no tensor " + first +
               (n > 1 ? ", nor for " + std::to_string(n - 1) + " more" : std::string()));
}

Result<std::vector<Assembled>> Matcher::run(const std::vector<Leaf> &leaves) {
  std::vector<Assembled> out;
  for (const Leaf &leaf : leaves) {
    const auto found = ruleOf(family, leaf.path, /*isBody=*/true);
    if (!found || leaf.shape.empty() || leaf.shape.size() > 2)
      return wrong("the parameter `" + leaf.path + "` " + shapeText(leaf.shape) + " has no counterpart in " +
                   f.about.type);
    R1RT_ASSIGN(Part part, find(leaf, *found->rule, found->layer));
    out.push_back({leaf.path, leaf.shape, {part}});
  }
  R1RT_TRY(surplus());
  return out;
}

Status Matcher::checkCopies() const {
  for (auto &[name, found] : f.tensors) {
    const Spare *s = used.contains(name) ? nullptr : spareOf(name);
    if (!s || !s->copyOf)
      continue;
    std::string of = fullPattern(s->copyOf, prefix);
    auto original = f.tensors.find(of);
    if (original == f.tensors.end())
      continue;
    const TensorView &a = *found.tensor, &b = *original->second.tensor;
    bool same = a.dtype == b.dtype && a.shape == b.shape && a.data == b.data;
    found.shard->file.release(a);
    original->second.shard->file.release(b);
    if (!same)
      return wrong("config.json says that " + shownName(name) + " and " + shownName(of) +
                   " are one (\"tie_word_embeddings\": true), but the files hold two different tensors");
  }
  return Status::ok();
}

// ── opening ─────────────────────────────────────────────────────────────────

Status Folder::addShard(const std::string &path) {
  auto file = SafetensorsFile::open(path);
  if (!file)
    return wrong(file.status().message());
  shards.push_back(std::make_unique<Shard>(Shard{path, file.take()}));
  paths.push_back(path);
  for (const TensorView &t : shards.back()->file.index().tensors) {
    std::string name = t.name;
    // As the first BERTs called them.
    for (auto [old, now] : {std::pair{"LayerNorm.gamma", "LayerNorm.weight"}, {"LayerNorm.beta", "LayerNorm.bias"}})
      if (name.ends_with(old))
        name.replace(name.size() - std::string_view(old).size(), std::string::npos, now);
    auto [at, fresh] = tensors.emplace(name, Found{&t, shards.back().get()});
    if (!fresh)
      return wrong("the tensor " + shownName(name) + " stands in " + inFile(at->second.shard->path) + " and in " +
                   inFile(path));
  }
  return Status::ok();
}

Result<std::map<std::string, std::string>> parseIndex(std::string_view text) {
  constexpr size_t longest = 100'000'000;
  if (text.size() > longest)
    return wrong("it has " + std::to_string(text.size()) + " bytes; at most 100 MB are allowed");
  bool deep = false;
  json root = json::parse(
      text.begin(), text.end(), [&](int depth, json::parse_event_t, json &) { return !(deep |= depth > 8); },
      /*allow_exceptions=*/false);
  if (deep || root.is_discarded() || !root.is_object())
    return wrong(deep ? "it is nested more than 8 deep" : root.is_discarded() ? "it is not JSON" : "it is no record");
  auto names = root.find("weight_map");
  if (names == root.end() || !names->is_object() || names->empty())
    return wrong("`weight_map` is " + (names == root.end() ? "missing" : shown(*names)) +
                 "; it is a record {TENSOR: FILE}");
  std::map<std::string, std::string> out;
  std::set<std::string> files;
  for (auto &[tensor, file] : names->items()) {
    std::string name = file.is_string() ? file.get<std::string>() : "";
    // A name in the folder, never a way out of it.
    if (!name.ends_with(".safetensors") || name.find_first_of(std::string_view("/\\\0", 3)) != std::string::npos ||
        name[0] == '.')
      return wrong("the file of " + shownName(tensor) + " is " + shown(file) +
                   "; it is the name of a .safetensors file in the same folder");
    files.insert(name);
    out.emplace(tensor, name);
  }
  constexpr size_t most = 4096; // they are all open at once
  if (files.size() > most)
    return wrong("it names " + std::to_string(files.size()) + " files; at most " + std::to_string(most) + " are read");
  return out;
}

Status Folder::readIndex(const std::string &index) {
  std::string of = "`" + index + "`";
  R1RT_ASSIGN(MappedFile file, MappedFile::open(index));
  auto map = parseIndex(file.text());
  if (!map)
    return map.status().withContext(of);
  paths.push_back(index);
  std::map<std::string, std::string> first; // of each file, a tensor
  for (auto &[tensor, name] : *map)
    first.emplace(name, tensor);
  for (auto &[name, tensor] : first) {
    if (!isFile(dir + "/" + name))
      return wrong("the shard " + shownName(name) + " is missing in `" + dir + "`, where the index has " +
                   shownName(tensor) + " in it");
    R1RT_TRY(addShard(dir + "/" + name));
  }
  for (auto &s : shards)
    for (const TensorView &t : s->file.index().tensors)
      if (auto at = map->find(t.name); at == map->end() || at->second != inFile(s->path))
        return wrong("the tensor " + shownName(t.name) + " stands in " + inFile(s->path) + ", but by the index " +
                     (at == map->end() ? "in no file" : "in " + at->second));
  for (auto &[tensor, name] : *map)
    if (std::none_of(shards.begin(), shards.end(), [&](auto &s) { return s->file.find(tensor); }))
      return wrong("the tensor " + shownName(tensor) + " is not in " + name + ", where the index has it");
  return Status::ok();
}

Result<Folder> Folder::open(const std::string &dir) {
  Folder f;
  f.dir = dir;
  std::error_code ec;
  if (!fs::is_directory(dir, ec))
    return wrong(fs::exists(dir, ec) ? "`" + dir + "` is a file; a checkpoint is the folder with config.json"
                                     : "there is no folder `" + dir + "`");
  const std::string config = dir + "/config.json", single = dir + "/model.safetensors", index = single + ".index.json";
  if (!isFile(config))
    return wrong("the folder `" + dir + "` has no config.json");
  {
    R1RT_ASSIGN(MappedFile file, MappedFile::open(config));
    auto about = describe(file.text());
    if (!about)
      return about.status().withContext("`" + config + "`");
    f.about = about.take();
    f.paths.push_back(config);
  }
  if (isFile(single))
    R1RT_TRY(f.addShard(single));
  else if (isFile(index))
    R1RT_TRY(f.readIndex(index));
  else
    return wrong("the folder `" + dir + "` has neither model.safetensors nor model.safetensors.index.json" +
                 pickledHint(dir));
  // Before a model of that many layers is built.
  nlohmann::ordered_json &args = f.about.model == "MaskedLM" ? f.about.args["body"]["args"] : f.about.args;
  if (int64_t layers = args["L"]; uint64_t(layers) > f.tensors.size())
    return wrong("config.json describes " + std::to_string(layers) + " layers, the files have only " +
                 std::to_string(f.tensors.size()) + " tensors");
  if (f.about.model == "Bert") // with a pooler or without; the config does not say
    args["pool"] = f.tensors.contains("pooler.dense.weight") || f.tensors.contains("bert.pooler.dense.weight");
  if (std::string tok = dir + "/tokenizer.json"; isFile(tok))
    f.tokenizerPath = tok;
  return f;
}

Status Folder::match(const std::vector<Leaf> &leaves) const {
  auto found = Matcher(*this).run(leaves);
  return found ? Status::ok() : found.status().withContext("`" + dir + "`");
}

Status Folder::convert(const std::vector<Leaf> &leaves, const std::string &path,
                       std::map<std::string, std::string> metadata) const {
  Matcher matcher(*this);
  auto found = matcher.run(leaves);
  Status st = found ? matcher.checkCopies() : found.status();
  return st ? writeAssembled(path, *found, std::move(metadata), /*hash=*/true) : st.withContext("`" + dir + "`");
}

} // namespace r1rt::checkpoint
