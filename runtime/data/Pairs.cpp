#include "runtime/data/Pairs.h"
#include "runtime/corpus/Engine.h"
#include "runtime/corpus/Pass.h"
#include "runtime/data/Label.h"

namespace r1rt {

using nlohmann::json;

namespace {

Result<std::string> textOf(const RowFn &fn, const json &row, const std::string &id, const char *side) {
  auto found = fn(row);
  std::string what = "row " + id + ": the " + side;
  if (!found)
    return found.status().withContext(what);
  if (!found->is_string())
    return Status::error(what + " is " + found->dump(-1, ' ', true, json::error_handler_t::replace).substr(0, 80) +
                         "; it is a text");
  if (found->get_ref<const std::string &>().empty())
    return Status::error(what + " is empty; filter(r => …) in front of `translate` leaves such rows out");
  return found->get<std::string>();
}

} // namespace

Result<std::shared_ptr<PackedData>> readPairs(const json &tree, DataContext &ctx) {
  auto data = std::make_shared<PackedData>(), source = std::make_shared<PackedData>();
  data->seq = tree.value("len", 0);
  source->seq = tree.value("source_len", 0);
  R1RT_ASSIGN(data->tokenizer, openTokenizer(tree.value("tok", json()), ctx));
  source->tokenizer = data->tokenizer;
  json how = {{"cut", tree.value("cut", "tail")}, {"side", "right"}};
  R1RT_ASSIGN(DocumentRows targets, DocumentRows::create(data, how, /*targets=*/true));
  R1RT_ASSIGN(DocumentRows sources, DocumentRows::create(source, how, /*targets=*/false));
  R1RT_ASSIGN(const RowFn *from, corpus::rowFunction(tree.value("source", json()), ctx));
  R1RT_ASSIGN(const RowFn *to, corpus::rowFunction(tree.value("target", json()), ctx));
  R1RT_TRY(corpus::eachRow(tree.value("in", json()), ctx, [&](corpus::Row &&row) -> Status {
    if (data->rows() == PackedData::noRow - 1)
      return Status::error("there are more than " + std::to_string(data->rows()) + " rows");
    R1RT_ASSIGN(json fields, row.toJson());
    R1RT_ASSIGN(std::string a, textOf(*from, fields, row.id, "source"));
    R1RT_ASSIGN(std::string b, textOf(*to, fields, row.id, "target"));
    if (!sources.add(a) || !targets.add(b))
      return Status::error("row " + row.id + ": the tokenizer makes no token of one of its texts");
    return Status::ok();
  }));
  if (!data->rows())
    return Status::error("there are no rows to make batches of");
  data->truncated += source->truncated;
  data->cutTokens += source->cutTokens;
  data->source = std::move(source);
  return data;
}

} // namespace r1rt
