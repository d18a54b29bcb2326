#include "runtime/data/Pack.h"
#include "runtime/data/Chat.h"
#include "runtime/data/Fim.h"
#include "runtime/data/Interleave.h"
#include "runtime/data/Label.h"
#include "runtime/data/Pairs.h"
#include "runtime/device/Executor.h"
#include "runtime/state/Philox.h"
#include <atomic>
#include <algorithm>
#include <numeric>
#include <set>
#include <thread>

namespace r1rt {

using nlohmann::json;

uint64_t PackedData::targets(uint32_t row) const {
  if (!labels.empty())
    return tokens(row);
  uint64_t n = 0;
  if (row != noRow)
    for (uint32_t p = firstPiece[row]; p < firstPiece[row + 1]; ++p) {
      if (!trained.empty()) {
        for (uint32_t k = 1; k < pieces[p].length + pieces[p].goesOn; ++k)
          n += trained[pieces[p].begin + k];
      } else if (tags.empty()) {
        n += pieces[p].length - !pieces[p].goesOn;
      } else {
        for (uint32_t k = 0; k < pieces[p].length; ++k)
          n += tags[pieces[p].begin + k] >= 0;
      }
    }
  return n;
}

uint64_t PackedData::tokens(uint32_t row) const {
  uint64_t n = 0;
  if (row != noRow)
    for (uint32_t p = firstPiece[row]; p < firstPiece[row + 1]; ++p)
      n += pieces[p].length;
  return n;
}

size_t PackedData::bucketOf(uint32_t row) const {
  if (buckets.empty())
    return 0;
  return size_t(std::lower_bound(buckets.begin(), buckets.end(), int64_t(tokens(row))) - buckets.begin());
}

std::vector<PackedData::Bucket> PackedData::perBucket() const {
  std::vector<Bucket> out(bucketCount());
  for (uint32_t r = 0; r < rows(); ++r) {
    Bucket &b = out[bucketOf(r)];
    ++b.rows;
    b.tokens += tokens(r);
  }
  return out;
}

static double paddingOf(uint64_t tokens, uint64_t places) { return places ? 1 - double(tokens) / double(places) : 0; }

double PackedData::padding() const {
  uint64_t n = 0, places = 0;
  for (size_t b = 0; const Bucket &x : perBucket()) {
    n += x.tokens;
    places += x.rows * uint64_t(lengthOf(b++));
  }
  return paddingOf(n, places);
}

json PackedData::shape() const {
  uint64_t n = 0;
  for (const Piece &p : pieces)
    n += p.length;
  json out = {{"rows", rows()},           {"tokens", n},           {"padding", padding()},
              {"truncated", truncated}, {"cut_tokens", cutTokens}};
  if (repaired)
    out["repaired"] = repaired;
  if (!missed.empty())
    out["missed_words"] = missed.size();
  if (!leftOut.empty())
    out["left_out"] = leftOut;
  if (!buckets.empty())
    for (size_t b = 0; const Bucket &x : perBucket()) {
      int32_t len = lengthOf(b++);
      out["buckets"].push_back({{"len", len}, {"rows", x.rows}, {"tokens", x.tokens},
                                {"padding", paddingOf(x.tokens, x.rows * uint64_t(len))}});
    }
  return out;
}

std::string PackedData::leftOutText() const {
  uint64_t n = 0;
  std::string reasons;
  for (auto &[reason, count] : leftOut) {
    n += count;
    reasons += (reasons.empty() ? "" : ", ") + std::to_string(count) + " " + reason;
  }
  return n ? std::to_string(n) + (n == 1 ? " row" : " rows") + " left out (" + reasons + ")" : "";
}

std::string PackedData::shapeText() const {
  auto percent = [](double share) {
    char text[32];
    std::snprintf(text, sizeof text, "%.1f %%", 100 * share);
    return std::string(text);
  };
  std::string lengths;
  for (size_t b = 0; b < bucketCount(); ++b)
    lengths += (b == 0 ? "" : b + 1 < bucketCount() ? ", " : " or ") + std::to_string(lengthOf(b));
  std::string text = std::to_string(rows()) + " rows of " + lengths + " tokens, " + percent(padding()) + " padding";
  if (!buckets.empty()) {
    uint64_t n = 0;
    std::string each;
    for (size_t b = 0; const Bucket &x : perBucket()) {
      int32_t len = lengthOf(b++);
      n += x.tokens;
      each += (each.empty() ? "" : ", ") + std::to_string(len) + ": " + std::to_string(x.rows) + " rows" +
              (x.rows ? " " + percent(paddingOf(x.tokens, x.rows * uint64_t(len))) : "");
    }
    text += " (without buckets " + percent(paddingOf(n, uint64_t(rows()) * uint64_t(seq))) + "; " + each + ")";
  }
  if (truncated)
    text += "; " + std::to_string(truncated) + (truncated == 1 ? " document" : " documents") + " cut (" +
            std::to_string(cutTokens) + " tokens)";
  if (repaired)
    text += "; " + std::to_string(repaired) + (repaired == 1 ? " tag" : " tags") + " repaired";
  if (!missed.empty())
    text += "; " + std::to_string(missed.size()) + (missed.size() == 1 ? " word with a class" : " words with classes") +
            " cut off";
  if (!leftOut.empty())
    text += "; " + leftOutText();
  return text;
}

void PackedData::fill(uint32_t row, int32_t *id, int32_t *pos, int32_t *seg, int32_t *target,
                      uint8_t *mask, uint64_t draw, int32_t length) const {
  const int32_t pad = tokenizer->padding(), places = length ? length : seq;
  const int32_t nothing = tags.empty() ? pad : 0; // the target of padding
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
  auto hide = [&](int32_t token, int32_t place, int32_t segment) {
    PhiloxBlock r = philox(masking.key, draw, uint32_t(at));
    if (token == tokenizer->endOfText() || token == tokenizer->beginOfText() || uniform01(r[0], r[1]) >= masking.rate)
      return put(token, place, segment, token, false);
    double how = r[2] * 0x1p-32;
    int32_t other = int32_t(uint64_t(r[3]) * uint32_t(tokenizer->vocab()) >> 32);
    put(how < 0.8 ? masking.token : how < 0.9 ? other : token, place, segment, token, true);
  };
  const int32_t used = int32_t(tokens(row));
  while (left && at < places - used)
    put(pad, 0, -1, nothing, false);
  if (row != noRow) {
    int32_t segment = -1, place = 0;
    for (uint32_t p = firstPiece[row]; p < firstPiece[row + 1]; ++p) {
      const Piece &x = pieces[p];
      const int32_t *from = ids.data() + x.begin;
      if (!x.joins) {
        ++segment;
        place = 0;
      }
      for (uint32_t k = 0; k < x.length; ++k, ++place) {
        bool has = (k + 1 < x.length || x.goesOn) && (trained.empty() || trained[x.begin + k + 1]);
        if (!tags.empty())
          put(from[k], place, segment, std::max(tags[x.begin + k], 0), tags[x.begin + k] >= 0);
        else if (masking.rate > 0)
          hide(from[k], place, segment);
        else
          put(from[k], place, segment, has ? from[k + 1] : pad, has);
      }
    }
  }
  while (at < places)
    put(pad, 0, -1, nothing, false);
}

/// Calls take(row, ids) for each row in order; the ids are found by all threads.
template <class F>
static void encodeAll(const Corpus &corpus, const Tokenizer &tok, const Fim &fim, unsigned threads, F take) {
  constexpr size_t most = 4096; // rows whose ids wait at a time
  std::vector<std::vector<int32_t>> ids(std::min(most, corpus.rows.size()));
  for (size_t from = 0; from < corpus.rows.size(); from += most) {
    size_t n = std::min(most, corpus.rows.size() - from);
    std::atomic<size_t> next{0};
    auto work = [&] {
      for (size_t i; (i = next++) < n;) {
        ids[i].clear();
        fim.encode(corpus.rows[from + i].text, from + i, tok, ids[i]);
      }
    };
    std::vector<std::thread> others;
    for (unsigned t = 1; t < threads && n > 64; ++t)
      others.emplace_back(work);
    work();
    for (std::thread &t : others)
      t.join();
    for (size_t i = 0; i < n; ++i)
      take(corpus.rows[from + i], ids[i]);
  }
}

void bestFit(PackedData &out, std::vector<std::vector<PackedData::Piece>> rows, std::vector<PackedData::Piece> rest) {
  const uint64_t T = uint64_t(out.seq);
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
  out.firstPiece.push_back(0);
  for (auto &row : rows) {
    out.pieces.insert(out.pieces.end(), row.begin(), row.end());
    out.firstPiece.push_back(uint32_t(out.pieces.size()));
  }
}

static Result<std::shared_ptr<PackedData>> packed(const Corpus &corpus, TokenizerPtr tok, int32_t seq,
                                                  bool separate, const Fim &fim, unsigned threads) {
  if (seq < 1)
    return Status::error("pack needs rows of at least one token; `seq` is " + std::to_string(seq),
                         ExitClass::program);
  auto out = std::make_shared<PackedData>();
  out->seq = seq;
  out->tokenizer = tok;
  // One end of text between documents serves both: it is the first input of the one after it and
  // the last target of the one before. A begin of text of its own is only the former.
  const bool marked = tok->endOfText() >= 0, shared = tok->beginOfText() == tok->endOfText();
  std::vector<std::pair<uint64_t, uint64_t>> documents; // inputs [begin, end) in ids
  if (marked && shared)
    out->ids.push_back(tok->endOfText());
  encodeAll(corpus, *tok, fim, threads, [&](const Row &r, const std::vector<int32_t> &ids) {
    if (ids.empty()) {
      ++out->leftOut["no text"];
      return;
    }
    uint64_t begin = out->ids.size() - (marked && shared);
    if (!shared && tok->beginOfText() >= 0)
      out->ids.push_back(tok->beginOfText());
    out->ids.insert(out->ids.end(), ids.begin(), ids.end());
    out->textBytes += r.text.size();
    documents.push_back({begin, out->ids.size()});
    if (marked)
      out->ids.push_back(tok->endOfText());
  });
  if (documents.empty())
    return Status::error("there is no text to pack" + (out->leftOut.empty() ? "" : ": " + out->leftOutText()));
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
  bestFit(*out, std::move(rows), std::move(rest));
  return out;
}

Result<PackedPtr> packDocuments(const Corpus &corpus, TokenizerPtr tok, int32_t seq, bool separate) {
  R1RT_ASSIGN(std::shared_ptr<PackedData> data, packed(corpus, std::move(tok), seq, separate, Fim(), 1));
  return PackedPtr(std::move(data));
}

bool tellsShape(const std::string &op) { return op == "pad" || op == "label" || op == "chat" || op == "translate"; }

static Result<std::shared_ptr<PackedData>> readPacked(const json &tree, DataContext &ctx) {
  std::string op = tree.is_object() ? tree.value("op", "") : "";
  if (op == "pad" || op == "label")
    return readDocuments(tree, ctx);
  if (op == "chat")
    return readChats(tree, ctx);
  if (op == "translate")
    return readPairs(tree, ctx);
  if (op == "interleave")
    return readInterleaved(tree, ctx);
  if (op == "masked") {
    R1RT_ASSIGN(std::shared_ptr<PackedData> data, readPacked(tree.value("in", json()), ctx));
    if (!data->trained.empty())
      return Status::error("`masked` hides tokens of rows that `pack` or `pad` has made, not of chats", ExitClass::program);
    PackedData::Masking &m = data->masking;
    m.rate = tree.value("rate", 0.0);
    m.key = drawKey(tree.value("seed", uint64_t(0)), "masked");
    std::string token = tree.value("token", "");
    m.token = data->tokenizer->special(token);
    if (!(m.rate > 0 && m.rate < 1))
      return Status::error("`masked` hides a share of the tokens between 0 and 1; `rate` is " +
                               std::to_string(m.rate),
                           ExitClass::program);
    if (m.token < 0)
      return Status::error("the tokenizer has no special token \"" + token + "\" to put in the place of hidden "
                           "ones; make it with special = [\"" + token + "\"]",
                           ExitClass::program);
    return data;
  }
  if (op != "pack" || !tree.contains("in") || !tree.contains("tok"))
    return Status::error("rows of tokens are needed here: the data must end in `pack`, `pad` or `label`",
                         ExitClass::program);
  R1RT_ASSIGN(TokenizerPtr tok, openTokenizer(tree["tok"], ctx));
  R1RT_ASSIGN(CorpusPtr corpus, openCorpus(tree["in"], ctx));
  R1RT_ASSIGN(Fim fim, Fim::of(tree.value("fim", json()), *tok));
  return packed(*corpus, tok, tree.value("seq", 0), tree.value("separate", true), fim, ctx.threads);
}

Result<PackedPtr> openPacked(const json &tree, DataContext &ctx) {
  try {
    std::weak_ptr<const PackedData> &slot =
        ctx.packed[tree.dump(-1, ' ', false, json::error_handler_t::replace)];
    if (PackedPtr known = slot.lock())
      return known;
    R1RT_ASSIGN(PackedPtr data, readPacked(tree, ctx));
    slot = data;
    return data;
  } catch (const json::exception &e) {
    return Status::error(std::string("the description of the data is not right: ") + e.what(),
                         ExitClass::program);
  }
}

Result<Batcher> Batcher::create(PackedPtr data, const r1_program &program) {
  const size_t longest = data->bucketCount() - 1;
  return create(std::move(data), program, longest);
}

Result<Batcher> Batcher::create(PackedPtr data, const r1_program &program, size_t bucket) {
  static const char *const names[leaves] = {"x.id", "x.pos", "x.seg", "target", "mask", "last",
                                             "source.id", "source.pos", "source.seg"};
  Batcher b;
  b.seq = data->lengthOf(bucket);
  const bool labelled = !data->labels.empty(), tagged = !data->tags.empty();
  std::string where = std::string("program `") + program.name + "`: ";
  for (uint32_t i = 0; i < program.n_inputs; ++i) {
    const r1_field &f = program.inputs[i];
    int k = 0;
    while (k < leaves && std::string_view(f.name) != names[k])
      ++k;
    if (k == leaves || (k == 5 && !labelled) || (k >= 6 && !data->source))
      return Status::error(where + "batches of " + (labelled ? "labelled rows" : "rows of tokens") +
                               " have no leaf `" + f.name + "`",
                           ExitClass::program);
    bool isMask = k == 4, ofRow = labelled && k >= 3;
    const int32_t length = k < 6 ? b.seq : data->source->seq;
    if (isMask ? dtypeBytes(f.dtype) != 1 : f.dtype != R1_I32)
      return Status::error(where + "`" + f.name + "` is " + dtypeName(f.dtype) + "; batches have " +
                               (isMask ? "bool" : "i32"),
                           ExitClass::program);
    if (f.rank != (ofRow ? 1u : 2u) || (!ofRow && f.dims[1] != length) || (b.rows && f.dims[0] != b.rows) ||
        f.dims[0] < 1)
      return Status::error(where + "`" + f.name + "` does not have the shape [batch" +
                               (ofRow ? "] of labelled rows" : ", " + std::to_string(length) + "] of packed rows"),
                           ExitClass::program);
    b.rows = f.dims[0];
    bool ids = k == 0 || k == 6 || (k == 3 && !labelled && !tagged);
    int64_t last = ids ? data->tokenizer->vocab() - 1 : k == 1 || k == 5 || k == 7 ? length - 1 : k == 3 ? data->classes - 1 : 0;
    if (f.bound > 0 && last >= f.bound) {
      // The vocabulary may be larger than what occurs, unless ids are drawn from all of it.
      if (ids && k != 6 && !data->ids.empty() && data->masking.rate == 0)
        last = std::max(data->tokenizer->padding(),
                        *std::max_element(data->ids.begin(), data->ids.end()));
      if (last >= f.bound)
        return Status::error(where + "`" + f.name + "` has values up to " + std::to_string(last) +
                                 "; the program takes 0.." + std::to_string(f.bound) + " (" +
                                 (ids      ? "the tokenizer has more ids than the model"
                                  : k == 3 ? "the data has more classes than the model"
                                           : "the rows are longer than the model's positions") +
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

uint64_t Batcher::fill(char *arena, const std::function<uint32_t(int64_t)> &rowAt, uint64_t firstDraw) const {
  const bool labelled = !data->labels.empty();
  uint64_t counted = 0;
  // The place of row r in a leaf of `width` elements a row; null if the program does not read it.
  auto leaf = [&]<class T>(int k, int64_t r, int64_t width, T) {
    return present[k] ? reinterpret_cast<T *>(arena + offsets[k]) + r * width : nullptr;
  };
  for (int64_t r = 0; r < rows; ++r) {
    auto tokens = [&](int k) { return leaf(k, r, seq, int32_t()); };
    uint32_t row = rowAt(r);
    if (!labelled) {
      data->fill(row, tokens(0), tokens(1), tokens(2), tokens(3), leaf(4, r, seq, uint8_t()),
                 firstDraw + uint64_t(r), seq);
      if (data->source) {
        const int32_t length = data->source->seq;
        auto source = [&](int k) { return leaf(k, r, length, int32_t()); };
        data->source->fill(row, source(6), source(7), source(8), nullptr, nullptr, 0, length);
      }
      counted += data->targets(row);
      continue;
    }
    bool there = row != PackedData::noRow;
    int32_t used = int32_t(data->tokens(row));
    data->fill(row, tokens(0), tokens(1), tokens(2), nullptr, nullptr, 0, seq);
    if (auto *target = leaf(3, r, 1, int32_t()))
      *target = there ? data->labels[row] : 0;
    if (auto *mask = leaf(4, r, 1, uint8_t()))
      *mask = there;
    if (auto *last = leaf(5, r, 1, int32_t()))
      *last = data->left ? seq - 1 : std::max(used - 1, 0);
    counted += data->targets(row);
  }
  return counted;
}

} // namespace r1rt
