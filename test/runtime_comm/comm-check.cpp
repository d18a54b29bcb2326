// One rank of a world that mpirun has started; mpi.test judges what the ranks print.
//   comm-check sum [N]        8 virtual shards summed by however many ranks: the checksum of N
//   floats comm-check time N         the time of a sum of N floats, and of a copy of as many
//   comm-check WHAT RANK      what the others see when the rank does this:
//     die, exit, leave, stop (it hangs), abort, differ, pause (it hangs for a while and goes on)
#include "Tree.h"
#include "runtime/comm/Comm.h"
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <sys/resource.h>
#include <thread>
#include <unistd.h>

using namespace r1rt;
using Clock = std::chrono::steady_clock;

static double since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

static int failed(const Status &s) {
  fprintf(stderr, "comm-check: %s\n", s.message().c_str());
  return s.exitCode();
}

static Status sum(Comm &comm, uint64_t n) {
  const uint64_t shards = 8, each = shards / uint64_t(comm.size());
  std::vector<float> data(n);
  for (uint64_t i = 0; i < n; ++i)
    data[i] = treeSum(uint64_t(comm.rank()) * each, each, i);
  // In buckets, all on their way at once.
  std::vector<ReduceHandle> handles;
  for (uint64_t at = 0, bucket = n / 3 + 1; at < n; at += bucket)
    handles.push_back(comm.reduceTreeStart(data.data() + at, std::min(bucket, n - at)));
  for (ReduceHandle h : handles)
    R1RT_TRY(comm.reduceTreeFinish(h));
  char text[64];
  snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(checksum(data)));
  R1RT_ASSIGN(std::vector<std::string> all, comm.gatherText(text));
  for (size_t k = 0; k < all.size(); ++k)
    if (all[k] != text)
      return Status::error("rank " + std::to_string(k) + " has " + all[k] + ", rank " +
                           std::to_string(comm.rank()) + " has " + text);
  uint64_t shared = comm.rank() == comm.size() - 1 ? 42 : 0;
  R1RT_TRY(comm.broadcast(&shared, sizeof shared, comm.size() - 1));
  if (shared != 42)
    return Status::error("the broadcast did not arrive");
  R1RT_TRY(comm.barrier());
  if (comm.rank() == 0)
    printf("checksum %s\n", text);
  return Status::ok();
}

static long peakKilobytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

static Status time(Comm &comm, uint64_t n) {
  std::vector<float> data(n, float(comm.rank())), copy(n, 1.0f);
  double gigabytes = double(n) * sizeof(float) * 1e-9;
  for (int i = 0; i < 3; ++i) {
    R1RT_TRY(comm.barrier());
    auto start = Clock::now();
    memcpy(copy.data(), data.data(), n * sizeof(float));
    R1RT_TRY(comm.barrier());
    double copied = since(start);
    long before = peakKilobytes();
    start = Clock::now();
    R1RT_TRY(comm.reduceTree(data.data(), n));
    double summed = since(start);
    long grown = peakKilobytes() - before;
    std::vector<float> one(1);
    start = Clock::now();
    for (int k = 0; k < 100; ++k)
      R1RT_TRY(comm.reduceTree(one.data(), 1));
    double small = since(start) / 100;
    if (comm.rank() == 0)
      printf("%d ranks, %.3f GB each: sum %.3f s (%.2f GB/s), memcpy by all ranks at once %.3f s "
             "(%.2f GB/s each); %.1f us for one float; +%ld KiB\n",
             comm.size(), gigabytes, summed, gigabytes / summed, copied, gigabytes / copied,
             small * 1e6, grown);
    fflush(stdout);
  }
  return Status::ok();
}

static int see(Comm &comm, const std::string &what, int who) {
  signal(SIGTERM, SIG_IGN); // mpirun ends all when one has ended, and each should have its say
  std::vector<float> data(300000, 1.0f);
  uint64_t n = data.size();
  Status s = comm.reduceTree(data.data(), n);
  if (s && comm.rank() == who) {
    if (what == "die")
      raise(SIGKILL);
    if (what == "exit")
      _exit(0);
    if (what == "stop")
      raise(SIGSTOP);
    if (what == "leave")
      return 0;
    if (what == "abort")
      comm.abort(7, "it was asked to");
    if (what == "differ")
      n /= 2;
    if (what == "pause") {
      // A child wakes it up again.
      if (pid_t me = getpid(); !fork()) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1500));
        kill(me, SIGCONT);
        _exit(0);
      }
      raise(SIGSTOP);
    }
  }
  auto start = Clock::now();
  if (s)
    s = comm.reduceTree(data.data(), n);
  bool inTime = since(start) < 15;
  fprintf(stderr, "rank %d: %s, %s\n", comm.rank(), s ? "ok" : s.message().c_str(),
          inTime ? "in time" : "late");
  return s.exitCode();
}

int main(int argc, char **argv) {
  std::string what = argc > 1 ? argv[1] : "sum";
  CommOptions options;
  if (const char *seconds = getenv("COMM_SILENCE"))
    options.silenceSeconds = atof(seconds);
  auto world = worldFromEnvironment(options);
  if (!world)
    return failed(world.status());
  Comm &comm = **world;
  uint64_t number = argc > 2 ? strtoull(argv[2], nullptr, 10) : 1000003;
  if (what != "sum" && what != "time")
    return see(comm, what, int(number));
  Status s = what == "sum" ? sum(comm, number) : time(comm, number);
  return s ? 0 : failed(s);
}
