#include "runtime/state/Files.h"
#include "runtime/tokenizer/Node.h"
#include "runtime/tokenizer/Pipeline.h"
#include "runtime/tokenizer/Words.h"
#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

namespace r1rt::tokenizer {

namespace {

/// A list of parts, those of "Sequence" within each other in one row.
template <class F> void eachPart(const Node &node, const char *list, F take) {
  if (node.at("type").text() != "Sequence")
    return take(node);
  const Node parts = node.only({"type", list}).at(list).list();
  for (size_t i = 0; i < parts.size(); ++i)
    eachPart(parts.at(i), list, take);
}

class Reader {
public:
  explicit Reader(const json &j) : root(j, ""), impl(std::make_shared<Encoder::Impl>()) {
    root.only({"version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer", "post_processor",
               "decoder", "model"});
    if (root.has("version") && root.at("version").text() != "1.0")
      root.at("version").fail("\"1.0\"");
  }

  std::shared_ptr<Encoder::Impl> read() {
    kind();
    readTokens();
    if (root.has("normalizer"))
      eachPart(root.at("normalizer"), "normalizers", [&](const Node &n) { normaliser(n); });
    findAdded();
    if (root.has("pre_tokenizer"))
      eachPart(root.at("pre_tokenizer"), "pretokenizers", [&](const Node &n) { preTokenizer(n); });
    readModel();
    impl->serial = Words::newSerial();
    if (root.has("post_processor"))
      eachPart(root.at("post_processor"), "processors", [&](const Node &n) { postProcessor(n); });
    if (root.has("decoder"))
      eachPart(root.at("decoder"), "decoders", [&](const Node &n) { decoder(n); });
    if (impl->decoders.size() == 1 && impl->decoders[0].kind == Decoder::byteLevel) {
      impl->bytesOnly = true;
      impl->bytes.resize(size_t(impl->size));
      for (int32_t id = 0; id < impl->size; ++id)
        if (impl->tokens.has(id))
          impl->bytes[size_t(id)] = decodeAlone(impl->decoders, impl->form(id));
    }
    return impl;
  }

private:
  enum Kind { bpe, wordPiece };

  void kind() {
    const Node model = root.at("model");
    if (model.has("type"))
      which = Kind(model.at("type").oneOf({"BPE", "WordPiece"}));
    else // as old files have it
      which = model.has("merges") ? bpe : wordPiece;
  }

  // ── tokens and their ids ──────────────────────────────────────────────────

  /// All tokens of the model and the added ones. An added token has the id that the model has for it, or the
  /// next one, as the package has it; the file has to agree.
  void readTokens() {
    const Node vocab = root.at("model").at("vocab");
    if (!vocab.j.is_object())
      vocab.fail("an object of tokens with their ids");
    if (vocab.size() == 0)
      vocab.refuse("has no token");
    const Node *list = nullptr;
    std::optional<Node> added;
    if (root.has("added_tokens"))
      list = &added.emplace(root.at("added_tokens").list());
    const uint64_t count = vocab.size() + (list ? list->size() : 0);
    // Ids may have holes, but a table of them has to fit in memory.
    const uint64_t most = count * 4 + (1 << 20);
    uint64_t highest = 0;
    for (auto &[token, id] : vocab.j.items()) {
      const Node node(id, "model.vocab[" + quote(token) + "]");
      if (node.number() >= most)
        node.refuse("is the id " + std::to_string(node.number()) + "; with " + std::to_string(count) +
                    " tokens it has to be less than " + std::to_string(most));
      highest = std::max(highest, node.number());
    }
    impl->tokens.reserve(count, int32_t(std::max(highest, vocab.size() + (list ? list->size() : 0))));
    for (auto &[token, id] : vocab.j.items())
      if (!impl->tokens.add(token, id.get<int32_t>()))
        throw Bad{"`model.vocab` has " + quote(impl->tokens.text(id.get<int32_t>())) + " and " + quote(token) +
                  " with the same id " + std::to_string(id.get<int32_t>())};
    int32_t next = int32_t(vocab.size());
    for (size_t i = 0; list && i < list->size(); ++i) {
      const Node node = list->at(i);
      node.only({"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"});
      AddedToken token;
      token.content = node.at("content").text();
      if (token.content.empty())
        continue; // as the package does
      if (token.content.size() > Finder::longest)
        node.at("content").refuse("has " + std::to_string(token.content.size()) +
                                  " bytes; an added token has at most " + std::to_string(Finder::longest));
      token.singleWord = node.boolean("single_word", false);
      token.leftBlanks = node.boolean("lstrip", false);
      token.rightBlanks = node.boolean("rstrip", false);
      token.special = node.boolean("special", false);
      token.normalised = node.boolean("normalized", !token.special);
      token.id = impl->tokens.find(token.content);
      if (token.id < 0) {
        token.id = next++;
        if (!impl->tokens.add(token.content, token.id))
          node.refuse("gets the id " + std::to_string(token.id) + ", the number of tokens before it, which " +
                      quote(impl->tokens.text(token.id)) + " has");
      }
      if (node.at("id").number() != uint64_t(token.id))
        node.at("id").refuse("is " + std::to_string(node.at("id").number()) + ", but " + quote(token.content) +
                             " gets the id " + std::to_string(token.id) +
                             ": that of `model.vocab`, or the number of tokens before it");
      // Of two entries for one token the later counts.
      auto same = std::find_if(impl->added.begin(), impl->added.end(),
                               [&](const AddedToken &t) { return t.id == token.id; });
      if (same != impl->added.end())
        *same = std::move(token);
      else
        impl->added.push_back(std::move(token));
    }
    highest = std::max(highest, uint64_t(next - 1));
    impl->size = int32_t(highest) + 1;
  }

