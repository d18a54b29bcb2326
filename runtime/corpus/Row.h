//===- Row.h - one document on its way through a corpus --------------------===//
#ifndef R1RT_CORPUS_ROW_H
#define R1RT_CORPUS_ROW_H
#include "runtime/Status.h"
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace r1rt::corpus {

/// `_id`, `_domain` and `_key` are ours and stand beside the user's fields in shards; the first two in what
/// functions of rows see, too.
struct Row {
  std::string text;   // UTF-8
  std::string more;   // the user's other fields: empty, or a JSON object of at least one field
  std::string id;     // "FILE@OFFSET" of the source; of rows made from it: Ledger::nameOfAdded
  std::string domain; // its name in `mix`; may be empty
  std::string key;    // what a split goes by (keyOf), once another row was made from it; else empty

  /// {"text", the fields, "_id", "_domain"}; an error if `more` is not a JSON object.
  Result<nlohmann::json> toJson() const;
  /// Takes text and fields of a record; the row stays who it is. A record without "text" has the
  /// empty text. What it says of the order of keys: see inOrderOf, with the fields there were.
  void assign(nlohmann::json &&record);
};

/// `value` with the keys of objects in the order that `before` has: an object that stands at the same place of `before`
/// or, if it does not, anywhere in it, is written as it is there. Keys of all others are sorted, as functions of rows
/// give them.
nlohmann::ordered_json inOrderOf(const nlohmann::json &value, const nlohmann::ordered_json &before);

/// The fields, in their order, of a row that has a list `messages` with something in it; null for other rows, and
/// discarded (`is_discarded`) if they are no JSON.
nlohmann::ordered_json conversationOf(const Row &row);
/// Has it such a list? (Or fields of which nobody can tell.)
bool isConversation(const Row &row);
/// An error where `pass` would change the text of a preference, and its answers would not follow.
Status answersStay(const Row &row, const std::string &pass);
/// The same for conversations, whose messages would not follow, and preferences.
Status messagesStay(const Row &row, const std::string &pass);

/// What a split goes by: a hash of the text, or of the fields where there is none.
std::string keyOf(const Row &row);

/// Of a row that was made from another one: the id of that; else empty.
std::string_view parentOf(std::string_view id);
/// The id of the source row that a row was made from, or its own.
std::string_view rootOf(std::string_view id);

/// Appends one line of a shard: {"text":…,"_id":…,"_domain":…,"_key":…,fields}\n.
void appendShardLine(const Row &row, std::string &out);
/// A row from what a JSONL reader makes of such a line.
Row rowOfShard(std::string_view text, std::string_view more);

/// The first UTF-8 boundary at or after `at`.
size_t utf8Boundary(std::string_view text, size_t at);
/// Rows that wait between phases, one after the other: five lengths (u64), then text, fields, id, domain, key.
void appendWaiting(const Row &row, std::string &out);
/// Takes the next row off the front; false if what is there is no whole row.
bool takeWaiting(std::string_view &rows, Row &row);

/// `text` (valid UTF-8) as a JSON string, with its quotes.
std::string jsonString(std::string_view text);

} // namespace r1rt::corpus
#endif
