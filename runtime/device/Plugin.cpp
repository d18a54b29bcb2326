#include "runtime/device/Plugin.h"
#include <cstdlib>
#include <dlfcn.h>
#include <filesystem>
#include <vector>

namespace fs = std::filesystem;

namespace r1rt {

static std::string linkerError() {
  const char *text = dlerror();
  return text ? text : "no reason given";
}

static Result<void *> symbolOf(void *library, const PluginKind &kind, const std::string &file) {
  if (void *symbol = dlsym(library, kind.symbol))
    return symbol;
  return Status::error("`" + file + "` is not the plugin for " + kind.name + ": " + linkerError());
}

static Result<void *> open(const PluginKind &kind, const std::string &file) {
  // Local: the symbols of what it links must not meet those of r1c.
  if (void *library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL))
    return symbolOf(library, kind, file);
  // The text names what is missing: the file itself, or a library it needs.
  std::string why = linkerError(), help;
  std::error_code ec;
  if (why.find(kind.library) != std::string::npos)
    help = std::string("\nhelp: ") + kind.install +
           ", or name the folder that holds it in LD_LIBRARY_PATH";
  else if (!fs::exists(file, ec))
    help = std::string("\nhelp: ") + kind.install + ", then configure and build r1c again";
  return Status::error(std::string("cannot load the plugin for ") + kind.name + ": " + why + help);
}

/// Where plugins are looked for before the loader's path.
static std::vector<fs::path> folders() {
  std::vector<fs::path> list;
  if (const char *first = std::getenv("R1_PLUGINS"); first && *first)
    list.push_back(first);
  std::error_code ec;
  fs::path bin = fs::read_symlink("/proc/self/exe", ec).parent_path();
  if (!ec)
    list.insert(list.end(), {bin.parent_path() / "lib", bin / "lib", bin});
  return list;
}

std::string pluginBeside(const char *file) {
  std::error_code ec;
  for (const fs::path &dir : folders())
    if (fs::exists(dir / file, ec))
      return (dir / file).string();
  return "";
}

Result<void *> pluginSymbol(const PluginKind &kind, const std::string &file) {
  if (!file.empty())
    return open(kind, file);
  if (std::string here = pluginBeside(kind.file); !here.empty())
    return open(kind, here);
  std::string looked;
  for (const fs::path &dir : folders())
    looked += "`" + dir.string() + "`, ";
  if (void *library = dlopen(kind.file, RTLD_NOW | RTLD_LOCAL))
    return symbolOf(library, kind, kind.file);
  return Status::error(std::string(kind.need) + " the plugin " + kind.file + ", which is not in " +
                       looked + "nor where the loader looks (" + linkerError() +
                       ")\nhelp: it is built where its library is found: " + kind.install +
                       ", then configure and build r1c again");
}

Status wrongPluginVersion(const PluginKind &kind, unsigned has, unsigned wanted) {
  return Status::error(std::string("the plugin `") + kind.file + "` speaks version " +
                       std::to_string(has) + " of the interface, this r1c version " +
                       std::to_string(wanted) +
                       "\nhelp: build r1c and the plugin from the same sources");
}

} // namespace r1rt