  void findAdded() {
    std::vector<std::pair<std::string, uint32_t>> raw, normalised;
    impl->special.assign(size_t(impl->size), false);
    impl->skipped.assign(size_t(impl->size), false);
    std::set<std::string, std::less<>> specials;
    for (uint32_t i = 0; i < impl->added.size(); ++i) {
      const AddedToken &token = impl->added[i];
      if (token.special) {
        impl->special[size_t(token.id)] = true;
        specials.insert(token.content);
      }
      if (!token.normalised) {
        raw.push_back({token.content, i});
        continue;
      }
      Changed a(false), b(false);
      std::string form(normalise(impl->normalisers, View{token.content}, a, b).text);
      if (form != token.content)
        impl->forms[token.id] = form;
      if (form.size() > Finder::longest)
        throw Bad{"`added_tokens`: " + quote(token.content) + " has " + std::to_string(form.size()) +
                  " bytes when normalised; an added token has at most " + std::to_string(Finder::longest)};
      normalised.push_back({std::move(form), i});
    }
    // By what is decoded, as in the package: a special token with another normalised form is not skipped.
    for (int32_t id = 0; id < impl->size; ++id)
      impl->skipped[size_t(id)] = !specials.empty() && specials.contains(impl->form(id));
    if (!impl->raw.build(raw, &impl->added) || !impl->normalised.build(normalised, &impl->added))
      throw Bad{"`added_tokens` has two tokens that are the same when normalised"};
  }

  /// A token that has to be there.
  int32_t token(const Node &node, const std::string &text) const {
    const int32_t id = impl->tokens.find(text);
    if (id < 0)
      node.refuse("is " + quote(text) + ", which is no token of the vocabulary");
    return id;
  }
  int32_t id(const Node &node) const {
    if (node.number() >= uint64_t(impl->size))
      node.refuse("is the id " + std::to_string(node.number()) + "; the vocabulary has 0 to " +
                  std::to_string(impl->size - 1));
    return int32_t(node.number());
  }

  /// A step that may make a text `times` as long. In a row they would make it as long as they please.
  void grows(const Node &node, double times, double &total) {
    constexpr double most = 4096;
    if ((total *= std::max(times, 1.0)) > most)
      node.refuse("and the steps before it may make a text more than " + std::to_string(int(most)) +
                  " times as long, which is too much");
  }

  // ── normalizer ────────────────────────────────────────────────────────────

  static bool isPattern(const Node &node, std::string &text) { // else a literal
    const Node pattern = node.at("pattern").only({"String", "Regex"});
    const bool regex = pattern.has("Regex");
    text = pattern.at(regex ? "Regex" : "String").text();
    if (text.empty())
      pattern.at(regex ? "Regex" : "String").fail("a text that is not empty");
    return regex;
  }
  static std::string literal(const Node &node) {
    std::string text;
    if (isPattern(node, text))
      node.at("pattern").refuse("is a regular expression; to replace, only {\"String\": …} is supported");
    return text;
  }

