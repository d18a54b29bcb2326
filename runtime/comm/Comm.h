//===- Comm.h - a world of ranks -------------------------------------------===//
//
// Several processes (ranks) that run the same program and meet in collectives: all
// ranks call the same ones in the same order. One rank needs nothing; N threads of
// one process serve tests; between processes MPI moves the bytes, as a plugin.
//
// Sums have one order whatever the number of ranks: the binary tree over ranks,
// ((r0 + r1) + (r2 + r3)) + ..., so that every rank ends with the same bits.
//
// Each world has one thread that does all communication and sends a heartbeat, so a
// rank may compute for hours without being taken for dead. The first error is final:
// every later call returns it, and the caller is expected to end.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_COMM_COMM_H
#define R1RT_COMM_COMM_H
#include "runtime/Status.h"
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace r1rt {

struct CommOptions {
  double silenceSeconds = 20;  // without a heartbeat, after which a rank is given up
  double heartbeatSeconds = 2; // at most a quarter of silenceSeconds is used
  double startSeconds = 120;   // after which a world that does not come about is given up
  std::string plugin{};        // the file of libr1_mpi.so; empty: searched
};

/// A sum that has been started. Zero is none.
using ReduceHandle = uint64_t;

class Comm {
public:
  /// Says goodbye to the other ranks. Under MPI it returns when they have said so too.
  virtual ~Comm() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;

  virtual Status barrier() = 0;
  virtual Status broadcast(void *data, uint64_t bytes, int root) = 0;
  /// The texts of all ranks, in their order; for comparing fingerprints. At most 64 MiB each.
  virtual Result<std::vector<std::string>> gatherText(const std::string &text) = 0;

  /// data[i] = the sum of all ranks' data[i] in the order of the tree, in f32. The size must be a
  /// power of two. Beside the data it takes 2 MiB, whatever n is.
  Status reduceTree(float *data, uint64_t n) { return reduceTreeFinish(reduceTreeStart(data, n)); }
  /// The same in two halves: sums run in the background in the order of their starts. The data is
  /// not touched in between, and each handle is finished once, with the error of its start if there
  /// is one.
  virtual ReduceHandle reduceTreeStart(float *data, uint64_t n) = 0;
  virtual Status reduceTreeFinish(ReduceHandle handle) = 0;
  /// Seconds that sums have taken so far, each from its turn to its end: waiting for ranks that come
  /// later is part of it.
  virtual double reduceSeconds() const = 0;

  /// The error that every later call would return, at once: for those that wait for something else.
  virtual Status health() = 0;

  /// Tells the other ranks why this one gives up; each of their calls returns an error with the
  /// text. Under MPI the job then ends with the exit code, and this does not return; otherwise it
  /// does.
  virtual void abort(int code, const std::string &text) = 0;
};

/// What is wrong on the first rank where something is: all ranks tell, and all return the same, so that
/// none goes on alone and waits for the others in vain.
Status firstError(Comm &comm, const Status &mine);

/// The world of one rank.
std::unique_ptr<Comm> oneRank();

/// A world inside one process: each of `ranks` is for a thread of its own, which also destroys it.
struct InProcess {
  std::vector<std::unique_ptr<Comm>> ranks;
  /// From now on nothing that this rank sends arrives, as if it hung.
  std::function<void(int rank)> silence;
};
InProcess inProcess(int size, const CommOptions &options = {});

/// What the process was started as: one rank, unless mpirun or srun says otherwise in the
/// environment. Then MPI is needed; its absence is an error that says how to mend it. Once in a
/// process.
Result<std::unique_ptr<Comm>> worldFromEnvironment(const CommOptions &options = {});

/// What the environment says about the start of this process.
struct Launch {
  bool several = false;     // MPI is needed
  int rank = -1, size = -1; // -1: not said
  std::string by;           // "mpirun (OMPI_COMM_WORLD_SIZE)"
};
Result<Launch> launchFromEnvironment(const std::function<const char *(const char *)> &getenv);

} // namespace r1rt
#endif
