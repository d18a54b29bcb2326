//===- Sampler.h - choosing the next token; text as it comes ---------------===//
#ifndef R1RT_STAGES_SAMPLER_H
#define R1RT_STAGES_SAMPLER_H
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace r1rt {

struct SampleOptions {
  double temperature = 1; // 0: the most likely
  int64_t topK = 0;       // 0: off
  double topP = 1;        // 1: off
};

/// `u` in [0, 1) decides. Equal logits are ordered by id.
int32_t sampleToken(std::span<const float> logits, const SampleOptions &o, double u);

/// Turns bytes that may be cut inside a character into whole UTF-8.
class Utf8Stream {
public:
  std::string push(std::string_view bytes);
  std::string finish();

private:
  static std::string clean(std::string_view s);
  std::string pending;
};

} // namespace r1rt
#endif
