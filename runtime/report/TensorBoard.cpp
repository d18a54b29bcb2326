#include "runtime/report/TensorBoard.h"
#include "runtime/state/Files.h"
#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <ctime>
#include <unistd.h>

namespace r1rt {

using nlohmann::json;

uint32_t crc32c(std::string_view data) {
  static const std::array<uint32_t, 256> table = [] {
    std::array<uint32_t, 256> t{};
    for (uint32_t i = 0; i < 256; ++i) {
      uint32_t c = i;
      for (int k = 0; k < 8; ++k)
        c = c & 1 ? (c >> 1) ^ 0x82F63B78u : c >> 1;
      t[i] = c;
    }
    return t;
  }();
  uint32_t c = ~0u;
  for (unsigned char b : data)
    c = table[(c ^ b) & 255] ^ (c >> 8);
  return ~c;
}

static Status writeError(const std::string &path) {
  return Status::error("cannot write `" + path +
                       "`: " + (errno == ENOSPC ? "the disk is full" : std::strerror(errno)));
}

static void little(std::string &out, uint64_t v, int bytes) {
  for (int i = 0; i < bytes; ++i)
    out += static_cast<char>(v >> (8 * i));
}

// Protocol buffers, as far as needed: (field << 3 | wire type), then the value.
static void varint(std::string &out, uint64_t v) {
  for (; v >= 128; v >>= 7)
    out += static_cast<char>(v | 128);
  out += static_cast<char>(v);
}
static void bytesField(std::string &out, int field, std::string_view v) {
  varint(out, uint64_t(field) << 3 | 2);
  varint(out, v.size());
  out += v;
}
static std::string eventHead() {
  std::string e;
  varint(e, 1 << 3 | 1); // wall_time
  double now =
      std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  little(e, std::bit_cast<uint64_t>(now), 8);
  return e;
}

Result<std::unique_ptr<TensorBoardWriter>> TensorBoardWriter::create(const std::string &dir) {
  R1RT_TRY(makeDirs(dir));
  char host[256] = "localhost";
  (void)gethostname(host, sizeof host - 1);
  auto w = std::make_unique<TensorBoardWriter>();
  for (int uid = 0; !w->file; ++uid) {
    char name[400];
    std::snprintf(name, sizeof name, "/events.out.tfevents.%010lld.%s.%d.%d",
                  (long long)std::time(nullptr), host, int(getpid()), uid);
    w->path = dir + name;
    w->file = std::fopen(w->path.c_str(), "wbx"); // x: never over another run's file
    if (!w->file && errno != EEXIST)
      return writeError(w->path);
  }
  std::string e = eventHead();
  bytesField(e, 3, "brain.Event:2");
  R1RT_TRY(w->record(e));
  R1RT_TRY(w->flush());
  return w;
}

TensorBoardWriter::~TensorBoardWriter() {
  if (file)
    std::fclose(file);
}

Status TensorBoardWriter::record(std::string_view event) {
  auto masked = [](uint32_t c) { return ((c >> 15) | (c << 17)) + 0xa282ead8u; };
  std::string out;
  little(out, event.size(), 8);
  little(out, masked(crc32c(out)), 4);
  out += event;
  little(out, masked(crc32c(event)), 4);
  return std::fwrite(out.data(), 1, out.size(), file) == out.size() ? Status::ok()
                                                                    : writeError(path);
}

Status TensorBoardWriter::scalars(uint64_t step,
                                  const std::vector<std::pair<std::string, double>> &values) {
  std::string all;
  for (auto &[tag, v] : values) {
    std::string value;
    bytesField(value, 1, tag);
    varint(value, 2 << 3 | 5); // simple_value: float
    little(value, std::bit_cast<uint32_t>(float(v)), 4);
    bytesField(all, 1, value);
  }
  return summary(step, all);
}

Status TensorBoardWriter::summary(uint64_t step, std::string_view values) {
  std::string e = eventHead();
  varint(e, 2 << 3 | 0);
  varint(e, step);
  bytesField(e, 5, values);
  return record(e);
}

/// A Summary with one Value: a tensor that the plugin shows.
static std::string tensorValue(std::string_view tag, std::string_view plugin, int dtype, std::span<const uint64_t> shape,
                               int field, std::string_view content) {
  std::string dims, tensor, data, meta, value, all;
  for (uint64_t n : shape) {
    std::string dim;
    varint(dim, 1 << 3 | 0);
    varint(dim, n);
    bytesField(dims, 2, dim);
  }
  varint(tensor, 1 << 3 | 0);
  varint(tensor, uint64_t(dtype));
  bytesField(tensor, 2, dims);
  bytesField(tensor, field, content);
  bytesField(data, 1, plugin);
  bytesField(meta, 1, data);
  bytesField(value, 1, tag);
  bytesField(value, 8, tensor);
  bytesField(value, 9, meta);
  bytesField(all, 1, value);
  return all;
}

Status TensorBoardWriter::histogram(uint64_t step, std::string_view tag, const Histogram &h) {
  const double width = (h.high - h.low) / Histogram::buckets;
  std::string rows; // left end, right end, count
  for (size_t i = 0; i < h.counts.size(); ++i)
    for (double v : {h.low + width * double(i), i + 1 == h.counts.size() ? h.high : h.low + width * double(i + 1),
                     double(h.counts[i])})
      little(rows, std::bit_cast<uint64_t>(v), 8);
  constexpr int dtDouble = 2, tensorContent = 4;
  const uint64_t shape[] = {h.counts.size(), 3};
  return summary(step, tensorValue(tag, "histograms", dtDouble, shape, tensorContent, rows));
}

Status TensorBoardWriter::text(uint64_t step, std::string_view tag, std::string_view text) {
  constexpr int dtString = 7, stringVal = 8;
  const uint64_t shape[] = {1};
  return summary(step, tensorValue(tag, "text", dtString, shape, stringVal, text));
}

Histogram Histogram::of(std::span<const float> values) {
  Histogram h;
  h.low = INFINITY, h.high = -INFINITY;
  for (float v : values)
    if (std::isfinite(v))
      h.low = std::min(h.low, double(v)), h.high = std::max(h.high, double(v));
    else
      ++h.notFinite;
  if (h.notFinite == values.size()) {
    h.low = h.high = 0;
    return h;
  }
  if (h.low == h.high)
    h.low -= 0.5, h.high += 0.5;
  h.counts.resize(buckets);
  const double scale = buckets / (h.high - h.low);
  for (float v : values)
    if (std::isfinite(v))
      ++h.counts[std::min<size_t>(buckets - 1, size_t((double(v) - h.low) * scale))];
  return h;
}

Status TensorBoardWriter::flush() {
  return std::fflush(file) == 0 ? Status::ok() : writeError(path);
}

Status StepLog::File::open(const std::string &name, uint64_t keepUntil) {
  path = name;
  std::string kept;
  if (keepUntil)
    if (auto old = readFile(path)) {
      for (size_t at = 0; at < old->size();) {
        size_t end = old->find('\n', at);
        if (end == old->npos)
          break;
        json j = json::parse(old->begin() + at, old->begin() + end, nullptr, false);
        if (j.is_object() && j.contains("step") && j["step"].is_number_unsigned() &&
            j["step"].get<uint64_t>() <= keepUntil)
          kept.append(*old, at, end + 1 - at);
        at = end + 1;
      }
    }
  R1RT_TRY(writeFileAtomic(path, kept));
  file = std::fopen(path.c_str(), "ab");
  return file ? Status::ok() : writeError(path);
}

StepLog::File::~File() {
  if (file)
    std::fclose(file);
}

Status StepLog::File::line(const json &j) {
  const std::string text = j.dump() + "\n";
  return std::fwrite(text.data(), 1, text.size(), file) == text.size() ? Status::ok() : writeError(path);
}

Status StepLog::File::flush() { return std::fflush(file) == 0 ? Status::ok() : writeError(path); }

Result<std::unique_ptr<StepLog>> StepLog::open(const std::string &dir, const std::string &stage,
                                               uint64_t keepUntil) {
  auto log = std::make_unique<StepLog>();
  log->stage = stage;
  R1RT_TRY(log->steps.open(dir + "/steps.jsonl", keepUntil));
  R1RT_TRY(log->measurements.open(dir + "/measured.jsonl", keepUntil));
  R1RT_ASSIGN(log->board, TensorBoardWriter::create(dir + "/tensorboard"));
  return log;
}

Status StepLog::step(const StepRecord &r) {
  json j = r.more.is_object() ? r.more : json::object();
  j.update({{"stage", stage},
            {"step", r.step},
            {"loss", r.loss},
            {"lr", r.lr},
            {"grad_norm", r.gradNorm},
            {"tokens_per_s", r.tokensPerSecond},
            {"ms", r.ms}});
  R1RT_TRY(steps.line(j));
  std::vector<std::pair<std::string, double>> values = {{"loss", r.loss},
                                                        {"lr", r.lr},
                                                        {"grad_norm", r.gradNorm},
                                                        {"tokens_per_s", r.tokensPerSecond}};
  if (r.more.is_object())
    for (auto &[k, v] : r.more.items())
      if (v.is_number())
        values.push_back({k, v.get<double>()});
  return board->scalars(r.step, values);
}

Status StepLog::measured(uint64_t step, const std::string &name, double value) {
  R1RT_TRY(measurements.line({{"stage", stage}, {"step", step}, {name, value}}));
  return board->scalars(step, {{name, value}});
}

Status StepLog::flush() {
  R1RT_TRY(steps.flush());
  R1RT_TRY(measurements.flush());
  return board->flush();
}

} // namespace r1rt
