// The @builtin functions of stdlib/data.r1: sources of rows, and passes over them.
#include "compiler/eval/Files.h"
#include "compiler/eval/StageHelpers.h"
#include <algorithm>
#include <cmath>

namespace r1 {

namespace {

// ── sources ─────────────────────────────────────────────────────────────────

Value source(Evaluator &ev, BuiltinCall &c, const char *op) {
  if (!inPipeline(ev, c))
    return {};
  auto h = handle("corpus", c, op);
  std::string path = arg(c, "path").string();
  h->spec = Json{{"op", op}, {"path", path}};
  h->files = {path};
  if (std::string_view(op) == "lines") {
    std::string by = arg(c, "by").string();
    if (by != "line" && by != "paragraph" && by != "file") {
      auto &d = ev.err("E0206", spanOf(c, "by"),
                       "`by` is \"line\", \"paragraph\" or \"file\", not \"" + by + "\"");
      if (auto near = nearest(by, {"line", "paragraph", "file"}); !near.empty())
        d.help("\"" + near + "\"");
      return {};
    }
    h->spec["by"] = by;
  }
  if (ev.stages->checkFiles && !reportMissing(ev, path, spanOf(c, "path")))
    return {};
  return Value::of(Value::Handle, h);
}
Value lines(Evaluator &ev, BuiltinCall &c) { return source(ev, c, "lines"); }
Value jsonl(Evaluator &ev, BuiltinCall &c) { return source(ev, c, "jsonl"); }

// ── passes ──────────────────────────────────────────────────────────────────

Value split(Evaluator &ev, BuiltinCall &c) {
  if (!inPipeline(ev, c))
    return {};
  const Value &in = arg(c, "data");
  if (unpackedOnly(ev, c, in).isError())
    return {};
  Json fractions = Json::object();
  double total = 0;
  std::vector<std::string> parts;
  for (const char *part : {"train", "valid", "test"}) {
    double f = 0;
    arg(c, part).asFloat(f);
    if (f < 0 || f > 1)
      return ev.fail("E0213", spanOf(c, part),
                     "a share is from 0% to 100%, this is " + ev.text(arg(c, part)));
    total += f;
    if (f > 0) {
      fractions[part] = f;
      parts.push_back(part);
    }
  }
  if (parts.empty())
    return ev.fail("E0202", c.span, "`split` needs a share: train = 90%, test = 10%");
  if (total > 1 + 1e-9)
    return ev.fail("E0213", c.span,
                   "the shares of `split` add up to " +
                       std::to_string((int)std::lround(total * 100)) + "%, more than the whole");
  Json by = nullptr;
  if (arg(c, "by").is(Value::Fn)) {
    by = ev.stages->rowFn(arg(c, "by"), spanOf(c, "by"));
  } else if (!arg(c, "by").is(Value::None)) {
    return ev.fail("E0206", spanOf(c, "by"),
                   "`by` is a function of a row, this is " + kindName(arg(c, "by")));
  }
  Fields f;
  for (auto &part : parts) {
    auto h = pass(c, "split", in,
                  Json{{"part", part},
                       {"fractions", fractions},
                       {"by", by},
                       {"contiguous", arg(c, "contiguous").b},
                       {"seed", toJson(ev, arg(c, "seed"))}});
    f.emplace_back(part, Value::of(Value::Handle, h));
  }
  return Value::record(std::move(f));
}

Value sample(Evaluator &ev, BuiltinCall &c) {
  if (!inPipeline(ev, c) || unpackedOnly(ev, c, arg(c, "data")).isError())
    return {};
  int64_t n = 0;
  if (!arg(c, "n").asInt(n) || n < 1)
    return ev.fail("E0213", spanOf(c, "n"), "a sample has at least one row");
  return Value::of(Value::Handle, pass(c, "sample", arg(c, "data"),
                                       Json{{"n", n}, {"seed", toJson(ev, arg(c, "seed"))}}));
}

Value rowPass(Evaluator &ev, BuiltinCall &c, const char *op, const char *param) {
  if (!inPipeline(ev, c) || unpackedOnly(ev, c, arg(c, "data")).isError())
    return {};
  if (!arg(c, param).is(Value::Fn))
    return ev.fail("E0206", spanOf(c, param),
                   "`" + std::string(param) + "` of `" + op + "` is a function of a row, this is " +
                       kindName(arg(c, param)));
  Json j = ev.stages->rowFn(arg(c, param), spanOf(c, param));
  return Value::of(Value::Handle, pass(c, op, arg(c, "data"), Json{{param, j}}));
}
Value filterRows(Evaluator &ev, BuiltinCall &c) { return rowPass(ev, c, "filter", "keep"); }
Value mapRows(Evaluator &ev, BuiltinCall &c) { return rowPass(ev, c, "map_rows", "to"); }

} // namespace

const std::vector<Builtin> &dataBuiltins() {
  static const std::vector<Builtin> table = {
      {"lines", "", lines},   {"jsonl", "", jsonl},       {"split", "", split},
      {"sample", "", sample}, {"filter", "", filterRows}, {"map_rows", "", mapRows},
  };
  return table;
}

} // namespace r1
