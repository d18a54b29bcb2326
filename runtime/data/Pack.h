//===- Pack.h - rows of tokens and batches of them -------------------------===//
//
//   {"op":"pack","tok":{"stage":"tok"}|{"op":"bytes_tokenizer"},"seq":128,"separate":true,"in":...}
//
// Documents are tokenised into one stream of ids, with end of text before, between and after
// them. Each token of a document has a target, the first and the end included: the inputs of a
// document are end of text and its tokens, the targets its tokens and end of text. So the sum of
// the losses is the whole cost of the text, whatever the tokenizer. A row of a batch is a list of
// pieces of that stream; nothing is stored twice. `pad` and `label` (Label.h) make rows of one document.
//
//   {"op":"masked","rate":0.15,"token":"<mask>","seed":0,"in":pack or pad}
//
// hides tokens for the model to find (Devlin et al., 2019): the target of a place is its own token, and
// those count that were drawn. Rows are masked where they are put into a batch, differently each time.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_DATA_PACK_H
#define R1RT_DATA_PACK_H
#include "runtime/data/Tokenizer.h"
#include "runtime/r1rt.h"
#include <map>

namespace r1rt {

struct PackedData {
  struct Piece {
    uint64_t begin; // in `ids`
    uint32_t length;
    bool goesOn; // ids[begin + length] is the target of its last token
    bool joins = false; // it goes on with the document of the piece before it: same seg, pos counts on
  };
  /// Each place of a document but end of text is chosen with the probability `rate`; of those chosen 80 %
  /// become `token`, 10 % an id drawn from the whole vocabulary, 10 % stay as they are.
  struct Masking {
    double rate = 0; // 0: none
    int32_t token = 0;
    uint64_t key = 0;
  };
  /// Rows [first, first + rows) come from one source of an `interleave`.
  struct Source {
    std::string name;
    uint32_t first, rows;
  };
  int32_t seq = 0;
  std::vector<int32_t> buckets; // lengths that rows are padded to, ascending, the last is seq; empty: seq alone
  std::vector<int32_t> ids;
  std::vector<Piece> pieces;
  std::vector<uint32_t> firstPiece; // rows + 1 entries: row r has [firstPiece[r], firstPiece[r+1])
  TokenizerPtr tokenizer;
  uint64_t textBytes = 0, documents = 0;
  bool left = false;           // padding stands on the left
  std::vector<int32_t> labels; // of rows, each below `classes`; empty: the targets are tokens, or `tags`
  std::vector<int32_t> tags;   // of ids, each below `classes`, -1: no target; empty: there are none
  std::vector<uint8_t> trained; // of ids: 1 where one is to be predicted; empty: everywhere
  int32_t classes = 0;
  std::vector<std::string> classNames; // [classes], or empty: they are numbers
  Masking masking;
  std::shared_ptr<const PackedData> source; // of pairs (Pairs.h): the texts that belong to these, row for row
  std::vector<Source> sources; // of an `interleave`, in the order of their rows; else empty
  uint64_t truncated = 0, cutTokens = 0; // documents that did not fit their row, and what was left out
  uint64_t repaired = 0;                 // tags that began no span and now do
  /// A word with a class of which its row has no token that could have it, since it was cut off or has none.
  struct MissedWord {
    uint32_t row, place; // the word's place among the row's words
    int32_t tag;
  };
  std::vector<MissedWord> missed; // by row and place
  std::map<std::string, uint64_t> leftOut; // rows of which nothing became, by the reason

