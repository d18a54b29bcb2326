#include "compiler/tools/r1c/Plan.h"
#include "runtime/source/Globs.h"
#include "compiler/Compiler.h"
#include "runtime/state/Files.h"
#include <algorithm>
#include <filesystem>
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
  auto files = r1rt::source::expandGlobs({pattern});
  return files ? *files : std::vector<std::string>();
}

/// Names of files may be no UTF-8.
std::string dumped(const json &j) { return j.dump(-1, ' ', false, json::error_handler_t::replace); }

/// Stages are called as the pipeline that has them calls them, so that the same stage of a pipeline that
/// others call has one fingerprint.
std::string localName(const Stage &s, const std::string &read) {
  if (read.empty())
    return read;
  std::string own = s.name.substr(0, s.name.rfind('.') + 1);
  return read.starts_with(own) ? read.substr(own.size()) : "^" + read; // of the one that calls it
}

void localiseStages(const Stage &s, json &j) {
  if (j.is_object() && j.size() == 1 && j.contains("stage") && j["stage"].is_string())
    j["stage"] = localName(s, j["stage"]);
  else if (j.is_structured())
    for (json &x : j)
      localiseStages(s, x);
}

r1rt::Result<json> componentsOf(const Stage &s, const std::map<std::string, std::string> &done,
                                r1rt::Store *store) {
  json c = json::object();
  c["kind"] = s.kind;
  for (auto &[name, value] : s.spec.items())
    if (s.kind != "generate" || name != "batch") // how many texts are written at once shows in none of them
      localiseStages(s, c["argument " + name] = value);
  for (const std::string &r : s.reads) {
    auto it = done.find(r);
    c["stage " + localName(s, r)] = it == done.end() ? "" : it->second;
  }
  // A source that may leave files out says so.
  bool leavesOut = dumped(s.spec).find("\"unreadable\":\"skip\"") != std::string::npos;
  for (const std::string &pattern : s.files)
    for (const std::string &path : expand(pattern)) {
      auto hash = store ? store->fileHash(path) : r1rt::sha256File(path);
      if (!hash && leavesOut) {
        c["file " + path] = "unreadable";
        continue;
      }
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
                                   leaf.dist, leaf.a, leaf.b, leaf.trainable, localName(s, leaf.from)};
  for (const Leaf &leaf : s.leaves) {
    json &dims = c["parameter " + leaf.path][0];
    dims = json::array();
    for (auto &d : leaf.type.dims)
      dims.push_back(d.size);
  }
  return c;
}

/// Does this value stand as the program's text, or as a number with a unit? It is told as a whole.
bool isText(const json &v) {
  if (!v.is_object())
    return false;
  auto source = v.find("source");
  if (source != v.end())
    return source->is_string();
  return v.size() == 1 && v.begin()->is_number() &&
         (v.contains("steps") || v.contains("epochs") || v.contains("tokens") || v.contains("seconds"));
}

/// Is this a function of the program, or a record of some? Their canonical text is for fingerprints.
bool isFunction(const json &v) {
  if (!isText(v) || !v.contains("source"))
    return false;
  return v.contains("fn") || v.contains("row_fn") ||
         v["source"].get_ref<const std::string &>().find("=>") != std::string::npos;
}

std::vector<std::string> splitFields(const std::string &text) {
  std::vector<std::string> out;
  for (size_t at = 0, next; at < text.size(); at = next + 2) {
    next = std::min(text.find(", ", at), text.size());
    out.push_back(text.substr(at, next - at));
  }
  return out;
}

/// A function's canonical text: its body, and the values it captured, "from = 0.01".
struct FunctionText {
  std::string body;
  std::vector<std::string> captured;

  explicit FunctionText(const json &v) : body(v["source"]) {
    size_t where = body.find(" where ");
    if (where == std::string::npos)
      return;
    std::string rest = body.substr(where + 7), end;
    for (; rest.ends_with('}'); rest.pop_back())
      end += '}'; // of a record with this function in it
    if (rest.find_first_of("$({[") != std::string::npos || rest.find(" where ") != std::string::npos)
      return; // it captured more than numbers and words
    body = body.substr(0, where) + end;
    captured = splitFields(rest);
  }
};

std::string joined(const std::vector<std::string> &words) {
  std::string out;
  for (const std::string &w : words)
    out += (out.empty() ? "" : ", ") + w;
  return out;
}

std::string anyText(const json &v) {
  if (isFunction(v)) {
    FunctionText f(v);
    return f.captured.empty() ? "a function" : "a function with " + joined(f.captured);
  }
  if (v.is_array()) {
    std::vector<std::string> all;
    for (const json &e : v)
      all.push_back(anyText(e));
    return "[" + joined(all) + "]";
  }
  if (!v.is_object())
    return v.dump(-1, ' ', false, json::error_handler_t::replace);
  for (const char *word : {"source", "stage"})
    if (auto it = v.find(word); it != v.end() && it->is_string())
      return it->get<std::string>();
  if (isText(v))
    return v.begin()->dump() + v.begin().key();
  auto op = v.find("op");
  bool tree = op != v.end() && op->is_string();
  std::vector<std::string> fields;
  for (auto &[key, value] : v.items())
    if (!tree || (key != "op" && !value.is_null() && !(key == "in" && value.is_object())))
      fields.push_back(key + " = " + anyText(value));
  if (!tree)
    return "{" + joined(fields) + "}";
  std::string in = v.contains("in") && v["in"].is_object() ? anyText(v["in"]) + " |> " : "";
  return in + op->get<std::string>() + "(" + joined(fields) + ")";
}

