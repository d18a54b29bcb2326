// Several processes that run one pipeline: rank 0 plans, runs and writes; the others join it in the
// stages that train.
#pragma once
#include "compiler/tools/r1c/Execute.h"
#include "runtime/comm/Comm.h"

namespace r1::tool {

class World final : public r1rt::Ranks {
public:
  /// As the environment says (mpirun, srun); one rank otherwise.
  static r1rt::Result<std::unique_ptr<World>> join();

  int rank() const override { return comm->rank(); }
  int size() const override { return comm->size(); }
  uint64_t startSum(float *data, uint64_t n) override;
  r1rt::Status finishSum(uint64_t handle) override;
  r1rt::Status fromFirst(void *data, uint64_t bytes) override {
    return comm->broadcast(data, bytes, 0);
  }
  r1rt::Status meet(const r1rt::Status &mine) override { return r1rt::firstError(*comm, mine); }
  Clock clock() const override;

  r1rt::Comm &communicator() { return *comm; }

  /// Do all ranks mean the same program, on the same target? Compares the fingerprints of the plan's
  /// stages and what else decides about bits.
  r1rt::Status sameProgram(const std::vector<PlannedStage> &plan, const std::string &target);
  /// The device of this rank, of those that it sees: ranks that see the same ones take one each, in
  /// their order.
  r1rt::Result<int> deviceIndex();
  /// What rank 0 says before it trains stage number `stage` of the plan in `dir`, and at the end.
  r1rt::Status announce(size_t stage, const std::string &dir);
  void end(int code);
  /// The life of the other ranks: trains what rank 0 announces; returns the code it ends with.
  int follow(Runner &runner, const std::vector<PlannedStage> &plan, const r1rt::Store &store);
  /// This rank cannot go on; the others are told why, and end.
  void abort(const r1rt::Status &why);

private:
  explicit World(std::unique_ptr<r1rt::Comm> comm) : comm(std::move(comm)) {}
  std::unique_ptr<r1rt::Comm> comm;
  bool ended = false;
  Clock spent;
};

} // namespace r1::tool
