// The fields of a config.json, each checked as it is asked for.
#ifndef R1RT_CHECKPOINT_CONFIG_H
#define R1RT_CHECKPOINT_CONFIG_H
#include "runtime/Status.h"
#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace r1rt::checkpoint {

/// Reads fields until the first that is wrong, whose message `status` keeps; what comes after it is not looked at.
/// A field that is null counts as absent.
class Config {
public:
  explicit Config(const nlohmann::json &fields) : fields(fields) {}

  static constexpr int64_t most = 1 << 24; // of every size

  /// A count of 1 to `most`. Without it: `otherwise`, or an error if that is 0.
  int64_t count(const char *name, int64_t otherwise = 0);
  /// A finite number that is more than 0.
  double number(const char *name, double otherwise);
  bool flag(const char *name, bool otherwise);
  /// One of `known`; the first is what stands when it is absent.
  std::string word(const char *name, const std::vector<std::string> &known);
  /// The field is absent or has this value: whatever else it may say is not supported.
  void only(const char *name, const nlohmann::json &value);
  bool has(const char *name) const;
  /// A record within, or null.
  const nlohmann::json *record(const char *name);
  void wrong(const std::string &what); // keeps the first

  Status status;

private:
  const nlohmann::json &fields;
};

/// The word of `known` that is nearest to `word` by edit distance; "" if none is near.
std::string nearestWord(const std::string &word, const std::vector<std::string> &known);

/// A value of a file, fit for a message: as JSON, cut to some 60 characters.
std::string shown(const nlohmann::json &value);
/// A name of a file, fit for a message.
std::string shownName(std::string_view name);

} // namespace r1rt::checkpoint
#endif
