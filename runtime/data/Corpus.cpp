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
    R1RT_ASSIGN(std::vector<std::string> files, corpus::treeFiles(tree, ctx));
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

} // namespace r1rt