  void normaliser(const Node &node) {
    auto add = [&](Normaliser::Kind kind, std::string what = "", std::string with = "") {
      impl->normalisers.push_back({kind, std::move(what), std::move(with)});
    };
    switch (node.at("type").oneOf({"NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Strip", "Replace",
                                   "Prepend", "BertNormalizer", "ByteLevel", "Sequence"})) {
    case 0:
      return node.only({"type"}), add(Normaliser::nfc);
    case 1:
      return node.only({"type"}), add(Normaliser::nfd);
    case 2:
      return node.only({"type"}), add(Normaliser::nfkc);
    case 3:
      return node.only({"type"}), add(Normaliser::nfkd);
    case 4:
      return node.only({"type"}), add(Normaliser::lowercase);
    case 5:
      return node.only({"type"}), add(Normaliser::stripAccents);
    case 6: {
      node.only({"type", "strip_left", "strip_right"});
      const bool left = node.at("strip_left").boolean(), right = node.at("strip_right").boolean();
      if (left || right)
        add(left && right ? Normaliser::stripBoth : left ? Normaliser::stripLeft : Normaliser::stripRight);
      return;
    }
    case 7:
      node.only({"type", "pattern", "content"});
      grows(node, double(node.at("content").text().size()) / double(literal(node).size()), longer);
      return add(Normaliser::replace, literal(node), node.at("content").text());
    case 8:
      grows(node, 1 + double(node.at("prepend").text().size()), longer);
      return add(Normaliser::prepend, "", node.only({"type", "prepend"}).at("prepend").text());
    case 9: {
      node.only({"type", "clean_text", "handle_chinese_chars", "strip_accents", "lowercase"});
      const bool low = node.at("lowercase").boolean();
      if (node.at("clean_text").boolean())
        add(Normaliser::bertClean);
      if (node.at("handle_chinese_chars").boolean())
        grows(node, 2, longer), add(Normaliser::bertIdeographs);
      if (node.boolean("strip_accents", low))
        add(Normaliser::nfd), add(Normaliser::bertAccents);
      if (low)
        add(Normaliser::lowercase);
      return;
    }
    case 10:
      grows(node, 2, longer);
      return add(Normaliser::bytes);
    }
  }

  // ── pre-tokenizer ─────────────────────────────────────────────────────────

  static Splitter::Behaviour behaviour(const Node &node) {
    return Splitter::Behaviour(
        node.oneOf({"Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"}));
  }

  void preTokenizer(const Node &node) {
    auto cut = [&](Splitter s) { impl->steps.push_back({Step::split, std::move(s)}); };
    switch (node.at("type").oneOf({"ByteLevel", "Split", "Digits", "BertPreTokenizer", "Whitespace",
                                   "WhitespaceSplit", "Punctuation", "Metaspace", "CharDelimiterSplit", "Sequence"})) {
    case 0:
      node.only({"type", "add_prefix_space", "trim_offsets", "use_regex"});
      grows(node, node.at("add_prefix_space").boolean() ? 4 : 2, longer);
      if (node.at("add_prefix_space").boolean())
        impl->steps.push_back({Step::blankBefore});
      if (node.boolean("use_regex", true))
        cut(Splitter::ofScanner({Scanner::gpt2}, Splitter::isolated));
      impl->steps.push_back({Step::bytes});
      return;
    case 1: {
      node.only({"type", "pattern", "behavior", "invert"});
      const Splitter::Behaviour how = behaviour(node.at("behavior"));
      const bool invert = node.at("invert").boolean();
      std::string pattern;
      if (!isPattern(node, pattern))
        return cut(Splitter::ofText(pattern, how, invert));
      auto made = Splitter::ofPattern(pattern, how, invert);
      if (!made)
        node.at("pattern").at("Regex").refuse("cannot be used: " + made.status().message());
      return cut(made.take());
    }
    case 2:
      node.only({"type", "individual_digits"});
      return cut(Splitter::ofClass(
          digit, node.at("individual_digits").boolean() ? Splitter::isolated : Splitter::contiguous));
    case 3:
      node.only({"type"});
      cut(Splitter::ofClass(space, Splitter::removed));
      return cut(Splitter::ofClass(bertPunctuation, Splitter::isolated));
    case 4:
      node.only({"type"});
      return cut(Splitter::ofWords());
    case 5:
      node.only({"type"});
      return cut(Splitter::ofClass(space, Splitter::removed));
    case 6:
      node.only({"type", "behavior"});
      return cut(Splitter::ofClass(bertPunctuation,
                                   node.has("behavior") ? behaviour(node.at("behavior")) : Splitter::isolated));
    case 7: {
      node.only({"type", "replacement", "prepend_scheme", "split", "add_prefix_space", "str_rep"});
      Step step{Step::metaspace};
      step.mark = character(node.at("replacement"));
      grows(node, 2 * double(step.mark.size()), longer);
      step.before = scheme(node);
      impl->tracksOrigin |= step.before == Step::first;
      impl->steps.push_back(step);
      if (node.boolean("split", true))
        cut(Splitter::ofText(step.mark, Splitter::mergedWithNext));
      return;
    }
    case 8:
      node.only({"type", "delimiter"});
      return cut(Splitter::ofText(character(node.at("delimiter")), Splitter::removed));
    }
  }

