#include "runtime/augment/Child.h"
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

namespace r1rt::augment {

namespace {

/// Keeps SIGPIPE from this thread: a write to a program that has gone fails instead. One that came
/// meanwhile is taken back, whether or not it was waiting before: nobody here wants it.
class NoSigpipe {
public:
  NoSigpipe() {
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, &before);
  }
  ~NoSigpipe() {
    timespec none{};
    while (sigtimedwait(&pipe, nullptr, &none) == SIGPIPE) {
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }

private:
  sigset_t pipe, before;
};

/// Reads what is there; false at the end.
bool drain(int fd, std::string &into) {
  char buffer[1 << 16];
  for (;;) {
    ssize_t n = ::read(fd, buffer, sizeof buffer);
    if (n > 0)
      into.append(buffer, size_t(n));
    else if (n == 0)
      return false;
    else if (errno != EINTR)
      return errno == EAGAIN;
  }
}

} // namespace

Result<std::unique_ptr<Child>> Child::start(std::vector<std::string> arguments, bool &notFound) {
  auto child = std::make_unique<Child>();
  child->name = arguments[0];
  notFound = false;
  int to[2], from[2], errors[2];
  auto failed = [&](int error) {
    notFound = error == ENOENT;
    return Status::error("cannot start `" + child->name + "`: " + std::strerror(error));
  };
  if (::pipe2(to, O_CLOEXEC) != 0)
    return failed(errno);
  child->in = to[1];
  int rc = ::pipe2(from, O_CLOEXEC) == 0 ? 0 : errno;
  if (rc == 0) {
    child->out = from[0];
    rc = ::pipe2(errors, O_CLOEXEC) == 0 ? 0 : errno;
    if (rc == 0) {
      child->err = errors[0];
      for (int fd : {child->in, child->out, child->err})
        ::fcntl(fd, F_SETFL, O_NONBLOCK);
      posix_spawn_file_actions_t files;
      posix_spawnattr_t attributes;
      posix_spawn_file_actions_init(&files);
      posix_spawnattr_init(&attributes);
      posix_spawn_file_actions_adddup2(&files, to[0], 0);
      posix_spawn_file_actions_adddup2(&files, from[1], 1);
      posix_spawn_file_actions_adddup2(&files, errors[1], 2);
      // A group of its own, so that an interrupt from the terminal reaches us first; and the signals
      // that this thread holds back are none of its business.
      sigset_t none;
      sigemptyset(&none);
      posix_spawnattr_setsigmask(&attributes, &none);
      posix_spawnattr_setpgroup(&attributes, 0);
      posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
      std::vector<char *> argv;
      for (std::string &a : arguments)
        argv.push_back(a.data());
      argv.push_back(nullptr);
      rc = ::posix_spawnp(&child->pid, argv[0], &files, &attributes, argv.data(), environ);
      posix_spawn_file_actions_destroy(&files);
      posix_spawnattr_destroy(&attributes);
      ::close(errors[1]);
    }
    ::close(from[1]);
  }
  ::close(to[0]);
  if (rc != 0) {
    child->pid = -1;
    return failed(rc);
  }
  return child;
}

Child::~Child() {
  for (int fd : {in, out, err})
    if (fd >= 0)
      ::close(fd);
  if (pid > 0) {
    ::kill(-pid, SIGKILL);
    while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
}

Status Child::ended() {
  // It has closed its output: its last words and its exit code may take a moment.
  int how = 0;
  pid_t gone = 0;
  for (int i = 0; i < 200 && pid > 0 && (gone = ::waitpid(pid, &how, WNOHANG)) == 0; ++i)
    ::usleep(10'000);
  drain(err, errors);
  std::string what = "`" + name + "` ended";
  if (gone == pid) {
    ::kill(-pid, SIGKILL); // what is left of its group
    pid = -1;
    what += WIFSIGNALED(how) ? " by signal " + std::to_string(WTERMSIG(how))
                             : " with exit code " + std::to_string(WEXITSTATUS(how));
  }
  size_t last = errors.find_last_not_of(" \n");
  return Status::error(what + (last == errors.npos ? "" : ": " + errors.substr(0, last + 1)));
}

Result<std::string> Child::exchange(std::string_view request, size_t answers, double seconds) {
  using Clock = std::chrono::steady_clock;
  auto deadline = Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  NoSigpipe guard;
  size_t seen = 0, sent = 0; // bytes of `unread` in which zeros are counted
  bool open = true;
  for (;;) {
    for (; seen < unread.size() && answers > 0; ++seen)
      answers -= unread[seen] == 0;
    if (answers == 0 && sent == request.size())
      break;
    auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0)
      return Status::error("`" + name + "` has not answered for " + std::to_string(int(seconds)) +
                           " s; help: allow more `seconds`, or look at what it does with such a text");
    pollfd fds[] = {{out, POLLIN, 0}, {err, POLLIN, 0}, {sent < request.size() ? in : -1, POLLOUT, 0}};
    if (!open)
      fds[1].fd = -1;
    if (::poll(fds, 3, int(std::min<long long>(left, 1000))) < 0 && errno != EINTR)
      return Status::error("cannot wait for `" + name + "`: " + std::strerror(errno));
    if (fds[1].revents != 0) {
      open = drain(err, errors);
      if (errors.size() > 2000)
        errors.erase(0, errors.size() - 1000);
    }
    if (fds[2].revents != 0) {
      ssize_t n = ::write(in, request.data() + sent, request.size() - sent);
      if (n > 0)
        sent += size_t(n);
      else if (errno != EAGAIN && errno != EINTR)
        sent = request.size(); // it reads no more; what it says before it ends is still of interest
    }
    if (fds[0].revents != 0) {
      if (!drain(out, unread) && size_t(std::count(unread.begin() + ptrdiff_t(seen), unread.end(), '\0')) < answers)
        return ended();
    }
  }
  std::string answer = unread.substr(0, seen - 1);
  unread.erase(0, seen);
  return answer;
}

} // namespace r1rt::augment
