//===- Child.h - another program that stays open, and answers ----------------===//
#ifndef R1RT_AUGMENT_CHILD_H
#define R1RT_AUGMENT_CHILD_H
#include "runtime/Status.h"
#include <memory>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

namespace r1rt::augment {

/// A process with pipes to its standard streams. It leads a process group of its own, which is killed
/// when this object goes. One thread at a time.
class Child {
public:
  /// Finds arguments[0] as a shell does. `notFound` is set if there is no such program.
  static Result<std::unique_ptr<Child>> start(std::vector<std::string> arguments, bool &notFound);
  ~Child();

  /// Writes `request` and reads until `answers` bytes of zero have come, both at once, so that neither
  /// side waits for the other. The bytes before the last zero are the result; what comes behind it is
  /// the beginning of the next. answers >= 1. An error if the program ends, with the end of what it wrote to standard error, or `seconds` pass. After an
  /// error it is of no more use.
  Result<std::string> exchange(std::string_view request, size_t answers, double seconds);

private:
  Status ended();
  std::string name, unread; // what came behind the answers so far
  std::string errors;       // the last bytes of standard error
  pid_t pid = -1;
  int in = -1, out = -1, err = -1; // its standard input, output, error
};

} // namespace r1rt::augment
#endif