  uint32_t rows() const { return uint32_t(firstPiece.size()) - 1; }
  /// Tokens of a row that have a target; of rows with labels all tokens.
  uint64_t targets(uint32_t row) const;
  /// Tokens of a row, padding aside, and the share of all places that is padding.
  uint64_t tokens(uint32_t row) const;
  double padding() const;
  size_t bucketCount() const { return std::max<size_t>(buckets.size(), 1); }
  /// The number of the shortest bucket that holds the row, and the length of a bucket.
  size_t bucketOf(uint32_t row) const;
  int32_t lengthOf(size_t bucket) const { return buckets.empty() ? seq : buckets[bucket]; }
  /// What is in each bucket.
  struct Bucket {
    uint64_t rows = 0, tokens = 0;
  };
  std::vector<Bucket> perBucket() const;
  /// "3 rows left out (2 no text, 1 tools)"; empty: none was.
  std::string leftOutText() const;
  /// For manifests: {"rows", "tokens", "padding", "truncated", "cut_tokens"}, where it applies "repaired",
  /// "missed_words", "left_out": {reason: rows}, and of rows with buckets
  /// "buckets": [{"len", "rows", "tokens", "padding"}, …].
  nlohmann::json shape() const;
  /// The same for people: "1000 rows of 64 tokens, 23.4 % padding; 12 documents cut (345 tokens)".
  std::string shapeText() const;

  /// One row of `length` places, which hold it (0: of seq): id, pos, seg, target i32[length] and mask
  /// (1 byte)[length]. `row` = noRow: all padding. id and target of padding are the tokenizer's padding (the
  /// target of what has no tag is class 0), pos 0, seg -1, mask 0. Null pointers are left out. What is
  /// masked is a function of `draw` and the place.
  static constexpr uint32_t noRow = ~uint32_t(0);
  void fill(uint32_t row, int32_t *id, int32_t *pos, int32_t *seg, int32_t *target,
            uint8_t *mask, uint64_t draw = 0, int32_t length = 0) const;
};
using PackedPtr = std::shared_ptr<const PackedData>;

/// Cuts and packs documents. separate: best fit, documents in a row differ in seg and start at
/// pos 0; else one stream, seg 0.
Result<PackedPtr> packDocuments(const Corpus &corpus, TokenizerPtr tok, int32_t seq, bool separate);

/// Makes the rows of `out`, which has `seq`: `rows`, and the pieces of `rest`, each of seq tokens at most, by best
/// fit, longest first: into the row with the least room that is enough; of equal ones the first.
void bestFit(PackedData &out, std::vector<std::vector<PackedData::Piece>> rows, std::vector<PackedData::Piece> rest);

/// Opens a tree whose root makes rows of tokens: "pack", "chat", "masked", "interleave", or those of Label.h.
Result<PackedPtr> openPacked(const nlohmann::json &tree, DataContext &ctx);
/// Does this op fit each document to a row, so that PackedData::shapeText tells what was cut and padded?
bool tellsShape(const std::string &op);

/// Fills the inputs of a program with rows: leaves x.id, x.pos, x.seg, target, mask of shape [B,
/// T]; of rows with labels target and mask are [B], and last [B] is the place of a row's last token.
class Batcher {
public:
  /// Checks names, types, shapes and bounds once, so that filling needs no checks. The program is that of
  /// a bucket, by default of the longest: only its rows may be filled in.
  static Result<Batcher> create(PackedPtr data, const r1_program &program);
  static Result<Batcher> create(PackedPtr data, const r1_program &program, size_t bucket);

  /// Rows of one batch.
  int64_t batch() const { return rows; }
  /// rowAt(b) for b in 0..batch-1 names the rows. Returns the number of targets in the batch. Masks are
  /// drawn for firstDraw + b: in training that is the row's place in the whole run.
  uint64_t fill(char *arena, const std::function<uint32_t(int64_t)> &rowAt, uint64_t firstDraw = 0) const;

private:
  PackedPtr data;
  int64_t rows = 0;
  int32_t seq = 0; // tokens of a row
  static constexpr int leaves = 9; // x.id, x.pos, x.seg, target, mask, last, source.id, source.pos, source.seg
  uint64_t offsets[leaves] = {};
  bool present[leaves] = {};
};

} // namespace r1rt
#endif
