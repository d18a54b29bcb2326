// What the texts of test/syntax cannot show: the entry points for --set, values of numbers, spans.
#include "compiler/syntax/Lexer.h"
#include "compiler/syntax/Parser.h"
#include "compiler/syntax/Printer.h"
#include <gtest/gtest.h>

using namespace r1;

namespace {

struct OneExpr {
  SourceManager sources;
  DiagEngine diags;
  Expr *e = nullptr;
  std::unique_ptr<File> file;
  explicit OneExpr(const std::string &text) {
    file = parseExpr(sources.add("--set", text), sources, diags, e);
  }
};

TEST(ParseExpr, ReadsOneExpression) {
  OneExpr x("cosine(from = 3e-4)");
  EXPECT_FALSE(x.diags.hasErrors());
  ASSERT_EQ(x.e->kind, Expr::Call);
  EXPECT_EQ(x.e->args[0].name, "from");
  EXPECT_DOUBLE_EQ(x.e->args[0].value->number, 3e-4);
}

TEST(ParseExpr, AnythingMoreIsAnError) {
  OneExpr x("3 4");
  ASSERT_TRUE(x.diags.hasErrors());
  EXPECT_EQ(x.diags.all()[0].title, "expected the end of the expression, found a number");
  EXPECT_EQ(x.e->kind, Expr::Error);
  OneExpr empty("");
  ASSERT_TRUE(empty.diags.hasErrors());
  EXPECT_EQ(empty.diags.all()[0].title, "expected an expression, found the end of the expression");
}

TEST(ParseExpr, BrokenBytes) {
  OneExpr x(std::string("a\xff", 2));
  EXPECT_TRUE(x.diags.hasErrors());
  EXPECT_EQ(x.e->kind, Expr::Error);
}

TEST(SetPath, NamesWithDots) {
  EXPECT_EQ(parseSetPath("sft.on.memory"), (std::vector<std::string>{"sft", "on", "memory"}));
  EXPECT_EQ(parseSetPath("D"), (std::vector<std::string>{"D"}));
  for (const char *wrong : {"", ".", "a.", ".a", "a..b", "a b", "a[0]", "3a", "a.3"})
    EXPECT_TRUE(parseSetPath(wrong).empty()) << wrong;
}

TEST(Numbers, ScaledByTheirUnit) {
  auto scaled = [](const char *text) { return OneExpr(text).e->scaled(); };
  EXPECT_DOUBLE_EQ(scaled("15%"), 0.15);
  EXPECT_DOUBLE_EQ(scaled("16GB"), 16e9);
  EXPECT_DOUBLE_EQ(scaled("1.5KiB"), 1536);
  EXPECT_DOUBLE_EQ(scaled("8h"), 28800);
  EXPECT_DOUBLE_EQ(scaled("250ms"), 0.25);
  EXPECT_DOUBLE_EQ(scaled("20e9tokens"), 20e9);
  EXPECT_DOUBLE_EQ(scaled("1_000"), 1000);
  EXPECT_EQ(OneExpr("3epochs").e->family, UnitFamily::Length);
  EXPECT_EQ(OneExpr("3min").e->family, UnitFamily::Time);
  EXPECT_EQ(OneExpr("3").e->family, UnitFamily::None);
}

TEST(Spans, CoverWhatWasWritten) {
  OneExpr x("f(a, \"x ${b.c} y\")[i + 1] as real[B]");
  ASSERT_FALSE(x.diags.hasErrors());
  EXPECT_EQ(x.sources.text(x.e->span), "f(a, \"x ${b.c} y\")[i + 1] as real[B]");
  const Expr *index = x.e->kids[0];
  EXPECT_EQ(x.sources.text(index->subs[0].span), "i + 1");
  const Expr *string = index->kids[0]->args[1].value;
  EXPECT_EQ(x.sources.text(string->kids[0]->span), "b.c");
  EXPECT_EQ(x.sources.text(string->kids[0]->nameSpan), "c");
  EXPECT_EQ(x.sources.text(x.e->type->span), "real[B]");
}

TEST(Lexer, BracketsKnowTheirPartners) {
  SourceManager sources;
  DiagEngine diags;
  std::string text = "f(a, [b{}])";
  uint32_t id = sources.add("x", text);
  TokenStream s = lex(id, 0, uint32_t(text.size()), sources, diags);
  for (size_t i = 0; i < s.tokens.size(); ++i)
    if (int m = s.tokens[i].match; m >= 0)
      EXPECT_EQ(s.tokens[size_t(m)].match, int(i));
  EXPECT_EQ(s.tokens[1].match, 9);
}

TEST(Walk, ReachesEveryExpression) {
  SourceManager sources;
  DiagEngine diags;
  auto file = parseFile(sources.add("x", "@k(x0) fn f(a: real[x1, 2] = x2) -> i32<x3>[...s] {\n"
                                         "  let b: [real[x4]] = for i in x5 => (q in x6) => x7\n"
                                         "  assert {r = x8}.r\n  \"${x9}\"\n}\n"),
                        sources, diags);
  ASSERT_FALSE(diags.hasErrors());
  std::string names;
  auto walk = [&](auto &&self, const Expr &e) -> void {
    if (e.kind == Expr::Name)
      names += e.name;
    forEachChild(e, [&](const Expr &k) { self(self, k); });
  };
  forEachChild(*file->decls[0], [&](const Expr &e) { walk(walk, e); });
  for (char c = '0'; c <= '9'; ++c)
    EXPECT_NE(names.find(std::string("x") + c), std::string::npos) << c;
}

} // namespace
