// The graph functions of train and evaluate stages.
#include "compiler/eval/GraphEval.h"
#include "compiler/eval/Models.h"
#include "compiler/eval/StageHelpers.h"
#include "compiler/eval/Stages.h"
#include <algorithm>
#include <set>

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

// Sums over a batch that perplexity and validation add up, by the names that the function of
// `evaluatorOf` gives them: nll (nats) and tokens.
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

bool allZero(const Node *n) {
  return n->kind == Node::For && n->body->kind == Scalar::Const && n->body->number == 0;
}

/// One entry of `optim`: an optimiser and the parameters it is for.
struct Group {
  std::string at; // path pattern; "" takes all
  Value use;      // {init, step}
  double lrScale = 1;
  bool eachMatrix = false;
  size_t hits = 0;                 // parameters that it takes
  std::set<size_t> losesTo;        // earlier groups, from 1, that take some that it fits, too
  std::vector<std::string> states; // the fields of `init(p)`
};

/// A stretch of the pools that one call of an optimiser updates: neighbours of one group, or a matrix.
struct Stretch {
  size_t group;
  int64_t at, size;               // floats, from the pools' begin
  std::vector<int64_t> shape;     // as the optimiser sees it
  const Leaf *leaf;               // the first
};

Value member(const Value &record, std::string_view name) {
  const Value *v = record.is(Value::Record) ? record.as<RecordObj>().find(name) : nullptr;
  return v ? *v : Value(Value::None);
}

/// `optim` as groups; false after an error.
bool groupsOf(Evaluator &ev, const StageCall &c, std::vector<Group> &out) {
  auto fail = [&](const char *code, const std::string &what) -> Diag & {
    return ev.err(code, c.optimSpan, what);
  };
  auto add = [&](const Value &use, Group g, const std::string &what) {
    if (!member(use, "init").is(Value::Fn) || !member(use, "step").is(Value::Fn)) {
      fail("E0206", what + " is an optimiser, a record {init, step} of functions, this is " + kindName(use));
      return false;
    }
    if (Value each = member(use, "each"); !each.is(Value::None)) {
      g.eachMatrix = each.is(Value::Str) && each.string() == "matrix";
      if (!g.eachMatrix) {
        fail("E0206", "`each` of an optimiser is \"matrix\" or left out, this is " + ev.text(each));
        return false;
      }
    }
    g.use = use;
    out.push_back(std::move(g));
    return true;
  };
  if (!c.optim.is(Value::List))
    return add(c.optim, {}, "`optim`");
  auto &items = c.optim.as<ListObj>().items;
  if (items.empty()) {
    fail("E0206", "`optim` is an empty list").help("[{use = …}] with one optimiser for all parameters");
    return false;
  }
  for (size_t i = 0; i < items.size(); ++i) {
    std::string what = "group " + std::to_string(i + 1) + " of `optim`";
    if (!items[i].is(Value::Record)) {
      fail("E0206", what + " is a record {at, use, lr_scale}, this is " + kindName(items[i]));
      return false;
    }
    Group g;
    for (auto &[k, v] : items[i].as<RecordObj>().fields) {
      if (k == "at" && v.is(Value::Str) && !v.string().empty()) {
        g.at = v.string();
      } else if (k == "lr_scale" && v.asFloat(g.lrScale) && g.lrScale >= 0 && g.lrScale <= 1e9) {
        continue;
      } else if (k == "at" || k == "lr_scale") {
        fail("E0206", what + ": `" + k + "` is " +
                          (k == "at" ? "a path pattern such as \"blocks[*].**\"" : "a number from 0 to 1e9") +
                          ", this is " + ev.text(v));
        return false;
      } else if (k != "use") {
        auto &d = fail("E0208", what + " has no field `" + k + "`");
        if (auto near = nearest(k, {"at", "use", "lr_scale"}); !near.empty())
          d.help("did you mean `" + near + "`?");
        return false;
      }
    }
    if (!add(member(items[i], "use"), g, "`use` of " + what))
      return false;
  }
  return true;
}

