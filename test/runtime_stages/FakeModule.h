//===- FakeModule.h - a module with hand-written kernels -------------------===//
//
// Model: logit-like scores w[40] and a frozen bias b[3]; the loss of a token is
// (w[id % 40] - (target % 5 - 2) - b[0])^2. One optimiser state, a momentum.
//
//===----------------------------------------------------------------------===//
#ifndef R1_TEST_FAKE_MODULE_H
#define R1_TEST_FAKE_MODULE_H
#include "runtime/r1rt.h"
#include <cmath>
#include <csignal>
#include <unistd.h>

namespace fake {
constexpr int B = 4, T = 8, N = B * T, W = 40, V = 258;
// Byte offsets in the arena.
enum : uint64_t {
  Id = 0,
  Pos = 128,
  Seg = 256,
  Target = 384,
  Mask = 512,
  Lr = 576,
  Tt = 640,
  Prog = 704,
  Loss = 768,
  Norm = 832,
  Sum = 896,
  Count = 960,
  Bias = 1024,
  Weights = 1088,
  Momentum = 1280,
  Aux = 1536,
  Last = 1600,
  Logits = 1664,
  End = 4096
};

inline int stepMicroseconds = 0;
inline bool poison = false;
inline int rowsWithoutTargets = 0; // of each batch that is evaluated, at its begin
inline int evalsToSignal = 0; // the evaluation in which the process is asked to stop; 0: none

// args: id target mask lr w m loss norm b
inline void step(void *const *a, void *, int64_t tid, int64_t) {
  if (tid != 0)
    return;
  auto *id = static_cast<const int32_t *>(a[0]), *target = static_cast<const int32_t *>(a[1]);
  auto *mask = static_cast<const uint8_t *>(a[2]);
  float lr = *static_cast<const float *>(a[3]), *w = static_cast<float *>(a[4]),
        *m = static_cast<float *>(a[5]);
  float g[W] = {}, loss = 0, norm = 0;
  int n = 0;
  for (int i = 0; i < N; ++i)
    if (mask[i]) {
      float d = w[id[i] % W] - float(target[i] % 5 - 2) - *static_cast<float *>(a[8]);
      g[id[i] % W] += 2 * d;
      loss += d * d;
      ++n;
    }
  for (int i = 0; i < W; ++i) {
    norm += g[i] / float(n) * (g[i] / float(n));
    m[i] = 0.9f * m[i] + g[i] / float(n);
    w[i] -= lr * m[i];
  }
  *static_cast<float *>(a[6]) = poison ? NAN : loss / float(n);
  *static_cast<float *>(a[7]) = std::sqrt(norm);
  if (stepMicroseconds)
    usleep(stepMicroseconds);
}

// args: id target mask w sum count, the last two of each row
inline void eval(void *const *a, void *, int64_t tid, int64_t) {
  if (tid != 0)
    return;
  auto *id = static_cast<const int32_t *>(a[0]), *target = static_cast<const int32_t *>(a[1]);
  auto *mask = static_cast<const uint8_t *>(a[2]);
  auto *w = static_cast<const float *>(a[3]);
  if (evalsToSignal && --evalsToSignal == 0)
    raise(SIGTERM);
  auto *sum = static_cast<float *>(a[4]), *count = static_cast<float *>(a[5]);
  for (int r = 0; r < B; ++r) {
    sum[r] = count[r] = 0;
    if (r < rowsWithoutTargets)
      continue;
    for (int i = r * T; i < (r + 1) * T; ++i)
      if (mask[i]) {
        float d = w[id[i] % W] - float(target[i] % 5 - 2);
        sum[r] += d * d;
        count[r] += 1;
      }
  }
}

// args: id last logits. The most likely successor of byte c is c + 1.
inline void logits(void *const *a, void *, int64_t tid, int64_t) {
  if (tid != 0)
    return;
  int32_t c = static_cast<const int32_t *>(a[0])[*static_cast<const int32_t *>(a[1])];
  for (int v = 0; v < V; ++v)
    static_cast<float *>(a[2])[v] = v == c + 1 ? 10.f : v == c + 2 ? 9.f : 0.f;
}

inline r1_kernel kernels[] = {{"step", step, 0}, {"eval", eval, 0}, {"logits", logits, 0}};
inline r1_arg args[] = {
    {Id, 0, 0},      {Target, 0, 0}, {Mask, 0, 0},  {Lr, 0, 0}, {Weights, 0, 0}, {Momentum, 0, 0},
    {Loss, 0, 0},    {Norm, 0, 0},   {Bias, 0, 0},  {Id, 0, 0}, {Target, 0, 0},  {Mask, 0, 0},
    {Weights, 0, 0}, {Sum, 0, 0},    {Count, 0, 0}, {Id, 0, 0}, {Last, 0, 0},    {Logits, 0, 0}};
inline r1_op stepOps[] = {{R1_OP_LAUNCH, 0, 0, 9, 0, 0}};
inline r1_op evalOps[] = {{R1_OP_LAUNCH, 1, 9, 6, 0, 0}};
inline r1_op logitsOps[] = {{R1_OP_LAUNCH, 2, 15, 3, 0, 0}};
inline r1_field inputs[] = {{"x.id", R1_I32, 2, {B, T}, Id, 258},
                            {"x.pos", R1_I32, 2, {B, T}, Pos, T},
                            {"x.seg", R1_I32, 2, {B, T}, Seg, 0},
                            {"target", R1_I32, 2, {B, T}, Target, 258},
                            {"mask", R1_BOOL, 2, {B, T}, Mask, 0}};
inline r1_field one[] = {{"x.id", R1_I32, 2, {1, T}, Id, 258},
                         {"x.pos", R1_I32, 2, {1, T}, Pos, T},
                         {"x.seg", R1_I32, 2, {1, T}, Seg, 0},
                         {"last", R1_I32, 0, {}, Last, T}};
inline r1_field scalars[] = {{"lr", R1_F32, 0, {}, Lr, 0},
                             {"t", R1_F32, 0, {}, Tt, 0},
                             {"progress", R1_F32, 0, {}, Prog, 0}};
inline r1_field outputs[] = {{"loss", R1_F32, 0, {}, Loss, 0},
                             {"grad_norm", R1_F32, 0, {}, Norm, 0}};
inline r1_field sums[] = {{"nll", R1_F32, 1, {B}, Sum, 0}, {"tokens", R1_F32, 1, {B}, Count, 0}};
inline r1_field outLogits[] = {{"logits", R1_F32, 2, {1, V}, Logits, 0}};
inline r1_leaf leaves[] = {{{"bias", R1_F32, 1, {3}, Bias, 0}, {0, 0.25, 0}, 0},
                           {{"head.w", R1_F32, 2, {5, 8}, Weights, 0}, {1, 0, 0.5}, 1}};
inline r1_field states[] = {{"m", R1_F32, 1, {64}, Momentum, 0}};
inline r1_program programs[] = {
    {"step", stepOps, 1, args, 18, inputs, 5, scalars, 3, outputs, 2},
    {"eval", evalOps, 1, args, 18, inputs, 5, nullptr, 0, sums, 2},
    {"logits", logitsOps, 1, args, 18, one, 4, nullptr, 0, outLogits, 1}};
inline r1_module module{End, 0, kernels, 3, leaves, 2, states, 1, programs, 3, nullptr, 0};
} // namespace fake
#endif
