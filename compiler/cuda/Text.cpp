#include "compiler/cuda/Text.h"
#include "compiler/pch.h"

using namespace mlir;
namespace r1::cuda {

std::pair<std::string, unsigned> placeOf(Location loc) {
  std::pair<std::string, unsigned> found{"", 0};
  loc->walk([&](Location l) {
    auto f = dyn_cast<FileLineColLoc>(l);
    if (!f)
      return WalkResult::advance();
    found = {f.getFilename().str(), f.getLine()};
    return WalkResult::interrupt();
  });
  return found;
}

void Text::line(const Twine &s) {
  lineBegin = text.size();
  text.append(2 * depth, ' ');
  text += s.str();
  text += '\n';
  at = 0;
}

void Text::line(Location loc, const Twine &s) {
  auto [name, number] = placeOf(loc);
  std::string statement = s.str();
  if (number && at == number && name == file && text.size() - lineBegin + statement.size() < 100) {
    text.back() = ' ';
    text += statement + '\n';
    return;
  }
  if (number) {
    text += "#line " + std::to_string(number);
    if (name != file)
      text += " \"" + name + "\"";
    text += '\n';
    file = name;
  }
  line(statement);
  at = number;
}

void Text::open(const Twine &s) {
  line(s + " {");
  ++depth;
}

void Text::close(const Twine &s) {
  --depth;
  line(s);
}

} // namespace r1::cuda
