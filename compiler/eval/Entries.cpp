// The graph functions of train and evaluate stages.
#include "compiler/eval/GraphEval.h"
#include "compiler/eval/Models.h"
#include "compiler/eval/StageHelpers.h"
#include "compiler/eval/Stages.h"
#include <algorithm>

namespace r1 {

namespace {

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

  Entry(Evaluator &ev, const char *name, const Tree &tree, Elem compute, bool training)
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

  /// The batch of a corpus of tokens: {x = {id, pos, seg}, target, mask}, of labelled rows
  /// {x, target, last, mask} with one target for each row.
  Value batch(int64_t rows, const Json &layout, bool targets, bool countRows, Span from) {
    uint32_t frame = ev.sh.dims.newFrame();
    auto dim = [&](const char *n, int64_t size) {
      return Dim(ev.sh.dims.bind(n, Dim(size), DimSym::Bound, frame, from));
    };
    Dim B = dim("B", rows), T = dim("T", layout.at("seq")), V = dim("V", layout.at("vocab"));
    ElemType id, i32, mask;
    id.e = i32.e = Elem::I32;
    id.bounded = true;
    id.bound = V;
    mask.e = Elem::Bool;
    Fields x;
    x.emplace_back("id", input("x.id", id, {B, T}, countRows));
    x.emplace_back("pos", input("x.pos", i32, {B, T}, countRows));
    x.emplace_back("seg", input("x.seg", i32, {B, T}, countRows));
    Fields b;
    b.emplace_back("x", Value::record(std::move(x)));
    if (targets && layout.at("layout") == "labels") {
      ElemType cls = i32, place = i32;
      cls.bounded = place.bounded = true;
      cls.bound = dim("C", layout.at("classes"));
      place.bound = T;
      b.emplace_back("target", input("target", cls, {B}, countRows));
      b.emplace_back("last", input("last", place, {B}, countRows));
      b.emplace_back("mask", input("mask", mask, {B}, countRows));
    } else if (targets) {
      b.emplace_back("target", input("target", id, {B, T}, countRows));
      b.emplace_back("mask", input("mask", mask, {B, T}, countRows));
    }
    return Value::record(std::move(b));
  }
};

Value scalarResult(Evaluator &ev, const Value &v, Span span, const std::string &what) {
  Value x = v;
  if (x.isNumber()) { // a constant loss is legal, if dull
    Type t;
    t.kind = Type::Tensor;
    x = ev.coerce(x, t, span, What(what.c_str()));
  }
  if (x.isError())
    return {};
  if (!x.is(Value::Tensor) || !x.as<TensorObj>().dims.empty()) {
    auto &d = ev.err("E0302", span, what + " is one number, this is " + kindName(x));
    if (x.is(Value::Tensor))
      d.help("average it: mean(…)");
    return {};
  }
  if (!x.as<TensorObj>().elem.isFloat()) {
    ev.err("E0303", span, what + " is a float, this is " + kindName(x));
    return {};
  }
  ElemType f32;
  return ev.cast(x, f32, span);
}

void makeLeaves(Evaluator &ev, Stage &s, const std::shared_ptr<const ModelObj> &model, Tree &tree) {
  std::vector<std::pair<const LeafObj *, Leaf>> found;
  walkModel(
      model,
      [&](const std::shared_ptr<const ModelObj> &m, const Path &p) {
        tree.paths[m.get()] = pathText(p);
      },
      [&](const std::shared_ptr<const LeafObj> &l, const Path &p) {
        Leaf x;
        x.path = pathText(p);
        Path upTo;
        for (auto &step : p) {
          upTo.push_back(step);
          upTo.back().index = -1;
          if (step.index >= 0)
            tree.listSizes[pathText(upTo)] = step.count;
          upTo.back().index = step.index;
        }
        x.type.elem = l->elem.real ? Elem::F32 : l->elem.e;
        for (auto &d : l->dims)
          x.type.dims.push_back({d.str(), d.size()});
        x.dist = l->dist;
        x.a = l->a;
        x.b = l->b;
        x.from = l->from;
        x.fromPath = l->fromPath;
        x.span = l->span;
        found.emplace_back(l.get(), std::move(x));
      });
  s.leaves.reserve(found.size()); // nodes point at them
  for (auto &[l, x] : found) {
    s.leaves.push_back(std::move(x));
    tree.leaves[l] = &s.leaves.back();
  }
  (void)ev;
}

// Which leaves `trainable` selects; E0403 for a pattern that selects none.
bool selectTrainable(Evaluator &ev, Stage &s, const StageCall &c) {
  if (c.allTrainable)
    return true;
  std::vector<Path> paths;
  std::set<std::string> roots;
  walkModel(c.model, nullptr, [&](const std::shared_ptr<const LeafObj> &, const Path &p) {
    paths.push_back(p);
    std::string r = p[0].name;
    if (p[0].index >= 0)
      r += "[0.." + std::to_string(p[0].count) + "]";
    roots.insert(r);
  });
  auto nothing = [&]() -> Diag & {
    std::string list;
    for (auto &r : roots)
      list += (list.empty() ? "" : ", ") + r;
    return ev.err("E0403", c.trainableSpan, "`trainable` selects no parameter")
        .label("`" + std::string(c.model->decl->name) + "` has: " + list);
  };
  for (auto &l : s.leaves)
    l.trainable = false;
  for (auto &pattern : c.trainable) {
    size_t hits = 0;
    std::string why;
    for (size_t i = 0; i < paths.size(); ++i) {
      if (matchPath(pattern, paths[i], why)) {
        s.leaves[i].trainable = true;
        ++hits;
      }
    }
    if (!why.empty()) {
      ev.err("E0403", c.trainableSpan, "`" + pattern + "` is not a path pattern: " + why);
      return false;
    }
    if (!hits) {
      std::vector<std::string> names, lists;
      for (auto &r : roots) {
        names.push_back(r.substr(0, r.find('[')));
        if (r.find('[') != std::string::npos)
          lists.push_back(names.back());
      }
      auto &d = nothing();
      size_t end = pattern.find_first_of("[.");
      std::string first = pattern.substr(0, end);
      std::string near = nearest(first, names);
      // An index fits the one list there is.
      if (near.empty() && end != std::string::npos && pattern[end] == '[' && lists.size() == 1)
        near = lists[0];
      if (!near.empty() && near != first)
        d.help("\"" + near + (end == std::string::npos ? "" : pattern.substr(end)) + "\"");
      return false;
    }
  }
  if (c.trainable.empty()) {
    nothing().help("trainable = none trains all of them");
    return false;
  }
  return true;
}

Elem computeOf(const Value &precision) {
  if (precision.is(Value::Record))
    if (auto *t = precision.as<RecordObj>().find("mixed"))
      return (Elem)t->i;
  return Elem::F32;
}

Value prelude(Evaluator &ev, std::string_view name) {
  return ev.global(ev.sh.program.main, name, {});
}

// Sums over a batch that perplexity and validation add up, by the names that `lm_eval` and `label_eval`
// give them: nll (nats) and tokens.
bool evalEntry(Evaluator &ev, Stage &s, const StageCall &c, const Tree &tree, const Json &layout,
               Elem compute) {
  const char *name = layout.at("layout") == "labels" ? "label_eval" : "lm_eval";
  Value f = prelude(ev, name);
  if (!f.is(Value::Fn))
    return true;
  Entry e(ev, "eval", tree, compute, false);
  Value b = e.batch(s.spec.at("batch"), layout, true, true, c.dataSpan);
  Value r = ev.apply(f, {Value::of(Value::Model, std::const_pointer_cast<ModelObj>(c.model)), b},
                     c.dataSpan);
  if (r.isError())
    return false;
  if (!r.is(Value::Record) || r.as<RecordObj>().fields.size() != 2) {
    ev.err("E0206", c.dataSpan,
           "`" + std::string(name) + "` gives the record {nll, tokens}, this is " + kindName(r));
    return false;
  }
  for (auto &[field, value] : r.as<RecordObj>().fields) {
    Value v = scalarResult(ev, value, c.dataSpan, "a result of `" + std::string(name) + "`");
    if (v.isError())
      return false;
    e.result(field, v);
  }
  s.entries.push_back(std::move(e.fn));
  return true;
}

// Do shares of sources depend on their losses?
bool adapts(const Json &data) {
  const Json *node = interleaved(data);
  return node && !node->at("adapt").is_null();
}

bool hasMethod(const ModelObj &m, std::string_view name) {
  for (auto *d : m.decl->members)
    if (d->kind == Decl::Fn && d->name == name)
      return true;
  return false;
}

// The scores of the next token at every position of one row.
bool logitsEntry(Evaluator &ev, Stage &s, const StageCall &c, const Tree &tree, const Json &layout,
                 Elem compute) {
  if (!hasMethod(*c.model, "forward"))
    return true;
  const Decl *forward = nullptr;
  for (auto *d : c.model->decl->members)
    if (d->kind == Decl::Fn && d->name == "forward")
      forward = d;
  // Only models of tokens generate: forward(x: Tokens[...]).
  if (forward->params.size() != 1 || !forward->params[0].type ||
      forward->params[0].type->kind != TypeExpr::Named ||
      forward->params[0].type->path.back() != "Tokens")
    return true;
  Entry e(ev, "logits", tree, compute, false);
  Value b = e.batch(1, layout, false, false, c.dataSpan);
  Value r = ev.apply(Value::of(Value::Model, std::const_pointer_cast<ModelObj>(c.model)),
                     {*b.as<RecordObj>().find("x")}, c.span);
  if (r.isError())
    return false;
  if (!r.is(Value::Tensor) || r.as<TensorObj>().dims.size() != 3 ||
      !r.as<TensorObj>().elem.isFloat())
    return true; // a classifier, say: nothing to generate
  ElemType f32;
  e.result("logits", ev.cast(r, f32, c.span));
  s.entries.push_back(std::move(e.fn));
  return true;
}

bool allZero(const Node *n) {
  return n->kind == Node::For && n->body->kind == Scalar::Const && n->body->number == 0;
}

// One step of the optimiser over pools of all trainable leaves.
bool updateEntry(Evaluator &ev, Stage &s, const StageCall &c) {
  Value f = prelude(ev, "train_update");
  if (!f.is(Value::Fn)) {
    ev.err("E0200", c.span, "the library has no `train_update`");
    return false;
  }
  int64_t n = 0;
  for (auto &l : s.leaves)
    if (l.trainable)
      n += (elementCount(l.type) + 15) / 16 * 16;
  n = (n + 4095) / 4096 * 4096;
  if (n == 0)
    n = 4096;
  auto N = [&] { return Dim(ev.sh.dims.bind("N", Dim(n), DimSym::Bound, ev.sh.dims.newFrame())); };
  ElemType f32;
  // The state's fields are what `init` gives.
  std::vector<std::string> states;
  {
    Entry scratch(ev, "init", {}, Elem::F32, false);
    const Value *init = c.optim.is(Value::Record) ? c.optim.as<RecordObj>().find("init") : nullptr;
    Value st = init ? ev.apply(*init, {scratch.input("p", f32, {N()}, false)}, c.span) : Value();
    if (st.isError())
      return false;
    if (!st.is(Value::Record)) {
      ev.err("E0206", c.span,
             "`init` of an optimiser gives a record of tensors, this is " + kindName(st));
      return false;
    }
    for (auto &[k, v] : st.as<RecordObj>().fields) {
      if (!v.is(Value::Tensor) || v.as<TensorObj>().dims.size() != 1 ||
          !allZero(v.as<TensorObj>().node)) {
        ev.err("E0299", c.span,
               "the optimiser's state `" + k +
                   "` does not start as zeros_like(p); other starts are not supported yet");
        return false;
      }
      states.push_back(k);
    }
  }
  Entry e(ev, "update", {}, Elem::F32, false);
  Dim d = N();
  Value p = e.input("p", f32, {d}, false), g = e.input("g", f32, {d}, false);
  Fields st;
  for (auto &k : states)
    st.emplace_back(k, e.input("s." + k, f32, {d}, false));
  double clip;
  Value clipV(Value::None);
  if (s.spec.at("clip").is_number()) {
    clip = s.spec.at("clip");
    clipV = Value::real(clip);
  }
  Value r = ev.apply(
      f,
      {p, g, Value::record(std::move(st)), e.hostScalar("lr"), e.hostScalar("t"), clipV, c.optim},
      c.span);
  if (r.isError())
    return false;
  const Value *np = r.is(Value::Record) ? r.as<RecordObj>().find("p") : nullptr;
  const Value *ns = r.is(Value::Record) ? r.as<RecordObj>().find("s") : nullptr;
  const Value *norm = r.is(Value::Record) ? r.as<RecordObj>().find("grad_norm") : nullptr;
  auto pool = [&](const Value *v) {
    return v && v->is(Value::Tensor) && v->as<TensorObj>().dims.size() == 1 &&
           v->as<TensorObj>().dims[0].size() == n;
  };
  bool ok = pool(np) && ns && ns->is(Value::Record) && norm && norm->is(Value::Tensor);
  for (auto &k : states)
    ok = ok && pool(ns->as<RecordObj>().find(k));
  if (!ok) {
    ev.err("E0301", c.span,
           "`step` of an optimiser gives {p, s} with p and every field of s shaped like the "
           "parameter");
    return false;
  }
  e.result("p", *np);
  for (auto &k : states)
    e.result("s." + k, *ns->as<RecordObj>().find(k));
  e.result("grad_norm", *norm);
  s.entries.push_back(std::move(e.fn));
  return true;
}

} // namespace

