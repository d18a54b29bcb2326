#include "runtime/tokenizer/Tokenizer.h"
#include "runtime/state/Files.h"
#include "runtime/text/Utf8.h"
#include "runtime/tokenizer/Pipeline.h"
#include "runtime/tokenizer/Scan.h"
#include "runtime/tokenizer/Words.h"
#include <filesystem>

namespace r1rt::tokenizer {

namespace {

/// White space at the ends of a token, in characters: what `trim` takes out.
struct Blanks {
  uint32_t before = 0, after = 0;
};

Blanks blanksOf(std::string_view token) {
  const CharTable &table = CharTable::get();
  auto blank = [&](char32_t c) { return c == byteChar(' ') || (table[c] & space); };
  Blanks n;
  for (size_t at = 0; at < token.size() && blank(decodeChar(token, at));)
    ++n.before;
  for (size_t end = token.size(); end > 0; ++n.after) {
    size_t at = end = charBegin(token, end - 1);
    if (!blank(decodeChar(token, at)))
      break;
  }
  return n;
}

/// The encoding of one text.
class Encoding {
public:
  Encoding(const Encoder::Impl &impl, std::vector<int32_t> *ids, std::vector<Piece> *pieces, bool specialIsText)
      : impl(impl), ids(ids), pieces(pieces), specialIsText(specialIsText), words(Words::of(impl.serial)),
        tracked(pieces || impl.tracksOrigin) {
    for (const Finish &f : impl.finish)
      trims |= pieces && f.trim;
  }

  void run(std::string_view text) {
    Changed repaired(tracked);
    View given{text};
    if (size_t bad = text::findBadUtf8(text); bad != text.npos) {
      repair(text, bad, repaired);
      given = repaired.view();
    }
    const size_t first = pieces ? pieces->size() : 0;
    impl.raw.each(given.text, specialIsText, [&](size_t begin, size_t end, const AddedToken *token) {
      const View part = given.part(begin, end);
      if (token)
        addToken(*token, part);
      else
        segment(part);
    });
    if (trims)
      for (const Finish &f : impl.finish)
        if (f.trim)
          trim(text, std::span(*pieces).subspan(first), f.blankBefore);
  }

private:
  /// Each maximal part that is not UTF-8 becomes U+FFFD.
  static void repair(std::string_view text, size_t bad, Changed &out) {
    const View in{text};
    size_t done = 0;
    for (; bad != text.npos; bad = text::findBadUtf8(text.substr(done)), bad += bad == text.npos ? 0 : done) {
      out.copy(in, done, bad);
      size_t bytes = 1; // the longest beginning that is replaced as one
      for (size_t n = 2; n <= 3 && bad + n <= text.size(); ++n)
        if (std::string part(text.substr(bad, n)); text::repairUtf8(part) == 1 && part.size() == 3)
          bytes = n;
      out.text += "\xEF\xBF\xBD";
      if (out.tracked)
        out.origin.resize(out.text.size(), {uint32_t(bad), uint32_t(bad + bytes)});
      done = bad + bytes;
    }
    out.copy(in, done, text.size());
  }

  void segment(const View &part) {
    if (impl.normalisers.empty() && impl.normalised.empty())
      return piece(0, part);
    Changed a(tracked), b(tracked);
    const View text = normalise(impl.normalisers, part, a, b);
    impl.normalised.each(text.text, specialIsText, [&](size_t begin, size_t end, const AddedToken *token) {
      if (token)
        addToken(*token, text.part(begin, end));
      else
        piece(0, text.part(begin, end));
    });
  }

  void piece(size_t at, const View &view) {
    if (at == impl.steps.size())
      return word(view);
    const Step &step = impl.steps[at];
    switch (step.kind) {
    case Step::split:
      step.splitter->each(view.text, [&](size_t begin, size_t end) { piece(at + 1, view.part(begin, end)); });
      return;
    case Step::blankBefore:
      return changed(at, view, !view.text.starts_with(' '), {Normaliser::prepend, "", " "});
    case Step::bytes:
      return changed(at, view, true, {Normaliser::bytes});
    case Step::metaspace: {
      Changed marked(tracked), begun(tracked);
      View now = view;
      if (Normaliser{Normaliser::replace, " ", step.mark}.apply(view, marked))
        now = marked.view();
      const bool first = step.before == Step::always || (step.before == Step::first && view.range(0, 1).begin == 0);
      return changed(at, now, first && !now.text.starts_with(step.mark), {Normaliser::prepend, "", step.mark});
    }
    }
  }

  void changed(size_t at, const View &view, bool change, const Normaliser &how) {
    Changed out(tracked);
    if (change && how.apply(view, out))
      piece(at + 1, out.view());
    else
      piece(at + 1, view);
  }

