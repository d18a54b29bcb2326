#include "runtime/corpus/Barrier.h"
#include "runtime/corpus/Dedup.h"
#include "runtime/corpus/Mix.h"
#include "runtime/state/Draws.h"
#include "runtime/state/Philox.h"
#include <algorithm>
#include <cmath>

namespace r1rt::corpus {

using nlohmann::json;

namespace {

class Sample final : public Barrier {
public:
  Sample(uint64_t n, uint64_t seed) : n(n), seed(seed) {}

  Result<std::unique_ptr<Observer>> observe(const std::string &) override {
    return std::unique_ptr<Observer>();
  }

  Status decide(const Waiting &w) override {
    if (n == 0 || n > w.rows)
      return Status::error("sample asks for " + std::to_string(n) + " rows; there are " +
                           std::to_string(w.rows));
    std::vector<uint32_t> order = permutation(drawKey(seed, "sample"), uint32_t(w.rows));
    drawn.assign(w.rows, false);
    for (uint64_t i = 0; i < n; ++i)
      drawn[order[i]] = true;
    return Status::ok();
  }

  Result<std::unique_ptr<Pass>> pass() override {
    struct Draw final : RowPass {
      const Sample &s;
      explicit Draw(const Sample &s) : s(s) {}
      Result<Fate> look(Row &, uint64_t number, std::vector<Added> &) override {
        return s.drawn[number] ? Fate{} : Fate{Fate::drop, "not_drawn", ""};
      }
    };
    return std::unique_ptr<Pass>(new Draw(*this));
  }

private:
  uint64_t n, seed;
  std::vector<bool> drawn;
};

/// Cuts the whole text, all rows one after the other, by its bytes.
class CutInOrder final : public Barrier {
public:
  explicit CutInOrder(SplitRange range) : range(range) {}

  Result<std::unique_ptr<Observer>> observe(const std::string &) override {
    return std::unique_ptr<Observer>();
  }

  Status decide(const Waiting &w) override {
    uint64_t total = 0;
    for (const ChunkFile &c : w.chunks) {
      begins[c.first] = total;
      for (auto &[name, d] : c.domains)
        total += d.bytes;
    }
    auto cut = [&](double f) { return uint64_t(std::floor(f * double(total) + 0.5)); };
    from = cut(range.from);
    to = range.to >= 1 ? total : cut(range.to);
    return Status::ok();
  }

  Result<std::unique_ptr<Pass>> pass() override {
    struct Cut final : RowPass {
      const CutInOrder &s;
      uint64_t at = 0; // bytes before the row: rows of a chunk come in order
      explicit Cut(const CutInOrder &s) : s(s) {}
      Result<Fate> look(Row &row, uint64_t number, std::vector<Added> &) override {
        if (auto it = s.begins.find(number); it != s.begins.end())
          at = it->second;
        auto inRow = [&](uint64_t x) {
          return x <= at ? size_t(0)
                         : utf8Boundary(row.text, size_t(std::min<uint64_t>(x - at, row.text.size())));
        };
        size_t b = inRow(s.from), e = inRow(s.to), size = row.text.size();
        at += size;
        if (e <= b)
          return Fate{Fate::drop, "other_part", ""};
        if (e - b == size)
          return Fate{};
        R1RT_TRY(messagesStay(row, "split(…, contiguous = true)"));
        row.text = row.text.substr(b, e - b);
        return Fate{Fate::change, "cut",
                    "{\"from\":" + std::to_string(b) + ",\"to\":" + std::to_string(e) + "}"};
      }
    };
    return std::unique_ptr<Pass>(new Cut(*this));
  }

private:
  SplitRange range;
  std::map<uint64_t, uint64_t> begins; // first row of a chunk -> bytes before it
  uint64_t from = 0, to = 0;
};

} // namespace

bool isBarrier(const json &node) {
  std::string op = node.value("op", "");
  return op == "dedup" || (op == "mix" && !takesAll(node)) || op == "sample" || op == "repeats" ||
         (op == "split" && node.value("contiguous", false));
}

bool isSmall(const json &node) {
  std::string op = node.value("op", "");
  return op == "sample" || op == "split";
}

Result<std::unique_ptr<Barrier>> barrierOf(const json &t) {
  std::string op = t.value("op", "");
  if (op == "mix")
    return mixBarrier(t);
  if (op == "sample")
    return std::unique_ptr<Barrier>(new Sample(t.value("n", uint64_t(0)), t.value("seed", uint64_t(0))));
  if (op == "dedup")
    return dedupBarrier(t);
  if (op == "repeats")
    return repeatsBarrier(t);
  if (op == "split") {
    R1RT_ASSIGN(SplitRange range, splitRange(t));
    return std::unique_ptr<Barrier>(new CutInOrder(range));
  }
  return Status::error("the data pass `" + op + "` is not supported yet", ExitClass::program);
}

} // namespace r1rt::corpus
