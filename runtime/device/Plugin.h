//===- Plugin.h - libraries that are loaded on first use ----------------------===//
//
// What needs a library that a machine may lack (NVRTC, a GPU's driver, MPI) stands in a
// plugin of its own, so that r1c starts everywhere and says what is missing when it is
// asked for.
//
//===----------------------------------------------------------------------===//
#ifndef R1RT_DEVICE_PLUGIN_H
#define R1RT_DEVICE_PLUGIN_H
#include "runtime/Status.h"
#include <string>

namespace r1rt {

struct PluginKind {
  const char *file;   // "libr1_nvrtc.so"
  const char *symbol; // the function that gives its interface
  const char *name;   // "NVRTC", after "the plugin for"
  const char *need;   // "CUDA kernels need"
  const char *library; // a library it links, as it stands in the loader's message
  const char *install; // what to do where that library is missing
};

/// The symbol of the plugin. Without `file` it is searched in the folder that the environment variable
/// R1_PLUGINS names, in ../lib and lib beside the executable, in the executable's folder, then where the
/// loader looks. What has been loaded stays loaded; a failure
/// is tried anew each time. The error says what is missing and how to mend it.
Result<void *> pluginSymbol(const PluginKind &kind, const std::string &file = "");

/// The plugin's file in R1_PLUGINS or beside this program (../lib, lib, the executable's folder), or "".
std::string pluginBeside(const char *file);

/// The error for a plugin that was built from other sources.
Status wrongPluginVersion(const PluginKind &kind, unsigned has, unsigned wanted);

} // namespace r1rt
#endif
