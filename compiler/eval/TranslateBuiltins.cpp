// `translate` of stdlib/translate.r1: rows of a source and a target.
#include "compiler/eval/StageHelpers.h"
#include <algorithm>

namespace r1 {

namespace {

Value translate(Evaluator &ev, BuiltinCall &c) {
  if (!inPipeline(ev, c) || unpackedOnly(ev, c, arg(c, "data")).isError() || !comesInOrder(ev, c, "data") ||
      !oneOf(ev, c, "cut", {"tail", "head", "middle"}))
    return {};
  auto &tok = arg(c, "tok").as<HandleObj>();
  if (tok.call) {
    ev.err("E0206", spanOf(c, "tok"), "the tokenizer is an artifact that has no name yet")
        .help("name it in a step of its own: stage tok = bpe(…)");
    return {};
  }
  int64_t len = 0, sourceLen = 0, vocab = 0;
  for (auto &[k, v] : tok.fields)
    if (k == "vocab")
      v.asInt(vocab);
  if (!countOf(ev, c, "len", len, "a row has", "tokens"))
    return {};
  sourceLen = len;
  if (!arg(c, "source_len").is(Value::None) && !countOf(ev, c, "source_len", sourceLen, "a row has", "tokens"))
    return {};
  Json args{{"len", len}, {"source_len", sourceLen}, {"cut", arg(c, "cut").string()}, {"tok", tok.spec}};
  for (const char *side : {"source", "target"}) {
    if (!arg(c, side).is(Value::Fn))
      return ev.fail("E0206", spanOf(c, side),
                     "`" + std::string(side) + "` is a function of a row, such as r => r.text; this is " +
                         kindName(arg(c, side)));
    args[side] = ev.stages->rowFn(arg(c, side), spanOf(c, side), {side, "a text", {Value::Str}});
  }
  auto h = pass(c, "translate", arg(c, "data"), std::move(args));
  bring(*h, tok);
  h->batch = Json{{"layout", "pairs"}, {"seq", len}, {"source_seq", sourceLen}, {"vocab", vocab}};
  h->tokenizer = arg(c, "tok");
  return Value::of(Value::Handle, h);
}

} // namespace

const std::vector<Builtin> &translateBuiltins() {
  static const std::vector<Builtin> table = {{"translate", "", translate}};
  return table;
}

} // namespace r1
