// A stand-in for libnccl.so.2: ranks are processes or threads of one machine, floats cross through
// shared memory. README.md says what it models and which faults the environment asks for.
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <cuda.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <memory>
#include <mutex>
#include <nccl.h>
#include <string>
#include <sys/mman.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace {

constexpr int kMost = 8; // ranks
constexpr uint64_t kRing = 1 << 18;

/// Bytes from one rank to another.
struct Ring {
  std::atomic<uint64_t> written, read;
  char data[kRing];
};
struct Member {
  std::atomic<int> pid;      // 0: has not joined
  std::atomic<int> left;     // 1: finalized, 2: aborted
  std::atomic<int> device;   // -1: unknown
};
/// In shared memory, which begins as zeros.
struct World {
  Member members[kMost];
  Ring rings[kMost][kMost]; // [from][to]
};

struct Op {
  bool send;
  char *data;
  uint64_t bytes, done;
  int peer;
};
using Ops = std::vector<Op>;

//===--- the driver ------------------------------------------------------------------===//

/// Of libcuda.so.1, or of the program itself, which then plays the driver. The stand-in driver has one
/// more function: where device memory lies in this process; without it, addresses are the host's.
struct Driver {
  decltype(&::cuLaunchHostFunc) launch = nullptr;
  decltype(&::cuCtxGetDevice) device = nullptr;
  void *(*pointer)(uint64_t address, uint64_t bytes) = nullptr;
};
const Driver &driver() {
  static const Driver found = [] {
    void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
    Driver d;
    auto find = [&](auto &to, const char *name) {
      to = reinterpret_cast<std::remove_reference_t<decltype(to)>>(
          dlsym(library ? library : RTLD_DEFAULT, name));
    };
    find(d.launch, "cuLaunchHostFunc");
    find(d.device, "cuCtxGetDevice");
    find(d.pointer, "r1_fake_cuda_pointer");
    return d;
  }();
  return found;
}

char *pointer(const void *address, uint64_t bytes) {
  if (driver().pointer)
    return static_cast<char *>(driver().pointer(reinterpret_cast<uint64_t>(address), bytes));
  return static_cast<char *>(const_cast<void *>(address));
}

thread_local std::string lastError;
ncclResult_t failed(ncclResult_t rc, const std::string &text) {
  lastError = text;
  return rc;
}

/// R1_FAKE_NCCL=WHAT[:RANK[:N]]; whether this rank has this fault.
bool faulty(const char *what, int rank, int *n = nullptr) {
  const char *text = std::getenv("R1_FAKE_NCCL");
  char name[32] = "";
  int who = -1, count = 1;
  if (!text || std::sscanf(text, "%31[a-z]:%d:%d", name, &who, &count) < 1)
    return false;
  if (n)
    *n = count;
  return !std::strcmp(name, what) && (who < 0 || who == rank);
}

} // namespace

struct ncclComm {
  std::string name;
  World *world = nullptr;
  int rank = 0, size = 1;
  bool blocking = true;
  std::atomic<int> state{ncclSuccess}; // an error stays
  std::atomic<bool> aborted{false};
  std::mutex mutex;
  std::string error;
  std::atomic<int> holders{1}; // the user, and jobs on a stream: these may run after an abort
  int polls = 0;                // until what is under way is done
  Ops waiting;                  // of the last group, not yet on its stream
  cudaStream_t stream = nullptr;
  int groups = 0;
};

