//===- Pack.h - rows of tokens and batches of them -------------------------===//
//
//   {"op":"pack","tok":{"stage":"tok"}|{"op":"bytes_tokenizer"},"seq":128,"separate":true,"in":...}
//
// Documents are tokenised into one stream of ids, with end of text before, between and after
// them. Each token of a document has a target, the first and the end included: the inputs of a
// document are end of text and its tokens, the targets its tokens and end of text. So the sum of
// the losses is the whole cost of the text, whatever the tokenizer. A row of a batch is a list of
// pieces of that stream; nothing is stored twice.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_DATA_PACK_H
#define R1RT_DATA_PACK_H
#include "runtime/data/Tokenizer.h"
#include "runtime/r1rt.h"

namespace r1rt {

struct PackedData {
  struct Piece {
    uint64_t begin; // in `ids`
    uint32_t length;
    bool goesOn; // ids[begin + length] is the target of its last token
  };
  int32_t seq = 0;
  std::vector<int32_t> ids;
  std::vector<Piece> pieces;
  std::vector<uint32_t> firstPiece; // rows + 1 entries: row r has [firstPiece[r], firstPiece[r+1])
  TokenizerPtr tokenizer;
  uint64_t textBytes = 0, documents = 0;

  uint32_t rows() const { return uint32_t(firstPiece.size()) - 1; }
  /// Tokens of a row that have a target.
  uint64_t targets(uint32_t row) const;

  /// One row: id, pos, seg, target i32[seq] and mask (1 byte)[seq]. `row` = noRow: all padding.
  /// id and target of padding are the tokenizer's padding, pos 0, seg -1, mask 0. Null pointers
  /// are left out.
  static constexpr uint32_t noRow = ~uint32_t(0);
  void fill(uint32_t row, int32_t *id, int32_t *pos, int32_t *seg, int32_t *target,
            uint8_t *mask) const;
};
using PackedPtr = std::shared_ptr<const PackedData>;

/// Cuts and packs documents. separate: best fit, documents in a row differ in seg and start at
/// pos 0; else one stream, seg 0.
Result<PackedPtr> packDocuments(const Corpus &corpus, TokenizerPtr tok, int32_t seq, bool separate);

/// Opens a tree whose root is "pack".
Result<PackedPtr> openPacked(const nlohmann::json &tree, DataContext &ctx);

/// Fills the inputs of a program with rows: leaves x.id, x.pos, x.seg, target, mask of shape [B,
/// T].
class Batcher {
public:
  /// Checks names, types, shapes and bounds once, so that filling needs no checks.
  static Result<Batcher> create(PackedPtr data, const r1_program &program);

  /// Rows of one batch.
  int64_t batch() const { return rows; }
  /// rowAt(b) for b in 0..batch-1 names the rows. Returns the number of targets in the batch.
  uint64_t fill(char *arena, const std::function<uint32_t(int64_t)> &rowAt) const;

private:
  PackedPtr data;
  int64_t rows = 0;
  uint64_t offsets[5] = {}; // id, pos, seg, target, mask
  bool present[5] = {};
};

} // namespace r1rt
#endif
