#include "runtime/generate/Sampling.h"
#include <algorithm>
#include <cmath>
#include <string>

namespace r1rt::generate {

Status SampleOptions::check() const {
  auto wrong = [](const std::string &what, double is) {
    std::string text = std::to_string(is);
    return Status::error(what + ", this is " + text, ExitClass::program);
  };
  if (!(temperature >= 0 && std::isfinite(temperature)))
    return wrong("`temperature` is a number from 0 on", temperature);
  if (topK < 0)
    return wrong("`top_k` is a number of ids, 0 for all", double(topK));
  if (!(topP > 0 && topP <= 1))
    return wrong("`top_p` is more than 0 and at most 1", topP);
  if (!(minP >= 0 && minP <= 1))
    return wrong("`min_p` is from 0 to 1", minP);
  if (!(repetition > 0 && std::isfinite(repetition)))
    return wrong("`repetition` is more than 0", repetition);
  return Status::ok();
}

std::span<const int32_t> Sampler::candidates(std::span<const float> logits) {
  ids.clear();
  p.clear();
  size_t best = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (std::isnan(logits[i]))
      return {};
    if (logits[i] > logits[best])
      best = i;
  }
  if (logits.empty() || !std::isfinite(logits[best]))
    return {};
  if (o.temperature == 0) {
    ids.push_back(int32_t(best));
    p.push_back(1);
    return ids;
  }
  const double top = logits[best];
  auto weight = [&](float l) { return std::exp((double(l) - top) / o.temperature); };
  auto more = [](const std::pair<float, int32_t> &a, const std::pair<float, int32_t> &b) {
    return a.first != b.first ? a.first > b.first : a.second < b.second;
  };
  const bool k = o.topK > 0 && size_t(o.topK) < logits.size();
  if (!k && o.topP >= 1) { // in order of ids already
    for (size_t i = 0; i < logits.size(); ++i)
      if (double w = weight(logits[i]); w > 0 && w >= o.minP) {
        ids.push_back(int32_t(i));
        p.push_back(w);
      }
    return ids;
  }
  order.clear();
  for (size_t i = 0; i < logits.size(); ++i)
    order.emplace_back(logits[i], int32_t(i));
  if (k) {
    std::nth_element(order.begin(), order.begin() + o.topK, order.end(), more);
    order.resize(size_t(o.topK));
  }
  if (o.topP < 1) {
    double sum = 0, reached = 0;
    std::sort(order.begin(), order.end(), [](auto &a, auto &b) { return a.second < b.second; });
    for (auto &[l, id] : order)
      sum += weight(l);
    // The most likely ones are few as a rule: only as many are sorted as are looked at.
    size_t n = 0, sorted = 0;
    for (; n < order.size() && (n == 0 || reached < o.topP * sum); ++n) {
      if (n == sorted) {
        size_t next = std::min(order.size(), std::max<size_t>(64, 4 * sorted));
        auto from = order.begin() + ptrdiff_t(sorted), to = order.begin() + ptrdiff_t(next);
        std::partial_sort(from, to, order.end(), more);
        sorted = next;
      }
      reached += weight(order[n].first);
    }
    order.resize(n);
  }
  std::sort(order.begin(), order.end(), [](auto &a, auto &b) { return a.second < b.second; });
  for (auto &[l, id] : order)
    if (double w = weight(l); w > 0 && w >= o.minP) {
      ids.push_back(id);
      p.push_back(w);
    }
  return ids;
}

int32_t Sampler::choose(std::span<const float> logits, double u) {
  candidates(logits);
  if (ids.empty())
    return -1;
  double sum = 0, reached = 0;
  for (double w : p)
    sum += w;
  for (size_t i = 0; i + 1 < ids.size(); ++i)
    if ((reached += p[i]) > u * sum)
      return ids[i];
  return ids.back();
}

void penalise(std::span<float> logits, std::span<const int32_t> seen, double penalty) {
  std::vector<int32_t> once(seen.begin(), seen.end());
  std::sort(once.begin(), once.end());
  once.erase(std::unique(once.begin(), once.end()), once.end());
  for (int32_t id : once) {
    float &l = logits[size_t(id)];
    l = float(l > 0 ? double(l) / penalty : double(l) * penalty);
  }
}

} // namespace r1rt::generate
