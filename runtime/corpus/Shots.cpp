#include "runtime/corpus/Shots.h"
#include "runtime/corpus/Engine.h"
#include "runtime/state/Philox.h"
#include <map>

namespace r1rt::corpus {

using nlohmann::json;

namespace {

struct Example {
  std::string id, key, text;
};

class Shots final : public RowPass {
public:
  Shots(std::shared_ptr<const std::vector<Example>> pool, size_t k, std::string field, uint64_t seed)
      : pool(std::move(pool)), k(k), field(std::move(field)), seed(seed) {}

private:
  std::shared_ptr<const std::vector<Example>> pool;
  size_t k;
  std::string field;
  uint64_t seed;

  Result<Fate> look(Row &row, uint64_t, std::vector<Added> &) override {
    const std::string root(rootOf(row.id)), key = row.key.empty() ? keyOf(row) : row.key;
    const uint64_t draws = drawKey(drawKey(seed, "shots"), root);
    // A permutation of the pool, as far as it is needed: what is at place i lies in `moved`, or at i still.
    std::map<size_t, size_t> moved;
    auto at = [&](size_t i) {
      auto it = moved.find(i);
      return it == moved.end() ? i : it->second;
    };
    std::string text;
    size_t found = 0;
    for (size_t i = 0; found < k && i < pool->size(); ++i) {
      const PhiloxBlock b = philox(draws, i);
      const size_t j = i + size_t(uniform01(b[0], b[1]) * double(pool->size() - i));
      const size_t chosen = at(j);
      moved[j] = at(i);
      const Example &e = (*pool)[chosen];
      if (e.key == key || rootOf(e.id) == root)
        continue;
      text += e.text;
      ++found;
    }
    if (found < k)
      return Status::error("row " + row.id + ": " + std::to_string(k) + " examples are asked for, `of` has " +
                               std::to_string(found) + " beside the row itself (of " + std::to_string(pool->size()) + ")");
    R1RT_ASSIGN(json record, row.toJson());
    record[field] = std::move(text);
    if (row.key.empty())
      row.key = key; // the field is no part of what the row is
    row.assign(std::move(record));
    return Fate{};
  }
};

} // namespace

Result<PassMaker> shotsMaker(const json &node, const Context &ctx) {
  R1RT_ASSIGN(const RowFn *format, rowFunction(node.value("format", json()), ctx));
  auto pool = std::make_shared<std::vector<Example>>();
  R1RT_TRY(eachRow(node.value("of", json()), ctx, [&](Row &&row) -> Status {
    R1RT_ASSIGN(json record, row.toJson());
    auto text = (*format)(record);
    if (!text || !text->is_string())
      return (text ? Status::error("`format` gives " + text->dump() + ", not a text") : text.status())
          .withContext("row " + row.id + " of `of`");
    pool->push_back({row.id, row.key.empty() ? keyOf(row) : row.key, text->get<std::string>()});
    return Status::ok();
  }));
  const size_t k = node.value("k", size_t(0));
  const std::string field = node.value("field", "shots");
  const uint64_t seed = node.value("seed", uint64_t(0));
  return PassMaker([=]() -> Result<std::unique_ptr<Pass>> {
    return std::unique_ptr<Pass>(new Shots(pool, k, field, seed));
  });
}

} // namespace r1rt::corpus
