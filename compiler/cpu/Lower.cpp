#include "compiler/cpu/Lower.h"
#include "mlir/Conversion/ArithToLLVM/ArithToLLVM.h"
#include "mlir/Conversion/ControlFlowToLLVM/ControlFlowToLLVM.h"
#include "mlir/Conversion/FuncToLLVM/ConvertFuncToLLVMPass.h"
#include "mlir/Conversion/MathToLLVM/MathToLLVM.h"
#include "mlir/Conversion/MemRefToLLVM/MemRefToLLVM.h"
#include "mlir/Conversion/ReconcileUnrealizedCasts/ReconcileUnrealizedCasts.h"
#include "mlir/Conversion/SCFToControlFlow/SCFToControlFlow.h"
#include "mlir/Conversion/VectorToLLVM/ConvertVectorToLLVMPass.h"
#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "mlir/Transforms/Passes.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/TargetParser/Host.h"
#include "llvm/TargetParser/SubtargetFeature.h"
#include "llvm/TargetParser/Triple.h"
#include <mutex>

using namespace mlir;
using namespace r1;
using namespace r1::cpu;

Target Target::host() {
  Target t;
  t.triple = llvm::sys::getDefaultTargetTriple();
  t.cpu = llvm::sys::getHostCPUName().str();
  llvm::StringMap<bool> has = llvm::sys::getHostCPUFeatures();
  std::vector<std::string> names;
  for (auto &f : has)
    names.push_back((f.second ? "+" : "-") + f.first().str());
  llvm::sort(names);
  t.features = llvm::join(names, ",");
  if (has.lookup("avx512f") && has.lookup("avx512bw") && has.lookup("avx512vl") &&
      has.lookup("avx512dq"))
    return t;
  if (has.lookup("avx2") && has.lookup("fma")) {
    t.lanes = 8, t.tileRows = 6, t.tileVectors = 2;
    return t;
  }
  t.lanes = 4, t.tileRows = 8, t.tileVectors = 2;
  return t;
}

//===--- to the LLVM dialect --------------------------------------------------------------===//

// void @name(ptr args, ptr scratch, i64 tid, i64 threads): loads the pointers, calls @name.body.
static void addEntry(LLVM::LLVMFuncOp body, int64_t scratchBytes) {
  OpBuilder b(body);
  Location loc = body.getLoc();
  std::string name = body.getSymName().str();
  body.setSymName(name + ".body");
  body.setLinkage(LLVM::Linkage::Internal);
  // Inlined, the noalias of its arguments would turn into long lists of scopes.
  body.setNoInline(true);
  auto ptr = LLVM::LLVMPointerType::get(b.getContext());
  auto i64 = b.getI64Type();
  auto entry = LLVM::LLVMFuncOp::create(
      b, loc, name,
      LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(b.getContext()), {ptr, ptr, i64, i64}));
  Block *block = entry.addEntryBlock(b);
  b.setInsertionPointToStart(block);
  unsigned memrefs = body.getNumArguments() - 2 - (scratchBytes ? 1 : 0);
  SmallVector<Value> args;
  for (unsigned i = 0; i < memrefs; ++i) {
    Value at = LLVM::GEPOp::create(b, loc, ptr, ptr, block->getArgument(0),
                                   ArrayRef<LLVM::GEPArg>{int32_t(i)});
    args.push_back(LLVM::LoadOp::create(b, loc, ptr, at));
  }
  if (scratchBytes)
    args.push_back(block->getArgument(1));
  args.push_back(block->getArgument(2));
  args.push_back(block->getArgument(3));
  LLVM::CallOp::create(b, loc, body, args);
  LLVM::ReturnOp::create(b, loc, ValueRange{});
  b.setInsertionPointAfter(entry);
  LLVM::GlobalOp::create(b, loc, i64, /*isConstant=*/true, LLVM::Linkage::External,
                         name + ".scratch", b.getI64IntegerAttr(scratchBytes));
}

