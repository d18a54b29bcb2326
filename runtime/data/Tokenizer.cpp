#include "runtime/data/Tokenizer.h"
#include "runtime/corpus/Row.h"
#include "runtime/state/Files.h"
#include "runtime/tokenizer/Chars.h"
#include "runtime/tokenizer/Tokenizer.h"
#include <atomic>
#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <map>
#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>
#include <unordered_map>

namespace r1rt {

using nlohmann::json;

namespace {

/// The parts of a tokenizer.json around a BPE model.
json pretrained(json model, const std::vector<std::pair<int32_t, std::string>> &special, json preTokenizer,
                json decoder) {
  json added = json::array();
  for (auto &[id, content] : special)
    added.push_back({{"id", id}, {"content", content}, {"single_word", false}, {"lstrip", false}, {"rstrip", false},
                     {"normalized", false}, {"special", true}});
  model["type"] = "BPE";
  return {{"version", "1.0"}, {"truncation", nullptr}, {"padding", nullptr}, {"added_tokens", added},
          {"normalizer", nullptr}, {"pre_tokenizer", preTokenizer}, {"post_processor", nullptr},
          {"decoder", decoder}, {"model", model}};
}

class Bytes final : public Tokenizer {
public:
  explicit Bytes(std::vector<std::string> specials) : specials(std::move(specials)) {}
  int32_t vocab() const override { return 258 + int32_t(specials.size()); }
  int32_t endOfText() const override { return 256; }
  int32_t padding() const override { return 257; }
  int32_t special(std::string_view name) const override {
    auto at = std::find(specials.begin(), specials.end(), name);
    return at == specials.end() ? -1 : 258 + int32_t(at - specials.begin());
  }
  void encode(std::string_view text, std::vector<int32_t> &ids) const override {
    for (unsigned char c : text)
      ids.push_back(c);
  }
  std::string decode(std::span<const int32_t> ids) const override {
    std::string s;
    for (int32_t id : ids)
      if (id >= 0 && id < 256)
        s += static_cast<char>(id);
    return s;
  }
  /// A byte-level vocabulary without merges.
  Result<std::string> tokenizerJson() const override {
    json vocab = json::object();
    std::string name;
    for (int b = 0; b < 256; ++b) {
      name.clear();
      tokenizer::appendChar(name, tokenizer::byteChar(static_cast<unsigned char>(b)));
      vocab[name] = b;
    }
    std::vector<std::pair<int32_t, std::string>> special = {{256, "<|endoftext|>"}, {257, "<|pad|>"}};
    for (size_t i = 0; i < specials.size(); ++i)
      special.push_back({258 + int32_t(i), specials[i]});
    for (auto &[id, content] : special)
      if (vocab.contains(content) || std::count_if(special.begin(), special.end(),
                                                   [&](auto &other) { return other.second == content; }) > 1)
        return Status::error("the special token \"" + content + "\" has no name of its own in a tokenizer.json");
    const json bytes = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", false}, {"use_regex", false}};
    return pretrained({{"vocab", vocab}, {"merges", json::array()}}, special, bytes, bytes).dump() + "\n";
  }
  Status save(const std::string &dir) const override {
    json j = {{"kind", "bytes"}};
    if (!specials.empty())
      j["special"] = specials;
    return writeFileAtomic(dir + "/tokenizer.r1.json", j.dump() + "\n");
  }

private:
  std::vector<std::string> specials;
};

/// The names in j["special"], if it has some; false where that is no list of texts.
bool specialsOf(const json &j, std::vector<std::string> &out) {
  auto it = j.find("special");
  if (it == j.end() || it->is_null())
    return true;
  if (!it->is_array())
    return false;
  for (const json &name : *it) {
    if (!name.is_string())
      return false;
    out.push_back(name);
  }
  return true;
}

/// U+2581, by which the library marks a blank inside of pieces.
constexpr std::string_view blankMark = "\xE2\x96\x81";

class Bpe final : public Tokenizer {
public:
  static Result<TokenizerPtr> create(std::string model, int32_t vocab) {
    auto t = std::make_shared<Bpe>();
    auto st = t->sp.LoadFromSerializedProto(model);
    if (!st.ok())
      return Status::error("the SentencePiece model cannot be read: " + st.ToString());
    if (vocab < t->sp.GetPieceSize() || t->sp.eos_id() < 0)
      return Status::error("the SentencePiece model does not fit its description");
    for (size_t i = 0; i < blankMark.size(); ++i) {
      char name[8];
      snprintf(name, sizeof name, "<0x%02X>", static_cast<unsigned char>(blankMark[i]));
      t->spelt[i] = t->sp.PieceToId(name);
    }
    t->model = std::move(model);
    t->size = vocab;
    return TokenizerPtr(t);
  }
  int32_t vocab() const override { return size; }
  int32_t pieces() const { return sp.GetPieceSize(); }
  int32_t endOfText() const override { return sp.eos_id(); }
  int32_t padding() const override { return sp.eos_id(); }
  int32_t special(std::string_view name) const override {
    // They stand between the end of text and the bytes; a piece of the text may be spelt the same.
    int32_t id = sp.PieceToId(absl::string_view(name.data(), name.size()));
    return id > sp.eos_id() && id < sp.PieceToId("<0x00>") ? id : -1;
  }
  void encode(std::string_view text, std::vector<int32_t> &ids) const override {
    // The library would take a U+2581 of the text for a blank, so it is never shown one: it is
    // spelt in bytes, as other characters without a piece are.
    for (size_t at; (at = text.find(blankMark)) != text.npos;
         text.remove_prefix(at + blankMark.size())) {
      encodeUnmarked(text.substr(0, at), ids);
      ids.insert(ids.end(), spelt.begin(), spelt.end());
    }
    encodeUnmarked(text, ids);
  }
  std::string decode(std::span<const int32_t> ids) const override {
    // Piece by piece: the library would replace bytes that are not yet a whole character.
    std::string s;
    for (int32_t id : ids) {
      if (id < 0 || id >= sp.GetPieceSize() || sp.IsControl(id) || sp.IsUnknown(id))
        continue;
      const std::string &p = sp.IdToPiece(id);
      if (sp.IsByte(id)) {
        s += static_cast<char>(std::stoi(p.substr(3, 2), nullptr, 16));
        continue;
      }
      for (size_t i = 0; i < p.size();)
        if (std::string_view(p).substr(i).starts_with(blankMark)) {
          s += ' ';
          i += blankMark.size();
        } else {
          s += p[i++];
        }
    }
    return s;
  }
  Result<std::string> tokenizerJson() const override {
    // Blanks stand as themselves, so that a U+2581 of a text is spelt in bytes as it is here.
    json vocab = json::object();
    std::vector<std::pair<float, int32_t>> order; // of the pieces that merges make, the first merged first
    std::vector<std::pair<int32_t, std::string>> special = {{sp.eos_id(), sp.IdToPiece(sp.eos_id())}};
    for (int32_t id = 0; id < sp.GetPieceSize(); ++id) {
      const std::string text = plain(id);
      vocab[text] = id;
      if (this->special(sp.IdToPiece(id)) == id)
        special.push_back({id, text});
      else if (isPiece(id))
        order.push_back({-sp.GetScore(id), id});
    }
    if (vocab.size() != size_t(sp.GetPieceSize()))
      return Status::error("two pieces of the SentencePiece model are one in a tokenizer.json");
    std::sort(order.begin(), order.end());
    json merges = json::array();
    auto piece = [&](const std::string &text) {
      auto it = vocab.find(text);
      return it != vocab.end() && isPiece(it->get<int32_t>());
    };
    for (auto [score, id] : order) {
      const std::string text = plain(id);
      for (size_t at = corpus::utf8Boundary(text, 1); at < text.size(); at = corpus::utf8Boundary(text, at + 1)) {
        const std::string left = text.substr(0, at), right = text.substr(at);
        if (piece(left) && piece(right))
          merges.push_back({left, right});
      }
    }
    const json decoder = {{"type", "Sequence"},
                          {"decoders", {{{"type", "ByteFallback"}}, {{"type", "Fuse"}}}}};
    const json bpe = {{"dropout", nullptr}, {"unk_token", plain(sp.unk_id())}, {"continuing_subword_prefix", nullptr},
                      {"end_of_word_suffix", nullptr}, {"fuse_unk", false}, {"byte_fallback", true},
                      {"ignore_merges", false}, {"vocab", vocab}, {"merges", merges}};
    return pretrained(bpe, special, nullptr, decoder).dump() + "\n";
  }
  Status save(const std::string &dir) const override {
    R1RT_TRY(writeFileAtomic(dir + "/tokenizer.model", model));
    json j = {{"kind", "bpe"}, {"vocab", size}, {"pieces", pieces()}, {"sha256", sha256(model)}};
    return writeFileAtomic(dir + "/tokenizer.r1.json", j.dump() + "\n");
  }

private:
  /// Of text, neither for bytes nor for control.
  bool isPiece(int32_t id) const {
    return !sp.IsControl(id) && !sp.IsUnknown(id) && !sp.IsByte(id) && special(sp.IdToPiece(id)) != id;
  }
  /// A piece with blanks as they are.
  std::string plain(int32_t id) const {
    std::string text = sp.IdToPiece(id);
    for (size_t at; (at = text.find(blankMark)) != text.npos;)
      text.replace(at, blankMark.size(), " ");
    return text;
  }

