#include "runtime/source/Globs.h"
#include <algorithm>
#include <filesystem>
#include <fnmatch.h>

namespace r1rt::source {

namespace fs = std::filesystem;

static bool isPattern(const std::string &s) { return s.find_first_of("*?[") != s.npos; }

/// The names in a directory, sorted; none if it cannot be read.
static std::vector<std::string> namesIn(const std::string &dir) {
  std::vector<std::string> names;
  std::error_code ec;
  for (fs::directory_iterator it(dir, ec), end; !ec && it != end; it.increment(ec))
    names.push_back(it->path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

/// "`DIR` holds a, b, c and 5 more", of the innermost directory above `path` that exists.
static std::string whatIsThere(const std::string &path) {
  std::error_code ec;
  fs::path dir = path;
  do
    dir = dir.parent_path();
  while (!dir.empty() && dir.has_relative_path() && !fs::is_directory(dir, ec));
  if (dir.empty())
    dir = ".";
  std::vector<std::string> names = namesIn(dir.string());
  if (names.empty())
    return "`" + dir.string() + "` is empty or cannot be read";
  std::string text = "`" + dir.string() + "` holds ";
  for (size_t i = 0; i < names.size() && i < 8; ++i)
    text += (i ? ", " : "") + names[i];
  if (names.size() > 8)
    text += " and " + std::to_string(names.size() - 8) + " more";
  return text;
}

/// Appends the files below `dir` (with a / at its end, or empty) that parts[i...] match.
static void match(const std::string &dir, const std::vector<std::string> &parts, size_t i,
                  std::vector<std::string> &out) {
  std::error_code ec;
  const std::string &part = parts[i];
  bool last = i + 1 == parts.size();
  auto go = [&](const std::string &name) {
    if (last && fs::is_regular_file(dir + name, ec))
      out.push_back(dir + name);
    else if (!last && fs::is_directory(dir + name, ec))
      match(dir + name + "/", parts, i + 1, out);
  };
  if (part == "**") {
    if (last) { // all files below
      std::vector<std::string> any = {"**", "*"};
      return match(dir, any, 0, out);
    }
    match(dir, parts, i + 1, out);
    for (const std::string &name : namesIn(dir.empty() ? "." : dir))
      if (name[0] != '.' && fs::is_directory(fs::symlink_status(dir + name, ec)))
        match(dir + name + "/", parts, i, out);
  } else if (!isPattern(part)) {
    go(part);
  } else {
    for (const std::string &name : namesIn(dir.empty() ? "." : dir))
      if (fnmatch(part.c_str(), name.c_str(), FNM_PERIOD) == 0)
        go(name);
  }
}

Result<std::vector<std::string>> expandGlobs(const std::vector<std::string> &patterns,
                                             const std::string &baseDir) {
  std::vector<std::string> out;
  for (const std::string &pattern : patterns) {
    if (pattern.empty())
      return Status::error("the name of a file is empty", ExitClass::program);
    std::string full = pattern[0] == '/' || baseDir.empty() ? pattern : baseDir + "/" + pattern;
    std::error_code ec;
    if (fs::is_directory(full, ec))
      return Status::error("`" + full + "` is a directory; `" + full +
                           "/*` names the files in it, `" + full + "/**` those below, too");
    if (fs::exists(full, ec)) {
      out.push_back(full);
      continue;
    }
    if (!isPattern(full))
      return Status::error("there is no file `" + full + "`; " + whatIsThere(full));
    std::vector<std::string> parts;
    for (size_t from = full[0] == '/'; from <= full.size();) {
      size_t to = std::min(full.find('/', from), full.size());
      std::string part = full.substr(from, to - from);
      if (part.size() > 2 && part.starts_with("**")) { // **.txt is **/*.txt
        parts.push_back("**");
        part.erase(0, 1);
      }
      if (to > from)
        parts.push_back(std::move(part));
      from = to + 1;
    }
    size_t before = out.size();
    match(full[0] == '/' ? "/" : "", parts, 0, out);
    if (out.size() == before) {
      // What is there in the folder above the first wildcard.
      size_t wild = full.find_first_of("*?[");
      return Status::error("no file matches `" + full + "`; " +
                           whatIsThere(full.substr(0, wild + 1)));
    }
  }
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

} // namespace r1rt::source