bool StageBuilder::trainEntries(Stage &s, const StageCall &c) {
  Tree tree;
  makeLeaves(ev, s, c.model, tree);
  if (s.leaves.empty()) {
    ev.err("E0403", c.span,
           "the model `" + std::string(c.model->decl->name) + "` has no parameters to train");
    return false;
  }
  if (!selectTrainable(ev, s, c))
    return false;
  Json layout = c.data.as<HandleObj>().batch;
  Elem compute = computeOf(c.precision);
  {
    Entry e(ev, "loss", tree, compute, true);
    Value b = e.batch(s.spec.at("batch"), layout, true, true, c.dataSpan);
    Value r = ev.apply(c.loss,
                       {Value::of(Value::Model, std::const_pointer_cast<ModelObj>(c.model)), b,
                        e.hostScalar("progress")},
                       c.lossSpan);
    if (r.isError())
      return false;
    Fields results;
    if (r.is(Value::Record)) {
      results = r.as<RecordObj>().fields;
      auto it =
          std::find_if(results.begin(), results.end(), [](auto &f) { return f.first == "loss"; });
      if (it == results.end()) {
        ev.err("E0208", c.lossSpan, "the record a loss gives has a field `loss`, this has none");
        return false;
      }
      std::rotate(results.begin(), it, it + 1);
    } else {
      results.emplace_back("loss", r);
    }
    for (auto &[k, v] : results) {
      Value x = scalarResult(ev, v, c.lossSpan, k == "loss" ? "a loss" : "`" + k + "`");
      if (x.isError())
        return false;
      e.result(k, x);
    }
    if (!checkDifferentiable(ev, s, e.fn->results[0], c.lossSpan))
      return false;
    s.entries.push_back(std::move(e.fn));
  }
  // A classifier need not be one function of the tokens, and writes nothing.
  bool labels = layout.at("layout") == "labels";
  s.measures = !s.spec.at("valid").is_null() || adapts(s.spec.at("data"));
  bool writes = !labels && !layout.contains("masked");
  return updateEntry(ev, s, c) && (labels && !s.measures ? true : evalEntry(ev, s, c, tree, layout, compute)) &&
         (!writes || logitsEntry(ev, s, c, tree, layout, compute));
}