  void word(const View &view) {
    const std::span<const Token> tokens = words.tokenize(*impl.model, view.text, view.limit);
    if (ids) {
      for (Token t : tokens)
        ids->push_back(t.id);
      return;
    }
    size_t at = 0;
    for (Token t : tokens) {
      const Range r = view.range(at, at + t.bytes);
      at += t.bytes;
      pieces->push_back({t.id, r.begin, r.end});
      if (trims)
        blanks.push_back(blanksOf(impl.tokens.text(t.id)));
    }
  }

  void addToken(const AddedToken &token, const View &view) {
    if (ids) {
      ids->push_back(token.id);
      return;
    }
    const Range r = view.range(0, view.text.size());
    pieces->push_back({token.id, r.begin, r.end});
    if (trims)
      blanks.push_back(blanksOf(view.text));
  }

  /// The package counts characters, whatever they are in the text that was given.
  void trim(std::string_view text, std::span<Piece> all, bool blankBefore) const {
    for (size_t i = 0; i < all.size(); ++i) {
      Piece &p = all[i];
      auto [before, after] = blanks[i];
      if ((i == 0 || p.begin == 0) && blankBefore && before == 1)
        before = 0;
      for (; before > 0 && p.begin < p.end; --before)
        p.begin = uint32_t(charEnd(text, p.begin));
      size_t end = p.end;
      for (; after > 0 && end > 0; --after)
        end = charBegin(text, end - 1);
      if (after == 0) // else there are not so many characters, and nothing is done
        p.end = std::max(uint32_t(end), p.begin);
    }
  }

  const Encoder::Impl &impl;
  std::vector<int32_t> *ids;
  std::vector<Piece> *pieces;
  std::vector<Blanks> blanks; // of each piece, if some are trimmed
  bool specialIsText;
  Words &words;
  bool tracked, trims = false;
};

} // namespace

Result<Encoder> Encoder::fromJson(std::string_view json) {
  auto impl = readTokenizer(json);
  if (!impl)
    return impl.status();
  return Encoder(impl.take());
}

Result<Encoder> Encoder::open(const std::string &path) {
  namespace fs = std::filesystem;
  std::error_code error;
  const bool directory = fs::is_directory(path, error);
  const std::string file = directory ? path + "/tokenizer.json" : path;
  R1RT_ASSIGN(MappedFile mapped, MappedFile::open(file));
  auto impl = readTokenizer(mapped.text());
  if (!impl)
    return impl.status().withContext("`" + file + "`");
  const std::string dir = fs::path(file).parent_path().string();
  R1RT_TRY(readRoles(dir.empty() ? "." : dir, **impl));
  return Encoder(impl.take());
}

void Encoder::encode(std::string_view text, std::vector<int32_t> &ids, bool addSpecial, bool specialIsText) const {
  if (addSpecial)
    for (size_t i = impl->finish.size(); i-- > 0;)
      ids.insert(ids.end(), impl->finish[i].before.begin(), impl->finish[i].before.end());
  Encoding(*impl, &ids, nullptr, specialIsText).run(text);
  if (addSpecial)
    for (const Finish &f : impl->finish)
      ids.insert(ids.end(), f.after.begin(), f.after.end());
}

void Encoder::encode(std::string_view text, std::vector<Piece> &pieces, bool addSpecial, bool specialIsText) const {
  if (addSpecial)
    for (size_t i = impl->finish.size(); i-- > 0;)
      for (int32_t id : impl->finish[i].before)
        pieces.push_back({id, 0, 0});
  Encoding(*impl, nullptr, &pieces, specialIsText).run(text);
  if (addSpecial)
    for (const Finish &f : impl->finish)
      for (int32_t id : f.after)
        pieces.push_back({id, 0, 0});
}

std::string Encoder::decode(std::span<const int32_t> ids, bool skipSpecial) const {
  auto kept = [&](int32_t id) {
    return impl->tokens.has(id) && !(skipSpecial && impl->skipped[size_t(id)]);
  };
  if (impl->bytesOnly) {
    std::string out;
    for (int32_t id : ids)
      if (kept(id))
        out += impl->bytes[size_t(id)];
    text::repairUtf8(out);
    return out;
  }
  std::vector<std::string> tokens;
  for (int32_t id : ids)
    if (kept(id))
      tokens.emplace_back(impl->form(id));
  return decodeTokens(impl->decoders, std::move(tokens));
}

std::string Encoder::bytesOf(int32_t id) const {
  if (!impl->tokens.has(id))
    return "";
  return impl->bytesOnly ? impl->bytes[size_t(id)] : decodeAlone(impl->decoders, impl->form(id));
}

int32_t Encoder::vocabSize() const { return impl->size; }
int32_t Encoder::tokenToId(std::string_view token) const { return impl->tokens.find(token); }
std::string_view Encoder::idToToken(int32_t id) const { return impl->tokens.text(id); }
bool Encoder::isSpecial(int32_t id) const {
  return id >= 0 && size_t(id) < impl->special.size() && impl->special[size_t(id)];
}
const Encoder::Roles &Encoder::roles() const { return impl->roles; }

} // namespace r1rt::tokenizer
