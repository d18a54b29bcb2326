#include "runtime/stages/Training.h"
#include <algorithm>

namespace r1rt {

using nlohmann::json;

/// What went wrong on the device, and what is left of the training.
Status Training::failedIn(uint64_t step, const Status &st) const {
  if (st)
    return st;
  std::string kept = lastSaved ? "\nhelp: the checkpoint of step " + std::to_string(lastSaved) +
                                     " is kept; the same command goes on from there"
                               : "";
  return Status::error("step " + std::to_string(step) + ": " + st.message() + kept, st.getExitClass());
}

double Training::progressOf(uint64_t step) const {
  return std::min(budget.steps ? double(step) / double(budget.steps) : at.seconds / budget.seconds, 1.0);
}

/// The rows of a step, into the inputs of its program.
Training::Batch Training::fill(uint64_t step) {
  Batch b;
  b.step = step;
  b.first = (step - 1) * uint64_t(steps->batch());
  BatchOrder::Batch at = order ? order->batch(step - 1) : BatchOrder::Batch{0, b.first};
  b.bucket = at.bucket;
  for (uint64_t i = 0; i < uint64_t(steps->batch()); ++i)
    b.rows.push_back(sources ? sources->row(at.first + i) : order->row(at.bucket, at.first + i));
  putRows(b);
  return b;
}

void Training::putRows(Batch &b) {
  b.targets = steps->batcher(b.bucket).fill(exec->arena(), [&](int64_t i) { return b.rows[size_t(i)]; }, b.first);
}

void Training::putScalars(const r1_program &p, uint64_t step, double lr, double limit) {
  for (uint32_t i = 0; i < p.n_scalars; ++i) {
    std::string_view name = p.scalars[i].name;
    double v = name == "lr"           ? lr
               : name == "t"          ? double(at.taken + 1)
               : name == "progress"   ? progressOf(step)
               : name == "seed"       ? double(seed % (1u << 24)) // exact in f32
               : name == "limit"      ? limit
               : name == "loss_scale" ? scale.value()
                                      : clip;
    *reinterpret_cast<float *>(exec->at(p.scalars[i])) = float(v);
  }
}

/// Runs the program once. Its inputs and scalars are in place.
Result<Training::Outcome> Training::compute(const Batch &b, uint64_t step, bool fillNext) {
  const r1_program &p = steps->program(b.bucket);
  R1RT_TRY(failedIn(step, exec->start(p)));
  if (fillNext)
    next = fill(step + 1);
  R1RT_TRY(failedIn(step, exec->finish()));
  Outcome o;
  for (uint32_t i = 0; i < p.n_outputs; ++i) {
    const r1_field &f = p.outputs[i];
    if (fieldElements(f) != 1 || (f.dtype != R1_F32 && f.dtype != R1_F64))
      continue;
    o.bits.append(exec->at(f), fieldBytes(f));
    double value = f.dtype == R1_F64 ? *reinterpret_cast<double *>(exec->at(f))
                                     : double(*reinterpret_cast<float *>(exec->at(f)));
    if (std::string_view name = f.name; name == "loss")
      o.loss = scaled ? value / scale.value() : value; // a power of two: exact
    else if (name == "grad_norm")
      o.gradNorm = value;
    else
      o.more[f.name] = value;
  }
  return o;
}

/// The rule that the program itself follows: `train_guard` in stdlib/optim.r1.
Training::Verdict Training::judge(const Outcome &o, double limit) const {
  if (!std::isfinite(o.loss))
    return Verdict::notFinite;
  if (!std::isfinite(o.gradNorm))
    return scaled ? Verdict::overflow : Verdict::notFinite;
  return float(o.loss) <= float(limit) ? Verdict::counts : Verdict::spike;
}

/// The beginning of a row's text.
std::string Training::textOf(uint32_t row, size_t most) const {
  std::vector<int32_t> ids;
  for (uint32_t p = data->firstPiece[row]; p < data->firstPiece[row + 1] && ids.size() < most; ++p)
    for (uint32_t i = 0; i < data->pieces[p].length && ids.size() < most; ++i)
      ids.push_back(data->ids[data->pieces[p].begin + i]);
  return data->tokenizer->decode(ids);
}

/// A step whose loss or gradient is not finite, or whose loss is a spike. The program has left everything as it
/// was, so it can be computed again: if that gives other bits, the machine is to blame, else the data or
/// the optimiser, and the step is left out.
Status Training::leaveOut(const Batch &b, const Outcome &o, Verdict v, double lr, double limit) {
  char loss[64], rate[32];
  std::snprintf(loss, sizeof loss, "%.6g, gradient %.6g", o.loss, o.gradNorm);
  std::snprintf(rate, sizeof rate, "%.3g", lr);
  std::string what = "the loss of step " + std::to_string(b.step) + " is ";
  if (v == Verdict::spike) {
    char text[96];
    std::snprintf(text, sizeof text, "a spike, %.6g above %.6g", o.loss, limit);
    what += text;
  } else {
    what += std::isfinite(o.loss) ? std::string("finite and its gradient is not") : std::string("not finite");
  }
  const std::string advice = "; the learning rate was " + std::string(rate) +
                             ". A lower one, a warm-up or `clip` may help";
  if (!skips)
    return Status::error(what + advice);
  Batch again = b;
  putRows(again);
  putScalars(steps->program(b.bucket), b.step, lr, limit);
  R1RT_ASSIGN(Outcome second, compute(again, b.step, false));
  next = {};
  if (second.bits != o.bits) {
    char other[64];
    std::snprintf(other, sizeof other, "%.6g, gradient %.6g", second.loss, second.gradNorm);
    return failedIn(b.step, Status::error("computed twice from the same weights and rows, the loss was " +
                                          std::string(loss) + " and then " + other +
                                          ": the machine does not compute reliably; look at its memory, clocks "
                                          "and temperatures before going on"));
  }
  json rows = json::array();
  std::string list;
  for (size_t i = 0; i < b.rows.size(); ++i) {
    rows.push_back({{"row", b.rows[i]}, {"text", textOf(b.rows[i], 32)}});
    if (i < 8)
      list += (i ? ", " : "") + std::to_string(b.rows[i]);
  }
  if (b.rows.size() > 8)
    list += ", …";
  const char *reason = v == Verdict::spike ? "spike" : std::isfinite(o.loss) ? "gradient" : "loss";
  ctx.report.event("skipped", {{"stage", stage}, {"step", b.step}, {"reason", reason},
                               {"loss", o.loss}, {"grad_norm", o.gradNorm}, {"rows", rows}});
  if (++at.skippedInRow > mostSkips)
    return failedIn(b.step, Status::error(what + ", and so it was " + std::to_string(mostSkips) +
                                          " steps before, all of which were left out" + advice +
                                          "; or the rows are to blame: " + list));
  ctx.report.warning(stage, what + ", and so it is when computed again; it is left out, with its rows " + list);
  ++at.skipped;
  return Status::ok();
}

Status Training::takeStep(StepLog *log) {
  const auto begin = StepClock::now();
  StepRecord r;
  r.step = at.step + 1;
  Batch b = next.step == r.step ? std::move(next) : fill(r.step);
  next = {};
  r.lr = job.lr ? job.lr(progressOf(r.step)) : 0;
  const double limit = spikes.limit();
  putScalars(steps->program(b.bucket), r.step, r.lr, limit);
  // Places of interleaved rows are asked for when they are taken.
  R1RT_ASSIGN(Outcome o, compute(b, r.step, exec->ahead() && order && r.step < budget.steps));
  if (job.clocks)
    *job.clocks = exec->kernelClocks();
  r.loss = o.loss;
  r.gradNorm = o.gradNorm;
  r.more = o.more;
  for (size_t i = 0; sources && sources->adapts() && i < data->sources.size(); ++i)
    r.more["share." + data->sources[i].name] = sources->shares()[i]; // a curve for each source
  if (scaled)
    r.more["loss_scale"] = scale.value();
  double took = secondsSince(std::max(begin, lastFinish));
  lastFinish = StepClock::now();
  r.ms = took * 1000;
  r.tokensPerSecond = double(b.targets) / std::max(took, 1e-9);
  Verdict v = judge(o, limit);
  if (v == Verdict::counts) {
    at.skippedInRow = 0;
    ++at.taken;
    lastLoss = r.loss;
    spikes.add(r.loss);
    if (scaled)
      scale.good();
  } else {
    r.more["skipped"] = 1;
    R1RT_TRY(v == Verdict::overflow ? failedIn(r.step, scale.overflowed()) : leaveOut(b, o, v, r.lr, limit));
  }
  at.step = r.step;
  at.targets += b.targets;
  if (log)
    R1RT_TRY(log->step(r));
  ctx.report.step(stage, r, progressOf(at.step), budget.steps);
  return Status::ok();
}

} // namespace r1rt
