#include "runtime/data/Label.h"
#include "runtime/corpus/Engine.h"
#include "runtime/data/TokenLabel.h"
#include <algorithm>

namespace r1rt {

using nlohmann::json;

Result<DocumentRows> DocumentRows::create(std::shared_ptr<PackedData> data, const json &spec, bool targets) {
  std::string cut = spec.value("cut", "tail"), side = spec.value("side", "right");
  auto wrong = [](const std::string &what) { return Status::error(what, ExitClass::program); };
  if (data->seq < 1)
    return wrong("rows have at least one token; `len` is " + std::to_string(data->seq));
  if (cut != "tail" && cut != "head" && cut != "middle")
    return wrong("`cut` is \"tail\", \"head\" or \"middle\", not \"" + cut + "\"");
  if (side != "right" && side != "left")
    return wrong("`side` is \"right\" or \"left\", not \"" + side + "\"");
  if (auto lengths = spec.find("buckets"); lengths != spec.end()) {
    data->buckets = lengths->get<std::vector<int32_t>>();
    bool ascending = std::is_sorted(data->buckets.begin(), data->buckets.end(), std::less_equal<>());
    if (data->buckets.empty() || !ascending || data->buckets[0] < 1 || data->buckets.back() != data->seq)
      return wrong("`buckets` are lengths from 1 on, each above the one before, and the last is `len`, " +
                   std::to_string(data->seq) + "; this is " + lengths->dump());
  }
  data->left = side == "left";
  data->firstPiece = {0};
  return DocumentRows(std::move(data), cut == "tail" ? Cut::tail : cut == "head" ? Cut::head : Cut::middle,
                      targets);
}

void cutTokens(std::vector<int32_t> &ids, int64_t room, std::string_view cut) {
  const int64_t over = int64_t(ids.size()) - room;
  if (over <= 0)
    return;
  const int64_t before = cut == "head" ? 0 : cut == "middle" ? (room + 1) / 2 : room;
  ids.erase(ids.begin() + before, ids.begin() + before + over);
}

bool DocumentRows::add(std::string_view text) {
  const Tokenizer &tok = *data->tokenizer;
  ids.clear();
  if (tok.beginOfText() >= 0)
    ids.push_back(tok.beginOfText());
  tok.encode(text, ids);
  const uint64_t inputs = ids.size();
  if (tok.endOfText() >= 0 && targets)
    ids.push_back(tok.endOfText());
  return place(inputs, text.size());
}

bool DocumentRows::add(const TaggedText &tagged) {
  const Tokenizer &tok = *data->tokenizer;
  ids.clear();
  if (tok.beginOfText() >= 0)
    ids.push_back(tok.beginOfText());
  tags.assign(ids.size(), -1);
  size_t at = 0;
  std::vector<uint64_t> firsts; // of each word its first token; none: the end
  auto encode = [&](size_t end) {
    tok.encode(std::string_view(tagged.text).substr(at, end - at), ids);
    at = end;
  };
  for (const TaggedText::Word &w : tagged.words) {
    const size_t first = ids.size();
    encode(w.end);
    tags.resize(ids.size(), -1);
    if (first < ids.size())
      tags[first] = w.cls;
    firsts.push_back(first < ids.size() ? first : UINT64_MAX);
  }
  encode(tagged.text.size());
  tags.resize(ids.size(), -1);
  if (!place(ids.size(), tagged.text.size()))
    return false;
  for (size_t i = 0; i < firsts.size(); ++i)
    if (std::none_of(kept.begin(), kept.end(), [&](auto &k) { return firsts[i] >= k.first && firsts[i] < k.second; }))
      data->missed.push_back({data->rows() - 1, uint32_t(i), tagged.words[i].cls});
  return true;
}

/// `ids` as a row: of `inputs` of them those that fit; what is behind is the last one's target.
bool DocumentRows::place(uint64_t inputs, uint64_t textBytes) {
  const uint64_t n = inputs, room = uint64_t(data->seq);
  kept.clear();
  if (!n) {
    ++data->leftOut["no text"];
    return false;
  }
  // Keeps ids[from, to), with the token that follows as the last one's target.
  auto keep = [&](uint64_t from, uint64_t to, bool follows, bool joins) {
    follows = follows && targets && to < ids.size();
    kept.push_back({from, to});
    if (from < to)
      data->pieces.push_back({data->ids.size(), uint32_t(to - from), follows, joins});
    to += follows;
    data->ids.insert(data->ids.end(), ids.begin() + std::ptrdiff_t(from), ids.begin() + std::ptrdiff_t(to));
    if (!tags.empty())
      data->tags.insert(data->tags.end(), tags.begin() + std::ptrdiff_t(from), tags.begin() + std::ptrdiff_t(to));
  };
  if (n <= room || cut == Cut::tail) {
    keep(0, std::min(n, room), true, false);
  } else if (cut == Cut::head) {
    keep(n - room, n, true, false);
  } else {
    uint64_t before = (room + 1) / 2;
    keep(0, before, false, false);
    keep(n - (room - before), n, true, true);
  }
  if (n > room) {
    ++data->truncated;
    data->cutTokens += n - room;
  }
  ++data->documents;
  data->textBytes += textBytes;
  data->firstPiece.push_back(uint32_t(data->pieces.size()));
  return true;
}

void DocumentRows::clear() {
  data->ids.clear();
  data->pieces.clear();
  data->missed.clear();
  data->firstPiece = {0};
}

namespace {

Result<int32_t> labelOf(const corpus::Row &row, const Classes &classes) {
  json more = row.more.empty() ? json::object() : json::parse(row.more, nullptr, false);
  auto label = more.is_object() ? more.find("label") : more.end();
  if (!more.is_object() || label == more.end()) {
    std::string have = "`text`";
    if (more.is_object())
      for (auto &[name, value] : more.items())
        have += ", `" + name + "`";
    return Status::error("row " + row.id + " has no field `label`; it has " + have +
                         ". map_rows can give it one: map_rows(r => {text = r.text, label = …})");
  }
  auto found = classes.find(*label);
  return found ? found : found.status().withContext("row " + row.id);
}

} // namespace

Result<std::shared_ptr<PackedData>> readDocuments(const json &tree, DataContext &ctx) {
  const bool labelled = tree.value("op", "") == "label", tagged = labelled && tree.value("each", "row") == "token";
  const bool repair = tree.value("repair", false);
  auto data = std::make_shared<PackedData>();
  data->seq = tree.value("len", 0);
  R1RT_ASSIGN(data->tokenizer, openTokenizer(tree.value("tok", json()), ctx));
  R1RT_ASSIGN(DocumentRows rows, DocumentRows::create(data, tree, /*targets=*/!labelled));
  Classes classes;
  if (labelled) {
    R1RT_ASSIGN(classes, Classes::of(tree.value("classes", json())));
    data->classes = classes.size();
    data->classNames = classes.names();
  }
  R1RT_TRY(corpus::eachRow(tree.value("in", json()), ctx, [&](corpus::Row &&row) -> Status {
    if (data->rows() == PackedData::noRow - 1)
      return Status::error("there are more than " + std::to_string(data->rows()) + " rows");
    if (tagged) {
      R1RT_ASSIGN(TaggedText words, taggedText(row, classes, repair));
      data->repaired += words.repaired;
      if (words.words.empty())
        ++data->leftOut["no words"];
      else
        rows.add(words);
      return Status::ok();
    }
    int32_t label = 0;
    if (labelled) {
      R1RT_ASSIGN(label, labelOf(row, classes));
    }
    if (!rows.add(row.text)) // of an empty text there is nothing to say, nor to learn
      return Status::ok();
    if (labelled)
      data->labels.push_back(label);
    return Status::ok();
  }));
  if (!data->rows())
    return Status::error("there are no rows to make batches of" + (data->leftOut.empty() ? "" : ": " + data->leftOutText()));
  return data;
}

} // namespace r1rt
