// What a model writes: stages of kind `generate`, and r1c generate, which asks it from the command line.
#include "compiler/tools/r1c/Execute.h"
#include "compiler/tools/r1c/Files.h"
#include "runtime/data/Chat.h"
#include "runtime/stages/Generate.h"
#include "runtime/stages/Signals.h"
#include "runtime/state/Philox.h"
#include "runtime/text/Utf8.h"
#include <algorithm>
#include <iostream>
#include <poll.h>
#include <unistd.h>
#include <utility>

using nlohmann::json;
using r1rt::ExitClass;
using r1rt::Result;
using r1rt::Status;
using r1rt::generate::Next;
using r1rt::generate::Output;
using r1rt::generate::Prompt;
using ArtifactState = r1rt::ArtifactState;

namespace r1::tool {

namespace {

/// The `cut` of the first `translate` in a tree of data; empty: there is none.
std::string cutOf(const json &tree) {
  if (tree.is_object() && tree.value("op", json()) == "translate")
    return tree.value("cut", "tail");
  if (tree.is_structured())
    for (const json &x : tree)
      if (std::string cut = cutOf(x); !cut.empty())
        return cut;
  return "";
}

/// What the training of a stage's model left out of sources that are too long; the stage may be made of others.
std::string cutOf(const Elaboration &all, const std::string &stage) {
  for (const Stage &s : all.stages) {
    if (s.name != stage)
      continue;
    if (std::string cut = cutOf(s.spec.value("data", json())); !cut.empty())
      return cut;
    for (const std::string &from : s.reads)
      if (std::string cut = cutOf(all, from); !cut.empty())
        return cut;
  }
  return "";
}

} // namespace

std::string Runner::sourceCut(const std::string &stage) const {
  const std::string cut = cutOf(*session.elaboration, stage);
  return cut.empty() ? "tail" : cut;
}

Result<std::unique_ptr<CompiledStage>> Runner::compileWriter(const Stage &s, int64_t rows,
                                                             r1rt::generate::Decoder::Options &decoder) {
  R1RT_ASSIGN(CompileOptions placed, compileOptions(s));
  Programs programs = writerOf(s, rows, placed);
  decoder.rows = programs.options.decode.rows;
  decoder.slots = programs.options.decode.slots;
  R1RT_ASSIGN(auto compiled, compile(s, programs));
  if (std::string why = recomputeText(s, *compiled); !why.empty())
    report.note(why);
  return compiled;
}

Result<json> Runner::generateRows(const PlannedStage &p, const std::string &dir) {
  const Stage &s = *p.stage;
  r1rt::GenerateRowsJob job;
  R1RT_ASSIGN(job.modelDir, dirOf(s.spec.value("model", json()).value("stage", "")));
  R1RT_ASSIGN(auto compiled, compileWriter(s, s.spec.value("batch", int64_t(1)), job.decoder));
  job.module = compiled->module;
  job.cut = sourceCut(s.spec.value("model", json()).value("stage", ""));
  job.spec = s.spec;
  job.spec["stage"] = s.name;
  job.dir = dir;
  R1RT_ASSIGN(r1rt::Device * dev, device(s));
  R1RT_ASSIGN(r1rt::Accelerator * where, accelerator());
  r1rt::StageContext ctx{*dev, data(s), report, where};
  return r1rt::runGenerateRows(job, ctx);
}

namespace {

/// One `r1c generate`: a model, and prompts from the command line or standard input.
class Asking {
public:
  Asking(const Options &o, const Stage &stage, r1rt::Reporter &report, r1rt::TextModel &model,
         const r1rt::generate::GenerateOptions &options)
      : o(o), stage(stage), report(report), model(model), options(options) {}

  /// One prompt, which with a template is what the user says; echoed, when there is something to go on with.
  Status answer(const std::string &prompt, bool echo);
  /// Requests as JSON lines on standard input, answers on standard output as they are ready.
  Status serve();

private:
  const Options &o;
  const Stage &stage;
  r1rt::Reporter &report;
  r1rt::TextModel &model;
  r1rt::generate::GenerateOptions options;
  int64_t samples() const { return options.beams > 1 ? 1 : o.samples; }

  struct Question {
    std::string text;
    std::vector<int32_t> conversation; // its tokens, where there is a template
  };

