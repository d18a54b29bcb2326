// `tokenizer` of stdlib/stages.r1: a tokenizer that another program has trained.
#include "compiler/eval/Files.h"
#include "compiler/eval/StageHelpers.h"
#include "runtime/tokenizer/Tokenizer.h"
#include <filesystem>

namespace r1 {

namespace {

namespace fs = std::filesystem;

Value tokenizer(Evaluator &ev, BuiltinCall &c) {
  if (!inPipeline(ev, c))
    return {};
  std::string path = arg(c, "path").string();
  std::error_code ec;
  if (fs::is_directory(path, ec))
    path = (fs::path(path) / "tokenizer.json").string();
  if (!reportMissing(ev, path, spanOf(c, "path")))
    return {};
  auto read = r1rt::tokenizer::Encoder::open(path);
  if (!read)
    return ev.fail("E0408", spanOf(c, "path"), "this tokenizer cannot be read: " + read.status().message());
  auto h = handle("tokenizer", c, "tokenizer");
  h->spec = Json{{"op", "tokenizer"}, {"path", path}};
  h->files = {path};
  for (const char *name : {"tokenizer_config.json", "special_tokens_map.json"})
    if (std::string beside = (fs::path(path).parent_path() / name).string(); fs::exists(beside, ec))
      h->files.push_back(beside);
  std::vector<Value> special;
  for (int32_t id = 0; id < read->vocabSize(); ++id)
    if (read->isSpecial(id))
      special.push_back(Value::str(std::string(read->idToToken(id))));
  h->fields.emplace_back("vocab", Value::integer(read->vocabSize()));
  h->fields.emplace_back("special", Value::list(std::move(special)));
  auto &ids = read->roles();
  for (auto [name, id] : {std::pair{"bos", ids.bos}, {"eos", ids.eos}, {"pad", ids.pad}, {"unk", ids.unk},
                          {"mask", ids.mask}, {"cls", ids.cls}, {"sep", ids.sep}})
    h->fields.emplace_back(name, id < 0 ? Value(Value::None) : Value::integer(id));
  return Value::of(Value::Handle, h);
}

} // namespace

const std::vector<Builtin> &tokenizerBuiltins() {
  static const std::vector<Builtin> table = {{"tokenizer", "", tokenizer}};
  return table;
}

} // namespace r1
