#include "runtime/stages/AverageWeights.h"
#include "runtime/stages/Weights.h"
#include <cstring>
#include <unordered_map>

namespace r1rt {

static bool isAverage(std::string_view state) { return state.starts_with("ema."); }

bool AverageWeights::in(const r1_module &m) { return findField(m.states, m.n_states, "ema") != nullptr; }

uint64_t AverageWeights::bytes(const r1_module &m) {
  const r1_field *ema = findField(m.states, m.n_states, "ema");
  return ema ? fieldBytes(*ema) : 0;
}

Status AverageWeights::show() {
  if (!in(exec.module()))
    return Status::ok();
  R1RT_TRY(exec.pull());
  R1RT_ASSIGN(std::vector<TensorView> states, stateViews(exec));
  std::unordered_map<std::string, TensorView> byPath;
  for (const TensorView &leaf : leafViews(exec))
    byPath[leaf.name] = leaf;
  for (const TensorView &s : states) {
    if (!isAverage(s.name))
      continue;
    const TensorView &leaf = byPath.at(s.name.substr(4));
    leaves.emplace_back(leaf.data.begin(), leaf.data.end());
    auto *w = reinterpret_cast<float *>(const_cast<char *>(leaf.data.data()));
    auto *e = reinterpret_cast<const float *>(s.data.data());
    for (size_t i = 0; i < leaf.data.size() / sizeof(float); ++i)
      w[i] += e[i];
  }
  return leavesWritten(exec);
}

Status AverageWeights::hide() {
  if (leaves.empty())
    return Status::ok();
  R1RT_ASSIGN(std::vector<TensorView> states, stateViews(exec));
  std::unordered_map<std::string, TensorView> byPath;
  for (const TensorView &leaf : leafViews(exec))
    byPath[leaf.name] = leaf;
  size_t next = 0;
  for (const TensorView &s : states)
    if (isAverage(s.name)) {
      const TensorView &leaf = byPath.at(s.name.substr(4));
      std::memcpy(const_cast<char *>(leaf.data.data()), leaves[next++].data(), leaf.data.size());
    }
  leaves.clear();
  return leavesWritten(exec);
}

} // namespace r1rt
