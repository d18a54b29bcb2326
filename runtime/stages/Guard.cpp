#include "runtime/stages/Guard.h"
#include <algorithm>
#include <cmath>
#include <vector>

namespace r1rt {

using nlohmann::json;

static Status notOurs(const char *what) {
  return Status::error(std::string("the checkpoint's ") + what + " is not what this stage writes");
}

static double medianOf(std::vector<double> v) {
  auto middle = v.begin() + std::ptrdiff_t(v.size() / 2);
  std::nth_element(v.begin(), middle, v.end());
  if (v.size() % 2)
    return *middle;
  return 0.5 * (*middle + *std::max_element(v.begin(), middle));
}

double SpikeLimit::limit() const {
  if (z <= 0 || losses.size() < window)
    return INFINITY;
  std::vector<double> v(losses.begin(), losses.end());
  double median = medianOf(v);
  for (double &x : v)
    x = std::fabs(x - median);
  return median + z * std::max(1.4826 * medianOf(v), 0.01 * std::fabs(median));
}

void SpikeLimit::add(double loss) {
  if (z <= 0)
    return;
  losses.push_back(loss);
  if (losses.size() > window)
    losses.pop_front();
}

Status SpikeLimit::restore(const json &state) {
  losses.clear();
  if (!state.is_array() || state.size() > window)
    return notOurs("window of losses");
  for (const json &x : state) {
    if (!x.is_number())
      return notOurs("window of losses");
    losses.push_back(x.get<double>());
  }
  return Status::ok();
}

void LossScale::good() {
  if (++goodSteps < growEvery)
    return;
  goodSteps = 0;
  scale = std::min(2 * scale, most);
}

Status LossScale::overflowed() {
  goodSteps = 0;
  scale /= 2;
  if (scale >= least)
    return Status::ok();
  return Status::error("gradients are not finite even with the loss scaled by " + std::to_string(2 * scale) +
                       "; help: precision = mixed(bf16), which has the range of f32, or a lower learning rate");
}

Status LossScale::restore(const json &state) {
  double s = state.is_object() ? state.value("scale", 0.0) : 0;
  if (!(s >= least && s <= most))
    return notOurs("loss scale");
  scale = s;
  goodSteps = state.value("good", 0u);
  return Status::ok();
}

bool BestSoFar::take(uint64_t at, double v, double minDelta) {
  if (!std::isfinite(v) || (step && v >= value)) {
    ++worse;
    return false;
  }
  if (!step || v < reference - minDelta)
    reference = v, worse = 0;
  else
    ++worse;
  step = at, value = v;
  return true;
}

Status BestSoFar::restore(const json &state) {
  if (!state.is_object() || !state.contains("step") || !state["step"].is_number_unsigned())
    return notOurs("best validation");
  step = state["step"].get<uint64_t>();
  value = state.value("value", 0.0);
  reference = state.value("reference", value);
  worse = state.value("worse", 0u);
  return Status::ok();
}

} // namespace r1rt