LogicalResult r1::cpu::lowerToLlvm(ModuleOp module) {
  llvm::StringMap<int64_t> scratch;
  for (auto f : module.getOps<func::FuncOp>())
    if (auto bytes = f->getAttrOfType<IntegerAttr>("r1.scratch_bytes")) {
      scratch[f.getSymName()] = bytes.getInt();
      f->removeAttr("r1.scratch_bytes");
    }
  {
    RewritePatternSet patterns(module.getContext());
    arith::populateCeilFloorDivExpandOpsPatterns(patterns);
    if (failed(applyPatternsGreedily(module, std::move(patterns))))
      return failure();
  }
  PassManager pm(module.getContext());
  pm.enableVerifier(false);
  pm.addPass(createCSEPass());
  pm.addPass(createSCFToControlFlowPass());
  pm.addPass(createConvertVectorToLLVMPass());
  pm.addPass(createConvertMathToLLVMPass());
  pm.addPass(createArithToLLVMConversionPass());
  ConvertFuncToLLVMPassOptions bare;
  bare.useBarePtrCallConv = true;
  pm.addPass(createConvertFuncToLLVMPass(bare));
  pm.addPass(createFinalizeMemRefToLLVMConversionPass());
  pm.addPass(createConvertControlFlowToLLVMPass());
  pm.addPass(createReconcileUnrealizedCastsPass());
  if (failed(pm.run(module)))
    return failure();
  SmallVector<LLVM::LLVMFuncOp> bodies;
  for (auto f : module.getOps<LLVM::LLVMFuncOp>())
    if (scratch.count(f.getSymName()))
      bodies.push_back(f);
  for (LLVM::LLVMFuncOp f : bodies)
    addEntry(f, scratch[f.getSymName()]);
  return success();
}

//===--- LLVM -----------------------------------------------------------------------------===//

static void initialize() {
  static std::once_flag once;
  std::call_once(once, [] {
    llvm::InitializeNativeTarget();
    llvm::InitializeNativeTargetAsmPrinter();
    llvm::InitializeNativeTargetAsmParser();
  });
}

llvm::Expected<std::unique_ptr<llvm::TargetMachine>> r1::cpu::targetMachine(const Target &target) {
  initialize();
  std::string message;
  llvm::Triple triple(target.triple);
  const llvm::Target *t = llvm::TargetRegistry::lookupTarget(triple, message);
  if (!t)
    return llvm::createStringError("no code generator for %s: %s", target.triple.c_str(),
                                   message.c_str());
  llvm::TargetOptions options;
  options.AllowFPOpFusion = llvm::FPOpFusion::Strict;
  std::unique_ptr<llvm::TargetMachine> machine(
      t->createTargetMachine(triple, target.cpu, target.features, options, llvm::Reloc::PIC_,
                             std::nullopt, llvm::CodeGenOptLevel::Aggressive, /*JIT=*/true));
  if (!machine)
    return llvm::createStringError("no code generator for %s (%s)", target.triple.c_str(),
                                   target.cpu.c_str());
  return std::move(machine);
}

llvm::Expected<std::unique_ptr<llvm::Module>>
r1::cpu::toLlvm(ModuleOp module, llvm::LLVMContext &context, llvm::TargetMachine &machine) {
  std::unique_ptr<llvm::Module> m = translateModuleToLLVMIR(module, context);
  if (!m)
    return llvm::createStringError("kernels could not be translated to LLVM IR");
  m->setTargetTriple(machine.getTargetTriple());
  m->setDataLayout(machine.createDataLayout());
  for (llvm::Function &f : *m) {
    if (f.isDeclaration())
      continue;
    f.addFnAttr("target-cpu", machine.getTargetCPU());
    f.addFnAttr("target-features", machine.getTargetFeatureString());
    f.addFnAttr("prefer-vector-width", "512");
    f.addFnAttr(llvm::Attribute::NoUnwind);
  }
  llvm::LoopAnalysisManager lam;
  llvm::FunctionAnalysisManager fam;
  llvm::CGSCCAnalysisManager cgam;
  llvm::ModuleAnalysisManager mam;
  llvm::PipelineTuningOptions tuning; // vectors are chosen already, by the schedule
  tuning.LoopVectorization = false;
  tuning.SLPVectorization = false;
  tuning.LoopInterleaving = false;
  llvm::PassBuilder builder(&machine, tuning);
  builder.registerModuleAnalyses(mam);
  builder.registerCGSCCAnalyses(cgam);
  builder.registerFunctionAnalyses(fam);
  builder.registerLoopAnalyses(lam);
  builder.crossRegisterProxies(lam, fam, cgam, mam);
  builder.buildPerModuleDefaultPipeline(llvm::OptimizationLevel::O3).run(*m, mam);
  return std::move(m);
}

llvm::Expected<llvm::SmallString<0>>
r1::cpu::toMachineCode(llvm::Module &module, llvm::TargetMachine &machine, bool text) {
  llvm::SmallString<0> out;
  llvm::raw_svector_ostream stream(out);
  llvm::legacy::PassManager pm;
  auto kind = text ? llvm::CodeGenFileType::AssemblyFile : llvm::CodeGenFileType::ObjectFile;
  if (machine.addPassesToEmitFile(pm, stream, nullptr, kind, /*DisableVerify=*/true))
    return llvm::createStringError("the code generator writes no such file");
  pm.run(module);
  return out;
}
