#include "runtime/annotate/Answers.h"
#include "runtime/state/Files.h"
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fcntl.h>
#include <set>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace r1rt::annotate {

using nlohmann::json;

namespace {

std::string lineOf(const json &j) { return j.dump(-1, ' ', false, json::error_handler_t::replace) + "\n"; }

json jsonOf(const Question &q) {
  json j = {{"id", q.id}, {"text", q.text}};
  if (!q.candidates.empty())
    j["candidates"] = q.candidates;
  return j;
}

std::string place(const std::string &path, size_t line) { return path + ":" + std::to_string(line); }

/// A file that nobody else appends to while this lives.
class Locked {
public:
  Locked(const std::string &path, int flags)
      : fd(::open(path.c_str(), flags | O_CLOEXEC, 0666)) {
    if (fd >= 0 && ::flock(fd, LOCK_EX) != 0) {
      ::close(fd);
      fd = -1;
    }
  }
  ~Locked() {
    if (fd >= 0)
      ::close(fd);
  }
  Locked(const Locked &) = delete;
  int fd;
};

Status systemError(const std::string &path, const char *what) {
  return Status::error(path + ": cannot " + what + ": " + std::strerror(errno));
}

} // namespace

Status writeQuestions(const std::string &path, std::span<const Question> questions) {
  std::string content;
  for (const Question &q : questions)
    content += lineOf(jsonOf(q));
  return writeFileAtomic(path, content);
}

Result<std::vector<Question>> readQuestions(const std::string &path) {
  R1RT_ASSIGN(std::string content, readFile(path));
  std::vector<Question> out;
  for (size_t at = 0, line = 1; at < content.size(); ++line) {
    const size_t end = std::min(content.find('\n', at), content.size());
    json q = json::parse(content.begin() + ptrdiff_t(at), content.begin() + ptrdiff_t(end), nullptr, false);
    if (!q.is_object() || !q.contains("id") || !q["id"].is_string() || !q.contains("text") ||
        !q["text"].is_string())
      return Status::error(place(path, line) + ": not a question {\"id\", \"text\"}; --fresh writes them anew");
    Question one{q["id"], q["text"], {}};
    for (const json &c : q.value("candidates", json::array())) {
      if (!c.is_string())
        return Status::error(place(path, line) + ": a candidate is not a text; --fresh writes them anew");
      one.candidates.push_back(c);
    }
    out.push_back(std::move(one));
    at = end + 1;
  }
  return out;
}

std::string keyOf(const json &form, std::span<const Question> questions) {
  std::string all = form.dump() + "\n";
  for (const Question &q : questions)
    all += lineOf(jsonOf(q));
  return sha256(all).substr(0, 32);
}

Result<Answers> Answers::open(const std::string &path, const Form &form,
                              std::span<const Question> questions) {
  R1RT_TRY(makeDirs(path.substr(0, path.find_last_of('/'))));
  Answers a;
  a.path = path;
  a.form = form;
  for (const Question &q : questions) {
    if (!a.numbers.emplace(q.id, a.ids.size()).second)
      return Status::error("two questions have the id " + q.id + "; a row is asked about once");
    a.ids.push_back(q.id);
    a.candidates.push_back(q.candidates.size());
  }
  a.given.resize(a.ids.size());
  R1RT_TRY(a.refresh());
  return a;
}

Status Answers::refresh() {
  Locked file(path, O_RDONLY);
  if (file.fd < 0)
    return errno == ENOENT ? Status::ok() : systemError(path, "open");
  struct stat st;
  if (::fstat(file.fd, &st) != 0)
    return systemError(path, "examine");
  if (uint64_t(st.st_size) < readBytes)
    return Status::error(path + ": it has become shorter while it was read; start again");
  std::string more(size_t(st.st_size) - readBytes, '\0');
  for (size_t done = 0; done < more.size();) {
    ssize_t n = ::pread(file.fd, more.data() + done, more.size() - done, off_t(readBytes + done));
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return systemError(path, "read");
    done += size_t(n);
  }
  size_t at = 0;
  for (size_t end; (end = more.find('\n', at)) != std::string::npos; at = end + 1)
    R1RT_TRY(take(std::string_view(more).substr(at, end - at), ++readLines));
  readBytes += at; // what stands behind the last newline was never confirmed
  return Status::ok();
}

Status Answers::take(std::string_view line, size_t number) {
  auto bad = [&](const std::string &why) {
    return Status::error(place(path, number) + ": " + why + "; mend or delete the line");
  };
  json j = json::parse(line, nullptr, false);
  if (!j.is_object() || !j.contains("id") || !j["id"].is_string() || !j.contains("who") ||
      !j["who"].is_string())
    return bad("not an answer {\"id\", \"who\", \"answer\"}");
  auto it = numbers.find(j["id"].get<std::string>());
  if (it == numbers.end())
    return bad("there is no question " + j["id"].get<std::string>());
  const std::string who = j["who"];
  if (j.value("undo", json()) == true) {
    given[it->second].erase(who);
    return Status::ok();
  }
  if (Status st = form.check(j.value("answer", json()), candidates[it->second]); !st)
    return bad(st.message());
  given[it->second][who] = j["answer"];
  return Status::ok();
}

Status Answers::append(size_t question, const std::string &who, const char *key, const json &value) {
  const double now =
      std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  const std::string line = lineOf({{"id", ids[question]}, {"who", who}, {key, value}, {"time", int64_t(now)}});
  {
    Locked file(path, O_RDWR | O_CREAT);
    if (file.fd < 0)
      return systemError(path, "open");
    // Behind the last whole line.
    off_t end = ::lseek(file.fd, 0, SEEK_END);
    if (end < 0)
      return systemError(path, "read");
    for (char c = 0; end > 0; --end) {
      if (::pread(file.fd, &c, 1, end - 1) != 1)
        return systemError(path, "read");
      if (c == '\n')
        break;
    }
    if (::ftruncate(file.fd, end) != 0)
      return systemError(path, "write");
    for (size_t done = 0; done < line.size();) {
      ssize_t n = ::pwrite(file.fd, line.data() + done, line.size() - done, end + off_t(done));
      if (n < 0 && errno == EINTR)
        continue;
      if (n <= 0)
        return systemError(path, "write");
      done += size_t(n);
    }
    if (::fsync(file.fd) != 0)
      return systemError(path, "write");
  }
  return refresh();
}

Status Answers::give(size_t question, const std::string &who, const json &answer) {
  R1RT_TRY(form.check(answer, candidates[question]));
  return append(question, who, "answer", answer);
}

Status Answers::undo(size_t question, const std::string &who) {
  return append(question, who, "undo", true);
}

size_t Answers::answered(unsigned people) const {
  size_t n = 0;
  for (auto &answers : given)
    n += answers.size() >= people;
  return n;
}

std::vector<std::string> Answers::people() const {
  std::set<std::string> all;
  for (auto &answers : given)
    for (auto &[who, answer] : answers)
      all.insert(who);
  return {all.begin(), all.end()};
}

} // namespace r1rt::annotate
