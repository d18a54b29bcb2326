#include "runtime/augment/Augment.h"
#include "runtime/augment/Makers.h"
#include "runtime/state/Philox.h"
#include <algorithm>

namespace r1rt {

using nlohmann::json;

namespace augment {

static Status wrong(const json &spec, const std::string &message) {
  return Status::error(spec["augment"].get<std::string>() + ": " + message, ExitClass::program);
}

static std::string shown(const json &j) { return j.dump(-1, ' ', false, json::error_handler_t::replace); }

Result<double> numberOf(const json &spec, const char *name, double low, double high) {
  const json &j = spec[name];
  double x = j.is_number() ? j.get<double>() : low - 1;
  if (!(x >= low && x <= high)) {
    char range[96];
    std::snprintf(range, sizeof range, "; it must be a number from %g to %g", low, high);
    return wrong(spec, "`" + std::string(name) + "` is " + shown(j) + range);
  }
  return x;
}

Result<std::string> textOf(const json &spec, const char *name) {
  if (!spec[name].is_string() || spec[name] == "")
    return wrong(spec, "`" + std::string(name) + "` is " + shown(spec[name]) + "; it must be a text that is not empty");
  return spec[name].get<std::string>();
}

std::vector<size_t> drawPlaces(size_t n, double rate, uint64_t draw) {
  std::vector<size_t> out;
  size_t nearest = 0;
  double lowest = 1;
  for (size_t i = 0; i < n; ++i) {
    PhiloxBlock b = philox(draw, i);
    double u = uniform01(b[0], b[1]);
    if (u < rate)
      out.push_back(i);
    if (u < lowest)
      lowest = u, nearest = i;
  }
  if (out.empty())
    out.push_back(nearest);
  return out;
}

std::string changed(std::string_view text, const std::vector<Change> &changes, std::string &evidence) {
  std::string out;
  size_t copied = 0;
  json first = json::array();
  for (const Change &c : changes) {
    out += text.substr(copied, c.begin - copied);
    out += c.by;
    copied = c.end;
    if (first.size() < 8)
      first.push_back({std::string(text.substr(c.begin, c.end - c.begin)), c.by});
  }
  out += text.substr(copied);
  evidence = shown({{"changed", changes.size()}, {"first", first}});
  return out;
}

std::string under(const std::string &baseDir, const std::string &path) {
  return path.starts_with('/') || baseDir.empty() ? path : baseDir + "/" + path;
}

} // namespace augment

Result<std::unique_ptr<Augmenter>> Augmenter::create(const json &spec, const std::string &baseDir) {
  struct Kind {
    const char *name;
    std::vector<const char *> parameters;
    augment::Made (*make)(const json &, const std::string &);
  };
  static const Kind kinds[] = {
      {"synonyms", {"lexicon", "rate"}, augment::makeSynonyms},
      {"typos", {"rate"}, augment::makeTypos},
      {"back_translate", {"via", "back", "program", "seconds"}, augment::makeBackTranslate},
  };
  if (!spec.is_object() || !spec.contains("augment") || !spec["augment"].is_string())
    return Status::error("an augmentation is {\"augment\": KIND, …}, not " + augment::shown(spec), ExitClass::program);
  std::string name = spec["augment"];
  for (const Kind &k : kinds) {
    if (name != k.name)
      continue;
    for (const char *p : k.parameters)
      if (!spec.contains(p))
        return augment::wrong(spec, "the parameter `" + std::string(p) + "` is missing");
    for (auto &[field, value] : spec.items())
      if (field != "augment" && std::find(k.parameters.begin(), k.parameters.end(), field) == k.parameters.end())
        return augment::wrong(spec, "there is no parameter `" + field + "`");
    return k.make(spec, baseDir);
  }
  return Status::error("there is no augmentation `" + name + "`; there are synonyms, typos and back_translate",
                       ExitClass::program);
}

} // namespace r1rt
