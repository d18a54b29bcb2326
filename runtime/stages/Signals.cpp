#include "runtime/stages/Signals.h"
#include <atomic>
#include <csignal>
#include <signal.h>

namespace r1rt {

static_assert(std::atomic<bool>::is_always_lock_free); // so that handlers may use it
static std::atomic<bool> stopFlag{false}, saveFlag{false};

struct SignalGuard::Saved {
  struct sigaction interrupt, terminate, user;
};

SignalGuard::SignalGuard() : saved(new Saved) {
  stopFlag = false;
  saveFlag = false;
  struct sigaction stop{}, save{};
  stop.sa_handler = [](int) { stopFlag = true; };
  stop.sa_flags = SA_RESETHAND | SA_RESTART;
  save.sa_handler = [](int) { saveFlag = true; };
  save.sa_flags = SA_RESTART;
  sigaction(SIGINT, &stop, &saved->interrupt);
  sigaction(SIGTERM, &stop, &saved->terminate);
  sigaction(SIGUSR1, &save, &saved->user);
}

SignalGuard::~SignalGuard() {
  sigaction(SIGINT, &saved->interrupt, nullptr);
  sigaction(SIGTERM, &saved->terminate, nullptr);
  sigaction(SIGUSR1, &saved->user, nullptr);
  delete saved;
}

bool SignalGuard::stopAsked() const { return stopFlag; }
bool SignalGuard::takeCheckpointRequest() { return saveFlag.exchange(false); }

} // namespace r1rt
