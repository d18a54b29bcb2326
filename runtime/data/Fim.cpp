#include "runtime/data/Fim.h"
#include "runtime/state/Philox.h"
#include <algorithm>

namespace r1rt {

using nlohmann::json;

Result<Fim> Fim::of(const json &spec, const Tokenizer &tok) {
  Fim f;
  if (spec.is_null())
    return f;
  f.rate = spec.value("rate", 0.5);
  f.spm = spec.value("spm", 0.5);
  f.key = drawKey(spec.value("seed", uint64_t(0)), "fim");
  for (auto [name, value] : {std::pair{"rate", f.rate}, {"spm", f.spm}})
    if (!(value >= 0 && value <= 1))
      return Status::error(std::string("`") + name + "` of fim is a probability, 0 to 1, this is " + std::to_string(value),
                           ExitClass::program);
  const json names = spec.value("tokens", json::array());
  int32_t *const ids[] = {&f.prefix, &f.suffix, &f.middle};
  for (size_t i = 0; i < 3; ++i) {
    std::string name = i < names.size() && names[i].is_string() ? names[i].get<std::string>() : "";
    *ids[i] = tok.special(name);
    if (*ids[i] < 0)
      return Status::error("the tokenizer has no special token \"" + name + "\" for fim; make it with special = [\"" +
                               name + "\", …]",
                           ExitClass::program);
  }
  return f;
}

/// Where the character begins that is number `n` of `text`.
static size_t placeOf(std::string_view text, uint64_t n) {
  size_t at = 0;
  for (; n && at < text.size(); --n)
    do
      ++at;
    while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80);
  return at;
}

void Fim::encode(std::string_view text, uint64_t number, const Tokenizer &tok, std::vector<int32_t> &ids) const {
  PhiloxBlock how = philox(key, number);
  if (rate == 0 || text.empty() || uniform01(how[0], how[1]) >= rate)
    return tok.encode(text, ids);
  const uint64_t characters =
      uint64_t(std::count_if(text.begin(), text.end(), [](unsigned char c) { return (c & 0xC0) != 0x80; }));
  // Both cuts may stand before, between and after the characters.
  PhiloxBlock cuts = philox(key, number, 1);
  uint64_t a = uint64_t(uniform01(cuts[0], cuts[1]) * double(characters + 1));
  uint64_t b = uint64_t(uniform01(cuts[2], cuts[3]) * double(characters + 1));
  size_t from = placeOf(text, std::min(a, b)), to = placeOf(text, std::max(a, b));
  ids.push_back(prefix);
  const bool suffixFirst = uniform01(how[2], how[3]) < spm;
  if (!suffixFirst)
    tok.encode(text.substr(0, from), ids);
  ids.push_back(suffix);
  tok.encode(text.substr(to), ids);
  ids.push_back(middle);
  if (suffixFirst) // one text, as the model will write it on
    return tok.encode(text.substr(0, to), ids);
  tok.encode(text.substr(from, to - from), ids);
}

} // namespace r1rt
