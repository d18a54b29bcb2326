#include "runtime/state/Dvc.h"
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <memory>
#include <openssl/evp.h>
#include <unistd.h>

namespace r1rt::dvc {

namespace fs = std::filesystem;

// ── hashes ──────────────────────────────────────────────────────────────────

namespace {

class Hash {
public:
  explicit Hash(const EVP_MD *kind) : context(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
    EVP_DigestInit_ex(context.get(), kind, nullptr);
  }
  void add(const void *data, size_t n) { EVP_DigestUpdate(context.get(), data, n); }
  std::string hex() {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    EVP_DigestFinal_ex(context.get(), digest, &n);
    std::string out;
    for (unsigned i = 0; i < n; ++i) {
      out += "0123456789abcdef"[digest[i] >> 4];
      out += "0123456789abcdef"[digest[i] & 15];
    }
    return out;
  }

private:
  std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX *)> context;
};

Status readError(const std::string &path, int error) {
  return Status::error("cannot read `" + path + "`: " + std::strerror(error));
}

/// As json.dumps writes a text: all but ASCII as \uXXXX, in UTF-16. Bytes that are no UTF-8 are what
/// Python makes of them in file names, lone surrogates from U+DC80.
void appendJson(std::string &out, std::string_view text) {
  auto unit = [&](unsigned u) {
    char b[8];
    std::snprintf(b, sizeof b, "\\u%04x", u);
    out += b;
  };
  out += '"';
  for (size_t i = 0; i < text.size();) {
    unsigned char c = static_cast<unsigned char>(text[i]);
    if (c == '"' || c == '\\') {
      out += {'\\', char(c)};
      ++i;
    } else if (size_t escape = std::string_view("\b\t\n\f\r").find(char(c)); c != 0 && escape != std::string_view::npos) {
      out += {'\\', "btnfr"[escape]};
      ++i;
    } else if (c >= 0x20 && c < 0x7F) {
      out += char(c);
      ++i;
    } else if (c < 0x80) {
      unit(c);
      ++i;
    } else {
      size_t length = c >= 0xF0 && c < 0xF5 ? 4 : c >= 0xE0 && c < 0xF0 ? 3 : c >= 0xC2 && c < 0xE0 ? 2 : 0;
      uint32_t point = c & (0xFFu >> (length + 1));
      bool good = length != 0 && i + length <= text.size();
      for (size_t k = 1; good && k < length; ++k) {
        unsigned char next = static_cast<unsigned char>(text[i + k]);
        good = (next & 0xC0) == 0x80;
        point = point << 6 | (next & 0x3F);
      }
      good = good && point <= 0x10FFFF && (point < 0xD800 || point > 0xDFFF) &&
             point >= (length == 4 ? 0x10000u : length == 3 ? 0x800u : 0x80u);
      if (!good) {
        unit(0xDC00 + c);
        ++i;
        continue;
      }
      if (point >= 0x10000) {
        unit(0xD800 + ((point - 0x10000) >> 10));
        unit(0xDC00 + ((point - 0x10000) & 0x3FF));
      } else {
        unit(point);
      }
      i += length;
    }
  }
  out += '"';
}

} // namespace

