// r1c: the command line. Every flag is declared here; each command lives in its own file.
#include "compiler/diag/Diag.h"
#include "compiler/tools/r1c/Options.h"
#include <CLI/CLI.hpp>
#include <cstdlib>

using namespace r1::tool;

namespace {

std::string seedCheck(const std::string &text) {
  return text.starts_with("-") ? "a seed is 0 or more, not " + text : "";
}

/// A count of at least `least`; CLI11 checks that it is a number.
CLI::Validator atLeast(long least) {
  return CLI::Validator(
      [least](const std::string &text) {
        char *end = nullptr;
        double v = std::strtod(text.c_str(), &end);
        return *end || v >= double(least) ? "" : "it is " + std::to_string(least) + " or more, not " + text;
      },
      "", "");
}

std::string probabilityCheck(const std::string &text) {
  char *end = nullptr;
  double p = std::strtod(text.c_str(), &end);
  return *end || (p > 0 && p <= 1) ? "" : "it is more than 0 and at most 1, not " + text;
}

void addCommon(CLI::App *app, Options &o) {
  app->add_option("--set", o.sets, "PATH=EXPR: replace a pipeline parameter or a stage's argument")
      ->allow_extra_args(false)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app->add_option("--store", o.store, "where artifacts live")->capture_default_str();
  app->add_option("--color", o.color, "auto, always or never")
      ->check(CLI::IsMember({"auto", "always", "never"}))
      ->capture_default_str();
  app->add_flag("--json", o.json, "events as JSON lines on standard output");
  app->add_flag("--no-advice", o.noAdvice, "say nothing of unusual sizes (E0215)");
  app->add_flag("-q,--quiet", o.quiet, "only errors");
  app->add_flag("-v", o.verbose, "more detail; twice for all of it");
  app->add_option("--threads", o.threads, "threads to compute with; 0 = one for each core")
      ->check(CLI::Range(0, 1024));
}

void addTarget(CLI::App *app, Options &o) {
  app->add_option("--target", o.target,
                  "cpu; cuda: an NVIDIA GPU; cuda-emu: CUDA kernels on the CPU under an emulator, "
                  "slowly, to find mistakes in them")
      ->check(CLI::IsMember({"cpu", "cuda", "cuda-emu", "cuda-emu:sm_80", "cuda-emu:sm_90a"}))
      ->capture_default_str();
}

void addPlan(CLI::App *app, Options &o) {
  addTarget(app, o);
  app->add_option("--only", o.only, "STAGE[,...]: these stages and what they need");
  app->add_option("--until", o.until, "STAGE: stop after it");
  app->add_option("--fresh", o.fresh, "STAGE: do not use its cached artifact");
  app->add_option("--why", o.why, "STAGE: what differs from its last run");
  app->add_option("--seed", o.seed, "seed of every training stage that does not set its own")
      ->check(seedCheck);
  app->add_option("--micro", o.micro,
                  "micro-batches of a step, for tests of equality; 0 = as few as fit in memory")
      ->check(atLeast(0));
  app->add_flag("--fail-on-change", o.failOnChange, "exit 10 when there is something to run");
}

/// The option of `r1c generate` that would do nothing, beside the others, and why; empty: there is none.
std::string inVain(const CLI::App &generate, const Options &o) {
  auto has = [&](const char *name) { return generate.count(name) > 0; };
  if (has("--length-penalty") && o.beams == 1)
    return "--length-penalty does nothing without --beams";
  if (o.temperature == 0 && o.beams == 1) {
    if (o.samples > 1)
      return "at --temperature 0 the " + std::to_string(o.samples) + " texts of a prompt would be equal";
    for (const char *name : {"--top-k", "--top-p", "--min-p"})
      if (has(name))
        return std::string(name) + " does nothing at --temperature 0, where the likeliest token is taken";
  }
  if (has("--template") && o.chatTemplate.empty())
    return "--template needs the name of a template";
  if (has("--batch") && !o.stdio)
    return "--batch does nothing without --stdio";
  if (o.stdio && has("PROMPT"))
    return "with --stdio prompts are read from standard input, so none is given beside it";
  return "";
}

/// What is wrong with the command line, on one line, with the nearest right word.
std::string explained(const CLI::App &app, const CLI::ParseError &e) {
  const CLI::App *sub = &app;
  if (!app.get_subcommands().empty())
    sub = app.get_subcommands()[0];
  std::string name = sub == &app ? "r1c" : "r1c " + sub->get_name();
  std::vector<std::string> extra = app.remaining(true);
  std::string text = e.what();
  if (e.get_exit_code() == static_cast<int>(CLI::ExitCodes::ExtrasError) && !extra.empty()) {
    std::string word = extra.front();
    // The words that stand before an unknown command are collected last to first.
    for (const std::string &w : extra)
      if (w.starts_with("-"))
        word = w;
    std::vector<std::string> known;
    bool command = sub == &app && !word.starts_with("-");
    if (command)
      for (const CLI::App *s : app.get_subcommands([](const CLI::App *) { return true; }))
        known.push_back(s->get_name());
    else
      for (const CLI::Option *option : sub->get_options())
        for (const std::string &l : option->get_lnames())
          known.push_back("--" + l);
    std::string near = r1::nearest(word.substr(0, word.find('=')), known);
    text = "`" + word + "` is " +
           (command                     ? "no command"
            : word.starts_with("-")     ? "no option of `" + name + "`"
                                        : "one argument more than `" + name + "` takes") +
           (near.empty() ? "" : "; did you mean `" + near + "`?");
  }
  return name + ": " + text + "\n" + name + " --help  lists what there is\n";
}

} // namespace

