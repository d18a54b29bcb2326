#include "runtime/corpus/Pass.h"
#include "runtime/augment/Augment.h"
#include "runtime/corpus/Engine.h"
#include "runtime/corpus/Shots.h"
#include "runtime/dedup/Repeats.h"
#include "runtime/state/Philox.h"
#include "runtime/text/Rules.h"
#include <xxhash.h>

namespace r1rt::corpus {

using nlohmann::json;
using nlohmann::ordered_json;

Status badTree(const std::string &what) {
  return Status::error("the description of the data is not right: " + what, ExitClass::program);
}

Result<const RowFn *> rowFunction(const json &j, const Context &ctx) {
  auto it = j.is_object() ? j.find("row_fn") : j.end();
  if (!j.is_object() || it == j.end() || !it->is_number_integer() ||
      it->get<uint64_t>() >= ctx.rowFns.size())
    return badTree("{\"row_fn\": i} does not name a function");
  return &ctx.rowFns[it->get<uint64_t>()];
}

Status RowPass::apply(std::vector<Row> &rows, uint64_t first, size_t number, Ledger &ledger) {
  std::vector<Row> out;
  out.reserve(rows.size());
  std::vector<Added> more;
  uint64_t at = first;
  for (Row &row : rows) {
    more.clear();
    R1RT_ASSIGN(Fate fate, look(row, at++, more));
    switch (fate.kind) {
    case Fate::drop:
      ledger.dropped(number, row, fate.reason, fate.evidence);
      continue;
    case Fate::duplicate:
      ledger.duplicate(number, row, fate.reason, fate.evidence);
      continue;
    case Fate::change:
      ledger.changed(number, row, fate.reason, fate.evidence);
      break;
    case Fate::keep:
      break;
    }
    std::string parent = row.id;
    out.push_back(std::move(row));
    for (size_t i = 0; i < more.size(); ++i) {
      Row &r = more[i].row;
      r.id = ledger.nameOfAdded(parent, number, i + 1);
      ledger.added(number, r, more[i].evidence);
      out.push_back(std::move(r));
    }
  }
  rows = std::move(out);
  return Status::ok();
}

namespace {

std::string dumped(const json &j) { return j.dump(-1, ' ', false, json::error_handler_t::replace); }

Status inRow(const Status &st, const Row &row) { return st.withContext("row " + row.id); }

class Filter final : public RowPass {
public:
  explicit Filter(const RowFn *keep) : keep(keep) {}

private:
  const RowFn *keep;

  Result<Fate> look(Row &row, uint64_t, std::vector<Added> &) override {
    R1RT_ASSIGN(json record, row.toJson());
    auto v = (*keep)(record);
    if (!v)
      return inRow(v.status(), row);
    if (!v->is_boolean())
      return Status::error("row " + row.id + ": `keep` did not yield a bool");
    if (v->get<bool>())
      return Fate{};
    // What it was judged by is most often a number.
    json seen = json::object();
    for (auto &[name, value] : record.items())
      if (value.is_number() || value.is_boolean())
        seen[name] = value;
    return Fate{Fate::drop, "filter", seen.empty() ? "" : dumped(seen)};
  }
};

class MapRows final : public RowPass {
public:
  explicit MapRows(const RowFn *to) : to(to) {}

private:
  const RowFn *to;

  Result<Fate> look(Row &row, uint64_t, std::vector<Added> &) override {
    R1RT_ASSIGN(json record, row.toJson());
    auto v = (*to)(record);
    if (!v)
      return inRow(v.status(), row);
    if (!v->is_object())
      return Status::error("row " + row.id + ": `to` did not yield a record");
    std::string before = std::move(row.text);
    row.assign(v.take());
    return Fate{row.text == before ? Fate::keep : Fate::change, "map_rows", ""};
  }
};

class Extend final : public Pass {
public:
  struct Field {
    std::string name;
    const RowFn *fn = nullptr;
    std::shared_ptr<ScoreFn> score; // else
  };
  explicit Extend(std::vector<Field> fields) : fields(std::move(fields)) {}

private:
  std::vector<Field> fields;

  /// An empty text has the score 0: there is nothing to judge.
  static Status scoreAll(const ScoreFn &score, const std::vector<std::string_view> &texts, std::vector<float> &out) {
    std::vector<std::string_view> some;
    for (std::string_view t : texts)
      if (!t.empty())
        some.push_back(t);
    std::vector<float> scores(some.size());
    if (!some.empty())
      R1RT_TRY(score(some, scores));
    for (size_t i = 0, k = 0; i < texts.size(); ++i)
      out[i] = texts[i].empty() ? 0 : scores[k++];
    return Status::ok();
  }

