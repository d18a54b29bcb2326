// What goes on while threads run on: mbarriers, bulk copies, wgmma.
//
// In order, these happen as late as allowed: products when no thread can run, and copies when there
// is no product either. In reverse they happen at once, at random at any time between.
#include "runtime/emu/Block.h"
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

namespace r1rt::emu {

namespace {

/// The start of the window: as on a device, so that 0 is nowhere.
constexpr unsigned kWindow = 1024;
constexpr int64_t kMostBytes = (1 << 20) - 1; // that an mbarrier counts
constexpr float kUnread = std::numeric_limits<float>::quiet_NaN();

bool same(const r1emu_wgmma &x, const r1emu_wgmma &y) {
  return x.a == y.a && x.b == y.b && x.n == y.n && x.f16 == y.f16 && x.across_a == y.across_a &&
         x.across_b == y.across_b && !x.fragment == !y.fragment;
}

/// The sums that lie at `d`; null if none are under way there.
Sums *sumsAt(std::vector<Sums> &all, const float *d) {
  for (Sums &s : all)
    if (s.d == d)
      return &s;
  return nullptr;
}

bool untouched(const Sums &s) {
  return std::all_of(s.d, s.d + s.count, [](float x) { return std::isnan(x); });
}

float value(uint16_t bits, bool f16) {
  if (!f16)
    return std::bit_cast<float>(uint32_t(bits) << 16);
  int exponent = bits >> 10 & 31, rest = bits & 1023;
  float x = exponent == 31  ? (rest ? kUnread : INFINITY)
            : exponent == 0 ? std::ldexp(float(rest), -24)
                            : std::ldexp(float(1024 + rest), exponent - 25);
  return bits & 0x8000 ? -x : x;
}

/// The rows of 128 bytes that hardware permutes: 16-byte chunk c of row r lies at c ^ r.
unsigned swizzled(unsigned address, unsigned mask, unsigned base) {
  return address ^ ((((address >> 7) - base) & mask) << 4);
}

} // namespace

void Block::startAsync() {
  barriers.clear();
  bulkCopies.clear();
  for (int t = 0; t < head.threads; ++t) {
    threads[t].barrier = -1;
    threads[t].fenced = false;
    threads[t].products = threads[t].productGroup = 0;
    threads[t].sums.clear();
  }
  for (int w = 0; w * kWarp < head.threads; ++w) {
    warps[w].products.clear();
    warps[w].done = warps[w].awaited = warps[w].registers = 0;
    warps[w].inWgmma = 0;
  }
}

r1emu_range Block::dynamic(r1emu_site site) {
  if (!kernel->shared)
    fault(head.thread, site, "the launch gives no dynamic shared memory");
  return {sharedMemory, static_cast<uint64_t>(kernel->shared)};
}

unsigned Block::address(const void *p, r1emu_site site) {
  auto at = static_cast<const char *>(p) - sharedMemory;
  if (at < 0 || static_cast<uint64_t>(at) >= sharedBytes)
    fault(head.thread, site, "an address that does not lie in the block's shared memory");
  return static_cast<unsigned>(at) + kWindow;
}

//===--- mbarriers ----------------------------------------------------------===//

size_t Block::barrierAt(const void *at, const char *what, r1emu_site site) {
  for (size_t i = 0; i < barriers.size(); ++i)
    if (barriers[i].at == at)
      return i;
  fault(head.thread, site, "%s, but nobody has initialised the barrier at shared address %u", what,
        address(at, site));
}

void Block::barrierInit(void *at, int count, r1emu_site site) {
  unsigned where = address(at, site);
  if (where % 8)
    fault(head.thread, site, "barrier_init at shared address %u, which is no multiple of 8", where);
  if (count < 1 || count > kMostBytes)
    fault(head.thread, site, "barrier_init for %d arrivals; there have to be 1 to 1048575", count);
  for (const Barrier &b : barriers)
    if (b.at == at)
      fault(head.thread, site, "barrier_init of a barrier that is initialised already");
  barriers.push_back({at, count, count, 0, 0, head.thread, false});
}

void Block::fenceAsync() {
  for (Barrier &b : barriers)
    b.fenced |= b.owner == head.thread;
}

/// If all has come: the next phase begins, and who waited goes on.
void Block::endPhase(Barrier &b) {
  if (b.pending || b.bytes)
    return;
  ++b.phase;
  b.pending = b.count;
  int number = static_cast<int>(&b - barriers.data());
  for (int t = 0; t < head.threads; ++t)
    if (threads[t].barrier == number) {
      threads[t].barrier = -1;
      warps[t / kWarp].ready |= 1u << (t % kWarp);
      readyWarps |= 1u << (t / kWarp);
    }
}

void Block::barrierArrive(void *at, unsigned bytes, r1emu_site site) {
  Barrier &b = barriers[barrierAt(at, "barrier_arrive", site)];
  if (!b.pending)
    fault(head.thread, site,
          "barrier_arrive, but all %d arrivals of the phase have come, and %lld bytes are missing",
          b.count, static_cast<long long>(b.bytes));
  b.bytes += bytes;
  --b.pending;
  if (b.bytes > kMostBytes)
    fault(head.thread, site, "a barrier that expects %lld bytes; it can count 1048575",
          static_cast<long long>(b.bytes));
  if (!b.pending && b.bytes < 0)
    fault(head.thread, site, "%lld bytes more than were expected have come to the barrier",
          static_cast<long long>(-b.bytes));
  endPhase(b);
}

void Block::barrierWait(void *at, unsigned parity, r1emu_site site) {
  size_t i = barrierAt(at, "barrier_wait", site);
  if (parity > 1)
    fault(head.thread, site, "barrier_wait for parity %u, which is 0 or 1", parity);
  if ((barriers[i].phase & 1) != parity)
    return;
  threads[head.thread].barrier = static_cast<int>(i);
  suspend("barrier_wait", site);
}

//===--- bulk copies --------------------------------------------------------===//

void Block::checkMap(const r1emu_map &m, r1emu_site site) {
  auto bad = [&](const char *what, unsigned long long is) {
    fault(head.thread, site, "a tensor map whose %s is %llu", what, is);
  };
  if (m.rank < 1 || m.rank > 5)
    bad("rank (1 to 5)", m.rank);
  if (reinterpret_cast<uintptr_t>(m.base) % 16)
    bad("address (a multiple of 16)", reinterpret_cast<uintptr_t>(m.base));
  uint64_t last = 0;
  for (unsigned i = 0; i < m.rank; ++i) {
    if (m.dims[i] < 1 || m.dims[i] > uint64_t(1) << 32)
      bad("dim (1 to 2^32)", m.dims[i]);
    if (m.box[i] < 1 || m.box[i] > 256)
      bad("box (1 to 256)", m.box[i]);
    if (i && (m.strides[i] % 16 || m.strides[i] >= uint64_t(1) << 40))
      bad("stride (a multiple of 16 below 2^40)", m.strides[i]);
    last += (m.dims[i] - 1) * (i ? m.strides[i] : m.element);
  }
  unsigned row = m.box[0] * m.element;
  if (row % 16)
    bad("box in bytes (a multiple of 16)", row);
  if (m.swizzle != 0 && m.swizzle != 128)
    bad("swizzle (0 or 128)", m.swizzle);
  if (m.swizzle && row > m.swizzle)
    bad("box in bytes (at most the swizzle's)", row);
  if (head.checked) {
    r1emu_range r = range(m.base);
    auto from = static_cast<uint64_t>(static_cast<const char *>(m.base) -
                                      static_cast<const char *>(r.begin));
    if (!r.begin || from + last + m.element > r.bytes)
      bad("last element is beyond its array, at byte", last);
  }
}

void Block::bulkCopy(void *to, const r1emu_map &map, const int *at, void *barrier,
                     r1emu_site site) {
  checkMap(map, site);
  unsigned where = address(to, site), bytes = map.element;
  for (unsigned i = 0; i < map.rank; ++i)
    bytes *= map.box[i];
  if (where % 128)
    fault(head.thread, site, "bulk_copy to shared address %u, which is no multiple of 128", where);
  if (where - kWindow + bytes > sharedBytes)
    fault(head.thread, site, "bulk_copy of %u bytes to shared address %u, but the block's memory ends at %u",
          bytes, where, static_cast<unsigned>(sharedBytes) + kWindow);
  size_t number = barrierAt(barrier, "bulk_copy", site);
  Barrier &b = barriers[number];
  if (!b.fenced)
    fault(head.thread, site,
          "bulk_copy does not see its barrier: fence_async is missing after barrier_init");
  for (int w = 0; w * kWarp < head.threads; ++w)
    for (const Wgmma &p : warps[w].products)
      for (auto *operand : {&p.a, &p.b})
        for (uint32_t chunk : *operand)
          if (chunk >= where && chunk < where + bytes)
            fault(head.thread, site, "bulk_copy to shared address %u, which a wgmma of warp %d still reads",
                  where, w);
  BulkCopy c = {static_cast<char *>(to), map, {}, number, b.phase, head.thread, site};
  std::copy(at, at + map.rank, c.at);
  if (schedule.order == R1EMU_REVERSE)
    land(c);
  else
    bulkCopies.push_back(c);
}

void Block::land(BulkCopy c) {
  const r1emu_map &m = c.map;
  unsigned row = m.box[0] * m.element, rows = 1;
  for (unsigned i = 1; i < m.rank; ++i)
    rows *= m.box[i];
  unsigned start = static_cast<unsigned>(c.to - sharedMemory) + kWindow;
  for (unsigned r = 0; r < rows; ++r) {
    const char *from = static_cast<const char *>(m.base);
    bool inside = true;
    for (unsigned i = 1, rest = r; i < m.rank; rest /= m.box[i++]) {
      int64_t x = c.at[i] + int64_t(rest % m.box[i]);
      inside &= x >= 0 && static_cast<uint64_t>(x) < m.dims[i];
      from += x * static_cast<int64_t>(m.strides[i]);
    }
    for (unsigned byte = 0; byte < row; byte += 16) {
      unsigned address = start + r * row + byte;
      char *to = sharedMemory + (swizzled(address, m.swizzle ? 7 : 0, 0) - kWindow);
      for (unsigned k = 0; k < 16; k += m.element) {
        int64_t x = c.at[0] + int64_t((byte + k) / m.element);
        if (inside && x >= 0 && static_cast<uint64_t>(x) < m.dims[0])
          memcpy(to + k, from + x * m.element, m.element);
        else
          memset(to + k, 0, m.element);
      }
    }
  }
  Barrier &b = barriers[c.barrier];
  if (b.phase != c.phase)
    fault(c.thread, c.site, "the barrier's phase ended before this bulk_copy had come: fewer bytes were "
                            "expected than are copied");
  b.bytes -= int64_t(row) * rows;
  if (!b.pending && b.bytes < 0)
    fault(c.thread, c.site, "with this bulk_copy %lld bytes more than were expected come to the barrier",
          static_cast<long long>(-b.bytes));
  endPhase(b);
}

//===--- wgmma --------------------------------------------------------------===//

/// Where the 16-byte chunks of `rows` rows (m or n) and 16 k of an operand lie. Along k: two for each
/// row. Across: for each k those of 8 rows. The layouts are PTX's canonical ones, in which a swizzle of
/// 2^s chunks repeats; LBO and SBO are the descriptor's offsets.
std::vector<uint32_t> Block::chunks(uint64_t descriptor, bool across, int first, int rows, char name,
                                    r1emu_site site) {
  static const int bitsOf[] = {0, 3, 2, 1}; // by layout type: none, 128, 64, 32 bytes
  int s = bitsOf[descriptor >> 62];
  auto field = [&](int low) { return static_cast<uint32_t>(descriptor >> low & 0x3FFF) << 4; };
  uint32_t start = field(0), lbo = field(16), sbo = field(32), pitch = 16u << s;
  uint32_t base = descriptor >> 49 & 7, mask = (1u << s) - 1;
  std::vector<uint32_t> out;
  auto add = [&](uint32_t offset) {
    uint32_t at = swizzled(start + offset, mask, base);
    if (at < kWindow || at + 16 > kWindow + sharedBytes)
      fault(head.thread, site, "wgmma reads %c at shared address %u, but the block's memory is %u to %u",
            name, at, kWindow, kWindow + static_cast<unsigned>(sharedBytes));
    out.push_back(at);
  };
  if (!across)
    for (uint32_t r = first, end = r + rows; r < end; ++r)
      for (uint32_t h = 0; h < 2; ++h)
        add(r / 8 * sbo + r % 8 * pitch + h * (s ? 16 : lbo));
  else
    for (uint32_t k = 0; k < 16; ++k)
      for (uint32_t g = first / 8, end = g + rows / 8; g < end; ++g)
        add(s ? (g >> s) * lbo + (g & mask) * 16 + k % 8 * pitch + k / 8 * sbo
              : g * sbo + k % 8 * pitch + k / 8 * lbo);
  return out;
}

/// A processor has 65536 registers, which the block's warps have in equal parts at its start. Those that
/// have not asked may still go down to 24.
void Block::registers(int count, r1emu_site site) {
  warps[head.thread / kWarp].registers = count;
  int n = (head.threads + kWarp - 1) / kWarp, all = std::min(65536 / (n * kWarp) / 8 * 8, 248) * n, used = 0;
  for (int w = 0; w < n; ++w)
    used += warps[w].registers ? warps[w].registers : 24;
  if (used > all)
    fault(head.thread, site,
          "registers_up to %d waits for ever: the block's warps would have %d registers per lane, and there are "
          "%d",
          count, used, all);
}

void Block::wgmmaFence() { threads[head.thread].fenced = true; }

void Block::wgmma(const r1emu_wgmma &what, float *d, r1emu_site site) {
  int self = head.thread, lane = self % kWarp;
  Thread &t = threads[self];
  Warp &w = warps[self / kWarp];
  if (!t.fenced)
    fault(self, site, "wgmma without a wgmma_fence since the last wgmma_wait");
  if (head.threads % 128)
    fault(self, site, "wgmma in a block of %d threads; it takes whole groups of 128", head.threads);
  // The first lane makes the entry, the others join it.
  size_t place = static_cast<size_t>(t.products++ - w.done);
  if (place == w.products.size()) {
    Wgmma p = {what, t.productGroup, 0, {}, {}, {}, {}};
    if (!what.fragment)
      p.a = chunks(what.a, what.across_a, self / kWarp % 4 * 16, 16, 'A', site);
    p.b = chunks(what.b, what.across_b, 0, what.n, 'B', site);
    for (const BulkCopy &c : bulkCopies) {
      unsigned from = static_cast<unsigned>(c.to - sharedMemory) + kWindow, bytes = c.map.element;
      for (unsigned i = 0; i < c.map.rank; ++i)
        bytes *= c.map.box[i];
      for (auto *operand : {&p.a, &p.b})
        for (uint32_t chunk : *operand)
          if (chunk >= from && chunk < from + bytes)
            fault(self, site, "wgmma reads shared address %u, to which a bulk_copy is still under way",
                  chunk);
    }
    w.products.push_back(std::move(p));
  }
  Wgmma &p = w.products[place];
  if (!same(p.what, what) || p.group != t.productGroup)
    fault(self, site, "wgmma with other descriptors or in another group than other lanes of the warp");
  p.lanes |= 1u << lane;
  p.d[lane] = d;
  if (what.fragment)
    std::copy_n(what.fragment, 4, p.fragment[lane]);
  Sums *s = sumsAt(t.sums, d);
  if (!s) {
    t.sums.push_back({d, what.n / 2, 0, std::vector<float>(d, d + what.n / 2)});
    s = &t.sums.back();
    std::fill(d, d + what.n / 2, kUnread);
  }
  if (s->count != what.n / 2 || !untouched(*s))
    fault(self, site, "the sums of a wgmma under way have been written to");
  ++s->uses;
  if (schedule.order == R1EMU_REVERSE && p.lanes == w.all)
    perform(self / kWarp);
}

void Block::wgmmaCommit() { ++threads[head.thread].productGroup; }

void Block::wgmmaWait(int groups, r1emu_site site) {
  int self = head.thread;
  Warp &w = warps[self / kWarp];
  Thread &t = threads[self];
  const void *given = exchange(&t.productGroup, sizeof t.productGroup, "wgmma_wait", ~0u, site);
  for (int l = 0; l < kWarp; ++l) {
    int other;
    memcpy(&other, static_cast<const char *>(given) + l * R1EMU_LANE_BYTES, sizeof other);
    if (other != t.productGroup)
      fault(self, site, "wgmma_wait after %d groups of wgmmas, but lane %d has committed %d", t.productGroup,
            l, other);
  }
  t.fenced = false;
  int awaited = t.productGroup - groups;
  if (w.products.empty() || w.products.front().group >= awaited)
    return;
  for (const Wgmma &p : w.products)
    if (p.group < awaited && p.lanes != w.all)
      fault(self, site, "wgmma_wait for a wgmma that lane %d has not issued", std::countr_one(p.lanes));
  w.awaited = awaited;
  w.inWgmma |= 1u << (self % kWarp);
  suspend("wgmma_wait", site);
}

void Block::wakeWgmma(int warp) {
  Warp &w = warps[warp];
  if (!w.inWgmma || (!w.products.empty() && w.products.front().group < w.awaited))
    return;
  w.ready |= w.inWgmma;
  w.inWgmma = 0;
  readyWarps |= 1u << warp;
}

/// The oldest product of the warp: chains in increasing k. Products of 16-bit floats are exact, so that
/// a multiplication and an addition are one FMA.
void Block::perform(int warp) {
  Warp &w = warps[warp];
  Wgmma p = std::move(w.products.front());
  w.products.pop_front();
  ++w.done;
  int n = p.what.n;
  auto load = [&](const std::vector<uint32_t> &from, bool across, int rows, float *to) { // [k][row]
    for (size_t i = 0; i < from.size(); ++i) {
      uint16_t x[8];
      memcpy(x, sharedMemory + (from[i] - kWindow), 16);
      for (int j = 0; j < 8; ++j) {
        int k = across ? static_cast<int>(i) / (rows / 8) : static_cast<int>(i % 2) * 8 + j;
        int r = across ? static_cast<int>(i) % (rows / 8) * 8 + j : static_cast<int>(i) / 2;
        to[k * rows + r] = value(x[j], p.what.f16);
      }
    }
  };
  float a[16 * 16];
  std::vector<float> b(16 * n), row(n);
  if (p.what.fragment)
    for (int k = 0; k < 16; ++k)
      for (int r = 0; r < 16; ++r)
        a[k * 16 + r] = value(static_cast<uint16_t>(p.fragment[r % 8 * 4 + k % 8 / 2][k / 8 * 2 + r / 8] >> k % 2 * 16),
                              p.what.f16);
  else
    load(p.a, p.what.across_a, 16, a);
  load(p.b, p.what.across_b, n, b.data());
  Sums *sums[kWarp];
  for (int l = 0; l < kWarp; ++l)
    sums[l] = sumsAt(threads[warp * kWarp + l].sums, p.d[l]);
  for (int r = 0; r < 16; ++r) {
    // Element (r, c) of the fragment.
    auto at = [&](int c) -> float & {
      return sums[r % 8 * 4 + c % 8 / 2]->values[c / 8 * 4 + r / 8 * 2 + c % 2];
    };
    for (int c = 0; c < n; ++c)
      row[c] = at(c);
    for (int k = 0; k < 16; ++k)
      for (int c = 0; c < n; ++c)
        row[c] += a[k * 16 + r] * b[k * n + c];
    for (int c = 0; c < n; ++c)
      at(c) = row[c];
  }
  for (int l = 0; l < kWarp; ++l) {
    if (--sums[l]->uses)
      continue;
    auto &all = threads[warp * kWarp + l].sums;
    if (!untouched(*sums[l]))
      fault(warp * kWarp + l, threads[warp * kWarp + l].site,
            "the sums of a wgmma under way have been written to");
    std::copy(sums[l]->values.begin(), sums[l]->values.end(), sums[l]->d);
    all.erase(all.begin() + (sums[l] - all.data()));
  }
  wakeWgmma(warp);
}

//===--- when they happen ---------------------------------------------------===//

/// No thread can run: something under way has to happen. False if there is nothing.
bool Block::performNext() {
  for (int w = 0; w * kWarp < head.threads; ++w)
    if (!warps[w].products.empty() && warps[w].products.front().lanes == warps[w].all)
      return perform(w), true;
  if (bulkCopies.empty())
    return false;
  BulkCopy c = bulkCopies.front();
  bulkCopies.pop_front();
  land(c);
  return true;
}

/// One of what is under way, if any, at random.
void Block::performSome() {
  int n = (head.threads + kWarp - 1) / kWarp, w = static_cast<int>(draw() % static_cast<uint64_t>(n));
  if (draw() & 1) {
    if (!warps[w].products.empty() && warps[w].products.front().lanes == warps[w].all)
      perform(w);
  } else if (!bulkCopies.empty()) {
    auto it = bulkCopies.begin() + static_cast<int64_t>(draw() % bulkCopies.size());
    BulkCopy c = *it;
    bulkCopies.erase(it);
    land(c);
  }
}

void Block::threadEnds(int thread) {
  if (!threads[thread].sums.empty())
    fault(thread, threads[thread].site, "the thread ends while a wgmma is under way");
  if (finished == head.threads && !bulkCopies.empty())
    fault(bulkCopies.front().thread, bulkCopies.front().site,
          "the block ends while this bulk_copy is under way");
}

/// If a thread waits for a barrier for ever: says what is missing.
void Block::stuckAtBarrier() {
  const Barrier *b = nullptr;
  int thread = 0;
  for (int t = 0; t < head.threads; ++t)
    if (threads[t].barrier >= 0) {
      const Barrier *other = &barriers[static_cast<size_t>(threads[t].barrier)];
      if (!b || (!b->bytes && other->bytes)) // missing bytes are a cause, missing arrivals may follow
        b = other, thread = t;
    }
  if (b)
    fault(thread, threads[thread].site,
          "barrier_wait for ever: %d of %d arrivals and %lld bytes are missing, and no thread can run",
          b->pending, b->count, static_cast<long long>(b->bytes));
}

} // namespace r1rt::emu
