#include "runtime/data/Label.h"
#include "runtime/corpus/Engine.h"
#include <algorithm>
#include <map>

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
  data->left = side == "left";
  data->firstPiece = {0};
  return DocumentRows(std::move(data), cut == "tail" ? Cut::tail : cut == "head" ? Cut::head : Cut::middle,
                      targets);
}

bool DocumentRows::add(std::string_view text) {
  const Tokenizer &tok = *data->tokenizer;
  const bool marked = tok.endOfText() >= 0;
  ids.clear();
  if (marked)
    ids.push_back(tok.endOfText());
  tok.encode(text, ids);
  const uint64_t n = ids.size(), room = uint64_t(data->seq); // inputs
  if (!n)
    return false;
  if (marked && targets)
    ids.push_back(tok.endOfText());
  // Keeps ids[from, to), with the token that follows as the last one's target.
  auto keep = [&](uint64_t from, uint64_t to, bool follows, bool joins) {
    follows = follows && targets && to < ids.size();
    if (from < to)
      data->pieces.push_back({data->ids.size(), uint32_t(to - from), follows, joins});
    data->ids.insert(data->ids.end(), ids.begin() + std::ptrdiff_t(from), ids.begin() + std::ptrdiff_t(to + follows));
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
  data->textBytes += text.size();
  data->firstPiece.push_back(uint32_t(data->pieces.size()));
  return true;
}

void DocumentRows::clear() {
  data->ids.clear();
  data->pieces.clear();
  data->firstPiece = {0};
}

namespace {

/// Numbers of classes, from their names or from 0 to C - 1.
class Classes {
public:
  static Result<Classes> of(const json &j) {
    Classes c;
    if (j.is_number_integer()) {
      c.count = j.get<int64_t>();
    } else if (j.is_array()) {
      for (const json &name : j) {
        if (!name.is_string())
          return Status::error("a class is called by a text, not by " + name.dump(), ExitClass::program);
        c.names.emplace(name.get<std::string>(), c.count++);
      }
    }
    if (c.count < 1 || c.count > INT32_MAX || (j.is_array() && c.names.size() != j.size()))
      return Status::error("`classes` is the number of classes or their names, each once", ExitClass::program);
    return c;
  }
  int32_t size() const { return int32_t(count); }

  /// The class that a row's label names: of tables and hand-made files numbers come as text, too.
  Result<int32_t> find(const json &label) const {
    std::string text = label.is_string() ? label.get<std::string>() : label.dump();
    if (!names.empty()) {
      if (auto it = names.find(text); it != names.end() && (label.is_string() || label.is_number_integer()))
        return int32_t(it->second);
    } else if (label.is_number_integer() || label.is_string()) {
      bool digits = !text.empty() && text.size() < 10 &&
                    std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
      if (int64_t n = digits ? std::stoll(text) : -1; n >= 0 && n < count)
        return int32_t(n);
    }
    return Status::error("the label is " + label.dump(-1, ' ', false, json::error_handler_t::replace) +
                         "; the classes are " + list());
  }

private:
  std::string list() const {
    if (names.empty())
      return "0 to " + std::to_string(count - 1);
    std::vector<std::string> ordered(names.size());
    for (auto &[name, at] : names)
      ordered[size_t(at)] = name;
    std::string out;
    for (size_t i = 0; i < std::min<size_t>(ordered.size(), 20); ++i)
      out += (i ? ", " : "") + json(ordered[i]).dump();
    return out + (ordered.size() > 20 ? ", …" : "");
  }

  int64_t count = 0;
  std::map<std::string, int64_t> names;
};

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
  const bool labelled = tree.value("op", "") == "label";
  auto data = std::make_shared<PackedData>();
  data->seq = tree.value("len", 0);
  R1RT_ASSIGN(data->tokenizer, openTokenizer(tree.value("tok", json()), ctx));
  R1RT_ASSIGN(DocumentRows rows, DocumentRows::create(data, tree, /*targets=*/!labelled));
  Classes classes;
  if (labelled) {
    R1RT_ASSIGN(classes, Classes::of(tree.value("classes", json())));
    data->classes = classes.size();
  }
  R1RT_TRY(corpus::eachRow(tree.value("in", json()), ctx, [&](corpus::Row &&row) -> Status {
    if (data->rows() == PackedData::noRow - 1)
      return Status::error("there are more than " + std::to_string(data->rows()) + " rows");
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
    return Status::error("there are no rows to make batches of");
  return data;
}

} // namespace r1rt