  Status apply(std::vector<Row> &rows, uint64_t, size_t, Ledger &) override {
    std::vector<std::vector<float>> scores(fields.size());
    std::vector<std::string_view> texts(rows.begin() == rows.end() ? 0 : rows.size());
    for (size_t i = 0; i < rows.size(); ++i)
      texts[i] = rows[i].text;
    for (size_t f = 0; f < fields.size(); ++f)
      if (fields[f].score) {
        scores[f].resize(rows.size());
        R1RT_TRY(scoreAll(*fields[f].score, texts, scores[f]));
      }
    for (size_t i = 0; i < rows.size(); ++i) {
      R1RT_ASSIGN(json record, rows[i].toJson());
      json news = json::object();
      for (size_t f = 0; f < fields.size(); ++f) {
        if (fields[f].score) {
          news[fields[f].name] = scores[f][i];
          continue;
        }
        auto v = (*fields[f].fn)(record);
        if (!v)
          return inRow(v.status(), rows[i]).withContext("`" + fields[f].name + "`");
        news[fields[f].name] = v.take();
      }
      record.update(news);
      rows[i].assign(std::move(record));
    }
    return Status::ok();
  }
};

class Split final : public RowPass {
public:
  Split(SplitRange range, uint64_t seed, const RowFn *by) : range(range), seed(seed), by(by) {}

private:
  SplitRange range;
  uint64_t seed;
  const RowFn *by;
  std::string lastRoot; // with `by`: rows made from one another stand side by side
  double lastDraw = 0;

  Result<double> draw(const Row &row) const {
    std::string key;
    if (by) {
      R1RT_ASSIGN(json record, row.toJson());
      auto k = (*by)(record);
      if (!k)
        return inRow(k.status(), row);
      key = dumped(*k);
    } else {
      key = row.key.empty() ? keyOf(row) : row.key;
    }
    return double(XXH64(key.data(), key.size(), seed) >> 11) * 0x1p-53;
  }

  Result<Fate> look(Row &row, uint64_t, std::vector<Added> &) override {
    R1RT_ASSIGN(double u, draw(row));
    if (by) {
      std::string root(rootOf(row.id));
      if (root == lastRoot && u != lastDraw && !parentOf(row.id).empty())
        return Status::error("row " + row.id + " was made from " + root +
                                 ", and `by` puts the two in different places of the split: a test "
                                 "would see what training has seen; help: let `by` read a field that "
                                 "augmentation leaves alone, or split first",
                             ExitClass::program);
      lastRoot = std::move(root);
      lastDraw = u;
    }
    if (u >= range.from && u < range.to)
      return Fate{};
    return Fate{Fate::drop, "other_part", ""};
  }
};

class ApplyRules final : public RowPass {
public:
  /// `changing`: what the rules change of a message; null: nothing.
  ApplyRules(std::shared_ptr<const text::RuleSet> rules, std::shared_ptr<const text::RuleSet> changing)
      : rules(std::move(rules)), changing(std::move(changing)) {}

private:
  std::shared_ptr<const text::RuleSet> rules, changing;
  text::Scratch scratch;

  Result<Fate> look(Row &row, uint64_t, std::vector<Added> &) override {
    ordered_json talk; // stays null where there are no messages that a rule could change
    Status same;
    if (changing) {
      talk = conversationOf(row);
      same = talk.is_null() ? answersStay(row, "apply_rules") : textIsOfMessages(row, talk);
    }
    text::Verdict v = rules->apply(row.text, scratch);
    if (v.kind == text::Verdict::drop)
      return Fate{Fate::drop, v.reason.empty() ? v.rule : std::move(v.reason), std::move(v.evidence)};
    R1RT_TRY(same); // of a row that stays, even where nothing of its text is changed: of its messages something might be
    if (v.kind == text::Verdict::changed && !talk.is_null())
      changeMessages(row, talk);
    return Fate{v.kind == text::Verdict::keep ? Fate::keep : Fate::change, v.reason.empty() ? v.rule : std::move(v.reason),
                std::move(v.evidence)};
  }

