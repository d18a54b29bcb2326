// A model writes to the rows of a corpus.
//
//   data ──runCorpus──► rows/ ──prompts──► Generator ──► outputs.jsonl ──runCorpus──► the artifact
//
// The rows are made once to be asked about and once to be kept, so that the ledger is that of all passes.
#include "runtime/corpus/Artifact.h"
#include "runtime/corpus/Pass.h"
#include "runtime/data/Chat.h"
#include "runtime/stages/Generate.h"
#include "runtime/stages/OutputLog.h"
#include "runtime/stages/Signals.h"
#include "runtime/state/Files.h"
#include "runtime/state/Philox.h"
#include "runtime/text/Utf8.h"
#include <chrono>
#include <filesystem>
#include <unordered_map>

namespace r1rt {

using generate::Output;
using generate::Prompt;
using nlohmann::json;
namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

namespace {

double since(Clock::time_point t) { return std::chrono::duration<double>(Clock::now() - t).count(); }

/// Rows of shards, one after the other, each as often as it has samples.
class Requests {
public:
  Requests(std::vector<std::string> shards, int64_t samples) : shards(std::move(shards)), samples(samples) {}

  /// False at the end; else `row` and `sample` say which.
  Result<bool> next() {
    if (++sample < samples)
      return true;
    sample = 0;
    for (; shard < shards.size(); ++shard) {
      if (!lines) {
        R1RT_ASSIGN(corpus::LineReader l, corpus::LineReader::open(shards[shard]));
        lines = std::make_unique<corpus::LineReader>(std::move(l));
      }
      R1RT_ASSIGN(std::optional<std::string_view> line, lines->next());
      if (line) {
        text = *line;
        row = json::parse(text, nullptr, false);
        if (!row.is_object())
          return Status::error("`" + shards[shard] + "` has a line that is no JSON object");
        row.erase("_key"); // not for functions of rows
        return true;
      }
      lines.reset();
    }
    return false;
  }
  json row;
  std::string text; // of the row: there its fields have their order
  int64_t sample = INT64_MAX - 1;

private:
  std::vector<std::string> shards;
  const int64_t samples;
  std::unique_ptr<corpus::LineReader> lines;
  size_t shard = 0;
};

class Writing {
public:
  Writing(const GenerateRowsJob &job, StageContext &ctx)
      : job(job), ctx(ctx), spec(job.spec), stage(spec.value("stage", "generate")) {}
  Result<json> run();

private:
  Status makeRows();
  Status write();
  Result<generate::Next> nextPrompt(Requests &requests, TextModel &model, Prompt &p);
  Result<std::string> promptOf(const json &row) const;
  Result<Prompt> chatPromptOf(const Requests &requests, const TextModel &model) const;
  Result<bool> setChoices(const json &row, const std::string &text, TextModel &model, Prompt &p, json &line) const;
  void report();

