// math-accuracy [STEP]: the largest error, in units in the last place, of each of our functions
// over every STEP-th f32 (default 1009; 1: all of them, some minutes), against libm in f64. Fails
// above the bounds that compiler/math/MathExpansion.h promises.
#include "compiler/cpu/Cpu.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Support/Format.h"
#include <cmath>
#include <cstdlib>
#include <cstring>

using namespace r1;
using namespace r1::cpu;

namespace {

constexpr int64_t kBatch = 1 << 16;

struct Function {
  const char *name;
  double (*exact)(double);
  double bound;        // ulp
  double limit = 1e39; // |x| beyond is not promised
};

double rsqrt(double x) { return 1 / std::sqrt(x); }

const Function kFunctions[] = {
    {"exp", std::exp, 2},     {"exp2", std::exp2, 2},       {"expm1", std::expm1, 2},
    {"log", std::log, 2},     {"log1p", std::log1p, 2},     {"log2", std::log2, 2},
    {"log10", std::log10, 2}, {"tanh", std::tanh, 2},       {"erf", std::erf, 2},
    {"rsqrt", rsqrt, 2},      {"sin", std::sin, 2, 0x1p30}, {"cos", std::cos, 2, 0x1p30},
};

float floatOf(uint32_t bits) {
  float f;
  std::memcpy(&f, &bits, 4);
  return f;
}

// |got - want| in units of the last place of a float at `want`.
double ulps(float got, double want) {
  float near = float(want);
  if (got == near || (std::isnan(got) && std::isnan(want)))
    return 0;
  if (std::isnan(got) || std::isnan(want) || std::isinf(got))
    return std::isinf(got) && std::fabs(want) > 3.4028235e38 ? 0 : INFINITY;
  int exponent;
  std::frexp(want, &exponent);
  return std::fabs(double(got) - want) / std::ldexp(1.0, std::max(exponent, -125) - 24);
}

std::string kernelText(const std::string &name, const std::string &op, bool binary) {
  std::string m = "memref<" + std::to_string(kBatch) + "xf32>";
  return "kern.kernel @" + name + " rows [" + std::to_string(kBatch) +
         "] along \"row\" writes [2] {\n^bb0(%r: index, %x: " + m + ", %y: " + m + ", %z: " + m +
         "):\n  %a = memref.load %x[%r] : " + m + "\n  %b = memref.load %y[%r] : " + m +
         "\n  %v = " + op + " %a" + (binary ? ", %b" : "") +
         " : f32\n  memref.store %v, %z[%r] : " + m + "\n  kern.end\n}\n";
}

} // namespace

int main(int argc, char **argv) {
  uint64_t step = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1009;
  if (!step)
    step = 1;
  std::string text;
  for (const Function &f : kFunctions)
    text += kernelText(f.name, std::string("math.") + f.name, false);
  text += kernelText("powf", "math.powf", true);
  mlir::DialectRegistry registry;
  registerCpuDialects(registry);
  mlir::MLIRContext context(registry);
  context.loadAllAvailableDialects();
  auto module = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
  if (!module)
    return 1;
  auto compiled = compileKernels(*module, Options());
  if (!compiled) {
    llvm::errs() << llvm::toString(compiled.takeError()) << "\n";
    return 1;
  }
  std::vector<float> x(kBatch), y(kBatch), z(kBatch);
  void *args[] = {x.data(), y.data(), z.data()};
  bool good = true;
  auto report = [&](const char *name, double worst, float at, double bound) {
    llvm::outs() << llvm::format("%-6s %.3f ulp at %.9g\n", name, worst, at);
    good &= worst <= bound;
  };
  for (const Function &f : kFunctions) {
    double worst = 0;
    float at = 0;
    for (uint64_t bits = 0; bits < (uint64_t(1) << 32);) {
      int64_t n = 0;
      for (; n < kBatch && bits < (uint64_t(1) << 32); bits += step)
        x[n++] = floatOf(uint32_t(bits));
      compiled->find(f.name)->fn(args, nullptr, 0, 1);
      for (int64_t i = 0; i < n; ++i) {
        if (std::fabs(double(x[i])) > f.limit && std::isfinite(x[i]))
          continue;
        double e = ulps(z[i], f.exact(x[i]));
        if (e > worst)
          worst = e, at = x[i];
      }
    }
    report(f.name, worst, at, f.bound);
  }
  // powf: pairs from a lattice over magnitudes, and all pairs of the special values.
  const float special[] = {0.0f,     -0.0f,     1.0f,  -1.0f,       2.0f,    -2.0f, 3.0f,
                           -3.0f,    0.5f,      -0.5f, 1e-40f,      -1e-40f, 1e38f, -1e38f,
                           INFINITY, -INFINITY, NAN,   16777217.0f, 1e10f};
  double worst = 0;
  float at = 0;
  uint64_t state = 1, left = (uint64_t(1) << 32) / step;
  size_t specials = std::size(special), pair = 0;
  while (left) {
    int64_t n = 0;
    for (; n < kBatch && left; --left, ++n) {
      if (pair < specials * specials) {
        x[n] = special[pair / specials], y[n] = special[pair % specials];
        ++pair;
        continue;
      }
      state = state * 6364136223846793005u + 1442695040888963407u;
      x[n] = floatOf(uint32_t(state >> 33)); // positive
      // Exponents that keep most results finite.
      float scale = 100 / std::max(1e-3f, std::fabs(std::log2(std::fabs(x[n]) + 1e-44f)));
      y[n] = (float(uint32_t(state >> 8) & 0xFFFF) / 32768 - 1) * scale;
    }
    compiled->find("powf")->fn(args, nullptr, 0, 1);
    for (int64_t i = 0; i < n; ++i) {
      double want = std::pow(double(x[i]), double(y[i]));
      double e = ulps(z[i], want);
      if (e > worst)
        worst = e, at = x[i];
    }
  }
  report("powf", worst, at, 2);
  return good ? 0 : 1;
}
