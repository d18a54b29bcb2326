// The passes of `grad`, for r1-opt.
#pragma once

namespace r1 {
/// --r1-grad, --r1-inline-kernels, --r1-eval, --test-grad-fd.
void registerGradPasses();
/// The two that compute; registerGradPasses() calls it.
void registerGradTestPasses();
} // namespace r1