namespace {

thread_local int depth = 0;
thread_local Ops group;
thread_local ncclComm *groupComm = nullptr;
thread_local cudaStream_t groupStream = nullptr;

void fail(ncclComm &c, ncclResult_t rc, const std::string &text) {
  std::lock_guard lock(c.mutex);
  if (c.state == ncclSuccess) {
    c.error = text;
    c.state = rc;
  }
}

/// Moves what can be moved; whether anything was.
bool step(ncclComm &c, Op &op) {
  Ring &ring = op.send ? c.world->rings[c.rank][op.peer] : c.world->rings[op.peer][c.rank];
  uint64_t written = ring.written.load(std::memory_order_acquire);
  uint64_t read = ring.read.load(std::memory_order_acquire);
  uint64_t place = op.send ? written : read, room = op.send ? kRing - (written - read) : written - read;
  uint64_t n = std::min({room, op.bytes - op.done, kRing - place % kRing});
  if (!n)
    return false;
  char *data = pointer(op.data, op.bytes) + op.done;
  if (op.send)
    std::memcpy(ring.data + place % kRing, data, n);
  else
    std::memcpy(data, ring.data + place % kRing, n);
  op.done += n;
  (op.send ? ring.written : ring.read).store(place + n, std::memory_order_release);
  return true;
}

/// What the kernels of a group do on a GPU.
void run(ncclComm &c, Ops ops) {
  ++c.groups;
  int n = 1;
  if (faulty("error", c.rank, &n) && c.groups >= n)
    return fail(c, ncclRemoteError, "a fault that R1_FAKE_NCCL asked for");
  if (faulty("die", c.rank, &n) && c.groups >= n)
    raise(SIGKILL);
  for (unsigned idle = 0; c.state == ncclSuccess && !c.aborted; ++idle) {
    bool all = true, lost = false;
    for (Op &op : ops) {
      if (step(c, op))
        idle = 0;
      all &= op.done == op.bytes;
      Member &peer = c.world->members[op.peer];
      lost |= op.done < op.bytes && (peer.left || (kill(peer.pid, 0) && errno == ESRCH));
    }
    if (all)
      return;
    // Real GPUs notice a lost peer over a network, and do not over NVLink.
    if (lost && idle > 100 && !faulty("silent", -1))
      return fail(c, ncclRemoteError, "a rank has closed its connection");
    if (idle > 50)
      std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
}

/// The last holder frees it.
void letGo(ncclComm *c) {
  if (--c->holders)
    return;
  shm_unlink(c->name.c_str()); // the mappings live on
  munmap(c->world, sizeof(World));
  delete c;
}

struct Job {
  ncclComm *c;
  Ops ops;
};
void onStream(void *data) {
  std::unique_ptr<Job> job(static_cast<Job *>(data));
  run(*job->c, std::move(job->ops));
  letGo(job->c);
}

ncclResult_t issue(ncclComm &c) {
  Ops ops = std::move(c.waiting);
  c.waiting.clear();
  if (!driver().launch)
    return failed(ncclUnhandledCudaError, "there is no cuLaunchHostFunc");
  ++c.holders;
  auto *job = new Job{&c, std::move(ops)};
  if (driver().launch(reinterpret_cast<CUstream>(c.stream), onStream, job) != CUDA_SUCCESS)
    return failed(ncclUnhandledCudaError, "cuLaunchHostFunc");
  return ncclSuccess;
}

bool allJoined(ncclComm &c) {
  for (int r = 0; r < c.size; ++r)
    if (!c.world->members[r].pid)
      return false;
  for (int r = 0; r < c.size; ++r)
    for (int q = 0; q < r; ++q)
      if (int d = c.world->members[r].device; d >= 0 && d == c.world->members[q].device)
        fail(c, ncclInvalidUsage, "Duplicate GPU detected : rank " + std::to_string(q) + " and rank " +
                                      std::to_string(r) + " both on CUDA device " + std::to_string(d));
  return true;
}

} // namespace

extern "C" {

ncclResult_t ncclGetVersion(int *version) {
  *version = NCCL_VERSION_CODE;
  if (faulty("old", -1))
    *version = 2803;
  return ncclSuccess;
}
const char *ncclGetErrorString(ncclResult_t rc) {
  switch (rc) {
  case ncclSuccess:
    return "no error";
  case ncclSystemError:
    return "unhandled system error";
  case ncclInvalidUsage:
    return "invalid usage";
  case ncclRemoteError:
    return "remote process exited or there was a network error";
  case ncclInProgress:
    return "NCCL operation in progress";
  default:
    return "internal error";
  }
}
const char *ncclGetLastError(ncclComm *c) {
  if (c) {
    std::lock_guard lock(c->mutex);
    if (!c->error.empty())
      lastError = c->error;
  }
  return lastError.c_str();
}

ncclResult_t ncclGetUniqueId(ncclUniqueId *id) {
  static std::atomic<int> count{0};
  std::memset(id, 0, sizeof *id);
  std::snprintf(id->internal, sizeof id->internal, "/r1-fake-nccl-%d-%d-%lld", getpid(), count++,
                static_cast<long long>(std::chrono::steady_clock::now().time_since_epoch().count()));
  return ncclSuccess;
}

ncclResult_t ncclCommInitRankConfig(ncclComm **out, int size, ncclUniqueId id, int rank, ncclConfig_t *config) {
  *out = nullptr;
  if (size < 1 || size > kMost || rank < 0 || rank >= size)
    return failed(ncclInvalidArgument, "rank " + std::to_string(rank) + " of " + std::to_string(size));
  if (faulty("init", rank))
    return failed(ncclSystemError, "no network interface, as R1_FAKE_NCCL asked for");
  int fd = shm_open(id.internal, O_CREAT | O_RDWR, 0600);
  if (fd < 0 || ftruncate(fd, sizeof(World)))
    return failed(ncclSystemError, "shm_open " + std::string(id.internal));
  void *memory = mmap(nullptr, sizeof(World), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (memory == MAP_FAILED)
    return failed(ncclSystemError, "mmap");
  auto *c = new ncclComm;
  c->name = id.internal;
  c->world = static_cast<World *>(memory);
  c->rank = rank, c->size = size;
  c->blocking = config->blocking != 0;
  c->polls = 3;
  CUdevice device = -1;
  if (driver().device && driver().device(&device) != CUDA_SUCCESS)
    device = -1;
  c->world->members[rank].device = device;
  c->world->members[rank].pid = getpid();
  *out = c;
  if (!c->blocking)
    return ncclInProgress;
  while (!allJoined(*c))
    usleep(100);
  c->polls = 0;
  return ncclResult_t(c->state.load());
}

ncclResult_t ncclCommGetAsyncError(ncclComm *c, ncclResult_t *state) {
  if (c->polls > 0) {
    bool ready = allJoined(*c) && --c->polls == 0;
    *state = c->state == ncclSuccess ? ncclInProgress : ncclResult_t(c->state.load());
    if (ready && !c->waiting.empty())
      return issue(*c); // only now is it on the stream
    return ncclSuccess;
  }
  *state = ncclResult_t(c->state.load());
  return ncclSuccess;
}

ncclResult_t ncclGroupStart() {
  ++depth;
  return ncclSuccess;
}

static ncclResult_t append(bool send, const void *data, size_t count, ncclDataType_t type, int peer,
                           ncclComm *c, cudaStream_t stream) {
  if (!depth)
    return failed(ncclInvalidUsage, "this stand-in wants sends and receives in a group");
  if (c->polls)
    return failed(ncclInvalidUsage, "the last call is still in progress");
  if (type != ncclFloat32 || peer < 0 || peer >= c->size || peer == c->rank)
    return failed(ncclInvalidArgument, "peer " + std::to_string(peer));
  groupComm = c;
  groupStream = stream;
  group.push_back({send, static_cast<char *>(const_cast<void *>(data)), count * 4, 0, peer});
  return ncclSuccess;
}
ncclResult_t ncclSend(const void *data, size_t count, ncclDataType_t type, int peer, ncclComm *c,
                      cudaStream_t stream) {
  return append(true, data, count, type, peer, c, stream);
}
ncclResult_t ncclRecv(void *data, size_t count, ncclDataType_t type, int peer, ncclComm *c,
                      cudaStream_t stream) {
  return append(false, data, count, type, peer, c, stream);
}

ncclResult_t ncclGroupEnd() {
  if (--depth || group.empty())
    return ncclSuccess;
  ncclComm &c = *groupComm;
  c.waiting = std::move(group);
  group.clear();
  c.stream = groupStream;
  if (c.blocking)
    return issue(c);
  c.polls = 2;
  return ncclInProgress;
}

ncclResult_t ncclCommFinalize(ncclComm *c) {
  if (c->polls)
    return failed(ncclInvalidUsage, "the last call is still in progress");
  c->polls = 2;
  return c->blocking ? ncclSuccess : ncclInProgress;
}

static void release(ncclComm *c, int how) {
  c->world->members[c->rank].left = how;
  letGo(c);
}
ncclResult_t ncclCommDestroy(ncclComm *c) {
  release(c, 1);
  return ncclSuccess;
}
ncclResult_t ncclCommAbort(ncclComm *c) {
  c->aborted = true;
  release(c, 2);
  return ncclSuccess;
}
}
