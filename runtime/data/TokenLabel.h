//===- TokenLabel.h - a class for each word of a row -------------------------===//
//
//   {"op":"label","each":"token","repair":false, and the rest of Label.h}
//
// A row names the classes of its words in one of two ways:
//
//   {"tokens": ["New", "York", "is"], "tags": ["B-LOC", "I-LOC", "O"]}            the text is the words, blanks between
//   {"text": "New York is", "spans": [{"start": 0, "end": 8, "label": "LOC"}]}    characters [start, end)
//
// Of a text with spans the words are the runs of letters, digits, marks and _ (each Han or kana by itself),
// and every other character that is no white space. A span begins and ends with a word.
//
// A word is encoded with the blanks before it; its first token has its class, the others none. Where classes have names
// that begin with B- and I- (IOB2), an I-X has to go on with a B-X or I-X; "repair" makes a B-X of one that does not.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_DATA_TOKENLABEL_H
#define R1RT_DATA_TOKENLABEL_H
#include "runtime/corpus/Row.h"
#include "runtime/data/Classes.h"

namespace r1rt {

struct TaggedText {
  std::string text;
  struct Word {
    size_t begin, end; // bytes of the text
    int32_t cls;
  };
  std::vector<Word> words; // in order, apart from each other
  uint64_t repaired = 0;   // tags I-X that became B-X
};

/// The words of a row and their classes. Errors name the row, the word or span, and what was expected.
Result<TaggedText> taggedText(const corpus::Row &row, const Classes &classes, bool repair);

} // namespace r1rt
#endif
