#include "compiler/tools/r1c/Files.h"
#include <filesystem>

namespace fs = std::filesystem;

std::string r1::tool::stdlibDir() {
  std::error_code ec;
  fs::path self = fs::read_symlink("/proc/self/exe", ec);
  if (!ec) {
    fs::path prefix = self.parent_path().parent_path();
    for (const fs::path &dir : {prefix / "share" / "r1c" / "stdlib", prefix.parent_path() / "stdlib"})
      if (fs::exists(dir / "prelude.r1", ec))
        return dir.string();
  }
  return "";
}

r1::tool::FileAndName r1::tool::splitFileAndName(const std::string &text) {
  size_t dot = text.rfind(".r1:");
  if (dot == std::string::npos)
    return {text, ""};
  return {text.substr(0, dot + 3), text.substr(dot + 4)};
}
