//===- Signals.h - asking a run to stop or to save -------------------------===//
#ifndef R1RT_STAGES_SIGNALS_H
#define R1RT_STAGES_SIGNALS_H

namespace r1rt {

/// While one exists, SIGINT and SIGTERM ask to stop and SIGUSR1 asks for a checkpoint. After the
/// first SIGINT or SIGTERM, the next of that kind has its usual effect again. Not nested.
class SignalGuard {
public:
  SignalGuard();
  ~SignalGuard();
  SignalGuard(const SignalGuard &) = delete;
  bool stopAsked() const;
  /// True once per request.
  bool takeCheckpointRequest();

private:
  struct Saved;
  Saved *saved;
};

} // namespace r1rt
#endif