  /// An error unless the text of a conversation is the contents of its messages, joined by newlines: then what a rule
  /// takes out of the one can be taken out of the other.
  static Status textIsOfMessages(const Row &row, const ordered_json &talk) {
    if (talk.is_null())
      return Status::ok();
    if (talk.is_discarded())
      return Status::error("row " + row.id + ": its fields are not a JSON object");
    const std::string help = "; help: apply the rules in front of the map_rows that makes text or messages; "
                             "map_rows(r => {text = r.text}) in front of the rules takes the messages away";
    std::string joined;
    size_t number = 0;
    for (const ordered_json &m : talk["messages"]) {
      joined += number++ ? "\n" : "";
      auto content = m.is_object() ? m.find("content") : m.end();
      const bool none = m.is_object() && (content == m.end() || content->is_null()); // as of a call: no text
      if (!m.is_object() || (!none && !content->is_string()))
        return Status::error("row " + row.id + ": `apply_rules` changes texts, and element " + std::to_string(number) +
                             " of its `messages` is no object with a text as its `content`" + help);
      if (!none)
        joined += content->get_ref<const std::string &>();
    }
    if (joined == row.text)
      return Status::ok();
    return Status::error("row " + row.id + ": its text (" + std::to_string(row.text.size()) +
                         " bytes) is not the contents of its `messages`, joined by newlines (" +
                         std::to_string(joined.size()) + " bytes), so `apply_rules` cannot change both alike" + help);
  }

  /// What was taken out of the text leaves the messages, too. All else in a message, as the arguments of calls, stays as
  /// it is.
  void changeMessages(Row &row, ordered_json &talk) {
    std::string text;
    size_t number = 0;
    for (ordered_json &m : talk["messages"]) {
      text += number++ ? "\n" : "";
      auto at = m.find("content");
      if (at == m.end() || !at->is_string())
        continue;
      std::string content = at->get<std::string>();
      changing->apply(content, scratch);
      text += content;
      *at = std::move(content);
    }
    row.text = std::move(text);
    row.more = talk.dump(-1, ' ', false, json::error_handler_t::replace);
  }
};

/// What the rules that change texts do to each line or word alone, as a list of rules that drop none: so a message can
/// be changed by itself, while what drops is of the whole text.
json changingRules(const json &rules) {
  json some = json::array();
  for (json r : rules) {
    const std::string rule = r.value("rule", "");
    const std::string action = r.contains("action") && r["action"].is_string() ? r["action"].get<std::string>() : "";
    if (rule == "c4")
      r["min_sentences"] = nullptr, r["lorem_ipsum"] = r["curly_bracket"] = false;
    if (rule == "c4" || rule == "normalise" || action == "mask" || action == "cut")
      some.push_back(std::move(r));
  }
  return some;
}

/// Does a share of the rows hold the one with this id? `key` is of what else is drawn for it.
bool isChosen(const Row &row, double share, uint64_t seed, uint64_t &key) {
  key = drawKey(seed, row.id);
  PhiloxBlock b = philox(key, 0);
  return uniform01(b[0], b[1]) < share;
}

/// A row with another text beside `row`. A split keeps the two together, whatever becomes of their texts.
Row beside(Row &row, std::string &&text) {
  if (row.key.empty())
    row.key = keyOf(row);
  Row r = row;
  r.text = std::move(text);
  return r;
}

/// The rows that `augment` of the same share and seed makes others from.
class Share final : public RowPass {
public:
  Share(double share, uint64_t seed) : share(share), seed(seed) {}

private:
  double share;
  uint64_t seed;

  Result<Fate> look(Row &row, uint64_t, std::vector<Added> &) override {
    uint64_t key;
    return isChosen(row, share, seed, key) ? Fate{} : Fate{Fate::drop, "not_chosen", ""};
  }
};

/// Augmentation by what a model has written.
class AugmentWritten final : public RowPass {
public:
  AugmentWritten(OutputsFn outputs, double share, uint64_t seed)
      : outputs(std::move(outputs)), share(share), seed(seed) {}

private:
  OutputsFn outputs;
  double share;
  uint64_t seed;

  Result<Fate> look(Row &row, uint64_t, std::vector<Added> &more) override {
    uint64_t key;
    if (!isChosen(row, share, seed, key))
      return Fate{};
    R1RT_TRY(messagesStay(row, "augment"));
    R1RT_ASSIGN(Written w, outputs(row.id));
    if (w.samples.empty()) // too long, one way or the other
      return Fate{};
    std::string text = w.samples[0].value("output", "");
    if (text.find_first_not_of(" \t\r\n") == std::string::npos || text == row.text)
      return Fate{};
    more.push_back({beside(row, std::move(text)),
                    dumped({{"how", "back_translate"}, {"logprob", w.samples[0].value("logprob", 0.0)}})});
    return Fate{};
  }
};

class Augment final : public RowPass {
public:
  Augment(std::unique_ptr<Augmenter> how, double share, uint64_t seed)
      : how(std::move(how)), share(share), seed(seed) {}

private:
  std::unique_ptr<Augmenter> how;
  double share;
  uint64_t seed;

