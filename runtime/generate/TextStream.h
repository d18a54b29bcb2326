//===- TextStream.h - the text of a row as it grows, up to a stop string -----===//
#ifndef R1RT_GENERATE_TEXTSTREAM_H
#define R1RT_GENERATE_TEXTSTREAM_H
#include <string>
#include <string_view>
#include <vector>

namespace r1rt::generate {

/// Takes the bytes of tokens, which may be cut inside a character, and gives whole UTF-8; bytes that are
/// none become U+FFFD. The text ends before the first stop string that is completed; stop strings may span
/// tokens, so what may be the begin of one is held back.
class TextStream {
public:
  /// Stop strings are not empty.
  explicit TextStream(std::vector<std::string> stop = {}) : stop(std::move(stop)) {}

  /// What is certain now. `mayStop`: does a stop string that these bytes complete count?
  std::string push(std::string_view bytes, bool mayStop = true);
  /// What was held back.
  std::string finish();
  /// A stop string was found; nothing more comes.
  bool stopped() const { return found; }

private:
  std::vector<std::string> stop;
  std::string pending; // not given away yet
  bool found = false;
};

} // namespace r1rt::generate
#endif
