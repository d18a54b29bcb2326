#include "compiler/tools/r1c/World.h"
#include "compiler/tools/r1c/Options.h"
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <unistd.h>

namespace r1::tool {

using r1rt::ExitClass;
using r1rt::Status;

namespace {

/// What rank 0 announces. Of fixed size, so that it is one message.
struct Order {
  int32_t stage = -1; // -1: the end, with `code`
  int32_t code = 0;
  char dir[4096] = {};
};

} // namespace

r1rt::Result<std::unique_ptr<World>> World::join() {
  R1RT_ASSIGN(auto comm, r1rt::worldFromEnvironment());
  return std::unique_ptr<World>(new World(std::move(comm)));
}

uint64_t World::startSum(float *data, uint64_t n) {
  ++spent.sums;
  spent.bytes += n * sizeof(float);
  return comm->reduceTreeStart(data, n);
}

Status World::finishSum(uint64_t handle) {
  auto begin = std::chrono::steady_clock::now();
  Status st = comm->reduceTreeFinish(handle);
  spent.waited += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return st;
}

World::Clock World::clock() const {
  Clock c = spent;
  c.busy = comm->reduceSeconds();
  return c;
}

Status World::sameProgram(const std::vector<PlannedStage> &plan, const std::string &target) {
  R1RT_ASSIGN(std::vector<std::string> targets, comm->gatherText(target));
  for (size_t r = 1; r < targets.size(); ++r)
    if (targets[r] != targets[0])
      return Status::error("rank " + std::to_string(r) + " has --target " + targets[r] +
                               ", rank 0 has --target " + targets[0] +
                               "; ranks that train together need the same, since bits differ",
                           ExitClass::commandLine);
  std::string mine;
  for (const PlannedStage &p : plan) {
    mine += p.stage->name + " " + p.fingerprint;
    for (const char *what : {"shards", "bits"}) // not part of what the stage means, but of its bits
      if (p.stage->on.is_object() && p.stage->on.contains(what))
        mine += std::string(" ") + what + " " + p.stage->on[what].dump();
    mine += "\n";
  }
  R1RT_ASSIGN(std::vector<std::string> all, comm->gatherText(mine));
  for (size_t r = 1; r < all.size(); ++r) {
    if (all[r] == all[0])
      continue;
    // The first line that differs.
    size_t at = 0;
    while (at < all[0].size() && at < all[r].size() && all[0][at] == all[r][at])
      ++at;
    size_t begin = at ? all[0].rfind('\n', at - 1) + 1 : 0;
    auto line = [&](const std::string &s) { return s.substr(begin, s.find('\n', begin) - begin); };
    return Status::error("rank " + std::to_string(r) + " has another program than rank 0: stage `" +
                             line(all[r]) + "` there, `" + line(all[0]) +
                             "` here; the file, the data and the arguments have to be the same",
                         ExitClass::commandLine);
  }
  return Status::ok();
}

r1rt::Result<int> World::deviceIndex() {
  std::string mine;
  char line[256] = {};
  // One system, and within it the devices that the launcher has left visible.
  if (FILE *f = std::fopen("/proc/sys/kernel/random/boot_id", "r")) {
    mine = std::fgets(line, sizeof line, f) ? line : "";
    std::fclose(f);
  }
  if (gethostname(line, sizeof line - 1) == 0)
    mine += line;
  if (const char *visible = std::getenv("CUDA_VISIBLE_DEVICES"))
    mine += std::string("\n") + visible;
  R1RT_ASSIGN(std::vector<std::string> all, comm->gatherText(mine));
  return int(std::count(all.begin(), all.begin() + rank(), mine));
}

Status World::announce(size_t stage, const std::string &dir) {
  Order o;
  if (dir.size() >= sizeof o.dir)
    return Status::error("the path of the artifact is longer than 4095 bytes: " + dir);
  o.stage = int32_t(stage);
  std::memcpy(o.dir, dir.data(), dir.size());
  return comm->broadcast(&o, sizeof o, 0);
}

void World::end(int code) {
  if (ended || size() == 1)
    return;
  ended = true;
  Order o;
  o.code = code;
  (void)comm->broadcast(&o, sizeof o, 0);
}

int World::follow(Runner &runner, const std::vector<PlannedStage> &plan, const r1rt::Store &store) {
  size_t known = 0;
  while (true) {
    Order o;
    if (Status st = comm->broadcast(&o, sizeof o, 0); !st) {
      std::fprintf(stderr, "r1c run (rank %d of %d): %s\n", rank(), size(), st.message().c_str());
      return st.exitCode();
    }
    if (o.stage < 0)
      return o.code;
    // What stands before it has been made by rank 0.
    for (; known < size_t(o.stage); ++known)
      runner.finished(plan[known].stage->name, store.dir(plan[known].fingerprint));
    auto trained = runner.execute(plan[size_t(o.stage)], o.dir);
    if (!trained && trained.status().getExitClass() != ExitClass::interrupted) {
      abort(trained.status().withContext("stage `" + plan[size_t(o.stage)].stage->name + "`"));
      return trained.status().exitCode();
    }
  }
}

void World::abort(const Status &why) {
  if (size() > 1 && !ended) {
    ended = true;
    // MPI may end this process before anybody else says it.
    std::fprintf(stderr, "r1c run (rank %d of %d): %s\n", rank(), size(), why.message().c_str());
    std::fflush(stderr);
    comm->abort(why.exitCode(), why.message());
  }
}

} // namespace r1::tool
