// What the communication thread does for each collective. Every wait in here also sends heartbeats
// and ends when the world is broken (Engine::service).
#include "runtime/comm/Engine.h"
#include <algorithm>
#include <bit>
#include <cstring>

namespace r1rt {

// 1 is the notes'. Pieces of data of one slot follow each other under one tag.
static constexpr int headerTag = 2, dataTag = 3;
static constexpr uint64_t pieceBytes = 1 << 20;
// Floats of a piece from which moving less is worth twice as many messages.
static constexpr uint64_t halvedFrom = 16384;

static std::string nth(const CommHeader &h) {
  std::string text = "number " + std::to_string(h.number) + ", ";
  switch (h.kind) {
  case CommKind::barrier:
    return text + "a barrier";
  case CommKind::broadcast:
    return text + "a broadcast of " + std::to_string(h.bytes) + " bytes from rank " +
           std::to_string(h.root);
  case CommKind::gather:
    return text + "a gathering of texts";
  case CommKind::reduce:
    return text + "a sum of " + std::to_string(h.bytes / sizeof(float)) + " floats";
  }
  return text + "unknown";
}

Status Engine::perform(CommOp &op) {
  switch (op.kind) {
  case CommKind::barrier:
    return barrier(op);
  case CommKind::broadcast:
    return broadcast(op);
  case CommKind::gather:
    return gather(op);
  case CommKind::reduce:
    return reduce(op);
  }
  return Status::error("unknown collective");
}

Status Engine::post(Request &sending, int to, Request &receiving, int from, int tag,
                    const void *out, uint64_t outBytes, void *in, uint64_t inBytes) {
  R1RT_ASSIGN(receiving.id, wire->receive(from, tag, in, inBytes));
  R1RT_ASSIGN(sending.id, wire->send(to, tag, out, outBytes));
  return Status::ok();
}

// One header to the first of each pair, one from its second; `heard` are those that came. They have
// to be the same, but for the size of a text.
Status Engine::agree(const CommOp &op, const std::vector<std::pair<int, int>> &toFrom) {
  mine = {op.kind, op.root, op.number, op.bytes};
  std::vector<Request> sending(toFrom.size()), receiving(toFrom.size());
  heard.assign(toFrom.size(), mine);
  for (size_t i = 0; i < toFrom.size(); ++i)
    R1RT_TRY(post(sending[i], toFrom[i].first, receiving[i], toFrom[i].second, headerTag, &mine,
                  sizeof mine, &heard[i], sizeof mine));
  for (size_t i = 0; i < toFrom.size(); ++i) {
    R1RT_TRY(await({&sending[i], &receiving[i]}));
    const CommHeader &other = heard[i];
    if (other.kind == mine.kind && other.root == mine.root && other.number == mine.number &&
        (other.bytes == mine.bytes || mine.kind == CommKind::gather))
      continue;
    return Status::error("the ranks do different things: " + describe(self) + " is at collective " +
                         nth(mine) + "; rank " + std::to_string(toFrom[i].second) +
                         " at collective " + nth(other) +
                         "\nhelp: start all ranks with the same program, files and options");
  }
  return Status::ok();
}

// In round r each rank hears of the 2^r before it.
Status Engine::barrier(const CommOp &op) {
  for (int step = 1; step < count; step *= 2)
    R1RT_TRY(agree(op, {{(self + step) % count, (self - step + count) % count}}));
  return Status::ok();
}

// The binomial tree: counted from the root, the parent of v is v without its lowest bit.
Status Engine::broadcast(const CommOp &op) {
  int v = (self - op.root + count) % count, parent = -1;
  std::vector<int> children;
  std::vector<std::pair<int, int>> toFrom;
  auto rankOf = [&](int v) { return (v + op.root) % count; };
  if (v) {
    parent = rankOf(v & (v - 1));
    toFrom.push_back({parent, parent});
  }
  for (int bit = 1; bit < count && !(v & bit); bit *= 2)
    if (v + bit < count) {
      children.insert(children.begin(), rankOf(v + bit)); // the largest subtree first
      toFrom.push_back({children.front(), children.front()});
    }
  R1RT_TRY(agree(op, toFrom));
  Slot &slot = slots[0];
  if (parent >= 0)
    slot.buffer.resize(pieceBytes / sizeof(float));
  std::vector<Request> sending(children.size());
  for (uint64_t at = 0; at < op.bytes; at += pieceBytes) {
    char *piece = static_cast<char *>(op.data) + at;
    uint64_t n = std::min(pieceBytes, op.bytes - at);
    if (parent >= 0) {
      // Not straight into the caller's memory: after a failure something may still arrive.
      R1RT_ASSIGN(slot.receiving.id, wire->receive(parent, dataTag, slot.buffer.data(), n));
      R1RT_TRY(await({&slot.receiving}));
      memcpy(piece, slot.buffer.data(), n);
    }
    for (size_t i = 0; i < children.size(); ++i) {
      R1RT_ASSIGN(sending[i].id, wire->send(children[i], dataTag, piece, n));
    }
    for (Request &request : sending)
      R1RT_TRY(await({&request}));
  }
  return Status::ok();
}

// Every pair exchanges its texts: they are short.
Status Engine::gather(CommOp &op) {
  op.texts.assign(size_t(count), op.text);
  for (int step = 1; step < count; ++step) {
    int to = (self + step) % count, from = (self - step + count) % count;
    R1RT_TRY(agree(op, {{to, from}}));
    std::string &in = op.texts[size_t(from)];
    in.resize(heard[0].bytes);
    for (uint64_t at = 0; at < std::max(op.text.size(), in.size()); at += pieceBytes) {
      Slot &slot = slots[0];
      slot.buffer.resize(pieceBytes / sizeof(float));
      uint64_t expected = at < in.size() ? std::min(pieceBytes, in.size() - at) : 0;
      if (expected) {
        R1RT_ASSIGN(slot.receiving.id, wire->receive(from, dataTag, slot.buffer.data(), expected));
      }
      if (at < op.text.size()) {
        uint64_t n = std::min(pieceBytes, op.text.size() - at);
        R1RT_ASSIGN(slot.sending.id, wire->send(to, dataTag, op.text.data() + at, n));
      }
      R1RT_TRY(await({&slot.sending, &slot.receiving}));
      memcpy(in.data() + at, slot.buffer.data(), expected);
    }
  }
  return Status::ok();
}

//===--- the sum -------------------------------------------------------------------===//

// out = low + high. One function for both partners, so that even the bits of a NaN, which depend on
// the order in which the compiler puts two operands, are the same on both.
// `out` may be one of the two.
[[gnu::noinline]] static void add(float *out, const float *low, const float *high, uint64_t n) {
  using Lanes [[gnu::vector_size(64)]] = float;
  constexpr uint64_t lanes = sizeof(Lanes) / sizeof(float);
  uint64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    Lanes a, b;
    memcpy(&a, low + i, sizeof a);
    memcpy(&b, high + i, sizeof b);
    a = a + b;
    memcpy(out + i, &a, sizeof a);
  }
  for (; i < n; ++i)
    out[i] = low[i] + high[i];
}

