// What the kernels of a module do and take.
#pragma once
#include "runtime/device/Executor.h"
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace r1::tool {

/// Kernels by the time they took, with calls per step and share, and how fast each moves and multiplies what
/// it has to at least (r1_kernel.bytes, flops).
std::string profileTable(const r1_module &m, const std::vector<r1rt::KernelClock> &clocks);

/// [{"name", "place", "calls", "bytes", "flops"}]: the kernels of one run of a program, in the order of their first
/// launch. Bytes and flops are of all its calls, at least.
nlohmann::json kernelList(const r1_module &m, std::string_view program);

} // namespace r1::tool
