//===- Spans.h - named entities found: F1 of spans ----------------------------===//
#ifndef R1RT_METRICS_SPANS_H
#define R1RT_METRICS_SPANS_H
#include "runtime/metrics/Classification.h"

namespace r1rt::metrics {

/// A maximal run of tokens [begin, end) of one type.
struct Span {
  std::string type;
  size_t begin, end;
  auto operator<=>(const Span &) const = default;
};

/// The spans of a sequence of IOB2 tags: "O", "B-TYPE", "I-TYPE"; "B" and "I" alone are of the type "_".
/// As conlleval (and seqeval by default) reads them, an I that continues nothing begins a span; strictly
/// (seqeval's mode "strict" with its scheme IOB2) such an I is no span. Errors: another tag, by its place.
Result<std::vector<Span>> spansOf(std::span<const std::string> tags, bool strict);

/// F1, precision or recall of spans, which are right when type, begin and end are: seqeval's. A document is a
/// sequence. Types are those that occur as a span of either; of none the metric is 0. Statistics: per type, in
/// order of name, spans found, then of these right, then spans that are there. Errors: numbers of sequences or
/// of tags that differ; bad tags.
Result<Measured> spans(std::span<const std::vector<std::string>> truths,
                       std::span<const std::vector<std::string>> predicted, ClassMetric metric = ClassMetric::f1,
                       Average average = Average::micro, bool strict = false);

} // namespace r1rt::metrics
#endif