  // No piece has a blank behind its first character, so no merge crosses one: what stands from a blank to
  // the next is encoded alone, and mostly has been met before.
  void encodeUnmarked(std::string_view text, std::vector<int32_t> &ids) const {
    thread_local Met met;
    if (met.owner != serial || met.ids.size() > (1 << 22))
      met = {serial, {}, {}};
    for (size_t from = 0; from < text.size();) {
      size_t to = std::min(text.find(' ', from + 1), text.size());
      std::string_view word = text.substr(from, to - from);
      from = to;
      auto it = word.size() <= 64 ? met.words.find(word) : met.words.end();
      if (it == met.words.end()) {
        met.out.clear();
        (void)sp.Encode(absl::string_view(word.data(), word.size()), &met.out);
        ids.insert(ids.end(), met.out.begin(), met.out.end());
        if (word.size() <= 64) {
          met.words.emplace(word, std::pair{uint32_t(met.ids.size()), uint32_t(met.out.size())});
          met.ids.insert(met.ids.end(), met.out.begin(), met.out.end());
        }
        continue;
      }
      auto [begin, n] = it->second;
      ids.insert(ids.end(), met.ids.begin() + begin, met.ids.begin() + begin + n);
    }
  }

  /// Words that a thread has met, of one tokenizer.
  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  struct Met {
    uint64_t owner = 0;
    std::unordered_map<std::string, std::pair<uint32_t, uint32_t>, Hash, std::equal_to<>> words; // in ids
    std::vector<int32_t> ids;
    std::vector<int> out = {};
  };
  static uint64_t nextSerial() {
    static std::atomic<uint64_t> last{0};
    return ++last;
  }
  const uint64_t serial = nextSerial();

