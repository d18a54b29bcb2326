#include "runtime/state/Store.h"
#include "runtime/state/Dvc.h"
#include "runtime/state/Files.h"
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace r1rt {

using nlohmann::json;
namespace fs = std::filesystem;

static std::string dumpJson(const json &j) {
  return j.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

static json parseJson(const std::string &text) {
  return json::parse(text, nullptr, /*allow_exceptions=*/false);
}

ArtifactLease::~ArtifactLease() {
  if (fd >= 0)
    ::close(fd); // gives the flock back
}

Result<std::unique_ptr<Store>> Store::open(const std::string &root) {
  std::error_code ec;
  if (!fs::exists(root, ec)) {
    Status st = makeDirs(root);
    if (!st.isOk())
      return st.withContext("the store `" + root + "` cannot be made");
  }
  R1RT_ASSIGN(std::unique_ptr<Store> s, look(root));
  s->onlyLooks = false;
  return s;
}

Result<std::unique_ptr<Store>> Store::look(const std::string &root) {
  auto s = std::make_unique<Store>();
  s->base = root;
  s->onlyLooks = true;
  std::error_code ec;
  if (fs::exists(root, ec) && !fs::is_directory(root, ec))
    return Status::error("the store `" + root + "` is not a directory");
  s->canWrite = access(root.c_str(), W_OK | X_OK) == 0;
  s->hashes = json::object();
  if (auto text = readFile(root + "/hashes.json")) {
    json j = parseJson(*text);
    if (j.is_object())
      s->hashes = std::move(j);
  }
  return s;
}

/// What is wrong with a manifest's text: it is not what `begin` and `finish` write.
static std::string brokenManifest(const std::string &text) {
  json j;
  try {
    j = json::parse(text);
  } catch (const json::parse_error &e) {
    return "is broken at byte " + std::to_string(e.byte ? e.byte - 1 : 0) + " of " +
           std::to_string(text.size()) + ", where a JSON object was expected to go on";
  }
  if (!j.is_object())
    return "holds " + std::string(j.type_name()) + " where a JSON object was expected";
  using Type = json::value_t;
  const std::pair<const char *, Type> fields[] = {
      {"state", Type::string},    {"stage", Type::string},      {"pipeline", Type::string},
      {"kind", Type::string},     {"spec", Type::object},       {"reads", Type::object},
      {"target", Type::string},   {"components", Type::object}, {"files", Type::object}};
  for (auto &[name, type] : fields)
    if (auto f = j.find(name); f != j.end() && !f->is_null() && f->type() != type)
      return "holds " + std::string(f->type_name()) + " as `" + name + "`, where " +
             json(type).type_name() + " was expected";
  if (auto t = j.find("time"); t != j.end() && !t->is_number())
    return "holds " + std::string(t->type_name()) + " as `time`, where number was expected";
  if (!j.contains("state"))
    return "has no `state`, where interrupted or finished was expected";
  if (j["state"] != "finished" && j["state"] != "interrupted")
    return "has the state " + j["state"].dump(-1, ' ', false, json::error_handler_t::replace) +
           ", where interrupted or finished was expected";
  if (j["state"] == "finished" && !j.contains("files"))
    return "has no `files`, where a list with their sizes was expected";
  return "";
}

Result<json> Store::manifest(const std::string &fingerprint) const {
  std::string file = dir(fingerprint) + "/manifest.json";
  R1RT_ASSIGN(std::string text, readFile(file));
  if (std::string what = brokenManifest(text); !what.empty())
    return Status::error("`" + file + "` " + what);
  return parseJson(text);
}

ArtifactState Store::state(const std::string &fingerprint) const {
  auto m = manifest(fingerprint);
  std::error_code ec;
  if (!m)
    return fs::exists(dir(fingerprint), ec) ? ArtifactState::interrupted : ArtifactState::absent;
  if ((*m)["state"] != "finished")
    return ArtifactState::interrupted;
  // A file that was cut short or removed: the artifact is made again.
  return damage(fingerprint).empty() ? ArtifactState::finished : ArtifactState::interrupted;
}

std::string Store::damage(const std::string &fingerprint) const {
  std::error_code ec;
  auto text = readFile(dir(fingerprint) + "/manifest.json");
  if (!text && fs::exists(dir(fingerprint) + "/manifest.json", ec))
    return text.status().message();
  if (!text) {
    // It is written before anything else, but for the lock.
    for (fs::directory_iterator it(dir(fingerprint), ec), end; !ec && it != end; it.increment(ec))
      if (std::string name = it->path().filename().string();
          name != "lock" && name.find(".tmp") == std::string::npos)
        return "manifest.json is missing, and " + name + " is there";
    return "";
  }
  if (std::string what = brokenManifest(*text); !what.empty())
    return "manifest.json " + what;
  auto m = manifest(fingerprint);
  if (!m || (*m)["state"] != "finished")
    return "";
  for (auto &[name, size] : (*m)["files"].items()) {
    std::error_code ec;
    uint64_t have = fs::file_size(dir(fingerprint) + "/" + name, ec);
    if (ec)
      return name + " is missing";
    if (!size.is_number_unsigned() || have != size.get<uint64_t>())
      return name + " has " + std::to_string(have) + " bytes, and " + size.dump() +
             " were written";
  }
  return "";
}

std::vector<std::string> Store::list() const {
  std::vector<std::string> out;
  std::error_code ec;
  for (fs::directory_iterator it(base, ec), end; !ec && it != end; it.increment(ec))
    if (fs::exists(it->path() / "manifest.json", ec))
      out.push_back(it->path().filename().string());
  std::sort(out.begin(), out.end());
  return out;
}

Result<ArtifactLease> Store::begin(const std::string &fingerprint, json info,
                                   const std::function<void(const std::string &)> &waiting,
                                   bool anew) {
  if (!canWrite)
    return Status::error("the store `" + base + "` is read-only, and the artifact is not in it; " +
                         "choose another with --store DIR");
  std::string d = dir(fingerprint);
  R1RT_TRY(makeDirs(d));
  std::string lockPath = d + "/lock";
  int fd = ::open(lockPath.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (fd < 0)
    return Status::error("cannot lock `" + d + "`: " + std::strerror(errno));
  ArtifactLease lease(fd, d, ArtifactState::absent);
  if (flock(fd, LOCK_EX | LOCK_NB)) {
    if (errno != EWOULDBLOCK)
      return Status::error("cannot lock `" + d + "`: " + std::strerror(errno));
    if (waiting)
      waiting("another run is making artifact " + fingerprint + "; waiting for it");
    while (flock(fd, LOCK_EX))
      if (errno != EINTR)
        return Status::error("cannot lock `" + d + "`: " + std::strerror(errno));
  }
  if (anew) {
    std::error_code ec;
    std::vector<fs::path> old;
    for (fs::directory_iterator it(d, ec), end; !ec && it != end; it.increment(ec))
      if (it->path().filename() != "lock")
        old.push_back(it->path());
    for (const fs::path &p : old)
      if (fs::remove_all(p, ec); ec)
        return Status::error("cannot remove `" + p.string() + "`: " + ec.message());
  }
  lease.found = state(fingerprint);
  if (lease.found == ArtifactState::finished)
    return lease;
  std::error_code ec;
  bool hadManifest = fs::exists(d + "/manifest.json", ec);
  lease.found = hadManifest ? ArtifactState::interrupted : ArtifactState::absent;
  json m = info.is_object() ? std::move(info) : json::object();
  m["v"] = 1;
  m["fingerprint"] = fingerprint;
  m["state"] = "interrupted";
  R1RT_TRY(writeFileAtomic(d + "/manifest.json", dumpJson(m)));
  return lease;
}

Status Store::finish(const ArtifactLease &lease, const json &result) {
  R1RT_ASSIGN(std::string text, readFile(lease.dir() + "/manifest.json"));
  json m = parseJson(text);
  if (!m.is_object())
    return Status::error("the manifest in `" + lease.dir() + "` was changed by someone else");
  if (result.is_object())
    m.update(result);
  json files = json::object();
  std::error_code ec;
  std::vector<fs::path> temps;
  for (fs::directory_iterator it(lease.dir(), ec), end; !ec && it != end; it.increment(ec)) {
    std::string name = it->path().filename().string();
    if (name.find(".tmp") != std::string::npos)
      temps.push_back(it->path());
    else if (it->is_regular_file(ec) && name != "lock" && name != "manifest.json")
      files[name] = uint64_t(it->file_size(ec));
  }
  for (const fs::path &t : temps)
    fs::remove(t, ec);
  m["files"] = files;
  json known = m.value("hashes", json::object()); // of files that were hashed as they were made
  m["hashes"] = json::object();
  for (auto &[name, size] : files.items()) {
    if (known.contains(name)) {
      m["hashes"][name] = known[name];
      continue;
    }
    R1RT_ASSIGN(dvc::FileHashes h, dvc::hashFile(lease.dir() + "/" + name));
    m["hashes"][name] = {{"md5", h.md5}, {"sha256", h.sha256}};
  }
  m["state"] = "finished";
  return writeFileAtomic(lease.dir() + "/manifest.json", dumpJson(m));
}

Result<std::string> Store::fileHash(const std::string &path) {
  struct stat st;
  std::error_code ec;
  std::string full = fs::absolute(path, ec).string();
  if (stat(path.c_str(), &st))
    return errno == ENOENT
               ? Status::error("there is no file `" + path + "`")
               : Status::error("cannot look at `" + path + "`: " + std::strerror(errno));
  json key = {uint64_t(st.st_size), int64_t(st.st_mtim.tv_sec), int64_t(st.st_mtim.tv_nsec),
              uint64_t(st.st_ino)};
  auto it = hashes.find(full);
  if (it != hashes.end() && it->is_object() && it->value("key", json()) == key &&
      it->value("sha256", json()).is_string())
    return (*it)["sha256"].get<std::string>();
  R1RT_ASSIGN(std::string hash, sha256File(path));
  hashes[full] = {{"key", key}, {"sha256", hash}};
  if (canWrite && !onlyLooks)
    (void)writeFileAtomic(base + "/hashes.json", dumpJson(hashes)); // only a cache
  return hash;
}

} // namespace r1rt
