// The decoders of Decoder.h, and how they read a program's fields.
#ifndef R1RT_GENERATE_PROGRAMS_H
#define R1RT_GENERATE_PROGRAMS_H
#include "runtime/generate/Decoder.h"
#include <string>

namespace r1rt::generate {

Result<std::unique_ptr<Decoder>> createRecompute(Executor &e, const r1_program &logits, int64_t rows, int32_t filler);
/// `encode` is null where rows have no source.
Result<std::unique_ptr<Decoder>> createCached(Executor &e, const r1_program &decode, const r1_program &prefill,
                                              const r1_program *encode, int64_t slots, int32_t filler);

/// "i32[4, 64]"
inline std::string shapeText(const r1_field &f) {
  std::string out = dtypeName(f.dtype);
  for (uint32_t i = 0; i < f.rank; ++i)
    out += (i ? ", " : "[") + std::to_string(f.dims[i]);
  return f.rank ? out + "]" : out;
}

inline bool hasShape(const r1_field &f, r1_dtype type, std::initializer_list<int64_t> dims) {
  uint32_t i = 0;
  bool same = f.dtype == type && f.rank == dims.size();
  for (int64_t d : dims)
    same = same && f.dims[i++] == d;
  return same;
}

inline Status wrongField(const r1_program &p, const r1_field &f) {
  return Status::error("the program `" + std::string(p.name) + "` has `" + f.name + "` as " + shapeText(f) +
                       ", which generation cannot use");
}

} // namespace r1rt::generate
#endif
