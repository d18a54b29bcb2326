// The first byte says what the rest is: a config.json, or an index of shards. A config is refused, or describes a
// model whose sizes can be built, and which, written as a config again, is described in the same words. An index
// is refused, or names files of its own folder.
#include "runtime/checkpoint/Config.h"
#include "runtime/checkpoint/Families.h"
#include <cstdio>
#include <cstdlib>

using namespace r1rt;
using namespace r1rt::checkpoint;
using nlohmann::ordered_json;

namespace {

[[noreturn]] void stop(const std::string &why) {
  std::fprintf(stderr, "%s\n", why.c_str());
  std::abort();
}

void sizesIn(const ordered_json &args) {
  for (auto &[name, value] : args.items()) {
    if (value.is_number_integer() && (value.get<int64_t>() < 1 || value.get<int64_t>() > Config::most))
      stop("the size " + name + " is " + value.dump());
    if (value.is_object())
      sizesIn(value);
  }
}

void config(std::string_view text) {
  auto d = describe(text);
  if (!d) {
    if (d.status().message().empty())
      stop("refused without a word");
    return;
  }
  sizesIn(d->args);
  auto written = configOf(d->model, d->args, d->positions);
  if (!written)
    stop("what was described cannot be written: " + written.status().message());
  if (written->type != d->type)
    stop(d->type + " was written as " + written->type);
  auto again = describe(written->config.dump());
  if (!again)
    stop("what was written cannot be described: " + again.status().message());
  if (again->args != d->args || again->model != d->model || again->positions != d->positions)
    stop("described as " + d->args.dump() + ", and again as " + again->args.dump());
}

void index(std::string_view text) {
  auto map = parseIndex(text);
  if (!map)
    return;
  for (auto &[tensor, file] : *map)
    if (file.find('/') != std::string::npos || file.find('\0') != std::string::npos || file.starts_with("."))
      stop("the file " + file);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (!size)
    return 0;
  std::string_view rest(reinterpret_cast<const char *>(data) + 1, size - 1);
  if (data[0] == 'i')
    index(rest);
  else
    config(rest);
  return 0;
}
