#include "compiler/Budget.h"
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <vector>

namespace r1 {

namespace {

using Measure = std::function<std::optional<Measured>(const Cut &)>;

/// Rounded up, so that what it advises suffices.
std::string amountOf(uint64_t bytes) {
  bool giga = bytes >= 1'000'000'000, mega = bytes >= 1'000'000;
  uint64_t hundredth = giga ? 10'000'000 : mega ? 10'000 : 10;
  char buffer[32];
  snprintf(buffer, sizeof buffer, "%.2f %s", double((bytes + hundredth - 1) / hundredth) / 100,
           giga ? "GB" : mega ? "MB" : "KB");
  return buffer;
}

class Search {
public:
  Search(const BudgetRequest &request, const Measure &measure) : request(request), plan(measure) {}

  std::optional<BudgetAnswer> run() {
    const int64_t first = request.micro ? request.micro : 1;
    const Measured *whole = measure({first, 0});
    if (!whole)
      return std::nullopt;
    const int64_t all = whole->blocks;
    const Measured *plain = fewest(request.remat == Remat::always ? all : 0, first, request.rows);
    if (!plain)
      return std::nullopt;
    if (request.remat != Remat::automatic || !all)
      return answer(*whole, *plain);
    // Many micro-batches and as little as possible computed again, or fewer of them and more.
    const Measured *many = fits(*plain) ? plain : leastAgain(plain->cut.micro, all);
    if (!many)
      return std::nullopt;
    if (fits(*many) && !dearer(*plain, *whole))
      return answer(*whole, *many);
    const Measured *few = fewest(all, first, plain->cut.micro);
    if (few && fits(*few))
      few = leastAgain(few->cut.micro, all);
    if (!few)
      return std::nullopt;
    return answer(*whole, fits(*few) && (!fits(*many) || dearer(*many, *few)) ? *few : *many);
  }

private:
  bool fits(const Measured &m) const { return !request.limit || m.needed() <= request.limit; }

  /// The price takes each byte for one that comes from memory; the weights of small models stay in caches. So what
  /// has more micro-batches has to be clearly dearer.
  static bool dearer(const Measured &many, const Measured &few) { return many.price() > 1.1 * few.price(); }

  /// `chosen`, or what needs the least where that does not fit.
  BudgetAnswer answer(const Measured &whole, const Measured &chosen) const {
    BudgetAnswer a{chosen, whole, fits(chosen)};
    if (!a.fits)
      for (auto &[cut, m] : known)
        if (m.needed() < a.chosen.needed())
          a.chosen = m;
    return a;
  }

  /// Each cut is planned once.
  const Measured *measure(const Cut &cut) {
    auto it = known.find(cut);
    if (it == known.end()) {
      auto m = plan(cut);
      if (!m)
        return nullptr;
      it = known.emplace(cut, *m).first;
    }
    return &it->second;
  }

  /// The fewest micro-batches from `least` to `most` that fit with `again` blocks, by estimates from what does not
  /// fit; `most` if none is found.
  const Measured *fewest(int64_t again, int64_t least, int64_t most) {
    int64_t micro = least;
    for (int tries = 1;; ++tries) {
      const Measured *m = measure({micro, again});
      if (!m || fits(*m) || request.micro || micro >= most)
        return m;
      uint64_t room = request.limit > m->fixed() ? request.limit - m->fixed() : 0;
      // The workspace may shrink with the rows as well: it gets half of the room at most.
      room -= std::min(m->workspace, room / 2);
      int64_t next = room ? int64_t(m->activations * uint64_t(micro) / room) + 1 : most;
      next = std::min(std::max(next, micro + 1), most);
      while (next < most && request.rows % next)
        ++next;
      micro = tries < 3 ? next : most;
    }
  }

