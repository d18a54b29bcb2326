#include "runtime/data/Pack.h"
#include "runtime/device/Executor.h"
#include <algorithm>
#include <numeric>
#include <set>

namespace r1rt {

using nlohmann::json;

uint64_t PackedData::targets(uint32_t row) const {
  uint64_t n = 0;
  if (row != noRow)
    for (uint32_t p = firstPiece[row]; p < firstPiece[row + 1]; ++p)
      n += pieces[p].length - !pieces[p].goesOn;
  return n;
}

void PackedData::fill(uint32_t row, int32_t *id, int32_t *pos, int32_t *seg, int32_t *target,
                      uint8_t *mask) const {
  const int32_t pad = tokenizer->padding();
  int32_t at = 0;
  auto put = [&](int32_t i, int32_t p, int32_t s, int32_t t, bool m) {
    if (id)
      id[at] = i;
    if (pos)
      pos[at] = p;
    if (seg)
      seg[at] = s;
    if (target)
      target[at] = t;
    if (mask)
      mask[at] = m;
    ++at;
  };
  if (row != noRow)
    for (uint32_t p = firstPiece[row]; p < firstPiece[row + 1]; ++p) {
      const Piece &x = pieces[p];
      const int32_t *from = ids.data() + x.begin;
      for (uint32_t k = 0; k < x.length; ++k) {
        bool has = k + 1 < x.length || x.goesOn;
        put(from[k], int32_t(k), int32_t(p - firstPiece[row]), has ? from[k + 1] : pad, has);
      }
    }
  while (at < seq)
    put(pad, 0, -1, pad, false);
}

Result<PackedPtr> packDocuments(const Corpus &corpus, TokenizerPtr tok, int32_t seq,
                                bool separate) {
  if (seq < 1)
    return Status::error("pack needs rows of at least one token; `seq` is " + std::to_string(seq),
                         ExitClass::program);
  auto out = std::make_shared<PackedData>();
  out->seq = seq;
  out->tokenizer = tok;
  // One end of text between documents serves both: it is the first input of the one after it and
  // the last target of the one before.
  const bool marked = tok->endOfText() >= 0;
  std::vector<std::pair<uint64_t, uint64_t>> documents; // inputs [begin, end) in ids
  if (marked)
    out->ids.push_back(tok->endOfText());
  for (const Row &r : corpus.rows) {
    uint64_t begin = out->ids.size();
    tok->encode(r.text, out->ids);
    if (out->ids.size() == begin)
      continue;
    out->textBytes += r.text.size();
    documents.push_back({begin - marked, out->ids.size()});
    if (marked)
      out->ids.push_back(tok->endOfText());
  }
  if (documents.empty())
    return Status::error("there is no text to pack");
  out->documents = documents.size();
  if (!separate)
    documents.assign(1, {0, documents.back().second});

  // Pieces of whole rows stand alone; the ends of documents share rows.
  std::vector<std::vector<PackedData::Piece>> rows;
  std::vector<PackedData::Piece> rest;
  const uint64_t T = uint64_t(seq);
  for (auto [begin, end] : documents)
    for (uint64_t at = begin; at < end; at += T) {
      PackedData::Piece p{at, uint32_t(std::min(T, end - at)), marked || at + T < end};
      if (p.length == T)
        rows.push_back({p});
      else
        rest.push_back(p);
    }
  // Best fit, longest first: into the row with the least room that is enough; of equal ones the
  // first. byRoom[r] holds the rows with room for r more tokens.
  std::sort(rest.begin(), rest.end(), [](auto &a, auto &b) {
    return a.length != b.length ? a.length > b.length : a.begin < b.begin;
  });
  std::vector<std::set<uint32_t>> byRoom(T + 1);
  std::set<uint32_t> rooms; // r with byRoom[r] not empty
  for (const PackedData::Piece &p : rest) {
    auto it = rooms.lower_bound(p.length);
    uint32_t row, room;
    if (it == rooms.end()) {
      row = uint32_t(rows.size());
      room = uint32_t(T);
      rows.emplace_back();
    } else {
      room = *it;
      row = *byRoom[room].begin();
      byRoom[room].erase(byRoom[room].begin());
      if (byRoom[room].empty())
        rooms.erase(it);
    }
    rows[row].push_back(p);
    room -= p.length;
    if (room) {
      byRoom[room].insert(row);
      rooms.insert(room);
    }
  }
  out->firstPiece.push_back(0);
  for (auto &row : rows) {
    out->pieces.insert(out->pieces.end(), row.begin(), row.end());
    out->firstPiece.push_back(uint32_t(out->pieces.size()));
  }
  return PackedPtr(out);
}

Result<PackedPtr> openPacked(const json &tree, DataContext &ctx) {
  try {
    if (!tree.is_object() || tree.value("op", "") != "pack" || !tree.contains("in") ||
        !tree.contains("tok"))
      return Status::error("rows of tokens are needed here: the data must end in `pack`",
                           ExitClass::program);
    std::weak_ptr<const PackedData> &slot =
        ctx.packed[tree.dump(-1, ' ', false, json::error_handler_t::replace)];
    if (PackedPtr known = slot.lock())
      return known;
    R1RT_ASSIGN(TokenizerPtr tok, openTokenizer(tree["tok"], ctx));
    R1RT_ASSIGN(CorpusPtr corpus, openCorpus(tree["in"], ctx));
    R1RT_ASSIGN(PackedPtr data, packDocuments(*corpus, tok, tree.value("seq", 0),
                                              tree.value("separate", true)));
    slot = data;
    return data;
  } catch (const json::exception &e) {
    return Status::error(std::string("the description of the data is not right: ") + e.what(),
                         ExitClass::program);
  }
}

Result<Batcher> Batcher::create(PackedPtr data, const r1_program &program) {
  static const char *const names[5] = {"x.id", "x.pos", "x.seg", "target", "mask"};
  Batcher b;
  std::string where = std::string("program `") + program.name + "`: ";
  for (uint32_t i = 0; i < program.n_inputs; ++i) {
    const r1_field &f = program.inputs[i];
    int k = 0;
    while (k < 5 && std::string_view(f.name) != names[k])
      ++k;
    if (k == 5)
      return Status::error(where + "the batches of `pack` have no leaf `" + f.name + "`",
                           ExitClass::program);
    bool isMask = k == 4;
    if (isMask ? dtypeBytes(f.dtype) != 1 : f.dtype != R1_I32)
      return Status::error(where + "`" + f.name + "` is " + dtypeName(f.dtype) + "; `pack` makes " +
                               (isMask ? "bool" : "i32"),
                           ExitClass::program);
    if (f.rank != 2 || f.dims[1] != data->seq || (b.rows && f.dims[0] != b.rows) || f.dims[0] < 1)
      return Status::error(where + "`" + f.name + "` does not have the shape [batch, " +
                               std::to_string(data->seq) + "] of packed rows",
                           ExitClass::program);
    b.rows = f.dims[0];
    int64_t last = k == 1 ? data->seq - 1 : k == 0 || k == 3 ? data->tokenizer->vocab() - 1 : 0;
    if (f.bound > 0 && last >= f.bound) {
      // The vocabulary may be larger than what occurs.
      if (k == 0 || k == 3)
        last = std::max(data->tokenizer->padding(),
                        *std::max_element(data->ids.begin(), data->ids.end()));
      if (last >= f.bound)
        return Status::error(where + "`" + f.name + "` has values up to " + std::to_string(last) +
                                 "; the program takes 0.." + std::to_string(f.bound) + " (" +
                                 (k == 1 ? "the rows are longer than the model's positions"
                                         : "the tokenizer has more ids than the model") +
                                 ")",
                             ExitClass::program);
    }
    b.offsets[k] = f.offset;
    b.present[k] = true;
  }
  if (!b.rows)
    return Status::error(where + "it reads no batch", ExitClass::program);
  b.data = std::move(data);
  return b;
}

uint64_t Batcher::fill(char *arena, const std::function<uint32_t(int64_t)> &rowAt) const {
  uint64_t targets = 0;
  for (int64_t r = 0; r < rows; ++r) {
    auto leaf = [&](int k) {
      return present[k] ? reinterpret_cast<int32_t *>(arena + offsets[k]) + r * data->seq : nullptr;
    };
    uint8_t *mask =
        present[4] ? reinterpret_cast<uint8_t *>(arena + offsets[4]) + r * data->seq : nullptr;
    uint32_t row = rowAt(r);
    data->fill(row, leaf(0), leaf(1), leaf(2), leaf(3), mask);
    targets += data->targets(row);
  }
  return targets;
}

} // namespace r1rt