  sentencepiece::SentencePieceProcessor sp;
  std::array<int32_t, blankMark.size()> spelt; // the pieces of the bytes of U+2581
  std::string model;
  int32_t size = 0;
};

/// A tokenizer.json, and what stands beside it.
class Pretrained final : public Tokenizer {
public:
  explicit Pretrained(tokenizer::Encoder encoder) : encoder(std::move(encoder)) {}

  static Result<TokenizerPtr> open(const std::string &file) {
    auto encoder = tokenizer::Encoder::open(file);
    if (!encoder)
      return encoder.status();
    auto t = std::make_shared<Pretrained>(encoder.take());
    R1RT_ASSIGN(t->files["tokenizer.json"], readFile(file));
    for (const char *name : {"tokenizer_config.json", "special_tokens_map.json"}) {
      const std::filesystem::path beside = std::filesystem::path(file).parent_path() / name;
      std::error_code error;
      if (std::filesystem::exists(beside, error)) {
        R1RT_ASSIGN(t->files[name], readFile(beside.string()));
      }
    }
    return TokenizerPtr(t);
  }

  int32_t vocab() const override { return encoder.vocabSize(); }
  // BERT has neither, but its texts stand between [CLS] and [SEP].
  int32_t endOfText() const override { return firstOf(encoder.roles().eos, encoder.roles().sep, -1); }
  int32_t beginOfText() const override {
    return firstOf(encoder.roles().bos, encoder.roles().cls, endOfText());
  }
  int32_t padding() const override { return firstOf(encoder.roles().pad, endOfText(), 0); }
  int32_t special(std::string_view name) const override {
    const int32_t id = encoder.tokenToId(name);
    return encoder.isSpecial(id) ? id : -1;
  }
  void encode(std::string_view text, std::vector<int32_t> &ids) const override { encoder.encode(text, ids); }
  std::string decode(std::span<const int32_t> ids) const override {
    // Token by token, so that pieces of a text joined are the text.
    std::string s;
    for (int32_t id : ids)
      if (!encoder.isSpecial(id))
        s += encoder.bytesOf(id);
    return s;
  }
  Result<std::string> tokenizerJson() const override { return files.at("tokenizer.json"); }
  Status save(const std::string &dir) const override {
    json hashes = json::object();
    for (auto &[name, content] : files) {
      R1RT_TRY(writeFileAtomic(dir + "/" + name, content));
      hashes[name] = sha256(content);
    }
    return writeFileAtomic(dir + "/tokenizer.r1.json",
                           json{{"kind", "tokenizer.json"}, {"sha256", hashes}}.dump() + "\n");
  }

private:
  static int32_t firstOf(int32_t a, int32_t b, int32_t c) { return a >= 0 ? a : b >= 0 ? b : c; }
  tokenizer::Encoder encoder;
  std::map<std::string, std::string> files; // by name, with their content
};

class Sentences final : public sentencepiece::SentenceIterator {
public:
  explicit Sentences(const std::vector<std::string> &s) : all(s) {}
  bool done() const override { return at >= all.size(); }
  void Next() override { ++at; }
  const std::string &value() const override { return all[at]; }
  sentencepiece::util::Status status() const override { return {}; }

private:
  const std::vector<std::string> &all;
  size_t at = 0;
};

/// Calls take(character) for each UTF-8 character.
template <class F> void eachCharacter(std::string_view s, F take) {
  for (size_t i = 0; i < s.size();) {
    size_t e = corpus::utf8Boundary(s, i + 1);
    take(s.substr(i, e - i));
    i = e;
  }
}

} // namespace

TokenizerPtr bytesTokenizer(std::vector<std::string> special) {
  return std::make_shared<Bytes>(std::move(special));
}

/// The files of a saved tokenizer have the hashes they had when written.
static Status undamaged(const std::string &dir, const json &hashes) {
  for (auto &[name, hash] : hashes.items()) {
    R1RT_ASSIGN(std::string content, readFile(dir + "/" + name));
    if (hash != sha256(content))
      return Status::error("`" + dir + "/" + name +
                           "` is damaged: its content does not have the hash it had when written; --fresh with the "
                           "stage that made it makes it again");
  }
  return Status::ok();
}

Result<TokenizerPtr> openTokenizer(const std::string &dir) {
  R1RT_ASSIGN(std::string text, readFile(dir + "/tokenizer.r1.json"));
  json j = json::parse(text, nullptr, false);
  std::string kind = j.is_object() && j.contains("kind") && j["kind"].is_string()
                         ? j["kind"].get<std::string>()
                         : "";
  std::vector<std::string> special;
  if (kind == "bytes" && specialsOf(j, special))
    return bytesTokenizer(std::move(special));
  if (kind == "tokenizer.json") {
    R1RT_TRY(undamaged(dir, j.value("sha256", json::object())));
    return Pretrained::open(dir + "/tokenizer.json");
  }
  if (kind != "bpe" || !j.contains("vocab") || !j["vocab"].is_number_unsigned() ||
      j["vocab"].get<uint64_t>() > uint64_t(INT32_MAX))
    return Status::error("`" + dir + "/tokenizer.r1.json` does not describe a tokenizer");
  if (auto hash = j.find("sha256"); hash != j.end())
    R1RT_TRY(undamaged(dir, {{"tokenizer.model", *hash}}));
  R1RT_ASSIGN(std::string model, readFile(dir + "/tokenizer.model"));
  auto t = Bpe::create(std::move(model), j["vocab"].get<int32_t>());
  return t ? std::move(t)
           : Result<TokenizerPtr>(t.status().withContext("`" + dir + "/tokenizer.model`"));
}

Result<TokenizerPtr> openTokenizer(const json &spec, DataContext &ctx) {
  if (spec.is_object() && spec.contains("op") && spec["op"] == "bytes_tokenizer") {
    std::vector<std::string> special;
    if (!specialsOf(spec, special))
      return Status::error("the specials of bytes_tokenizer are not a list of texts", ExitClass::program);
    return bytesTokenizer(std::move(special));
  }
  if (spec.is_object() && spec.contains("op") && spec["op"] == "tokenizer" && spec.contains("path") &&
      spec["path"].is_string())
    return Pretrained::open(spec["path"].get<std::string>());
  if (spec.is_object() && spec.contains("stage") && spec["stage"].is_string()) {
    if (!ctx.artifactDir)
      return Status::error("no artifacts are at hand to take a tokenizer from");
    R1RT_ASSIGN(std::string dir, ctx.artifactDir(spec["stage"].get<std::string>()));
    return openTokenizer(dir);
  }
  return Status::error("the description of a tokenizer is neither a stage nor bytes_tokenizer nor a tokenizer.json",
                       ExitClass::program);
}

Result<TokenizerPtr> trainBpe(const Corpus &corpus, int32_t vocab,
                              const std::vector<std::string> &special,
                              const std::function<void(const std::string &)> &warn) {
  // Ids: unknown (never produced, the library insists on it), end of text, specials, bytes, the
  // blank, pieces.
  const int32_t fixed = 256 + 3 + int32_t(special.size());
  if (vocab < fixed)
    return Status::error("a vocabulary of " + std::to_string(vocab) +
                             " is too small: the 256 bytes and " + std::to_string(fixed - 256) +
                             " specials alone take " + std::to_string(fixed),
                         ExitClass::program);
  std::string symbols;
  for (const std::string &s : special) {
    if (s.empty() || s.find_first_of(",\"\n\t ") != s.npos || s.find(blankMark) != s.npos)
      return Status::error("the special token \"" + s +
                               "\" is empty or has a comma, quote, space or U+2581 in it",
                           ExitClass::program);
    symbols += (symbols.empty() ? "" : ",") + s;
  }

  // Characters that get a piece of their own; the rest go through bytes. At most half of the
  // room, so that merges remain possible.
  std::unordered_map<std::string, uint64_t> counts;
  for (const Row &r : corpus.rows)
    eachCharacter(r.text, [&](std::string_view c) { ++counts[std::string(c)]; });
  for (const char *c : {"\n", "\r", "\t", " ", "\xE2\x96\x81", "\xE2\x96\x85"})
    counts.erase(c);
  counts.erase(std::string(1, '\0'));
  std::vector<std::pair<uint64_t, std::string>> ranked;
  for (auto &[c, n] : counts)
    ranked.push_back({n, c});
  std::sort(ranked.begin(), ranked.end(), [](auto &a, auto &b) {
    return a.first != b.first ? a.first > b.first : a.second < b.second;
  });
  size_t room = size_t(vocab - fixed);
  std::unordered_map<std::string, bool> own;
  uint64_t total = 0, covered = 0;
  for (auto &[n, c] : ranked)
    total += n;
  for (auto &[n, c] : ranked) {
    // The last 0.05 % of the text are rare characters, better spelt in bytes.
    if (own.size() + 1 > room / 2 || double(covered) >= 0.9995 * double(total))
      break;
    own[c] = true;
    covered += n;
  }

  std::vector<std::string> sentences;
  std::string current;
  auto flush = [&] {
    if (!current.empty())
      sentences.push_back(std::move(current));
    current.clear();
  };
  for (const Row &r : corpus.rows) {
    eachCharacter(r.text, [&](std::string_view c) {
      // The library skips sentences that are too long or hold the characters it reserves.
      if (c == " ")
        current += c;
      else if (own.count(std::string(c)))
        current += c;
      else
        flush();
      if (current.size() > 4000)
        flush();
    });
    flush();
  }
  if (own.empty() || sentences.empty()) {
    own.clear();
    sentences.clear(); // only bytes are left to learn: the library still wants a sentence
  }
  // The library ends the program when the blank, which always has a piece, does not occur.
  if (std::none_of(sentences.begin(), sentences.end(),
                   [](const std::string &s) { return s.find(' ') != s.npos; }))
    sentences.push_back(" ");

  std::unordered_map<std::string, std::string> args = {{"model_type", "bpe"},
                                                       {"vocab_size", std::to_string(vocab)},
                                                       {"byte_fallback", "true"},
                                                       {"hard_vocab_limit", "false"},
                                                       {"character_coverage", "1.0"},
                                                       {"normalization_rule_name", "identity"},
                                                       {"add_dummy_prefix", "false"},
                                                       {"remove_extra_whitespaces", "false"},
                                                       {"split_digits", "true"},
                                                       {"required_chars", "\xE2\x96\x81"},
                                                       {"max_sentence_length", "8192"},
                                                       {"num_threads", "1"},
                                                       {"shuffle_input_sentence", "false"},
                                                       {"unk_id", "0"},
                                                       {"eos_id", "1"},
                                                       {"bos_id", "-1"},
                                                       {"pad_id", "-1"},
                                                       {"minloglevel", "3"}};
  if (!symbols.empty())
    args["user_defined_symbols"] = symbols;
  std::string model;
  try {
    Sentences it(sentences);
    auto st = sentencepiece::SentencePieceTrainer::Train(args, &it, &model);
    if (!st.ok())
      return Status::error("SentencePiece cannot train a vocabulary of " + std::to_string(vocab) +
                           ": " + st.ToString());
  } catch (const std::exception &e) {
    return Status::error(std::string("SentencePiece failed: ") + e.what());
  }
  R1RT_ASSIGN(TokenizerPtr t, Bpe::create(std::move(model), vocab));
  int32_t pieces = static_cast<const Bpe &>(*t).pieces();
  if (pieces < vocab && warn)
    warn("the text supports " + std::to_string(pieces) + " pieces, fewer than the " +
         std::to_string(vocab) + " asked for; ids " + std::to_string(pieces) + " to " +
         std::to_string(vocab - 1) + " stay unused");
  return t;
}

} // namespace r1rt
