#include "runtime/corpus/Ledger.h"
#include "runtime/source/JsonText.h"

namespace r1rt::corpus {

using nlohmann::json;
using source::appendJsonString;

uint64_t PassCount::droppedRows() const {
  uint64_t n = 0;
  for (auto &[reason, rows] : dropped)
    n += rows;
  return n;
}

PassCount &PassCount::operator+=(const PassCount &o) {
  in += o.in, out += o.out, changed += o.changed, duplicates += o.duplicates, added += o.added;
  for (auto &[reason, rows] : o.dropped)
    dropped[reason] += rows;
  return *this;
}

json PassCount::toJson() const {
  return {{"in", in},           {"out", out},     {"kept", kept()},      {"changed", changed},
          {"dropped", dropped}, {"added", added}, {"duplicates", duplicates}};
}

PassCount PassCount::fromJson(const json &j) {
  PassCount c;
  c.in = j.value("in", uint64_t(0));
  c.out = j.value("out", uint64_t(0));
  c.changed = j.value("changed", uint64_t(0));
  c.duplicates = j.value("duplicates", uint64_t(0));
  c.added = j.value("added", uint64_t(0));
  c.dropped = j.value("dropped", std::map<std::string, uint64_t>());
  return c;
}

void Ledger::line(size_t pass, const Row &row, const char *outcome, const char *key,
                  std::string_view value, std::string_view evidence) {
  text += "{\"id\":";
  appendJsonString(row.id, text);
  if (!row.domain.empty()) {
    text += ",\"domain\":";
    appendJsonString(row.domain, text);
  }
  text += ",\"pass\":" + std::to_string(pass) + ",\"op\":";
  appendJsonString(ops[pass], text);
  text += ",\"outcome\":\"";
  text += outcome;
  text += '"';
  if (!value.empty()) {
    text += ",\"";
    text += key;
    text += "\":";
    appendJsonString(value, text);
  }
  if (!evidence.empty()) {
    text += ",\"evidence\":";
    text += evidence;
  }
  text += "}\n";
}

void Ledger::changed(size_t pass, const Row &row, std::string_view reason,
                     std::string_view evidence) {
  ++counts[pass].changed;
  line(pass, row, "changed", "reason", reason, evidence);
}

void Ledger::dropped(size_t pass, const Row &row, std::string_view reason,
                     std::string_view evidence) {
  ++counts[pass].dropped[std::string(reason)];
  line(pass, row, "dropped", "reason", reason, evidence);
}

void Ledger::duplicate(size_t pass, const Row &row, std::string_view of,
                       std::string_view evidence) {
  ++counts[pass].duplicates;
  line(pass, row, "duplicate", "of", of, evidence);
}

void Ledger::added(size_t pass, const Row &row, std::string_view evidence) {
  ++counts[pass].added;
  line(pass, row, "added", "parent", parentOf(row.id), evidence);
}

std::string Ledger::nameOfAdded(std::string_view parent, size_t pass, size_t n) const {
  std::string id(parent);
  id += "~" + std::to_string(generation) + "." + std::to_string(pass);
  return n == 1 ? id : id + "." + std::to_string(n);
}

} // namespace r1rt::corpus
