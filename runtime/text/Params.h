//===- Params.h - the parameters of a rule, read from JSON -----------------===//
#ifndef R1RT_TEXT_PARAMS_H
#define R1RT_TEXT_PARAMS_H
#include "runtime/Status.h"
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace r1rt::text {

/// Each reader names what it reads and gives a value of no meaning when that is missing or wrong; the
/// first such error is kept for `finish`.
class Params {
public:
  /// `where` begins each message: "rule 2 (c4)".
  Params(const nlohmann::json &object, std::string where, std::string baseDir);

  std::string text(const char *name);
  std::string oneOf(const char *name, const std::vector<std::string> &values);
  bool flag(const char *name);
  std::vector<std::string> texts(const char *name);
  // none (null) switches these off.
  std::optional<std::string> optionalText(const char *name);
  std::optional<uint64_t> count(const char *name);
  std::optional<double> number(const char *name, double least, double most);
  std::optional<double> share(const char *name) { return number(name, 0, 1); }

  /// The lines of a file that a parameter names, without white space at their ends, empty ones left out.
  std::vector<std::string> linesOf(const char *name, const std::string &path);
  std::string resolve(const std::string &path) const;

  /// An error about a parameter; the first one counts.
  void fail(const std::string &name, const std::string &message);
  bool failed() const { return !status.isOk(); }
  /// The first error, or one about a parameter that nobody has read.
  Status finish();

private:
  const nlohmann::json *find(const char *name);
  void expected(const char *name, const nlohmann::json &found, const std::string &what);

  const nlohmann::json &object;
  std::string where, baseDir;
  std::set<std::string> known;
  Status status;
};

/// "a", "b" or "c"
std::string listed(const std::vector<std::string> &values);

} // namespace r1rt::text
#endif
