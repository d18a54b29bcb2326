// Ranks as processes that mpirun or srun has started.
#include "runtime/comm/Abi.h"
#include "runtime/comm/Wire.h"
#include "runtime/device/Plugin.h"
#include <charconv>
#include <cstdlib>
#include <cstring>

namespace r1rt {

static constexpr PluginKind kind = {
    "libr1_mpi.so", "r1_mpi_get_api",
    "MPI",          "several ranks need",
    "libmpi.so",    "install Open MPI (on Debian: apt-get install libopenmpi-dev openmpi-bin)"};

//===--- how this process was started -----------------------------------------------===//

Result<Launch> launchFromEnvironment(const std::function<const char *(const char *)> &getenv) {
  Status wrong;
  auto number = [&](const char *name) -> int {
    const char *text = getenv(name);
    if (!text || !*text)
      return -1;
    int n = -1;
    const char *end = text + strlen(text);
    if (auto r = std::from_chars(text, end, n); r.ec == std::errc() && r.ptr == end && n >= 0)
      return n;
    if (wrong)
      wrong = Status::error(std::string("the environment says ") + name + "=" + text +
                                ", which is not a number of ranks or of a rank",
                            ExitClass::commandLine);
    return -1;
  };
  struct Way {
    const char *size, *rank, *by;
  };
  Launch launch;
  for (const Way &way :
       {Way{"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "mpirun"},
        Way{"PMI_SIZE", "PMI_RANK", "mpirun"}, Way{"SLURM_STEP_NUM_TASKS", "SLURM_PROCID", "srun"},
        Way{"SLURM_NTASKS", "SLURM_PROCID", "srun"}}) {
    bool slurm = !strcmp(way.by, "srun");
    // A batch script is told of its tasks as well; only srun's steps are ranks. The numbers at the
    // upper end of 32 bits stand for the script itself and for an interactive shell.
    if (const char *step = slurm ? getenv("SLURM_STEP_ID") : "";
        !step || (slurm && strtoull(step, nullptr, 10) >= 0xfffffff0ull))
      continue;
    launch.size = number(way.size);
    R1RT_TRY(wrong);
    if (launch.size < 0)
      continue;
    launch.rank = number(way.rank);
    R1RT_TRY(wrong);
    launch.by = std::string(way.by) + " (" + way.size + ")";
    launch.several = launch.size > 1;
    return launch;
  }
  // A launcher that speaks PMIx does not say how many there are.
  launch.rank = number("PMIX_RANK");
  R1RT_TRY(wrong);
  if (launch.rank >= 0) {
    launch.by = "a launcher (PMIX_RANK)";
    launch.several = true;
  }
  return launch;
}

//===--- messages --------------------------------------------------------------------===//

namespace {
class MpiWire final : public Wire {
public:
  MpiWire(const r1_mpi_api *api, int rank, int size) : api(api), self(rank), count(size) {}
  int rank() const override { return self; }
  int size() const override { return count; }
  const char *name() const override { return "MPI"; }

  Result<int> send(int to, int tag, const void *data, uint64_t bytes) override {
    int request = -1;
    if (int code = api->send(data, bytes, to, tag, &request))
      return failed("a message to rank " + std::to_string(to), code);
    return request;
  }
  Result<int> receive(int from, int tag, void *data, uint64_t capacity) override {
    int request = -1;
    if (int code = api->receive(data, capacity, from, tag, &request))
      return failed("a message from rank " + std::to_string(from), code);
    return request;
  }
  Result<bool> test(int request, uint64_t &bytes) override {
    int done = 0;
    if (int code = api->test(request, &done, &bytes))
      return failed("a message", code);
    return done != 0;
  }

  bool closesTogether() const override { return true; }
  Status close() override {
    int code = api->close();
    return code ? failed("the end", code) : Status::ok();
  }
  // MPI is left as it is: it cannot end without the others, and the process is about to.
  bool forget() override { return false; }
  void abort(int code) override { api->abort(code); }

private:
  Status failed(const std::string &what, int code) {
    return Status::error("MPI, rank " + std::to_string(self) + " of " + std::to_string(count) +
                         ", " + what + ": " + api->error_text(code));
  }
  const r1_mpi_api *api;
  int self, count;
};
} // namespace

static Result<std::unique_ptr<Wire>> openMpi(const r1_mpi_api *api, const Launch &launch) {
  int rank = 0, size = 1;
  if (int code = api->open(&rank, &size))
    return Status::error(std::string("MPI does not start: ") + api->error_text(code));
  // Another MPI's mpirun starts N processes that are each alone and would all write the same files.
  if ((launch.size >= 0 && launch.size != size) || (launch.rank >= 0 && launch.rank != rank)) {
    std::string of = launch.size >= 0 ? " of " + std::to_string(launch.size) : "";
    return Status::error("MPI calls this process rank " + std::to_string(rank) + " of " +
                         std::to_string(size) + ", " + launch.by + " calls it rank " +
                         std::to_string(launch.rank) + of + "\nhelp: the plugin was built with " +
                         api->library() + "; start the ranks with the mpirun of the same MPI");
  }
  return std::unique_ptr<Wire>(std::make_unique<MpiWire>(api, rank, size));
}

Result<std::unique_ptr<Comm>> worldFromEnvironment(const CommOptions &options) {
  R1RT_ASSIGN(Launch launch, launchFromEnvironment(::getenv));
  if (!launch.several)
    return oneRank();
  auto symbol = pluginSymbol(kind, options.plugin);
  if (!symbol)
    return symbol.status().withContext(
        "started by " + launch.by + " as rank " + std::to_string(launch.rank) +
        (launch.size > 0 ? " of " + std::to_string(launch.size) : ""));
  const r1_mpi_api *api = reinterpret_cast<decltype(&r1_mpi_get_api)>(*symbol)();
  if (api->abi != R1_MPI_ABI)
    return wrongPluginVersion(kind, api->abi, R1_MPI_ABI);
  return worldOver([api, launch] { return openMpi(api, launch); }, options);
}

} // namespace r1rt