  static std::string character(const Node &node) {
    const std::string &s = node.text();
    if (s.empty() || charEnd(s, 0) != s.size())
      node.fail("one character");
    return s;
  }

  static Step::Before scheme(const Node &node) {
    Step::Before before = Step::always;
    if (node.has("prepend_scheme")) {
      const Step::Before all[] = {Step::always, Step::never, Step::first};
      before = all[node.at("prepend_scheme").oneOf({"always", "never", "first"})];
    }
    if (!node.boolean("add_prefix_space", true)) {
      if (node.has("prepend_scheme") && before != Step::never)
        node.at("prepend_scheme").refuse("says to put a mark before a text, and `add_prefix_space` not to");
      before = Step::never;
    }
    return before;
  }

  // ── model ─────────────────────────────────────────────────────────────────

  void readModel() {
    const Node model = root.at("model");
    if (which == wordPiece)
      return readWordPiece(model);
    model.only({"type", "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk",
                "byte_fallback", "ignore_merges", "vocab", "merges"});
    if (model.has("dropout") && !(model.at("dropout").j.is_number() && model.at("dropout").j == 0))
      model.at("dropout").fail("null: with dropout a text has other tokens each time");
    Bpe::Options o;
    o.unknown = model.text("unk_token", "");
    o.prefix = model.text("continuing_subword_prefix", "");
    o.suffix = model.text("end_of_word_suffix", "");
    o.fuseUnknown = model.boolean("fuse_unk", false);
    o.byteFallback = model.boolean("byte_fallback", false);
    o.ignoreMerges = model.boolean("ignore_merges", false);
    fillPieces(model, false);
    const std::vector<Bpe::Merge> merges = readMerges(model.at("merges").list(), o.prefix);
    if (!impl->steps.empty() && impl->steps.back().kind == Step::bytes && o.prefix.empty() && o.suffix.empty() &&
        hasAllBytes()) {
      // The same on bytes, without writing the text as other characters first.
      impl->steps.pop_back();
      fillPieces(model, true);
      o.bytes = true;
    } else if (!o.unknown.empty() && impl->pieces.find(o.unknown) < 0) {
      model.at("unk_token").refuse("is " + quote(o.unknown) + ", which is no token of `model.vocab`");
    }
    impl->model = std::make_unique<Bpe>(impl->pieces, std::move(o), merges);
  }

  void fillPieces(const Node &model, bool inBytes) {
    const json &vocab = model.at("vocab").j;
    impl->pieces = Vocabulary();
    impl->pieces.reserve(vocab.size(), impl->size - 1);
    std::string bytes;
    for (auto &[token, id] : vocab.items())
      if (!inBytes)
        impl->pieces.add(token, id.get<int32_t>());
      else if (tokenBytes(token, bytes))
        impl->pieces.add(bytes, id.get<int32_t>());
  }

  bool hasAllBytes() const {
    for (int b = 0; b < 256; ++b) {
      std::string name;
      appendChar(name, byteChar(static_cast<unsigned char>(b)));
      if (impl->pieces.find(name) < 0)
        return false;
    }
    return true;
  }