  Result<Fate> look(Row &row, uint64_t, std::vector<Added> &more) override {
    uint64_t key;
    if (!isChosen(row, share, seed, key))
      return Fate{};
    R1RT_TRY(messagesStay(row, "augment"));
    Added a;
    auto text = how->apply(row.text, drawKey(key, uint64_t(1)), a.evidence);
    if (!text)
      return inRow(text.status(), row);
    if (*text) {
      a.row = beside(row, std::move(**text));
      more.push_back(std::move(a));
    }
    return Fate{};
  }
};

/// What a model has written to each row; further samples are rows of their own beside it.
class Generate final : public RowPass {
public:
  explicit Generate(OutputsFn outputs) : outputs(std::move(outputs)) {}

private:
  OutputsFn outputs;

  static Status extend(Row &row, json &&fields) {
    R1RT_ASSIGN(json record, row.toJson());
    record.update(fields);
    row.assign(std::move(record));
    return Status::ok();
  }

  Result<Fate> look(Row &row, uint64_t, std::vector<Added> &more) override {
    R1RT_ASSIGN(Written w, outputs(row.id));
    if (!w.dropped.empty())
      return Fate{Fate::drop, w.dropped, dumped(w.evidence)};
    if (w.samples.size() > 1 && row.key.empty()) // a split keeps them together
      row.key = keyOf(row);
    for (size_t i = 1; i < w.samples.size(); ++i) {
      Added a{row, "{\"sample\":" + std::to_string(i) + "}"};
      R1RT_TRY(extend(a.row, std::move(w.samples[i])));
      more.push_back(std::move(a));
    }
    if (!w.samples.empty())
      R1RT_TRY(extend(row, std::move(w.samples[0])));
    return Fate{};
  }
};

class Decontaminate final : public RowPass {
public:
  explicit Decontaminate(std::shared_ptr<const dedup::Contamination> seen, std::shared_ptr<const std::vector<std::string>> ids)
      : seen(std::move(seen)), ids(std::move(ids)) {}

private:
  std::shared_ptr<const dedup::Contamination> seen;
  std::shared_ptr<const std::vector<std::string>> ids; // of the evaluation set's rows

