// Elaborates a pipeline: evaluates its steps on demand and turns what built-ins give into stages.
#pragma once
#include "compiler/eval/Elaboration.h"
#include "compiler/eval/Evaluator.h"

namespace r1 {

/// A call that makes an artifact and has not yet been named by a `stage` step.
struct StageCall {
  std::string kind, result;
  Json spec = Json::object();
  Json shown = Json::object(); // Stage::shown
  std::vector<std::string> files;
  std::map<std::string, Json> builtins;
  std::shared_ptr<const ModelObj> model; // train: what is trained; evaluate: what is judged
  Value loss, optim;
  Value precision;                    // train
  Stage::Fit fit;                     // train
  Value predict;                      // evaluate: from model and batch to scores; or none
  Value tokenizer, data;              // Handles
  std::vector<std::string> trainable; // patterns
  bool allTrainable = true;
  /// Made before this one: the stage called as this one's name and `suffix`, whose artifact it reads.
  std::shared_ptr<StageCall> first;
  std::string suffix;
  Span trainableSpan, lossSpan, optimSpan, dataSpan, span;
};

/// Text of a value for fingerprints: closures with what they capture, models with their parameters.
std::string canonicalText(Evaluator &ev, const Value &v);
/// The same for people: models and what calls give by their names and arguments, `GPT(V = 300, D = 16)`; functions of
/// the program as they are written.
std::string shownText(Evaluator &ev, const Value &v);
/// The library function that sums what `valid` and metrics are made of, over batches of a layout.
std::string_view evaluatorOf(const Json &layout);
/// JSON of a host value; null for what has none.
Json toJson(Evaluator &ev, const Value &v);
Value fromJson(const Json &j);

/// E0311 where the loss needs a gradient that an operation lacks; a warning for trainable
/// parameters that the loss does not depend on.
bool checkDifferentiable(Evaluator &ev, const Stage &s, const Node *loss, Span span);

/// What the function of a row called `name` has to give.
struct RowGives {
  std::string_view name;
  const char *what = nullptr; // "a text"; null: anything
  std::vector<Value::Kind> kinds = {};
  bool texts = false; // a list, if it is one, is of at least one text
};

class StageBuilder {
public:
  StageBuilder(Evaluator &ev, Elaboration &out, const OverrideTree &sets, bool checkFiles)
      : ev(ev), out(out), sets(sets), checkFiles(checkFiles) {}

  /// Runs the pipeline with defaults and overrides. False after errors.
  bool run(const ModelDefObj &pipeline);
  /// A pipeline called from another: its stages are nested under the name of the `let`.
  Value callPipeline(const ModelDefObj &def, std::vector<ArgVal> &args, Span span);

  Evaluator &ev;
  Elaboration &out;
  const OverrideTree &sets;
  bool checkFiles;
  std::map<std::string, int64_t> batches; // ElaborateOptions
  const std::string &place() const { return nestedName; } // of the step that is being run
  std::vector<HostFn> hostFns; // {"fn": i} until a stage takes them
  std::vector<RowFn> rowFns;   // {"row_fn": i}

  /// Makes the stage of a `checkpoint` that the running step asks for, and gives the model. `used`: what the
  /// library declares of it.
  Value addCheckpoint(const StageCall &call, const std::vector<std::string_view> &used);

  Json hostFn(const Value &f);           // {"fn": i, "source": text} or a number
  /// {"row_fn": i, "source": text}. `gives`: what a result has to be; E0206 where the function is seen to give something
  /// else whatever the row holds.
  Json rowFn(const Value &f, Span span, const struct RowGives &gives);

private:
  struct Step {
    const Decl *decl;
    int state = 0; // 0 not run, 1 running, 2 done
  };
  struct Run {
    std::map<std::string_view, Step> steps;
    ScopeP scope;
    std::string prefix;
    const OverrideTree *sets;
  };
  std::vector<std::pair<const Decl *, Span>> active; // steps being run, with who asked
  std::string nestedName;
  bool runSteps(Run &r, const Decl &pipeline);
  bool runStep(Run &r, Step &s, Span from);
  static Span useOf(const Decl &d, std::string_view name);
  Value makeStage(Run &r, const Decl &d, const Value &v, const OverrideTree *over);
  void localise(Json &j, Stage &s, std::map<size_t, size_t> &fns, std::map<size_t, size_t> &rows);
  void collect(const Json &j, Stage &s);
  bool trainEntries(Stage &s, const StageCall &c);
  bool evaluateEntries(Stage &s, const StageCall &c);
  bool checkpointEntries(Stage &s, const StageCall &c);
  bool generateEntries(Stage &s, const StageCall &c);
  bool scoreEntry(Stage &s, Span span); // of the classifier whose `score` the spec holds, if any
  std::map<std::string, Value> models;  // that stages have trained
  Value trained(const std::string &name, const StageCall &c); // the model of a stage, as later steps see it
  bool placement(Stage &s, Run &r, const Decl &d, const OverrideTree *over); // its `on`
  bool placementsMatter(); // E0205 for what a device has in vain
  struct Device {
    Value value;                     // a Handle
    std::vector<std::string> stages; // that run on it
  };
  std::vector<Device> devices; // in the order of their first use
  void libraryTexts(Stage &s, const std::vector<std::string_view> &names);
  void sources(Stage &s, const Decl &d, const Run &r, const std::vector<std::string_view> &also);
};

} // namespace r1
