#include "runtime/cuda/Driver.h"
#include <cstdio>
#include <dlfcn.h>
#include <string>

namespace r1cuda {

const char *Driver::open() {
  static std::string why;
  void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    const char *text = dlerror();
    why = std::string("there is no CUDA driver on this machine (") + (text ? text : "libcuda.so.1") +
          ")\nhelp: install NVIDIA's driver 580 or newer, or leave --target out to run on the CPU";
    return why.c_str();
  }
#define R1_FIND(name, symbol)                                                                      \
  name = reinterpret_cast<decltype(name)>(dlsym(library, symbol));                                 \
  if (!name) {                                                                                     \
    why = "the CUDA driver of this machine has no " symbol                                         \
          "\nhelp: install NVIDIA's driver 580 or newer";                                          \
    return why.c_str();                                                                            \
  }
  R1_DRIVER_FUNCTIONS(R1_FIND)
#undef R1_FIND
  int version = 0, count = 0;
  if (cuDriverGetVersion(&version) == CUDA_SUCCESS && version < CUDA_VERSION / 1000 * 1000) {
    char text[200];
    std::snprintf(text, sizeof text,
                  "the driver of this machine is for CUDA %d.%d, and kernels are compiled for CUDA "
                  "%d.%d\nhelp: install NVIDIA's driver 580 or newer",
                  version / 1000, version % 1000 / 10, CUDA_VERSION / 1000, CUDA_VERSION % 1000 / 10);
    why = text;
    return why.c_str();
  }
  CUresult rc = cuInit(0);
  if (rc == CUDA_SUCCESS)
    rc = cuDeviceGetCount(&count);
  if (rc != CUDA_SUCCESS || count == 0) {
    const char *text = nullptr;
    cuGetErrorString(rc, &text);
    why = std::string("no CUDA device can be used: ") +
          (rc == CUDA_SUCCESS ? "the driver sees none" : text ? text : "the driver does not start") +
          "\nhelp: look at what nvidia-smi says, or leave --target out to run on the CPU";
    return why.c_str();
  }
  return nullptr;
}

} // namespace r1cuda
