//===- Pipeline.h - what a tokenizer.json becomes ----------------------------===//
#ifndef R1RT_TOKENIZER_PIPELINE_H
#define R1RT_TOKENIZER_PIPELINE_H
#include "runtime/tokenizer/Added.h"
#include "runtime/tokenizer/Decode.h"
#include "runtime/tokenizer/Model.h"
#include "runtime/tokenizer/Normalise.h"
#include "runtime/tokenizer/Split.h"
#include "runtime/tokenizer/Tokenizer.h"
#include <optional>
#include <unordered_map>

namespace r1rt::tokenizer {

/// A step from a normalised text to the pieces that the model sees.
struct Step {
  enum Kind {
    split,
    blankBefore, // a blank, unless the piece begins with one
    bytes,       // bytes as GPT-2's characters
    metaspace,   // blanks as `mark`, and one before the piece: always, never, or of the first piece only
  } kind;
  std::optional<Splitter> splitter = {};
  std::string mark = {};
  enum Before { always, never, first } before = never;
};

/// A step behind the model.
struct Finish {
  bool trim = false;        // white space is taken out of the places of tokens; else:
  bool blankBefore = false; // but for the one that blankBefore has put before the first
  std::vector<int32_t> before, after; // tokens that the template adds
};

struct Encoder::Impl {
  std::vector<AddedToken> added;
  Finder raw, normalised; // in the text as it is; in the normalised text
  std::vector<Normaliser> normalisers;
  std::vector<Step> steps;
  Vocabulary pieces; // of the model; in bytes if the model is one of bytes
  std::unique_ptr<const Model> model;
  uint64_t serial = 0; // of the words that threads remember
  std::vector<Finish> finish;
  std::vector<Decoder> decoders;
  bool bytesOnly = false;    // decoding is joining bytes
  std::vector<std::string> bytes; // of each id, then
  std::unordered_map<int32_t, std::string> forms; // what is decoded of added tokens whose normalised form is another
  std::vector<bool> skipped; // by id: a special token
  std::vector<bool> special;
  Vocabulary tokens; // all, as they stand in the file
  int32_t size = 0;
  Roles roles;
  bool tracksOrigin = false; // a step depends on where a piece comes from

  std::string_view form(int32_t id) const {
    auto it = forms.find(id);
    return it == forms.end() ? tokens.text(id) : std::string_view(it->second);
  }
};

/// Read.cpp: from the content of a tokenizer.json.
Result<std::shared_ptr<Encoder::Impl>> readTokenizer(std::string_view json);
/// From the files beside it, where they are there.
Status readRoles(const std::string &dir, Encoder::Impl &impl);

} // namespace r1rt::tokenizer
#endif
