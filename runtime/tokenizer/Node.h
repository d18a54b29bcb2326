// A JSON file that is read part by part: each value knows its place, and says what it should have been.
#ifndef R1RT_TOKENIZER_NODE_H
#define R1RT_TOKENIZER_NODE_H
#include "runtime/state/Files.h"
#include "runtime/tokenizer/Tokenizer.h"
#include "runtime/tokenizer/Text.h"
#include <algorithm>
#include <nlohmann/json.hpp>

namespace r1rt::tokenizer {

using nlohmann::json;

/// What is wrong with the file: thrown while it is read, and caught before anybody else sees it.
struct Bad {
  std::string message;
};

inline std::string quote(std::string_view s) {
  if (s.size() > 60)
    return quote(std::string(s.substr(0, charBegin(s, 57))) + "…");
  return json(s).dump(-1, ' ', false, json::error_handler_t::replace);
}

inline std::string shown(const json &j) {
  switch (j.type()) {
  case json::value_t::object:
    return "an object of " + std::to_string(j.size());
  case json::value_t::array:
    return "a list of " + std::to_string(j.size());
  case json::value_t::string:
    return quote(j.get_ref<const std::string &>());
  default:
    return j.dump();
  }
}

inline size_t distance(std::string_view a, std::string_view b) { // Levenshtein
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j)
    row[j] = j;
  for (size_t i = 0; i < a.size(); ++i) {
    size_t corner = row[0]++;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t change = corner + (tolower(a[i]) != tolower(b[j]));
      corner = row[j + 1];
      row[j + 1] = std::min({change, row[j] + 1, corner + 1});
    }
  }
  return row[b.size()];
}

/// A value and where it stands in the file.
class Node {
public:
  Node(const json &j, std::string path) : j(j), path(std::move(path)) {}

  [[noreturn]] void fail(const std::string &expected) const {
    throw Bad{name() + " is " + shown(j) + ", but has to be " + expected};
  }
  [[noreturn]] void refuse(const std::string &why) const { throw Bad{name() + " " + why}; }

  /// There, and not null.
  bool has(const char *key) const { return j.is_object() && j.contains(key) && !j[key].is_null(); }
  Node at(const char *key) const {
    if (!j.is_object())
      fail("an object");
    auto it = j.find(key);
    if (it == j.end())
      throw Bad{name() + " has no `" + key + "`"};
    return {*it, path == "" ? key : path + "." + key};
  }
  Node at(size_t i) const { return {j[i], path + "[" + std::to_string(i) + "]"}; }
  size_t size() const { return j.size(); }
  const Node &list() const {
    if (!j.is_array())
      fail("a list");
    return *this;
  }
  const std::string &text() const {
    if (!j.is_string())
      fail("a text");
    return j.get_ref<const std::string &>();
  }
  bool boolean() const {
    if (!j.is_boolean())
      fail("true or false");
    return j.get<bool>();
  }
  uint64_t number() const {
    if (!j.is_number_unsigned())
      fail("a whole number of at least 0");
    return j.get<uint64_t>();
  }
  std::string text(const char *key, const char *otherwise) const { return has(key) ? at(key).text() : otherwise; }
  bool boolean(const char *key, bool otherwise) const { return has(key) ? at(key).boolean() : otherwise; }

  /// Fields that are not known might mean something: they are refused, unless they are null.
  const Node &only(std::initializer_list<const char *> known) const {
    if (!j.is_object())
      fail("an object");
    for (auto &[key, value] : j.items())
      if (!value.is_null() && std::none_of(known.begin(), known.end(), [&](const char *k) { return key == k; }))
        throw Bad{name() + " has " + quote(key) + ", which is not known here; known are " + joined(known)};
    return *this;
  }
  /// Its place among the names; the error says which are known, and which of them is nearest.
  size_t oneOf(std::initializer_list<const char *> names) const {
    const std::string &s = text();
    const char *nearest = nullptr;
    size_t best = SIZE_MAX;
    for (const char *const &name : names) {
      if (s == name)
        return size_t(&name - names.begin());
      if (size_t d = s.size() > 64 ? SIZE_MAX : distance(s, name); d < best)
        best = d, nearest = name;
    }
    std::string hint = best <= 3 && best < s.size() ? std::string("; did you mean \"") + nearest + "\"?" : "";
    throw Bad{name() + " is " + quote(s) + ", which is not supported; supported are " + joined(names) + hint};
  }

  const json &j;
  std::string path;

private:
  std::string name() const { return path.empty() ? "the file" : "`" + path + "`"; }
  static std::string joined(std::initializer_list<const char *> names) {
    std::string out;
    for (const char *name : names)
      out += (out.empty() ? "" : ", ") + std::string(name);
    return out;
  }
};

inline json parse(std::string_view text) {
  if (text.size() > Encoder::maxFile)
    throw Bad{"the file has " + bytesText(text.size()) + "; a tokenizer.json has at most " +
              bytesText(Encoder::maxFile)};
  // Brackets within each other, so that what follows may recurse.
  constexpr int deepest = 64;
  int depth = 0;
  bool inText = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (inText) {
      if (c == '\\')
        ++i;
      else if (c == '"')
        inText = false;
    } else if (c == '"') {
      inText = true;
    } else if (c == '[' || c == '{') {
      if (++depth > deepest)
        throw Bad{"brackets stand more than " + std::to_string(deepest) + " deep at byte " + std::to_string(i)};
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  try {
    json j = json::parse(text);
    if (!j.is_object())
      throw Bad{"the file is " + shown(j) + ", but a tokenizer.json is an object"};
    return j;
  } catch (const json::parse_error &e) {
    throw Bad{"the file is not JSON: byte " + std::to_string(e.byte)};
  }
}

} // namespace r1rt::tokenizer
#endif
