//===- Bench.cpp - tokenizer-bench: what test/bench/tokenizer.py compares --===//
//
//   tokenizer-bench encode TOKENIZER TEXTS      {"ids", "places", "with", "as_text", "text", "all"} for each text: the
//       ids with the bytes [begin, end) of each; the ids with what the template adds; the ids where special tokens
//       are text; what is decoded of `with`, without and with special tokens
//   tokenizer-bench decode TOKENIZER LISTS      the text of each list of ids, special tokens included
//   tokenizer-bench speed TOKENIZER TEXTS SECONDS   {"bytes","seconds","result"}: CPU time, one thread
//   tokenizer-bench offsets TOKENIZER TEXTS SECONDS   the same with the bytes of each token
//   tokenizer-bench train FOLDER TEXTS VOCAB    what `bpe` of the language trains, with the specials <user> and <x>,
//       and its tokenizer.json; VOCAB 0: the tokenizer of bytes
//   tokenizer-bench own FOLDER TEXTS            {"ids","text"} of such a one
//
// TOKENIZER is a tokenizer.json; TEXTS a file of JSON texts, LISTS of JSON lists, one a line.
//
//===----------------------------------------------------------------------===//
#include "runtime/data/Tokenizer.h"
#include "runtime/state/Files.h"
#include "runtime/tokenizer/Tokenizer.h"
#include <ctime>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

using namespace r1rt::tokenizer;
using nlohmann::json;

namespace {

json::array_t readLines(const char *path) {
  json::array_t lines;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);)
    lines.push_back(json::parse(line));
  return lines;
}

template <class Fn> void measure(const std::vector<std::string> &texts, double limit, Fn fn) {
  const std::clock_t begin = std::clock();
  auto seconds = [&] { return double(std::clock() - begin) / CLOCKS_PER_SEC; };
  uint64_t bytes = 0, result = 0;
  do {
    for (const std::string &t : texts) {
      result += fn(t);
      bytes += t.size();
    }
  } while (seconds() < limit);
  std::cout << json{{"bytes", bytes}, {"seconds", seconds()}, {"result", result}} << "\n";
}

int fail(const r1rt::Status &st) {
  std::cerr << st.message() << "\n";
  return 1;
}

int train(const std::string &dir, const std::vector<std::string> &texts, int32_t vocab) {
  r1rt::Corpus corpus;
  for (const std::string &text : texts)
    corpus.rows.push_back({text, {}});
  const std::vector<std::string> special = {"<user>", "<x>"};
  r1rt::Result<r1rt::TokenizerPtr> tok = r1rt::bytesTokenizer(special);
  if (vocab)
    tok = r1rt::trainBpe(corpus, vocab, special, {});
  if (!tok)
    return fail(tok.status());
  auto json = (*tok)->tokenizerJson();
  r1rt::Status st = json ? (*tok)->save(dir) : json.status();
  if (st)
    st = r1rt::writeFileAtomic(dir + "/tokenizer.json", *json);
  return st ? 0 : fail(st);
}

int own(const std::string &dir, const std::vector<std::string> &texts) {
  auto tok = r1rt::openTokenizer(dir);
  if (!tok)
    return fail(tok.status());
  for (const std::string &text : texts) {
    std::vector<int32_t> ids;
    (*tok)->encode(text, ids);
    std::cout << json{{"ids", ids}, {"text", (*tok)->decode(ids)}} << "\n";
  }
  return 0;
}

} // namespace

int main(int argc, char **argv) {
  std::vector<std::string> args(argv + 1, argv + argc);
  if (args.size() < 3) {
    std::cerr << "tokenizer-bench encode|decode|speed|offsets|train|own TOKENIZER FILE [SECONDS|VOCAB]\n";
    return 2;
  }
  const json::array_t lines = readLines(argv[3]);
  if (args[0] == "train" || args[0] == "own") {
    const std::vector<std::string> texts(lines.begin(), lines.end());
    return args[0] == "own" ? own(args[1], texts) : train(args[1], texts, args.size() > 3 ? std::stoi(args[3]) : 0);
  }
  auto opened = Encoder::open(args[1]);
  if (!opened) {
    std::cerr << opened.status().message() << "\n";
    return 1;
  }
  const Encoder &tok = *opened;
  if (args[0] == "decode") {
    for (const json &ids : lines)
      std::cout << json(tok.decode(ids.get<std::vector<int32_t>>(), false)) << "\n";
    return 0;
  }
  std::vector<std::string> texts(lines.begin(), lines.end());
  if (args[0] == "encode") {
    for (const std::string &text : texts) {
      std::vector<int32_t> ids, fast, with, asText;
      std::vector<Piece> pieces;
      tok.encode(text, pieces);
      tok.encode(text, fast);
      tok.encode(text, with, true);
      tok.encode(text, asText, false, true);
      json::array_t places;
      for (const Piece &p : pieces) {
        ids.push_back(p.id);
        places.push_back({p.begin, p.end});
      }
      if (ids != fast) {
        std::cerr << "two ids for one text: " << text << "\n";
        return 1;
      }
      std::cout << json{{"ids", ids},         {"places", places},         {"with", with},
                        {"as_text", asText}, {"text", tok.decode(with)}, {"all", tok.decode(with, false)}}
                << "\n";
    }
    return 0;
  }
  const double seconds = args.size() > 3 ? std::stod(args[3]) : 1;
  std::vector<int32_t> ids;
  std::vector<Piece> pieces;
  measure(texts, seconds, [&](const std::string &t) {
    ids.clear(), pieces.clear();
    if (args[0] == "speed")
      tok.encode(t, ids);
    else
      tok.encode(t, pieces);
    return ids.size() + pieces.size();
  });
}
