// The graph functions of train and evaluate stages.
#include "compiler/eval/Entries.h"
#include <algorithm>
#include <set>

namespace r1 {

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

namespace {

/// The name and the arguments of a model, for those who write it in another form: what has no JSON is left out.
std::string modelName(Evaluator &ev, const ModelObj &m) {
  std::string name(m.decl->name);
  return ev.sh.program.prelude->find(m.decl->name) == m.decl ? name : name + " of this program";
}

nlohmann::ordered_json modelArguments(Evaluator &ev, const ModelObj &m) {
  auto args = nlohmann::ordered_json::object();
  for (auto &p : m.decl->params) {
    const Value *v = m.scope->find(p.name);
    if (v && v->is(Value::Model)) {
      auto &inner = v->as<ModelObj>();
      args[std::string(p.name)] = {{"model", modelName(ev, inner)}, {"args", modelArguments(ev, inner)}};
    } else if (v && v->is(Value::Fn)) {
      const Decl *d = v->as<FnObj>().decl;
      if (d && ev.sh.program.prelude->find(d->name) == d)
        args[std::string(p.name)] = {{"fn", std::string(d->name)}};
    } else if (v) {
      args[std::string(p.name)] = toJson(ev, *v);
    }
  }
  return args;
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
  s.model = modelName(ev, *model);
  s.modelArguments = modelArguments(ev, *model);
}

/// The leaves of a model that is not trained here.
Tree frozenLeaves(Evaluator &ev, Stage &s, const std::shared_ptr<const ModelObj> &model) {
  Tree tree;
  makeLeaves(ev, s, model, tree);
  for (auto &l : s.leaves)
    l.trainable = false;
  return tree;
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

/// The layouts of batches by bucket, the longest first.
std::vector<Json> bucketsOf(const Json &layout) {
  std::vector<Json> out{layout};
  const Json lengths = layout.value("buckets", Json::array());
  for (size_t i = 1; i < lengths.size(); ++i) {
    out.push_back(layout);
    out.back()["seq"] = lengths[lengths.size() - 1 - i];
  }
  return out;
}

/// What the entry `name` is called for batches of a layout: of the longest bucket `name`, of rows of N
/// tokens `name@N`.
std::string entryName(const std::string &name, const Json &layout) {
  auto lengths = layout.find("buckets");
  return lengths == layout.end() || lengths->back() == layout.at("seq") ? name
                                                                         : name + "@" + layout.at("seq").dump();
}

/// Calls make(layout of a bucket) for each; false after the first error.
template <class F> bool forBuckets(const Json &layout, F make) {
  for (const Json &bucket : bucketsOf(layout))
    if (!make(bucket))
      return false;
  return true;
}

// Sums over rows that perplexity and validation add up, by the names that the function of `evaluatorOf` gives them:
// nll (nats) and tokens.
bool evalEntry(Evaluator &ev, Stage &s, const StageCall &c, const Tree &tree, const Json &layout,
               Elem compute) {
  const std::string_view name = evaluatorOf(layout);
  Value f = prelude(ev, name);
  if (!f.is(Value::Fn))
    return true;
  Entry e(ev, entryName("eval", layout), tree, compute, false);
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
    if (!value.is(Value::Tensor) || value.as<TensorObj>().dims.size() != 1 || !value.as<TensorObj>().elem.isFloat()) {
      ev.err("E0302", c.dataSpan, "`" + field + "` of `" + std::string(name) +
                                      "` is one number for each row, f32[B]; this is " + kindName(value));
      return false;
    }
    ElemType f32;
    Value v = ev.cast(value, f32, c.dataSpan);
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
  // Only models of tokens generate: forward(x: Tokens[...]), of pairs forward(source: Tokens[...], x: Tokens[...]).
  const bool pairs = layout.at("layout") == "pairs";
  if (forward->params.size() != (pairs ? 2 : 1) || !std::all_of(forward->params.begin(), forward->params.end(), [](auto &p) {
        return p.type && p.type->kind == TypeExpr::Named && p.type->path.back() == "Tokens";
      }))
    return true;
  Entry e(ev, "logits", tree, compute, false);
  Value b = e.batch(1, layout, false, false, c.dataSpan);
  std::vector<Value> read;
  for (const char *text : {"source", "x"})
    if (const Value *v = b.as<RecordObj>().find(text))
      read.push_back(*v);
  Value r = ev.apply(Value::of(Value::Model, std::const_pointer_cast<ModelObj>(c.model)), read, c.span);
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

// The loss over a batch, then what else the loss function gives.
bool lossEntry(Evaluator &ev, Stage &s, const StageCall &c, const Tree &tree, const Json &layout, Elem compute) {
  Entry e(ev, entryName("loss", layout), tree, compute, true);
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
    // In f16 small gradients would vanish: those of a multiple of the loss are taken.
    if (k == "loss" && compute == Elem::F16)
      x = ev.apply(prelude(ev, "train_scaled"), {x, e.hostScalar("loss_scale")}, c.lossSpan);
    e.result(k, x);
  }
  bool first = e.fn->name == "loss"; // the losses of other buckets are no different
  if (first && !checkDifferentiable(ev, s, e.fn->results[0], c.lossSpan))
    return false;
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
  if (!forBuckets(layout, [&](const Json &b) { return lossEntry(ev, s, c, tree, b, compute); }))
    return false;
  // A classifier need not be one function of the tokens, and writes nothing.
  bool labels = layout.contains("classes");
  s.measures = !s.spec.at("valid").is_null() || adapts(s.spec.at("data"));
  bool writes = !labels && !layout.contains("masked");
  auto evalOf = [&](const Json &b) { return evalEntry(ev, s, c, tree, b, compute); };
  return updateEntry(ev, s, c) && ((labels && !s.measures) || forBuckets(layout, evalOf)) &&
         (!writes || logitsEntry(ev, s, c, tree, layout, compute));
}

namespace {

// What a classifier says of a batch, [B, C], or of its tokens, [B, T, C]; an error for what has another shape.
Value classScores(Evaluator &ev, const Value &r, const Json &layout, Span span, const char *what) {
  if (r.isError())
    return {};
  int64_t classes = layout.at("classes");
  bool tags = layout.at("layout") == "tags";
  bool shaped = r.is(Value::Tensor) && r.as<TensorObj>().dims.size() == (tags ? 3 : 2) &&
                r.as<TensorObj>().elem.isFloat();
  if (!shaped)
    return ev.fail("E0302", span,
                   std::string(what) + " gives scores " + (tags ? "[B, T, C]" : "[B, C]") + ", this is " + kindName(r));
  if (int64_t has = r.as<TensorObj>().dims.back().size(); has != classes)
    return ev.fail("E0309", span,
                   std::string(what) + " has " + std::to_string(has) + " classes, the data has " +
                       std::to_string(classes));
  ElemType f32;
  return ev.cast(r, f32, span);
}

} // namespace

bool StageBuilder::checkpointEntries(Stage &s, const StageCall &c) {
  Tree tree = frozenLeaves(ev, s, c.model);
  const Json &layout = c.data.as<HandleObj>().batch;
  return layout.contains("masked") || logitsEntry(ev, s, c, tree, layout, computeOf(c.precision));
}

bool StageBuilder::generateEntries(Stage &s, const StageCall &c) {
  if (!checkpointEntries(s, c))
    return false;
  if (!s.entries.empty())
    return true;
  const bool pairs = c.data.as<HandleObj>().batch.at("layout") == "pairs";
  ev.err("E0206", c.dataSpan,
         "`" + std::string(c.model->decl->name) + "` does not " + (pairs ? "write texts for texts" : "go on with texts") +
             ": it has no forward(" + (pairs ? "source: Tokens[B, S, V], " : "") +
             "x: Tokens[B, T, V]) that gives scores [B, T, V]");
  return false;
}

bool StageBuilder::evaluateEntries(Stage &s, const StageCall &c) {
  Tree tree = frozenLeaves(ev, s, c.model);
  const Json &layout = c.data.as<HandleObj>().batch;
  Elem compute = computeOf(c.model->precision);
  if (!layout.contains("classes"))
    return forBuckets(layout, [&](const Json &b) { return evalEntry(ev, s, c, tree, b, compute); });
  Value model = Value::of(Value::Model, std::const_pointer_cast<ModelObj>(c.model));
  return forBuckets(layout, [&](const Json &bucket) {
    Entry e(ev, entryName("classify", bucket), tree, compute, false);
    Value b = e.batch(s.spec.at("batch"), bucket, true, false, c.dataSpan);
    Value r = c.predict.is(Value::Fn) ? ev.apply(c.predict, {model, b}, c.dataSpan)
                                      : ev.apply(model, {*b.as<RecordObj>().find("x")}, c.dataSpan);
    r = classScores(ev, r, bucket, c.dataSpan, c.predict.is(Value::Fn) ? "`predict`" : "the model");
    if (r.isError())
      return false;
    e.result("scores", r);
    s.entries.push_back(std::move(e.fn));
    return true;
  });
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
  Tree tree = frozenLeaves(ev, s, m);
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