std::string shortText(const json &v) { return argumentText(v, 80); }

/// The innermost place where two values differ: moves both there and appends to `path` what leads
/// to it, e.g. ".in.path".
void descend(const json *&a, const json *&b, std::string &path) {
  for (bool deeper = true; deeper;) {
    deeper = false;
    if (isText(*a) || isText(*b))
      return;
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

/// The only field that differs between two lists of "name = value": ".from: 0.01 -> 0.001", or "".
std::string fieldDifference(const std::vector<std::string> &before, const std::vector<std::string> &now) {
  std::string found;
  for (size_t i = 0; before.size() == now.size() && i < now.size(); ++i) {
    if (before[i] == now[i])
      continue;
    size_t name = now[i].find(" = ");
    if (!found.empty() || name == std::string::npos || !before[i].starts_with(now[i].substr(0, name + 3)))
      return "";
    found = "." + now[i].substr(0, name) + ": " + before[i].substr(name + 3) + " -> " + now[i].substr(name + 3);
  }
  return found;
}

/// What differs between two texts of the program, after the name of what they are.
std::string textDifference(const json &before, const json &now) {
  std::string field;
  bool functions = isFunction(before) && isFunction(now);
  if (functions) {
    FunctionText a(before), b(now);
    if (a.body == b.body)
      field = fieldDifference(a.captured, b.captured);
  } else if (isText(before) && isText(now) && before.contains("source") && now.contains("source")) {
    // Two calls of one constructor: GPT(V = 300, D = 16).
    const std::string a = before["source"], b = now["source"];
    size_t open = a.find('(');
    if (open != std::string::npos && a.substr(0, open) == b.substr(0, open) && a.ends_with(')') &&
        b.ends_with(')'))
      field = fieldDifference(splitFields(a.substr(open + 1, a.size() - open - 2)),
                              splitFields(b.substr(open + 1, b.size() - open - 2)));
  }
  if (!field.empty())
    return field;
  return functions ? " changed (a function)" : ": " + shortText(before) + " -> " + shortText(now);
}

/// The same for a parameter's component: [dims, distribution, a, b, trainable, stage].
std::string parameterDifference(const json &before, const json &now) {
  if (!before.is_array() || !now.is_array() || before.size() != now.size() || now.size() != 6)
    return " changed";
  if (before[0] != now[0])
    return ": " + before[0].dump() + " -> " + now[0].dump();
  if (before[5] != now[5])
    return " starts from other weights";
  if (before[4] != now[4])
    return now[4] == true ? " is now trained" : " is no longer trained";
  return " starts from another distribution";
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
      if (key.starts_with("parameter "))
        return key + parameterDifference(*was, *is);
      descend(was, is, path);
      return path + textDifference(*was, *is);
    }
  }
  for (auto &[key, value] : before.items())
    if (!now.contains(key))
      return key + " is gone";
  return "";
}

} // namespace

static std::string shortened(const std::string &s, size_t most) {
  if (s.size() <= most)
    return s;
  size_t end = most - 3;
  while (end > 0 && (static_cast<unsigned char>(s[end]) & 0xC0) == 0x80)
    --end; // between two characters
  return s.substr(0, end) + "...";
}

std::string argumentText(const json &value, size_t most) { return shortened(anyText(value), most); }

std::string argumentText(const json &shown, const std::string &name, const json &value) {
  auto it = shown.is_object() ? shown.find(name) : shown.end();
  return it != shown.end() && it->is_string() ? shortened(it->get<std::string>(), 4 * shownCharacters)
                                              : argumentText(value);
}

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

r1rt::Result<const PlannedStage *> madeModel(const std::vector<PlannedStage> &plan, const std::string &file,
                                             const std::string &name, const Options &o) {
  const PlannedStage *target = nullptr;
  std::vector<std::string> models;
  for (const PlannedStage &p : plan)
    if (p.stage->result == "model") {
      models.push_back(p.stage->name);
      if (name.empty() || p.stage->name == name)
        target = &p;
    }
  if (!target) {
    std::string list;
    for (const std::string &m : models)
      list += " " + m;
    const std::string near = nearest(name, models);
    return r1rt::Status::error("no trained stage `" + name + "` in " + file + "; it has" +
                                   (list.empty() ? " none" : ":" + list) +
                                   (near.empty() ? "" : "; did you mean " + near + "?"),
                               r1rt::ExitClass::commandLine);
  }
  std::string sets;
  for (const std::string &set : o.sets)
    sets += " --set '" + set + "'";
  if (target->state != r1rt::ArtifactState::finished)
    return r1rt::Status::error("stage `" + target->stage->name + "` has not been trained with these settings; run  r1c run " +
                               file + " --only " + target->stage->name + sets +
                               (target->why.empty() ? "" : "  (" + target->why + ")"));
  return target;
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
    p.fingerprint = r1rt::sha256(dumped(p.components)).substr(0, 32);
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
      for (const std::string &g : find(name)->stage->gates)
        todo.push_back(g);
    }
    for (PlannedStage &p : plan)
      p.selected = keep.count(p.stage->name) > 0;
  }
  return plan;
}

} // namespace r1::tool
