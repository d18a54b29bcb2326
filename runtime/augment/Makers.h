//===- Makers.h - the kinds of augmenters, and their parameters --------------===//
#ifndef R1RT_AUGMENT_MAKERS_H
#define R1RT_AUGMENT_MAKERS_H
#include "runtime/augment/Augment.h"
#include <vector>

namespace r1rt::augment {

using Made = Result<std::unique_ptr<Augmenter>>;

Made makeSynonyms(const nlohmann::json &spec, const std::string &baseDir);
Made makeTypos(const nlohmann::json &spec, const std::string &baseDir);
Made makeBackTranslate(const nlohmann::json &spec, const std::string &baseDir);

/// Parameters of a spec; errors name the kind, the parameter and what was found.
Result<double> numberOf(const nlohmann::json &spec, const char *name, double low, double high);
Result<std::string> textOf(const nlohmann::json &spec, const char *name);

/// Which of n places are changed: each by its own draw with the probability `rate`; if that is none, the
/// one whose draw was the lowest. Ascending; n >= 1. Draws of purpose 0 of Philox are used up.
std::vector<size_t> drawPlaces(size_t n, double rate, uint64_t draw);
struct Change {
  size_t begin, end; // bytes of the text
  std::string by;
};
/// The text with the changes, which ascend; `evidence` becomes {"changed": 12, "first": [["big", "large"],
/// …]}, at most eight pairs.
std::string changed(std::string_view text, const std::vector<Change> &changes, std::string &evidence);

/// `path`, relative to `baseDir` unless absolute.
std::string under(const std::string &baseDir, const std::string &path);

} // namespace r1rt::augment
#endif
