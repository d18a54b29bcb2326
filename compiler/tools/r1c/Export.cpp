// Models as `transformers` keeps them: the stage that reads a checkpoint, and `r1c export`.
#include "compiler/tools/r1c/Execute.h"
#include "compiler/tools/r1c/Files.h"
#include "runtime/checkpoint/Checkpoint.h"
#include "runtime/data/Tokenizer.h"
#include "runtime/state/Files.h"
#include "runtime/tokenizer/Tokenizer.h"
#include <algorithm>
#include <filesystem>

using nlohmann::json;
using r1rt::ExitClass;
using r1rt::Result;
using r1rt::Status;

namespace r1::tool {

namespace {

std::vector<r1rt::checkpoint::Leaf> leavesOf(const Stage &s) {
  std::vector<r1rt::checkpoint::Leaf> out;
  for (const Leaf &leaf : s.leaves) {
    out.push_back({leaf.path, {}});
    for (auto &d : leaf.type.dims)
      out.back().shape.push_back(d.size);
  }
  return out;
}

/// The longest rows that a model has seen: of its data, of what it started from, of its config.
int64_t positionsOf(const Elaboration &e, const Stage &s) {
  int64_t most = s.spec.value("positions", int64_t(0));
  auto look = [&](auto &self, const json &j) -> void {
    if (j.is_object())
      for (const char *key : {"seq", "len"})
        if (auto n = j.find(key); n != j.end() && n->is_number_integer())
          most = std::max(most, n->get<int64_t>());
    if (j.is_structured())
      for (auto &x : j)
        self(self, x);
  };
  look(look, s.spec.value("data", json()));
  for (const Stage &from : e.stages)
    if (std::any_of(s.leaves.begin(), s.leaves.end(), [&](auto &l) { return l.from == from.name; }))
      most = std::max(most, positionsOf(e, from));
  return most;
}

const char *const tokenizerFiles[] = {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"};

/// Writes the tokenizer of the artifact in `from` to `to`, as far as it has a counterpart, and tells its ids.
Status writeTokenizer(const std::string &from, const std::string &to, r1rt::checkpoint::Export &job,
                      r1rt::Reporter &report) {
  std::error_code ec;
  if (!std::filesystem::exists(from + "/tokenizer.r1.json", ec)) {
    report.note("the model has no tokenizer; tokenizer.json is not written");
    return Status::ok();
  }
  R1RT_ASSIGN(r1rt::TokenizerPtr tok, r1rt::openTokenizer(from));
  job.bos = job.eos = tok->endOfText();
  job.pad = tok->padding();
  bool theirs = std::filesystem::exists(from + "/tokenizer.json", ec);
  if (theirs) {
    for (const char *name : tokenizerFiles)
      if (std::filesystem::exists(from + "/" + name, ec)) {
        R1RT_ASSIGN(std::string content, r1rt::readFile(from + "/" + name));
        R1RT_TRY(r1rt::writeFileAtomic(to + "/" + name, content));
      }
    R1RT_ASSIGN(r1rt::tokenizer::Encoder e, r1rt::tokenizer::Encoder::open(from));
    job.bos = e.roles().bos, job.eos = e.roles().eos, job.pad = e.roles().pad;
  } else {
    R1RT_ASSIGN(std::string content, tok->tokenizerJson());
    R1RT_TRY(r1rt::writeFileAtomic(to + "/tokenizer.json", content));
  }
  if (std::filesystem::exists(to + "/tokenizer_config.json", ec))
    return Status::ok();
  R1RT_ASSIGN(r1rt::tokenizer::Encoder e, r1rt::tokenizer::Encoder::open(to));
  nlohmann::ordered_json config = {{"tokenizer_class", "PreTrainedTokenizerFast"}};
  for (auto [name, id] : {std::pair{"bos_token", job.bos}, {"eos_token", job.eos}, {"pad_token", job.pad},
                          {"unk_token", e.roles().unk}})
    if (std::string token(id < 0 ? "" : e.idToToken(id)); !token.empty())
      config[name] = token;
  if (job.positions)
    config["model_max_length"] = job.positions;
  return r1rt::writeFileAtomic(to + "/tokenizer_config.json", config.dump(2) + "\n");
}

} // namespace

Result<json> Runner::checkpoint(const PlannedStage &p, const std::string &dir) {
  const Stage &s = *p.stage;
  R1RT_ASSIGN(r1rt::checkpoint::Folder folder, r1rt::checkpoint::Folder::open(s.spec.at("path")));
  std::vector<r1rt::checkpoint::Leaf> leaves = leavesOf(s);
  uint64_t parameters = 0;
  for (const auto &leaf : leaves) {
    uint64_t n = 1;
    for (int64_t d : leaf.shape)
      n *= uint64_t(d);
    parameters += n;
  }
  R1RT_TRY(r1rt::requireSpace(dir, parameters * sizeof(float) + (1 << 20), "stage `" + s.name + "`"));
  R1RT_TRY(folder.convert(leaves, dir + "/model.safetensors",
                          {{"r1.fingerprint", p.fingerprint}, {"r1.stage", s.name}}));
  if (auto tok = s.spec.find("tok"); tok != s.spec.end()) {
    R1RT_ASSIGN(r1rt::TokenizerPtr t, r1rt::openTokenizer(*tok, data(s)));
    R1RT_TRY(t->save(dir));
  }
  return json{{"parameters", parameters}};
}

int exportCommand(const Options &o) {
  auto [file, name] = splitFileAndName(o.file);
  Session session(o);
  if (!session.load(file) || !session.elaborateFor(name))
    return session.exit;
  auto fail = [&](const Status &st) { return session.fail("export", st); };
  auto store = r1rt::Store::look(o.store);
  if (!store)
    return fail(store.status());
  auto plan = planStages(*session.elaboration, store->get(), o);
  if (!plan)
    return fail(plan.status());
  auto target = madeModel(*plan, file, name, o);
  if (!target)
    return fail(target.status());
  const Stage &s = *(*target)->stage;
  r1rt::Reporter::Options ro;
  ro.json = o.json;
  ro.quiet = o.quiet;
  r1rt::Reporter report(ro);
  const std::string from = (*store)->dir((*target)->fingerprint), to = o.out;
  r1rt::checkpoint::Export job;
  job.model = s.model;
  job.args = s.modelArguments;
  job.weights = from + "/model.safetensors";
  job.leaves = leavesOf(s);
  job.shardBytes = o.shardSize;
  job.positions = positionsOf(*session.elaboration, s);
  // What cannot be written is known before anything is.
  Status st = r1rt::checkpoint::canWrite(job, to);
  if (st)
    st = r1rt::makeDirs(to);
  if (st)
    st = writeTokenizer(from, to, job, report);
  if (st)
    st = r1rt::checkpoint::write(job, to);
  if (!st)
    return fail(st.withContext("stage `" + s.name + "`"));
  report.note(s.name + "  written to " + to);
  report.event("export", {{"stage", s.name}, {"dir", to}});
  return Done;
}

} // namespace r1::tool
