#include "compiler/check/Modules.h"
#include "compiler/syntax/Parser.h"
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace r1 {

namespace fs = std::filesystem;

namespace {

bool readFile(const fs::path &p, std::string &out) {
  std::error_code ec;
  if (!fs::is_regular_file(p, ec))
    return false;
  std::ifstream in(p, std::ios::binary);
  std::ostringstream s;
  s << in.rdbuf();
  out = s.str();
  return (bool)in;
}

class Loader {
public:
  Loader(SourceManager &sources, DiagEngine &diags, Program &program)
      : sources(sources), diags(diags), program(program) {}

  bool loadPrelude(const std::string &dir) {
    std::vector<fs::path> paths;
    std::error_code ec;
    for (auto &e : fs::directory_iterator(dir, ec))
      if (e.path().extension() == ".r1")
        paths.push_back(e.path());
    if (paths.empty()) {
      diags.error("E0211", {}, "the library has no .r1 files in `" + dir + "`");
      return false;
    }
    std::sort(paths.begin(), paths.end());
    auto m = std::make_unique<Module>();
    m->path = "prelude";
    for (auto &p : paths) {
      std::string text;
      if (!readFile(p, text))
        continue;
      // Shown as in the library, wherever it is installed.
      add(*m, "std/" + p.filename().string(), std::move(text));
    }
    program.prelude = std::move(m);
    return true;
  }

  Module *load(const fs::path &path, Span from) {
    fs::path key = fs::weakly_canonical(path);
    if (auto it = loaded.find(key); it != loaded.end()) {
      if (!it->second) {
        auto &d = diags.error("E0211", from, "files import each other in a cycle");
        for (auto &[p, s] : stack)
          if (s.valid())
            d.also(s, "`" + p + "` is imported here");
        return nullptr;
      }
      return it->second;
    }
    std::string text;
    if (!readFile(path, text)) {
      std::error_code ec;
      bool dir = fs::is_directory(path, ec);
      diags.error("E0211", from,
                  dir ? "`" + path.string() + "` is a directory, not a file"
                      : "cannot read `" + path.string() + "`");
      return nullptr;
    }
    loaded[key] = nullptr;
    stack.push_back({path.string(), from});
    auto m = std::make_unique<Module>();
    m->path = path.string();
    add(*m, path.string(), std::move(text));
    for (auto *d : m->files[0]->decls)
      if (d->kind == Decl::Import)
        import(*m, *d, path.parent_path());
    stack.pop_back();
    Module *raw = m.get();
    loaded[key] = raw;
    program.modules.push_back(std::move(m));
    return raw;
  }

private:
  SourceManager &sources;
  DiagEngine &diags;
  Program &program;
  std::map<fs::path, Module *> loaded;
  std::vector<std::pair<std::string, Span>> stack;

  void add(Module &m, std::string shown, std::string text) {
    uint32_t id = sources.add(std::move(shown), std::move(text));
    m.files.push_back(parseFile(id, sources, diags));
    for (auto *d : m.files.back()->decls) {
      if (d->kind == Decl::Test) {
        m.tests.push_back(d);
      } else if (d->kind != Decl::Import && !d->name.empty()) {
        auto [it, fresh] = m.decls.emplace(d->name, d);
        if (!fresh)
          diags.error("E0204", d->nameSpan, "`" + std::string(d->name) + "` is declared twice")
              .also(it->second->nameSpan, "first declared here");
      }
    }
  }

  void import(Module &m, const Decl &d, const fs::path &dir) {
    std::string file = d.file;
    if (file.empty())
      for (auto &p : d.path)
        file += (file.empty() ? "./" : "/") + std::string(p);
    if (file.find("://") != std::string::npos) {
      diags.error("E0211", d.span, "imports are files of this machine: `" + file + "` is not one");
      return;
    }
    fs::path p = dir / file;
    if (p.extension() != ".r1")
      p += ".r1";
    Module *from = load(p.lexically_normal(), d.span);
    if (!from)
      return;
    if (!d.alias.empty())
      m.imports[d.alias] = {from, nullptr, d.span};
    for (auto &n : d.names) {
      const Decl *what = from->find(n.name);
      std::string name(n.name);
      if (!what) {
        std::vector<std::string> have;
        for (auto &[k, v] : from->decls)
          if (k[0] != '_')
            have.push_back(std::string(k));
        std::sort(have.begin(), have.end());
        auto &e =
            diags.error("E0211", n.span, "`" + from->path + "` does not declare `" + name + "`");
        if (auto near = nearest(name, have); !near.empty())
          e.label("did you mean `" + near + "`?").help("`" + near + "`", n.span, near);
      } else if (name[0] == '_') {
        diags.error("E0211", n.span, "`" + name + "` is private to `" + from->path + "`")
            .also(what->nameSpan, "a name with a leading _ is not visible to other files");
      } else if (auto *mine = m.find(n.name)) {
        diags.error("E0204", n.span, "`" + name + "` is declared in this file too")
            .also(mine->nameSpan, "declared here");
      } else {
        m.imports[n.name] = {from, what, n.span};
      }
    }
  }
};

} // namespace

std::unique_ptr<Program> loadProgram(const std::string &path, const LoadOptions &options,
                                     SourceManager &sources, DiagEngine &diags) {
  auto program = std::make_unique<Program>();
  Loader l(sources, diags, *program);
  if (!l.loadPrelude(options.stdlib))
    return nullptr;
  program->main = l.load(path, {});
  return program->main ? std::move(program) : nullptr;
}

std::string signatureText(const Decl &d, const SourceManager &sources) {
  std::string s = std::string(d.name) + "(";
  bool first = true;
  for (auto &p : d.params) {
    // Source text with its line breaks folded.
    std::string t;
    for (char c : std::string(sources.text(p.span)))
      if (c == '\n' || c == ' ') {
        if (!t.empty() && t.back() != ' ')
          t += ' ';
      } else {
        t += c;
      }
    s += (first ? "" : ", ") + t;
    first = false;
  }
  s += ")";
  if (d.type && d.kind == Decl::Fn)
    s += " -> " + std::string(sources.text(d.type->span));
  return s;
}

} // namespace r1