namespace {

// What a classifier says of a batch, [B, C]; an error for what has another shape.
Value classScores(Evaluator &ev, const Value &r, const Json &layout, Span span, const char *what) {
  if (r.isError())
    return {};
  int64_t classes = layout.at("classes");
  bool shaped = r.is(Value::Tensor) && r.as<TensorObj>().dims.size() == 2 && r.as<TensorObj>().elem.isFloat();
  if (!shaped)
    return ev.fail("E0302", span, std::string(what) + " gives scores [B, C], this is " + kindName(r));
  if (int64_t has = r.as<TensorObj>().dims[1].size(); has != classes)
    return ev.fail("E0309", span,
                   std::string(what) + " has " + std::to_string(has) + " classes, the data has " +
                       std::to_string(classes));
  ElemType f32;
  return ev.cast(r, f32, span);
}

} // namespace

bool StageBuilder::evaluateEntries(Stage &s, const StageCall &c) {
  Tree tree;
  makeLeaves(ev, s, c.model, tree);
  for (auto &l : s.leaves)
    l.trainable = false;
  const Json &layout = c.data.as<HandleObj>().batch;
  Elem compute = computeOf(c.model->precision);
  if (layout.at("layout") != "labels")
    return evalEntry(ev, s, c, tree, layout, compute);
  Entry e(ev, "classify", tree, compute, false);
  Value model = Value::of(Value::Model, std::const_pointer_cast<ModelObj>(c.model));
  Value b = e.batch(s.spec.at("batch"), layout, true, false, c.dataSpan);
  Value r = c.predict.is(Value::Fn) ? ev.apply(c.predict, {model, b}, c.dataSpan)
                                    : ev.apply(model, {*b.as<RecordObj>().find("x")}, c.dataSpan);
  r = classScores(ev, r, layout, c.dataSpan, c.predict.is(Value::Fn) ? "`predict`" : "the model");
  if (r.isError())
    return false;
  e.result("scores", r);
  s.entries.push_back(std::move(e.fn));
  return true;
}

