#include "runtime/data/Corpus.h"
#include "runtime/data/Readers.h"
#include "runtime/state/Draws.h"
#include "runtime/state/Philox.h"
#include <algorithm>
#include <cmath>
#include <set>
#include <xxhash.h>

namespace r1rt {

using nlohmann::json;

json Row::toJson() const {
  json j = more.is_object() ? more : json::object();
  j["text"] = text;
  return j;
}

uint64_t Corpus::textBytes() const {
  uint64_t n = 0;
  for (const Row &r : rows)
    n += r.text.size();
  return n;
}

static Status badSpec(const std::string &what) {
  return Status::error("the description of the data is not right: " + what, ExitClass::program);
}

static Result<const RowFn *> rowFn(const json &j, const DataContext &ctx) {
  auto it = j.is_object() ? j.find("row_fn") : j.end();
  if (!j.is_object() || it == j.end() || !it->is_number_integer() ||
      it->get<uint64_t>() >= ctx.rowFns.size())
    return badSpec("{\"row_fn\": i} does not name a function");
  return &ctx.rowFns[it->get<uint64_t>()];
}

static std::string rowName(size_t i) { return "row " + std::to_string(i); }

static Result<CorpusPtr> split(const json &t, const Corpus &in, DataContext &ctx) {
  std::string part = t.value("part", "");
  uint64_t seed = t.value("seed", uint64_t(0));
  // The part is the interval [from, to) of the whole, in the order train, valid, test.
  double from = 0, to = 0, sum = 0;
  bool found = false;
  for (const char *name : {"train", "valid", "test"}) {
    double f = t.value("fractions", json::object()).value(name, 0.0);
    if (!(f >= 0 && f <= 1))
      return Status::error("the part `" + std::string(name) + "` of a split is " +
                               std::to_string(f) + "; it must lie in 0..1",
                           ExitClass::program);
    if (part == name) {
      found = f > 0;
      from = sum;
      to = sum + f;
    }
    sum += f;
  }
  if (sum > 1 + 1e-9)
    return Status::error("the parts of a split add up to " + std::to_string(100 * sum) +
                             " %, more than 100 %",
                         ExitClass::program);
  if (!found)
    return Status::error("the split has no part `" + part + "`", ExitClass::program);
  if (to > 1 - 1e-9)
    to = 1;

  auto out = std::make_shared<Corpus>();
  if (t.value("contiguous", false)) {
    uint64_t total = in.textBytes(), at = 0;
    auto cut = [&](double f) { return uint64_t(std::floor(f * double(total) + 0.5)); };
    uint64_t lo = cut(from), hi = to >= 1 ? total : cut(to);
    for (const Row &r : in.rows) {
      auto inRow = [&](uint64_t x) {
        return x <= at ? size_t(0)
                       : utf8Boundary(r.text, size_t(std::min<uint64_t>(x - at, r.text.size())));
      };
      size_t b = inRow(lo), e = inRow(hi);
      at += r.text.size();
      if (e > b)
        out->rows.push_back({r.text.substr(b, e - b), r.more});
    }
  } else {
    const RowFn *by = nullptr;
    if (t.contains("by") && !t["by"].is_null()) {
      R1RT_ASSIGN(by, rowFn(t["by"], ctx));
    }
    for (size_t i = 0; i < in.rows.size(); ++i) {
      const Row &r = in.rows[i];
      std::string key;
      if (by) {
        auto k = (*by)(r.toJson());
        if (!k)
          return k.status().withContext(rowName(i));
        key = k->dump(-1, ' ', false, json::error_handler_t::replace);
      } else {
        key = r.more.is_null() ? r.text
                               : r.toJson().dump(-1, ' ', false, json::error_handler_t::replace);
      }
      double u = double(XXH64(key.data(), key.size(), seed) >> 11) * 0x1p-53;
      if (u >= from && u < to)
        out->rows.push_back(r);
    }
  }
  if (out->rows.empty())
    return Status::error("the part `" + part + "` of the split got none of the " +
                         std::to_string(in.rows.size()) + " rows");
  return CorpusPtr(out);
}

static Result<CorpusPtr> apply(const json &t, const std::string &op, const Corpus &in,
                               DataContext &ctx) {
  if (op == "split")
    return split(t, in, ctx);
  auto out = std::make_shared<Corpus>();
  if (op == "sample") {
    uint64_t n = t.value("n", uint64_t(0));
    if (n == 0 || n > in.rows.size())
      return Status::error("sample asks for " + std::to_string(n) + " rows; there are " +
                           std::to_string(in.rows.size()));
    std::vector<uint32_t> p =
        permutation(drawKey(t.value("seed", uint64_t(0)), "sample"), uint32_t(in.rows.size()));
    p.resize(n);
    std::sort(p.begin(), p.end()); // in the order of the file
    for (uint32_t i : p)
      out->rows.push_back(in.rows[i]);
    return CorpusPtr(out);
  }
  if (op == "filter") {
    R1RT_ASSIGN(const RowFn *keep, rowFn(t.value("keep", json()), ctx));
    for (size_t i = 0; i < in.rows.size(); ++i) {
      auto v = (*keep)(in.rows[i].toJson());
      if (!v)
        return v.status().withContext(rowName(i));
      if (!v->is_boolean())
        return Status::error(rowName(i) + ": `keep` did not yield a bool");
      if (v->get<bool>())
        out->rows.push_back(in.rows[i]);
    }
    if (out->rows.empty())
      return Status::error("filter kept none of the " + std::to_string(in.rows.size()) + " rows");
    return CorpusPtr(out);
  }
  if (op == "map_rows") {
    R1RT_ASSIGN(const RowFn *to, rowFn(t.value("to", json()), ctx));
    for (size_t i = 0; i < in.rows.size(); ++i) {
      auto v = (*to)(in.rows[i].toJson());
      if (!v)
        return v.status().withContext(rowName(i));
      if (!v->is_object())
        return Status::error(rowName(i) + ": `to` did not yield a record");
      Row row;
      if (auto it = v->find("text"); it != v->end() && it->is_string()) {
        row.text = it->get<std::string>();
        v->erase(it);
      }
      if (!v->empty())
        row.more = std::move(*v);
      out->rows.push_back(std::move(row));
    }
    return CorpusPtr(out);
  }
  if (op == "pack")
    return badSpec("rows of text are needed here, but `pack` makes rows of tokens");
  return Status::error("the data pass `" + op + "` is not supported yet", ExitClass::program);
}

static Result<CorpusPtr> open(const json &t, DataContext &ctx) {
  if (!t.is_object() || !t.contains("op") || !t["op"].is_string())
    return badSpec("a node has no \"op\"");
  std::string key = t.dump(-1, ' ', false, json::error_handler_t::replace);
  if (auto it = ctx.opened.find(key); it != ctx.opened.end())
    return it->second;
  std::string op = t["op"].get<std::string>();
  CorpusPtr out;
  if (op == "lines") {
    R1RT_ASSIGN(out, readLines(t.value("path", ""), t.value("by", "line"), ctx));
  } else if (op == "jsonl") {
    R1RT_ASSIGN(out, readJsonl(t.value("path", ""), ctx));
  } else {
    if (!t.contains("in"))
      return badSpec("`" + op + "` has no \"in\"");
    R1RT_ASSIGN(CorpusPtr in, open(t["in"], ctx));
    R1RT_ASSIGN(out, apply(t, op, *in, ctx));
  }
  ctx.opened.emplace(std::move(key), out);
  return out;
}

Result<CorpusPtr> openCorpus(const json &tree, DataContext &ctx) {
  try {
    return open(tree, ctx);
  } catch (const json::exception &e) { // a field of another type than described above
    return badSpec(e.what());
  }
}

Result<std::vector<std::string>> corpusFiles(const json &tree, const DataContext &ctx) {
  std::set<std::string> files;
  const json *t = &tree;
  while (t->is_object()) {
    if (auto it = t->find("path"); it != t->end() && it->is_string()) {
      R1RT_ASSIGN(std::vector<std::string> some, expandPath(it->get<std::string>(), ctx));
      files.insert(some.begin(), some.end());
    }
    auto in = t->find("in");
    if (in == t->end())
      break;
    t = &*in;
  }
  return std::vector<std::string>(files.begin(), files.end());
}

} // namespace r1rt
