// Runs the fuzz target over the files of a directory, and over every truncation of each.
#include "runtime/state/Files.h"
#include <cstdio>
#include <filesystem>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int main(int argc, char **argv) {
  int files = 0;
  for (int i = 1; i < argc; ++i)
    for (auto &e : std::filesystem::directory_iterator(argv[i])) {
      auto s = r1rt::readFile(e.path().string());
      if (!s)
        continue;
      for (size_t n = 0; n <= s->size(); ++n)
        LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t *>(s->data()), n);
      ++files;
    }
  std::printf("%d files replayed\n", files);
  return files ? 0 : 1;
}