/// Which group takes which trainable leaf (the first that fits), as stretches of the pools, of `total`
/// floats laid out as dialects/r1/LeafLayout.h says; false after an error.
bool stretchesOf(Evaluator &ev, const Stage &s, const StageCall &c, std::vector<Group> &groups,
                 std::vector<Stretch> &out, int64_t &total) {
  std::vector<Path> paths;
  walkModel(c.model, nullptr, [&](const std::shared_ptr<const LeafObj> &, const Path &p) { paths.push_back(p); });
  int64_t top = 0;
  for (size_t i = 0; i < s.leaves.size(); ++i) {
    const Leaf &leaf = s.leaves[i];
    if (!leaf.trainable)
      continue;
    size_t taker = groups.size();
    for (size_t g = 0; g < groups.size(); ++g) {
      std::string why;
      bool fits = groups[g].at.empty() || matchPath(groups[g].at, paths[i], why);
      if (!why.empty()) {
        ev.err("E0403", c.optimSpan, "`" + groups[g].at + "` is not a path pattern: " + why);
        return false;
      }
      if (!fits)
        continue;
      if (taker == groups.size())
        taker = g, ++groups[g].hits;
      else
        groups[g].losesTo.insert(taker + 1);
    }
    if (taker == groups.size()) {
      ev.err("E0403", c.optimSpan, "no group of `optim` takes the parameter `" + leaf.path + "`")
          .help("end the list with a group for all others: {use = …}");
      return false;
    }
    int64_t count = elementCount(leaf.type), padded = (count + 15) / 16 * 16;
    if (groups[taker].eachMatrix) {
      if (leaf.type.dims.size() < 2) {
        ev.err("E0302", c.optimSpan,
               "an optimiser of matrices takes parameters of at least 2 dims, `" + leaf.path + "` has " +
                   std::to_string(leaf.type.dims.size()))
            .help("give it those alone, and the others another: [{at = \"blocks[*].**.w\", use = …}, {use = …}]");
        return false;
      }
      int64_t columns = leaf.type.dims.back().size;
      out.push_back({taker, top, count, {count / columns, columns}, &leaf});
    } else if (!out.empty() && out.back().group == taker && out.back().at + out.back().size == top) {
      out.back().size += padded;
      out.back().shape = {out.back().size};
    } else {
      out.push_back({taker, top, padded, {padded}, &leaf});
    }
    top += padded;
  }
  total = std::max<int64_t>((top + 4095) / 4096 * 4096, 4096);
  for (auto &g : groups)
    if (!g.hits && !g.losesTo.empty()) {
      std::string takers;
      for (size_t n : g.losesTo)
        takers += (takers.empty() ? "" : ", ") + std::to_string(n);
      ev.err("E0403", c.optimSpan,
             "group " + std::to_string(&g - groups.data() + 1) + " of `optim` takes no parameter: all that it selects " +
                 (g.losesTo.size() > 1 ? "are those of groups " : "are those of group ") + takers)
          .help("a parameter goes to the first group that selects it; put the narrower one first");
      return false;
    } else if (!g.hits) {
      ev.err("E0403", c.optimSpan, "\"" + g.at + "\" of `optim` selects no trainable parameter")
          .note("the first of them is `" + (out.empty() ? std::string("none") : out[0].leaf->path) + "`");
      return false;
    }
  // One optimiser for all sweeps over whole pools, padding and all.
  if (out.size() == 1 && groups[out[0].group].eachMatrix == false)
    out[0] = {out[0].group, 0, total, {total}, out[0].leaf};
  return true;
}

