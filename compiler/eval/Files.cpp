#include "compiler/eval/Files.h"
#include <algorithm>
#include <filesystem>

namespace r1 {

namespace fs = std::filesystem;

static bool wild(std::string_view s) { return s.find_first_of("*?") != std::string_view::npos; }

static bool nameMatches(std::string_view p, std::string_view s) {
  if (p.empty())
    return s.empty();
  if (p[0] == '*')
    return nameMatches(p.substr(1), s) || (!s.empty() && nameMatches(p, s.substr(1)));
  return !s.empty() && (p[0] == '?' || p[0] == s[0]) && nameMatches(p.substr(1), s.substr(1));
}

static void expand(const fs::path &dir, std::vector<std::string> parts, size_t i,
                   std::vector<std::string> &out, size_t &budget) {
  std::error_code ec;
  if (i == parts.size()) {
    if (fs::is_regular_file(dir, ec))
      out.push_back(dir.string());
    return;
  }
  std::string_view p = parts[i];
  if (!wild(p)) {
    expand(dir.empty() ? fs::path(p) : dir / p, parts, i + 1, out, budget);
    return;
  }
  // `**.ext` and `**/x` descend; `**` alone as a step does too.
  bool deep = p.substr(0, 2) == "**";
  if (deep && i + 1 < parts.size())
    expand(dir, parts, i + 1, out, budget);
  std::string_view rest = deep ? p.substr(1) : p; // `**.jsonl` matches names as `*.jsonl`
  for (auto &e : fs::directory_iterator(dir.empty() ? "." : dir, ec)) {
    if (!budget || !--budget)
      return;
    std::string name = e.path().filename().string();
    if (name.empty() || name[0] == '.')
      continue;
    fs::path next = dir.empty() ? fs::path(name) : dir / name;
    if (deep && e.is_directory(ec))
      expand(next, parts, i, out, budget);
    if (nameMatches(rest, name) && (i + 1 < parts.size() || e.is_regular_file(ec)))
      expand(next, parts, i + 1, out, budget);
  }
}

std::vector<std::string> filesMatching(const std::string &pattern) {
  std::vector<std::string> parts, out;
  fs::path root = fs::path(pattern).is_absolute() ? "/" : "";
  for (auto &p : fs::path(pattern).relative_path())
    parts.push_back(p.string());
  size_t budget = 200'000;
  expand(root, parts, 0, out, budget);
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

bool reportMissing(Evaluator &ev, const std::string &pattern, Span span) {
  if (!filesMatching(pattern).empty())
    return true;
  // The deepest directory that exists, and what it has.
  std::error_code ec;
  fs::path dir = fs::path(pattern).is_absolute() ? "/" : ".", good = dir;
  std::string missing;
  for (auto &p : fs::path(pattern).relative_path()) {
    if (wild(p.string()) || !fs::is_directory(good / p, ec)) {
      missing = p.string();
      break;
    }
    good /= p;
  }
  bool isDir = fs::is_directory(pattern, ec);
  auto &d = ev.err("E0401", span,
                   isDir           ? "`" + pattern + "` is a directory, not a file"
                   : wild(pattern) ? "no file matches `" + pattern + "`"
                                   : "there is no file `" + pattern + "`");
  if (isDir) {
    d.help("\"" + (fs::path(pattern) / "**").string() + "\" means all files in it");
    return false;
  }
  std::vector<std::string> names;
  std::string list;
  for (auto &e : fs::directory_iterator(good, ec)) {
    std::string n = e.path().filename().string();
    if (n[0] != '.')
      names.push_back(n + (e.is_directory(ec) ? "/" : ""));
  }
  std::sort(names.begin(), names.end());
  for (size_t i = 0; i < names.size() && i < 8; ++i)
    list += (i ? " " : "") + names[i];
  if (names.size() > 8)
    list += " …";
  d.note("looked in " + good.string() + ", which " + (names.empty() ? "is empty" : "has: " + list));
  if (!missing.empty() && !wild(missing)) {
    std::vector<std::string> plain;
    for (auto &n : names)
      plain.push_back(n.back() == '/' ? n.substr(0, n.size() - 1) : n);
    if (auto near = nearest(missing, plain); !near.empty()) {
      std::string fixed = pattern;
      if (size_t at = fixed.find(missing); at != std::string::npos)
        fixed.replace(at, missing.size(), near);
      if (auto n = filesMatching(fixed).size())
        d.help("\"" + fixed + "\" matches " + std::to_string(n) + (n == 1 ? " file" : " files"),
               span, "\"" + fixed + "\"");
    }
  }
  return false;
}

} // namespace r1
