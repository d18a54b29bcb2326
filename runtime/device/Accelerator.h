//===- Accelerator.h - a device with memory of its own -----------------------===//
//
// What an executor asks of a GPU, or of the emulator that stands in for one. The
// driver is behind a table of C functions: a GPU's is in a plugin, so that r1c starts
// on machines without one.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_DEVICE_ACCELERATOR_H
#define R1RT_DEVICE_ACCELERATOR_H
#include "runtime/Status.h"
#include "runtime/r1rt.h"
#include <memory>

extern "C" {

/** Counts up with every change of this part of the file; a plugin of another number is refused. */
#define R1_ACCELERATOR_ABI 1

typedef struct r1_accelerator_info {
  char name[128], arch[16]; /* "NVIDIA H100 80GB HBM3", "sm_90a" */
  uint64_t total_bytes, free_bytes;
  int32_t processors; /* multiprocessors */
} r1_accelerator_info;

/** A launch or a fill with zeros; addresses are the device's. */
typedef struct r1_accelerator_op {
  const void *function; /* of `load`; null: a fill */
  const uint64_t *args; /* addresses; of a fill the first */
  uint32_t n_args;
  uint32_t blocks, threads;
  uint64_t bytes; /* of a fill */
} r1_accelerator_op;

/** Every function returns null, or says what is wrong; that text is valid until the next call. Calls
 * on one device come from one thread. Work is done in the order of the calls; `copy_out` waits for
 * it. */
typedef struct r1_accelerator_api {
  uint32_t abi;
  const char *(*open)(int32_t index, void **device);
  void (*close)(void *device);
  const char *(*info)(void *device, r1_accelerator_info *info);
  /** Zeroed. `close` frees what is still there. */
  const char *(*alloc)(void *device, uint64_t bytes, uint64_t *address);
  const char *(*copy_in)(void *device, uint64_t to, const void *from, uint64_t bytes);
  const char *(*copy_out)(void *device, void *to, uint64_t from, uint64_t bytes);
  /** The function `kernel->name` of its machine code. */
  const char *(*load)(void *device, const r1_kernel *kernel, const void **function);
  /** Makes the ops one program that `run` runs any number of times. */
  const char *(*program)(void *device, const r1_accelerator_op *ops, uint64_t count, void **program);
  const char *(*run)(void *device, void *program);
  const char *(*wait)(void *device);
} r1_accelerator_api;
}

namespace r1rt {

class Accelerator {
public:
  static Result<std::unique_ptr<Accelerator>> open(const r1_accelerator_api *api, int index = 0);
  ~Accelerator();
  Accelerator(const Accelerator &) = delete;
  Accelerator &operator=(const Accelerator &) = delete;

  const r1_accelerator_info &info() const { return what; }
  Result<uint64_t> alloc(uint64_t bytes);
  Status copyIn(uint64_t to, const void *from, uint64_t bytes);
  Status copyOut(void *to, uint64_t from, uint64_t bytes);
  Result<const void *> load(const r1_kernel &kernel);
  Result<void *> program(const r1_accelerator_op *ops, uint64_t count);
  Status run(void *program);
  Status wait();

private:
  Accelerator(const r1_accelerator_api *api, void *device) : api(api), device(device) {}
  Status status(const char *wrong) const;

  const r1_accelerator_api *api;
  void *device;
  r1_accelerator_info what = {};
};

/// The plugin for NVIDIA GPUs. The error says what is missing and how to mend it.
Result<const r1_accelerator_api *> loadCuda();

/// Memory of the host as a device: kernels are functions (r1_kernel.fn) that `device`'s threads run.
/// It stands in for a GPU where kernels are emulated.
const r1_accelerator_api *hostAccelerator();

} // namespace r1rt
#endif
