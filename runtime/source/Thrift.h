//===- Thrift.h - reading Thrift's compact protocol -------------------------===//
#ifndef R1RT_SOURCE_THRIFT_H
#define R1RT_SOURCE_THRIFT_H
#include <cstdint>
#include <string_view>

namespace r1rt::source {

/// Reads a struct field by field. After a mistake failed() is true, all that is read is 0 or empty,
/// and the structs end.
class Thrift {
public:
  enum Type {
    stop = 0,
    yes = 1,
    no = 2,
    i8 = 3,
    i16 = 4,
    i32 = 5,
    i64 = 6,
    real = 7,
    binary = 8,
    list = 9,
    set = 10,
    map = 11,
    structure = 12
  };

  explicit Thrift(std::string_view bytes) : at(bytes.data()), end(at + bytes.size()), begin(at) {}

  bool failed() const { return bad; }
  size_t offset() const { return size_t(at - begin); }

  /// Calls take(id, type) for each field of a struct; it reads the value and returns true, or false
  /// if the field is to be passed over.
  template <class F> void fields(F take) {
    int id = 0;
    if (++depth > 64)
      fail();
    while (!bad) {
      int head = byte(), type = head & 15;
      if (type == stop)
        break;
      id = head >> 4 ? id + (head >> 4) : int(zigzag());
      if (!take(id, Type(type)))
        skip(type);
    }
    --depth;
  }

  /// Calls take() for each element of a list.
  template <class F> void elements(F take) {
    for (uint64_t n = listHead().size; n && !bad; --n)
      take();
  }

  int64_t integer() { return zigzag(); }
  std::string_view bytes() {
    uint64_t n = varint();
    if (n > uint64_t(end - at)) {
      fail();
      return {};
    }
    at += n;
    return {at - n, size_t(n)};
  }

  uint64_t varint() {
    uint64_t v = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      int b = byte();
      v |= uint64_t(b & 127) << shift;
      if (b < 128)
        return v;
    }
    fail();
    return 0;
  }

private:
  struct ListHead {
    int type;
    uint64_t size;
  };
  ListHead listHead() {
    int head = byte();
    uint64_t size = head >> 4 == 15 ? varint() : uint64_t(head >> 4);
    if (size > uint64_t(end - at)) // each element has a byte at least
      fail();
    return {head & 15, bad ? 0 : size};
  }
  void fail() {
    bad = true;
    at = end;
  }
  int byte() {
    if (at == end) {
      fail();
      return 0;
    }
    return static_cast<unsigned char>(*at++);
  }
  int64_t zigzag() {
    uint64_t v = varint();
    return int64_t(v >> 1) ^ -int64_t(v & 1);
  }
  void pass(uint64_t n) {
    if (n > uint64_t(end - at))
      fail();
    else
      at += n;
  }
  /// An element of a list, if inList: there a boolean is a byte; in a field its type says all.
  void skip(int type, bool inList = false) {
    switch (type) {
    case yes:
    case no: pass(inList); break;
    case i8: pass(1); break;
    case i16:
    case i32:
    case i64: varint(); break;
    case real: pass(8); break;
    case binary: bytes(); break;
    case list:
    case set: {
      ListHead head = listHead();
      if (++depth > 64)
        fail();
      for (uint64_t n = head.size; n && !bad; --n)
        skip(head.type, true);
      --depth;
      break;
    }
    case map: {
      uint64_t n = varint();
      int types = n ? byte() : 0;
      if (++depth > 64 || n > uint64_t(end - at))
        fail();
      for (; n && !bad; --n) {
        skip(types >> 4, true);
        skip(types & 15, true);
      }
      --depth;
      break;
    }
    case structure: fields([](int, Type) { return false; }); break;
    default: fail();
    }
  }

  const char *at, *end, *begin;
  int depth = 0;
  bool bad = false;
};

} // namespace r1rt::source
#endif
