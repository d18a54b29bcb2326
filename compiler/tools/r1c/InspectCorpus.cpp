#include "compiler/tools/r1c/InspectCorpus.h"
#include "compiler/tools/r1c/Files.h"
#include "runtime/corpus/Artifact.h"
#include "runtime/corpus/Row.h"
#include "runtime/state/Dvc.h"
#include "runtime/state/Files.h"
#include <algorithm>
#include <cstdio>
#include <set>
#include <xxhash.h>

using nlohmann::json;
using r1rt::Result;
using r1rt::Status;
namespace corpus = r1rt::corpus;

namespace r1::tool {

bool holdsRows(const json &manifest) {
  const std::string kind = manifest.value("kind", "");
  return kind == "corpus" || kind == "annotate" || kind == "generate";
}

namespace {

Result<std::string> corpusDir(const std::string &fingerprint, r1rt::Store &store) {
  R1RT_ASSIGN(json manifest, store.manifest(fingerprint));
  if (!holdsRows(manifest))
    return Status::error("stage `" + manifest.value("stage", "") + "` is no corpus but of kind " +
                             manifest.value("kind", ""),
                         r1rt::ExitClass::commandLine);
  if (store.state(fingerprint) != r1rt::ArtifactState::finished)
    return Status::error("stage `" + manifest.value("stage", "") + "` is not finished");
  return store.dir(fingerprint);
}

/// A corpus and those that it was made from, the first ones first.
Status lineage(const std::string &fingerprint, r1rt::Store &store, std::vector<std::string> &out) {
  if (std::find(out.begin(), out.end(), fingerprint) != out.end())
    return Status::ok();
  R1RT_ASSIGN(json manifest, store.manifest(fingerprint));
  if (!holdsRows(manifest))
    return Status::ok();
  for (const json all = manifest.value("reads", json::object()); auto &[name, fp] : all.items())
    R1RT_TRY(lineage(fp.get<std::string>(), store, out));
  out.push_back(fingerprint);
  return Status::ok();
}

std::string droppedText(const json &pass) {
  std::vector<std::pair<uint64_t, std::string>> reasons;
  for (const json all = pass.value("dropped", json::object()); auto &[reason, n] : all.items())
    reasons.emplace_back(n.get<uint64_t>(), reason);
  std::sort(reasons.rbegin(), reasons.rend());
  std::string out;
  for (auto &[n, reason] : reasons)
    out += (out.empty() ? "" : ", ") + reason + " " + std::to_string(n);
  return out;
}

/// Ids, by their hashes, sorted.
Result<std::vector<uint64_t>> idsOf(const std::string &dir) {
  std::vector<uint64_t> ids;
  R1RT_ASSIGN(std::vector<std::string> shards, corpus::shardFiles(dir));
  for (const std::string &file : shards)
    R1RT_TRY(corpus::eachLine(file, [&](std::string_view line) -> Result<bool> {
      json j = json::parse(line, nullptr, false);
      std::string id = j.is_object() ? j.value("_id", "") : "";
      ids.push_back(XXH3_64bits(id.data(), id.size()));
      return true;
    }));
  std::sort(ids.begin(), ids.end());
  return ids;
}

/// What a corpus and those before it did with the rows `ids`: "clean: gopher_short_doc" -> rows, with
/// one of them as an example.
struct Reason {
  uint64_t rows = 0;
  std::string example;
};
Result<std::map<std::string, Reason>> reasonsFor(const std::vector<uint64_t> &ids,
                                                 const std::string &fingerprint, r1rt::Store &store) {
  std::map<std::string, Reason> out;
  std::vector<std::string> chain;
  R1RT_TRY(lineage(fingerprint, store, chain));
  for (const std::string &fp : chain) {
    R1RT_ASSIGN(std::vector<std::string> files, corpus::ledgerFiles(store.dir(fp)));
    for (const std::string &file : files)
      R1RT_TRY(corpus::eachLine(file, [&](std::string_view line) -> Result<bool> {
        json j = json::parse(line, nullptr, false);
        std::string outcome = j.value("outcome", ""), id = j.value("id", "");
        if ((outcome != "dropped" && outcome != "duplicate") ||
            !std::binary_search(ids.begin(), ids.end(), XXH3_64bits(id.data(), id.size())))
          return true;
        Reason &r = out[j.value("op", "") + ": " + j.value("reason", outcome)];
        if (!r.rows++)
          r.example = id;
        return true;
      }));
  }
  return out;
}

} // namespace

Status showAccount(const std::string &dir) {
  R1RT_ASSIGN(json account, corpus::readAccount(dir));
  std::printf("  %-16s %10s %10s %10s %10s %10s %10s %10s\n", "pass", "in", "kept", "changed", "dropped",
              "duplicate", "added", "out");
  for (const json &p : account["passes"]) {
    corpus::PassCount c = corpus::PassCount::fromJson(p);
    std::printf("  %-16s %10llu %10llu %10llu %10llu %10llu %10llu %10llu\n", p.value("op", "").c_str(),
                (unsigned long long)c.in, (unsigned long long)c.kept(), (unsigned long long)c.changed,
                (unsigned long long)c.droppedRows(), (unsigned long long)c.duplicates,
                (unsigned long long)c.added, (unsigned long long)c.out);
    if (c.droppedRows())
      std::printf("    dropped: %s\n", droppedText(p).c_str());
  }
  for (const json all = account.value("domains", json::object()); auto &[name, d] : all.items())
    std::printf("  domain    %-12s %llu rows, %s of text\n", name.empty() ? "(none)" : name.c_str(),
                (unsigned long long)d.value("rows", uint64_t(0)),
                r1rt::bytesText(d.value("bytes", uint64_t(0))).c_str());
  return Status::ok();
}

Status showRow(const std::string &fingerprint, r1rt::Store &store, const Options &o) {
  R1RT_ASSIGN(std::string mine, corpusDir(fingerprint, store));
  std::vector<std::string> chain;
  R1RT_TRY(lineage(fingerprint, store, chain));
  std::string root(corpus::rootOf(o.row));
  bool found = false;
  for (const std::string &fp : chain) {
    R1RT_ASSIGN(json manifest, store.manifest(fp));
    R1RT_ASSIGN(std::vector<json> history, corpus::historyOf(store.dir(fp), root));
    for (const json &line : history) {
      std::string id = line.value("id", ""), outcome = line.value("outcome", "");
      if (outcome == "row")
        id = line["row"].value("_id", "");
      // The row, those it was made from, and those made from it.
      if (id != o.row && !std::string_view(o.row).starts_with(id + "~") && !id.starts_with(o.row + "~"))
        continue;
      found = true;
      if (o.json) {
        json e = line;
        e["stage"] = manifest.value("stage", "");
        e["id"] = id;
        printEvent("row", e);
        continue;
      }
      std::string head = manifest.value("stage", "") + "  " + (id == o.row ? "" : id + "  ");
      if (outcome == "row") {
        std::string text = line["row"].value("text", "");
        json fields = line["row"];
        for (const char *name : {"text", "_id"})
          fields.erase(name);
        std::printf("%skept: %zu bytes%s\n", head.c_str(), text.size(),
                    fields.empty() ? "" : ("  " + fields.dump()).c_str());
        std::printf("  %s\n", argumentText(json(text), 300).c_str());
      } else {
        std::string what = line.value("reason", line.value("of", line.value("parent", "")));
        std::printf("%s%s: %s%s%s%s\n", head.c_str(), line.value("op", "").c_str(), outcome.c_str(),
                    outcome == "duplicate" ? " of " : outcome == "added" ? ", made from " : what.empty() ? "" : ", ",
                    what.c_str(),
                    line.contains("evidence") ? ("  " + line["evidence"].dump()).c_str() : "");
      }
    }
  }
  if (!found)
    return Status::error("no row `" + o.row + "` in this corpus or in those it was made from; ids are FILE@OFFSET, "
                         "as the shards have them: zstdcat " + mine + "/rows-00000.jsonl.zst",
                         r1rt::ExitClass::commandLine);
  return Status::ok();
}

Status showClusters(const std::string &fingerprint, r1rt::Store &store, const Options &o) {
  R1RT_ASSIGN(std::string dir, corpusDir(fingerprint, store));
  R1RT_ASSIGN(std::vector<std::string> ledgers, corpus::ledgerFiles(dir));
  std::vector<std::string> kept; // in the order of their first duplicates
  std::map<std::string, std::vector<json>> members;
  for (const std::string &file : ledgers)
    R1RT_TRY(corpus::eachLine(file, [&](std::string_view line) -> Result<bool> {
      json j = json::parse(line, nullptr, false);
      if (!j.is_object() || j.value("outcome", "") != "duplicate")
        return true;
      std::vector<json> &m = members[j.value("of", "")];
      if (m.empty())
        kept.push_back(j.value("of", ""));
      m.push_back({{"id", j.value("id", "")}, {"evidence", j.value("evidence", json())}});
      return true;
    }));
  for (const std::string &id : kept) {
    if (o.json) {
      printEvent("cluster", {{"kept", id}, {"duplicates", members[id]}});
      continue;
    }
    std::printf("%s\n", id.c_str());
    for (const json &m : members[id]) {
      json similarity = m["evidence"].is_object() ? m["evidence"].value("similarity", json()) : json();
      std::printf("  %s%s\n", m["id"].get_ref<const std::string &>().c_str(),
                  similarity.is_null() ? "" : ("  " + similarity.dump()).c_str());
    }
  }
  if (!o.json)
    std::printf("%zu clusters\n", kept.size());
  return Status::ok();
}

Status compareCorpora(const std::string &a, const std::string &b, r1rt::Store &store, const Options &o) {
  R1RT_ASSIGN(std::string dirA, corpusDir(a, store));
  R1RT_ASSIGN(std::string dirB, corpusDir(b, store));
  R1RT_ASSIGN(std::vector<uint64_t> idsA, idsOf(dirA));
  R1RT_ASSIGN(std::vector<uint64_t> idsB, idsOf(dirB));
  std::vector<uint64_t> both, onlyA, onlyB;
  std::set_intersection(idsA.begin(), idsA.end(), idsB.begin(), idsB.end(), std::back_inserter(both));
  std::set_difference(idsA.begin(), idsA.end(), idsB.begin(), idsB.end(), std::back_inserter(onlyA));
  std::set_difference(idsB.begin(), idsB.end(), idsA.begin(), idsA.end(), std::back_inserter(onlyB));
  R1RT_ASSIGN(auto lostInB, reasonsFor(onlyA, b, store));
  R1RT_ASSIGN(auto lostInA, reasonsFor(onlyB, a, store));
  if (o.json) {
    auto text = [](const std::map<std::string, Reason> &m) {
      json j = json::object();
      for (auto &[why, r] : m)
        j[why] = {{"rows", r.rows}, {"example", r.example}};
      return j;
    };
    printEvent("compare", {{"a", a}, {"b", b}, {"both", both.size()}, {"only_a", onlyA.size()},
                           {"only_b", onlyB.size()}, {"lost_in_b", text(lostInB)}, {"lost_in_a", text(lostInA)}});
    return Status::ok();
  }
  auto show = [](const char *name, size_t rows, const std::map<std::string, Reason> &why) {
    std::printf("only in %s: %zu rows\n", name, rows);
    for (auto &[reason, r] : why)
      std::printf("  %-40s %8llu  such as %s\n", reason.c_str(), (unsigned long long)r.rows, r.example.c_str());
  };
  std::printf("in both: %zu rows\n", both.size());
  show("the first", onlyA.size(), lostInB);
  show("the second", onlyB.size(), lostInA);
  R1RT_ASSIGN(json accountA, corpus::readAccount(dirA));
  R1RT_ASSIGN(json accountB, corpus::readAccount(dirB));
  std::printf("%-18s %12s %12s   %12s %12s\n", "pass", "in", "out", "in", "out");
  size_t n = std::max(accountA["passes"].size(), accountB["passes"].size());
  for (size_t i = 0; i < n; ++i) {
    auto side = [&](const json &account) {
      char text[64];
      if (i >= account["passes"].size())
        std::snprintf(text, sizeof text, "%12s %12s", "-", "-");
      else
        std::snprintf(text, sizeof text, "%12llu %12llu",
                      (unsigned long long)account["passes"][i].value("in", uint64_t(0)),
                      (unsigned long long)account["passes"][i].value("out", uint64_t(0)));
      return std::string(text);
    };
    const json &named = i < accountA["passes"].size() ? accountA : accountB;
    std::printf("%-18s %s   %s\n", named["passes"][i].value("op", "").c_str(), side(accountA).c_str(),
                side(accountB).c_str());
  }
  return Status::ok();
}

Status verifyArtifact(const std::string &fingerprint, r1rt::Store &store, const Options &o) {
  R1RT_ASSIGN(json manifest, store.manifest(fingerprint));
  std::vector<std::string> wrong;
  if (std::string damage = store.damage(fingerprint); !damage.empty())
    wrong.push_back(damage);
  else if (holdsRows(manifest)) {
    R1RT_ASSIGN(wrong, corpus::verify(store.dir(fingerprint)));
  }
  for (const json all = manifest.value("hashes", json::object()); auto &[file, hash] : all.items()) {
    auto now = r1rt::dvc::hashFile(store.dir(fingerprint) + "/" + file);
    if (!now)
      wrong.push_back(now.status().message());
    else if (hash.value("sha256", "") != now->sha256 || hash.value("md5", "") != now->md5)
      wrong.push_back("`" + file + "`: its SHA-256 is " + now->sha256 + ", the manifest says " +
                      hash.value("sha256", ""));
  }
  if (o.json)
    printEvent("verify", {{"fingerprint", fingerprint}, {"wrong", wrong}});
  else
    for (const std::string &line : wrong)
      std::printf("%s\n", line.c_str());
  if (!wrong.empty())
    return Status::error("stage `" + manifest.value("stage", "") + "` is not what it was: " +
                         std::to_string(wrong.size()) + (wrong.size() == 1 ? " thing is" : " things are") + " wrong");
  if (!o.json)
    std::printf("%s  verified: all files, rows and sums are as the account says\n", manifest.value("stage", "").c_str());
  return Status::ok();
}

} // namespace r1::tool
