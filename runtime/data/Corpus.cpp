#include "runtime/data/Corpus.h"
#include "runtime/corpus/Engine.h"
#include "runtime/corpus/Plan.h"
#include <filesystem>
#include <functional>

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
    // Stages that were read, and passes over the rows that had to be there.
    std::string stages, passes;
    std::function<void(const json &)> look = [&](const json &node) {
      if (node.is_object() && node.contains("stage"))
        stages += (stages.empty() ? "`" : ", `") + node.value("stage", "") + "`";
      if (node.is_object() && (node.contains("in") || node.contains("sources")))
        passes += (passes.empty() ? "`" : ", `") + node.value("op", "") + "`";
      if (node.is_structured())
        for (const json &child : node)
          look(child);
    };
    look(tree);
    if (stages.empty() && files.size() == 1 && std::filesystem::file_size(files[0], ec) == 0 && !ec)
      return Status::error("`" + files[0] + "` is empty");
    if (!stages.empty())
      return Status::error("there are no rows of text: " + stages + (passes.empty() ? "" : " with " + passes) +
                           " leaves none; r1c inspect of the stage tells why");
    if (!passes.empty())
      return Status::error("there are no rows of text: " + passes + " leaves none of " +
                           (files.empty() ? "them" : "`" + files[0] + "`" + (files.size() > 1 ? " and other files" : "")) +
                           "; as a stage of its own it tells what became of each");
    if (files.size() == 1)
      return Status::error("`" + files[0] + "` has no text, only blank lines");
    return Status::error("there are no rows of text" +
                         (files.empty() ? "" : " in `" + files[0] + "` and " + std::to_string(files.size() - 1) +
                                                   " other files"));
  }
  CorpusPtr done = out;
  ctx.opened.emplace(std::move(key), done);
  return done;
}

} // namespace r1rt