  std::vector<Bpe::Merge> readMerges(const Node &list, const std::string &prefix) const {
    std::vector<Bpe::Merge> merges;
    merges.reserve(list.size());
    std::string left, right;
    for (size_t i = 0; i < list.size(); ++i) {
      const json &j = list.j[i];
      auto fail = [&](const std::string &why) { list.at(i).refuse(why); };
      if (j.is_string()) {
        const std::string &s = j.get_ref<const std::string &>();
        if (s.starts_with("#version"))
          continue;
        const size_t blank = s.find(' ');
        if (blank == s.npos || s.find(' ', blank + 1) != s.npos)
          fail("is " + quote(s) + ", but has to be two tokens with one blank between them");
        left = s.substr(0, blank), right = s.substr(blank + 1);
      } else if (j.is_array() && j.size() == 2 && j[0].is_string() && j[1].is_string()) {
        left = j[0].get_ref<const std::string &>(), right = j[1].get_ref<const std::string &>();
      } else {
        fail("is " + shown(j) + ", but has to be a text \"a b\" or a pair [\"a\", \"b\"]");
      }
      auto find = [&](const std::string &token) {
        const int32_t id = impl->pieces.find(token);
        if (id < 0)
          fail("merges " + quote(left) + " and " + quote(right) + ", but `model.vocab` has no " + quote(token));
        return id;
      };
      if (right.size() < prefix.size())
        fail("has " + quote(right) + ", which is shorter than `continuing_subword_prefix`, " + quote(prefix));
      Bpe::Merge merge{find(left), find(right), 0};
      merge.merged = find(left + right.substr(prefix.size()));
      merges.push_back(merge);
    }
    return merges;
  }

  void readWordPiece(const Node &model) {
    model.only({"type", "unk_token", "continuing_subword_prefix", "max_input_chars_per_word", "vocab"});
    fillPieces(model, false);
    const int32_t unknown = impl->pieces.find(model.at("unk_token").text());
    if (unknown < 0)
      model.at("unk_token").refuse("is " + shown(model.at("unk_token").j) + ", which is no token of `model.vocab`");
    impl->model = std::make_unique<WordPiece>(impl->pieces, unknown, model.at("continuing_subword_prefix").text(),
                                              model.at("max_input_chars_per_word").number());
  }

  // ── post-processor, decoder ───────────────────────────────────────────────

  int32_t pair(const Node &node) const { // ["[SEP]", 102]
    if (node.list().size() != 2)
      node.fail("a token and its id");
    return id(node.at(size_t(1)));
  }

  void postProcessor(const Node &node) {
    const size_t type = node.at("type").oneOf(
        {"ByteLevel", "TemplateProcessing", "BertProcessing", "RobertaProcessing", "Sequence"});
    if (type == 0 || type == 3) {
      if (type == 0)
        node.only({"type", "add_prefix_space", "trim_offsets", "use_regex"});
      else
        node.only({"type", "sep", "cls", "trim_offsets", "add_prefix_space"});
      Finish f;
      f.trim = node.at("trim_offsets").boolean();
      f.blankBefore = node.at("add_prefix_space").boolean();
      if (f.trim)
        impl->finish.push_back(f);
    }
    if (type == 2 || type == 3) {
      if (type == 2)
        node.only({"type", "sep", "cls"});
      Finish f;
      f.before = {pair(node.at("cls"))};
      f.after = {pair(node.at("sep"))};
      impl->finish.push_back(f);
    }
    if (type != 1)
      return;
    node.only({"type", "single", "pair", "special_tokens"});
    Finish f;
    const Node single = node.at("single").list();
    const Node specials = node.at("special_tokens");
    int texts = 0;
    for (size_t i = 0; i < single.size(); ++i) {
      const Node part = single.at(i).only({"SpecialToken", "Sequence"});
      if (part.has("Sequence")) {
        if (part.at("Sequence").at("id").oneOf({"A"}) == 0)
          ++texts;
        continue;
      }
      const Node ids = specials.at(part.at("SpecialToken").at("id").text().c_str()).at("ids").list();
      for (size_t k = 0; k < ids.size(); ++k)
        (texts ? f.after : f.before).push_back(id(ids.at(k)));
    }
    if (texts != 1)
      single.refuse("has the text " + std::to_string(texts) + " times; supported is once");
    impl->finish.push_back(f);
  }

