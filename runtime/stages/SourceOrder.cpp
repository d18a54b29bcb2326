#include "runtime/stages/SourceOrder.h"
#include "runtime/stages/Likelihood.h"
#include "runtime/state/Philox.h"
#include <cassert>
#include <cmath>
#include <cstdio>

namespace r1rt {

using nlohmann::json;

const json *SourceOrder::find(const json &tree) {
  const json *t = &tree;
  while (t->is_object() && t->value("op", "") == "masked" && t->contains("in"))
    t = &t->at("in");
  return t->is_object() && t->value("op", "") == "interleave" ? t : nullptr;
}

Result<std::unique_ptr<SourceOrder>> SourceOrder::create(PackedPtr data, const json &node, uint64_t seed,
                                                         const std::string &stage) {
  std::unique_ptr<SourceOrder> o(new SourceOrder);
  const uint64_t key = drawKey(seed, stage);
  auto share = [&](const char *what, const std::string &name) {
    const json all = node.value(what, json::object());
    return all.contains(name) ? std::optional(all[name].get<double>()) : std::nullopt;
  };
  for (const PackedData::Source &s : data->sources) {
    o->domains.push_back({s.name, s.rows, share("weight", s.name), share("floor", s.name).value_or(0),
                          share("cap", s.name).value_or(1)});
    o->orders.emplace_back(s.rows, key, s.name);
    o->samples.emplace_back(key, s.name, s.rows, s.rows);
  }
  if (auto a = node.find("adapt"); a != node.end() && a->is_object())
    o->rule = a->at("row_fn").get<int64_t>();
  o->data = std::move(data);
  o->used.resize(o->domains.size());
  R1RT_ASSIGN(std::vector<double> shares, mixture::shares(o->domains, /*temper=*/0));
  R1RT_TRY(o->setShares(0, shares));
  return o;
}

std::vector<double> SourceOrder::shares() const {
  std::vector<double> x;
  for (uint64_t u : units)
    x.push_back(double(u) / whole);
  return x;
}

Status SourceOrder::setShares(uint64_t first, const std::vector<double> &shares) {
  // Whole numbers, so that a checkpoint holds them exactly.
  std::vector<mixture::Domain> wholes = domains;
  for (mixture::Domain &d : wholes)
    d.size = whole;
  R1RT_ASSIGN(mixture::Takes t, mixture::takes(wholes, shares, whole));
  advance(first); // what was not asked for since a checkpoint is taken all the same
  R1RT_ASSIGN(schedule, mixture::Interleave::create(t.units));
  units = std::move(t.units);
  usedAtStart = used;
  start = first;
  return Status::ok();
}

void SourceOrder::advance(uint64_t place) {
  for (; next < place; ++next)
    ++used[last = schedule->next()];
}

uint32_t SourceOrder::row(uint64_t place) {
  assert(place + 1 >= next && place >= start);
  advance(place + 1);
  return data->sources[last].first + orders[last].row(used[last] - 1);
}

json SourceOrder::state() const { return {{"start", start}, {"units", units}, {"used", usedAtStart}}; }

Status SourceOrder::restore(const json &state) {
  Status other = Status::error("the order of its rows is that of other sources");
  try {
    auto u = state.at("units").get<std::vector<uint64_t>>(), n = state.at("used").get<std::vector<uint64_t>>();
    if (u.size() != domains.size() || n.size() != domains.size())
      return other;
    R1RT_ASSIGN(schedule, mixture::Interleave::create(u));
    units = std::move(u);
    used = usedAtStart = std::move(n);
    start = next = state.at("start").get<uint64_t>();
    return Status::ok();
  } catch (const json::exception &) {
    return other;
  }
}

bool SourceOrder::beginsEpoch(uint64_t first, int64_t rows) const {
  auto lastEpoch = [&](uint64_t begin) { return (begin + uint64_t(rows) - 1) / data->rows(); };
  return first >= uint64_t(rows) && lastEpoch(first) > lastEpoch(first - uint64_t(rows));
}

Result<std::vector<double>> SourceOrder::losses(Executor &e, int64_t batch,
                                                const std::function<bool(double)> &goOn) const {
  std::vector<double> found;
  for (size_t i = 0; i < domains.size(); ++i) {
    const PackedData::Source &s = data->sources[i];
    auto l = measureRows(e, data, std::min<uint64_t>(s.rows, uint64_t(batches * batch)),
                         [&](uint64_t n) { return s.first + uint32_t(samples[i].rank(n)); }, goOn);
    if (!l)
      return l.status().withContext("the loss of source `" + s.name + "`");
    found.push_back(l->loss());
  }
  return found;
}

Result<std::vector<double>> SourceOrder::adapted(const std::vector<double> &losses, const DataContext &ctx) const {
  const std::vector<double> now = shares();
  json seen = json::object();
  for (size_t i = 0; i < domains.size(); ++i)
    seen[domains[i].name] = {{"share", now[i]}, {"loss", losses[i]}, {"rows", data->sources[i].rows}};
  if (size_t(rule) >= ctx.rowFns.size())
    return Status::error("the rule `adapt` is not there", ExitClass::program);
  auto r = ctx.rowFns[size_t(rule)](seen);
  if (!r)
    return r.status().withContext("`adapt` of " + seen.dump());
  auto wrong = [&](const std::string &what) {
    return Status::error("`adapt` gives a number of at least 0 for each source; " + what + ": of " + seen.dump() +
                             " it has made " + r->dump(),
                         ExitClass::program);
  };
  std::vector<double> asked;
  for (const mixture::Domain &d : domains) {
    const json *x = r->is_object() && r->contains(d.name) ? &r->at(d.name) : nullptr;
    double v = x && x->is_number() ? x->get<double>() : NAN;
    if (!x)
      return wrong("`" + d.name + "` has none");
    if (!(v >= 0) || std::isinf(v))
      return wrong("that of `" + d.name + "` is none");
    asked.push_back(v);
  }
  for (auto &[name, x] : r->items())
    if (!seen.contains(name))
      return wrong("`" + name + "` is no source");
  auto shares = mixture::rebalance(domains, asked);
  return shares ? shares : shares.status().withContext("`adapt`");
}

json SourceOrder::named(const std::vector<double> &values) const {
  json j = json::object();
  for (size_t i = 0; i < domains.size(); ++i)
    j[domains[i].name] = values[i];
  return j;
}

std::string SourceOrder::text() const {
  std::string s;
  for (size_t i = 0; i < domains.size(); ++i) {
    char share[32];
    std::snprintf(share, sizeof share, " %.1f %%", 100.0 * double(units[i]) / whole);
    s += (s.empty() ? "" : ", ") + domains[i].name + share;
  }
  return s;
}

} // namespace r1rt
