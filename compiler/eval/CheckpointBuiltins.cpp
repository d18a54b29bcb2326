// `checkpoint` of stdlib/models.r1: a model of the library with weights that another program has trained.
#include "compiler/eval/Models.h"
#include "compiler/eval/StageHelpers.h"
#include "runtime/checkpoint/Checkpoint.h"
#include <algorithm>
#include <filesystem>

namespace r1 {

using OrderedJson = nlohmann::ordered_json;

namespace {

/// A declaration of the library, whatever the program calls its own.
const Decl *libraryDecl(Evaluator &ev, const std::string &name) { return ev.sh.program.prelude->find(name); }

/// An argument of a model as a checkpoint's description has it. `used` gathers the declarations it names.
Value argumentOf(Evaluator &ev, const OrderedJson &j, Span span, std::vector<std::string_view> &used);

/// The model of the library called `name`, made with the arguments of a description.
Value modelOf(Evaluator &ev, const std::string &name, const OrderedJson &args, Span span,
              std::vector<std::string_view> &used) {
  const Decl *d = libraryDecl(ev, name);
  if (!d || d->kind != Decl::Model)
    return ev.fail("E0200", span, "the library has no model `" + name + "`");
  used.push_back(d->name);
  std::vector<ArgVal> list;
  for (auto &[key, value] : args.items())
    for (auto &p : d->params) // whose names outlive the call
      if (p.name == key) {
        ArgVal a;
        a.name = p.name;
        a.value = argumentOf(ev, value, span, used);
        a.span = a.nameSpan = span;
        if (a.value.isError())
          return {};
        list.push_back(std::move(a));
      }
  if (list.size() != args.size())
    return ev.fail("E0201", span, "`" + name + "` of the library lacks a parameter that checkpoints need");
  Value def = ev.global(ev.sh.program.prelude.get(), d->name, span);
  return ev.apply(def, std::move(list), span);
}

Value argumentOf(Evaluator &ev, const OrderedJson &j, Span span, std::vector<std::string_view> &used) {
  if (j.is_object() && j.contains("fn")) {
    const Decl *d = libraryDecl(ev, j["fn"]);
    if (!d)
      return ev.fail("E0200", span, "the library has no function `" + j["fn"].get<std::string>() + "`");
    used.push_back(d->name);
    return ev.global(ev.sh.program.prelude.get(), d->name, span);
  }
  if (j.is_object() && j.contains("model"))
    return modelOf(ev, j["model"], j["args"], span, used);
  if (j.is_object()) {
    Fields fields;
    for (auto &[key, value] : j.items())
      fields.emplace_back(key, argumentOf(ev, value, span, used));
    return Value::record(std::move(fields));
  }
  if (j.is_boolean())
    return Value::boolean(j.get<bool>());
  if (j.is_number_integer())
    return Value::integer(j.get<int64_t>());
  if (j.is_number())
    return Value::real(j.get<double>());
  return Value(Value::None);
}

std::vector<r1rt::checkpoint::Leaf> leavesOf(const std::shared_ptr<const ModelObj> &model) {
  std::vector<r1rt::checkpoint::Leaf> out;
  walkModel(model, nullptr, [&](const std::shared_ptr<const LeafObj> &l, const Path &p) {
    r1rt::checkpoint::Leaf leaf{pathText(p), {}};
    for (auto &d : l->dims)
      leaf.shape.push_back(d.size());
    out.push_back(std::move(leaf));
  });
  return out;
}

/// E0401 with what is there instead.
bool folderIsThere(Evaluator &ev, const std::string &path, Span span) {
  namespace fs = std::filesystem;
  std::error_code ec;
  if (fs::exists(path, ec))
    return true;
  auto &d = ev.err("E0401", span, "there is no folder `" + path + "`");
  fs::path parent = fs::path(path).parent_path();
  std::vector<std::string> names;
  for (auto &e : fs::directory_iterator(parent.empty() ? "." : parent, ec))
    if (std::string name = e.path().filename().string(); e.is_directory(ec) && name[0] != '.')
      names.push_back(name);
  if (auto near = nearest(fs::path(path).filename().string(), names); !near.empty()) {
    std::string fixed = "\"" + (parent / near).string() + "\"";
    d.help(fixed, span, fixed);
  }
  return false;
}

Value checkpoint(Evaluator &ev, BuiltinCall &c) {
  if (!inPipeline(ev, c))
    return {};
  const std::string path = arg(c, "path").string();
  if (!folderIsThere(ev, path, spanOf(c, "path")))
    return {};
  auto broken = [&](const r1rt::Status &why) {
    return ev.fail("E0407", spanOf(c, "path"), "this checkpoint cannot be read: " + why.message());
  };
  auto folder = r1rt::checkpoint::Folder::open(path);
  if (!folder)
    return broken(folder.status());
  auto &about = folder->description();
  std::vector<std::string_view> used;
  Saved<bool> silent(ev.advises, false);
  Value v = modelOf(ev, about.model, about.args, spanOf(c, "path"), used);
  if (!v.is(Value::Model))
    return {};
  auto model = std::static_pointer_cast<const ModelObj>(v.o);
  if (auto fits = folder->match(leavesOf(model)); !fits)
    return broken(fits);
  constexpr int64_t usual = 1024;
  int64_t seq = std::min(about.positions, usual);
  if (!arg(c, "seq").is(Value::None) && !countOf(ev, c, "seq", seq, "a row has", "tokens"))
    return {};
  if (seq > about.positions)
    return ev.fail("E0213", spanOf(c, "seq"),
                   "the model was made for rows of at most " + std::to_string(about.positions) +
                       " tokens, this is " + std::to_string(seq));

  auto call = std::make_shared<StageCall>();
  call->kind = "checkpoint";
  call->result = "model";
  call->span = call->dataSpan = c.span;
  call->model = model;
  call->spec = Json{{"path", path}, {"model", Json{{"source", canonicalText(ev, v)}}}, {"seq", seq},
                    {"positions", about.positions}};
  call->files = folder->files();
  call->builtins["checkpoint"] = c.version;
  ElemType f32;
  call->precision = Value(Value::DType);
  call->precision.i = (int)f32.e;
  // The batches that it reads and, if its folder has one, the tokenizer that makes them.
  auto rows = handle("corpus", c, "checkpoint");
  rows->batch = Json{{"layout", "lm"}, {"seq", seq}, {"vocab", about.vocab}};
  if (!about.causal)
    rows->batch["masked"] = true;
  Value tok = arg(c, "tok");
  const bool given = !tok.is(Value::None);
  if (const Decl *d = libraryDecl(ev, "tokenizer"); !given && d && !folder->tokenizer().empty())
    tok = ev.apply(ev.global(ev.sh.program.prelude.get(), d->name, c.span), {Value::str(folder->tokenizer())},
                   spanOf(c, "path"));
  if (tok.isError())
    return {};
  if (tok.is(Value::Handle)) {
    auto &h = tok.as<HandleObj>();
    if (h.call) {
      ev.err("E0206", spanOf(c, "tok"), "the tokenizer is an artifact that has no name yet")
          .help("name it in a step of its own: stage tok = bpe(…)");
      return {};
    }
    int64_t ids = 0;
    for (auto &[k, x] : h.fields)
      if (k == "vocab")
        x.asInt(ids);
    if (ids > about.vocab)
      return ev.fail("E0309", spanOf(c, given ? "tok" : "path"),
                     (given ? "the tokenizer has " : "`" + folder->tokenizer() + "` has ") + std::to_string(ids) +
                         " ids, the table of the checkpoint has " + std::to_string(about.vocab) +
                         " rows (vocab_size of config.json)");
    rows->tokenizer = call->tokenizer = tok;
    call->spec["tok"] = h.spec;
    call->files.insert(call->files.end(), h.files.begin(), h.files.end());
    for (auto &[k, n] : h.builtins)
      call->builtins[k] = n;
  }
  call->data = Value::of(Value::Handle, rows);
  return ev.stages->addCheckpoint(*call, used);
}

} // namespace

Value StageBuilder::addCheckpoint(const StageCall &call, const std::vector<std::string_view> &used) {
  // The step `stage s = checkpoint(…)` or `let s = checkpoint(…)` names it; within another step it is a stage
  // beside that one.
  const Decl &step = *active.back().first;
  const Expr *e = step.value;
  bool own = step.kind == Decl::Let || (e->kind == Expr::Call && e->kids[0]->kind == Expr::Name &&
                                        e->kids[0]->name == "checkpoint");
  std::string name = nestedName + (own ? "" : "checkpoint");
  if (own)
    name.pop_back(); // the dot
  for (int n = 2; models.count(name); ++n)
    name = nestedName + "checkpoint" + std::to_string(n);

  Stage s;
  s.name = name;
  s.span = call.span;
  s.kind = call.kind;
  s.result = call.result;
  s.spec = call.spec;
  s.files = call.files;
  std::sort(s.files.begin(), s.files.end());
  s.files.erase(std::unique(s.files.begin(), s.files.end()), s.files.end());
  s.builtins = call.builtins;
  if (!checkpointEntries(s, call))
    return {};
  collect(s.spec, s);
  libraryTexts(s, used);
  out.stages.push_back(std::move(s));
  return trained(name, call);
}

const std::vector<Builtin> &checkpointBuiltins() {
  static const std::vector<Builtin> table = {{"checkpoint", "", checkpoint}};
  return table;
}

} // namespace r1
