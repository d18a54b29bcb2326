//===- Executor.h - runs the programs of a compiled module -----------------===//
//
// On the CPU every thread walks the program's list of ops itself and meets the others at a
// barrier after each launch: one wake-up per run, not per kernel, and no
// allocation once the executor exists.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_DEVICE_EXECUTOR_H
#define R1RT_DEVICE_EXECUTOR_H
#include "runtime/device/Device.h"
#include "runtime/r1rt.h"
#include <string_view>

namespace r1rt {

/// Bytes of one element, and of a whole field.
uint64_t dtypeBytes(r1_dtype t);
const char *dtypeName(r1_dtype t);
uint64_t fieldElements(const r1_field &f);
uint64_t fieldBytes(const r1_field &f);

class Accelerator;

/// A queue of work on an accelerator beside the one in which its programs run. Addresses are the
/// device's; nothing here waits for the device.
class SideQueue {
public:
  virtual ~SideQueue() = default;
  /// The queue, as the driver calls it (CUstream); null where each call is done when it returns.
  virtual void *stream() = 0;
  /// What is put in from now on waits for all that programs have been told to do so far.
  virtual Status waitForPrograms() = 0;
  /// Programs from now on wait for all that has been put in so far.
  virtual Status programsWait() = 0;
  /// out[i] = low[i] + high[i] for n floats; `out` may be one of the two.
  virtual Status add(uint64_t out, uint64_t low, uint64_t high, uint64_t n) = 0;
  /// Memory of the device, for as long as the device.
  virtual Result<uint64_t> alloc(uint64_t bytes) = 0;
};

/// The other processes that work on the same batch, as an executor sees them.
class Ranks {
public:
  virtual ~Ranks() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  /// data[i] becomes its sum over all ranks, in a fixed tree; the same bits on every rank. It is done
  /// in the background, in the order of the starts, which is the same on all ranks; until `finishSum`
  /// of the handle, which is called once, nobody else touches the data.
  virtual uint64_t startSum(float *data, uint64_t n) = 0;
  virtual Status finishSum(uint64_t handle) = 0;
  /// `data` becomes what rank 0 has there.
  virtual Status fromFirst(void *data, uint64_t bytes) = 0;
  /// All ranks have come, and each returns what the first of them for which it is an error has to say.
  virtual Status meet(const Status &mine) { return mine; }

  /// To call before the first sum where data lies on an accelerator: sums then go through its queue. By
  /// default its memory is the host's, and sums begin when all programs so far are done.
  virtual void useQueue(SideQueue &) {}
  virtual bool queued() const { return false; }
  /// Whether all ranks are still there. To ask after waiting for an accelerator, before what it has
  /// computed is believed: when a rank is lost, its sums end with whatever they had.
  virtual Status health() { return Status::ok(); }

  /// What the sums have cost so far.
  struct Clock {
    uint64_t sums = 0, bytes = 0;
    double busy = 0;   // seconds that they took in the background, waiting for later ranks included
    double waited = 0; // of these, those in which nothing else was left to do
  };
  virtual Clock clock() const = 0;
};

/// Time spent in one kernel, as the first thread saw it: from its launch until all were done.
struct KernelClock {
  double seconds = 0;
  uint64_t calls = 0;
};

/// Bytes beside the arena in which the sums of a module's shards meet, on each of `ranks` ranks.
uint64_t shardBytes(const r1_module &module, int ranks = 1);

class Executor {
public:
  /// Checks the module (offsets inside the arena, kernels that exist, loops that match and
  /// are at most two deep) and maps its arena. The module must outlive the executor. With an
  /// accelerator programs run there, in an arena of its own; `arena` is then what the host sees of
  /// it: inputs, scalars and outputs of a program before and after its run, weights and states
  /// between `pull` and `push`.
  static Result<std::unique_ptr<Executor>> create(Device &device, const r1_module &module,
                                                  Accelerator *accelerator = nullptr,
                                                  Ranks *ranks = nullptr);
  virtual ~Executor() = default;

  const r1_module &module() const { return mod; }
  Device &device() const { return dev; }
  char *arena() const { return memory.data(); }
  char *at(const r1_field &f) const { return memory.data() + f.offset; }

  /// null if the module has no program of that name.
  const r1_program *program(std::string_view name) const;
  /// Measures each kernel from now on. No run is under way.
  void startClocks() { clocks.assign(mod.n_kernels, {}); }
  /// By kernel of the module; empty unless started.
  const std::vector<KernelClock> &kernelClocks() const { return clocks; }
  /// One whole run of `p`, a program of this module. Inputs and scalars are in the arena. An error
  /// is what a kernel says went wrong (r1_module.fault); outputs then mean nothing.
  virtual Status run(const r1_program &p) = 0;
  /// The two halves of a run, so that the host can prepare the next one meanwhile. After `start` the
  /// inputs and scalars in the arena are free again; `finish` waits for the oldest run that was started
  /// and puts its outputs into the arena. Before any other call all runs are to be finished.
  virtual Status start(const r1_program &p) { return run(p); }
  virtual Status finish() { return Status::ok(); }
  /// How many runs may be unfinished when one is started. With 0 (the CPU, which works in the arena)
  /// each run is finished before the next one's inputs are written.
  virtual unsigned ahead() const { return 0; }
  /// To call when the host has written leaves or states, before the next run.
  virtual Status push() { return Status::ok(); }
  /// To call before the host reads leaves or states that a run has written.
  virtual Status pull() { return Status::ok(); }

protected:
  Executor(Device &d, const r1_module &m) : dev(d), mod(m) {}
  Status mapArena(uint64_t bytes);
  Status faulted(const r1_program &p) const;

  Device &dev;
  const r1_module &mod;
  Arena memory;
  std::vector<KernelClock> clocks;
};

/// The executor of a device with memory of its own (DeviceExecutor.cpp).
Result<std::unique_ptr<Executor>> createDeviceExecutor(Device &device, const r1_module &module,
                                                       Accelerator &accelerator, Ranks *ranks);

const r1_field *findField(const r1_field *fields, uint32_t n, std::string_view name);

} // namespace r1rt
#endif