  Result<Fate> look(Row &row, uint64_t, std::vector<Added> &) override {
    auto hits = seen->find(row.text, 1);
    if (hits.empty())
      return Fate{};
    const dedup::Contamination::Hit &h = hits.front();
    return Fate{Fate::drop, "contaminated",
                "{\"ngram\":" + jsonString(h.ngram) + ",\"at\":" + std::to_string(h.begin) +
                    ",\"of\":" + jsonString((*ids)[h.item]) + "}"};
  }
};

} // namespace

Result<SplitRange> splitRange(const json &t) {
  std::string part = t.value("part", "");
  SplitRange r;
  double sum = 0;
  bool found = false;
  for (const char *name : {"train", "valid", "test"}) {
    double f = t.value("fractions", json::object()).value(name, 0.0);
    if (!(f >= 0 && f <= 1))
      return Status::error("the part `" + std::string(name) + "` of a split is " +
                               std::to_string(f) + "; it must lie in 0..1",
                           ExitClass::program);
    if (part == name) {
      found = f > 0;
      r = {sum, sum + f};
    }
    sum += f;
  }
  if (sum > 1 + 1e-9)
    return Status::error("the parts of a split add up to " + std::to_string(100 * sum) +
                             " %, more than 100 %",
                         ExitClass::program);
  if (!found)
    return Status::error("the split has no part `" + part + "`", ExitClass::program);
  if (r.to > 1 - 1e-9)
    r.to = 1;
  return r;
}

bool isRowPass(const std::string &op) {
  for (const char *known :
       {"filter", "map_rows", "extend", "apply_rules", "augment", "decontaminate", "split", "generate", "share", "shots"})
    if (op == known)
      return true;
  return false;
}

Result<PassMaker> makerOf(const json &t, const Context &ctx) {
  std::string op = t.value("op", "");
  using Made = Result<std::unique_ptr<Pass>>;
  if (op == "filter") {
    R1RT_ASSIGN(const RowFn *keep, rowFunction(t.value("keep", json()), ctx));
    return PassMaker([keep]() -> Made { return std::unique_ptr<Pass>(new Filter(keep)); });
  }
  if (op == "map_rows") {
    R1RT_ASSIGN(const RowFn *to, rowFunction(t.value("to", json()), ctx));
    return PassMaker([to]() -> Made { return std::unique_ptr<Pass>(new MapRows(to)); });
  }
  if (op == "extend") {
    std::vector<Extend::Field> fields;
    for (const json all = t.value("fields", json::object()); auto &[name, how] : all.items()) {
      Extend::Field f{name, nullptr, nullptr};
      if (how.is_object() && how.contains("score")) {
        if (!ctx.scorer)
          return Status::error("`" + name + "` is a model's score, which only a stage can compute",
                               ExitClass::program);
        R1RT_ASSIGN(ScoreFn score, ctx.scorer(how));
        f.score = std::make_shared<ScoreFn>(std::move(score));
      } else {
        R1RT_ASSIGN(f.fn, rowFunction(how, ctx));
      }
      fields.push_back(std::move(f));
    }
    return PassMaker([fields]() -> Made { return std::unique_ptr<Pass>(new Extend(fields)); });
  }
  if (op == "apply_rules") {
    R1RT_ASSIGN(text::RuleSet made, text::RuleSet::create(t.value("rules", json::array()), ctx.baseDir));
    auto rules = std::make_shared<const text::RuleSet>(std::move(made));
    std::shared_ptr<const text::RuleSet> changing;
    if (json some = changingRules(t.value("rules", json::array())); !some.empty()) {
      R1RT_ASSIGN(text::RuleSet each, text::RuleSet::create(some, ctx.baseDir));
      changing = std::make_shared<const text::RuleSet>(std::move(each));
    }
    return PassMaker([=]() -> Made { return std::unique_ptr<Pass>(new ApplyRules(rules, changing)); });
  }
  if (op == "augment") {
    json how = t.value("how", json::object());
    double share = t.value("share", 0.0);
    uint64_t seed = t.value("seed", uint64_t(0));
    if (how.contains("to")) {
      if (!ctx.outputs)
        return Status::error("a model writes to rows in a stage of its own", ExitClass::program);
      return PassMaker([=, outputs = ctx.outputs]() -> Made {
        return std::unique_ptr<Pass>(new AugmentWritten(outputs, share, seed));
      });
    }
    std::string base = ctx.baseDir;
    return PassMaker([=]() -> Made {
      R1RT_ASSIGN(std::unique_ptr<Augmenter> a, Augmenter::create(how, base));
      return std::unique_ptr<Pass>(new Augment(std::move(a), share, seed));
    });
  }
  if (op == "share") {
    double share = t.value("share", 0.0);
    uint64_t seed = t.value("seed", uint64_t(0));
    return PassMaker([=]() -> Made { return std::unique_ptr<Pass>(new Share(share, seed)); });
  }
  if (op == "generate") {
    if (!ctx.outputs)
      return Status::error("a model writes to rows in a stage of its own", ExitClass::program);
    return PassMaker([outputs = ctx.outputs]() -> Made { return std::unique_ptr<Pass>(new Generate(outputs)); });
  }
  if (op == "decontaminate") {
    auto units = t.value("units", "words") == "characters" ? dedup::Units::characters : dedup::Units::words;
    R1RT_ASSIGN(dedup::Contamination made, dedup::Contamination::create(t.value("ngram", 13u), units));
    auto seen = std::make_shared<dedup::Contamination>(std::move(made));
    auto ids = std::make_shared<std::vector<std::string>>();
    uint64_t inert = 0;
    R1RT_TRY(eachRow(t.value("against", json()), ctx, [&](Row &&row) {
      inert += !seen->add(row.text);
      ids->push_back(std::move(row.id));
      return Status::ok();
    }));
    if (inert && ctx.warn)
      ctx.warn(std::to_string(inert) + " of " + std::to_string(ids->size()) + " rows of `against` have fewer than " +
               std::to_string(t.value("ngram", 13u)) + " " + t.value("units", "words") + " and find nothing");
    return PassMaker([seen, ids]() -> Made { return std::unique_ptr<Pass>(new Decontaminate(seen, ids)); });
  }
  if (op == "shots")
    return shotsMaker(t, ctx);
  if (op == "split") {
    R1RT_ASSIGN(SplitRange range, splitRange(t));
    const RowFn *by = nullptr;
    if (t.contains("by") && !t["by"].is_null()) {
      R1RT_ASSIGN(by, rowFunction(t["by"], ctx));
    }
    uint64_t seed = t.value("seed", uint64_t(0));
    if (uint64_t depth = t.value("depth", uint64_t(0))) // what is split again is not split alike
      seed = drawKey(seed, depth);
    return PassMaker([=]() -> Made { return std::unique_ptr<Pass>(new Split(range, seed, by)); });
  }
  return Status::error("the data pass `" + op + "` is not supported yet", ExitClass::program);
}

} // namespace r1rt::corpus
