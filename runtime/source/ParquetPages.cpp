#include "runtime/source/ParquetPages.h"
#include "runtime/source/Thrift.h"
#include <bit>
#include <cstring>
#include <snappy-c.h>
#include <zlib.h>
#include <zstd.h>

namespace r1rt::source::parquet {

/// Little-endian, at most 8 bytes.
static uint64_t number(std::string_view bytes) {
  uint64_t v = 0;
  for (size_t i = bytes.size(); i-- > 0;)
    v = v << 8 | static_cast<unsigned char>(bytes[i]);
  return v;
}

/// Takes a part off the front of `bytes` that begins with its length in 4 bytes; false if it is not
/// whole.
static bool takeSized(std::string_view &bytes, std::string_view &part) {
  uint64_t n = bytes.size() < 4 ? 0 : number(bytes.substr(0, 4));
  if (bytes.size() < 4 || n > bytes.size() - 4)
    return false;
  part = bytes.substr(4, n);
  bytes.remove_prefix(4 + n);
  return true;
}

/// `width` bits (64 at most) from bit `bit` on, which lie inside.
static uint64_t bitsAt(std::string_view bytes, uint64_t bit, int width) {
  size_t from = size_t(bit / 8), shift = bit % 8;
  if (from + 9 > bytes.size()) {
    uint64_t v = 0;
    for (int i = 0; i < width; ++i)
      v |= uint64_t(static_cast<unsigned char>(bytes[(bit + i) / 8]) >> (bit + i) % 8 & 1) << i;
    return v;
  }
  uint64_t v;
  memcpy(&v, bytes.data() + from, 8);
  v >>= shift;
  if (shift)
    v |= uint64_t(static_cast<unsigned char>(bytes[from + 8])) << (64 - shift);
  return width == 64 ? v : v & ((1ull << width) - 1);
}

/// A variable-length integer at bytes[at]; `bad` if it does not end.
static uint64_t varint(std::string_view bytes, size_t &at, bool &bad) {
  uint64_t v = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    if (at >= bytes.size())
      break;
    unsigned char b = static_cast<unsigned char>(bytes[at++]);
    v |= uint64_t(b & 127) << shift;
    if (b < 128)
      return v;
  }
  bad = true;
  return 0;
}

//===- Hybrid ---------------------------------------------------------------------------------===//

void Hybrid::run() {
  size_t used = 0;
  uint64_t head = varint(bytes, used, bad);
  size_t valueBytes = size_t(width + 7) / 8;
  packed = head & 1;
  left = packed ? head / 2 * 8 : head / 2;
  if (bad || head / 2 > 1ull << 32) {
    bad = true;
    return;
  }
  bytes.remove_prefix(used);
  if (packed) {
    // Writers may leave out the bytes behind the last value.
    size_t n = std::min<uint64_t>(head / 2 * uint64_t(width), bytes.size());
    bits = bytes.substr(0, n);
    bit = 0;
    bytes.remove_prefix(n);
  } else if (bytes.size() < valueBytes) {
    bad = true;
  } else {
    same = uint32_t(number(bytes.substr(0, valueBytes)));
    bytes.remove_prefix(valueBytes);
  }
}

uint32_t Hybrid::next() {
  while (!left && !bad)
    run();
  if (bad)
    return 0;
  --left;
  if (!packed)
    return same;
  if (bit + uint64_t(width) > bits.size() * 8) {
    bad = true;
    return 0;
  }
  uint32_t v = width ? uint32_t(bitsAt(bits, bit, width)) : 0;
  bit += uint64_t(width);
  return v;
}

//===- Deltas ---------------------------------------------------------------------------------===//

static uint64_t unzigzag(uint64_t v) { return v >> 1 ^ (0 - (v & 1)); }

Deltas::Deltas(std::string_view bytes) : all(bytes) {
  perBlock = varint(all, at, bad);
  blocks = varint(all, at, bad);
  left = varint(all, at, bad);
  value = unzigzag(varint(all, at, bad));
  // The format wants multiples of 128 and 32; 8 is what decoding needs. Large ones would be bombs.
  if (!bad && (perBlock == 0 || perBlock > 1 << 16 || blocks == 0 || perBlock % blocks ||
               perBlock / blocks % 8))
    bad = true;
  if (bad)
    left = 0;
  else
    perMini = perBlock / blocks;
  mini = blocks;
}

