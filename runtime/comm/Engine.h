// The communication thread of a world. Internal to runtime/comm.
#ifndef R1RT_COMM_ENGINE_H
#define R1RT_COMM_ENGINE_H
#include "runtime/comm/Halving.h"
#include "runtime/comm/Wire.h"
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <vector>

namespace r1rt {

enum class CommKind : uint32_t { barrier = 1, broadcast, gather, reduce };

/// One collective, from its start to its end.
struct CommOp {
  CommKind kind = CommKind::barrier;
  uint64_t number = 0; // counts the collectives of this rank, from 1
  void *data = nullptr;
  uint64_t bytes = 0;
  int root = 0;
  std::string text{};               // gather: of this rank
  std::vector<std::string> texts{}; // gather: of all
  bool done = false;
  Status status{};
};

/// What two ranks tell each other before a collective moves data, so that ranks that do different
/// things find out instead of waiting for each other.
struct CommHeader {
  CommKind kind;
  int32_t root;
  uint64_t number, bytes;
};

/// Small messages beside the collectives.
struct CommNote {
  enum Kind : int32_t { beat = 1, bye, failure };
  int32_t kind = beat;
  int32_t length = 0;  // failure: of the text
  uint64_t number = 0; // bye: of the last collective
  char text[1008] = {};
};

/// The thread holds a share of it, since after a failure it may not come back from the wire.
class Engine : public std::enable_shared_from_this<Engine> {
public:
  using Clock = std::chrono::steady_clock;
  using Seconds = std::chrono::duration<double>;

  explicit Engine(const CommOptions &options);

  // The communication thread.
  void run(const WireOpener &open);

  // All other threads.
  Status waitForStart();
  uint64_t start(CommOp op);
  /// The finished collective, or why there is none.
  Result<CommOp> finish(uint64_t number);
  void requestAbort(int code, const std::string &text);
  /// Asks the thread to leave; false if it does not come back.
  bool requestLeave();
  int rank() const { return self; }
  int size() const { return count; }
  double reduceSeconds() const { return reducing; }
  Status health();

private:
  struct Request {
    int id = -1; // -1: done
    uint64_t bytes = 0;
  };
  struct Peer {
    Clock::time_point heard{};
    CommNote in, beat, last; // last: bye or failure
    Request receiving, beating, parting;
    bool left = false, failed = false;
    uint64_t leftAfter = 0;
  };
  struct Slot {
    float *at = nullptr;
    uint64_t n = 0;
    unsigned round = 0;
    bool halved = false;
    Exchange step = {};
    Request sending, receiving;
    std::vector<float> buffer; // of at most 1 MiB
  };

  // Engine.cpp: the loop, heartbeats, the end.
  Status service();
  Status receiveNotes(Clock::time_point now);
  Status poll(Request &request, bool &done);
  /// Until all are done, or the world is broken.
  Status await(std::initializer_list<Request *> requests);
  static void pauseFor(unsigned idle);
  void sendNotes(const CommNote &note);
  void fail(const Status &why);
  Status leave();
  std::string describe(int rank) const;
  Seconds period() const;
  bool threadIsStuck(uint64_t &seen, int &still);

  // Collectives.cpp
  Status perform(CommOp &op);
  Status post(Request &sending, int to, Request &receiving, int from, int tag, const void *out,
              uint64_t outBytes, void *in, uint64_t inBytes);
  Status agree(const CommOp &op, const std::vector<std::pair<int, int>> &toFrom);
  Status barrier(const CommOp &op);
  Status broadcast(const CommOp &op);
  Status gather(CommOp &op);
  Status reduce(const CommOp &op);
  Status beginRound(Slot &slot, int tag);
  void endRound(Slot &slot);

  const CommOptions options;
  int self = 0, count = 1;

  // Of the communication thread.
  std::unique_ptr<Wire> wire;
  std::vector<Peer> peers;
  Clock::time_point serviced{}, beaten{};
  const CommOp *current = nullptr;
  uint64_t performed = 0;
  Slot slots[2];
  CommHeader mine{};
  std::vector<CommHeader> heard;

  // Of all, under the mutex.
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::shared_ptr<CommOp>> queue;
  std::map<uint64_t, std::shared_ptr<CommOp>> ops;
  uint64_t lastNumber = 0;
  bool started = false, closing = false, aborted = false, ended = false;
  Status failure;
  std::string abortText;
  int abortCode = 0;
  std::atomic<bool> aborting{false};
  std::atomic<uint64_t> turns{0};
  std::atomic<double> reducing{0};
};

} // namespace r1rt
#endif
