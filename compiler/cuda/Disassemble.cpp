#include "compiler/cuda/Disassemble.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FileUtilities.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/raw_ostream.h"
#include <cstdlib>
#include <optional>

namespace r1::cuda {
namespace {

std::string findDisassembler() {
  if (const char *named = std::getenv("R1_NVDISASM"))
    return named;
  if (auto found = llvm::sys::findProgramByName("nvdisasm"))
    return *found;
  std::string home = "/usr/local/cuda";
  if (const char *named = std::getenv("CUDA_HOME"))
    home = named;
  std::string bin = home + "/bin";
  if (auto found = llvm::sys::findProgramByName("nvdisasm", {bin}))
    return *found;
  return "";
}

} // namespace

llvm::Expected<std::string> disassemble(llvm::StringRef cubin) {
  std::string program = findDisassembler();
  if (program.empty())
    return llvm::createStringError(
        "the level sass needs nvdisasm, which is neither in $PATH nor in $CUDA_HOME/bin\n"
        "help: it is a part of the CUDA toolkit (cuda-nvdisasm); R1_NVDISASM names another place; --emit=ptx "
        "needs none");
  llvm::SmallString<128> in, out, log;
  for (auto *path : {&in, &out, &log})
    if (std::error_code e = llvm::sys::fs::createTemporaryFile("r1c", "sass", *path))
      return llvm::createStringError(e, "a temporary file for nvdisasm cannot be made");
  llvm::FileRemover removeIn(in), removeOut(out), removeLog(log);
  std::error_code e;
  {
    llvm::raw_fd_ostream os(in, e);
    os << cubin;
  }
  if (e)
    return llvm::createStringError(e, "the machine code cannot be written to " + in.str());
  std::optional<llvm::StringRef> redirects[] = {llvm::StringRef(""), out.str(), log.str()};
  std::string wrong;
  int code = llvm::sys::ExecuteAndWait(program, {program, "-c", "-g", "-sf", in}, std::nullopt, redirects, 60,
                                       0, &wrong);
  auto text = llvm::MemoryBuffer::getFile(code ? log : out);
  if (code)
    return llvm::createStringError(program + " ends with " + std::to_string(code) + ": " +
                                   (wrong.empty() && text ? (*text)->getBuffer().trim().str() : wrong));
  if (!text)
    return llvm::createStringError(text.getError(), "what " + program + " wrote cannot be read");
  return (*text)->getBuffer().str();
}

} // namespace r1::cuda
