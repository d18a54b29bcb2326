#include "runtime/corpus/Source.h"
#include "runtime/corpus/Pass.h"
#include "runtime/corpus/Plan.h"
#include "runtime/source/Globs.h"
#include "runtime/text/Utf8.h"

namespace r1rt::corpus {

using nlohmann::json;

bool isSource(const std::string &op) {
  return op == "lines" || op == "jsonl" || op == "csv" || op == "parquet";
}

Result<std::vector<std::string>> sourceFiles(const json &node, const Context &ctx) {
  return source::expandGlobs({node.value("path", "")}, ctx.baseDir);
}

std::string idOfFile(const std::string &file, const Context &ctx) {
  std::string name = !ctx.baseDir.empty() && file.starts_with(ctx.baseDir + "/")
                         ? file.substr(ctx.baseDir.size() + 1)
                         : file;
  text::repairUtf8(name); // the ledger is JSON, whatever files are called
  return name;
}

Result<source::SourceOptions> sourceOptions(const json &node) {
  source::SourceOptions o;
  std::string op = node.value("op", ""), by = node.value("by", "line"), utf8 = node.value("utf8", "reject");
  if (op == "lines") {
    if (by != "line" && by != "paragraph" && by != "file")
      return Status::error("`by` is \"" + by + "\"; it can be \"line\", \"paragraph\" or \"file\"",
                           ExitClass::program);
    o.format = by == "line"        ? source::Format::lines
               : by == "paragraph" ? source::Format::paragraphs
                                   : source::Format::file;
  } else {
    o.format = op == "jsonl" ? source::Format::jsonl
               : op == "csv" ? source::Format::csv
                             : source::Format::parquet;
    o.text = node.value("text", o.text);
  }
  if (op == "csv") {
    std::string d = node.value("delimiter", ",");
    if (d.size() != 1)
      return Status::error("the delimiter of a table is one character, not \"" + d + "\"", ExitClass::program);
    o.delimiter = d[0];
  }
  if (utf8 != "repair" && utf8 != "reject")
    return Status::error("`utf8` is \"" + utf8 + "\"; it can be \"repair\" or \"reject\"", ExitClass::program);
  o.repairUtf8 = utf8 == "repair";
  return o;
}

} // namespace r1rt::corpus
