// The two sorts of worlds: one rank, and several ranks over a wire.
#include "runtime/comm/Engine.h"
#include <bit>
#include <csignal>
#include <thread>

namespace r1rt {

static Status needsRoot(int root, int size) {
  if (root >= 0 && root < size)
    return Status::ok();
  return Status::error("broadcast from rank " + std::to_string(root) + ", but there are " +
                       std::to_string(size) + " ranks, counted from 0");
}

static Status needsPowerOfTwo(int size) {
  if (std::has_single_bit(unsigned(size)))
    return Status::ok();
  unsigned below = std::bit_floor(unsigned(size));
  return Status::error("a sum over " + std::to_string(size) +
                       " ranks: its fixed tree needs a power of two\nhelp: start " +
                       std::to_string(below) + " or " + std::to_string(2 * below) + " ranks");
}

static Status needsShortText(size_t size) {
  constexpr size_t most = 64 << 20;
  if (size <= most)
    return Status::ok();
  return Status::error("a text of " + std::to_string(size) + " bytes is gathered; at most " +
                       std::to_string(most) + " are possible");
}

//===--- one rank --------------------------------------------------------------===//

namespace {
class OneRank final : public Comm {
public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  Status barrier() override { return Status::ok(); }
  Status broadcast(void *, uint64_t, int root) override { return needsRoot(root, 1); }
  Result<std::vector<std::string>> gatherText(const std::string &text) override {
    R1RT_TRY(needsShortText(text.size()));
    return std::vector{text};
  }
  ReduceHandle reduceTreeStart(float *, uint64_t) override { return 1; }
  Status reduceTreeFinish(ReduceHandle) override { return Status::ok(); }
  double reduceSeconds() const override { return 0; }
  Status health() override { return Status::ok(); }
  void abort(int, const std::string &) override {}
};

//===--- several -----------------------------------------------------------------===//

class Ranks final : public Comm {
public:
  explicit Ranks(const CommOptions &options) : engine(std::make_shared<Engine>(options)) {}

  Status open(WireOpener opener) {
    // Signals are for the threads that know what to do with them.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    thread = std::thread([engine = engine, opener = std::move(opener)] { engine->run(opener); });
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return engine->waitForStart();
  }

  ~Ranks() override {
    if (engine->requestLeave())
      thread.join();
    else
      thread.detach(); // it hangs in the wire
  }

  int rank() const override { return engine->rank(); }
  int size() const override { return engine->size(); }

  Status barrier() override { return run({CommKind::barrier}).status(); }

  Status broadcast(void *data, uint64_t bytes, int root) override {
    CommOp op{CommKind::broadcast};
    op.data = data;
    op.bytes = bytes;
    op.root = root;
    op.status = needsRoot(root, size());
    return run(std::move(op)).status();
  }

  Result<std::vector<std::string>> gatherText(const std::string &text) override {
    CommOp op{CommKind::gather};
    op.bytes = text.size();
    op.text = text;
    op.status = needsShortText(text.size());
    R1RT_ASSIGN(CommOp done, run(std::move(op)));
    return std::move(done.texts);
  }

  ReduceHandle reduceTreeStart(float *data, uint64_t n) override {
    CommOp op{CommKind::reduce};
    op.data = data;
    op.bytes = n * sizeof(float);
    op.status = needsPowerOfTwo(size());
    return engine->start(std::move(op));
  }
  Status reduceTreeFinish(ReduceHandle handle) override { return engine->finish(handle).status(); }
  double reduceSeconds() const override { return engine->reduceSeconds(); }
  Status health() override { return engine->health(); }

  void abort(int code, const std::string &text) override { engine->requestAbort(code, text); }

private:
  Result<CommOp> run(CommOp op) { return engine->finish(engine->start(std::move(op))); }

  std::shared_ptr<Engine> engine;
  std::thread thread;
};
} // namespace

Status firstError(Comm &comm, const Status &mine) {
  std::string text = mine ? "" : std::to_string(mine.exitCode()) + " " + mine.message();
  R1RT_ASSIGN(std::vector<std::string> all, comm.gatherText(text));
  for (size_t r = 0; r < all.size(); ++r)
    if (size_t space = all[r].find(' '); space != std::string::npos) {
      Status st = Status::error(all[r].substr(space + 1), ExitClass(std::stoi(all[r])));
      return all.size() > 1 ? st.withContext("rank " + std::to_string(r)) : st;
    }
  return Status::ok();
}

std::unique_ptr<Comm> oneRank() { return std::make_unique<OneRank>(); }

Result<std::unique_ptr<Comm>> worldOver(WireOpener open, const CommOptions &options) {
  auto ranks = std::make_unique<Ranks>(options);
  R1RT_TRY(ranks->open(std::move(open)));
  return std::unique_ptr<Comm>(std::move(ranks));
}

} // namespace r1rt