Status Engine::beginRound(Slot &slot, int tag) {
  const unsigned rounds = unsigned(std::countr_zero(unsigned(count)));
  slot.step = exchangeOf(slot.n, self, rounds, slot.round, slot.halved);
  return post(slot.sending, slot.step.partner, slot.receiving, slot.step.partner, tag,
              slot.at + slot.step.out.from, slot.step.out.n * sizeof(float), slot.buffer.data(),
              slot.step.in.n * sizeof(float));
}

// What has come in this round joins what is here.
void Engine::endRound(Slot &slot) {
  const auto &[partner, out, in, back] = slot.step;
  float *here = slot.at + in.from;
  const float *other = slot.buffer.data();
  if (back)
    memcpy(here, other, in.n * sizeof(float));
  else
    add(here, self < partner ? here : other, self < partner ? other : here, in.n);
}

// Long pieces are halved from four ranks on. Two pieces are on their way at once, so that one is added
// while the other one is moved.
Status Engine::reduce(const CommOp &op) {
  const unsigned rounds = unsigned(std::countr_zero(unsigned(count)));
  std::vector<std::pair<int, int>> partners;
  for (unsigned r = 0; r < rounds; ++r)
    partners.push_back({self ^ (1 << r), self ^ (1 << r)});
  R1RT_TRY(agree(op, partners));

  float *const data = static_cast<float *>(op.data), *const end = data + op.bytes / sizeof(float);
  const uint64_t n = op.bytes / sizeof(float), most = pieceBytes / sizeof(float);
  const uint64_t piece = std::min(most, std::max<uint64_t>(most / 32, (n + 1) / 2));
  // Slot s takes pieces s, s + 2, ...: the same ones on every rank.
  auto take = [&](Slot &slot, float *at) {
    slot.at = at;
    slot.n = at < end ? std::min(piece, uint64_t(end - at)) : 0;
    slot.round = 0;
    slot.halved = count >= 4 && slot.n >= halvedFrom;
    return slot.n ? beginRound(slot, dataTag + int(&slot - slots)) : Status::ok();
  };
  for (uint64_t s = 0; s < 2; ++s) {
    slots[s].buffer.resize(std::max(slots[s].buffer.size(), piece));
    R1RT_TRY(take(slots[s], data + std::min(n, s * piece)));
  }
  for (unsigned idle = 0; slots[0].n || slots[1].n; ++idle) {
    for (Slot &slot : slots) {
      bool sent = false, received = false;
      R1RT_TRY(poll(slot.sending, sent));
      R1RT_TRY(poll(slot.receiving, received));
      if (!slot.n || !sent || !received)
        continue;
      idle = 0;
      endRound(slot);
      if (++slot.round < (slot.halved ? 2 * rounds : rounds)) {
        R1RT_TRY(beginRound(slot, dataTag + int(&slot - slots)));
        continue;
      }
      uint64_t left = uint64_t(end - slot.at);
      R1RT_TRY(take(slot, slot.at + std::min(left, 2 * piece)));
    }
    R1RT_TRY(service());
    pauseFor(idle);
  }
  return Status::ok();
}

} // namespace r1rt
