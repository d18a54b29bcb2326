// A stage that waits for people, and r1c annotate, which asks them.
//
// The questions are an artifact's questions.jsonl, written once. The answers lie in STORE/answers under a
// name made from form and questions: neither --fresh nor another fingerprint loses or repeats them.
#include "compiler/tools/r1c/Execute.h"
#include "compiler/tools/r1c/Files.h"
#include "runtime/annotate/Agreement.h"
#include "runtime/annotate/Ask.h"
#include "runtime/corpus/Artifact.h"
#include "runtime/metrics/Classification.h"
#include "runtime/state/Files.h"
#include <algorithm>
#include <filesystem>
#include <iostream>
#include <pwd.h>
#include <sys/ioctl.h>
#include <unistd.h>

using nlohmann::json;
using r1rt::ExitClass;
using r1rt::Result;
using r1rt::Status;
namespace fs = std::filesystem;
namespace an = r1rt::annotate;

namespace r1::tool {

namespace {

constexpr char rowsName[] = "rows"; // a folder that is gone once the questions are written

/// What a stage asks, and what has been answered.
struct Asking {
  an::Form form;
  std::vector<an::Question> questions;
  an::Answers answers;
  std::string log; // where the answers lie
  unsigned people = 1;

  static Result<Asking> open(const json &spec, const std::string &dir, const std::string &store) {
    Asking a;
    const json form = spec.value("form", json());
    R1RT_ASSIGN(a.form, an::Form::create(form));
    R1RT_ASSIGN(a.questions, an::readQuestions(dir + "/questions.jsonl"));
    a.log = store + "/answers/" + an::keyOf(form, a.questions) + "/answers.jsonl";
    R1RT_ASSIGN(a.answers, an::Answers::open(a.log, a.form, a.questions));
    a.people = spec.value("people", 1u);
    return a;
  }
  bool isComplete() const { return answers.answered(people) == questions.size(); }
  /// "12 of 500 questions answered by 2 people (Cohen's kappa: keep 0.71)"
  std::string text() const {
    const size_t who = answers.people().size();
    std::string out = std::to_string(answers.answered(people)) + " of " + std::to_string(questions.size()) +
                      " questions ";
    out += people > 1 ? "have " + std::to_string(people) + " answers; asked so far: " : "answered by ";
    out += std::to_string(who) + (who == 1 ? " person" : " people");
    const auto agree = an::agreement(form, answers, questions.size());
    return agree.empty() ? out : out + " (Cohen's kappa: " + an::agreementText(agree) + ")";
  }
  /// How often each candidate was the best, alone or with others.
  std::string firsts(const std::string &field) const {
    std::vector<uint64_t> best;
    for (size_t q = 0; q < questions.size(); ++q) {
      const json ranks = form.decide(answers.of(q))[field];
      best.resize(std::max(best.size(), ranks.size()));
      for (size_t i = 0; i < ranks.size(); ++i)
        best[i] += ranks[i] == 1;
    }
    std::string out = "best of its row";
    for (size_t i = 0; i < best.size(); ++i)
      out += (i ? ",  candidate " : ": candidate ") + std::to_string(i + 1) + " " + std::to_string(best[i]);
    return out;
  }
  /// A line for each field: of choices how many rows have each, with the 95 % interval of their share; of
  /// scores the mean, and how many rows have each. All questions have to be answered.
  std::string shares() const {
    std::string out;
    for (const an::Field &f : form.fields()) {
      if (f.kind == an::Field::rank) {
        out += f.name + ":  " + firsts(f.name) + "\n";
        continue;
      }
      std::vector<uint64_t> count(f.values());
      for (size_t q = 0; q < questions.size(); ++q)
        ++count[f.indexOf(form.decide(answers.of(q))[f.name])];
      const double n = double(questions.size());
      double sum = 0;
      std::string each;
      for (size_t v = 0; v < count.size(); ++v) {
        char text[96];
        const r1rt::metrics::Interval i = r1rt::metrics::wilson(count[v], questions.size());
        std::snprintf(text, sizeof text, " = %.1f %% (%.1f … %.1f)", 100 * double(count[v]) / n, 100 * i.low,
                      100 * i.high);
        sum += double(f.low + int64_t(v)) * double(count[v]);
        each += each.empty() ? "" : ",  ";
        each += f.kind == an::Field::score ? f.valueAt(v).dump() + ": " + std::to_string(count[v])
                            : f.choices[v] + " " + std::to_string(count[v]) + text;
      }
      char mean[48];
      std::snprintf(mean, sizeof mean, "mean %.2f;  ", sum / n);
      out += f.name + ":  " + (f.kind == an::Field::score ? mean : "") + each + "\n";
    }
    return out;
  }
};

Result<std::vector<json>> rowsOf(const std::string &dir) {
  std::vector<json> rows;
  R1RT_ASSIGN(std::vector<std::string> shards, r1rt::corpus::shardFiles(dir));
  for (const std::string &shard : shards)
    R1RT_TRY(r1rt::corpus::eachLine(shard, [&](std::string_view line) -> Result<bool> {
      rows.push_back(json::parse(line, nullptr, false));
      if (!rows.back().is_object())
        return Status::error(shard + ": row " + std::to_string(rows.size()) + " is no JSON object");
      return true;
    }));
  return rows;
}

Status takeCandidates(const json &row, an::Question &question) {
  auto it = row.find("candidates");
  const bool list = it != row.end() && it->is_array();
  for (size_t i = 0; list && i < it->size(); ++i) {
    if (!(*it)[i].is_string())
      return Status::error("row " + question.id + ": candidate " + std::to_string(i + 1) + " is " + (*it)[i].dump() +
                           ", not a text");
    question.candidates.push_back((*it)[i]);
  }
  if (const size_t n = question.candidates.size(); n < 2 || n > an::mostCandidates)
    return Status::error("row " + question.id + ": a ranking orders the row's field `candidates`, a list of 2 to " +
                         std::to_string(an::mostCandidates) + " texts; " +
                         (list ? "it has " + std::to_string(n) : "there is none"));
  return Status::ok();
}

/// Makes dir/questions.jsonl from the rows of the stage's data.
Status writeQuestions(const json &spec, const std::string &dir, r1rt::StageContext &ctx) {
  const std::string rowsDir = dir + "/" + rowsName;
  R1RT_TRY(r1rt::makeDirs(rowsDir));
  R1RT_TRY(r1rt::runCorpus({spec, rowsDir}, ctx).status());
  R1RT_ASSIGN(std::vector<json> rows, rowsOf(rowsDir));
  if (rows.empty())
    return Status::error("there are no rows to ask about");
  R1RT_ASSIGN(an::Form form, an::Form::create(spec["form"]));
  std::vector<an::Question> questions;
  for (const json &row : rows) {
    for (auto &[name, how] : spec["form"].items())
      if (row.contains(name))
        return Status::error("row " + row.value("_id", "") + " has a field `" + name +
                                 "` already; give the form's another name",
                             ExitClass::program);
    an::Question question{row.value("_id", ""), row.value("text", ""), {}};
    if (form.ranks())
      R1RT_TRY(takeCandidates(row, question));
    questions.push_back(std::move(question));
  }
  return an::writeQuestions(dir + "/questions.jsonl", questions);
}

std::string sameOptions(const Options &o) {
  std::string out;
  for (const std::string &set : o.sets)
    out += " --set '" + set + "'";
  return o.store == Options().store ? out : out + " --store " + o.store;
}

std::string userName() {
  const passwd *user = ::getpwuid(::getuid());
  return user && *user->pw_name ? user->pw_name : "uid " + std::to_string(::getuid());
}

} // namespace

std::string annotateLine(const Options &o, const std::string &stage) {
  auto [file, pipeline] = splitFileAndName(o.file); // perhaps PIPELINE.STAGE, or the stage alone
  if (pipeline == stage)
    pipeline.clear();
  else if (pipeline.ends_with("." + stage))
    pipeline.resize(pipeline.size() - stage.size() - 1);
  return "r1c annotate " + file + ":" + (pipeline.empty() ? "" : pipeline + ".") + stage + sameOptions(o);
}

Result<json> Runner::annotate(const PlannedStage &p, const std::string &dir) {
  const Stage &s = *p.stage;
  R1RT_ASSIGN(r1rt::Device * dev, device(s));
  r1rt::DataContext mine = data(s); // a function of rows is added to it
  r1rt::StageContext ctx{*dev, mine, report};
  json spec = s.spec;
  spec["stage"] = s.name;
  if (!fs::exists(dir + "/questions.jsonl"))
    R1RT_TRY(writeQuestions(spec, dir, ctx));
  std::error_code ec;
  fs::remove_all(dir + "/" + rowsName, ec);
  R1RT_ASSIGN(Asking a, Asking::open(spec, dir, store.root()));
  if (!a.isComplete())
    return Status::error(a.text(), ExitClass::waiting);

  // The same rows again, so that the ledger is theirs, with the answers as fields.
  std::map<std::string, json> decided;
  for (size_t q = 0; q < a.questions.size(); ++q)
    decided[a.questions[q].id] = a.form.decide(a.answers.of(q));
  mine.rowFns.push_back([&](const json &row) -> Result<json> {
    auto it = decided.find(row.value("_id", ""));
    if (it == decided.end())
      return Status::error("nobody was asked about it: the data have changed; --fresh asks anew");
    json out = row;
    out.update(it->second);
    return out;
  });
  spec["data"] = {{"op", "map_rows"}, {"to", {{"row_fn", mine.rowFns.size() - 1}}}, {"in", s.spec["data"]}};
  R1RT_ASSIGN(json result, r1rt::runCorpus({spec, dir}, ctx));
  if (result["rows"] != a.questions.size())
    return Status::error(result["rows"].dump() + " rows, but " + std::to_string(a.questions.size()) +
                         " questions: the data have changed; --fresh " + s.name + " asks anew");
  R1RT_ASSIGN(std::string log, r1rt::readFile(a.log));
  R1RT_TRY(r1rt::writeFileAtomic(dir + "/answers.jsonl", log));
  result["people"] = a.answers.people();
  for (const an::Agreement &agree : an::agreement(a.form, a.answers, a.questions.size()))
    result["kappa"][agree.field] = agree.kappa;
  if (s.spec["require"].is_object()) {
    R1RT_ASSIGN(std::vector<json> rows, rowsOf(dir));
    json verdict;
    try {
      verdict = s.rowFns.at(s.spec["require"].at("row_fn").get<size_t>())(rows);
    } catch (const std::exception &e) {
      return Status::error(std::string("require: ") + e.what());
    }
    if (!verdict.is_boolean())
      return Status::error("`require` yields " + verdict.dump() + ", not true or false", ExitClass::program);
    result["required"] = verdict;
  }
  return result;
}

int annotateCommand(const Options &o) {
  auto [file, name] = splitFileAndName(o.file);
  Session session(o);
  if (!session.load(file) || !session.elaborateFor(name))
    return session.exit;
  auto fail = [&](const std::string &text, ExitClass cls) {
    return session.fail("annotate", Status::error(text, cls));
  };
  auto store = r1rt::Store::look(o.store);
  if (!store)
    return session.fail("annotate", store.status());
  auto plan = planStages(*session.elaboration, store->get(), o);
  if (!plan)
    return session.fail("annotate", plan.status());
  const PlannedStage *stage = nullptr;
  std::vector<std::string> names;
  for (const PlannedStage &p : *plan)
    if (p.stage->kind == "annotate") {
      names.push_back(p.stage->name);
      if (name.empty() || p.stage->name == name)
        stage = &p;
    }
  if (!stage || (name.empty() && names.size() > 1)) {
    std::string list;
    for (const std::string &n : names)
      list += " " + n;
    const std::string near = nearest(name, names);
    return fail((names.empty()  ? file + " has no stage that asks people"
                 : name.empty() ? "say which stage, " + file + ":NAME; these ask people:" + list
                                : "no stage `" + name + "` of " + file + " asks people; these do:" + list) +
                    (near.empty() ? "" : "; did you mean " + near + "?"),
                ExitClass::commandLine);
  }
  const std::string who = o.who.empty() ? userName() : o.who;
  if (who.size() > 64 || std::any_of(who.begin(), who.end(), [](unsigned char c) { return c < 32 || c == 127; }))
    return fail("--as takes a name of at most 64 bytes without control characters", ExitClass::commandLine);
  const std::string run = "r1c run " + file + sameOptions(o);
  const std::string dir = (*store)->dir(stage->fingerprint);
  if (!fs::exists(dir + "/questions.jsonl"))
    return fail("the questions of `" + stage->stage->name + "` are not there yet; make them:  " + run +
                    " --until " + stage->stage->name,
                ExitClass::stage);
  auto a = Asking::open(stage->stage->spec, dir, (*store)->root());
  if (!a)
    return session.fail("annotate", a.status());
  an::AskOptions options;
  options.title = stage->stage->name;
  options.who = who;
  options.people = a->people;
  options.terminal = ::isatty(0) && ::isatty(1) && !o.json;
  if (winsize w{}; options.terminal && ::ioctl(1, TIOCGWINSZ, &w) == 0 && w.ws_col && w.ws_row)
    options.columns = w.ws_col, options.rows = w.ws_row;
  std::ostream &out = o.json ? std::cerr : std::cout;
  auto asked = an::ask(a->form, a->questions, a->answers, options, std::cin, out);
  if (!asked)
    return session.fail("annotate", asked.status());
  out << "\n" << stage->stage->name << ": " << a->text() << "\n";
  if (a->isComplete())
    out << a->shares() << "go on:  " << run << "\n";
  else if (!asked->left)
    out << "nothing is left for " << who << "; somebody else:  "
        << annotateLine(o, stage->stage->name) << " --as NAME\n";
  out.flush();
  if (o.json)
    printEvent("annotated", {{"stage", stage->stage->name},
                             {"who", who},
                             {"given", asked->answered},
                             {"left", asked->left},
                             {"answered", a->answers.answered(a->people)},
                             {"questions", a->questions.size()},
                             {"complete", a->isComplete()}});
  return Done;
}

} // namespace r1::tool
