#include "runtime/data/TokenLabel.h"
#include "runtime/text/Chars.h"
#include <algorithm>

namespace r1rt {

using nlohmann::json;

namespace {

/// For messages: JSON of what a row has, at most some 80 bytes of it.
std::string shown(const json &value) {
  std::string text = value.dump(-1, ' ', false, json::error_handler_t::replace);
  return text.size() <= 80 ? text : text.substr(0, corpus::utf8Boundary(text, 77)) + "…";
}

bool goesOn(char32_t c) {
  return text::isLetter(c) || text::isDigit(c) || c == '_' ||
         (U_GET_GC_MASK(static_cast<UChar32>(c)) & U_GC_M_MASK) != 0;
}

/// The words of a text, and where each character begins (bytes).
void split(const std::string &text, std::vector<TaggedText::Word> &words, std::vector<size_t> &places) {
  bool open = false; // the last word may go on
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    places.push_back(begin);
    char32_t c = text::nextChar(text, at);
    bool inside = goesOn(c) && !text::isHanKana(c);
    if (inside && open)
      words.back().end = at;
    else if (!text::isSpace(c))
      words.push_back({begin, at, 0});
    open = inside;
  }
  places.push_back(text.size());
}

class Tagger {
public:
  Tagger(const Classes &classes, bool repair) : classes(classes), repair(repair) {}

  Status fromTags(const json &tokens, const json &tags) {
    if (!tokens.is_array() || !tags.is_array())
      return Status::error("`tokens` and `tags` are lists; `" + std::string(tokens.is_array() ? "tags" : "tokens") +
                           "` is " + shown(tokens.is_array() ? tags : tokens));
    if (tokens.size() != tags.size())
      return Status::error("it has " + std::to_string(tokens.size()) + " tokens and " + std::to_string(tags.size()) +
                           " tags; each token has one tag");
    for (size_t i = 0; i < tokens.size(); ++i) {
      if (!tokens[i].is_string() || tokens[i].get_ref<const std::string &>().empty())
        return Status::error("token " + std::to_string(i + 1) + " is " + shown(tokens[i]) +
                             "; a token is a text that is not empty");
      out.text += i ? " " : "";
      const size_t begin = out.text.size();
      out.text += tokens[i].get_ref<const std::string &>();
      auto cls = classes.find(tags[i]);
      if (!cls)
        return cls.status().withContext("token " + std::to_string(i + 1) + ", " + shown(tokens[i]));
      out.words.push_back({begin, out.text.size(), *cls});
    }
    return Status::ok();
  }

  Status fromSpans(const std::string &text, const json &spans) {
    out.text = text;
    if (!spans.is_array())
      return Status::error("`spans` is a list of {start, end, label}, not " + shown(spans));
    std::vector<size_t> places;
    split(out.text, out.words, places);
    const int32_t outside = classes.named("O");
    if (outside < 0)
      return Status::error("the words outside of spans have the class \"O\", which is none of `classes`; help: "
                           "classes = bio([…])", ExitClass::program);
    std::vector<const json *> taker(out.words.size()); // the span that a word is in
    for (auto &w : out.words)
      w.cls = outside;
    const size_t chars = places.size() - 1;
    for (const json &span : spans) {
      auto number = [&](const char *name) -> int64_t {
        auto it = span.is_object() ? span.find(name) : span.end();
        return span.is_object() && it != span.end() && it->is_number_integer() ? it->get<int64_t>() : -1;
      };
      const int64_t start = number("start"), end = number("end");
      auto wrong = [&](const std::string &what) { return Status::error("the span " + shown(span) + " " + what); };
      if (start < 0 || end < 0 || !span.contains("label") || !span["label"].is_string())
        return wrong("is not {start, end, label}: two places from 0 on and a text");
      if (start >= end || uint64_t(end) > chars)
        return wrong("is no part of the text, which has characters 0 to " + std::to_string(chars) +
                     "; `start` is before `end`");
      const std::string label = span["label"];
      const int32_t begins = classes.named("B-" + label), inside = classes.named("I-" + label);
      if (begins < 0)
        return classes.find("B-" + label).status().withContext("the span " + shown(span));
      auto from = std::find_if(out.words.begin(), out.words.end(),
                               [&](auto &w) { return w.begin >= places[size_t(start)]; });
      auto to = std::find_if(from, out.words.end(), [&](auto &w) { return w.end >= places[size_t(end)]; });
      if (from == out.words.end() || to == out.words.end() || from->begin != places[size_t(start)] ||
          to->end != places[size_t(end)])
        return wrong("is " + shown(text.substr(places[size_t(start)], places[size_t(end)] - places[size_t(start)])) +
                     ", which does not begin and end with a word; help: move its ends, or give the row its "
                     "`tokens` and `tags`");
      if (to != from && inside < 0)
        return classes.find("I-" + label).status().withContext("the span " + shown(span));
      for (auto w = from; w <= to; ++w) {
        const json *&other = taker[size_t(w - out.words.begin())];
        if (other)
          return wrong("overlaps with " + shown(*other) + "; a word has one tag");
        other = &span;
        w->cls = w == from ? begins : inside;
      }
    }
    return Status::ok();
  }

  /// Whether spans begin with their B-; those that do not are mended.
  Status check() {
    if (classes.names().empty())
      return Status::ok();
    std::string before = "O";
    for (size_t i = 0; i < out.words.size(); ++i) {
      auto &w = out.words[i];
      const std::string &tag = classes.names()[size_t(w.cls)];
      if (tag.starts_with("I-") && before != tag && before != "B-" + tag.substr(2)) {
        const std::string begin = "B-" + tag.substr(2);
        if (!repair || classes.named(begin) < 0)
          return Status::error("token " + std::to_string(i + 1) + ", " +
                               shown(out.text.substr(w.begin, w.end - w.begin)) + ", has the tag " + shown(tag) +
                               ", which goes on with a span; " +
                               (i ? "the token before it has " + shown(before) : "it is the first") +
                               ". help: tag it " + shown(begin) + ", or label(…, repair = true)");
        w.cls = classes.named(begin);
        ++out.repaired;
      }
      before = classes.names()[size_t(w.cls)];
    }
    return Status::ok();
  }

  TaggedText out;

private:
  const Classes &classes;
  const bool repair;
};

} // namespace

Result<TaggedText> taggedText(const corpus::Row &row, const Classes &classes, bool repair) {
  const std::string where = "row " + row.id;
  const json more = row.more.empty() ? json::object() : json::parse(row.more, nullptr, false);
  const bool listed = more.is_object() && more.contains("tokens") && more.contains("tags");
  if (!listed && !(more.is_object() && more.contains("spans"))) {
    std::string have = "`text`";
    if (more.is_object())
      for (auto &[name, value] : more.items())
        have += ", `" + name + "`";
    return Status::error(where + " has neither `tokens` and `tags` nor `spans`; it has " + have +
                         ". map_rows can give it some: map_rows(r => {tokens = …, tags = …})");
  }
  Tagger tagger(classes, repair);
  Status st = listed ? tagger.fromTags(more["tokens"], more["tags"]) : tagger.fromSpans(row.text, more["spans"]);
  if (st)
    st = tagger.check();
  if (!st)
    return st.withContext(where);
  return std::move(tagger.out);
}

} // namespace r1rt
