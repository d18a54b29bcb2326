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
#define R1_ACCELERATOR_ABI 3

/** Runs of one program that may be under way at once, each with host memory of its own. */
#define R1_ACCELERATOR_SLOTS 2

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
  uint64_t bytes; /* of a fill */
} r1_accelerator_op;

/** What crosses between the memories: `bytes` at `address` of the device, and `at` bytes into the host
 * memory of a run. */
typedef struct r1_accelerator_copy {
  uint64_t address, at, bytes;
} r1_accelerator_copy;

/** Copies in, the ops in order, copies out. Copies of one direction do not overlap; `in_bytes` and
 * `out_bytes` are where the last one ends. */
typedef struct r1_accelerator_program {
  const char *name;
  const r1_accelerator_op *ops;
  uint64_t n_ops;
  const r1_accelerator_copy *in, *out;
  uint32_t n_in, n_out;
  uint64_t in_bytes, out_bytes;
} r1_accelerator_program;

/** Every function returns null, or says what is wrong; that text is valid until the next call. Calls
 * on one device come from one thread. Their work is done in the order of the calls, but that what a
 * run copies in may cross while the runs before it compute.
 *
 * After an error of a launch the device is lost: every call fails, and memory on it cannot be read. */
typedef struct r1_accelerator_api {
  uint32_t abi;
  const char *(*open)(int32_t index, void **device);
  void (*close)(void *device);
  const char *(*info)(void *device, r1_accelerator_info *info);
  /** Zeroed. `close` frees what is still there. */
  const char *(*alloc)(void *device, uint64_t bytes, uint64_t *address);
  /** The host's memory is free again on return; `copy_out` waits for all work before it. */
  const char *(*copy_in)(void *device, uint64_t to, const void *from, uint64_t bytes);
  const char *(*copy_out)(void *device, void *to, uint64_t from, uint64_t bytes);
  /** The function `kernel->entry` of its machine code, or its product. The kernel outlives the device. */
  const char *(*load)(void *device, const r1_kernel *kernel, const void **function);
  /** Makes a program that `start` runs any number of times. */
  const char *(*program)(void *device, const r1_accelerator_program *what, void **program);
  /** Host memory of the runs in `slot` (0 to R1_ACCELERATOR_SLOTS - 1): what goes in, and what comes
   * out. It is the caller's while no run of the slot is under way. */
  const char *(*memory)(void *device, void *program, uint32_t slot, void **in, const void **out);
  /** Starts a run, or says that it cannot; `finish` waits for its end. One run per slot is under way
   * at most. */
  const char *(*start)(void *device, void *program, uint32_t slot);
  const char *(*finish)(void *device, void *program, uint32_t slot);
  /** A whole run, `finish` included; adds to `seconds` what each op took. */
  const char *(*timed)(void *device, void *program, uint32_t slot, double *seconds);
  const char *(*wait)(void *device);
  /** A second stream, for what crosses between ranks while programs run: the driver's handle of it
   * (CUstream), null where every call is done when it returns. */
  const char *(*side)(void *device, void **stream);
  /** What is put on the second stream from now on waits for all runs so far; and the other way round. */
  const char *(*side_waits)(void *device);
  const char *(*wait_for_side)(void *device);
  const char *(*launch_on_side)(void *device, const r1_accelerator_op *op);
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
  Result<void *> program(const r1_accelerator_program &what);
  /// Host memory of a run.
  struct Memory {
    char *in = nullptr;
    const char *out = nullptr;
  };
  Result<Memory> memory(void *program, uint32_t slot);
  Status start(void *program, uint32_t slot);
  Status finish(void *program, uint32_t slot);
  Status timed(void *program, uint32_t slot, double *seconds);
  Status wait();
  Result<void *> side();
  Status sideWaits();
  Status waitForSide();
  Status launchOnSide(const r1_accelerator_op &op);

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
