#include "runtime/nccl/Nccl.h"
#include "runtime/comm/Halving.h"
#include "runtime/device/Plugin.h"
#include <algorithm>
#include <bit>
#include <chrono>
#include <cstring>

namespace r1rt {

using Time = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

static constexpr PluginKind kind = {"libr1_nccl.so", "r1_nccl_get_api", "NCCL", "several GPUs need",
                                    "nccl.h", "install the CUDA toolkit 13.0 or newer and NCCL's header "
                                              "(package libnccl-dev)"};

/// Floats of a sum that are on their way at once: the size of the buffer for what comes.
static constexpr uint64_t kPiece = 8 << 20;
/// Floats of a piece from which moving less is worth twice as many messages.
static constexpr uint64_t kHalved = 1 << 16;

static Result<const r1_nccl_api *> loadPlugin(const std::string &file, int32_t &version) {
  R1RT_ASSIGN(void *symbol, pluginSymbol(kind, file));
  auto *api = reinterpret_cast<decltype(&r1_nccl_get_api)>(symbol)();
  if (api->abi != R1_NCCL_ABI)
    return wrongPluginVersion(kind, api->abi, R1_NCCL_ABI);
  if (const char *wrong = api->load(&version))
    return Status::error(wrong);
  return api;
}

//===--- the beginning and the end --------------------------------------------------===//

Result<std::unique_ptr<NcclRanks>> NcclRanks::create(Comm &comm, const NcclOptions &options) {
  int32_t version = 0;
  auto api = loadPlugin(options.plugin, version);
  R1RT_TRY(firstError(comm, api ? Status::ok()
                                : Status::error(api.status().message(), ExitClass::commandLine)));
  R1RT_ASSIGN(std::vector<std::string> versions, comm.gatherText(std::to_string(version)));
  for (size_t r = 1; r < versions.size(); ++r)
    if (versions[r] != versions[0])
      return Status::error("rank " + std::to_string(r) + " has NCCL " + versions[r] + ", rank 0 has " +
                               versions[0] + " (major, minor and patch level in one number); all ranks "
                                             "need the same",
                           ExitClass::commandLine);
  r1_nccl_id id = {};
  const char *wrong = comm.rank() == 0 ? (*api)->unique_id(&id) : nullptr;
  R1RT_TRY(firstError(comm, wrong ? Status::error(wrong) : Status::ok()));
  R1RT_TRY(comm.broadcast(&id, sizeof id, 0));
  std::unique_ptr<NcclRanks> ranks(new NcclRanks(comm, *api, options));
  // A rank that fails at once is named at once, not missed by the others.
  R1RT_TRY(firstError(comm, ranks->join(id)));
  R1RT_TRY(firstError(comm, ranks->settle(options.startSeconds)));
  ranks->working = true;
  ranks->watcher = std::thread([r = ranks.get()] { r->watch(); });
  return ranks;
}

Status NcclRanks::join(const r1_nccl_id &id) {
  std::unique_lock lock(mutex);
  if (const char *wrong = api->join(&id, rank(), size(), "r1c", &nccl))
    return lost(lock, wrong);
  return Status::ok();
}

NcclRanks::~NcclRanks() {
  {
    std::lock_guard lock(mutex);
    ending = true;
    working = false;
  }
  changed.notify_all();
  if (watcher.joinable())
    watcher.join();
  if (!nccl)
    return;
  bool together = false; // the others wait for this rank as this one does for them, but not for ever
  {
    std::unique_lock lock(mutex);
    together = !api->leave(nccl);
  }
  if (together && settle(10) && nccl)
    (void)api->destroy(nccl);
  else if (nccl)
    api->abort(nccl);
}

//===--- errors ----------------------------------------------------------------------===//

/// The sums end here, whatever they have. NCCL does not know who is lost; `comm` may.
Status NcclRanks::lost(std::unique_lock<std::mutex> &lock, const std::string &why) {
  if (!broken)
    return broken;
  if (breaking) { // another thread is at it
    changed.wait(lock, [&] { return !broken; });
    return broken;
  }
  breaking = true;
  bool naming = working;
  std::string text = why; // the plugin's text is its thread's
  if (nccl)
    api->abort(nccl);
  nccl = nullptr;
  lock.unlock();
  Status named = comm.health();
  for (auto end = Time::now() + Seconds(options.namingSeconds);
       named && size() > 1 && naming && Time::now() < end; named = comm.health())
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  lock.lock();
  broken = !named ? named : Status::error("NCCL, rank " + std::to_string(rank()) + " of " +
                                          std::to_string(size()) + ": " + text);
  changed.notify_all();
  return broken;
}

/// Until NCCL's last call is no longer under way.
Status NcclRanks::settle(double seconds) {
  auto end = Time::now() + Seconds(seconds);
  for (unsigned turn = 0;; ++turn) {
    {
      std::unique_lock lock(mutex);
      if (!nccl)
        return lost(lock, "it has ended");
      int32_t underWay = 0;
      if (const char *wrong = api->poll(nccl, &underWay))
        return lost(lock, wrong);
      if (!underWay)
        return Status::ok();
      if (Time::now() > end)
        return lost(lock, "the GPUs have not found each other for " +
                              std::to_string(int(seconds)) + " s");
    }
    if (turn > 100)
      std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
}

/// While the host waits for a GPU that waits for a lost rank, somebody has to end that.
void NcclRanks::watch() {
  std::unique_lock lock(mutex);
  while (!changed.wait_for(lock, std::chrono::milliseconds(50), [&] { return ending; })) {
    if (!nccl)
      continue;
    int32_t underWay = 0;
    if (const char *wrong = api->poll(nccl, &underWay))
      (void)lost(lock, wrong);
    else if (Status st = comm.health(); !st)
      (void)lost(lock, st.message());
  }
}

Status NcclRanks::health() {
  std::unique_lock lock(mutex);
  if (!nccl || !broken)
    return lost(lock, "it has ended");
  // A sum whose partner is gone ends with whatever it has, perhaps before `watch` has looked again.
  int32_t underWay = 0;
  if (const char *wrong = api->poll(nccl, &underWay))
    return lost(lock, wrong);
  return comm.health();
}

//===--- sums ------------------------------------------------------------------------===//

void NcclRanks::useQueue(SideQueue &q) {
  queue = &q;
  buffer = bufferFloats = 0; // of an earlier device
}

Status NcclRanks::exchange(const Exchange &step, uint64_t data) {
  {
    std::unique_lock lock(mutex);
    if (!nccl)
      return lost(lock, "it has ended");
    if (const char *wrong = api->exchange(nccl, step.partner, data + 4 * step.out.from, step.out.n,
                                          step.back ? data + 4 * step.in.from : buffer, step.in.n,
                                          queue->stream()))
      return lost(lock, wrong);
  }
  // The first meeting of two ranks takes as long as the later one does; `comm` sees whether it lives.
  R1RT_TRY(settle(1e9));
  if (step.back)
    return Status::ok();
  uint64_t here = data + 4 * step.in.from;
  bool lower = rank() < step.partner;
  return queue->add(here, lower ? here : buffer, lower ? buffer : here, step.in.n);
}

Status NcclRanks::sum(uint64_t data, uint64_t n) {
  unsigned rounds = unsigned(std::countr_zero(unsigned(size())));
  if (!std::has_single_bit(unsigned(size())))
    return Status::error("a sum over " + std::to_string(size()) +
                         " ranks: its fixed tree needs a power of two");
  if (uint64_t most = std::min(n, kPiece); bufferFloats < most) {
    R1RT_ASSIGN(buffer, queue->alloc(4 * most));
    bufferFloats = most;
  }
  R1RT_TRY(queue->waitForPrograms());
  for (uint64_t at = 0; at < n; at += kPiece) {
    uint64_t piece = std::min(kPiece, n - at);
    bool halved = size() >= 4 && piece >= kHalved;
    for (unsigned round = 0; round < (halved ? 2 * rounds : rounds); ++round)
      R1RT_TRY(exchange(exchangeOf(piece, rank(), rounds, round, halved), data + 4 * at));
  }
  return Status::ok();
}

uint64_t NcclRanks::startSum(float *data, uint64_t n) {
  ++spent.sums;
  spent.bytes += 4 * n;
  Status st = sum(reinterpret_cast<uint64_t>(data), n);
  std::unique_lock lock(mutex);
  if (!st && broken)
    broken = st;
  return spent.sums;
}

/// Sums run in one queue, so what waits for the last one has waited for all.
Status NcclRanks::finishSum(uint64_t) {
  R1RT_TRY(health());
  return queue->programsWait();
}

} // namespace r1rt
