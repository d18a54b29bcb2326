#include "compiler/tools/r1c/Plan.h"
#include "compiler/Compiler.h"
#include "runtime/state/Files.h"
#include <algorithm>
#include <filesystem>
#include <glob.h>
#include <map>
#include <sstream>

using nlohmann::json;
using r1rt::ArtifactState;
using r1rt::Status;

namespace r1::tool {

namespace {

std::vector<std::string> split(const std::string &text) {
  std::vector<std::string> out;
  std::stringstream in(text);
  for (std::string word; std::getline(in, word, ',');)
    if (!word.empty())
      out.push_back(word);
  return out;
}

std::vector<std::string> expand(const std::string &pattern) {
  std::vector<std::string> out;
  glob_t g{};
  if (glob(pattern.c_str(), 0, nullptr, &g) == 0)
    for (size_t i = 0; i < g.gl_pathc; ++i)
      out.emplace_back(g.gl_pathv[i]);
  globfree(&g);
  std::sort(out.begin(), out.end());
  return out;
}

r1rt::Result<json> componentsOf(const Stage &s, const std::map<std::string, std::string> &done,
                                r1rt::Store *store) {
  json c = json::object();
  c["kind"] = s.kind;
  for (auto &[name, value] : s.spec.items())
    c["argument " + name] = value;
  for (const std::string &r : s.reads) {
    auto it = done.find(r);
    c["stage " + r] = it == done.end() ? "" : it->second;
  }
  for (const std::string &pattern : s.files)
    for (const std::string &path : expand(pattern)) {
      auto hash = store ? store->fileHash(path) : r1rt::sha256File(path);
      if (!hash)
        return hash.status().withContext("stage `" + s.name + "`");
      c["file " + path] = *hash;
    }
  for (auto &[name, version] : s.builtins)
    c["built-in " + name] = version;
  for (const std::string &source : s.sources) {
    // "fn NAME(...": the name tells which definition changed.
    size_t open = source.find('(');
    c["source " + source.substr(0, std::min<size_t>(open, 60))] = r1rt::sha256(source);
  }
  for (const Leaf &leaf : s.leaves)
    c["parameter " + leaf.path] = {leaf.type.dims.size() ? json::array() : json(),
                                   leaf.dist, leaf.a, leaf.b, leaf.trainable, leaf.from};
  for (const Leaf &leaf : s.leaves) {
    json &dims = c["parameter " + leaf.path][0];
    dims = json::array();
    for (auto &d : leaf.type.dims)
      dims.push_back(d.size);
  }
  return c;
}

std::string shortText(const json &v) {
  std::string s = v.dump();
  return s.size() > 80 ? s.substr(0, 77) + "..." : s;
}

/// The innermost place where two values differ: moves both there and appends to `path` what leads
/// to it, e.g. ".in.path".
void descend(const json *&a, const json *&b, std::string &path) {
  for (bool deeper = true; deeper;) {
    deeper = false;
    if (a->is_object() && b->is_object()) {
      for (auto &[key, value] : b->items())
        if (auto it = a->find(key); it != a->end() && *it != value) {
          path += "." + key;
          a = &*it, b = &value;
          deeper = true;
          break;
        }
    } else if (a->is_array() && b->is_array() && a->size() == b->size()) {
      for (size_t i = 0; i < b->size() && !deeper; ++i)
        if ((*a)[i] != (*b)[i]) {
          path += "[" + std::to_string(i) + "]";
          a = &(*a)[i], b = &(*b)[i];
          deeper = true;
        }
    }
  }
}

/// "argument lr: A -> B": the first difference between two sets of components.
std::string firstDifference(const json &before, const json &now) {
  for (auto &[key, value] : now.items()) {
    if (!before.contains(key))
      return key + " is new";
    if (before[key] != value) {
      // Sources and files are hashes; saying so is all that helps.
      if (key.starts_with("source "))
        return key.substr(7) + " has another definition";
      if (key.starts_with("file "))
        return key + " has other content";
      if (key.starts_with("stage "))
        return key + " is another artifact";
      const json *was = &before[key], *is = &value;
      std::string path = key;
      descend(was, is, path);
      return path + ": " + shortText(*was) + " -> " + shortText(*is);
    }
  }
  for (auto &[key, value] : before.items())
    if (!now.contains(key))
      return key + " is gone";
  return "";
}

} // namespace

uint64_t fileBytes(const Stage &stage) {
  std::set<std::string> paths;
  for (const std::string &pattern : stage.files)
    for (const std::string &path : expand(pattern))
      paths.insert(path);
  uint64_t bytes = 0;
  for (const std::string &path : paths) {
    std::error_code ec;
    uintmax_t n = std::filesystem::file_size(path, ec);
    bytes += ec ? 0 : n;
  }
  return bytes;
}

r1rt::Result<std::vector<PlannedStage>> planStages(const Elaboration &program, r1rt::Store *store,
                                                   const Options &options) {
  // The newest artifact of each stage of this pipeline, for --why.
  std::map<std::string, json> newest;
  if (store)
    for (const std::string &fp : store->list()) {
      auto m = store->manifest(fp);
      if (!m || m->value("pipeline", "") != program.pipeline)
        continue;
      json &slot = newest[m->value("stage", "")];
      if (slot.is_null() || slot.value("time", 0.0) < m->value("time", 0.0))
        slot = *m;
    }

  std::vector<PlannedStage> plan;
  std::map<std::string, std::string> done;
  for (const Stage &s : program.stages) {
    PlannedStage p;
    p.stage = &s;
    auto c = componentsOf(s, done, store);
    if (!c)
      return c.status();
    p.components = *c;
    p.fingerprint = r1rt::sha256(p.components.dump()).substr(0, 32);
    done[s.name] = p.fingerprint;
    if (store)
      p.state = store->state(p.fingerprint);
    if (store && p.state == ArtifactState::interrupted)
      p.why = store->damage(p.fingerprint);
    if (p.state == ArtifactState::absent && newest.count(s.name))
      p.why = firstDifference(newest[s.name].value("components", json::object()), p.components);
    plan.push_back(std::move(p));
  }

  auto find = [&](const std::string &name) -> PlannedStage * {
    for (PlannedStage &p : plan)
      if (p.stage->name == name)
        return &p;
    return nullptr;
  };
  auto unknown = [&](const std::string &flag, const std::string &name) {
    std::vector<std::string> names;
    std::string all;
    for (const PlannedStage &p : plan) {
      names.push_back(p.stage->name);
      all += (all.empty() ? "" : " ") + p.stage->name;
    }
    std::string near = nearest(name, names);
    return Status::error(flag + " " + name + ": no such stage; the pipeline has: " + all +
                             (near.empty() ? "" : "; did you mean " + near + "?"),
                         r1rt::ExitClass::commandLine);
  };
  for (const std::string &name : split(options.fresh)) {
    PlannedStage *p = find(name);
    if (!p)
      return unknown("--fresh", name);
    p->fresh = true;
  }
  if (!options.why.empty() && !find(options.why))
    return unknown("--why", options.why);
  std::vector<std::string> wanted = split(options.only);
  if (!options.until.empty())
    wanted.push_back(options.until);
  if (!wanted.empty()) {
    std::set<std::string> keep;
    std::vector<std::string> todo;
    for (const std::string &name : wanted) {
      if (!find(name))
        return unknown(options.until == name ? "--until" : "--only", name);
      todo.push_back(name);
    }
    while (!todo.empty()) {
      std::string name = todo.back();
      todo.pop_back();
      if (!keep.insert(name).second)
        continue;
      for (const std::string &r : find(name)->stage->reads)
        todo.push_back(r);
    }
    for (PlannedStage &p : plan)
      p.selected = keep.count(p.stage->name) > 0;
  }
  return plan;
}

} // namespace r1::tool