  Result<Question> questionOf(std::vector<r1rt::Message> messages) const;
  Result<Question> questionOf(const std::string &text) const;
  Prompt promptOf(const Question &question, uint64_t seed, int64_t sample) const;
  json describe(const Output &out) const;
};

Result<Asking::Question> Asking::questionOf(std::vector<r1rt::Message> messages) const {
  R1RT_ASSIGN(r1rt::ChatPrompt chat, r1rt::chatPrompt(o.chatTemplate, std::move(messages), model.tokenizer()));
  return Question{"", std::move(chat.tokens)};
}

Result<Asking::Question> Asking::questionOf(const std::string &text) const {
  if (size_t bad = r1rt::text::findBadUtf8(text); bad != std::string::npos) {
    char byte[8];
    std::snprintf(byte, sizeof byte, "0x%02x", unsigned(static_cast<unsigned char>(text[bad])));
    return Status::error("the prompt is not UTF-8: byte " + std::to_string(bad) + " is " + byte,
                         ExitClass::commandLine);
  }
  if (!o.chatTemplate.empty())
    return questionOf(std::vector<r1rt::Message>{{"user", text}});
  return Question{text, {}};
}

Prompt Asking::promptOf(const Question &question, uint64_t seed, int64_t sample) const {
  Prompt p;
  int64_t whole = 0;
  const int64_t most = model.reads();
  if (question.conversation.empty())
    whole = model.ask(question.text, options.maxNew, p);
  else
    p.tokens = model.fitted(question.conversation, options.maxNew, whole);
  p.key = r1rt::drawKey(r1rt::drawKey(seed, "generate"), uint64_t(sample));
  if (whole > most && sample == 0)
    report.warning(stage.name,
                   "the prompt has " + std::to_string(whole) + " tokens and the model sees " + std::to_string(most) +
                       (model.translates() ? ": it is cut as in training"
                                           : ": only the last " + std::to_string(p.tokens.size()) + " are read"));
  return p;
}

json Asking::describe(const Output &out) const {
  json j = {{"text", out.text},
            {"tokens", out.tokens.size()},
            {"finish", out.stopped ? "stop" : "length"},
            {"logprob", out.logprob}};
  if (options.beams > 1)
    j["score"] = out.score;
  if (o.logprobs) {
    j["output_tokens"] = out.tokens;
    j["logprobs"] = out.logprobs;
  }
  return j;
}

Status Asking::answer(const std::string &prompt, bool echo) {
  R1RT_ASSIGN(const Question question, questionOf(prompt));
  R1RT_ASSIGN(auto generator,
              r1rt::generate::Generator::create(model.decoder(), model.tokenizer(), options));
  r1rt::SignalGuard signals;
  std::vector<std::vector<Output>> made{size_t(samples())};
  int64_t next = 0;
  // A single text is shown as it comes.
  const bool stream = !o.json && samples() == 1 && options.beams == 1;
  bool echoed = !echo;
  auto print = [&](const std::string &piece) {
    if (!std::exchange(echoed, true))
      report.text(prompt);
    report.text(piece);
  };
  Status st = generator.run(
      [&](Prompt &p, bool) -> Result<Next> {
        if (next == samples())
          return Next::end;
        p = promptOf(question, uint64_t(std::max(o.seed, 0L)), next);
        p.number = uint64_t(next++);
        return Next::prompt;
      },
      [&](uint64_t number, std::vector<Output> &&out) {
        made[number] = std::move(out);
        return Status::ok();
      },
      [&] { return !signals.stopAsked(); },
      [&](uint64_t, const std::string &piece) {
        if (stream)
          print(piece);
      });
  R1RT_TRY(st);
  for (auto &outputs : made)
    for (const Output &out : outputs) {
      if (o.json) {
        report.event("text", {{"stage", stage.name}, {"prompt", prompt}, {"result", describe(out)}});
        continue;
      }
      if (!stream)
        echoed = !echo;
      print(stream ? "" : out.text);
      report.text("\n");
      if (o.logprobs)
        for (size_t i = 0; i < out.tokens.size(); ++i) {
          char line[48];
          std::snprintf(line, sizeof line, "%12.6f  %8d  ", double(out.logprobs[i]), out.tokens[i]);
          report.text(line + json(model.tokenizer().decode(std::span(&out.tokens[i], 1)))
                                 .dump(-1, ' ', false, json::error_handler_t::replace) + "\n");
        }
    }
  return Status::ok();
}

/// Lines of standard input, without waiting for them where there is other work.
class InputLines {
public:
  /// A line, nothing yet, or the end.
  Next next(std::string &line, bool wait) {
    for (;;) {
      if (size_t stop = buffer.find('\n'); stop != std::string::npos || (ended && !buffer.empty())) {
        line = buffer.substr(0, stop);
        buffer.erase(0, stop == std::string::npos ? buffer.size() : stop + 1);
        return Next::prompt;
      }
      if (ended)
        return Next::end;
      pollfd fd{0, POLLIN, 0};
      if (::poll(&fd, 1, wait ? 200 : 0) <= 0)
        return Next::later;
      char piece[1 << 16];
      ssize_t n = ::read(0, piece, sizeof piece);
      if (n > 0)
        buffer.append(piece, size_t(n));
      else if (n == 0 || (errno != EINTR && errno != EAGAIN))
        ended = true;
    }
  }

private:
  std::string buffer;
  bool ended = false;
};

Status Asking::serve() {
  R1RT_ASSIGN(auto generator,
              r1rt::generate::Generator::create(model.decoder(), model.tokenizer(), options));
  r1rt::SignalGuard signals;
  InputLines lines;
  struct Request {
    json id;
    Question question;
    uint64_t seed = 0;
    int64_t next = 0; // sample
  } request;
  request.next = samples();
  struct Open {
    json id;
    int64_t sample;
  };
  std::map<uint64_t, Open> open;
  uint64_t asked = 0, number = 0;
  auto say = [](json line) {
    std::cout << line.dump(-1, ' ', false, json::error_handler_t::replace) << std::endl;
    return std::cout ? Status::ok() : Status::error("standard output is closed");
  };
  // What is wrong with a request is answered, too, and the others go on.
  auto refuse = [&](const json &id, const std::string &why) { return say({{"id", id}, {"error", why}}); };
  auto take = [&](const std::string &line) -> Status {
    ++number;
    json j = json::parse(line, nullptr, false);
    request = {j.is_object() && j.contains("id") ? j["id"] : json(number), {}, uint64_t(std::max(o.seed, 0L)), samples()};
    const bool chats = !o.chatTemplate.empty(), messages = j.is_object() && j.contains("messages");
    if (messages && !chats)
      return refuse(request.id, "`messages` are written by a template: r1c generate --template NAME");
    if (messages ? j.contains("prompt") : !j.is_object() || !j.contains("prompt") || !j["prompt"].is_string())
      return refuse(request.id, std::string("a request is a JSON object {\"prompt\": TEXT}") +
                                    (chats ? " or {\"messages\": [{\"role\", \"content\"}, …]}" : "") +
                                    ", with \"id\" and \"seed\" if wanted");
    for (auto &[key, value] : j.items())
      if (key != "id" && key != "prompt" && key != "seed" && key != "messages")
        return refuse(request.id, "a request has no field \"" + key + "\"; it has prompt, " +
                                      (chats ? "messages, " : "") + "id, seed");
    if (j.contains("seed") && !j["seed"].is_number_unsigned())
      return refuse(request.id, "a seed is a number from 0 on, this is " + j["seed"].dump());
    request.seed = j.value("seed", request.seed);
    auto question = [&]() -> Result<Question> {
      if (!messages)
        return questionOf(j["prompt"].get<std::string>());
      R1RT_ASSIGN(std::vector<r1rt::Message> turns, r1rt::readMessages(j["messages"]));
      return questionOf(std::move(turns));
    }();
    if (!question)
      return refuse(request.id, question.status().message());
    request.question = question.take();
    request.next = 0;
    return Status::ok();
  };
  return generator.run(
      [&](Prompt &p, bool wait) -> Result<Next> {
        while (request.next >= samples()) {
          std::string line;
          if (Next n = lines.next(line, wait); n != Next::prompt)
            return n;
          if (line.find_first_not_of(" \t\r") != std::string::npos)
            R1RT_TRY(take(line));
        }
        p = promptOf(request.question, request.seed, request.next);
        p.number = asked++;
        open[p.number] = {request.id, request.next++};
        return Next::prompt;
      },
      [&](uint64_t n, std::vector<Output> &&outputs) {
        Open o = std::move(open.extract(n).mapped());
        for (Output &out : outputs) {
          json line = describe(out);
          line["id"] = o.id;
          line["sample"] = o.sample++;
          R1RT_TRY(say(std::move(line)));
        }
        return Status::ok();
      },
      [&] { return !signals.stopAsked(); });
}

} // namespace

int generateCommand(const Options &o) {
  auto [file, name] = splitFileAndName(o.file);
  Session session(o);
  if (!session.load(file) || !session.elaborateFor(name))
    return session.exit;
  auto fail = [&](const Status &st) { return session.fail("generate", st); };
  if (const auto &names = r1rt::chatTemplates();
      !o.chatTemplate.empty() && std::find(names.begin(), names.end(), o.chatTemplate) == names.end()) {
    std::string list;
    for (const std::string &n : names)
      list += (list.empty() ? "" : ", ") + n;
    return fail(Status::error("--template is one of " + list + "; not " + o.chatTemplate, ExitClass::commandLine));
  }
  auto store = r1rt::Store::look(o.store);
  if (!store)
    return fail(store.status());
  auto plan = planStages(*session.elaboration, store->get(), o);
  if (!plan)
    return fail(plan.status());
  auto target = madeModel(*plan, file, name, o);
  if (!target)
    return fail(target.status());
  const Stage &stage = *(*target)->stage;
  json spec = {{"max_new", o.maxNew},       {"min_new", o.minNew}, {"temperature", o.temperature},
               {"top_k", o.topK},           {"top_p", o.topP},     {"min_p", o.minP},
               {"repetition", o.repetition}, {"stop", o.stop},     {"beams", o.beams},
               {"n", o.samples},            {"length_penalty", o.lengthPenalty}};
  auto options = r1rt::generateOptions(spec);
  if (!options)
    return fail(Status::error(options.status().message(), ExitClass::commandLine));
  r1rt::Reporter::Options ro;
  ro.json = o.json;
  r1rt::Reporter report(ro);
  Runner runner(session, **store, report);
  for (const PlannedStage &p : *plan)
    if (p.state == ArtifactState::finished)
      runner.finished(p.stage->name, (*store)->dir(p.fingerprint));
  const int64_t rows = o.stdio ? std::max(o.batch, o.beams) : o.beams > 1 ? o.beams : o.samples;
  r1rt::generate::Decoder::Options decoder;
  auto compiled = runner.compileWriter(stage, rows, decoder);
  if (!compiled)
    return fail(compiled.status());
  auto dev = runner.device(stage);
  if (!dev)
    return fail(dev.status());
  auto where = runner.accelerator();
  if (!where)
    return fail(where.status());
  auto model = r1rt::TextModel::open(**dev, *(*compiled)->module, (*store)->dir((*target)->fingerprint), decoder, *where,
                                     runner.sourceCut(stage.name));
  if (!model)
    return fail(model.status());
  r1rt::generate::addSpecialStops((*model)->tokenizer(), *options);
  if (!o.chatTemplate.empty()) {
    if ((*model)->translates())
      return fail(Status::error("--template is for models that answer conversations; `" + stage.name +
                                    "` translates texts as they are",
                                ExitClass::commandLine));
    auto any = r1rt::chatPrompt(o.chatTemplate, {{"user", "a"}}, (*model)->tokenizer());
    if (!any)
      return fail(Status::error(any.status().message(), ExitClass::commandLine));
    options->stopIds.insert(options->stopIds.end(), any->ends.begin(), any->ends.end());
  }
  const bool echo = !(*model)->translates() && o.chatTemplate.empty();
  Asking asking(o, stage, report, **model, *options);
  if (o.stdio) {
    auto st = asking.serve();
    return st ? Done : fail(st);
  }
  if (!o.prompt.empty()) {
    std::string prompt;
    for (const std::string &word : o.prompt)
      prompt += (prompt.empty() ? "" : " ") + word;
    auto st = asking.answer(prompt, echo);
    return st ? Done : fail(st);
  }
  // No prompt: each line of standard input is one, until it ends.
  bool person = isatty(0) && !o.json;
  auto ask = [&](std::string &line) {
    if (person)
      report.text("> ");
    return bool(std::getline(std::cin, line));
  };
  for (std::string line; ask(line);)
    if (auto st = asking.answer(line, !person && echo); !st)
      return fail(st);
  if (person)
    report.text("\n");
  return Done;
}

} // namespace r1::tool
