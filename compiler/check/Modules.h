// Files and what they declare: the prelude, the user's file and what it imports.
#pragma once
#include "compiler/syntax/AST.h"
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace re2 {
class RE2;
}

namespace r1 {

struct Module {
  std::string path;                         // as shown; "prelude"
  std::vector<std::unique_ptr<File>> files; // one; the prelude has several in one scope
  std::unordered_map<std::string_view, const Decl *> decls;
  struct Import {
    const Module *module = nullptr;
    const Decl *decl = nullptr; // null: the module itself (`import "x" as m`)
    Span span;
  };
  std::unordered_map<std::string_view, Import> imports;
  std::vector<const Decl *> tests;
  const Decl *find(std::string_view name) const {
    auto it = decls.find(name);
    return it == decls.end() ? nullptr : it->second;
  }
};

/// All modules of one run. Names not found in a module are looked up in `prelude`.
struct Program {
  std::unique_ptr<Module> prelude;
  std::vector<std::unique_ptr<Module>> modules; // imported ones first, the main file last
  const Module *main = nullptr;
};

struct LoadOptions {
  std::string stdlib; // the directory of the prelude's .r1 files
};

/// Reads and parses `path`, what it imports and the prelude. Reports E0211 (imports, private
/// names), E0204 (declared twice). Null when the file or the prelude cannot be read.
std::unique_ptr<Program> loadProgram(const std::string &path, const LoadOptions &options,
                                     SourceManager &sources, DiagEngine &diags);

/// The pattern of a regex literal; null, and E0108, if it does not compile.
std::shared_ptr<const re2::RE2> compileRegex(const Expr &e, DiagEngine &diags);

/// Names, calls and declarations that can be judged without types: unknown names (E0200), names
/// declared twice or shadowing (E0204), recursion (E0209), unknown and repeated arguments of calls
/// whose callee is named (E0201..E0204), regexes that do not compile (E0108). `builtins` are the
/// names the evaluator brings. The user's files; the prelude's own too with `library`. False if
/// something is recursive: then nothing may be evaluated.
bool checkNames(const Program &program, const std::vector<std::string> &builtins,
                const SourceManager &sources, DiagEngine &diags, bool library = false);

/// Only the last part of that: E0209. False if something is recursive.
bool checkRecursion(const Program &program, DiagEngine &diags, bool library);

/// "cosine(from: float, to: float = 0.0) -> Schedule", from the source text.
std::string signatureText(const Decl &d, const SourceManager &sources);

} // namespace r1
