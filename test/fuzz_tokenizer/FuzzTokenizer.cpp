// Reads any bytes as a tokenizer.json. One that is accepted encodes and decodes whatever text it is given, with
// places within the text; among others its own.
#include "runtime/tokenizer/Tokenizer.h"
#include <cstdlib>

using namespace r1rt::tokenizer;

static void check(bool holds) {
  if (!holds)
    abort();
}

static void use(const Encoder &t, std::string_view text) {
  std::vector<int32_t> ids;
  std::vector<Piece> pieces;
  t.encode(text, ids, true);
  t.encode(text, pieces, true);
  check(ids.size() == pieces.size());
  for (size_t i = 0; i < ids.size(); ++i) {
    check(ids[i] == pieces[i].id && ids[i] >= 0 && ids[i] < t.vocabSize());
    check(pieces[i].begin <= pieces[i].end && pieces[i].end <= text.size());
    t.bytesOf(ids[i]);
  }
  t.decode(ids);
  t.decode(ids, false);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const std::string_view text(reinterpret_cast<const char *>(data), size);
  auto t = Encoder::fromJson(text);
  if (!t) {
    check(!t.status().message().empty());
    return 0;
  }
  for (std::string_view one :
       {std::string_view("Hello  wörld's 12345\r\n\t <s>\xE6\x95\xB0\xE6\x8D\xAE e\xCC\x81\xCC\xA3 \xF0\x9F\x98\x80"),
        std::string_view("\0\xFF\xE2\x82 ab a  b", 12), text.substr(0, 300), text.substr(size - std::min<size_t>(size, 300)),
        std::string_view()})
    use(*t, one);
  return 0;
}