void Deltas::block() {
  if (mini == blocks) {
    least = unzigzag(varint(all, at, bad));
    widths = at;
    if (bad || blocks > all.size() - at) {
      bad = true;
      return;
    }
    at += blocks;
    mini = 0;
  }
  width = static_cast<unsigned char>(all[widths + mini]);
  ++mini;
  inMini = perMini;
  bit = at * 8;
  // The bytes behind the last value may be missing.
  uint64_t needed = std::min(perMini, left) * uint64_t(width),
           whole = perMini * uint64_t(width) / 8;
  if (width > 64 || (needed + 7) / 8 > all.size() - at) {
    bad = true;
    return;
  }
  at += std::min<uint64_t>(whole, all.size() - at);
}

uint64_t Deltas::next() {
  if (!left || bad) {
    bad = true;
    return 0;
  }
  if (first) {
    first = false;
    --left;
    return value;
  }
  if (!inMini)
    block();
  if (bad)
    return 0;
  --left;
  --inMini;
  value += least + (width ? bitsAt(all, bit, width) : 0);
  bit += uint64_t(width);
  return value;
}

size_t Deltas::end() {
  while (left && !bad) {
    if (first) {
      next();
      continue;
    }
    if (!inMini)
      block();
    uint64_t n = std::min(inMini, left);
    left -= n, inMini -= n;
  }
  return at;
}

//===- Column ---------------------------------------------------------------------------------===//

struct Column::Header {
  enum Type { dataV1 = 0, index = 1, dictionary = 2, dataV2 = 3 };
  int64_t type = -1, uncompressed = -1, compressed = -1, values = -1, encoding = -1;
  int64_t defEncoding = 3, repEncoding = 3;      // v1
  int64_t rows = -1, defBytes = 0, repBytes = 0; // v2
  bool isCompressed = true, hasCrc = false;
  uint32_t crc = 0;
  bool isData() const { return type == dataV1 || type == dataV2; }
};

Column::Column(const File &file, size_t group, size_t leafNumber)
    : file(file), leaf(file.leaves[leafNumber]), chunk(file.groups[group].chunks[leafNumber]),
      group(group), position(chunk.offset), end(chunk.offset + chunk.size),
      entriesLeft(chunk.values) {}

Column::~Column() { ZSTD_freeDCtx(static_cast<ZSTD_DCtx *>(zstd)); }

void Column::fail(const std::string &what) {
  if (failed())
    return;
  failure =
      Status::error(file.path + ": row group " + std::to_string(group) + ", column `" + leaf.path +
                    "`, the page at byte " + std::to_string(pageBegin) + ": " + what);
}

bool Column::readHeader(Header &h) {
  pageBegin = position;
  if (entriesLeft == 0 || failed())
    return false;
  if (position >= end) {
    fail("the column ends, but " + std::to_string(entriesLeft) + " of " +
         std::to_string(chunk.values) + " values are missing");
    return false;
  }
  // Statistics make a header long at times.
  for (size_t window = 1 << 10;; window *= 16) {
    size_t n = size_t(std::min<uint64_t>(window, end - position));
    packed.resize(n);
    if (Status s = file.read(position, packed.data(), n); !s) {
      failure = s;
      return false;
    }
    h = {};
    Thrift t(packed);
    t.fields([&](int id, Thrift::Type type) {
      switch (id) {
      case 1: h.type = t.integer(); return true;
      case 2: h.uncompressed = t.integer(); return true;
      case 3: h.compressed = t.integer(); return true;
      case 4: h.crc = uint32_t(t.integer()); return h.hasCrc = true;
      case 5:
      case 7:
        if (type != Thrift::structure)
          return false;
        t.fields([&](int part, Thrift::Type) { // of the dictionary the first two
          int64_t *to = part == 1              ? &h.values
                        : part == 2            ? &h.encoding
                        : part == 3 && id == 5 ? &h.defEncoding
                        : part == 4 && id == 5 ? &h.repEncoding
                                               : nullptr;
          if (to)
            *to = t.integer();
          return to != nullptr;
        });
        return true;
      case 8:
        if (type != Thrift::structure)
          return false;
        t.fields([&](int part, Thrift::Type what) {
          if (part == 7)
            h.isCompressed = what == Thrift::yes;
          int64_t *to = part == 1   ? &h.values
                        : part == 3 ? &h.rows
                        : part == 4 ? &h.encoding
                        : part == 5 ? &h.defBytes
                        : part == 6 ? &h.repBytes
                                    : nullptr;
          if (to)
            *to = t.integer();
          return to || part == 7;
        });
        return true;
      default: return false;
      }
    });
    if (!t.failed()) {
      position += t.offset();
      break;
    }
    if (n < window || window > 1 << 24) {
      fail("damaged: its header cannot be parsed");
      return false;
    }
  }
  uint64_t most = std::max(file.limits.ratioFrom,
                           file.limits.ratio * uint64_t(std::max<int64_t>(h.compressed, 0)));
  if (h.compressed < 0 || uint64_t(h.compressed) > end - position)
    fail("damaged: it has " + std::to_string(h.compressed) + " bytes, but the column ends after " +
         std::to_string(end - position));
  else if (h.uncompressed < 0 || uint64_t(h.uncompressed) > most)
    fail("expands to " + std::to_string(h.uncompressed) + " bytes, more than " +
         std::to_string(most) +
         ", as a decompression bomb does; raise the limit if the file is "
         "trusted");
  else if ((h.isData() || h.type == Header::dictionary) && (h.values < 0 || h.encoding < 0))
    fail("damaged: its header lacks the number or the encoding of the values");
  else if (h.isData() && uint64_t(h.values) > entriesLeft)
    fail("damaged: it has " + std::to_string(h.values) + " values, but only " +
         std::to_string(entriesLeft) + " are left in the column");
  return !failed();
}

