#include "test/fakes/Options.h"
#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace fake {

static bool number(const std::string &text, uint64_t &to) {
  char *end = nullptr;
  to = std::strtoull(text.c_str(), &end, 10);
  return !text.empty() && !*end;
}

/// "12.4"
static bool pair(const std::string &text, int &first, int &second) {
  char more = 0;
  return std::sscanf(text.c_str(), "%d.%d%c", &first, &second, &more) == 2;
}

static bool set(Options &o, const std::string &key, const std::string &value) {
  uint64_t n = 0;
  int first = 0, second = 0;
  if (key == "order") {
    bool random = value.rfind("random:", 0) == 0;
    o.order = value == "eager" ? Order::eager : value == "lazy" ? Order::lazy : Order::random;
    return random ? number(value.substr(7), o.seed) : value == "eager" || value == "lazy";
  }
  if (key == "driver" && pair(value, first, second))
    return o.driver = first * 1000 + second * 10, true;
  if (key == "capability" && pair(value, first, second))
    return o.major = first, o.minor = second, true;
  if (!number(value, n))
    return false;
  if (key == "devices")
    return o.devices = int(n), true;
  uint64_t *to = key == "memory"      ? &o.memory
                 : key == "largest"   ? &o.largest
                 : key == "refuse"    ? &o.refuse
                 : key == "crash"     ? &o.crash
                 : key == "interrupt" ? &o.interrupt
                                      : nullptr;
  if (to)
    *to = n;
  return to;
}

static Options read() {
  Options o;
  const char *text = std::getenv("R1_FAKE_CUDA");
  std::string list = text ? text : "";
  for (size_t at = 0; at < list.size();) {
    size_t end = std::min(list.find(',', at), list.size());
    std::string item = list.substr(at, end - at);
    size_t equals = item.find('=');
    if (equals == std::string::npos || !set(o, item.substr(0, equals), item.substr(equals + 1)))
      o.wrong = "R1_FAKE_CUDA: `" + item + "` is none of the settings in test/fakes/README.md";
    at = end + 1;
  }
  return o;
}

const Options &Options::get() {
  static const Options o = read();
  return o;
}

} // namespace fake