bool StageBuilder::scoreEntry(Stage &s, Span span) {
  std::string stage;
  int64_t rows = 0;
  bool one = true;
  std::function<void(const Json &)> find = [&](const Json &j) {
    if (j.is_object() && j.contains("score") && j["score"].is_object() && j.contains("class")) {
      std::string from = j["score"].value("stage", "");
      one &= stage.empty() || from == stage;
      stage = from;
      rows = std::max(rows, j.value("batch", int64_t(1)));
    }
    if (j.is_structured())
      for (auto &x : j)
        find(x);
  };
  find(s.spec);
  if (stage.empty())
    return true;
  if (s.kind != "corpus") {
    ev.err("E0206", span, "`score` runs a model over rows, which takes a stage of its own")
        .help("stage scored = … |> extend(… = score(" + stage + "))");
    return false;
  }
  if (!one) {
    ev.err("E0299", span, "the scores of two models in one stage are not supported yet")
        .help("score by one model in a stage, and by the other in the next");
    return false;
  }
  const Value &model = models.at(stage);
  auto m = std::static_pointer_cast<const ModelObj>(model.o);
  Tree tree;
  makeLeaves(ev, s, m, tree);
  for (auto &l : s.leaves)
    l.trainable = false;
  const Json &layout = m->batch.as<HandleObj>().batch;
  Entry e(ev, "score", tree, computeOf(m->precision), false);
  Value b = e.batch(rows, layout, false, false, span);
  Value r = ev.apply(model, {*b.as<RecordObj>().find("x")}, span);
  r = classScores(ev, r, layout, span, "a classifier");
  if (!r.isError())
    r = ev.apply(prelude(ev, "class_scores"), {r}, span);
  if (r.isError())
    return false;
  e.result("scores", r);
  s.entries.push_back(std::move(e.fn));
  return true;
}

} // namespace r1
