#include "runtime/stages/Weights.h"
#include "runtime/state/Draws.h"
#include <algorithm>
#include <cstring>

namespace r1rt {

static std::vector<int64_t> shapeOf(const r1_field &f) { return {f.dims, f.dims + f.rank}; }

std::vector<TensorView> leafViews(const Executor &e) {
  std::vector<TensorView> out;
  for (uint32_t i = 0; i < e.module().n_leaves; ++i) {
    const r1_field &f = e.module().leaves[i].param;
    out.push_back({f.name, "F32", shapeOf(f), {e.at(f), fieldBytes(f)}});
  }
  return out;
}

Result<std::vector<TensorView>> stateViews(const Executor &e) {
  std::vector<TensorView> out;
  const r1_module &m = e.module();
  uint64_t first = UINT64_MAX;
  for (uint32_t i = 0; i < m.n_leaves; ++i)
    if (m.leaves[i].trainable)
      first = std::min(first, m.leaves[i].param.offset);
  for (uint32_t s = 0; s < m.n_states; ++s)
    for (uint32_t i = 0; i < m.n_leaves; ++i) {
      if (!m.leaves[i].trainable)
        continue;
      const r1_field &f = m.leaves[i].param, &pool = m.states[s];
      uint64_t at = f.offset - first;
      if (pool.dtype != R1_F32 || at + fieldBytes(f) > fieldBytes(pool))
        return Status::error("the compiled module is broken: the state `" + std::string(pool.name) +
                             "` has " + std::to_string(fieldElements(pool)) +
                             " elements, too few for the leaf `" + f.name + "`");
      out.push_back({std::string(pool.name) + "." + f.name,
                     "F32",
                     shapeOf(f),
                     {e.at(pool) + at, fieldBytes(f)}});
    }
  return out;
}

void initLeaves(Executor &e, uint64_t seed) {
  for (uint32_t i = 0; i < e.module().n_leaves; ++i) {
    const r1_leaf &l = e.module().leaves[i];
    drawInit(e.device(), l.init, seed, l.param.name, fieldElements(l.param),
             reinterpret_cast<float *>(e.at(l.param)));
  }
}

Result<uint32_t> loadLeaves(Executor &e, const std::string &file, const std::string &prefix,
                            bool all) {
  R1RT_ASSIGN(SafetensorsFile f, SafetensorsFile::open(file));
  if (Status st = checkHash(f, file); !st) {
    auto stage = f.index().metadata.find("r1.stage");
    return stage == f.index().metadata.end()
               ? st
               : Status::error(st.message() + "; `r1c run` with --fresh " + stage->second +
                               " makes it again");
  }
  uint32_t set = 0;
  for (uint32_t i = 0; i < e.module().n_leaves; ++i) {
    const r1_field &leaf = e.module().leaves[i].param;
    std::string_view name = leaf.name;
    if (!name.starts_with(prefix))
      continue;
    name.remove_prefix(prefix.size());
    const TensorView *t = f.find(name);
    if (!t) {
      if (all)
        return Status::error("`" + file + "` has no tensor `" + std::string(name) + "`");
      continue;
    }
    if (t->dtype != "F32")
      return Status::error("tensor `" + t->name + "` of `" + file + "` is " + t->dtype +
                           "; reading other types than F32 is not supported yet");
    if (t->shape != shapeOf(leaf))
      return Status::error("tensor `" + t->name + "` of `" + file + "` is " + shapeText(t->shape) +
                           "; the model needs " + shapeText(shapeOf(leaf)));
    std::memcpy(e.at(leaf), t->data.data(), t->data.size());
    f.release(*t); // a reader must not need twice the memory of a writer
    ++set;
  }
  return set;
}

Status leavesWritten(Executor &e) {
  R1RT_TRY(e.push());
  const r1_program *refresh = e.program("refresh");
  return refresh ? e.run(*refresh) : Status::ok();
}

} // namespace r1rt
