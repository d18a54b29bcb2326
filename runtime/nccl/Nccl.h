//===- Nccl.h - sums over the GPUs of several ranks ---------------------------===//
//
//   Comm (MPI) ── who is there, NCCL's id, what the host tells ──┐
//   libr1_nccl ── floats between GPUs, on a stream ──────────────┴── NcclRanks
//   SideQueue  ── additions on the GPU
//
// NCCL moves the floats and we add them, so that a sum has the same tree over shards as
// on CPUs whatever the number of ranks; ncclAllReduce has an order of its own for each.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_NCCL_NCCL_H
#define R1RT_NCCL_NCCL_H
#include "runtime/comm/Comm.h"
#include "runtime/device/Executor.h"
#include "runtime/nccl/Abi.h"
#include <condition_variable>
#include <mutex>
#include <thread>

namespace r1rt {

struct NcclOptions {
  double startSeconds = 120; // after which GPUs that do not find each other are given up
  double namingSeconds = 25; // after an error of NCCL, for `comm` to say which rank is lost
  std::string plugin{};      // the file of libr1_nccl.so; empty: searched
};

class NcclRanks final : public Ranks {
public:
  /// All ranks of `comm` join, each with the GPU of this thread's current CUDA context, of which no two
  /// are the same. The error is the same on all ranks; of class commandLine where NCCL is missing.
  static Result<std::unique_ptr<NcclRanks>> create(Comm &comm, const NcclOptions &options = {});
  /// Leaves together with the other ranks; at once after an error.
  ~NcclRanks() override;

  int rank() const override { return comm.rank(); }
  int size() const override { return comm.size(); }
  /// `data` is an address of the GPU. Errors are those of `finishSum`.
  uint64_t startSum(float *data, uint64_t n) override;
  Status finishSum(uint64_t handle) override;
  Status fromFirst(void *data, uint64_t bytes) override { return comm.broadcast(data, bytes, 0); }
  Status meet(const Status &mine) override { return firstError(comm, mine); }
  void useQueue(SideQueue &q) override;
  bool queued() const override { return true; }
  Status health() override;
  Clock clock() const override { return spent; }

private:
  NcclRanks(Comm &comm, const r1_nccl_api *api, const NcclOptions &options)
      : comm(comm), api(api), options(options) {}
  Status join(const r1_nccl_id &id);
  Status sum(uint64_t data, uint64_t n);
  Status exchange(const struct Exchange &step, uint64_t data);
  Status settle(double seconds);
  Status lost(std::unique_lock<std::mutex> &lock, const std::string &why);
  void watch();

  Comm &comm;
  const r1_nccl_api *api;
  const NcclOptions options;
  SideQueue *queue = nullptr;
  uint64_t buffer = 0, bufferFloats = 0; // what has come, on the GPU
  Clock spent;

  std::mutex mutex; // of all below, and of calls on `nccl`
  std::condition_variable changed;
  void *nccl = nullptr; // null after an error
  bool ending = false, breaking = false;
  bool working = false; // after the beginning, before the end: a lost rank is to be named
  Status broken;
  std::thread watcher;
};

} // namespace r1rt
#endif
