//===- Action.h - what becomes of a text with something found in it --------===//
#ifndef R1RT_TEXT_ACTION_H
#define R1RT_TEXT_ACTION_H
#include "runtime/text/Rule.h"

namespace r1rt::text {

struct Match {
  size_t begin, end; // bytes
};

/// The parameters `action` and `with`.
struct Action {
  enum Kind { drop, cut, mask } kind = drop;
  std::string with; // in the place of what is masked

  /// `byDefault` masks where `with` is none.
  static Action read(Params &p, const std::string &byDefault);
  /// `matches` do not overlap, are in order, and none is empty. Lines that have a part of a match are cut.
  Finding apply(const std::string &reason, const std::vector<Match> &matches, std::string &text) const;
};

} // namespace r1rt::text
#endif