  /// The fewest blocks that make `micro` micro-batches fit, or all: what is saved grows with them about evenly.
  const Measured *leastAgain(int64_t micro, int64_t all) {
    const Measured *low = measure({micro, 0}), *high = measure({micro, all});
    for (int tries = 0; low && high && tries < 4; ++tries) {
      if (fits(*low))
        return low;
      int64_t between = high->cut.again - low->cut.again;
      if (!fits(*high) || between <= 1)
        return high;
      double share = double(low->needed() - request.limit) / double(std::max<uint64_t>(low->needed() - high->needed(), 1));
      int64_t guess = low->cut.again + std::clamp<int64_t>(int64_t(std::ceil(share * double(between))), 1, between - 1);
      const Measured *m = measure({micro, guess});
      if (!m)
        return nullptr;
      uint64_t saved = low->needed() - std::min(m->needed(), low->needed());
      if (fits(*m) && m->needed() + saved / uint64_t(guess - low->cut.again) > request.limit)
        return m; // with one less it would not
      (fits(*m) ? high : low) = m;
    }
    return low ? high : nullptr;
  }

  const BudgetRequest &request;
  const Measure &plan;
  std::map<Cut, Measured> known;
};

std::string count(int64_t n, const char *what) { return std::to_string(n) + " " + what + (n == 1 ? "" : "s"); }

} // namespace

std::optional<BudgetAnswer> searchBudget(const BudgetRequest &request, const Measure &measure) {
  return Search(request, measure).run();
}

std::string budgetText(const BudgetAnswer &answer, int64_t rows, uint64_t limit) {
  const Measured &m = answer.chosen, &whole = answer.whole;
  if (m.cut.micro == 1 && !m.cut.again)
    return "";
  std::string text = "memory: " + count(rows, "row") + " x " +
                     (m.cut.micro == 1 ? "1 micro-batch" : std::to_string(m.cut.micro) + " micro-batches");
  if (m.cut.again) {
    double more = whole.flops ? 100 * (double(m.flops) / double(whole.flops) - 1) : 0;
    char percent[32];
    snprintf(percent, sizeof percent, "%.0f", more);
    text += ", " + std::to_string(std::min(m.cut.again, m.blocks)) + " of " + count(m.blocks, "block") + " computed again (+" + percent +
            " % arithmetic)";
  }
  text += ": ";
  if (!(whole.cut == m.cut))
    text += amountOf(whole.needed()) + " -> ";
  return text + amountOf(m.needed()) + (limit ? " of " + amountOf(limit) : "");
}

void explainTooLarge(Diag &d, const BudgetAnswer &answer, const BudgetRequest &request, uint64_t parameters,
                     uint64_t caches, uint64_t inputs) {
  const Measured &m = answer.chosen;
  d.title += "does not fit: " + amountOf(m.needed()) + " needed, " + amountOf(request.limit) + " allowed";
  const std::string memory = "memory = " + amountOf(m.needed());
  const std::string held = (request.trains ? "parameters, gradients, optimiser " : "parameters ") + amountOf(parameters) +
                           (caches ? "      caches " + amountOf(caches) : "") + "      ";
  const std::string rest = held + "inputs " + amountOf(inputs) + "      activations " + amountOf(m.activations) +
                           "      workspace " + amountOf(m.workspace);
  if (request.whole) {
    d.note(rest);
    d.help(memory + (request.whole == 1 || parameters >= request.limit
                        ? ", or a smaller model"
                        : ", or a smaller `batch` than " + std::to_string(request.whole) + ": all but the parameters shrinks with it"));
    return;
  }
  std::string how = "with " + std::to_string(m.cut.micro) + " of at most " + std::to_string(request.rows) + " micro-batches";
  if (m.blocks)
    how += ", " + std::to_string(std::min(m.cut.again, m.blocks)) + " of " + count(m.blocks, "block") + " computed again" +
           (request.remat == Remat::never ? " (remat = \"never\")" : "");
  d.note(how);
  d.note(rest);
  if (m.fixed() >= request.limit)
    d.help("what does not shrink with the batch alone needs " + amountOf(m.fixed()) +
           ": a smaller model, " +
           (request.trains ? "an optimiser with less state, " : "") + "or " + memory);
  else if (request.remat == Remat::never && m.blocks)
    d.help(memory + ", or remat = \"auto\", which may compute blocks again");
  else
    d.help(memory + (request.micro ? ", or more micro-batches than --micro says" : ", or a shorter sequence"));
}

} // namespace r1
