#include "runtime/device/Accelerator.h"
#include "runtime/device/Plugin.h"
#include <algorithm>

namespace r1rt {

static constexpr PluginKind cuda = {"libr1_cuda.so", "r1_accelerator_get_api", "NVIDIA GPUs",
                                    "NVIDIA GPUs need", "libcuda.so",
                                    "install the CUDA toolkit 13.0 or newer"};

Result<const r1_accelerator_api *> loadCuda() {
  R1RT_ASSIGN(void *symbol, pluginSymbol(cuda));
  auto *api = reinterpret_cast<const r1_accelerator_api *(*)(void)>(symbol)();
  if (api->abi != R1_ACCELERATOR_ABI)
    return wrongPluginVersion(cuda, api->abi, R1_ACCELERATOR_ABI);
  return api;
}

Status Accelerator::status(const char *wrong) const {
  return wrong ? Status::error(std::string(what.name[0] ? what.name : "device") + ": " + wrong)
               : Status::ok();
}

Result<std::unique_ptr<Accelerator>> Accelerator::open(const r1_accelerator_api *api, int index) {
  void *device = nullptr;
  if (const char *wrong = api->open(index, &device))
    return Status::error(wrong);
  std::unique_ptr<Accelerator> a(new Accelerator(api, device));
  R1RT_TRY(a->status(api->info(device, &a->what)));
  return a;
}

Accelerator::~Accelerator() { api->close(device); }

Result<uint64_t> Accelerator::alloc(uint64_t bytes) {
  r1_accelerator_info now = what;
  R1RT_TRY(status(api->info(device, &now)));
  uint64_t address = 0;
  const char *wrong = bytes > now.free_bytes ? "out of memory" : api->alloc(device, bytes, &address);
  if (wrong)
    return Status::error(std::string(what.name) + ": " + std::to_string(bytes) + " bytes were asked for, of " +
                             std::to_string(now.total_bytes) + " bytes " + std::to_string(now.free_bytes) +
                             " are free (" + wrong + ")\nhelp: a smaller batch, or device(memory = …) below " +
                             std::to_string(std::min(bytes, now.free_bytes)) +
                             " bytes, which cuts a batch into smaller micro-batches",
                         ExitClass::memory);
  return address;
}

Status Accelerator::copyIn(uint64_t to, const void *from, uint64_t bytes) {
  return bytes ? status(api->copy_in(device, to, from, bytes)) : Status::ok();
}
Status Accelerator::copyOut(void *to, uint64_t from, uint64_t bytes) {
  return bytes ? status(api->copy_out(device, to, from, bytes)) : Status::ok();
}
Result<const void *> Accelerator::load(const r1_kernel &kernel) {
  const void *function = nullptr;
  R1RT_TRY(status(api->load(device, &kernel, &function)));
  return function;
}
Result<void *> Accelerator::program(const r1_accelerator_program &program) {
  void *made = nullptr;
  R1RT_TRY(status(api->program(device, &program, &made)));
  return made;
}
Result<Accelerator::Memory> Accelerator::memory(void *program, uint32_t slot) {
  void *in = nullptr;
  const void *out = nullptr;
  R1RT_TRY(status(api->memory(device, program, slot, &in, &out)));
  return Memory{static_cast<char *>(in), static_cast<const char *>(out)};
}
Status Accelerator::start(void *program, uint32_t slot) {
  return status(api->start(device, program, slot));
}
Status Accelerator::finish(void *program, uint32_t slot) {
  return status(api->finish(device, program, slot));
}
Status Accelerator::timed(void *program, uint32_t slot, double *seconds) {
  return status(api->timed(device, program, slot, seconds));
}
Status Accelerator::wait() { return status(api->wait(device)); }
Result<void *> Accelerator::side() {
  void *stream = nullptr;
  R1RT_TRY(status(api->side(device, &stream)));
  return stream;
}
Status Accelerator::sideWaits() { return status(api->side_waits(device)); }
Status Accelerator::waitForSide() { return status(api->wait_for_side(device)); }
Status Accelerator::launchOnSide(const r1_accelerator_op &op) {
  return status(api->launch_on_side(device, &op));
}

} // namespace r1rt
