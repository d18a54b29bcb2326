#include "runtime/text/Params.h"
#include "runtime/text/Chars.h"
#include "runtime/text/Utf8.h"
#include <cmath>
#include <cstring>
#include <fstream>
#include <sstream>

namespace r1rt::text {

using nlohmann::json;

Params::Params(const json &object, std::string where, std::string baseDir)
    : object(object), where(std::move(where)), baseDir(std::move(baseDir)) {
  known.insert("rule");
}

std::string listed(const std::vector<std::string> &values) {
  std::string out;
  for (size_t i = 0; i < values.size(); ++i)
    out += (i == 0 ? "\"" : i + 1 < values.size() ? ", \"" : " or \"") + values[i] + "\"";
  return out;
}

void Params::fail(const std::string &name, const std::string &message) {
  if (status.isOk())
    status = Status::error(where + ": `" + name + "` " + message, ExitClass::program);
}

void Params::expected(const char *name, const json &found, const std::string &what) {
  std::string value = found.dump(-1, ' ', false, json::error_handler_t::replace);
  if (value.size() > 60)
    value = value.substr(0, 57) + "...";
  fail(name, "is " + value + ", expected " + what);
}

const json *Params::find(const char *name) {
  known.insert(name);
  auto it = object.find(name);
  if (it == object.end()) {
    fail(name, "is missing; a rule has all its parameters, which its function in the library fills in");
    return nullptr;
  }
  return &*it;
}

std::string Params::text(const char *name) {
  const json *v = find(name);
  if (v && v->is_string())
    return v->get<std::string>();
  if (v)
    expected(name, *v, "a text");
  return {};
}

std::optional<std::string> Params::optionalText(const char *name) {
  const json *v = find(name);
  if (!v || v->is_null())
    return std::nullopt;
  if (v->is_string())
    return v->get<std::string>();
  expected(name, *v, "a text or none");
  return std::nullopt;
}

std::string Params::oneOf(const char *name, const std::vector<std::string> &values) {
  const json *v = find(name);
  if (!v)
    return {};
  for (const std::string &s : values)
    if (*v == s)
      return s;
  expected(name, *v, listed(values));
  return {};
}

bool Params::flag(const char *name) {
  const json *v = find(name);
  if (v && v->is_boolean())
    return v->get<bool>();
  if (v)
    expected(name, *v, "true or false");
  return false;
}

std::vector<std::string> Params::texts(const char *name) {
  const json *v = find(name);
  if (!v)
    return {};
  std::vector<std::string> out;
  bool right = v->is_array();
  for (const json &item : *v) {
    right = right && item.is_string() && !item.get_ref<const std::string &>().empty();
    if (!right)
      break;
    out.push_back(item.get<std::string>());
  }
  if (!right)
    expected(name, *v, "a list of texts, none of them empty");
  return out;
}

std::optional<uint64_t> Params::count(const char *name) {
  const json *v = find(name);
  if (!v || v->is_null())
    return std::nullopt;
  if (v->is_number_unsigned() || (v->is_number_integer() && v->get<int64_t>() >= 0))
    return v->get<uint64_t>();
  expected(name, *v, "a whole number, at least 0, or none");
  return std::nullopt;
}

std::optional<double> Params::number(const char *name, double least, double most) {
  const json *v = find(name);
  if (!v || v->is_null())
    return std::nullopt;
  if (v->is_number() && v->get<double>() >= least && v->get<double>() <= most)
    return v->get<double>();
  std::ostringstream range;
  if (std::isinf(most))
    range << "a number, at least " << least << ", or none";
  else
    range << "a number from " << least << " to " << most << ", or none";
  expected(name, *v, range.str());
  return std::nullopt;
}

std::string Params::resolve(const std::string &path) const {
  return path.empty() || path[0] == '/' || baseDir.empty() ? path : baseDir + "/" + path;
}

std::vector<std::string> Params::linesOf(const char *name, const std::string &path) {
  std::string full = resolve(path);
  std::ifstream in(full, std::ios::binary);
  std::stringstream content;
  if (!in || !(content << in.rdbuf())) {
    fail(name, "names the file " + full + ", which cannot be read: " + std::strerror(errno));
    return {};
  }
  std::string all = content.str();
  if (size_t bad = findBadUtf8(all); bad != std::string::npos) {
    fail(name, "names the file " + full + ", which is not UTF-8 at byte " + std::to_string(bad));
    return {};
  }
  std::vector<std::string> out;
  std::string_view rest = all;
  if (rest.substr(0, 3) == "\uFEFF")
    rest.remove_prefix(3);
  while (!rest.empty()) {
    size_t end = rest.find('\n');
    std::string_view line = strip(rest.substr(0, end));
    if (!line.empty())
      out.emplace_back(line);
    rest.remove_prefix(end == rest.npos ? rest.size() : end + 1);
  }
  if (out.empty())
    fail(name, "names the file " + full + ", which has no words; expected one in each line");
  return out;
}

Status Params::finish() {
  if (!status.isOk())
    return status;
  for (const auto &[name, value] : object.items())
    if (!known.count(name)) {
      std::vector<std::string> names;
      for (const std::string &k : known)
        if (k != "rule")
          names.push_back(k);
      return Status::error(where + ": there is no parameter \"" + name + "\", expected " +
                               listed(names),
                           ExitClass::program);
    }
  return Status::ok();
}

} // namespace r1rt::text
