// Where things are: the library beside the binary, the file and the name in "FILE.r1:NAME".
#pragma once
#include <string>

namespace r1::tool {

/// The folder with the library's .r1 files: <prefix>/share/r1c/stdlib of an installed r1c, else
/// the source tree this binary was built from; empty if neither is there.
std::string stdlibDir();

/// "dir/a.r1:gpt" -> file "dir/a.r1", name "gpt"; without a colon, name is empty.
struct FileAndName {
  std::string file, name;
};
FileAndName splitFileAndName(const std::string &text);

} // namespace r1::tool
