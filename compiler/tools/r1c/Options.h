// What the command line says. Filled by main.cpp (the only place with CLI11).
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace r1::tool {

/// Exit codes, as the language reference lists them.
enum Exit : int {
  Done = 0,
  ProgramWrong = 1,
  CommandWrong = 2,
  StageFailed = 3,
  GateFailed = 4,
  NoMemory = 5,
  WouldChange = 10,
  WaitsForPeople = 75,
  Interrupted = 130,
};

struct Options {
  // common
  std::string file;                // FILE or FILE:NAME
  std::vector<std::string> files;  // check, fmt, test take several
  std::vector<std::string> sets;   // PATH=EXPR, in order
  std::string store = ".r1";
  std::string color = "auto";      // auto | always | never
  bool json = false, quiet = false;
  bool noAdvice = false;           // no E0215
  int verbose = 0;
  int threads = 0;                 // 0: all cores
  std::string target = "cpu";      // cpu | cuda | cuda-emu[:ARCH]
  // run, plan
  std::string only, until, fresh, why;
  bool dryRun = false, failOnChange = false, dvc = false;
  std::string profile;             // a file for the table of kernels
  long seed = -1;
  int micro = 0;                   // micro-batches of a step; 0: as few as fit
  int checkpointEvery = 0;         // steps; 0: by time alone
  // compile
  std::vector<std::string> emit;
  std::string out, onlyKernel;
  bool report = false;
  // test
  std::string testTarget;          // cpu | cuda | cuda-emu[:ARCH]; empty: the interpreter alone
  // fmt
  bool fmtCheck = false, fmtWrite = false;
  // inspect
  std::string row, other, html;    // the id of a row; the corpus to compare with; the page to write
  bool verify = false, clusters = false;
  // export
  uint64_t shardSize = 5'000'000'000; // bytes of a file of weights
  // annotate
  std::string who;                 // who answers; empty: the user
  // generate
  std::vector<std::string> prompt;
  double temperature = 1.0, topP = 1.0;
  double minP = 0, repetition = 1.0, lengthPenalty = 1.0;
  int topK = 0, maxNew = 100, minNew = 0, samples = 1, beams = 1, batch = 8;
  std::vector<std::string> stop;
  std::string chatTemplate;        // how prompts are written as conversations; empty: as they are
  bool logprobs = false, stdio = false;
};

/// Does a target run CUDA kernels under the emulator?
inline bool emulates(const std::string &target) { return target.starts_with("cuda-emu"); }
/// The architecture that a target such as cuda:sm_90a names, or `otherwise`.
inline std::string archOf(const std::string &target, const std::string &otherwise) {
  size_t colon = target.find(':');
  return colon == std::string::npos ? otherwise : target.substr(colon + 1);
}

int runCommand(const Options &);
int planCommand(const Options &);
int checkCommand(const Options &);
int compileCommand(const Options &);
int fmtCommand(const Options &);
int testCommand(const Options &);
int generateCommand(const Options &);
int annotateCommand(const Options &);
int inspectCommand(const Options &);
int exportCommand(const Options &);
int explainCommand(const std::string &code);
int versionCommand();

} // namespace r1::tool
