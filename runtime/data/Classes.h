//===- Classes.h - the classes that labels name ------------------------------===//
#ifndef R1RT_DATA_CLASSES_H
#define R1RT_DATA_CLASSES_H
#include "runtime/Status.h"
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace r1rt {

/// Numbers of classes, from their names or from 0 to C - 1.
class Classes {
public:
  /// From the number of classes or a list of their names, each once.
  static Result<Classes> of(const nlohmann::json &spec);
  int32_t size() const { return int32_t(count); }
  /// [size()], or empty: they are numbers.
  const std::vector<std::string> &names() const { return ordered; }

  /// The class that a row's label names: of tables and hand-made files numbers come as text, too. Numbers of
  /// classes that have names are no names. The error tells the label and the classes.
  Result<int32_t> find(const nlohmann::json &label) const;
  /// The class of a name; -1: there is none.
  int32_t named(const std::string &name) const;

private:
  std::string list() const;
  int64_t count = 0;
  std::map<std::string, int64_t> byName;
  std::vector<std::string> ordered;
};

} // namespace r1rt
#endif
