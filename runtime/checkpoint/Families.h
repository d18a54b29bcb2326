// The architectures that are known: from a config to a model of the library and back, and which tensor holds
// which parameter. What differs between two families stands in a table here and nowhere else.
#ifndef R1RT_CHECKPOINT_FAMILIES_H
#define R1RT_CHECKPOINT_FAMILIES_H
#include "runtime/checkpoint/Checkpoint.h"
#include <optional>

namespace r1rt::checkpoint {

/// How a tensor of a file holds a parameter of ours, whose matrices are [in, out].
enum class Layout {
  same,
  transposed, // the file has [out, in]
  first,      // the first, second, last third of its columns
  second,
  third,
};

/// `*` is the number of a layer. A tensor that begins with ^ stands outside of the prefix that whole models
/// put before the names of their trunk ("model.", "transformer.", "bert.").
struct Rule {
  const char *leaf, *tensor;
  Layout layout;
};
/// A tensor that is no parameter: a buffer, part of another task's head (copyOf null), or a copy.
struct Spare {
  const char *tensor, *copyOf;
};

struct Family {
  const char *prefix; // of the trunk in a whole model
  const char *anchor; // a tensor that every trunk has
  std::vector<Rule> rules;
  std::vector<Spare> spares;
};

/// Of the `model_type` of a description.
const Family &familyOf(const std::string &type);

/// The pattern of a rule as the names of a file have it: without ^, with the prefix where it belongs.
std::string fullPattern(const char *pattern, const std::string &prefix);
/// `*` replaced by the number of a layer.
std::string numbered(std::string pattern, int64_t layer);
/// The number that `*` stands for (-1 if the pattern has none); none if the name does not fit.
std::optional<int64_t> layerOf(std::string_view pattern, std::string_view name);

/// The rule of a leaf, and the number of its layer; none if the leaf has no counterpart. A leaf of an encoder under a
/// head (`isBody`) goes without "body.".
struct Found {
  const Rule *rule = nullptr;
  int64_t layer = -1;
};
std::optional<Found> ruleOf(const Family &family, std::string_view leaf, bool isBody);

/// A config.json (as far as it says what the model is) and the family of a model of the library.
struct Written {
  std::string type;
  nlohmann::ordered_json config;
  bool generates = false; // it has a generation_config.json
};
Result<Written> configOf(const std::string &model, const nlohmann::ordered_json &args, int64_t positions);

} // namespace r1rt::checkpoint
#endif
