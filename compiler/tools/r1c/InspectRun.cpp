#include "compiler/tools/r1c/InspectRun.h"
#include "runtime/report/Page.h"
#include "runtime/state/Files.h"
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <set>
#include <sys/ioctl.h>
#include <unistd.h>

using nlohmann::json;
using r1rt::Result;
using r1rt::Series;
using r1rt::Status;

namespace r1::tool {

namespace {

/// Columns of the terminal, of a pipe 80.
size_t terminalColumns() {
  winsize w{};
  const bool known = ::isatty(1) && ::ioctl(1, TIOCGWINSZ, &w) == 0 && w.ws_col >= 40;
  return known ? std::min<size_t>(w.ws_col, 160) : 80;
}

std::string plain(const json &j) { return j.is_string() ? j.get<std::string>() : argumentText(j); }

/// The values of an object, each with the path to it: "memory.arena" -> 123.
void flatten(const json &j, const std::string &path, std::vector<std::pair<std::string, std::string>> &out) {
  if (j.is_object() && !j.empty()) {
    for (auto &[key, value] : j.items())
      flatten(value, path.empty() ? key : path + "." + key, out);
  } else {
    out.emplace_back(path, j.is_number() ? r1rt::shortNumber(j.get<double>()) : plain(j));
  }
}

void addMemory(r1rt::Page &page, const json &memory) {
  page.heading("Memory");
  std::vector<std::vector<std::string>> rows;
  for (auto &[name, bytes] : memory.items())
    if (bytes.is_number_unsigned())
      rows.push_back({name, r1rt::bytesText(bytes.get<uint64_t>())});
  page.table({"part", "size"}, rows);
}

void addKernels(r1rt::Page &page, const std::string &dir) {
  auto text = r1rt::readFile(dir + "/kernels.json");
  if (!text)
    return;
  const json kernels = json::parse(*text, nullptr, false);
  if (!kernels.is_array() || kernels.empty())
    return;
  page.heading("Kernels of a step");
  std::vector<std::vector<std::string>> rows;
  char cell[64];
  for (const json &k : kernels) {
    std::vector<std::string> row = {k.value("name", ""), k.value("place", ""),
                                    std::to_string(k.value("calls", uint64_t(0)))};
    for (const char *what : {"bytes", "flops"}) {
      std::snprintf(cell, sizeof cell, "%.3f", double(k.value(what, uint64_t(0))) / (*what == 'b' ? 1e6 : 1e9));
      row.push_back(cell);
    }
    rows.push_back(std::move(row));
  }
  page.table({"kernel", "from", "calls", "MB at least", "GFLOP at least"}, rows);
}

/// Each pass of a corpus with what came in and went out.
void addAccount(r1rt::Page &page, const std::string &dir) {
  auto text = r1rt::readFile(dir + "/account.json");
  if (!text)
    return;
  const json account = json::parse(*text, nullptr, false);
  if (!account.is_object() || !account.contains("passes"))
    return;
  page.heading("Rows");
  std::vector<std::vector<std::string>> rows;
  for (const json &p : account["passes"]) {
    std::vector<std::string> row = {p.value("name", p.value("op", ""))};
    std::vector<std::pair<std::string, std::string>> counts;
    flatten(p, "", counts);
    std::string rest;
    for (auto &[name, value] : counts)
      if (name != "name" && name != "op" && value.find_first_not_of("0123456789") == std::string::npos)
        rest += (rest.empty() ? "" : ",  ") + name + " " + value;
    row.push_back(rest);
    rows.push_back(std::move(row));
  }
  page.table({"pass", "rows"}, rows);
}

/// What an artifact was made from, and that from, each once; what is nearest comes first.
void addLineage(r1rt::Page &page, const json &manifest, r1rt::Store &store) {
  std::vector<std::vector<std::string>> rows;
  std::set<std::string> seen;
  std::vector<json> queue = {manifest};
  for (size_t i = 0; i < queue.size(); ++i) {
    const json reads = queue[i].value("reads", json::object());
    for (auto &[name, fingerprint] : reads.items()) {
      if (!fingerprint.is_string() || !seen.insert(fingerprint).second)
        continue;
      auto m = store.manifest(fingerprint);
      rows.push_back({name, m ? m->value("kind", "") : "", fingerprint, m ? m->value("state", "") : "not there",
                      queue[i].value("stage", "")});
      if (m)
        queue.push_back(*m);
    }
  }
  if (rows.empty())
    return;
  page.heading("Made from");
  page.table({"stage", "kind", "fingerprint", "state", "read by"}, rows);
}

} // namespace

Status showCurves(const std::string &dir) {
  R1RT_ASSIGN(std::vector<Series> all, r1rt::readSeries({dir + "/steps.jsonl", dir + "/measured.jsonl"}));
  if (all.empty())
    return Status::ok();
  const size_t columns = terminalColumns();
  size_t width = 0;
  for (const Series &s : all)
    width = std::max(width, s.name.size());
  std::printf("\n");
  if (all[0].name == "loss") {
    std::printf("  loss\n");
    for (const std::string &line : r1rt::plotText(all[0], columns - 16, 8))
      std::printf("  %s\n", line.c_str());
    all.erase(all.begin());
  }
  for (const Series &s : all)
    std::printf("  %-*s %s %s … %s\n", int(width), s.name.c_str(),
                r1rt::sparkline(s, columns > width + 40 ? columns - width - 30 : 20).c_str(),
                r1rt::shortNumber(s.values.front()).c_str(), r1rt::shortNumber(s.values.back()).c_str());
  return Status::ok();
}

Status writePage(const std::string &fingerprint, r1rt::Store &store, const Options &o) {
  R1RT_ASSIGN(json manifest, store.manifest(fingerprint));
  const std::string dir = store.dir(fingerprint);
  const std::string kind = manifest.value("kind", ""), stage = manifest.value("stage", "");
  r1rt::Page page(stage + " of pipeline " + manifest.value("pipeline", ""));
  std::vector<std::pair<std::string, std::string>> facts = {
      {"kind", kind},
      {"state", manifest.value("state", "")},
      {"fingerprint", fingerprint},
      {"r1c", plain(manifest.value("version", json("")))},
      {"target", plain(manifest.value("target", json("")))}};
  page.facts(facts);

  if (manifest.contains("metrics") && manifest["metrics"].is_object()) {
    page.heading("Metrics");
    std::vector<std::vector<std::string>> rows;
    for (auto &[name, value] : manifest["metrics"].items())
      rows.push_back({name, value.is_number() ? r1rt::shortNumber(value.get<double>()) : plain(value)});
    page.table({"metric", "value"}, rows);
  }
  R1RT_ASSIGN(std::vector<Series> curves, r1rt::readSeries({dir + "/steps.jsonl", dir + "/measured.jsonl"}));
  if (!curves.empty()) {
    page.heading("Curves");
    for (const Series &s : curves)
      page.curve(s);
  }
  // What the stage has said of itself at its end.
  std::vector<std::pair<std::string, std::string>> results;
  for (const char *name : {"steps", "loss", "targets", "seconds", "rows", "data"})
    if (manifest.contains(name))
      flatten(manifest[name], name, results);
  if (!results.empty()) {
    page.heading("Result");
    page.facts(results);
  }
  if (manifest.contains("memory") && manifest["memory"].is_object())
    addMemory(page, manifest["memory"]);
  addKernels(page, dir);
  addAccount(page, dir);
  if (const json spec = manifest.value("spec", json::object()); !spec.empty()) {
    page.heading("Arguments");
    std::vector<std::pair<std::string, std::string>> arguments;
    for (auto &[name, value] : spec.items())
      arguments.emplace_back(name, argumentText(manifest.value("shown", json()), name, value));
    page.facts(arguments);
  }
  addLineage(page, manifest, store);
  if (manifest.contains("files") && manifest["files"].is_object()) {
    page.heading("Files");
    std::vector<std::vector<std::string>> files;
    for (auto &[name, size] : manifest["files"].items())
      files.push_back({name, size.is_number_unsigned() ? r1rt::bytesText(size.get<uint64_t>()) : plain(size)});
    page.table({"file", "size"}, files);
  }
  R1RT_TRY(r1rt::writeFileAtomic(o.html, page.html()));
  if (o.json)
    printEvent("page", {{"stage", stage}, {"fingerprint", fingerprint}, {"file", o.html}});
  else
    std::printf("%s\n", o.html.c_str());
  return Status::ok();
}

} // namespace r1::tool
