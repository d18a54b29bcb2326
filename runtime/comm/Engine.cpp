#include "runtime/comm/Engine.h"
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <thread>
#include <unistd.h>

namespace r1rt {

// Below the tags of data.
static constexpr int noteTag = 1;
// How often the notes of the other ranks are looked at, and how long one is waited for at the end.
static constexpr std::chrono::milliseconds glance{10};
static constexpr std::chrono::seconds parting{1};
// How often a waiting thread looks whether the communication thread still moves.
static constexpr std::chrono::milliseconds look{500};

Engine::Engine(const CommOptions &options) : options(options) {}

Engine::Seconds Engine::period() const {
  return Seconds(std::min(options.heartbeatSeconds, options.silenceSeconds / 4));
}

std::string Engine::describe(int rank) const {
  return "rank " + std::to_string(rank) + " of " + std::to_string(count);
}

static std::string inSeconds(double seconds) {
  char text[32];
  snprintf(text, sizeof text, "%g s", seconds);
  return text;
}

//===--- requests --------------------------------------------------------------===//

Status Engine::poll(Request &request, bool &done) {
  if (request.id >= 0) {
    R1RT_ASSIGN(bool arrived, wire->test(request.id, request.bytes));
    if (arrived)
      request.id = -1;
  }
  done = request.id < 0;
  return Status::ok();
}

void Engine::pauseFor(unsigned idle) {
  // A rank that is late is late by much: then the processor belongs to those who compute.
  if (idle < 100)
    return;
  if (idle < 300)
    std::this_thread::yield();
  else
    std::this_thread::sleep_for(std::chrono::microseconds(idle < 2000   ? 20
                                                          : idle < 6000 ? 200
                                                                        : 1000));
}

Status Engine::await(std::initializer_list<Request *> requests) {
  for (unsigned idle = 0;; ++idle) {
    bool all = true;
    for (Request *request : requests) {
      bool done = false;
      R1RT_TRY(poll(*request, done));
      all &= done;
    }
    if (all)
      return Status::ok();
    R1RT_TRY(service());
    pauseFor(idle);
  }
}

//===--- notes: heartbeats, farewells --------------------------------------------===//

// Takes what has come; the error is the failure that another rank tells of.
Status Engine::receiveNotes(Clock::time_point now) {
  Status told;
  for (int k = 0; k < count; ++k) {
    Peer &peer = peers[size_t(k)];
    while (k != self) {
      if (peer.receiving.id < 0) {
        R1RT_ASSIGN(peer.receiving.id, wire->receive(k, noteTag, &peer.in, sizeof peer.in));
      }
      bool done = false;
      R1RT_TRY(poll(peer.receiving, done));
      if (!done)
        break;
      peer.heard = now;
      if (peer.in.kind == CommNote::bye) {
        peer.left = true;
        peer.leftAfter = peer.in.number;
      } else if (peer.in.kind == CommNote::failure) {
        peer.failed = true;
        auto length = std::clamp<int32_t>(peer.in.length, 0, sizeof peer.in.text);
        if (told)
          told = Status::error(std::string(peer.in.text, size_t(length)));
      }
    }
  }
  return told;
}

// Called often: all that has to happen in the background, at its time. An error means that the
// world is broken, and says by whom.
Status Engine::service() {
  turns.fetch_add(1, std::memory_order_relaxed);
  if (aborting) {
    std::lock_guard lock(mutex);
    return Status::error(describe(self) + " gave up: " + abortText);
  }
  Clock::time_point now = Clock::now();
  if (now - serviced < glance)
    return Status::ok();
  // While this process was stopped it could hear nobody: that is not their silence.
  if (Seconds gap = now - serviced; gap > period())
    for (Peer &peer : peers)
      peer.heard += now - serviced;
  serviced = now;
  R1RT_TRY(receiveNotes(now));

  if (now - beaten >= period()) {
    beaten = now;
    for (int k = 0; k < count; ++k) {
      Peer &peer = peers[size_t(k)];
      bool done = true;
      R1RT_TRY(poll(peer.beating, done));
      if (k == self || !done || peer.left)
        continue;
      R1RT_ASSIGN(peer.beating.id, wire->send(k, noteTag, &peer.beat, sizeof peer.beat));
    }
  }
  for (int k = 0; k < count; ++k) {
    const Peer &peer = peers[size_t(k)];
    if (k == self)
      continue;
    if (peer.left && current && peer.leftAfter < current->number)
      return Status::error(describe(k) + " has left after its collective " +
                           std::to_string(peer.leftAfter) + "; " + describe(self) +
                           " is at number " + std::to_string(current->number));
    if (!peer.left && now - peer.heard > Seconds(options.silenceSeconds))
      return Status::error(describe(k) + " has not answered for " +
                           inSeconds(options.silenceSeconds));
  }
  return Status::ok();
}

// One last note to everybody who is still there.
void Engine::sendNotes(const CommNote &note) {
  for (int k = 0; k < count; ++k) {
    Peer &peer = peers[size_t(k)];
    if (k == self || (peer.left && note.kind == CommNote::failure))
      continue;
    peer.last = note;
    if (auto id = wire->send(k, noteTag, &peer.last, sizeof peer.last))
      peer.parting.id = *id;
  }
}

static void keepForever(std::shared_ptr<Engine> engine) {
  static std::mutex mutex;
  static std::vector<std::shared_ptr<Engine>> kept;
  std::lock_guard lock(mutex);
  kept.push_back(std::move(engine));
}

// The world is broken: the others are told, and given the time to hear it and to say so. Only then
// do the calls of this rank return, since the first process that ends may take the others with it.
void Engine::fail(const Status &why) {
  {
    std::lock_guard lock(mutex);
    if (!failure)
      return;
    failure = why;
  }
  CommNote note;
  note.kind = CommNote::failure;
  note.length = int32_t(std::min(why.message().size(), sizeof note.text));
  memcpy(note.text, why.message().data(), size_t(note.length));
  sendNotes(note);
  for (Clock::time_point end = Clock::now() + parting; Clock::now() < end;) {
    turns.fetch_add(1, std::memory_order_relaxed);
    (void)receiveNotes(Clock::now());
    bool all = true;
    for (int k = 0; k < count; ++k) {
      Peer &peer = peers[size_t(k)];
      bool sent = true;
      (void)poll(peer.parting, sent);
      all &= k == self || (sent && (peer.failed || peer.left));
    }
    if (all)
      break;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  if (!wire->forget())
    keepForever(shared_from_this());
}

// Everybody says goodbye; where closing waits for the others, they are waited for here, since here
// one that dies is noticed.
Status Engine::leave() {
  CommNote note;
  note.kind = CommNote::bye;
  note.number = performed;
  sendNotes(note);
  while (true) {
    bool all = true;
    for (int k = 0; k < count; ++k) {
      Peer &peer = peers[size_t(k)];
      bool sent = true;
      R1RT_TRY(poll(peer.parting, sent));
      all &= k == self || (sent && (peer.left || !wire->closesTogether()));
    }
    if (all)
      return wire->close();
    R1RT_TRY(service());
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

//===--- the thread --------------------------------------------------------------===//

void Engine::run(const WireOpener &open) {
  auto opened = open();
  {
    std::lock_guard lock(mutex);
    started = true;
    ended = !opened;
    if (!opened) {
      failure = opened.status();
    } else {
      wire = opened.take();
      self = wire->rank();
      count = wire->size();
    }
  }
  changed.notify_all();
  if (!wire)
    return;
  peers.resize(size_t(count));
  serviced = beaten = Clock::now();
  for (Peer &peer : peers)
    peer.heard = serviced;

  auto tick = std::min(std::chrono::duration_cast<std::chrono::milliseconds>(period() / 4),
                       std::chrono::milliseconds(50));
  for (bool last = false; !last;) {
    std::shared_ptr<CommOp> op;
    bool broken = false;
    {
      std::unique_lock lock(mutex);
      changed.wait_for(lock, tick,
                       [&] { return !queue.empty() || closing || (aborting && !aborted); });
      if (!queue.empty()) {
        op = queue.front();
        queue.pop_front();
      }
      broken = !failure;
      last = !op && closing;
    }
    turns.fetch_add(1, std::memory_order_relaxed);
    current = op.get();
    Status status;
    if (!broken) {
      status = service();
      Clock::time_point begin = Clock::now();
      if (status && op)
        status = perform(*op);
      if (op && op->kind == CommKind::reduce)
        reducing = reducing + Seconds(Clock::now() - begin).count();
      if (status && last)
        status = leave();
      if (!status)
        fail(status);
    }
    if (op) {
      performed = op->number;
      std::lock_guard lock(mutex);
      op->status = failure;
      op->done = true;
    }
    current = nullptr;
    if (aborting && !aborted) {
      // The others have heard it; now they say it, before they are ended.
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
      wire->abort(abortCode);
      std::lock_guard lock(mutex);
      aborted = true;
    }
    changed.notify_all();
  }
  std::lock_guard lock(mutex);
  ended = true;
  changed.notify_all();
}

//===--- the other side ------------------------------------------------------------===//

Status Engine::waitForStart() {
  std::unique_lock lock(mutex);
  if (!changed.wait_for(lock, Seconds(options.startSeconds), [&] { return started; }))
    return Status::error("the ranks have not found each other for " +
                         inSeconds(options.startSeconds));
  return failure;
}

Status Engine::health() {
  std::lock_guard lock(mutex);
  return failure;
}

uint64_t Engine::start(CommOp op) {
  std::lock_guard lock(mutex);
  op.number = ++lastNumber;
  if (!op.status) // it is wrong on every rank alike
    op.done = true;
  auto shared = std::make_shared<CommOp>(std::move(op));
  ops[lastNumber] = shared;
  if (!shared->done)
    queue.push_back(shared);
  changed.notify_all();
  return lastNumber;
}

// Counts looks rather than time, so that a process that was stopped does not accuse itself.
bool Engine::threadIsStuck(uint64_t &seen, int &still) {
  uint64_t now = turns.load(std::memory_order_relaxed);
  still = now == seen ? still + 1 : 0;
  seen = now;
  return Seconds(look) * still > Seconds(options.silenceSeconds) * 1.25;
}

Result<CommOp> Engine::finish(uint64_t number) {
  std::unique_lock lock(mutex);
  auto it = ops.find(number);
  if (it == ops.end())
    return Status::error("no collective with the handle " + std::to_string(number) +
                         " is unfinished");
  std::shared_ptr<CommOp> op = it->second;
  ops.erase(it);
  uint64_t seen = 0;
  int still = 0;
  while (!op->done) {
    if (changed.wait_for(lock, look) == std::cv_status::timeout && threadIsStuck(seen, still)) {
      if (failure)
        failure =
            Status::error(std::string(wire->name()) + " has not returned to " + describe(self) +
                          " for " + inSeconds(options.silenceSeconds * 1.25));
      return failure;
    }
  }
  if (!op->status)
    return op->status;
  return std::move(*op);
}

void Engine::requestAbort(int code, const std::string &text) {
  std::unique_lock lock(mutex);
  abortText = text;
  abortCode = code;
  aborting = true; // after the other two: the thread reads them when it has seen this
  changed.notify_all();
  // It tells the others, waits for a second, and ends the job.
  changed.wait_for(lock, parting * 5, [&] { return aborted || ended; });
}

bool Engine::requestLeave() {
  std::unique_lock lock(mutex);
  closing = true;
  changed.notify_all();
  if (!started)
    return false;
  uint64_t seen = 0;
  int still = 0;
  while (!ended)
    if (changed.wait_for(lock, look) == std::cv_status::timeout && threadIsStuck(seen, still))
      return false;
  return true;
}

} // namespace r1rt
