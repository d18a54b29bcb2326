//===- Status.h - errors as values -----------------------------------------===//
//
// The runtime never exits and never throws across its own interfaces. A function
// that can fail returns a Status or a Result; each caller may add what it was
// doing, so that the message reads from the outermost task to the cause.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_STATUS_H
#define R1RT_STATUS_H
#include <cassert>
#include <optional>
#include <string>
#include <utility>

namespace r1rt {

/// The exit code a failure leads to if nothing handles it (language.md, section 2).
enum class ExitClass : int {
  done = 0,
  program = 1,
  commandLine = 2,
  stage = 3,
  memory = 5,
  waiting = 75, // for people to answer
  interrupted = 130
};

class [[nodiscard]] Status {
public:
  Status() = default;
  static Status ok() { return {}; }
  static Status error(std::string message, ExitClass cls = ExitClass::stage) {
    Status s;
    s.exitClass = cls;
    s.text = std::move(message);
    return s;
  }

  bool isOk() const { return exitClass == ExitClass::done; }
  explicit operator bool() const { return isOk(); }
  ExitClass getExitClass() const { return exitClass; }
  int exitCode() const { return static_cast<int>(exitClass); }
  const std::string &message() const { return text; }

  /// The same error, told from one level further out: "CONTEXT: message".
  Status withContext(const std::string &context) const {
    return isOk() ? *this : error(context + ": " + text, exitClass);
  }

private:
  ExitClass exitClass = ExitClass::done;
  std::string text;
};

template <class T> class [[nodiscard]] Result {
public:
  Result(T v) : val(std::move(v)) {}
  Result(Status s) : st(std::move(s)) {
    assert(!st.isOk() && "a Result without a value needs an error");
  }

  bool isOk() const { return val.has_value(); }
  explicit operator bool() const { return isOk(); }
  T &operator*() { return *val; }
  const T &operator*() const { return *val; }
  T *operator->() { return &*val; }
  const T *operator->() const { return &*val; }
  T take() { return std::move(*val); }
  const Status &status() const { return st; }

private:
  Status st;
  std::optional<T> val;
};

} // namespace r1rt

/// Leaves the function with the error, if EXPR (a Status) is one.
#define R1RT_TRY(EXPR)                                                                             \
  do {                                                                                             \
    if (::r1rt::Status r1rtStatus = (EXPR); !r1rtStatus.isOk())                                    \
      return r1rtStatus;                                                                           \
  } while (0)

#define R1RT_CAT2(A, B) A##B
#define R1RT_CAT(A, B) R1RT_CAT2(A, B)
#define R1RT_ASSIGN_IMPL(TMP, DECL, EXPR)                                                          \
  auto TMP = (EXPR);                                                                               \
  if (!TMP.isOk())                                                                                 \
    return TMP.status();                                                                           \
  DECL = TMP.take()
/// DECL = the value of EXPR (a Result); leaves the function with its error.
#define R1RT_ASSIGN(DECL, EXPR) R1RT_ASSIGN_IMPL(R1RT_CAT(r1rtResult, __LINE__), DECL, EXPR)

#endif
