#include "runtime/corpus/Barrier.h"
#include "runtime/corpus/Engine.h"
#include "runtime/corpus/Pass.h"
#include "runtime/corpus/Plan.h"
#include "runtime/corpus/Reading.h"

namespace r1rt::corpus {

using nlohmann::json;

/// An error that names the pass which left nothing, if one did.
static Status keptSome(const Plan &plan, const std::vector<PassCount> &counts) {
  for (size_t i = 0; i < counts.size(); ++i)
    if (counts[i].in && !counts[i].out) {
      std::string part = plan.passes[i].value("part", "");
      return Status::error((plan.ops[i] == "split" ? "the part `" + part + "` of the split got"
                                                   : "`" + plan.ops[i] + "` kept") +
                           " none of the " + std::to_string(counts[i].in) + " rows");
    }
  return Status::ok();
}

static Status rowsOf(const json &tree, const Context &ctx, const std::function<Status(Row &&)> &take) {
  R1RT_ASSIGN(Plan plan, planCorpus(tree, ctx));
  std::vector<std::vector<Row>> waiting; // of each phase; one branch takes them
  std::vector<std::unique_ptr<Barrier>> barriers;
  Ledger ledger(plan.ops, plan.generation);
  for (size_t p = 0; p < plan.phases.size(); ++p) {
    const Phase &phase = plan.phases[p];
    bool last = p + 1 == plan.phases.size();
    if (!last && !isSmall(plan.passes[phase.barrier]))
      return Status::error("`" + plan.ops[phase.barrier] +
                               "` has to see all rows first, so it needs a stage of its own: stage s = … |> " +
                               plan.ops[phase.barrier] + "(…)",
                           ExitClass::program);
    std::vector<Row> out;
    for (const Branch &b : phase.branches) {
      std::vector<std::unique_ptr<Pass>> passes;
      for (size_t i : b.passes) {
        if (b.origin.kind == Origin::phase && i == b.passes.front()) {
          R1RT_ASSIGN(std::unique_ptr<Pass> pass, barriers[b.origin.from]->pass());
          passes.push_back(std::move(pass));
        } else {
          R1RT_ASSIGN(PassMaker maker, makerOf(plan.passes[i], ctx));
          R1RT_ASSIGN(std::unique_ptr<Pass> pass, maker());
          passes.push_back(std::move(pass));
        }
      }
      uint64_t first = 0;
      std::vector<Row> rows;
      auto flush = [&]() -> Status {
        uint64_t came = rows.size();
        for (size_t i = 0; i < passes.size(); ++i) {
          nameDomain(b, i, rows);
          ledger.entered(b.passes[i], rows.size());
          R1RT_TRY(passes[i]->apply(rows, first, b.passes[i], ledger));
          ledger.left(b.passes[i], rows.size());
        }
        nameDomain(b, passes.size(), rows);
        ledger.forget();
        first += came;
        for (Row &row : rows) {
          if (last)
            R1RT_TRY(take(std::move(row)));
          else
            out.push_back(std::move(row));
        }
        rows.clear();
        return Status::ok();
      };
      if (b.origin.kind == Origin::phase) {
        for (Row &row : waiting[b.origin.from]) {
          rows.push_back(std::move(row));
          if (rows.size() >= batchRows)
            R1RT_TRY(flush());
        }
        R1RT_TRY(flush());
        waiting[b.origin.from] = {};
        continue;
      }
      R1RT_TRY(eachSourceRow(b, ctx, [&](Row &&row) -> Status {
        rows.push_back(std::move(row));
        return rows.size() >= batchRows ? flush() : Status::ok();
      }));
      R1RT_TRY(flush());
    }
    if (!last) {
      R1RT_ASSIGN(std::unique_ptr<Barrier> barrier, barrierOf(plan.passes[phase.barrier]));
      Waiting w;
      w.rows = out.size();
      w.chunks.resize(1);
      w.chunks[0].rows = out.size();
      for (const Row &row : out)
        w.chunks[0].domains[row.domain].bytes += row.text.size();
      w.meet = [](const Status &st) { return st; };
      R1RT_TRY(barrier->decide(w));
      barriers.push_back(std::move(barrier));
    }
    waiting.push_back(std::move(out));
  }
  return keptSome(plan, ledger.passes());
}

Status eachRow(const json &tree, const Context &ctx, const std::function<Status(Row &&)> &take) {
  try {
    return rowsOf(tree, ctx, take);
  } catch (const json::exception &e) { // an argument of another type than described
    return badTree(e.what());
  }
}

} // namespace r1rt::corpus
