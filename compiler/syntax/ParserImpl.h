// The recursive-descent parser, in three files: Parser.cpp (tokens, errors, recovery),
// ParseDecls.cpp and ParseExprs.cpp. Two tokens of lookahead and the lexer's bracket matches decide
// everything.
//
// After an error the parser sees only the end of the file until the declaration it is in returns;
// then it goes on at the next declaration, so that several errors are reported in one go.
#pragma once
#include "compiler/syntax/Lexer.h"
#include "compiler/syntax/Parser.h"

namespace r1 {

class Parser {
public:
  /// `depth` is that of the string literal whose ${} this parses; `roles` may be null.
  Parser(File &file, TokenStream stream, const SourceManager &sm, DiagEngine &diags,
         std::vector<Role> *roles = nullptr, int depth = 0);

  void parseFile();
  /// One expression and nothing after it; `whatEnds` names the end in messages.
  Expr *parseOnly(const char *whatEnds);

private:
  // ── tokens (Parser.cpp) ─────────────────────────────────────────────────
  const Token &cur() const { return panicking ? end : toks[pos]; }
  const Token &ahead(size_t k = 1) const {
    return panicking || pos + k >= toks.size() ? end : toks[pos + k];
  }
  bool is(Tok t) const { return cur().kind == t; }
  bool isWord(const char *w) const { return is(Tok::Name) && cur().text == w; }
  const Token &take();
  bool accept(Tok t, Role r = Role::None);
  bool expect(Tok t, Role r = Role::None);
  void skipNewlines();
  std::string_view name(Span *at = nullptr, const char *what = "a name");
  /// `from` up to the token taken last.
  Span spanTo(Span from) const;
  /// Says what the current token means, for fmt.
  void mark(Role r) {
    if (roles && !panicking && pos < roles->size())
      (*roles)[pos] = r;
  }

  // ── errors (Parser.cpp) ─────────────────────────────────────────────────
  void fail() { panicking = true; }
  void unexpected(const std::string &wanted);
  bool derived(Span at) const;
  void hint(Diag &d, const Token &found, const std::string &wanted);
  /// After an item that needs a `,` or the closing bracket. True if another item may follow.
  bool separator(Tok close);
  /// Ends a declaration that began at token `before` at bracket depth `level`: a newline must
  /// follow; after an error, skips to the next declaration of that level.
  void finish(size_t before, int level);
  bool declStart(size_t i) const;
  bool firstOnLine(size_t i) const;

  /// Bounds the recursion of the parser, and the height of the tree for those who walk it.
  struct Deeper {
    Parser &p;
    explicit Deeper(Parser &p);
    ~Deeper() {
      --p.depth;
      --p.height;
    }
  };
  /// Bounds the height of trees that loops build: a + b + c, a.b.c, x |> f() |> g().
  struct Chain {
    Parser &p;
    int links = 0;
    explicit Chain(Parser &p) : p(p) {}
    ~Chain() { p.height -= links; }
    void link();
  };
  void tooDeep(const std::string &what, const char *mend);

  // ── declarations (ParseDecls.cpp) ───────────────────────────────────────
  std::string docs();
  Decl *declaration();
  Decl *importDecl();
  Decl *letDecl();
  Decl *typeDecl();
  Decl *fnDecl();
  std::vector<Parameter> params();
  Decl *bodyDecl(Decl::Kind kind);
  Decl *member();
  Decl *step();
  Decl *testDecl();
  Expr *block();
  TypeExpr *type();
  TypeExpr *baseType();
  void dims(std::vector<DimExpr> &out);
  TypeExpr *recordType();

  // ── expressions (ParseExprs.cpp) ────────────────────────────────────────
  Expr *expr();
  Expr *lambda();
  Expr *forExpr();
  Expr *ifExpr();
  Expr *pipe();
  Expr *coalesce();
  Expr *orExpr();
  Expr *andExpr();
  Expr *notExpr();
  Expr *comparison();
  Expr *range();
  Expr *sum();
  Expr *product();
  Expr *unary();
  Expr *power();
  Expr *postfix();
  std::vector<Arg> args();
  Arg arg();
  Expr *primary();
  Expr *recordExpr();
  Expr *stringExpr(const Token &t);
  Expr *binary(BinOp op, Expr *a, Expr *b);

  File &file;
  std::vector<Token> toks;
  std::vector<int> depths; // of brackets, at each token
  const SourceManager &sm;
  DiagEngine &diags;
  std::vector<Role> *roles;
  Token end;
  const char *whatEnds = "the end of the file";
  size_t pos = 0;
  int depth = 0, height = 0;
  bool panicking = false;
  friend struct Deeper;
  friend struct Chain;
};

} // namespace r1
