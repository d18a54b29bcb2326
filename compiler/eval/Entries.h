// What the graph functions of stages are built with.
#pragma once
#include "compiler/eval/GraphEval.h"
#include "compiler/eval/Models.h"
#include "compiler/eval/StageHelpers.h"
#include "compiler/eval/Stages.h"

namespace r1 {

/// What the entries of one stage share: its leaves and where models sit.
struct Tree {
  std::map<const LeafObj *, Leaf *> leaves;
  std::map<const ModelObj *, std::string> paths;
  std::map<std::string, int64_t> listSizes;
};

/// Builds one GraphFn: sets the evaluator up, restores it at the end.
struct Entry {
  Evaluator &ev;
  std::unique_ptr<GraphFn> fn = std::make_unique<GraphFn>();
  GraphBuilder g;
  Saved<GraphBuilder *> now;
  Saved<std::map<std::string, int>> sites;

  Entry(Evaluator &ev, const std::string &name, const Tree &tree, Elem compute, bool training)
      : ev(ev), g(*fn), now(ev.g, nullptr), sites(ev.sites, {}) {
    fn->name = name;
    g.compute = compute;
    g.training = training;
    g.leaves = tree.leaves;
    g.paths = tree.paths;
    g.listSizes = tree.listSizes;
    ev.g = &g;
  }

  Value input(std::string name, const ElemType &e, std::vector<Dim> dims, bool rows) {
    Node *n = g.input(std::move(name), g.type(e, dims), {});
    fn->rows.push_back(rows);
    return ev.tensor(n, e, std::move(dims));
  }
  Value hostScalar(const char *name) { return ev.tensor(g.hostScalar(name), {}, {}); }

  void result(std::string name, const Value &v) {
    fn->results.push_back(v.as<TensorObj>().node);
    fn->resultNames.push_back(std::move(name));
  }

  /// The batch of a corpus of tokens: {x = {id, pos, seg}, target, mask}, of pairs with a source, of labelled rows
  /// {x, target, last, mask} with one target for each row. Targets of labelled tokens are classes.
  Value batch(int64_t rows, const Json &layout, bool targets, bool countRows, Span from) {
    uint32_t frame = ev.sh.dims.newFrame();
    auto dim = [&](const char *n, int64_t size) {
      return Dim(ev.sh.dims.bind(n, Dim(size), DimSym::Bound, frame, from));
    };
    Dim B = dim("B", rows), T = dim("T", layout.at("seq")), V = dim("V", layout.at("vocab"));
    ElemType id, i32, mask, cls;
    id.e = i32.e = cls.e = Elem::I32;
    id.bounded = true;
    id.bound = V;
    mask.e = Elem::Bool;
    if (layout.contains("classes")) {
      cls.bounded = true;
      cls.bound = dim("C", layout.at("classes"));
    }
    auto tokens = [&](const std::string &name, const Dim &length) {
      Fields x;
      x.emplace_back("id", input(name + ".id", id, {B, length}, countRows));
      x.emplace_back("pos", input(name + ".pos", i32, {B, length}, countRows));
      x.emplace_back("seg", input(name + ".seg", i32, {B, length}, countRows));
      return Value::record(std::move(x));
    };
    Fields b;
    if (layout.at("layout") == "pairs")
      b.emplace_back("source", tokens("source", dim("S", layout.at("source_seq"))));
    b.emplace_back("x", tokens("x", T));
    if (targets && layout.at("layout") == "labels") {
      ElemType place = i32;
      place.bounded = true;
      place.bound = T;
      b.emplace_back("target", input("target", cls, {B}, countRows));
      b.emplace_back("last", input("last", place, {B}, countRows));
      b.emplace_back("mask", input("mask", mask, {B}, countRows));
    } else if (targets) {
      b.emplace_back("target", input("target", layout.at("layout") == "tags" ? cls : id, {B, T}, countRows));
      b.emplace_back("mask", input("mask", mask, {B, T}, countRows));
    }
    return Value::record(std::move(b));
  }
};

/// A function of the library, by name; an error value if it has none.
inline Value prelude(Evaluator &ev, std::string_view name) { return ev.global(ev.sh.program.main, name, {}); }

/// `v` as one f32; an error for what is no number. `what` it is, for messages: "a loss".
Value scalarResult(Evaluator &ev, const Value &v, Span span, const std::string &what);

/// The entry `update`: one step of the optimisers over pools of all trainable leaves, if the step counts.
bool updateEntry(Evaluator &ev, Stage &s, const StageCall &c); // UpdateEntry.cpp

} // namespace r1
