//===- Label.h - one document per row, with or without a label ---------------===//
//
//   {"op":"pad","tok":T,"len":128,"cut":"tail"|"head"|"middle","side":"right"|"left","in":tree}
//   {"op":"label", the same, "classes": C | [NAME…]}
//
// A row is end of text and the tokens of one document, padded to `len`, or to the shortest of "buckets":
// [64,…,len] that holds it. Of a longer document its tail, its head or its middle is left out, which is
// counted. `side` is where the padding stands. With "each": "token" the words have a class each: TokenLabel.h.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_DATA_LABEL_H
#define R1RT_DATA_LABEL_H
#include "runtime/data/Pack.h"

namespace r1rt {

struct TaggedText; // TokenLabel.h

/// Leaves out of more than `room` tokens the "tail", the "head" or the "middle", as the rows of DocumentRows do.
void cutTokens(std::vector<int32_t> &ids, int64_t room, std::string_view cut);

/// Appends documents to a PackedData as rows of their own.
class DocumentRows {
public:
  /// `data` is empty; its `seq` and `tokenizer` are set. `spec` has "cut" and "side", perhaps "buckets". With
  /// `targets` the token after each token that is kept is known to the row, but where the middle was cut out.
  static Result<DocumentRows> create(std::shared_ptr<PackedData> data, const nlohmann::json &spec,
                                     bool targets);
  /// False, and counted in the data's `leftOut`: the text has no token, and there is no end of text to stand for it; nothing is added.
  bool add(std::string_view text);
  /// A document whose words have classes, without `targets`. Either all documents have some or none has. Words
  /// whose first token is cut off are in the data's `missed`.
  bool add(const TaggedText &tagged);
  /// Forgets the rows, not what was counted.
  void clear();

private:
  bool place(uint64_t inputs, uint64_t textBytes);
  /// Of `ids`, those that place() has left in the row.
  std::vector<std::pair<uint64_t, uint64_t>> kept;
  enum class Cut { tail, head, middle };
  DocumentRows(std::shared_ptr<PackedData> data, Cut cut, bool targets)
      : data(std::move(data)), cut(cut), targets(targets) {}

  std::shared_ptr<PackedData> data;
  Cut cut;
  bool targets;
  std::vector<int32_t> ids, tags; // of one document
};

/// Opens a tree whose root is "pad" or "label". A label outside the classes is an error that names the
/// row and the label.
Result<std::shared_ptr<PackedData>> readDocuments(const nlohmann::json &tree, DataContext &ctx);

} // namespace r1rt
#endif
