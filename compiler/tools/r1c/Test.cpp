// r1c test: the test blocks of the files, or of the library when none is given. The interpreter runs them;
// with --target the tensors that they look at are compiled, run there and compared with it.
#include "compiler/tools/r1c/Execute.h"
#include "compiler/tools/r1c/Files.h"
#include "compiler/tools/r1c/Session.h"
#include "compiler/eval/Graph.h"
#include "runtime/device/Executor.h"
#include "llvm/ADT/APFloat.h"
#include <cmath>
#include <cstdio>
#include <cstring>

namespace r1::tool {
namespace {

using r1rt::Result;
using r1rt::Status;

double elementAt(r1_dtype type, const char *at, uint64_t i) {
  auto plain = [&](auto x) {
    std::memcpy(&x, at + i * sizeof x, sizeof x);
    return double(x);
  };
  auto half = [&](const llvm::fltSemantics &semantics) {
    uint16_t bits;
    std::memcpy(&bits, at + 2 * i, 2);
    return double(llvm::APFloat(semantics, llvm::APInt(16, bits)).convertToFloat());
  };
  switch (type) {
  case R1_F64: return plain(double());
  case R1_F32: return plain(float());
  case R1_F16: return half(llvm::APFloat::IEEEhalf());
  case R1_BF16: return half(llvm::APFloat::BFloat());
  case R1_I64: return plain(int64_t());
  case R1_I32: return plain(int32_t());
  case R1_I8: return plain(int8_t());
  default: return plain(uint8_t());
  }
}

/// How far a compiled element may lie from the interpreter's, which computes in f64, as a part of the
/// largest element: sums in f32, roundings to 16 bits.
double allowance(r1_dtype type) {
  return type == R1_F32 ? 2e-5 : type == R1_F16 ? 2e-3 : type == R1_BF16 ? 1.6e-2 : 0;
}

/// What differs in one result, or "".
std::string difference(const r1_field &f, const char *at, const std::vector<double> &want) {
  double scale = 1;
  for (double w : want)
    if (std::isfinite(w))
      scale = std::max(scale, std::fabs(w));
  for (uint64_t i = 0; i < want.size(); ++i) {
    double have = elementAt(f.dtype, at, i);
    if (have == want[i] || (std::isnan(have) && std::isnan(want[i])) ||
        std::fabs(have - want[i]) <= allowance(f.dtype) * scale)
      continue;
    char text[160];
    std::snprintf(text, sizeof text, "%s, element %llu: %.9g there, %.9g in the interpreter", f.name,
                  static_cast<unsigned long long>(i), have, want[i]);
    return text;
  }
  return "";
}

/// Runs what the passed tests looked at on the target; failures turn `passed` off and are said.
Status runOnTarget(Session &session, std::vector<TestResult> &tests) {
  const Options &o = session.options;
  R1RT_ASSIGN(auto accelerator, openTarget(o.testTarget));
  CompileOptions options;
  options.threads = o.threads;
  options.cacheDir = o.store + "/kernels";
  if (emulates(o.testTarget)) {
    options.target = TargetKind::cudaEmu;
    options.arch = archOf(o.testTarget, "sm_80");
  }
  if (o.testTarget == "cuda") {
    options.target = TargetKind::cuda;
    options.arch = accelerator->info().arch;
  }
  std::vector<const GraphFn *> functions;
  std::vector<TestResult *> owners;
  for (TestResult &t : tests)
    if (t.passed && !t.graph->results.empty()) {
      functions.push_back(t.graph.get());
      owners.push_back(&t);
    }
  if (functions.empty())
    return Status::ok();
  CompileError error;
  auto compiled = compileFunctions(functions, session.sources, options, error);
  if (!compiled)
    return Status::error(error.message, error.exit == NoMemory ? r1rt::ExitClass::memory : r1rt::ExitClass::program);
  R1RT_ASSIGN(auto device, r1rt::Device::createCpu(o.threads));
  R1RT_ASSIGN(auto exec, r1rt::Executor::create(*device, *compiled->module, accelerator.get()));
  for (size_t i = 0; i < owners.size(); ++i) {
    TestResult &t = *owners[i];
    const r1_program *p = exec->program(functions[i]->name);
    if (!p || p->n_outputs != t.elements.size())
      return Status::error("test `" + t.name + "`: its program has other outputs than results");
    R1RT_TRY(exec->run(*p).withContext("test `" + t.name + "`"));
    for (uint32_t k = 0; k < p->n_outputs; ++k) {
      // Outputs come in the program's order; their names are those of the results.
      const r1_field &f = p->outputs[k];
      size_t which = std::stoul(std::string(f.name).substr(sizeof "result" - 1));
      std::string differs = difference(f, exec->at(f), t.elements[which]);
      if (differs.empty())
        continue;
      t.passed = false;
      std::fprintf(stderr, "on %s: test `%s`: %s\n", o.testTarget.c_str(), t.name.c_str(), differs.c_str());
    }
  }
  return Status::ok();
}

} // namespace

int testCommand(const Options &o) {
  std::vector<std::string> files = o.files;
  bool library = files.empty();
  if (library)
    files = {stdlibDir() + "/prelude.r1"};
  int passed = 0, failed = 0;
  for (const std::string &file : files) {
    Session session(o);
    if (!session.load(file))
      return session.exit;
    std::vector<TestResult> results = session.analysis->runTests(library);
    if (!o.testTarget.empty())
      if (Status st = runOnTarget(session, results); !st)
        return session.fail("test", st);
    for (const TestResult &r : results) {
      (r.passed ? passed : failed)++;
      if (o.json)
        printEvent("test", {{"name", r.name}, {"passed", r.passed}});
      else if (!o.quiet || !r.passed)
        std::printf("%s  %s\n", r.passed ? "ok  " : "FAIL", r.name.c_str());
    }
    session.printDiags();
  }
  if (!o.json)
    std::printf(failed ? "%d passed, %d failed\n" : "%d passed\n", passed, failed);
  return failed ? ProgramWrong : Done;
}

} // namespace r1::tool
