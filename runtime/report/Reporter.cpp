#include "runtime/report/Reporter.h"
#include <algorithm>
#include <cmath>
#include <unistd.h>

namespace r1rt {

using nlohmann::json;

static double unixTime() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

static std::string number(const char *format, double v) {
  char buf[64];
  std::snprintf(buf, sizeof buf, format, v);
  return buf;
}

static std::string duration(double s) {
  char buf[64];
  if (s < 60)
    std::snprintf(buf, sizeof buf, "%.0f s", s);
  else if (s < 3600)
    std::snprintf(buf, sizeof buf, "%d min %02d s", int(s) / 60, int(s) % 60);
  else
    std::snprintf(buf, sizeof buf, "%d h %02d min", int(s) / 3600, int(s) / 60 % 60);
  return buf;
}

Reporter::Reporter(Options o) : opt(o) { terminal = isatty(fileno(human())) == 1; }

Reporter::~Reporter() { clearLive(); }

void Reporter::clearLive() {
  if (live) {
    std::fputs("\r\x1b[K", human());
    std::fflush(human());
  }
  live = false;
}

void Reporter::line(FILE *to, const std::string &text) {
  clearLive();
  std::fputs((text + "\n").c_str(), to);
  std::fflush(to);
}

void Reporter::event(const std::string &kind, json fields) {
  std::lock_guard lock(one);
  if (!opt.json)
    return;
  if (!fields.is_object())
    fields = json::object();
  fields["v"] = 1;
  fields["t"] = unixTime();
  fields["event"] = kind;
  std::string text = fields.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
  std::fputs(text.c_str(), opt.out);
  std::fflush(opt.out);
}

void Reporter::stage(const std::string &name, const std::string &state, const json &more) {
  std::lock_guard lock(one);
  json e = more.is_object() ? more : json::object();
  e["stage"] = name;
  e["state"] = state;
  event("stage", e);
  std::string detail;
  if (more.is_object() && more.contains("message") && more["message"].is_string())
    detail = "  " + more["message"].get<std::string>();
  if (more.is_object() && more.contains("seconds") && more["seconds"].is_number())
    detail += "  " + duration(more["seconds"].get<double>());
  if (state != "queued" && !(opt.quiet && (state == "started" || state == "cached")))
    line(human(), name + "  " + state + detail);
  lastStage.clear();
}

void Reporter::step(const std::string &stage, const StepRecord &r, double progress,
                    uint64_t total) {
  std::lock_guard lock(one);
  if (opt.json) {
    json e = r.more.is_object() ? r.more : json::object();
    e.update({{"stage", stage},
              {"step", r.step},
              {"loss", r.loss},
              {"lr", r.lr},
              {"grad_norm", r.gradNorm},
              {"tokens_per_s", r.tokensPerSecond},
              {"ms", r.ms}});
    event("step", e);
  }
  bool last = total && r.step == total;
  if (!isTimeToShow(stage, last))
    return;
  std::string text = stage + "  step " + std::to_string(r.step) +
                     (total ? "/" + std::to_string(total) : "") + "  loss " +
                     number("%.4f", r.loss) + "  lr " + number("%.2e", r.lr) + "  |grad| " +
                     number("%.3f", r.gradNorm) + "  " + number("%.0f", r.tokensPerSecond) +
                     " tokens/s  " + number("%.1f", r.ms) + " ms";
  if (total > r.step)
    text += "  " + duration(double(total - r.step) * r.ms / 1000) + " left";
  else if (!total)
    text += "  " + number("%.0f", 100 * progress) + " %";
  show(text, last);
}

bool Reporter::isTimeToShow(const std::string &stage, bool last) {
  auto now = Clock::now();
  double since = std::chrono::duration<double>(now - lastLine).count();
  bool first = lastStage != stage;
  if (first)
    begun = now;
  if (opt.quiet || (!last && !first && since < (terminal ? 0.1 : opt.interval)))
    return false;
  lastLine = now;
  lastStage = stage;
  return true;
}

void Reporter::show(const std::string &text, bool last) {
  if (!terminal) {
    line(human(), text);
    return;
  }
  std::fputs(("\r\x1b[K" + text).c_str(), human());
  std::fflush(human());
  live = true;
  if (last) {
    std::fputs("\n", human());
    live = false;
  }
}

void Reporter::progress(const std::string &stage, const std::string &text, double done,
                        const json &fields) {
  std::lock_guard lock(one);
  if (!isTimeToShow(stage, done >= 1))
    return;
  json e = fields.is_object() ? fields : json::object();
  e.update({{"stage", stage}, {"done", done}});
  event("progress", e);
  std::string more;
  double spent = std::chrono::duration<double>(Clock::now() - begun).count();
  if (done > 0 && done < 1)
    more = "  " + number("%.0f", 100 * done) + " %" +
           (spent > 1 ? "  " + duration(spent * (1 - done) / done) + " left" : "");
  show(stage + "  " + text + more, done >= 1);
}

void Reporter::metric(const std::string &stage, const std::string &name, double value, const json &more) {
  std::lock_guard lock(one);
  json e = more.is_object() ? more : json::object();
  e.update({{"stage", stage}, {"name", name}, {"value", value}});
  event("metric", e);
  std::string text = stage + "  " + name + " = " + number("%.6g", value);
  if (e.contains("low") && e.contains("high"))
    text += " [" + number("%.6g", e["low"].get<double>()) + ", " + number("%.6g", e["high"].get<double>()) + "]";
  if (e.contains("p"))
    text += "  p = " + number("%.3g", e["p"].get<double>());
  if (e.contains("against"))
    text += "  against " + e["against"].get<std::string>();
  if (e.contains("signature"))
    text += "  " + e["signature"].get<std::string>();
  line(human(), text);
}

void Reporter::artifact(const std::string &stage, const std::string &fingerprint,
                        const std::string &dir) {
  std::lock_guard lock(one);
  event("artifact", {{"stage", stage}, {"fingerprint", fingerprint}, {"dir", dir}});
}

void Reporter::warning(const std::string &stage, const std::string &message) {
  std::lock_guard lock(one);
  event("diagnostic", {{"severity", "warning"}, {"stage", stage}, {"message", message}});
  line(opt.err, "warning: " + (stage.empty() ? "" : stage + ": ") + message);
}

void Reporter::note(const std::string &message) {
  std::lock_guard lock(one);
  if (!opt.quiet)
    line(human(), message);
}

void Reporter::text(const std::string &piece) {
  std::lock_guard lock(one);
  event("text", {{"text", piece}});
  if (opt.json)
    return;
  std::fputs(piece.c_str(), opt.out);
  std::fflush(opt.out);
}

} // namespace r1rt
