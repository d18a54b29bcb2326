//===- FileInfo.h - what parsers know of a file beside a block's bytes ------===//
#ifndef R1RT_SOURCE_FILEINFO_H
#define R1RT_SOURCE_FILEINFO_H
#include "runtime/source/Json.h"
#include "runtime/source/Records.h"

namespace r1rt::source {

namespace parquet {
struct File;
}

struct FileInfo {
  static constexpr size_t none = ~size_t(0);

  std::string path;
  std::vector<FieldKind> kinds; // jsonl: of the fields of the first rows
  // csv: for each field `"NAME":` if it is kept, else "", and the number of the text's field; none:
  // the fields are a preference (Layouts.h).
  std::vector<std::string> keys;
  size_t textField = none;
  std::shared_ptr<const parquet::File> parquet;
};

/// "`a`, `b` and 3 more", for messages.
std::string listNames(const std::vector<std::string> &names);

/// Has the file a text under one name or another? `fields` are all it has. textField: none if it is
/// made of a layout's fields. An error names what there is; so with columns that are not there.
Result<size_t> findText(const std::string &path, const std::vector<std::string> &fields,
                        const SourceOptions &options);

} // namespace r1rt::source
#endif