int main(int argc, char **argv) {
  CLI::App app{"r1c: language models from one file, checked before they run"};
  app.name("r1c");
  app.require_subcommand(0, 1);
  Options o;
  std::string explain;
  bool version = false;
  app.add_flag("--version", version, "version, instruction set, peak rate, plugins");
  app.add_option("--explain", explain, "CODE: a diagnostic explained, e.g. E0301");

  auto *run = app.add_subcommand("run", "plan, compile and execute a pipeline; resumes by default");
  run->add_option("FILE", o.file, "FILE.r1[:pipeline]")->required();
  addCommon(run, o);
  addPlan(run, o);
  run->add_option("--profile", o.profile, "FILE: time of each kernel of the stages that train");
  run->add_flag("--dry-run", o.dryRun, "only the plan");
  run->add_flag("--dvc", o.dvc, "write dvc.yaml and dvc.lock: the versions of files and artifacts, as `dvc status` reads them");
  run->add_option("--checkpoint-every", o.checkpointEvery,
                  "STEPS between checkpoints, besides one every 30 s; 0 = by time alone")
      ->check(atLeast(0));

  auto *plan = app.add_subcommand("plan", "what would run and why, parameters, memory");
  plan->add_option("FILE", o.file, "FILE.r1[:pipeline]")->required();
  addCommon(plan, o);
  addPlan(plan, o);

  auto *check = app.add_subcommand("check", "parse, resolve, type-check, elaborate, plan the memory of every stage; reads no data");
  check->add_option("FILE", o.files, "FILE.r1 ...")->required();
  addCommon(check, o);

  auto *compile = app.add_subcommand("compile", "any level of the compiler as text");
  compile->add_option("FILE", o.file, "FILE.r1[:stage], or FILE.mlir")->required();
  addCommon(compile, o);
  compile->add_option("--emit", o.emit,
                      "levels: syntax check irgen grad shard fuse plan cpu llvm asm cuda ptx cubin sass")
      ->delimiter(',');
  compile->add_option("-o", o.out, "a directory for several levels, a file for one");
  compile->add_option("--only", o.onlyKernel, "one kernel");
  compile->add_flag("--report", o.report,
                    "a table of kernels; with --target cuda with their registers and spills");
  compile->add_option("--target", o.target, "cpu, or cuda[:ARCH] for --report, ptx, cubin and sass; ARCH is sm_90a")
      ->check([](const std::string &t) {
        return t == "cpu" || t == "cuda" || t.starts_with("cuda:sm_")
                   ? std::string()
                   : "a target is cpu, cuda or cuda:sm_NN, not " + t;
      });

  auto *fmt = app.add_subcommand("fmt", "one style");
  fmt->add_option("FILE", o.files, "FILE.r1 ...")->required();
  fmt->add_flag("--check", o.fmtCheck, "exit 1 if a file is not formatted; write nothing");
  fmt->add_flag("-w,--write", o.fmtWrite, "rewrite the files instead of printing");

  auto *test = app.add_subcommand("test", "run test blocks");
  test->add_option("FILE", o.files, "FILE.r1 ...");
  addCommon(test, o);
  test->add_option("--target", o.testTarget,
                   "cpu, cuda or cuda-emu: compile the tensors that tests look at and run them there, "
                   "too; their elements must be those of the interpreter")
      ->check(CLI::IsMember({"cpu", "cuda", "cuda-emu", "cuda-emu:sm_80", "cuda-emu:sm_90a"}));

  auto *generate = app.add_subcommand("generate", "sample from a trained stage");
  generate->add_option("ARTIFACT", o.file, "FILE.r1:stage")->required();
  generate->add_option("PROMPT", o.prompt, "text to continue");
  addCommon(generate, o);
  addTarget(generate, o);
  generate->add_option("--temperature", o.temperature, "0 = always the likeliest")
      ->check(CLI::Range(0.0, 100.0))
      ->capture_default_str();
  generate->add_option("--top-k", o.topK, "the k likeliest only; 0 = all")->check(atLeast(0));
  generate->add_option("--top-p", o.topP, "the likeliest that hold this much probability")
      ->check(probabilityCheck);
  generate->add_option("--min-p", o.minP, "those at least this share as likely as the likeliest")
      ->check(CLI::Range(0.0, 1.0));
  generate->add_option("--repetition", o.repetition, "penalty of tokens that the text has already; 1 = none")
      ->check(CLI::PositiveNumber);
  generate->add_option("--stop", o.stop, "TEXT that ends what is written; may be repeated")
      ->allow_extra_args(false)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  generate->add_option("--n", o.samples, "texts for each prompt")->check(CLI::Range(1, 4096))->capture_default_str();
  generate->add_option("--beams", o.beams, "search for likely texts instead of drawing; the best --n come out")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  generate->add_option("--length-penalty", o.lengthPenalty, "of beams: scores are divided by length ** this")
      ->capture_default_str();
  generate->add_flag("--logprobs", o.logprobs, "the log-probability of each token, too");
  generate->add_flag("--stdio", o.stdio,
                     "requests {\"prompt\": TEXT, \"id\", \"seed\"} as JSON lines on standard input, answers on standard "
                     "output; with --template also {\"messages\": [{\"role\", \"content\"}, ...]}");
  generate->add_option("--template", o.chatTemplate, "NAME: of a chat model's conversations; a prompt is what the user says");
  generate->add_option("--batch", o.batch, "texts written at once with --stdio")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  generate->add_option("--min-new", o.minNew, "tokens before which a text does not end")->check(atLeast(0));
  generate->add_option("--max-new", o.maxNew, "tokens to add")->check(atLeast(1))->capture_default_str();
  generate->add_option("--seed", o.seed, "seed of the draws")->check(seedCheck);

  auto *annotate = app.add_subcommand("annotate", "answer the questions of a stage in the terminal");
  annotate->add_option("STAGE", o.file, "FILE.r1:stage")->required();
  annotate->add_option("--as", o.who, "NAME: who answers; by default the user of this machine");
  addCommon(annotate, o);

  auto *inspect = app.add_subcommand("inspect", "an artifact, a checkpoint or a run");
  inspect->add_option("WHAT", o.file, "FILE.r1:stage, a fingerprint, or a .safetensors file")->required();
  inspect->add_option("OTHER", o.other, "a second corpus: what became of the rows that only one of them has");
  inspect->add_option("--row", o.row, "the history of one row, by its id (FILE@OFFSET)");
  inspect->add_flag("--clusters", o.clusters, "duplicates, beside the rows that stand for them");
  inspect->add_option("--html", o.html, "write a page: curves, metrics, memory, kernels, what it was made from");
  inspect->add_flag("--verify", o.verify, "compute hashes, rows and sums again");
  addCommon(inspect, o);

  auto *exported = app.add_subcommand("export", "write a model as `transformers` loads it");
  exported->add_option("STAGE", o.file, "FILE.r1:stage")->required();
  exported->add_option("DIR", o.out, "a folder without a model")->required();
  exported->add_option("--shard-size", o.shardSize, "the most bytes of a file of weights, such as 5GB")
      ->transform(CLI::AsSizeValue(true))
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  addCommon(exported, o);

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &e) {
    if (e.get_exit_code() == 0) // --help
      return app.exit(e);
    std::cerr << explained(app, e);
    return Exit::CommandWrong;
  }
  if (version)
    return versionCommand();
  if (!explain.empty())
    return explainCommand(explain);
  if (*run)
    return o.dryRun ? planCommand(o) : runCommand(o);
  if (*plan)
    return planCommand(o);
  if (*check)
    return checkCommand(o);
  if (*compile)
    return compileCommand(o);
  if (*fmt)
    return fmtCommand(o);
  if (*test)
    return testCommand(o);
  if (*generate) {
    if (std::string why = inVain(*generate, o); !why.empty()) {
      std::cerr << "r1c generate: " << why << "\n";
      return Exit::CommandWrong;
    }
    return generateCommand(o);
  }
  if (*annotate)
    return annotateCommand(o);
  if (*inspect) {
    std::string asked;
    int views = 0;
    for (const char *name : {"OTHER", "--row", "--clusters", "--html", "--verify"})
      if (inspect->count(name) > 0)
        asked += (views++ ? ", " : "") + std::string(name);
    if (views > 1 || (inspect->count("--html") && o.html.empty())) {
      std::cerr << "r1c inspect: "
                << (views > 1 ? "it shows one of " + asked + " at a time" : "--html needs the name of a file") << "\n";
      return Exit::CommandWrong;
    }
    return inspectCommand(o);
  }
  if (*exported)
    return exportCommand(o);
  std::cout << app.help();
  return Exit::CommandWrong;
}
