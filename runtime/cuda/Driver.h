// The functions of the CUDA driver that the plugin calls, found in libcuda.so.1 when it is opened: a
// machine without a driver loads the plugin and is told what is missing.
#pragma once
#include <cuda.h>

#define R1_DRIVER_FUNCTIONS(F)                                                                     \
  F(cuInit, "cuInit")                                                                              \
  F(cuDriverGetVersion, "cuDriverGetVersion")                                                      \
  F(cuGetErrorName, "cuGetErrorName")                                                              \
  F(cuGetErrorString, "cuGetErrorString")                                                          \
  F(cuDeviceGetCount, "cuDeviceGetCount")                                                          \
  F(cuDeviceGet, "cuDeviceGet")                                                                    \
  F(cuDeviceGetName, "cuDeviceGetName")                                                            \
  F(cuDeviceGetAttribute, "cuDeviceGetAttribute")                                                  \
  F(cuDevicePrimaryCtxRetain, "cuDevicePrimaryCtxRetain")                                          \
  F(cuDevicePrimaryCtxRelease, "cuDevicePrimaryCtxRelease_v2")                                     \
  F(cuCtxSetCurrent, "cuCtxSetCurrent")                                                            \
  F(cuMemGetInfo, "cuMemGetInfo_v2")                                                               \
  F(cuMemAlloc, "cuMemAlloc_v2")                                                                   \
  F(cuMemFree, "cuMemFree_v2")                                                                     \
  F(cuMemHostAlloc, "cuMemHostAlloc")                                                              \
  F(cuMemFreeHost, "cuMemFreeHost")                                                                \
  F(cuMemsetD8Async, "cuMemsetD8Async")                                                            \
  F(cuMemcpyHtoDAsync, "cuMemcpyHtoDAsync_v2")                                                     \
  F(cuMemcpyDtoHAsync, "cuMemcpyDtoHAsync_v2")                                                     \
  F(cuMemcpyDtoDAsync, "cuMemcpyDtoDAsync_v2")                                                     \
  F(cuEventCreate, "cuEventCreate")                                                                \
  F(cuEventDestroy, "cuEventDestroy_v2")                                                           \
  F(cuEventRecord, "cuEventRecord")                                                                \
  F(cuEventSynchronize, "cuEventSynchronize")                                                      \
  F(cuEventElapsedTime, "cuEventElapsedTime_v2")                                                   \
  F(cuStreamCreate, "cuStreamCreate")                                                              \
  F(cuStreamDestroy, "cuStreamDestroy_v2")                                                         \
  F(cuStreamSynchronize, "cuStreamSynchronize")                                                    \
  F(cuStreamWaitEvent, "cuStreamWaitEvent")                                                        \
  F(cuStreamBeginCapture, "cuStreamBeginCapture_v2")                                               \
  F(cuStreamEndCapture, "cuStreamEndCapture")                                                      \
  F(cuGraphInstantiate, "cuGraphInstantiateWithFlags")                                             \
  F(cuGraphLaunch, "cuGraphLaunch")                                                                \
  F(cuGraphDestroy, "cuGraphDestroy")                                                              \
  F(cuGraphExecDestroy, "cuGraphExecDestroy")                                                      \
  F(cuModuleLoadData, "cuModuleLoadData")                                                          \
  F(cuModuleUnload, "cuModuleUnload")                                                              \
  F(cuModuleGetFunction, "cuModuleGetFunction")                                                    \
  F(cuFuncGetParamInfo, "cuFuncGetParamInfo")                                                      \
  F(cuFuncSetAttribute, "cuFuncSetAttribute")                                                      \
  F(cuTensorMapEncodeTiled, "cuTensorMapEncodeTiled")                                              \
  F(cuLaunchKernel, "cuLaunchKernel")

namespace r1cuda {

/// Pointers to the functions above; calls look like those of cuda.h.
struct Driver {
#define R1_DECLARE(name, symbol) decltype(&::name) name = nullptr;
  R1_DRIVER_FUNCTIONS(R1_DECLARE)
#undef R1_DECLARE

  /// Finds them and starts the driver. Null, or what is wrong and how to mend it.
  const char *open();
};

} // namespace r1cuda
