#include "compiler/Messages.h"
#include "compiler/pch.h"

using namespace mlir;

namespace r1 {

static FileLineColLoc leaf(Location loc) {
  FileLineColLoc found;
  loc->walk([&](Location l) {
    found = dyn_cast<FileLineColLoc>(l);
    return found ? WalkResult::interrupt() : WalkResult::advance();
  });
  return found;
}

Messages::Messages(MLIRContext &context, const SourceManager *sources)
    : sources(sources), handler(&context, [this](Diagnostic &d) {
        if (d.getSeverity() == DiagnosticSeverity::Remark)
          return success();
        std::string title = d.str(), code;
        if (title.size() > 7 && title[0] == 'E' && title.compare(5, 2, ": ") == 0) {
          code = title.substr(0, 5);
          title = title.substr(7);
        }
        std::vector<std::string> notes;
        for (Diagnostic &n : d.getNotes())
          notes.push_back(n.str());
        Span at = span(d.getLocation());
        if (!at.valid())
          if (std::string where = place(d.getLocation()); !where.empty())
            title = where + ": " + title;
        Diag &out = d.getSeverity() == DiagnosticSeverity::Error ? diags.error(code, at, title)
                                                                : diags.warning(code, at, title);
        out.notes = notes;
        return success();
      }) {}

std::string Messages::text(Severity most) const {
  static const SourceManager none;
  std::string all;
  for (Diag d : diags.all()) {
    d.severity = std::max(d.severity, most); // from errors to notes
    all += render(d, sources ? *sources : none);
  }
  return all + extra;
}

void Messages::clear() {
  diags = {};
  extra.clear();
}

std::string Messages::place(Location loc) {
  FileLineColLoc f = leaf(loc);
  return f ? f.getFilename().str() + ":" + std::to_string(f.getLine()) + ":" +
                 std::to_string(f.getColumn())
           : "";
}

Span Messages::span(Location loc) const {
  FileLineColLoc f = leaf(loc);
  if (!f || !sources || f.getLine() == 0)
    return {};
  for (uint32_t id = 1; sources->has(id); ++id) {
    const SourceFile &file = sources->file(id);
    if (file.path != f.getFilename() || f.getLine() > file.lineStarts.size())
      continue;
    uint32_t begin = file.lineStarts[f.getLine() - 1] + std::max(1u, f.getColumn()) - 1;
    uint32_t end = begin;
    while (end < file.text.size() && (isalnum(uint8_t(file.text[end])) || file.text[end] == '_'))
      ++end;
    return {id, begin, std::max(end, begin + 1)};
  }
  return {};
}

} // namespace r1