bool Column::decompress(std::string_view in, char *out, size_t size) {
  size_t got = 0;
  const char *why = nullptr;
  switch (Codec(chunk.codec)) {
  case Codec::none:
    if (in.size() == size)
      memcpy(out, in.data(), size);
    got = in.size();
    break;
  case Codec::snappy:
    if (snappy_uncompressed_length(in.data(), in.size(), &got) != SNAPPY_OK)
      why = "no Snappy data";
    else if (got == size && snappy_uncompress(in.data(), in.size(), out, &got) != SNAPPY_OK)
      why = "damaged Snappy data";
    break;
  case Codec::zstd: {
    if (!zstd)
      zstd = ZSTD_createDCtx();
    got = ZSTD_decompressDCtx(static_cast<ZSTD_DCtx *>(zstd), out, size, in.data(), in.size());
    if (ZSTD_isError(got))
      why = ZSTD_getErrorName(got);
    break;
  }
  default: { // gzip: any number of members
    z_stream z{};
    z.next_in = reinterpret_cast<Bytef *>(const_cast<char *>(in.data()));
    z.avail_in = uInt(in.size());
    if (inflateInit2(&z, 15 + 32) != Z_OK)
      why = "no memory for a gzip decoder";
    while (!why && z.avail_in) {
      z.next_out = reinterpret_cast<Bytef *>(out + got);
      z.avail_out = uInt(size - got);
      int rc = inflate(&z, Z_FINISH);
      got = size - z.avail_out;
      if (rc != Z_STREAM_END)
        why = z.msg ? z.msg : "damaged gzip data";
      inflateReset(&z);
    }
    inflateEnd(&z);
  }
  }
  if (why)
    fail(std::string("damaged: ") + why);
  else if (got != size)
    fail("damaged: it expands to " + std::to_string(got) + " bytes, expected " +
         std::to_string(size));
  return !failed();
}

/// The page's bytes; the first `raw` ones are not compressed.
bool Column::payload(const Header &h, std::string &out, size_t raw) {
  size_t size = size_t(h.compressed), whole = size_t(h.uncompressed);
  packed.resize(size);
  if (Status s = file.read(position, packed.data(), size); !s) {
    failure = s;
    return false;
  }
  position += size;
  if (h.hasCrc) {
    auto *bytes = reinterpret_cast<const Bytef *>(packed.data());
    if (crc32_z(0, bytes, size) != h.crc) {
      fail("damaged: its checksum is not that in its header");
      return false;
    }
  }
  if (raw > size || raw > whole) {
    fail("damaged: its levels have " + std::to_string(raw) + " bytes, the page " +
         std::to_string(size));
    return false;
  }
  if (!h.isCompressed || Codec(chunk.codec) == Codec::none) {
    if (size != whole) {
      fail("damaged: it has " + std::to_string(size) + " bytes, expected " + std::to_string(whole));
      return false;
    }
    out.swap(packed);
    return true;
  }
  out.resize(whole);
  memcpy(out.data(), packed.data(), raw);
  if (whole == raw && size == raw)
    return true; // a page without a value
  return decompress(std::string_view(packed).substr(raw), out.data() + raw, whole - raw);
}

void Column::dictionary(const Header &h) {
  if (h.encoding != 0 && h.encoding != 2)
    return fail("the dictionary has encoding " + std::to_string(h.encoding) + ", expected PLAIN");
  if (leaf.type == Physical::boolean)
    return fail("damaged: a dictionary of booleans");
  if (!payload(h, dictionaryData, 0))
    return;
  rest = dictionaryData;
  dictionaryValues.clear();
  for (int64_t i = 0; i < h.values && !failed(); ++i)
    dictionaryValues.push_back(plain());
}