Result<FileHashes> hashFile(const std::string &path) {
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return readError(path, errno);
  std::unique_ptr<int, void (*)(int *)> closing(&fd, [](int *f) { ::close(*f); });
  FileHashes out;
  Hash md5(EVP_md5()), sha256(EVP_sha256());
  std::vector<char> buffer(1 << 20);
  for (;;) {
    ssize_t n = ::read(fd, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return readError(path, errno);
    if (n == 0)
      break;
    md5.add(buffer.data(), size_t(n));
    sha256.add(buffer.data(), size_t(n));
    out.size += uint64_t(n);
  }
  out.md5 = md5.hex();
  out.sha256 = sha256.hex();
  return out;
}

FileHashes hashText(std::string_view text) {
  Hash md5(EVP_md5()), sha256(EVP_sha256());
  md5.add(text.data(), text.size());
  sha256.add(text.data(), text.size());
  return {md5.hex(), sha256.hex(), text.size()};
}

Item directory(std::string path, std::vector<Entry> entries) {
  // Python sorts by code points, which is the order of the bytes.
  std::sort(entries.begin(), entries.end(), [](auto &a, auto &b) { return a.path < b.path; });
  Item item{std::move(path), "", 0, entries.size()};
  std::string text = "[";
  for (const Entry &e : entries) {
    text += std::string(text.size() > 1 ? ", " : "") + "{\"md5\": \"" + e.md5 + "\", \"relpath\": ";
    appendJson(text, e.path);
    text += "}";
    item.size += e.size;
  }
  text += "]";
  item.md5 = hashText(text).md5 + ".dir";
  return item;
}

Result<Item> itemAt(const std::string &root, std::string path) {
  std::string at = root.empty() ? path : root + "/" + path;
  std::error_code error;
  fs::file_status status = fs::status(at, error);
  if (!fs::exists(status))
    return readError(at, error ? error.value() : ENOENT);
  if (fs::is_regular_file(status)) {
    R1RT_ASSIGN(FileHashes h, hashFile(at));
    return Item{std::move(path), h.md5, h.size, 0};
  }
  if (!fs::is_directory(status))
    return Status::error("`" + at + "` is neither a file nor a directory; DVC keeps versions of these only");
  std::vector<Entry> entries;
  fs::recursive_directory_iterator it(at, fs::directory_options::follow_directory_symlink, error), end;
  for (; !error && it != end; it.increment(error)) {
    fs::file_status s = it->status(error);
    if (error)
      break;
    if (fs::is_directory(s))
      continue;
    std::string file = it->path().string();
    if (!fs::is_regular_file(s))
      return Status::error("`" + file + "` is neither a file nor a directory; DVC keeps versions of these only");
    R1RT_ASSIGN(FileHashes h, hashFile(file));
    entries.push_back({file.substr(at.size() + 1), h.md5, h.size});
  }
  if (error)
    return readError(at, error.value());
  return directory(std::move(path), std::move(entries));
}

// ── YAML ────────────────────────────────────────────────────────────────────

namespace {

/// A text as YAML: as it stands if it cannot be taken for anything else, else in the double quotes of
/// JSON, which YAML reads as well.
std::string yaml(std::string_view text) {
  auto isPlain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || std::strchr("_./-", c);
  };
  bool letter = std::any_of(text.begin(), text.end(), [](char c) { return (c | 32) >= 'g' && (c | 32) <= 'z'; });
  static constexpr std::string_view words[] = {"y", "n", "yes", "no", "on", "off", "true", "null", ".inf", ".nan"};
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? char(c | 32) : c; });
  if (letter && text[0] != '-' && !(text[0] >= '0' && text[0] <= '9') && std::all_of(text.begin(), text.end(), isPlain) &&
      std::find(std::begin(words), std::end(words), lower) == std::end(words))
    return std::string(text);
  std::string out;
  appendJson(out, text);
  return out;
}

/// The fields of an item, in DVC's order, each on a line of its own behind `indent`.
std::string fields(const Item &item, const std::string &indent) {
  std::string out = indent + "hash: md5\n" + indent + "md5: " + yaml(item.md5) + "\n" + indent +
                    "size: " + std::to_string(item.size) + "\n";
  if (item.files > 0 || item.md5.ends_with(".dir"))
    out += indent + "nfiles: " + std::to_string(item.files) + "\n";
  return out;
}

std::string listed(const char *name, const std::vector<Item> &items, bool withHashes, bool cached) {
  std::string out;
  for (const Item &item : items) {
    if (out.empty())
      out = std::string("    ") + name + ":\n";
    out += "    - " + std::string(withHashes ? "path: " : "") + yaml(item.path);
    out += !withHashes && !cached ? ":\n        cache: false\n" : "\n";
    if (withHashes)
      out += fields(item, "      ");
  }
  return out;
}

} // namespace

std::string dvcFile(const Item &out, bool cached) {
  std::string text = fields(out, "  ");
  text[0] = '-'; // the first field opens the element of the list
  return "outs:\n" + text + "  path: " + yaml(out.path) + "\n" + (cached ? "" : "  cache: false\n");
}

std::string dvcYaml(const std::vector<Stage> &stages, bool cached) {
  std::string out = stages.empty() ? "stages: {}\n" : "stages:\n";
  for (const Stage &s : stages)
    out += "  " + yaml(s.name) + ":\n    cmd: " + yaml(s.cmd) + "\n" + listed("deps", s.deps, false, true) +
           listed("outs", s.outs, false, cached);
  return out;
}

std::string dvcLock(const std::vector<Stage> &stages) {
  std::string out = stages.empty() ? "schema: '2.0'\nstages: {}\n" : "schema: '2.0'\nstages:\n";
  for (const Stage &s : stages)
    out += "  " + yaml(s.name) + ":\n    cmd: " + yaml(s.cmd) + "\n" + listed("deps", s.deps, true, true) +
           listed("outs", s.outs, true, true);
  return out;
}

} // namespace r1rt::dvc