  void decoder(const Node &node) {
    auto add = [&](Decoder d) { impl->decoders.push_back(std::move(d)); };
    switch (node.at("type").oneOf({"ByteLevel", "WordPiece", "Metaspace", "BPEDecoder", "ByteFallback", "Fuse",
                                   "Strip", "Replace", "Sequence"})) {
    case 0:
      node.only({"type", "add_prefix_space", "trim_offsets", "use_regex"});
      return add({Decoder::byteLevel});
    case 1: {
      node.only({"type", "prefix", "cleanup"});
      Decoder d{Decoder::wordPiece, node.at("prefix").text()};
      d.cleanUp = node.at("cleanup").boolean();
      return add(d);
    }
    case 2: {
      node.only({"type", "replacement", "prepend_scheme", "split", "add_prefix_space", "str_rep"});
      Decoder d{Decoder::metaspace, character(node.at("replacement"))};
      d.first = scheme(node) != Step::never;
      return add(d);
    }
    case 3:
      return add({Decoder::bpe, node.only({"type", "suffix"}).at("suffix").text()});
    case 4:
      return node.only({"type"}), add({Decoder::byteFallback});
    case 5:
      return node.only({"type"}), add({Decoder::fuse});
    case 6: {
      node.only({"type", "content", "start", "stop"});
      Decoder d{Decoder::strip, character(node.at("content"))};
      d.start = node.at("start").number();
      d.stop = node.at("stop").number();
      return add(d);
    }
    case 7:
      node.only({"type", "pattern", "content"});
      grows(node, double(node.at("content").text().size()) / double(literal(node).size()), longerDecoded);
      return add({Decoder::replace, literal(node), node.at("content").text()});
    }
  }

  Node root;
  std::shared_ptr<Encoder::Impl> impl;
  Kind which = bpe;
  double longer = 1, longerDecoded = 1;
};

/// Runs `read`, whose errors become a Status.
template <class F> auto guarded(F read) -> Result<decltype(read())> {
  try {
    return read();
  } catch (const Bad &bad) {
    return Status::error(bad.message);
  } catch (const json::exception &e) {
    return Status::error(std::string("the file cannot be read: ") + e.what());
  }
}

/// The token that a field of tokenizer_config.json names: a text, or an object with "content". Null: none.
const std::string *named(const Node &node) {
  if (node.j.is_null())
    return nullptr;
  return node.j.is_object() ? &node.at("content").text() : &node.text();
}

} // namespace

Result<std::shared_ptr<Encoder::Impl>> readTokenizer(std::string_view text) {
  return guarded([&] {
    const json j = parse(text);
    return Reader(j).read();
  });
}

Status readRoles(const std::string &dir, Encoder::Impl &impl) {
  struct Role {
    const char *field;
    int32_t Encoder::Roles::*id;
    std::initializer_list<const char *> usual;
  };
  using R = Encoder::Roles;
  const Role all[] = {
      {"bos_token", &R::bos, {"<s>", "<|begin_of_text|>", "<bos>", "<｜begin▁of▁sentence｜>", "<|endoftext|>"}},
      {"eos_token", &R::eos, {"</s>", "<|endoftext|>", "<|end_of_text|>", "<eos>", "<｜end▁of▁sentence｜>"}},
      {"pad_token", &R::pad, {"<pad>", "[PAD]", "<|pad|>", "<|finetune_right_pad_id|>", "<｜▁pad▁｜>"}},
      {"unk_token", &R::unk, {"<unk>", "[UNK]"}},
      {"mask_token", &R::mask, {"<mask>", "[MASK]"}},
      {"cls_token", &R::cls, {"[CLS]"}},
      {"sep_token", &R::sep, {"[SEP]"}},
  };
  bool decided[std::size(all)] = {};
  for (const char *name : {"tokenizer_config.json", "special_tokens_map.json"}) {
    const std::string path = dir + "/" + name;
    std::error_code error;
    if (!std::filesystem::exists(path, error))
      continue;
    R1RT_ASSIGN(MappedFile file, MappedFile::open(path));
    auto read = guarded([&] {
      const json j = parse(file.text());
      for (size_t i = 0; i < std::size(all); ++i) {
        if (decided[i] || !j.contains(all[i].field))
          continue;
        decided[i] = true;
        const Node node(j[all[i].field], all[i].field);
        if (const std::string *token = named(node)) {
          const int32_t id = impl.tokens.find(*token);
          if (id < 0)
            node.refuse("is " + quote(*token) + ", which is no token of the tokenizer.json beside it");
          impl.roles.*all[i].id = id;
        }
      }
      return true;
    });
    if (!read)
      return read.status().withContext("`" + path + "`");
  }
  for (size_t i = 0; i < std::size(all); ++i)
    for (const char *token : all[i].usual)
      if (!decided[i] && impl.roles.*all[i].id < 0)
        impl.roles.*all[i].id = impl.tokens.find(token);
  return Status::ok();
}

} // namespace r1rt::tokenizer
