// Walking, selecting and rebuilding model trees.
#pragma once
#include "compiler/eval/Value.h"
#include <functional>
#include <map>

namespace r1 {

/// One step of a path: `blocks[3]` of a list of `count`.
struct PathStep {
  std::string name;
  int64_t index = -1, count = 0;
};
using Path = std::vector<PathStep>;
std::string pathText(const Path &p); // "blocks[3].attn.q"
/// The inverse; `sizes` has the length of each list by the path up to it ("blocks").
Path parsePath(const std::string &text, const std::map<std::string, int64_t> &sizes);

/// Visits models (parents first) and leaves in declaration order, each once: a leaf or model that
/// is reached twice is visited at its first place.
void walkModel(
    const std::shared_ptr<const ModelObj> &m,
    const std::function<void(const std::shared_ptr<const ModelObj> &, const Path &)> &model,
    const std::function<void(const std::shared_ptr<const LeafObj> &, const Path &)> &leaf);

/// `blocks[-4..].**`, `**.{q,v}`, `*.w`. False with `why` when the pattern is not one.
bool matchPath(std::string_view pattern, const Path &path, std::string &why);

/// The tree with leaves and models replaced: `leaf` gives the new leaf (or null to keep it),
/// `model` a value in place of a child (or Error to keep and descend).
std::shared_ptr<const ModelObj> rebuildModel(
    const std::shared_ptr<const ModelObj> &m,
    const std::function<std::shared_ptr<const LeafObj>(const std::shared_ptr<const LeafObj> &,
                                                       const Path &)> &leaf,
    const std::function<Value(const std::shared_ptr<const ModelObj> &, const Path &)> &model);

} // namespace r1
