#include "runtime/data/Classes.h"
#include <algorithm>

namespace r1rt {

using nlohmann::json;

Result<Classes> Classes::of(const json &spec) {
  Classes c;
  if (spec.is_number_integer()) {
    c.count = spec.get<int64_t>();
  } else if (spec.is_array()) {
    for (const json &name : spec) {
      if (!name.is_string())
        return Status::error("a class is called by a text, not by " + name.dump(), ExitClass::program);
      c.byName.emplace(name.get<std::string>(), c.count++);
      c.ordered.push_back(name);
    }
  }
  if (c.count < 1 || c.count > INT32_MAX || (spec.is_array() && c.byName.size() != spec.size()))
    return Status::error("`classes` is the number of classes or their names, each once", ExitClass::program);
  return c;
}

int32_t Classes::named(const std::string &name) const {
  auto it = byName.find(name);
  return it == byName.end() ? -1 : int32_t(it->second);
}

Result<int32_t> Classes::find(const json &label) const {
  const std::string said = label.dump(-1, ' ', false, json::error_handler_t::replace);
  const std::string text = label.is_string() ? label.get<std::string>() : said;
  if (!ordered.empty()) {
    if (int32_t n = named(text); n >= 0 && (label.is_string() || label.is_number_integer()))
      return n;
  } else if (label.is_number_integer() || label.is_string()) {
    bool digits = !text.empty() && text.size() < 10 &&
                  std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (int64_t n = digits ? std::stoll(text) : -1; n >= 0 && n < count)
      return int32_t(n);
  }
  return Status::error("the label is " + said + "; the classes are " + list());
}

std::string Classes::list() const {
  if (ordered.empty())
    return "0 to " + std::to_string(count - 1);
  std::string out;
  for (size_t i = 0; i < std::min<size_t>(ordered.size(), 20); ++i)
    out += (i ? ", " : "") + json(ordered[i]).dump(-1, ' ', false, json::error_handler_t::replace);
  return out + (ordered.size() > 20 ? ", …" : "");
}

} // namespace r1rt
