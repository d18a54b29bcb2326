// Runs a fuzzer's function once for each file (or file of a folder) that is named, without
// libFuzzer: how the tests replay the corpus. `--keep-going` runs each in a process of its own.
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int main(int argc, char **argv) {
  namespace fs = std::filesystem;
  std::vector<fs::path> files;
  bool keepGoing = false;
  for (int i = 1; i < argc; ++i) {
    std::error_code ignored;
    if (std::string(argv[i]) == "--keep-going")
      keepGoing = true;
    else if (fs::is_directory(argv[i], ignored))
      for (auto &entry : fs::directory_iterator(argv[i]))
        files.push_back(entry.path());
    else
      files.emplace_back(argv[i]);
  }
  int failed = 0;
  for (const fs::path &path : files) {
    std::ifstream in(path, std::ios::binary);
    std::string bytes(std::istreambuf_iterator<char>(in), {});
    auto run = [&] {
      return LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t *>(bytes.data()), bytes.size());
    };
    if (!keepGoing) {
      run();
      continue;
    }
    pid_t child = fork();
    if (child == 0)
      _exit(run());
    int status = 0;
    waitpid(child, &status, 0);
    if (status != 0) {
      ++failed;
      printf("FAILED %s\n", path.c_str());
    }
  }
  printf("%zu inputs, %d failed\n", files.size(), failed);
  return failed != 0;
}
