// Paths of parameters and child models, and patterns that select them.
#include "compiler/eval/Models.h"
#include <algorithm>

namespace r1 {

std::string pathText(const Path &p) {
  std::string s;
  for (auto &x : p) {
    s += (s.empty() ? "" : ".") + x.name;
    if (x.index >= 0)
      s += "[" + std::to_string(x.index) + "]";
  }
  return s;
}

Path parsePath(const std::string &text, const std::map<std::string, int64_t> &sizes) {
  Path path;
  std::string upTo;
  for (size_t at = 0; at <= text.size();) {
    size_t end = std::min(text.find('.', at), text.size());
    std::string step = text.substr(at, end - at);
    PathStep s;
    size_t open = step.find('[');
    s.name = step.substr(0, open);
    upTo += (upTo.empty() ? "" : ".") + s.name;
    if (open != std::string::npos) {
      s.index = std::atoll(step.c_str() + open + 1);
      auto it = sizes.find(upTo);
      s.count = it == sizes.end() ? 0 : it->second;
      upTo += step.substr(open);
    }
    path.push_back(std::move(s));
    at = end + 1;
  }
  return path;
}

namespace {

// One step of a pattern: a name, `*`, `**`, `{a,b}`, with [i], [*], [a..b].
struct PatternStep {
  std::vector<std::string> names; // empty: any
  bool deep = false, indexed = false, anyIndex = false, hasLo = false, hasHi = false, one = false;
  int64_t lo = 0, hi = 0;
};

bool parsePattern(std::string_view s, std::vector<PatternStep> &out, std::string &why) {
  size_t i = 0;
  auto word = [&](std::string &w) {
    while (i < s.size() && (std::isalnum((unsigned char)s[i]) || s[i] == '_'))
      w += s[i++];
    return !w.empty();
  };
  auto number = [&](int64_t &n) {
    size_t start = i;
    if (i < s.size() && s[i] == '-')
      ++i;
    while (i < s.size() && std::isdigit((unsigned char)s[i]))
      ++i;
    if (i == start)
      return false;
    n = std::atoll(std::string(s.substr(start, i - start)).c_str());
    return true;
  };
  while (true) {
    PatternStep p;
    if (s.substr(i, 2) == "**") {
      p.deep = true;
      i += 2;
    } else if (i < s.size() && s[i] == '*') {
      ++i;
    } else if (i < s.size() && s[i] == '{') {
      ++i;
      while (true) {
        std::string w;
        while (i < s.size() && s[i] == ' ')
          ++i;
        if (!word(w))
          break;
        p.names.push_back(w);
        if (i < s.size() && s[i] == ',')
          ++i;
        else
          break;
      }
      if (i >= s.size() || s[i] != '}' || p.names.empty()) {
        why = "`{` needs names and a closing `}`";
        return false;
      }
      ++i;
    } else {
      std::string w;
      if (!word(w)) {
        why = "a name, `*`, `**` or `{a,b}` is expected at column " + std::to_string(i + 1);
        return false;
      }
      p.names.push_back(w);
    }
    if (i < s.size() && s[i] == '[') {
      ++i;
      p.indexed = true;
      if (i < s.size() && s[i] == '*') {
        ++i;
        p.anyIndex = true;
      } else {
        p.hasLo = number(p.lo);
        if (s.substr(i, 2) == "..") {
          i += 2;
          p.hasHi = number(p.hi);
        } else {
          p.one = p.hasLo;
        }
      }
      if (i >= s.size() || s[i] != ']') {
        why = "`[` needs an index, `*` or a range, and a closing `]`";
        return false;
      }
      ++i;
    }
    out.push_back(p);
    if (i == s.size())
      return true;
    if (s[i] != '.') {
      why = "`.` is expected at column " + std::to_string(i + 1);
      return false;
    }
    ++i;
  }
}

bool stepMatches(const PatternStep &p, const PathStep &x) {
  if (!p.names.empty() && std::find(p.names.begin(), p.names.end(), x.name) == p.names.end())
    return false;
  if (!p.indexed)
    return x.index < 0 || p.names.empty();
  if (x.index < 0)
    return false;
  if (p.anyIndex)
    return true;
  int64_t lo = p.hasLo ? (p.lo < 0 ? p.lo + x.count : p.lo) : 0;
  int64_t hi = p.one ? lo + 1 : p.hasHi ? (p.hi < 0 ? p.hi + x.count : p.hi) : x.count;
  return x.index >= lo && x.index < hi;
}

bool matches(const std::vector<PatternStep> &p, size_t i, const Path &x, size_t k) {
  if (i == p.size())
    return k == x.size();
  if (p[i].deep) {
    for (size_t n = k; n <= x.size(); ++n)
      if (matches(p, i + 1, x, n))
        return true;
    return false;
  }
  return k < x.size() && stepMatches(p[i], x[k]) && matches(p, i + 1, x, k + 1);
}

} // namespace

bool matchPath(std::string_view pattern, const Path &path, std::string &why) {
  std::vector<PatternStep> p;
  if (!parsePattern(pattern, p, why))
    return false;
  return matches(p, 0, path, 0);
}

} // namespace r1
