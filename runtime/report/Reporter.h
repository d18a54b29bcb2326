//===- Reporter.h - what a person or a program sees of a run ---------------===//
//
// The only part of the runtime that prints. With json: one event per line (NDJSON) on `out`,
// text on `err`; else text on `out`. Every event has v, t (seconds since 1970) and event.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_REPORT_REPORTER_H
#define R1RT_REPORT_REPORTER_H
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>

namespace r1rt {

struct StepRecord {
  uint64_t step = 0; // 1-based
  double loss = 0, lr = 0, gradNorm = 0, tokensPerSecond = 0, ms = 0;
  nlohmann::json more; // null, or other outputs by name
};

class Reporter {
public:
  struct Options {
    bool json = false;
    bool quiet = false;   // no progress, only results and warnings
    double interval = 10; // seconds between plain lines off a terminal
    FILE *out = stdout, *err = stderr;
  };
  Reporter() : Reporter(Options()) {}
  explicit Reporter(Options o);
  ~Reporter();

  /// state: queued, cached, started, done, failed, interrupted, waiting.
  void stage(const std::string &name, const std::string &state, const nlohmann::json &more = {});
  /// A finished step. `progress` in 0..1; total = 0 if the number of steps is not known.
  void step(const std::string &stage, const StepRecord &r, double progress, uint64_t total);
  /// Work that is not counted in steps: `text` for people, `fields` as an event "progress". `done` in
  /// 0..1 gives the time left.
  void progress(const std::string &stage, const std::string &text, double done,
                const nlohmann::json &fields);
  /// `more` joins the event; of it people see the interval "low", "high", and "p", "signature", "against".
  void metric(const std::string &stage, const std::string &name, double value, const nlohmann::json &more = {});
  void artifact(const std::string &stage, const std::string &fingerprint, const std::string &dir);
  void warning(const std::string &stage, const std::string &message);
  /// One line for a person; no event.
  void note(const std::string &message);
  /// Text of `generate`, as it comes.
  void text(const std::string &piece);
  /// Any other event.
  void event(const std::string &kind, nlohmann::json fields);

private:
  std::recursive_mutex one; // rows are worked on by many threads, each of which may warn
  void line(FILE *to, const std::string &text);
  void clearLive();
  /// A line of progress; what is `last` stays.
  void show(const std::string &text, bool last);
  bool isTimeToShow(const std::string &stage, bool last);
  FILE *human() const { return opt.json ? opt.err : opt.out; }

  using Clock = std::chrono::steady_clock;
  Options opt;
  bool terminal;
  bool live = false;
  Clock::time_point lastLine;
  std::string lastStage;
  Clock::time_point begun; // of the stage that progress is shown of
};

} // namespace r1rt
#endif
