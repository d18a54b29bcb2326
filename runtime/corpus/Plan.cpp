#include "runtime/corpus/Plan.h"
#include "runtime/corpus/Artifact.h"
#include "runtime/corpus/Barrier.h"
#include "runtime/corpus/Pass.h"
#include "runtime/corpus/Source.h"
#include <algorithm>
#include <set>
#include <utility>

namespace r1rt::corpus {

using nlohmann::json;

namespace {

class Planner {
public:
  Planner(Plan &plan, const Context &ctx) : plan(plan), ctx(ctx) {}

  Status finish(const json &tree) {
    R1RT_ASSIGN(std::vector<Branch> branches, build(tree));
    plan.phases.push_back({std::move(branches)});
    return Status::ok();
  }

private:
  Plan &plan;
  const Context &ctx;

  size_t addPass(const json &node, const std::string &op) {
    json own = node;
    own.erase("in");
    own.erase("sources");
    plan.passes.push_back(std::move(own));
    plan.ops.push_back(op);
    return plan.passes.size() - 1;
  }

  // The pass ends a phase, and is the first of the next.
  std::vector<Branch> barrier(std::vector<Branch> branches, size_t pass) {
    Branch next;
    next.origin.kind = Origin::phase;
    next.origin.from = plan.phases.size();
    next.pass = SIZE_MAX; // counted where they left the phase
    next.passes = {pass};
    plan.phases.push_back({std::move(branches), pass});
    return {std::move(next)};
  }

  Result<std::vector<Branch>> build(const json &t) {
    if (t.is_object() && t.size() == 1 && t.contains("stage") && t["stage"].is_string()) {
      std::string stage = t["stage"];
      R1RT_ASSIGN(std::string dir, ctx.artifactDir(stage));
      Branch b;
      b.origin.kind = Origin::artifact;
      R1RT_ASSIGN(b.origin.files, shardFiles(dir));
      R1RT_ASSIGN(json account, readAccount(dir));
      plan.generation = std::max(plan.generation, account.value("generation", 1u) + 1);
      plan.splits = std::max(plan.splits, account.value("splits", 0u));
      b.pass = addPass(t, stage);
      return std::vector<Branch>{std::move(b)};
    }
    if (!t.is_object() || !t.contains("op") || !t["op"].is_string())
      return badTree("a node has no \"op\"");
    std::string op = t["op"].get<std::string>();
    if (isSource(op)) {
      Branch b;
      b.origin.node = t;
      R1RT_TRY(sourceOptions(t).status());
      R1RT_ASSIGN(b.origin.files, sourceFiles(t, ctx));
      b.pass = addPass(t, op);
      return std::vector<Branch>{std::move(b)};
    }
    if (op == "mix") {
      std::vector<Branch> all;
      json node = t; // domains that have no rows count, too
      for (const json sources = t.value("sources", json::object()); auto &[domain, tree] : sources.items()) {
        node["domains"].push_back(domain);
        R1RT_ASSIGN(std::vector<Branch> some, build(tree));
        for (Branch &b : some) {
          b.domains.emplace_back(b.passes.size(), domain);
          all.push_back(std::move(b));
        }
      }
      if (all.empty())
        return badTree("`mix` has no sources");
      if (!isBarrier(t))
        return all;
      return barrier(std::move(all), addPass(node, op));
    }
    if (op == "pack" || op == "pad" || op == "label" || op == "chat" || op == "translate")
      return badTree("rows of text are needed here, but `" + op + "` makes rows of tokens");
    if (!isBarrier(t) && !isRowPass(op))
      return Status::error("the data pass `" + op + "` is not supported yet", ExitClass::program);
    if (!t.contains("in"))
      return badTree("`" + op + "` has no \"in\"");
    unsigned others = std::exchange(plan.splits, 0); // of branches beside this one
    R1RT_ASSIGN(std::vector<Branch> branches, build(t["in"]));
    size_t pass = addPass(t, op);
    if (op == "split")
      plan.passes[pass]["depth"] = plan.splits++;
    plan.splits = std::max(plan.splits, others);
    if (isBarrier(t))
      return barrier(std::move(branches), pass);
    for (Branch &b : branches)
      b.passes.push_back(pass);
    return branches;
  }
};

} // namespace

Result<Plan> planCorpus(const json &tree, const Context &ctx) {
  Plan plan;
  try {
    R1RT_TRY(Planner(plan, ctx).finish(tree));
  } catch (const json::exception &e) { // a field of another type than described
    return badTree(e.what());
  }
  return plan;
}

Result<std::vector<std::string>> treeFiles(const json &tree, const Context &ctx) {
  std::set<std::string> files;
  std::vector<const json *> todo = {&tree};
  while (!todo.empty()) {
    const json &t = *todo.back();
    todo.pop_back();
    if (t.is_object() && t.contains("path") && t.contains("op") && t["op"].is_string() &&
        isSource(t["op"].get<std::string>())) {
      R1RT_ASSIGN(std::vector<std::string> some, sourceFiles(t, ctx));
      files.insert(some.begin(), some.end());
    }
    if (t.is_structured())
      for (const json &x : t)
        todo.push_back(&x);
  }
  return std::vector<std::string>(files.begin(), files.end());
}

} // namespace r1rt::corpus
