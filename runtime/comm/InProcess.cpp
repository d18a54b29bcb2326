// Ranks as threads of one process: each message is one copy, made by the side that comes second.
#include "runtime/comm/Wire.h"
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <tuple>

namespace r1rt {

namespace {
/// Where the messages of all ranks meet. One lock: it serves tests.
class Hub {
public:
  explicit Hub(int size) : silent(size_t(size)) {}

  int send(int from, int to, int tag, const void *data, uint64_t bytes) {
    std::lock_guard lock(mutex);
    int id = nextId++;
    Message m{id, from, {}, static_cast<const char *>(data), nullptr, bytes};
    if (silent[size_t(from)])
      return id; // it never ends
    if (bytes <= eager) {
      m.copy.assign(m.out, bytes);
      finished[id] = {bytes, true};
    }
    Box &box = boxes[{from, to, tag}];
    box.sent.push_back(std::move(m));
    match(box);
    return id;
  }

  int receive(int from, int to, int tag, void *data, uint64_t capacity) {
    std::lock_guard lock(mutex);
    int id = nextId++;
    Box &box = boxes[{from, to, tag}];
    box.awaited.push_back({id, to, {}, nullptr, static_cast<char *>(data), capacity});
    match(box);
    return id;
  }

  Result<bool> test(int id, uint64_t &bytes) {
    std::lock_guard lock(mutex);
    auto it = finished.find(id);
    if (it == finished.end())
      return false;
    auto [size, fits] = it->second;
    finished.erase(it);
    bytes = size;
    if (!fits)
      return Status::error("a message of " + std::to_string(size) +
                           " bytes is longer than expected");
    return true;
  }

  void silence(int rank) {
    std::lock_guard lock(mutex);
    silent[size_t(rank)] = true;
  }

  /// Nobody touches the memory of this rank any more.
  void forget(int rank) {
    std::lock_guard lock(mutex);
    for (auto &[key, box] : boxes) {
      std::erase_if(box.sent, [&](const Message &m) { return m.owner == rank && m.bytes > eager; });
      std::erase_if(box.awaited, [&](const Message &m) { return m.owner == rank; });
    }
  }

private:
  static constexpr uint64_t eager = 4096;
  struct Message {
    int id, owner;
    std::string copy; // of a short one
    const char *out;
    char *in;
    uint64_t bytes;
  };
  struct Box {
    std::deque<Message> sent, awaited;
  };

  void match(Box &box) {
    while (!box.sent.empty() && !box.awaited.empty()) {
      Message &s = box.sent.front(), &r = box.awaited.front();
      bool fits = s.bytes <= r.bytes;
      if (fits)
        memcpy(r.in, s.bytes > eager ? s.out : s.copy.data(), s.bytes);
      finished[r.id] = {s.bytes, fits};
      if (s.bytes > eager)
        finished[s.id] = {s.bytes, fits};
      box.sent.pop_front();
      box.awaited.pop_front();
    }
  }

  std::mutex mutex;
  int nextId = 0;
  std::map<std::tuple<int, int, int>, Box> boxes;    // (from, to, tag)
  std::map<int, std::pair<uint64_t, bool>> finished; // size, whether it was short enough
  std::vector<bool> silent;
};

class HubWire final : public Wire {
public:
  HubWire(std::shared_ptr<Hub> hub, int rank, int size)
      : hub(std::move(hub)), self(rank), count(size) {}
  int rank() const override { return self; }
  int size() const override { return count; }
  const char *name() const override { return "the world in this process"; }

  Result<int> send(int to, int tag, const void *data, uint64_t bytes) override {
    return hub->send(self, to, tag, data, bytes);
  }
  Result<int> receive(int from, int tag, void *data, uint64_t capacity) override {
    return hub->receive(from, self, tag, data, capacity);
  }
  Result<bool> test(int request, uint64_t &bytes) override { return hub->test(request, bytes); }

  bool closesTogether() const override { return false; }
  Status close() override {
    hub->forget(self);
    return Status::ok();
  }
  bool forget() override {
    hub->forget(self);
    return true;
  }
  void abort(int) override {}

private:
  std::shared_ptr<Hub> hub;
  int self, count;
};
} // namespace

InProcess inProcess(int size, const CommOptions &options) {
  InProcess world;
  if (size == 1)
    world.ranks.push_back(oneRank());
  auto hub = std::make_shared<Hub>(size);
  world.silence = [hub](int rank) { hub->silence(rank); };
  for (int rank = 0; rank < size && size > 1; ++rank) {
    auto open = [hub, rank, size]() -> Result<std::unique_ptr<Wire>> {
      return std::unique_ptr<Wire>(std::make_unique<HubWire>(hub, rank, size));
    };
    if (auto comm = worldOver(open, options))
      world.ranks.push_back(comm.take());
  }
  return world;
}

} // namespace r1rt
