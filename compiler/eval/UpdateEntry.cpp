// The entry `update` of a training: groups of parameters, each with an optimiser, and whether the step counts.
#include "compiler/eval/Entries.h"
#include <algorithm>
#include <set>

namespace r1 {

namespace {

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

} // namespace

// Whether a step counts is what train_guard says.
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

} // namespace r1