bool Column::page(const Header &h) {
  if (!h.isData()) {
    if (h.type == Header::dictionary)
      dictionary(h);
    else
      position += uint64_t(h.compressed);
    return false;
  }
  auto width = [](int most) { return int(std::bit_width(unsigned(most))); };
  std::string_view bytes;
  if (h.type == Header::dataV2) {
    if (h.repBytes < 0 || h.defBytes < 0 || h.repBytes > h.compressed ||
        h.defBytes > h.compressed - h.repBytes) {
      fail("damaged: its levels have " + std::to_string(h.repBytes) + " and " +
           std::to_string(h.defBytes) + " bytes, the page " + std::to_string(h.compressed));
      return false;
    }
    if (!payload(h, data, size_t(h.repBytes + h.defBytes)))
      return false;
    bytes = data;
    reps = Hybrid(bytes.substr(0, size_t(h.repBytes)), width(leaf.maxRep));
    bytes.remove_prefix(size_t(h.repBytes));
    defs = Hybrid(bytes.substr(0, size_t(h.defBytes)), width(leaf.maxDef));
    bytes.remove_prefix(size_t(h.defBytes));
  } else {
    if (!payload(h, data, 0))
      return false;
    bytes = data;
    auto levels = [&](int most, int64_t encoding, Hybrid &to) {
      if (most == 0)
        return;
      if (encoding != 3)
        return fail("its levels have encoding " + std::to_string(encoding) +
                    ", which is not supported; expected RLE");
      std::string_view part;
      if (!takeSized(bytes, part))
        return fail("damaged: its levels end behind it");
      to = Hybrid(part, width(most));
    };
    levels(leaf.maxRep, h.repEncoding, reps);
    levels(leaf.maxDef, h.defEncoding, defs);
  }
  if (failed())
    return false;
  inPage = uint64_t(h.values);
  entriesLeft -= inPage;
  values(int(h.encoding), bytes);
  return true;
}

void Column::values(int encoding, std::string_view bytes) {
  rest = bytes;
  at = 0;
  bool integer = leaf.type == Physical::int32 || leaf.type == Physical::int64;
  auto wrong = [&](const char *name) {
    fail(std::string("damaged: encoding ") + name + " does not go with the column's type");
  };
  switch (encoding) {
  case 0: how = plainValues; break;
  case 2:
  case 8: {
    how = indices;
    if (bytes.empty()) { // of a page without a value
      indexes = Hybrid();
      indexes.bad = true;
      break;
    }
    int width = static_cast<unsigned char>(bytes[0]);
    if (width > 32)
      return fail("damaged: its indices have " + std::to_string(width) +
                  " bits, expected 32 at most");
    indexes = Hybrid(bytes.substr(1), width);
    break;
  }
  case 3: {
    how = runs;
    if (leaf.type != Physical::boolean)
      return wrong("RLE");
    std::string_view part;
    if (!bytes.empty() && !takeSized(bytes, part)) // empty: a page without a value
      return fail("damaged: its values end behind it");
    indexes = Hybrid(part, 1);
    break;
  }
  case 5:
    how = deltas;
    if (!integer)
      return wrong("DELTA_BINARY_PACKED");
    delta = Deltas(bytes);
    break;
  case 6:
    how = deltaLengths;
    if (leaf.type != Physical::bytes)
      return wrong("DELTA_LENGTH_BYTE_ARRAY");
    lengths = Deltas(bytes);
    rest = bytes.substr(Deltas(bytes).end());
    break;
  case 7: {
    how = deltaBytes;
    if (leaf.type != Physical::bytes && leaf.type != Physical::fixed)
      return wrong("DELTA_BYTE_ARRAY");
    delta = Deltas(bytes); // prefixes
    bytes.remove_prefix(Deltas(bytes).end());
    lengths = Deltas(bytes);
    rest = bytes.substr(Deltas(bytes).end());
    last.clear();
    break;
  }
  case 9:
    how = splitBytes;
    if (!leaf.width || leaf.type == Physical::int96)
      return wrong("BYTE_STREAM_SPLIT");
    count = bytes.size() / size_t(leaf.width);
    break;
  default: fail("encoding " + std::to_string(encoding) + " is not supported");
  }
}

uint64_t Column::fixedBits(std::string_view bytes) const {
  uint64_t v = number(bytes);
  return leaf.type == Physical::int32 ? uint64_t(int64_t(int32_t(v))) : v;
}

