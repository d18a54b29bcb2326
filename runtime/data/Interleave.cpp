#include "runtime/data/Interleave.h"

namespace r1rt {

using nlohmann::json;

/// What two sources have to share, for people.
static std::string kindOf(const PackedData &d) {
  std::string s = "rows of " + std::to_string(d.seq) + " tokens, padded on the " + (d.left ? "left" : "right") +
                  ", of a vocabulary of " + std::to_string(d.tokenizer->vocab()) + ", end of text " +
                  std::to_string(d.tokenizer->endOfText()) + ", padding " + std::to_string(d.tokenizer->padding());
  if (!d.labels.empty() || !d.tags.empty())
    s += ", with " + std::to_string(d.classes) + " classes" + (d.tags.empty() ? "" : " of tokens");
  return s;
}

Result<std::shared_ptr<PackedData>> readInterleaved(const json &tree, DataContext &ctx) {
  const json trees = tree.value("sources", json::object());
  auto out = std::make_shared<PackedData>();
  out->firstPiece.push_back(0);
  for (auto &[name, part] : trees.items()) {
    auto opened = openPacked(part, ctx);
    if (!opened)
      return opened.status().withContext("source `" + name + "`");
    const PackedData &p = **opened;
    if (p.masking.rate > 0 || !p.sources.empty())
      return Status::error("source `" + name + "` is masked or interleaved already; help: interleave first",
                           ExitClass::program);
    if (!p.buckets.empty())
      return Status::error("source `" + name + "` has rows of several lengths; help: leave `buckets` out",
                           ExitClass::program);
    if (out->sources.empty()) {
      out->seq = p.seq;
      out->tokenizer = p.tokenizer;
      out->left = p.left;
      out->classes = p.classes;
      out->classNames = p.classNames;
    } else if (kindOf(*out) != kindOf(p)) {
      return Status::error("source `" + name + "` has " + kindOf(p) + "; `" + out->sources[0].name + "` has " +
                               kindOf(*out) + "; help: make the rows of both alike",
                           ExitClass::program);
    }
    if (p.rows() >= PackedData::noRow - out->rows() || p.pieces.size() >= UINT32_MAX - out->pieces.size())
      return Status::error("the sources up to `" + name + "` have more than " +
                           std::to_string(PackedData::noRow - 1) + " rows or parts of rows");
    out->sources.push_back({name, out->rows(), p.rows()});
    const uint64_t ids = out->ids.size();
    const uint32_t pieces = uint32_t(out->pieces.size());
    out->ids.insert(out->ids.end(), p.ids.begin(), p.ids.end());
    for (PackedData::Piece x : p.pieces) {
      x.begin += ids;
      out->pieces.push_back(x);
    }
    for (size_t r = 1; r < p.firstPiece.size(); ++r)
      out->firstPiece.push_back(pieces + p.firstPiece[r]);
    out->labels.insert(out->labels.end(), p.labels.begin(), p.labels.end());
    out->tags.insert(out->tags.end(), p.tags.begin(), p.tags.end());
    out->textBytes += p.textBytes;
    out->documents += p.documents;
    out->truncated += p.truncated;
    out->cutTokens += p.cutTokens;
    out->repaired += p.repaired;
    for (PackedData::MissedWord m : p.missed) {
      m.row += out->sources.back().first;
      out->missed.push_back(m);
    }
    for (auto &[reason, n] : p.leftOut)
      out->leftOut[reason] += n;
  }
  if (out->sources.empty())
    return Status::error("`interleave` has no sources", ExitClass::program);
  return out;
}

} // namespace r1rt
