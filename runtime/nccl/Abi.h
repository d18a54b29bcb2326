/*===- Abi.h - what r1c and the plugin libr1_nccl see of each other ---------===
 *
 * The plugin is a library of its own, loaded when several ranks train on NVIDIA GPUs.
 * It finds libnccl.so.2 when `load` is called, so that it loads everywhere and says
 * what is missing.
 *
 * Communicators are non-blocking: no function waits for another rank. One thread at a
 * time calls the functions of one communicator.
 *
 *===--------------------------------------------------------------------------===*/
#ifndef R1RT_NCCL_ABI_H
#define R1RT_NCCL_ABI_H
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Counts up with every change of this file; a plugin of another number is refused. */
#define R1_NCCL_ABI 1

/** What the ranks of a communicator find each other by; made by one of them. */
typedef struct {
  char bytes[128];
} r1_nccl_id;

/** Functions return null, or say what is wrong; that text is valid until the thread's next call. */
typedef struct {
  uint32_t abi;
  /** Finds NCCL; `*version` as ncclGetVersion gives it: 22809 is 2.28.9. */
  const char *(*load)(int32_t *version);
  const char *(*unique_id)(r1_nccl_id *id);
  /** Joins; the GPU is that of the calling thread's current context. Until `poll` has said that it is
   * done, only `poll` and `abort` may be called. `name` is for NCCL's own messages. */
  const char *(*join)(const r1_nccl_id *id, int32_t rank, int32_t size, const char *name, void **comm);
  /** Whether the last call is still under way: after `exchange`, work is on the stream only once it
   * is not. The error is also of what went wrong on the GPU or in the network since. */
  const char *(*poll)(void *comm, int32_t *under_way);
  /** Sends `send_count` floats to `peer` and receives `receive_count` from it, on `stream` (CUstream);
   * addresses are the device's and do not overlap. The peer calls it with the counts exchanged. */
  const char *(*exchange)(void *comm, int32_t peer, uint64_t send, uint64_t send_count, uint64_t receive,
                          uint64_t receive_count, void *stream);
  /** Ends the communicator in accord with the other ranks; `poll` says when, then `destroy` frees it. */
  const char *(*leave)(void *comm);
  /** Frees it. Graphs that hold its work have been destroyed before. */
  const char *(*destroy)(void *comm);
  /** Ends and frees it at once, with what is still on the GPU; other ranks will wait in vain. */
  void (*abort)(void *comm);
} r1_nccl_api;

/** The one symbol of the plugin. */
const r1_nccl_api *r1_nccl_get_api(void);

#ifdef __cplusplus
}
#endif
#endif
