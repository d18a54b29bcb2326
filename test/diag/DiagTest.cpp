// The layout of diagnostics, as text; their JSON; suggestions.
#include "compiler/diag/Diag.h"
#include <gtest/gtest.h>
#include <set>

using namespace r1;

namespace {

/// The n-th (from 0) place where `what` stands in file `id`.
Span find(const SourceManager &sm, uint32_t id, const std::string &what, int n = 0) {
  size_t at = sm.file(id).text.find(what);
  while (n-- > 0)
    at = sm.file(id).text.find(what, at + 1);
  EXPECT_NE(at, std::string::npos) << what;
  return {id, uint32_t(at), uint32_t(at + what.size())};
}

TEST(Render, PrimarySecondaryGapNoteHelp) {
  SourceManager sm;
  std::string text(37, '\n');
  text += "  let down = Linear(D, F)\n\n\n"
          "  fn forward(x: real[...S, D]) -> real[...S, D] = down(silu(up(x)))\n";
  uint32_t id = sm.add("model.r1", text);
  DiagEngine diags;
  Diag &d = diags.error("E0301", find(sm, id, "silu(up(x))"),
                        "`down` takes [..., D] but is given [..., F]");
  d.label("real[...S, F], because `up` maps D to F");
  d.also(find(sm, id, "Linear(D, F)"), "so `down` maps D = 1024 to F = 4096");
  d.note("`forward` must return [..., D], which `down` would not do either");
  d.help("at line 38 write  Linear(F, D)", find(sm, id, "Linear(D, F)"), "Linear(F, D)");
  EXPECT_EQ(render(d, sm),
            R"(error[E0301]: `down` takes [..., D] but is given [..., F]
   ┌─ model.r1:41:56
38 │   let down = Linear(D, F)
   │              ------------ so `down` maps D = 1024 to F = 4096
   ·
41 │   fn forward(x: real[...S, D]) -> real[...S, D] = down(silu(up(x)))
   │                                                        ^^^^^^^^^^^ real[...S, F], because `up` maps D to F
   = `forward` must return [..., D], which `down` would not do either
   = help: at line 38 write  Linear(F, D)
)");
}

TEST(Render, TwoPlacesOnOneLineAndAWiderGutter) {
  SourceManager sm;
  uint32_t id =
      sm.add("r1.r1", std::string(119, '\n') + "  stage drafts = generate(policy, ask, n = 4)\n"
                                               "  let x = drafts\n");
  DiagEngine diags;
  Diag &d = diags.error("E0402", find(sm, id, "drafts"), "stages depend on each other in a cycle");
  d.also(find(sm, id, "policy"), "1. `drafts` reads `policy`");
  d.also(find(sm, id, "drafts", 1), "2. and is read here");
  EXPECT_EQ(render(d, sm), R"(error[E0402]: stages depend on each other in a cycle
    ┌─ r1.r1:120:9
120 │   stage drafts = generate(policy, ask, n = 4)
    │         ^^^^^^            ------ 1. `drafts` reads `policy`
121 │   let x = drafts
    │           ------ 2. and is read here
)");
}

TEST(Render, LabelsThatWouldTouchGetRowsOfTheirOwn) {
  SourceManager sm;
  uint32_t id = sm.add("a.r1", "let y = f(alpha, beta)\n");
  DiagEngine diags;
  Diag &d = diags.error("E0201", find(sm, id, "beta"), "t").label("here");
  d.also(find(sm, id, "alpha"), "this one comes first");
  d.also(find(sm, id, "y"), "x");
  EXPECT_EQ(render(d, sm), R"(error[E0201]: t
   ┌─ a.r1:1:18
 1 │ let y = f(alpha, beta)
   │     - x          ^^^^ here
   │           ----- this one comes first
)");
}

TEST(Render, ALabelFarRightStandsLeftOfItsPlace) {
  SourceManager sm;
  uint32_t id = sm.add("a.r1", "let y = " + std::string(80, '(') + "reward" +
                                   std::string(70, ')').substr(0, 20) + "\n");
  DiagEngine diags;
  Diag &d = diags.error("E0402", find(sm, id, "reward"), "t").label("`policy` reads `reward` here");
  EXPECT_EQ(render(d, sm), "error[E0402]: t\n   ┌─ a.r1:1:89\n 1 │ let y = " +
                               std::string(80, '(') + "reward" + std::string(20, ')') + "\n   │ " +
                               std::string(59, ' ') + "`policy` reads `reward` here ^^^^^^\n");
}

TEST(Render, AlternativeHelpsAndNotesOverSeveralLines) {
  SourceManager sm;
  uint32_t id = sm.add("norm.r1", "x * s * g\n");
  DiagEngine diags;
  Diag &d = diags.error("E0303", find(sm, id, "*"), "f32 times real");
  d.note("already at micro-batch 1:\n  parameters  27.4 GB\n  activations 0.6");
  d.help("x * real(s) * g       to continue in the compute dtype");
  d.help("real(f32(x) * s) * g  to keep the product in f32");
  EXPECT_EQ(render(d, sm), R"(error[E0303]: f32 times real
   ┌─ norm.r1:1:3
 1 │ x * s * g
   │   ^
   = already at micro-batch 1:
       parameters  27.4 GB
       activations 0.6
   = help: x * real(s) * g       to continue in the compute dtype
     help: real(f32(x) * s) * g  to keep the product in f32
)");
}

TEST(Render, WithoutAPlace) {
  SourceManager sm;
  DiagEngine diags;
  Diag &d =
      diags.error("E0601", {}, "--set sft.optimizer.lr=3e-4: `train` has no argument `optimizer`");
  d.note("sft has: batch budget clip");
  d.help("the learning rate is  --set sft.lr=3e-4");
  EXPECT_EQ(render(d, sm),
            "error[E0601]: --set sft.optimizer.lr=3e-4: `train` has no argument `optimizer`\n"
            "   = sft has: batch budget clip\n"
            "   = help: the learning rate is  --set sft.lr=3e-4\n");
}

TEST(Render, AnotherFileHasItsOwnHeader) {
  SourceManager sm;
  uint32_t a = sm.add("a.r1", "f(1)\n"), b = sm.add("lib.r1", "\nfn f(x: str)\n");
  DiagEngine diags;
  Diag &d = diags.error("E0206", find(sm, a, "1"), "int is not str");
  d.also(find(sm, b, "x: str"), "declared here");
  EXPECT_EQ(render(d, sm), R"(error[E0206]: int is not str
   ┌─ a.r1:1:3
 1 │ f(1)
   │   ^
   ┌─ lib.r1:2:6
 2 │ fn f(x: str)
   │      ------ declared here
)");
}

TEST(Render, TabsWideAndCombiningCharacters) {
  SourceManager sm;
  uint32_t id = sm.add("a.r1", "\tlet t = \"模型 e\u0301\" + x\n");
  DiagEngine diags;
  EXPECT_EQ(render(diags.error("E0200", find(sm, id, "x"), "unknown name `x`"), sm),
            "error[E0200]: unknown name `x`\n   ┌─ a.r1:1:20\n"
            " 1 │     let t = \"模型 e\u0301\" + x\n"
            "   │                        ^\n");
}

TEST(Render, TerminalControlAndBrokenBytesAreReplaced) {
  SourceManager sm;
  uint32_t id = sm.add("a\x1b[2J.r1", "let a = \x1b[31m \xff b\n");
  DiagEngine diags;
  std::string s = render(diags.error("E0101", find(sm, id, "b"), "no \x1b[0m please"), sm);
  EXPECT_EQ(s.find('\x1b'), std::string::npos);
  EXPECT_EQ(s.find('\xff'), std::string::npos);
  EXPECT_NE(s.find(" 1 │ let a = \uFFFD[31m \uFFFD b\n   │                 ^\n"), std::string::npos)
      << s;
}

TEST(Render, LongLinesAreShownThroughAWindow) {
  SourceManager sm;
  uint32_t id = sm.add("a.r1", std::string(500, 'a') + " HERE " + std::string(500, 'b'));
  DiagEngine diags;
  std::string s = render(diags.error("E0104", find(sm, id, "HERE"), "t").label("it"), sm);
  EXPECT_EQ(s, "error[E0104]: t\n   ┌─ a.r1:1:502\n 1 │ …" + std::string(58, 'a') + " HERE " +
                   std::string(54, 'b') + "…\n   │ " + std::string(60, ' ') + "^^^^ it\n");
}

TEST(Render, Color) {
  SourceManager sm;
  uint32_t id = sm.add("a.r1", "x\n");
  DiagEngine diags;
  std::string s = render(diags.warning("E0205", find(sm, id, "x"), "t"), sm, true);
  EXPECT_NE(s.find("\033[1;33mwarning[E0205]\033[0m"), std::string::npos);
}

TEST(Render, PlacesPastTheEndOfTheText) {
  SourceManager sm;
  uint32_t id = sm.add("a.r1", "let a =\n");
  uint32_t empty = sm.add("b.r1", "");
  DiagEngine diags;
  EXPECT_EQ(render(diags.error("E0104", {id, 8, 8}, "t"), sm),
            "error[E0104]: t\n   ┌─ a.r1:2:1\n 2 │ \n   │ ^\n");
  render(diags.error("E0104", {id, 100, 200}, "t"), sm);
  render(diags.error("E0104", {id, 6, 2}, "t"), sm);
  render(diags.error("E0104", {empty, 0, 0}, "t"), sm);
  renderJson(diags.error("E0104", {id, 100, 200}, "t"), sm);
}

TEST(Json, RangesCountUtf16) {
  SourceManager sm;
  uint32_t id = sm.add("a.r1", "let a = 1\nlet 𝛼é = x\n");
  DiagEngine diags;
  Diag &d = diags.error("E0200", find(sm, id, "x"), "unknown");
  d.help("y", find(sm, id, "x"), "y");
  std::string s = renderJson(d, sm);
  EXPECT_NE(s.find(R"("start":{"character":10,"line":1})"), std::string::npos) << s;
  EXPECT_NE(s.find(R"("newText":"y")"), std::string::npos) << s;
  EXPECT_EQ(s.find('\n'), std::string::npos);
}

TEST(Engine, TwentyErrorsEachOnce) {
  DiagEngine diags;
  diags.error("E0104", {1, 0, 1}, "same");
  diags.error("E0104", {1, 0, 1}, "same").note("goes nowhere");
  EXPECT_EQ(diags.all().size(), 1u);
  for (uint32_t i = 1; i < 30; ++i)
    diags.error("E0104", {1, i, i + 1}, "t");
  EXPECT_EQ(diags.all().size(), 20u);
  EXPECT_EQ(diags.suppressed(), 10);
  EXPECT_TRUE(diags.full());
}

TEST(Kinds, AreUniqueOrderedAndExplained) {
  std::string last;
  for (const DiagKind &k : diagKinds()) {
    EXPECT_LT(last, k.code);
    last = k.code;
    EXPECT_GT(std::string(k.explanation).size(), 40u) << k.code;
    EXPECT_EQ(findDiagKind(k.code), &k);
  }
  EXPECT_EQ(findDiagKind("E9999"), nullptr);
}

TEST(Nearest, Suggests) {
  std::vector<std::string> names = {"warmup", "from", "to", "temperature", "D", "batch"};
  EXPECT_EQ(nearest("warmpu", names), "warmup");
  EXPECT_EQ(nearest("form", names), "from");
  EXPECT_EQ(nearest("d", names), "D");
  EXPECT_EQ(nearest("x", names), "");
  EXPECT_EQ(nearest("temp", names), "temperature");
  EXPECT_EQ(nearest("Batch", names), "batch");
  EXPECT_EQ(nearest("optimizer", names), "");
}

} // namespace
