#include "runtime/checkpoint/Config.h"
#include <algorithm>
#include <cmath>

namespace r1rt::checkpoint {

using nlohmann::json;

std::string shown(const json &value) {
  std::string s = value.is_structured() && value.size() > 20
                      ? std::string(value.is_array() ? "a list of " : "a record of ") +
                            std::to_string(value.size()) + " fields"
                      : value.dump(-1, ' ', true, json::error_handler_t::replace); // ASCII: cut anywhere
  return s.size() <= 60 ? s : s.substr(0, 57) + "...";
}

std::string shownName(std::string_view name) {
  std::string s = shown(json(std::string(name.substr(0, 100))));
  return "`" + s.substr(1, s.size() - (s.ends_with('"') ? 2 : 1)) + "`";
}

std::string nearestWord(const std::string &word, const std::vector<std::string> &known) {
  std::string best;
  size_t least = std::max<size_t>(2, word.size() / 2) + 1;
  for (const std::string &k : known) {
    std::vector<size_t> row(k.size() + 1);
    for (size_t j = 0; j <= k.size(); ++j)
      row[j] = j;
    for (size_t i = 1; i <= std::min<size_t>(word.size(), 64); ++i) {
      size_t diagonal = row[0]++;
      for (size_t j = 1; j <= k.size(); ++j) {
        size_t cost = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (word[i - 1] != k[j - 1])});
        diagonal = std::exchange(row[j], cost);
      }
    }
    if (row.back() < least)
      least = row.back(), best = k;
  }
  return word.size() > 64 ? "" : best;
}

void Config::wrong(const std::string &what) {
  if (status.isOk())
    status = Status::error(what, ExitClass::program);
}

bool Config::has(const char *name) const {
  auto it = fields.find(name);
  return it != fields.end() && !it->is_null();
}

int64_t Config::count(const char *name, int64_t otherwise) {
  if (!has(name)) {
    if (!otherwise)
      wrong("`" + std::string(name) + "` is missing: a count of 1 to " + std::to_string(most));
    return std::max<int64_t>(otherwise, 1);
  }
  const json &j = fields[name];
  if (j.is_number_unsigned() && j.get<uint64_t>() >= 1 && j.get<uint64_t>() <= uint64_t(most))
    return j.get<int64_t>();
  wrong("`" + std::string(name) + "` is " + shown(j) + "; it is a count of 1 to " + std::to_string(most));
  return 1;
}

double Config::number(const char *name, double otherwise) {
  if (!has(name))
    return otherwise;
  const json &j = fields[name];
  double v = j.is_number() ? j.get<double>() : 0;
  if (v > 0 && std::isfinite(v))
    return v;
  wrong("`" + std::string(name) + "` is " + shown(j) + "; it is a number above 0");
  return otherwise;
}

bool Config::flag(const char *name, bool otherwise) {
  if (!has(name))
    return otherwise;
  if (fields[name].is_boolean())
    return fields[name].get<bool>();
  wrong("`" + std::string(name) + "` is " + shown(fields[name]) + "; it is true or false");
  return otherwise;
}

std::string Config::word(const char *name, const std::vector<std::string> &known) {
  if (!has(name))
    return known[0];
  const json &j = fields[name];
  if (j.is_string() && std::find(known.begin(), known.end(), j.get_ref<const std::string &>()) != known.end())
    return j;
  std::string list;
  for (size_t i = 0; i < known.size(); ++i)
    list += (i == 0 ? "\"" : i + 1 == known.size() ? " or \"" : ", \"") + known[i] + "\"";
  std::string near = j.is_string() ? nearestWord(j, known) : "";
  wrong("`" + std::string(name) + "` is " + shown(j) + "; supported is " + list +
        (near.empty() || known.size() == 1 ? "" : " (nearest: \"" + near + "\")"));
  return known[0];
}

void Config::only(const char *name, const json &value) {
  if (has(name) && fields[name] != value)
    wrong("`" + std::string(name) + "` is " + shown(fields[name]) + "; only " + shown(value) + " is supported");
}

const json *Config::record(const char *name) {
  if (!has(name))
    return nullptr;
  if (fields[name].is_object())
    return &fields[name];
  wrong("`" + std::string(name) + "` is " + shown(fields[name]) + "; it is a record");
  return nullptr;
}

} // namespace r1rt::checkpoint