// One step of the optimisers over pools of all trainable leaves, if the step counts: train_guard.
bool updateEntry(Evaluator &ev, Stage &s, const StageCall &c) {
  for (const char *name : {"train_guard", "train_step", "train_keep", "train_ema"})
    if (!prelude(ev, name).is(Value::Fn)) {
      ev.err("E0200", c.span, "the library has no `" + std::string(name) + "`");
      return false;
    }
  std::vector<Group> groups;
  std::vector<Stretch> stretches;
  int64_t n = 0;
  if (!groupsOf(ev, c, groups) || !stretchesOf(ev, s, c, groups, stretches, n))
    return false;
  auto dims = [&](const std::vector<int64_t> &shape) {
    static const char *const names[] = {"R", "C"};
    uint32_t frame = ev.sh.dims.newFrame();
    std::vector<Dim> out;
    for (size_t i = 0; i < shape.size(); ++i)
      out.push_back(Dim(ev.sh.dims.bind(shape.size() == 1 ? "N" : names[i], Dim(shape[i]), DimSym::Bound, frame)));
    return out;
  };
  ElemType f32;
  // The state's fields are what `init` gives.
  for (const Stretch &x : stretches) {
    Group &g = groups[x.group];
    if (!g.states.empty())
      continue;
    Entry scratch(ev, "init", {}, Elem::F32, false);
    Value st = ev.apply(member(g.use, "init"), {scratch.input("p", f32, dims(x.shape), false)}, c.span);
    if (st.isError())
      return false;
    if (!st.is(Value::Record)) {
      ev.err("E0206", c.span,
             "`init` of an optimiser gives a record of tensors, this is " + kindName(st));
      return false;
    }
    for (auto &[k, v] : st.as<RecordObj>().fields) {
      if (!v.is(Value::Tensor) || v.as<TensorObj>().dims.size() != x.shape.size() ||
          !allZero(v.as<TensorObj>().node)) {
        ev.err("E0299", c.span,
               "the optimiser's state `" + k +
                   "` does not start as zeros_like(p); other starts are not supported yet");
        return false;
      }
      if (k == "ema") {
        ev.err("E0206", c.span, "the state `ema` of an optimiser has the name of the stage's own average of weights");
        return false;
      }
      g.states.push_back(k);
    }
  }
  Entry e(ev, "update", {}, Elem::F32, false);
  auto optional = [](const Json &j) { return j.is_number() ? Value::real(j.get<double>()) : Value(Value::None); };
  Value clip = optional(s.spec.at("clip")), ema = optional(s.spec.value("ema", Json()));
  bool scaled = s.spec.at("precision") == "mixed(f16)";
  Value lr = e.hostScalar("lr"), t = e.hostScalar("t");
  bool whole = stretches.size() == 1 && stretches[0].size == n;
  std::vector<Dim> all = dims({n});
  Value gradients = e.input("g", f32, all, false);
  Value guard = ev.apply(prelude(ev, "train_guard"),
                         {gradients, e.input("loss", f32, {}, false), e.hostScalar("limit"),
                          scaled ? e.hostScalar("loss_scale") : Value(Value::None), clip},
                         c.span);
  if (guard.isError())
    return false;
  Value ok = member(guard, "ok");
  for (const Stretch &x : stretches) {
    const Group &g = groups[x.group];
    std::string place = whole ? "" : "@" + std::to_string(x.at);
    std::vector<Dim> axes = whole ? all : dims(x.shape);
    auto pool = [&](const std::string &name) { return e.input(name + place, f32, axes, false); };
    Value p = pool("p"), grad = whole ? gradients : pool("g");
    Fields st;
    for (auto &k : g.states)
      st.emplace_back(k, pool("s." + k));
    Value r = ev.apply(prelude(ev, "train_step"),
                       {p, grad, Value::record(Fields(st)), lr, t, member(guard, "factor"),
                        Value::real(g.lrScale), g.use},
                       c.span);
    if (r.isError())
      return false;
    Value np = member(r, "p"), ns = member(r, "s");
    auto shaped = [&](const Value &v) {
      if (!v.is(Value::Tensor) || v.as<TensorObj>().dims.size() != x.shape.size())
        return false;
      for (size_t i = 0; i < x.shape.size(); ++i)
        if (v.as<TensorObj>().dims[i].size() != x.shape[i])
          return false;
      return true;
    };
    bool right = shaped(np) && ns.is(Value::Record);
    for (auto &k : g.states)
      right = right && shaped(member(ns, k));
    if (!right) {
      ev.err("E0301", c.span,
             "`step` of an optimiser gives {p, s} with p and every field of s shaped like the "
             "parameter");
      return false;
    }
    auto leave = [&](const std::string &name, const Value &now, const Value &before) {
      Value v = ev.apply(prelude(ev, "train_keep"), {ok, now, before}, c.span);
      if (!v.isError())
        e.result(name + place, v);
      return !v.isError();
    };
    bool fine = leave("p", np, p);
    for (size_t i = 0; i < g.states.size(); ++i)
      fine = fine && leave("s." + g.states[i], member(ns, g.states[i]), st[i].second);
    if (!ema.is(Value::None)) {
      Value before = pool("s.ema");
      Value now = ev.apply(prelude(ev, "train_ema"), {before, p, np, ema}, c.span);
      fine = fine && !now.isError() && leave("s.ema", now, before);
    }
    if (!fine)
      return false;
  }
  e.result("grad_norm", member(guard, "grad_norm"));
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
  Tree tree;
  makeLeaves(ev, s, c.model, tree);
  for (auto &l : s.leaves)
    l.trainable = false;
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
  Tree tree;
  makeLeaves(ev, s, c.model, tree);
  for (auto &l : s.leaves)
    l.trainable = false;
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