Value Column::plain() {
  Value v;
  if (leaf.type == Physical::boolean) {
    if (at / 8 >= rest.size()) {
      fail("damaged: it ends inside its values");
      return v;
    }
    v.bits = static_cast<unsigned char>(rest[at / 8]) >> at % 8 & 1;
    ++at;
    return v;
  }
  size_t n = size_t(leaf.width);
  if (n ? n > rest.size() : !takeSized(rest, v.bytes)) {
    fail("damaged: it ends inside its values");
    return v;
  }
  if (n) {
    v.bytes = rest.substr(0, n);
    rest.remove_prefix(n);
  }
  if (n && n <= 8)
    v.bits = fixedBits(v.bytes);
  return v;
}

Value Column::split() {
  Value v;
  if (at >= count) {
    fail("damaged: it ends inside its values");
    return v;
  }
  last.resize(size_t(leaf.width));
  for (size_t i = 0; i < last.size(); ++i)
    last[i] = rest[i * count + at];
  ++at;
  v.bytes = last;
  if (leaf.width <= 8)
    v.bits = fixedBits(last);
  return v;
}

Value Column::value() {
  Value v;
  if (consumed || !present())
    return v;
  consumed = true;
  switch (how) {
  case plainValues: return plain();
  case splitBytes: return split();
  case indices: {
    uint32_t i = indexes.next();
    if (indexes.bad)
      fail("damaged: it ends inside its indices");
    else if (i >= dictionaryValues.size())
      fail("damaged: index " + std::to_string(i) + " of a dictionary of " +
           std::to_string(dictionaryValues.size()) + " values");
    else
      return dictionaryValues[i];
    return v;
  }
  case runs:
    v.bits = indexes.next();
    if (indexes.bad)
      fail("damaged: it ends inside its values");
    return v;
  case deltas:
    v.bits = delta.next();
    if (leaf.type == Physical::int32)
      v.bits = uint64_t(int64_t(int32_t(v.bits)));
    if (delta.bad)
      fail("damaged: it ends inside its values");
    return v;
  case deltaLengths:
  case deltaBytes: {
    uint64_t prefix = how == deltaBytes ? delta.next() : 0, n = lengths.next();
    if (lengths.bad || delta.bad || n > rest.size() || prefix > last.size()) {
      fail("damaged: it ends inside its values");
      return v;
    }
    v.bytes = rest.substr(0, n);
    rest.remove_prefix(n);
    if (how == deltaBytes) {
      last.resize(prefix);
      last += v.bytes;
      v.bytes = last;
      if (leaf.width && last.size() != size_t(leaf.width))
        fail("damaged: a value has " + std::to_string(last.size()) + " bytes, expected " +
             std::to_string(leaf.width));
    }
    return v;
  }
  case none: break;
  }
  return v;
}

void Column::load() {
  loaded = true;
  consumed = false;
  while (inPage == 0 && !failed()) {
    Header h;
    if (!readHeader(h))
      break;
    page(h);
  }
  ended = inPage == 0 || failed();
  if (ended) {
    defLevel = repLevel = 0;
    return;
  }
  --inPage;
  repLevel = leaf.maxRep ? int(reps.next()) : 0;
  defLevel = leaf.maxDef ? int(defs.next()) : 0;
  if (reps.bad || defs.bad || repLevel > leaf.maxRep || defLevel > leaf.maxDef) {
    fail("damaged: its levels are wrong");
    ended = true;
    defLevel = repLevel = 0;
  }
}

bool Column::atEnd() {
  if (!loaded)
    load();
  return ended;
}

void Column::advance() {
  if (atEnd())
    return;
  if (!consumed && present())
    value(); // decoders go on value by value
  loaded = false;
}

void Column::skipRows(uint64_t rows) {
  while (rows && !failed()) {
    if (!loaded &&
        inPage == 0) { // pages are passed over as wholes where their header tells the rows
      Header h;
      if (!readHeader(h))
        return;
      uint64_t inIt = leaf.maxRep == 0           ? uint64_t(h.values)
                      : h.type == Header::dataV2 ? uint64_t(h.rows)
                                                 : ~0ull;
      if (h.isData() && inIt <= rows) {
        position += uint64_t(h.compressed);
        entriesLeft -= uint64_t(h.values);
        rows -= inIt;
      } else {
        page(h);
      }
      continue;
    }
    do
      advance();
    while (!atEnd() && repLevel > 0);
    if (ended)
      return;
    --rows;
  }
}

} // namespace r1rt::source::parquet
