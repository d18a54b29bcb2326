#include "runtime/stages/OutputLog.h"
#include <algorithm>
#include <fcntl.h>

namespace r1rt {

using nlohmann::json;

Status OutputLog::open(const std::string &p) {
  path = p;
  fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (fd < 0)
    return failed("open");
  R1RT_ASSIGN(std::string text, readFile(path));
  size_t at = 0;
  for (size_t end; (end = text.find('\n', at)) != std::string::npos; at = end + 1) {
    json line = json::parse(text.begin() + ptrdiff_t(at), text.begin() + ptrdiff_t(end), nullptr, false);
    if (!line.is_object() || !line.contains("row"))
      break; // of a crash: what follows is made again
    names.insert(nameOf(line.value("row", ""), line.value("sample", int64_t(0))));
  }
  if (::ftruncate(fd, off_t(at)) != 0 || ::lseek(fd, off_t(at), SEEK_SET) < 0)
    return failed("cut");
  return Status::ok();
}

Status OutputLog::add(const json &line) {
  buffer += line.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
  names.insert(nameOf(line.value("row", ""), line.value("sample", int64_t(0))));
  return std::chrono::steady_clock::now() - flushed > std::chrono::seconds(1) ? flush() : Status::ok();
}

Status OutputLog::flush() {
  for (size_t at = 0; at < buffer.size();) {
    ssize_t n = ::write(fd, buffer.data() + at, buffer.size() - at);
    if (n < 0 && errno != EINTR)
      return failed("write");
    at += n > 0 ? size_t(n) : 0;
  }
  buffer.clear();
  if (::fdatasync(fd) != 0)
    return failed("flush");
  flushed = std::chrono::steady_clock::now();
  return Status::ok();
}

Result<json> Outputs::parse(size_t at, size_t size) const {
  json line = json::parse(file.text().substr(at, size), nullptr, false);
  if (!line.is_object())
    return Status::error("the log of outputs is damaged at byte " + std::to_string(at));
  return line;
}

Status Outputs::open(const std::string &path) {
  R1RT_ASSIGN(file, MappedFile::open(path));
  std::string_view text = file.text();
  for (size_t at = 0, end; (end = text.find('\n', at)) != text.npos; at = end + 1) {
    R1RT_ASSIGN(json line, parse(at, end - at));
    places[line.value("row", "")].push_back({at, end - at});
    auto count = [&](const char *what, uint64_t n) { counts[what] = counts[what].get<uint64_t>() + n; };
    const bool first = line.value("sample", 0) == 0;
    count("asked", first);
    count("empty", first && line.contains("empty"));
    count("cut", first && line.contains("cut"));
    count("dropped", first && line.contains("most"));
    for (const json &o : line.value("outputs", json::array())) {
      count("outputs", 1);
      count("tokens", o.contains("choice") ? 0 : o["output_tokens"].size());
      count("stopped", o.value("finish", "") == "stop");
    }
  }
  return Status::ok();
}

Result<corpus::Written> Outputs::of(const std::string &row) const {
  auto it = places.find(row);
  if (it == places.end() && some)
    return corpus::Written();
  if (it == places.end())
    return Status::error("row " + row + " was not there when the model was asked: the data have changed");
  std::vector<json> lines;
  for (auto [at, size] : it->second) {
    R1RT_ASSIGN(json line, parse(at, size));
    lines.push_back(std::move(line));
  }
  std::sort(lines.begin(), lines.end(), [](const json &a, const json &b) { return a["sample"] < b["sample"]; });
  corpus::Written w;
  if (lines[0].contains("most")) {
    w.dropped = "long_prompt";
    w.evidence = json{{"tokens", lines[0]["tokens"]}, {"most", lines[0]["most"]}};
    return w;
  }
  for (json &line : lines)
    for (json &o : line["outputs"]) {
      if (!o.contains("choice"))
        o["sample"] = w.samples.size();
      w.samples.push_back(std::move(o));
    }
  return w;
}

} // namespace r1rt
