#include "runtime/data/Corpus.h"
#include "runtime/corpus/Engine.h"
#include "runtime/corpus/Plan.h"
#include <filesystem>

namespace r1rt {

using nlohmann::json;

json Row::toJson() const {
  json j = more.is_object() ? more : json::object();
  j["text"] = text;
  return j;
}

uint64_t Corpus::textBytes() const {
  uint64_t n = 0;
  for (const Row &r : rows)
    n += r.text.size();
  return n;
}

Result<CorpusPtr> openCorpus(const json &tree, DataContext &ctx) {
  std::string key = tree.dump(-1, ' ', false, json::error_handler_t::replace);
  if (auto it = ctx.opened.find(key); it != ctx.opened.end())
    return it->second;
  auto out = std::make_shared<Corpus>();
  R1RT_TRY(corpus::eachRow(tree, ctx, [&](corpus::Row &&r) -> Status {
    Row row{std::move(r.text), {}};
    if (!r.more.empty()) {
      row.more = json::parse(r.more, nullptr, false);
      if (!row.more.is_object())
        return Status::error("row " + r.id + ": its fields are not a JSON object");
    }
    out->rows.push_back(std::move(row));
    return Status::ok();
  }));
  if (out->rows.empty()) {
    R1RT_ASSIGN(std::vector<std::string> files, corpusFiles(tree, ctx));
    std::error_code ec;
    if (files.size() == 1)
      return Status::error("`" + files[0] + "` " +
                           (std::filesystem::file_size(files[0], ec) ? "has no text, only blank lines" : "is empty"));
    return Status::error("there are no rows of text" +
                         (files.empty() ? "" : " in `" + files[0] + "` and " + std::to_string(files.size() - 1) +
                                                   " other files"));
  }
  CorpusPtr done = out;
  ctx.opened.emplace(std::move(key), done);
  return done;
}

Result<std::vector<std::string>> corpusFiles(const json &tree, const DataContext &ctx) {
  return corpus::treeFiles(tree, ctx);
}

size_t findBadUtf8(std::string_view s) {
  auto byte = [&](size_t i) { return static_cast<unsigned char>(s[i]); };
  for (size_t i = 0; i < s.size();) {
    unsigned char c = byte(i);
    if (c < 0x80) {
      ++i;
      continue;
    }
    int n = c >= 0xC2 && c <= 0xDF ? 1 : (c & 0xF0) == 0xE0 ? 2 : c >= 0xF0 && c <= 0xF4 ? 3 : 0;
    if (!n || i + n >= s.size())
      return i;
    unsigned char d = byte(i + 1);
    // Overlong forms, surrogates and what lies beyond U+10FFFF show in the second byte.
    if ((c == 0xE0 && d < 0xA0) || (c == 0xED && d > 0x9F) || (c == 0xF0 && d < 0x90) ||
        (c == 0xF4 && d > 0x8F))
      return i;
    for (int k = 1; k <= n; ++k)
      if ((byte(i + k) & 0xC0) != 0x80)
        return i;
    i += n + 1;
  }
  return std::string_view::npos;
}

} // namespace r1rt
