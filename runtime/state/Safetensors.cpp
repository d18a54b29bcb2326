#include "runtime/state/Safetensors.h"
#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <xxhash.h>

namespace r1rt {

using nlohmann::json;

static uint64_t elementBytes(std::string_view dtype) {
  static const std::pair<std::string_view, uint64_t> table[] = {
      {"F64", 8}, {"I64", 8}, {"U64", 8},     {"F32", 4},     {"I32", 4},
      {"U32", 4}, {"F16", 2}, {"BF16", 2},    {"I16", 2},     {"U16", 2},
      {"I8", 1},  {"U8", 1},  {"F8_E4M3", 1}, {"F8_E5M2", 1}, {"BOOL", 1}};
  for (auto &[name, n] : table)
    if (name == dtype)
      return n;
  return 0;
}

std::string shapeText(const std::vector<int64_t> &shape) {
  std::string s = "[";
  for (size_t i = 0; i < shape.size(); ++i)
    s += (i ? ", " : "") + std::to_string(shape[i]);
  return s + "]";
}

const TensorView *SafetensorsIndex::find(std::string_view name) const {
  for (const TensorView &t : tensors)
    if (t.name == name)
      return &t;
  return nullptr;
}

/// A name from the file, fit for a message.
static std::string quoteName(const std::string &s) {
  std::string out = "`";
  for (char c : s.substr(0, 80))
    out += static_cast<unsigned char>(c) < 32 || c == 127 ? '?' : c;
  return out + "`";
}

Result<SafetensorsIndex> SafetensorsIndex::parse(std::string_view content) {
  auto bad = [](const std::string &what) {
    return Status::error("not a whole safetensors file: " + what);
  };
  constexpr uint64_t maxHeader = 100'000'000;
  if (content.size() < 8)
    return bad("it has " + std::to_string(content.size()) +
               " bytes, fewer than the 8 of its first field");
  uint64_t headerBytes = 0;
  for (int i = 0; i < 8; ++i)
    headerBytes |= uint64_t(static_cast<unsigned char>(content[i])) << (8 * i);
  if (headerBytes > maxHeader)
    return bad("its header claims " + std::to_string(headerBytes) +
               " bytes; at most 100 MB are allowed");
  if (headerBytes > content.size() - 8)
    return bad("its header claims " + std::to_string(headerBytes) + " bytes, but " +
               std::to_string(content.size() - 8) + " follow");
  std::string_view header = content.substr(8, headerBytes);
  std::string_view buffer = content.substr(8 + headerBytes);
  if (header.empty() || header[0] != '{')
    return bad("its header does not begin with {");

  // Names must be distinct and nesting shallow; the JSON reader would let both pass.
  std::vector<std::set<std::string>> keys;
  std::string problem;
  auto watch = [&](int depth, json::parse_event_t event, json &value) {
    if (!problem.empty())
      return false;
    if (depth > 4)
      problem = "its header is nested too deeply";
    else if (event == json::parse_event_t::object_start)
      keys.emplace_back();
    else if (event == json::parse_event_t::object_end) {
      if (!keys.empty())
        keys.pop_back();
    } else if (event == json::parse_event_t::key && !keys.empty() &&
               !keys.back().insert(value.get<std::string>()).second)
      problem = quoteName(value.get<std::string>()) + " occurs twice in its header";
    return problem.empty();
  };
  json root;
  try {
    root = json::parse(header.begin(), header.end(), watch, /*allow_exceptions=*/false);
  } catch (const std::exception &e) {
    return bad(std::string("its header cannot be read: ") + e.what());
  }
  if (!problem.empty())
    return bad(problem);
  if (!root.is_object())
    return bad("its header is not a JSON object");

  SafetensorsIndex out;
  struct Span {
    uint64_t begin, end;
  };
  std::vector<std::pair<Span, size_t>> spans;
  for (auto &[name, value] : root.items()) {
    if (name == "__metadata__") {
      if (!value.is_object())
        return bad("__metadata__ is not an object");
      for (auto &[k, v] : value.items()) {
        if (!v.is_string())
          return bad("__metadata__ holds something that is not a string");
        out.metadata[k] = v.get<std::string>();
      }
      continue;
    }
    auto field = [&](const char *key) -> const json * {
      auto it = value.is_object() ? value.find(key) : value.end();
      return value.is_object() && it != value.end() ? &*it : nullptr;
    };
    const json *dtype = field("dtype"), *shape = field("shape"), *offsets = field("data_offsets");
    if (!dtype || !dtype->is_string() || !shape || !shape->is_array() || !offsets ||
        !offsets->is_array() || offsets->size() != 2 || !(*offsets)[0].is_number_unsigned() ||
        !(*offsets)[1].is_number_unsigned())
      return bad("tensor " + quoteName(name) + " lacks dtype, shape or data_offsets");
    TensorView t;
    t.name = name;
    t.dtype = dtype->get<std::string>();
    uint64_t bytes = elementBytes(t.dtype);
    if (!bytes)
      return bad("tensor " + quoteName(name) + " has the unknown dtype " + quoteName(t.dtype));
    bool overflow = false, zero = false;
    for (const json &d : *shape) {
      if (!d.is_number_unsigned() || d.get<uint64_t>() > uint64_t(INT64_MAX))
        return bad("tensor " + quoteName(name) + " has a dim that is not a count");
      uint64_t n = d.get<uint64_t>();
      zero |= n == 0;
      overflow |= n != 0 && __builtin_mul_overflow(bytes, n, &bytes);
      t.shape.push_back(int64_t(n));
    }
    if (zero)
      bytes = 0;
    else if (overflow)
      return bad("tensor " + quoteName(name) + " is larger than any file");
    Span s{(*offsets)[0].get<uint64_t>(), (*offsets)[1].get<uint64_t>()};
    if (s.begin > s.end || s.end > buffer.size())
      return bad("tensor " + quoteName(name) + " ends at byte " + std::to_string(s.end) + " of " +
                 std::to_string(buffer.size()));
    if (s.end - s.begin != bytes)
      return bad("tensor " + quoteName(name) + " has " + std::to_string(s.end - s.begin) +
                 " bytes; its shape " + shapeText(t.shape) + " of " + t.dtype + " needs " +
                 std::to_string(bytes));
    t.data = buffer.substr(s.begin, bytes);
    spans.push_back({s, out.tensors.size()});
    out.tensors.push_back(std::move(t));
  }
  std::sort(spans.begin(), spans.end(), [](auto &a, auto &b) {
    return std::tuple(a.first.begin, a.first.end, a.second) <
           std::tuple(b.first.begin, b.first.end, b.second);
  });
  uint64_t at = 0;
  std::vector<TensorView> ordered;
  for (auto &[s, i] : spans) {
    if (s.begin != at)
      return bad("the data of tensor " + quoteName(out.tensors[i].name) + " begins at byte " +
                 std::to_string(s.begin) + ", but the one before ends at " + std::to_string(at));
    at = s.end;
    ordered.push_back(std::move(out.tensors[i]));
  }
  if (at != buffer.size())
    return bad("its tensors end at byte " + std::to_string(at) + " of " +
               std::to_string(buffer.size()));
  out.tensors = std::move(ordered);
  return out;
}

Result<SafetensorsFile> SafetensorsFile::open(const std::string &path) {
  SafetensorsFile f;
  R1RT_ASSIGN(f.file, MappedFile::open(path));
  auto idx = SafetensorsIndex::parse(f.file.text());
  if (!idx)
    return idx.status().withContext("`" + path + "`");
  f.idx = idx.take();
  return f;
}

std::string hashOf(const std::vector<TensorView> &tensors, const SafetensorsFile *file) {
  XXH64_state_t *h = XXH64_createState();
  XXH64_reset(h, 0);
  for (const TensorView &t : tensors) {
    XXH64_update(h, t.data.data(), t.data.size());
    if (file)
      file->release(t);
  }
  uint64_t v = XXH64_digest(h);
  XXH64_freeState(h);
  return std::to_string(v);
}

Status checkHash(const SafetensorsFile &file, const std::string &path) {
  auto known = file.index().metadata.find("xxh64");
  if (known == file.index().metadata.end() || known->second == hashOf(file.index().tensors, &file))
    return Status::ok();
  return Status::error("`" + path +
                       "` is damaged: its content does not have the hash it had when written");
}

/// How many bytes the data of a tensor has by its type and shape.
static uint64_t dataBytes(const TensorView &t) {
  uint64_t bytes = elementBytes(t.dtype);
  for (int64_t d : t.shape)
    bytes *= uint64_t(d);
  return bytes;
}

static Status cannotBeWritten(const TensorView &t) {
  return Status::error("tensor `" + t.name + "` cannot be written: its size or name does not fit");
}

Result<std::string> safetensorsHeader(const std::vector<TensorView> &tensors,
                                      const std::map<std::string, std::string> &metadata) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty())
    header["__metadata__"] = metadata;
  uint64_t at = 0;
  for (const TensorView &t : tensors) {
    uint64_t bytes = dataBytes(t);
    if (header.contains(t.name))
      return cannotBeWritten(t);
    header[t.name] = {{"dtype", t.dtype}, {"shape", t.shape}, {"data_offsets", {at, at + bytes}}};
    at += bytes;
  }
  std::string text = header.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  text.resize((text.size() + 7) / 8 * 8, ' ');
  std::string length;
  for (int i = 0; i < 8; ++i)
    length += static_cast<char>(uint64_t(text.size()) >> (8 * i));
  return length + text;
}

Status writeSafetensors(const std::string &path, const std::vector<TensorView> &tensors,
                        const std::map<std::string, std::string> &metadata) {
  R1RT_ASSIGN(std::string header, safetensorsHeader(tensors, metadata));
  std::vector<std::string_view> parts = {header};
  for (const TensorView &t : tensors) {
    if (dataBytes(t) != t.data.size())
      return cannotBeWritten(t);
    parts.push_back(t.data);
  }
  return writeFileAtomic(path, parts);
}

} // namespace r1rt
