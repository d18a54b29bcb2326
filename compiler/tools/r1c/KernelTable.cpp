#include "compiler/tools/r1c/KernelTable.h"
#include <algorithm>
#include <cstdio>
#include <map>

using nlohmann::json;

namespace r1::tool {

std::string profileTable(const r1_module &m, const std::vector<r1rt::KernelClock> &clocks) {
  std::vector<size_t> order;
  double total = 0;
  uint64_t steps = UINT64_MAX;
  for (size_t i = 0; i < clocks.size(); ++i)
    if (clocks[i].calls) {
      order.push_back(i);
      total += clocks[i].seconds;
      steps = std::min(steps, clocks[i].calls); // some kernel runs once in a step
    }
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return clocks[a].seconds > clocks[b].seconds; });
  std::string out = "   ms/step   share   calls/step      us/call      GB/s   GFLOP/s  kernel\n";
  for (size_t i : order) {
    const r1rt::KernelClock &c = clocks[i];
    char line[160];
    double each = c.seconds / double(c.calls);
    const r1_kernel &k = m.kernels[i];
    std::snprintf(line, sizeof line, "%10.3f  %5.1f %%  %10.1f  %11.1f  %8.2f  %8.1f  ",
                  c.seconds / double(steps) * 1e3, 100 * c.seconds / total, double(c.calls) / double(steps),
                  each * 1e6, double(k.bytes) / each / 1e9, double(k.flops) / each / 1e9);
    out += line + std::string(m.kernels[i].name) + "\n";
  }
  return out;
}

json kernelList(const r1_module &m, std::string_view program) {
  json out = json::array();
  std::map<uint32_t, size_t> places; // of kernels, in the list
  std::vector<uint64_t> turns = {1}; // of the loops around an op, multiplied
  for (uint32_t p = 0; p < m.n_programs; ++p) {
    if (m.programs[p].name != program)
      continue;
    for (uint32_t i = 0; i < m.programs[p].n_ops; ++i) {
      const r1_op &op = m.programs[p].ops[i];
      if (op.kind == R1_OP_LOOP)
        turns.push_back(turns.back() * op.count);
      if (op.kind == R1_OP_END && turns.size() > 1)
        turns.pop_back();
      if (op.kind != R1_OP_LAUNCH)
        continue;
      const r1_kernel &k = m.kernels[op.kernel];
      auto [it, isNew] = places.emplace(op.kernel, out.size());
      if (isNew)
        out.push_back({{"name", k.name}, {"place", k.place ? k.place : ""}, {"calls", 0}, {"bytes", 0}, {"flops", 0}});
      json &row = out[it->second];
      row["calls"] = row["calls"].get<uint64_t>() + turns.back();
      row["bytes"] = row["bytes"].get<uint64_t>() + turns.back() * k.bytes;
      row["flops"] = row["flops"].get<uint64_t>() + turns.back() * k.flops;
    }
  }
  return out;
}

} // namespace r1::tool