  const GenerateRowsJob &job;
  StageContext &ctx;
  const json &spec;
  const std::string stage;
  std::string rowsDir;    // of the corpus whose rows are asked about
  uint64_t rowsInAll = 0;
  generate::GenerateOptions options;
  int64_t samples = 1;    // requests for each row
  const RowFn *prompt = nullptr;
  std::string chat;                // the template of conversations; empty: prompts are texts
  const RowFn *choices = nullptr; // what may follow; nothing is written then
  std::string ifLong;
  uint64_t key = 0;
  OutputLog log;
  std::unordered_map<uint64_t, json> open; // lines of requests at work, without outputs
  uint64_t asked = 0, found = 0, tokens = 0;
  Clock::time_point begun = Clock::now();
};

Status Writing::makeRows() {
  const json &data = spec["data"];
  if (data.is_object() && data.size() == 1 && data.contains("stage")) {
    R1RT_ASSIGN(rowsDir, ctx.data.artifactDir(data["stage"].get<std::string>()));
  } else {
    rowsDir = job.dir + "/rows";
    R1RT_TRY(makeDirs(rowsDir));
    R1RT_TRY(runCorpus({{{"stage", stage}, {"data", data}}, rowsDir}, ctx).status());
  }
  R1RT_ASSIGN(json account, corpus::readAccount(rowsDir));
  rowsInAll = account.value("rows", uint64_t(0));
  return Status::ok();
}

Result<std::string> Writing::promptOf(const json &row) const {
  if (!prompt)
    return row.value(spec.value("field", "text"), "");
  auto text = (*prompt)(row);
  if (!text)
    return text.status().withContext("row " + row.value("_id", "") + ": `prompt`");
  if (!text->is_string())
    return Status::error("row " + row.value("_id", "") + ": `prompt` gives a text, this is " + text->dump());
  return text->get<std::string>();
}

Result<generate::Next> Writing::nextPrompt(Requests &requests, TextModel &model, Prompt &p) {
  for (;;) {
    R1RT_ASSIGN(bool more, requests.next());
    if (!more)
      return generate::Next::end;
    std::string id = requests.row.value("_id", "");
    if (log.has(nameOf(id, requests.sample)))
      continue;
    std::string text;
    if (chat.empty()) {
      R1RT_ASSIGN(text, promptOf(requests.row));
    }
    if (text.empty() && spec.contains("into")) { // nothing came back from the model before
      R1RT_TRY(log.add({{"row", id}, {"sample", requests.sample}, {"empty", true}, {"outputs", json::array()}}));
      continue;
    }
    const int64_t most = model.reads();
    p.number = asked;
    p.key = drawKey(drawKey(key, id), uint64_t(requests.sample));
    if (choices) {
      json line = {{"row", id}, {"sample", 0}};
      R1RT_ASSIGN(bool fits, setChoices(requests.row, text, model, p, line));
      if (!fits) {
        line.erase("characters");
        R1RT_TRY(log.add(line));
        continue;
      }
      open[asked++] = std::move(line);
      return generate::Next::prompt;
    }
    int64_t whole = 0;
    if (chat.empty()) {
      whole = model.ask(text, options.maxNew, p);
    } else {
      R1RT_ASSIGN(generate::Prompt made, chatPromptOf(requests, model));
      p.tokens = model.fitted(std::move(made.tokens), options.maxNew, whole);
    }
    json line = {{"row", id}, {"sample", requests.sample}, {"tokens", whole}};
    if (text.empty() && chat.empty())
      line["empty"] = true;
    if (whole > most && ifLong == "stop")
      return Status::error("row " + id + ": the prompt has " + std::to_string(whole) + " tokens, the model reads " +
                           std::to_string(most) + R"(; help: long = "cut" )" +
                           (model.translates() ? "cuts it as in training" : "reads the end of it") +
                           R"(, long = "drop" leaves the row out)");
    if (whole > most && ifLong == "drop") {
      line["most"] = most;
      R1RT_TRY(log.add(line));
      continue;
    }
    if (whole > most)
      line["cut"] = true;
    open[asked++] = std::move(line);
    return generate::Next::prompt;
  }
}

/// The conversation of a row, up to where the assistant begins. `prompt` gives the user's message, or all messages;
/// without it they are the row's own, with its `tools`, and a last turn of the assistant is left out.
Result<Prompt> Writing::chatPromptOf(const Requests &requests, const TextModel &model) const {
  const json &row = requests.row;
  const std::string name = "row " + row.value("_id", "");
  const auto own = nlohmann::ordered_json::parse(requests.text, nullptr, false);
  nlohmann::ordered_json said = own.contains("messages") ? own["messages"] : own.value("text", nlohmann::ordered_json(""));
  ChatTools tools;
  if (!prompt && own.contains("messages") && own.contains("tools")) {
    auto read = readTools(own["tools"]);
    if (!read)
      return read.status().withContext(name);
    tools = read.take();
  }
  if (prompt) {
    auto value = (*prompt)(row);
    if (!value)
      return value.status().withContext(name + ": `prompt`");
    json given; // named as the row's own, whose calls keep the order of their arguments then
    given["messages"] = value.take();
    said = corpus::inOrderOf(given, own)["messages"];
  }
  std::vector<Message> messages;
  if (said.is_string()) {
    messages = {{"user", said.get<std::string>()}};
  } else {
    auto read = readMessages(said);
    if (!read)
      return read.status().withContext(name);
    messages = read.take();
    if (!messages.empty() && messages.back().role == "assistant")
      messages.pop_back();
  }
  auto made = chatPrompt(chat, std::move(messages), model.tokenizer(), tools);
  if (!made)
    return made.status().withContext(name);
  Prompt p;
  p.tokens = std::move(made->tokens);
  return p;
}

/// What may follow the prompt of a row; false if that has too many tokens and the row is dropped.
Result<bool> Writing::setChoices(const json &row, const std::string &text, TextModel &model, Prompt &p,
                                 json &line) const {
  const std::string name = "row " + row.value("_id", "") + ": ";
  line["characters"] = json::array();
  auto all = (*choices)(row);
  if (!all)
    return all.status().withContext(name + "`choices`");
  if (!all->is_array() || all->empty() ||
      std::any_of(all->begin(), all->end(), [](const json &x) { return !x.is_string(); }))
    return Status::error(name + "`choices` gives a list of at least one text, this is " + all->dump());
  const int64_t most = model.decoder().context();
  p.choices.clear();
  for (const json &one : *all) {
    const std::string choice = one;
    generate::Prompt::Choice c = generate::choiceOf(model.tokenizer(), text, choice);
    const int64_t whole = int64_t(c.context.size() + c.tokens.size());
    if (c.tokens.empty())
      return Status::error(name + "the choice " + one.dump() + " adds no token to the prompt");
    if (int64_t(c.tokens.size()) >= most)
      return Status::error(name + "the choice " + one.dump() + " has " + std::to_string(c.tokens.size()) +
                           " tokens, the model reads " + std::to_string(most) + " with one before them");
    line["tokens"] = std::max(line.value("tokens", int64_t(0)), whole);
    if (whole > most && ifLong == "stop")
      return Status::error(name + "prompt and choice have " + std::to_string(whole) + " tokens, the model reads " +
                           std::to_string(most) +
                           R"(; help: long = "cut" reads the end of the prompt, long = "drop" leaves the row out)");
    if (whole > most && ifLong == "drop") {
      line["most"] = most;
      return false;
    }
    if (whole > most) {
      line["cut"] = true;
      c.context.erase(c.context.begin(), c.context.end() - (most - int64_t(c.tokens.size())));
    }
    line["characters"].push_back(text::countChars(choice));
    p.choices.push_back(std::move(c));
  }
  if (text.empty())
    line["empty"] = true;
  return true;
}

/// Which of the choices is the likeliest, as fields of the row.
json choiceFields(const std::vector<Output> &outputs, const json &characters) {
  json logprobs = json::array(), tokens = json::array();
  size_t best = 0, bestByLength = 0;
  auto byLength = [&](size_t i) { return outputs[i].logprob / std::max(1.0, characters[i].get<double>()); };
  for (size_t i = 0; i < outputs.size(); ++i) {
    logprobs.push_back(outputs[i].logprob);
    tokens.push_back(outputs[i].tokens.size());
    best = outputs[i].logprob > outputs[best].logprob ? i : best;
    bestByLength = byLength(i) > byLength(bestByLength) ? i : bestByLength;
  }
  return {{"choice", best}, {"choice_by_length", bestByLength}, {"choice_logprobs", logprobs}, {"choice_tokens", tokens}};
}

void Writing::report() {
  double s = since(begun), done = double(log.size()), all = double(rowsInAll) * double(samples);
  char text[120];
  std::snprintf(text, sizeof text, "%llu of %llu texts  %.1f/s  %.0f tokens/s",
                static_cast<unsigned long long>(log.size()), static_cast<unsigned long long>(all),
                (done - double(found)) / (s + 1e-9), double(tokens) / (s + 1e-9));
  ctx.report.progress(stage, text, all > 0 ? done / all : 1,
                      {{"texts", log.size()}, {"tokens", tokens}, {"seconds", s}});
}

Status Writing::write() {
  R1RT_TRY(log.open(job.dir + "/outputs.jsonl"));
  found = log.size();
  R1RT_ASSIGN(std::vector<std::string> shards, corpus::shardFiles(rowsDir));
  R1RT_ASSIGN(std::unique_ptr<TextModel> model,
              TextModel::open(ctx.device, *job.module, job.modelDir, job.decoder, ctx.accelerator, job.cut));
  if (model->translates() && (choices || !chat.empty()))
    return Status::error(std::string(choices ? "choices" : "a template") + " and a model that translates do not go together",
                         ExitClass::program);
  generate::addSpecialStops(model->tokenizer(), options);
  if (!chat.empty()) {
    R1RT_ASSIGN(ChatPrompt any, chatPrompt(chat, {{"user", "a"}}, model->tokenizer()));
    options.stopIds.insert(options.stopIds.end(), any.ends.begin(), any.ends.end());
  }
  R1RT_ASSIGN(generate::Generator generator,
              generate::Generator::create(model->decoder(), model->tokenizer(), options));
  Requests requests(std::move(shards), samples);
  SignalGuard signals;
  auto shown = begun;
  Status st = generator.run(
      [&](Prompt &p, bool) { return nextPrompt(requests, *model, p); },
      [&](uint64_t number, std::vector<Output> &&outputs) -> Status {
        json line = std::move(open.extract(number).mapped());
        if (choices) {
          line["outputs"].push_back(choiceFields(outputs, line["characters"]));
          line.erase("characters");
          return log.add(line);
        }
        for (Output &out : outputs) {
          json fields = {{"output", std::move(out.text)},
                         {"output_tokens", std::move(out.tokens)},
                         {"logprob", out.logprob},
                         {"finish", out.stopped ? "stop" : "length"}};
          if (options.beams > 1)
            fields["score"] = out.score;
          line["outputs"].push_back(std::move(fields));
        }
        return log.add(line);
      },
      [&] {
        tokens = generator.tokens();
        if (since(shown) > 0.5) {
          report();
          shown = Clock::now();
        }
        return !signals.stopAsked();
      });
  R1RT_TRY(log.flush()); // what there is, is kept
  report();
  return st;
}

Result<json> Writing::run() {
  R1RT_ASSIGN(options, generateOptions(spec));
  const int64_t n = spec.value("n", int64_t(1));
  samples = options.beams > 1 ? 1 : n;
  key = drawKey(spec.value("seed", uint64_t(0)), "generate");
  ifLong = spec.value("long", "cut");
  if (n < 1 || (ifLong != "cut" && ifLong != "drop" && ifLong != "stop"))
    return Status::error("the description of the generation is not right: n is at least 1, `long` is cut, drop or stop",
                         ExitClass::program);
  if (spec.contains("prompt") && !spec["prompt"].is_null()) {
    R1RT_ASSIGN(prompt, corpus::rowFunction(spec["prompt"], ctx.data));
  }
  chat = spec.value("template", json()).is_string() ? spec["template"].get<std::string>() : "";
  if (spec.contains("choices")) {
    R1RT_ASSIGN(choices, corpus::rowFunction(spec["choices"], ctx.data));
    samples = 1;
  }
  const std::string logFile = job.dir + "/outputs.jsonl", countsFile = job.dir + "/generated.json";
  Outputs outputs(spec.contains("into"));
  if (!corpus::readAccount(job.dir)) { // else the artifact is made, and only what is said of it was missing
    R1RT_TRY(makeRows());
    R1RT_TRY(write());
    R1RT_TRY(outputs.open(logFile));
    R1RT_TRY(writeFileAtomic(countsFile, outputs.counts.dump() + "\n"));
  }
  DataContext mine = ctx.data;
  mine.outputs = [&](const std::string &row) { return outputs.of(row); };
  StageContext with{ctx.device, mine, ctx.report, ctx.accelerator};
  json tree = {{"op", "generate"}, {"n", n}, {"in", spec["data"]}};
  if (spec.contains("into")) {
    tree = spec["augment"];
    tree.update({{"op", "augment"}, {"in", spec["into"]}});
  }
  R1RT_ASSIGN(json result, runCorpus({{{"stage", stage}, {"data", tree}}, job.dir}, with));
  R1RT_ASSIGN(std::string text, readFile(countsFile));
  json counts = json::parse(text, nullptr, false);
  if (!counts.is_object())
    return Status::error("`" + countsFile + "` is damaged");
  result.update(counts);
  auto warn = [&](const char *what, const char *how) {
    if (counts.value(what, 0) > 0)
      ctx.report.warning(stage, counts[what].dump() + " of " + counts["asked"].dump() + " prompts " + how);
  };
  warn("cut", "have more tokens than the model reads: they were cut");
  warn("empty", spec.contains("into") ? "are empty: the model was not asked"
                : choices             ? "are empty: the choices begin a text"
                                      : "are empty: the model began a text of its own");
  std::error_code ec;
  fs::remove(logFile, ec);
  fs::remove_all(job.dir + "/rows", ec);
  return result;
}

} // namespace

Result<json> runGenerateRows(const GenerateRowsJob &job, StageContext &ctx) {
  try {
    return Writing(job, ctx).run();
  } catch (const json::exception &e) {
    return Status::error(std::string("the description of the generation is not right: ") + e.what(),
                         ExitClass::program);
  }
}

} // namespace r1rt
