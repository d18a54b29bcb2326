// The plugin libr1_nccl: the only code that sees nccl.h.
#include "runtime/nccl/Abi.h"
#include <cstring>
#include <dlfcn.h>
#include <nccl.h>
#include <string>

namespace {

#define R1_NCCL_FUNCTIONS(F)                                                                       \
  F(ncclGetVersion)                                                                                \
  F(ncclGetUniqueId)                                                                               \
  F(ncclGetErrorString)                                                                            \
  F(ncclGetLastError)                                                                              \
  F(ncclCommInitRankConfig)                                                                        \
  F(ncclCommGetAsyncError)                                                                         \
  F(ncclCommFinalize)                                                                              \
  F(ncclCommDestroy)                                                                               \
  F(ncclCommAbort)                                                                                 \
  F(ncclGroupStart)                                                                                \
  F(ncclGroupEnd)                                                                                  \
  F(ncclSend)                                                                                      \
  F(ncclRecv)

/// Pointers to NCCL's functions; calls look like those of nccl.h.
struct Library {
#define R1_DECLARE(name) decltype(&::name) name = nullptr;
  R1_NCCL_FUNCTIONS(R1_DECLARE)
#undef R1_DECLARE
} nccl;

/// The oldest NCCL with non-blocking communicators and ncclCommFinalize.
constexpr int kOldest = NCCL_VERSION(2, 14, 0);
constexpr const char *kInstall = "\nhelp: install NCCL 2.14 or newer for CUDA 13 (package libnccl2), or name "
                                 "the folder that holds libnccl.so.2 in LD_LIBRARY_PATH";

thread_local std::string wrong;

const char *say(std::string text) {
  wrong = std::move(text);
  return wrong.c_str();
}

/// Null if all is well or under way, else what NCCL says about `call`.
const char *failed(ncclResult_t rc, const char *call, ncclComm_t comm) {
  if (rc == ncclSuccess || rc == ncclInProgress)
    return nullptr;
  const char *more = nccl.ncclGetLastError(comm);
  return say(std::string(call) + ": " + nccl.ncclGetErrorString(rc) +
             (more && *more ? " (" + std::string(more) + ")" : ""));
}

const char *load(int32_t *version) {
  static void *library = nullptr;
  if (!library && !(library = dlopen("libnccl.so.2", RTLD_NOW | RTLD_LOCAL))) {
    const char *why = dlerror();
    return say(std::string(why ? why : "libnccl.so.2 cannot be loaded") + kInstall);
  }
#define R1_FIND(name)                                                                              \
  if (!(nccl.name = reinterpret_cast<decltype(nccl.name)>(dlsym(library, #name))))                 \
    return say(std::string("libnccl.so.2 has no " #name) + kInstall);
  R1_NCCL_FUNCTIONS(R1_FIND)
#undef R1_FIND
  int found = 0;
  if (const char *why = failed(nccl.ncclGetVersion(&found), "ncclGetVersion", nullptr))
    return why;
  *version = found;
  if (found < kOldest)
    return say("libnccl.so.2 is of version code " + std::to_string(found) + ", older than " +
               std::to_string(kOldest) + kInstall);
  return nullptr;
}

const char *uniqueId(r1_nccl_id *id) {
  static_assert(sizeof(ncclUniqueId) == sizeof(r1_nccl_id));
  ncclUniqueId made;
  if (const char *why = failed(nccl.ncclGetUniqueId(&made), "ncclGetUniqueId", nullptr))
    return why;
  std::memcpy(id, &made, sizeof made);
  return nullptr;
}

const char *join(const r1_nccl_id *id, int32_t rank, int32_t size, const char *name, void **comm) {
  ncclUniqueId known;
  std::memcpy(&known, id, sizeof known);
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  config.commName = name;
  ncclComm_t made = nullptr;
  ncclResult_t rc = nccl.ncclCommInitRankConfig(&made, size, known, rank, &config);
  *comm = made;
  return failed(rc, "ncclCommInitRankConfig", made);
}

const char *poll(void *comm, int32_t *underWay) {
  auto *c = static_cast<ncclComm_t>(comm);
  ncclResult_t state = ncclSuccess;
  *underWay = 0;
  if (const char *why = failed(nccl.ncclCommGetAsyncError(c, &state), "ncclCommGetAsyncError", c))
    return why;
  *underWay = state == ncclInProgress;
  return failed(state, "NCCL", c);
}

const char *exchange(void *comm, int32_t peer, uint64_t send, uint64_t sendCount, uint64_t receive,
                     uint64_t receiveCount, void *stream) {
  auto *c = static_cast<ncclComm_t>(comm);
  auto *s = static_cast<cudaStream_t>(stream);
  if (const char *why = failed(nccl.ncclGroupStart(), "ncclGroupStart", c))
    return why;
  ncclResult_t sent =
      nccl.ncclSend(reinterpret_cast<const void *>(send), sendCount, ncclFloat32, peer, c, s);
  ncclResult_t received =
      nccl.ncclRecv(reinterpret_cast<void *>(receive), receiveCount, ncclFloat32, peer, c, s);
  ncclResult_t ended = nccl.ncclGroupEnd(); // in any case
  if (const char *why = failed(sent, "ncclSend", c))
    return why;
  if (const char *why = failed(received, "ncclRecv", c))
    return why;
  return failed(ended, "ncclGroupEnd", c);
}

const char *leave(void *comm) {
  auto *c = static_cast<ncclComm_t>(comm);
  return failed(nccl.ncclCommFinalize(c), "ncclCommFinalize", c);
}

const char *destroy(void *comm) {
  return failed(nccl.ncclCommDestroy(static_cast<ncclComm_t>(comm)), "ncclCommDestroy", nullptr);
}

void abort(void *comm) { nccl.ncclCommAbort(static_cast<ncclComm_t>(comm)); }

} // namespace

extern "C" __attribute__((visibility("default"))) const r1_nccl_api *r1_nccl_get_api(void) {
  static const r1_nccl_api api = {R1_NCCL_ABI, load,  uniqueId, join, poll,
                                  exchange,    leave, destroy,  abort};
  return &api;
}
