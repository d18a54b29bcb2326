#include "runtime/corpus/Row.h"
#include "runtime/source/JsonText.h"
#include <cstring>
#include <unordered_map>
#include <xxhash.h>

namespace r1rt::corpus {

using nlohmann::json;
using nlohmann::ordered_json;
using source::appendJsonString;

template <class Json> static std::string dumped(const Json &j) {
  return j.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<json> Row::toJson() const {
  json j = json::object();
  if (!more.empty()) {
    j = json::parse(more, nullptr, /*allow_exceptions=*/false);
    if (!j.is_object())
      return Status::error("row " + id + ": its fields are not a JSON object");
  }
  j["text"] = text;
  j["_id"] = id;
  if (!domain.empty())
    j["_domain"] = domain;
  return j;
}

void Row::assign(json &&record) {
  text.clear();
  if (auto it = record.find("text"); it != record.end() && it->is_string())
    text = it->get<std::string>();
  for (const char *name : {"text", "_id", "_domain", "_key"})
    record.erase(name);
  if (record.empty())
    more.clear();
  else if (more.find('{', 1) == more.npos) // there was no object but the row
    more = dumped(record);
  else
    more = dumped(inOrderOf(record, ordered_json::parse(more, nullptr, false)));
}

namespace {

/// Objects by their text with sorted keys.
using Objects = std::unordered_map<std::string, const ordered_json *>;

void collect(const ordered_json &value, Objects &objects) {
  if (value.is_object() && value.size() > 1)
    objects.try_emplace(dumped(json(value)), &value);
  if (value.is_structured())
    for (const ordered_json &x : value)
      collect(x, objects);
}

/// `there`: what stood at the same place, or null.
ordered_json ordered(const json &value, const ordered_json *there, const Objects &objects) {
  if (value.is_array()) {
    ordered_json out = ordered_json::array();
    for (size_t i = 0; i < value.size(); ++i)
      out.push_back(ordered(value[i], there && there->is_array() && i < there->size() ? &(*there)[i] : nullptr, objects));
    return out;
  }
  if (!value.is_object())
    return value;
  if (value.size() > 1) { // as text: 1 is not 1.0
    const std::string text = dumped(value);
    if (there && there->is_object() && dumped(json(*there)) == text)
      return *there;
    if (auto it = objects.find(text); it != objects.end())
      return *it->second;
  }
  ordered_json out = ordered_json::object();
  for (auto &[name, x] : value.items())
    out[name] = ordered(x, there && there->is_object() && there->contains(name) ? &(*there)[name] : nullptr, objects);
  return out;
}

} // namespace

ordered_json inOrderOf(const json &value, const ordered_json &before) {
  Objects objects;
  collect(before, objects);
  return ordered(value, &before, objects);
}

ordered_json conversationOf(const Row &row) {
  if (row.more.find("\"messages\":[") == row.more.npos) // most rows need not be parsed
    return nullptr;
  ordered_json fields = ordered_json::parse(row.more, nullptr, false);
  if (!fields.is_object())
    return ordered_json(json::value_t::discarded);
  auto messages = fields.find("messages");
  if (messages == fields.end() || !messages->is_array() || messages->empty())
    return nullptr;
  return fields;
}

bool isConversation(const Row &row) { return !conversationOf(row).is_null(); }

Status answersStay(const Row &row, const std::string &pass) {
  if (row.more.find("\"chosen\":") == row.more.npos || row.more.find("\"rejected\":") == row.more.npos)
    return Status::ok();
  ordered_json fields = ordered_json::parse(row.more, nullptr, false);
  if (!fields.is_object() || !fields.contains("chosen") || !fields.contains("rejected"))
    return Status::ok();
  return Status::error("row " + row.id + " is a preference, and `" + pass +
                       "` changes its text, but not `chosen` and `rejected`; help: let rules drop such rows, or change "
                       "the texts before they are made preferences; map_rows(r => {text = r.text}) takes the answers away");
}

Status messagesStay(const Row &row, const std::string &pass) {
  if (!isConversation(row))
    return answersStay(row, pass);
  return Status::error("row " + row.id + " is a conversation, and `" + pass +
                       "` changes its text, but not its `messages`; help: map_rows(r => {text = r.text}) in front of it "
                       "takes them away");
}

std::string keyOf(const Row &row) {
  std::string_view what = row.text.empty() ? row.more : row.text;
  XXH128_hash_t h = XXH3_128bits(what.data(), what.size());
  char out[40];
  std::snprintf(out, sizeof out, "%016llx%016llx", (unsigned long long)h.high64, (unsigned long long)h.low64);
  return out;
}

// A file's name may hold a ~, so only what stands behind the last @ counts.
static size_t suffixAt(std::string_view id) {
  size_t at = id.rfind('@');
  return at == id.npos ? id.npos : id.find('~', at);
}

std::string_view parentOf(std::string_view id) {
  return suffixAt(id) == id.npos ? std::string_view() : id.substr(0, id.rfind('~'));
}

std::string_view rootOf(std::string_view id) { return id.substr(0, suffixAt(id)); }

size_t utf8Boundary(std::string_view s, size_t at) {
  while (at < s.size() && (static_cast<unsigned char>(s[at]) & 0xC0) == 0x80)
    ++at;
  return std::min(at, s.size());
}

std::string jsonString(std::string_view text) {
  std::string out;
  appendJsonString(text, out);
  return out;
}

void appendShardLine(const Row &row, std::string &out) {
  out += "{\"text\":";
  appendJsonString(row.text, out);
  out += ",\"_id\":";
  appendJsonString(row.id, out);
  if (!row.domain.empty()) {
    out += ",\"_domain\":";
    appendJsonString(row.domain, out);
  }
  if (!row.key.empty()) {
    out += ",\"_key\":";
    appendJsonString(row.key, out);
  }
  if (!row.more.empty()) {
    out += ',';
    out.append(row.more, 1, row.more.size() - 1); // without its {
    out += '\n';
  } else {
    out += "}\n";
  }
}

void appendWaiting(const Row &row, std::string &out) {
  uint64_t lengths[] = {row.text.size(), row.more.size(), row.id.size(), row.domain.size(),
                        row.key.size()};
  out.append(reinterpret_cast<const char *>(lengths), sizeof lengths);
  for (const std::string *part : {&row.text, &row.more, &row.id, &row.domain, &row.key})
    out += *part;
}

bool takeWaiting(std::string_view &rows, Row &row) {
  uint64_t lengths[5];
  if (rows.size() < sizeof lengths)
    return false;
  std::memcpy(lengths, rows.data(), sizeof lengths);
  std::string_view rest = rows.substr(sizeof lengths);
  std::string *parts[] = {&row.text, &row.more, &row.id, &row.domain, &row.key};
  for (int i = 0; i < 5; ++i) {
    if (rest.size() < lengths[i])
      return false;
    *parts[i] = rest.substr(0, lengths[i]);
    rest.remove_prefix(lengths[i]);
  }
  rows = rest;
  return true;
}

// Takes `"NAME":"…"` and a comma off the front of an object's inside; false if it begins otherwise.
static bool takeField(std::string_view &inside, std::string_view name, std::string &value) {
  std::string_view rest = inside;
  if (!rest.starts_with("\"") || !rest.substr(1).starts_with(name) ||
      !rest.substr(1 + name.size()).starts_with("\":\""))
    return false;
  size_t begin = name.size() + 3, end = begin + 1;
  while (end < rest.size() && rest[end] != '"')
    end += rest[end] == '\\' ? 2 : 1;
  if (end >= rest.size())
    return false;
  std::string_view quoted = rest.substr(begin, end + 1 - begin);
  if (quoted.find('\\') == quoted.npos) {
    value = quoted.substr(1, quoted.size() - 2);
  } else {
    json j = json::parse(quoted, nullptr, false);
    if (!j.is_string())
      return false;
    value = j.get<std::string>();
  }
  rest.remove_prefix(end + 1);
  if (rest.starts_with(","))
    rest.remove_prefix(1);
  inside = rest;
  return true;
}

Row rowOfShard(std::string_view text, std::string_view more) {
  Row row;
  row.text = text;
  if (more.size() < 2)
    return row;
  std::string_view inside = more.substr(1, more.size() - 2);
  if (takeField(inside, "_id", row.id)) {
    takeField(inside, "_domain", row.domain);
    takeField(inside, "_key", row.key);
  }
  if (!inside.empty())
    row.more = "{" + std::string(inside) + "}";
  return row;
}

} // namespace r1rt::corpus
